"""Which racks a tenant gets, and what a plan would do, judged in memory before anything is done."""

import datetime
from typing import Any

import edits
import msgspec
import pytest
import reference
import tenants

from chapelle.errors import FindingsError, InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.change import Update
from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import Draft, apply
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import Option, Request, Space
from chapelle.plan.tenancy.offboard import offboard
from chapelle.plan.tenancy.onboard import onboard
from chapelle.run.tenancy import choosing, judge

TODAY = tenants.TODAY
NOW = datetime.datetime.combine(TODAY, datetime.time(), datetime.UTC)
replace = msgspec.structs.replace


def dc_of(content: Content) -> Datacentre:
    return Datacentre(Snapshot(content))


def smaller(slug: str, racks: int, **space: Any) -> Request:
    """A tenant's request with so many racks, anywhere."""
    asked = tenants.request(slug)
    wanted = Space(racks=racks, kw_per_rack=asked.space.kw_per_rack, **space)
    return replace(asked, space=wanted)


# -- which racks ----------------------------------------------------------------------------------


def test_the_best_offer_is_taken_or_another_one() -> None:
    asked = smaller("eau-de-paris", 2)
    dc = reference.datacentre()
    first = choosing.choose(dc, asked, (), 1, TODAY)
    second = choosing.choose(dc, asked, (), 2, TODAY)
    assert len(first.racks) == len(second.racks) == 2
    assert first.racks != second.racks
    with pytest.raises(InputError, match="no such offer"):
        choosing.choose(dc, asked, (), 99, TODAY)


def test_racks_that_are_named_are_judged_like_any_other() -> None:
    asked = smaller("eau-de-paris", 2)
    dc = tenants.datacentre("ap-hp")
    option = choosing.choose(dc, asked, ("A4-R20", "A2-R22"), 1, TODAY)
    assert set(option.racks) == {"A4-R20", "A2-R22"}
    with pytest.raises(RefusedError) as caught:
        choosing.choose(dc, asked, ("A1-R07", "A4-R20"), 1, TODAY)
    assert "let to AP-HP until 2033-06-30" in str(caught.value)
    with pytest.raises(InputError, match="no rack 'A9-R99'"):
        choosing.choose(dc, asked, ("A9-R99",), 1, TODAY)
    heavy = replace(asked, space=replace(asked.space, kg_per_rack=4000.0))
    with pytest.raises(RefusedError, match="kg more"):
        choosing.choose(dc, heavy, ("A4-R20", "A2-R22"), 1, TODAY)


def test_a_request_that_has_all_its_racks_gets_no_others() -> None:
    dc = tenants.datacentre("ap-hp")
    asked = tenants.request("ap-hp")
    assert set(choosing.choose(dc, asked, (), 1, TODAY).racks) == set(tenants.RACKS["ap-hp"])
    with pytest.raises(InputError, match="has all its racks"):
        choosing.choose(dc, asked, ("A4-R20",), 1, TODAY)


def test_a_request_that_grew_gets_the_rest_and_keeps_its_wishes() -> None:
    dc = tenants.datacentre("ap-hp")
    asked = tenants.request("ap-hp")
    grown = replace(asked, space=replace(asked.space, racks=26))
    option = choosing.choose(dc, grown, (), 1, TODAY)
    assert len(option.racks) == 2
    assert not set(option.racks) & set(tenants.RACKS["ap-hp"])
    assert {name[:2] for name in option.racks} <= {"A3", "A4"}  # 12 an aisle at most
    with pytest.raises(RefusedError, match="too many racks in one aisle"):
        choosing.choose(dc, grown, ("A1-R19", "A1-R20"), 1, TODAY)


# -- what it would do -----------------------------------------------------------------------------


def test_what_changes_on_each_switch_is_shown_before_it_is_done() -> None:
    dc = tenants.datacentre("ap-hp", "paris-habitat")
    asked, racks = tenants.request("eau-de-paris"), tenants.RACKS["eau-de-paris"]
    plan = onboard(dc, asked, Option(racks=racks), TODAY)
    diffs = judge.judge(dc, plan, NOW)
    assert {"leaf-a2-ta", "leaf-a2-tb", "leaf-a3-ta", "border-a1", "border-a4"} <= set(diffs)
    assert set(diffs) <= set(plan.switches)
    assert "+vrf eau-de-paris" in diffs["leaf-a2-ta"]
    assert "ap-hp" not in "".join(line for line in diffs.values())
    # Leaving takes away exactly the same.
    full = tenants.datacentre()
    back = judge.judge(full, offboard(full, "eau-de-paris", TODAY), NOW)
    assert set(back) == set(diffs)
    assert "-vrf eau-de-paris" in back["leaf-a2-ta"]


def test_a_plan_that_joins_two_tenants_is_refused_whatever_made_it() -> None:
    dc = tenants.datacentre("ap-hp")
    asked, racks = tenants.request("eau-de-paris"), tenants.RACKS["eau-de-paris"]
    plan = onboard(dc, asked, Option(racks=racks), TODAY)
    draft = Draft(dc.content)
    for change in plan.changes:
        draft.add(change)
    mine = next(v for v in draft.content.vrfs if v.name == "eau-de-paris")
    theirs = next(v for v in draft.content.vrfs if v.name == "ap-hp")
    draft.update("vrfs", mine.id, import_targets=(*mine.import_targets, *theirs.export_targets))
    leaking = replace(plan, changes=draft.changes, freeze=len(draft.changes))
    with pytest.raises(RefusedError, match="would do harm") as caught:
        judge.judge(dc, leaking, NOW)
    assert "AP-HP" in str(caught.value)


def test_nobody_comes_while_somebody_reaches_somebody() -> None:
    content = tenants.content("ap-hp", "paris-habitat")
    mine, theirs = (
        edits.one(content, "vrfs", edits.named(name)) for name in ("paris-habitat", "ap-hp")
    )
    targets = (*theirs.export_targets, *mine.import_targets)
    content = edits.edited(content, "vrfs", edits.named("paris-habitat"), import_targets=targets)
    dc = dc_of(content)
    asked, racks = tenants.request("eau-de-paris"), tenants.RACKS["eau-de-paris"]
    plan = onboard(dc, asked, Option(racks=racks), TODAY)
    with pytest.raises(RefusedError, match="would do harm"):
        judge.judge(dc, plan, NOW)
    with pytest.raises(FindingsError, match="from one party to another"):
        judge.require_apart(dc)
    judge.judge(dc, offboard(dc, "paris-habitat", TODAY), NOW)  # leaving makes it no worse


def test_findings_that_are_there_already_keep_nobody_out() -> None:
    content = edits.edited(reference.content(), "devices", edits.named("compute-a1-01"), rack=None,
                           position=None)  # fmt: skip
    dc = dc_of(content)
    plan = onboard(dc, smaller("eau-de-paris", 1), Option(racks=("A4-R07",)), TODAY)
    assert judge.judge(dc, plan, NOW)


def test_a_plan_that_changes_a_switch_that_it_does_not_name_is_refused() -> None:
    dc = tenants.datacentre("ap-hp")
    plan = onboard(dc, smaller("eau-de-paris", 1), Option(racks=("A4-R07",)), TODAY)
    port = edits.one(dc.content, "interfaces", edits.port(dc.content, "leaf-a1-1a", "swp1"))
    stray = Update(
        list_name="interfaces", id=port.id, before={"enabled": True}, after={"enabled": False}
    )
    changes = (*plan.changes, stray)
    assert isinstance(apply(dc.content, changes), r.Content)
    with pytest.raises(RefusedError, match=r"switches that it does not name|would do harm"):
        judge.judge(dc, replace(plan, changes=changes, freeze=len(changes)), NOW)
