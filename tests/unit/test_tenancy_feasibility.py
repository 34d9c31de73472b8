"""What can be offered to a tenant, and why not: on the reference datacentre and spoilt ones.

The oracle at the end sums up by itself, from what docs/tenant-space.md says, and knows that an
aisle has one panel on either side and all panels of a side one UPS.
"""

import datetime
from collections import Counter
from typing import Any

import msgspec
import pytest
import reference
from edits import added, device, edited, named, one
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.checks.tenancy import feasibility
from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.resilience import BANKS, CAPACITY, SOURCES
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import Answer, Option, Request
from chapelle.plan.tenancy import request as requests
from chapelle.settings import ROOT

TODAY = datetime.date(2026, 10, 1)
TENANTS = ("ap-hp", "paris-habitat", "eau-de-paris")
replace = msgspec.structs.replace


def example(slug: str) -> Request:
    return requests.read(ROOT / "inventory" / "tenants" / f"{slug}.yml")


def asking(**space: Any) -> Request:
    """A request of Eau de Paris for 1 rack of 4 kW and 500 kg, but for what is said."""
    known: dict[str, Any] = {"contiguous": False, "kw_per_rack": 4.0, "kg_per_rack": 500.0}
    known["racks"] = None if "units" in space else 1
    like = example("eau-de-paris")
    wanted = replace(like.space, **(known | space))
    return replace(like, reference="TEST-1", space=wanted)


def answer(content: Content, request: Request, options: int = 5) -> Answer:
    return feasibility.answer(Datacentre(Snapshot(content)), request, TODAY, options)


def reason(found: Answer, rack: str) -> str:
    (why,) = [refused.reason for refused in found.refused if rack in refused.racks]
    return why


def let(content: Content, slug: str, racks: tuple[str, ...], watts: int, ref: str = "") -> Content:
    tenant = one(content, "tenants", lambda tenant: tenant.slug == slug)
    for name in racks:
        fields = {"contracted_watts": watts, "request": ref, "let_until": "2033-06-30"}
        content = edited(
            content, "racks", named(name), tenant=tenant.id, status="active", custom_fields=fields
        )
    return content


def reserved(content: Content, rack: str, slug: str, **more: Any) -> Content:
    tenant = one(content, "tenants", lambda tenant: tenant.slug == slug)
    held = r.RackReservation(
        id=len(content.rack_reservations) + 1, rack=one(content, "racks", named(rack)).id,
        units=tuple(range(1, 43)), tenant=tenant.id, **{"status": "active"} | more,
    )  # fmt: skip
    return added(content, "rack_reservations", held)


def panels(content: Content, kva: float, names: tuple[str, ...] = ()) -> Content:
    return replace(
        content,
        power_panels=tuple(
            replace(p, custom_fields={**p.custom_fields, CAPACITY: kva})
            if p.name in names or not names
            else p
            for p in content.power_panels
        ),
    )


def ups(content: Content, kva: float) -> Content:
    site = content.sites[0]
    sources = msgspec.to_builtins(site.custom_fields[SOURCES])
    for source in sources["sources"].values():
        if source["kind"] == "ups":
            source["capacity_kva"] = kva
    fields = {**site.custom_fields, SOURCES: sources}
    return replace(content, sites=(replace(site, custom_fields=fields),))


def amperes(content: Content, rack: str, most: int) -> Content:
    for side in "AB":
        content = edited(content, "power_feeds", named(f"{rack}-{side}"), amperage=most)
    return content


# -- the three tenants ----------------------------------------------------------------------------


def test_the_three_tenants_fit_one_after_the_other() -> None:
    content = reference.content()
    taken: Counter[str] = Counter()
    for slug, racks in zip(TENANTS, (24, 12, 8), strict=True):
        request = example(slug)
        found = answer(content, request, options=1)
        (option,) = found.options
        assert len(option.racks) == racks
        taken.update(option.racks)
        content = let(
            content, slug, option.racks, int(request.space.kw_per_rack * 1000), request.reference
        )
    assert set(taken.values()) == {1}
    # Who has its racks is told so, however late it asks.
    again = feasibility.answer(
        Datacentre(Snapshot(content)), example("ap-hp"), datetime.date(2030, 1, 1)
    )
    assert again.options[0].remarks == ("the request has this already",)
    assert set(again.options[0].racks) == {n for n in taken if n.startswith(("A1", "A2"))}


def test_options_really_differ_and_say_what_they_cost() -> None:
    found = answer(reference.content(), example("ap-hp"))
    aisles = [Counter(rack[:2] for rack in option.racks) for option in found.options]
    assert len(aisles) == 5
    assert all(aisles.count(each) == 1 for each in aisles)
    assert all(max(each.values()) <= 12 for each in aisles)
    first = found.options[0]
    assert first.remarks[0] == "12 racks in aisle 1, 12 racks in aisle 2; side by side"
    assert "when panel panel-a1-" in first.remarks[1]
    assert "one side alone: 4.0 of 5.6 kW a rack (72%)" in first.remarks


def test_every_no_has_a_reason_that_names_its_racks_together() -> None:
    content = let(reference.content(), "ap-hp", ("A1-R07", "A1-R08"), 4000)
    found = answer(content, asking())
    assert reason(found, "A3-R01") == "Ville de Paris uses it itself"
    assert reason(found, "A1-R08") == "let to AP-HP until 2033-06-30"
    assert sorted(len(refused.racks) for refused in found.refused) == [2, 24]


# -- one rack that cannot be had ------------------------------------------------------------------


def spoilt(rack: str = "A2-R10", **fields: Any) -> Content:
    return edited(reference.content(), "racks", named(rack), **fields)


def stands(name: str, rack: str, **fields: Any) -> Content:
    """A device of the city's in another rack than it is in."""
    content = reference.content()
    there = one(content, "racks", named(rack)).id
    return edited(content, "devices", named(name), rack=there, **fields)


def banks(amps: int) -> Content:
    bank = [{"name": "1", "amperage": amps, "outlets": [f"outlet-{n:02}" for n in range(1, 25)]}]
    name = "pdu-a2-r10-b"
    fields = {**device(reference.content(), name).custom_fields, BANKS: bank}
    return edited(reference.content(), "devices", named(name), custom_fields=fields)


def unplugged(name: str) -> Content:
    """All outlets of a PDU taken, but on paper only."""
    content = reference.content()
    pdu = device(content, name).id
    outlets = tuple(
        replace(o, cable=99_999) if o.device == pdu else o for o in content.power_outlets
    )
    return replace(content, power_outlets=outlets)


@pytest.mark.parametrize(
    ("content", "space", "said"),
    [
        (lambda: spoilt(status="planned"), {}, "its status is planned, and not available"),
        (lambda: spoilt(role=None), {}, "its role is none, and not to-let"),
        (
            lambda: reserved(reference.content(), "A2-R10", "ap-hp",
                             custom_fields={"held_until": "2026-10-01"}),
            {}, "reserved for AP-HP until 2026-10-01",
        ),
        (
            lambda: stands("compute-a2-01", "A2-R10"),
            {}, "holds compute-a2-01 of Ville de Paris",
        ),
        (
            lambda: stands("compute-a2-01", "A2-R10", tenant=None, status="decommissioning"),
            {}, "holds compute-a2-01 of nobody",
        ),
        (lambda: spoilt(max_weight=400), {}, "bears 388 kg more; 500 kg asked for"),
        (lambda: spoilt(u_height=1), {}, "1 units free; 1 and one for the tenant's edge"),
        (
            lambda: amperes(reference.content(), "A2-R10", 16),
            {}, "one side alone gives 2.8 kW; 4.0 kW asked for",
        ),
        (lambda: banks(10), {}, "one side alone gives 2.2 kW; 4.0 kW asked for"),
        (lambda: unplugged("pdu-a2-r10-b"), {}, "pdu-a2-r10-b has no free outlet"),
        (
            lambda: edited(reference.content(), "power_feeds", named("A2-R10-B"),
                           status="offline"),
            {}, "no two PDUs with power",
        ),
        (
            lambda: edited(reference.content(), "power_feeds", named("A2-R10-B"),
                           power_panel=one(reference.content(), "power_panels",
                                           named("panel-a2-a")).id),
            {}, "no two PDUs with power that share nothing",
        ),
    ],
)  # fmt: skip
def test_a_rack_that_cannot_be_had_says_why(content: Any, space: dict[str, Any], said: str) -> None:
    found = answer(content(), asking(aisles=(2,), **space), options=1)
    assert said in reason(found, "A2-R10")
    assert "A2-R10" not in found.options[0].racks


def test_an_expired_or_a_stale_reservation_holds_nothing_and_is_told() -> None:
    content = reference.content()
    for number in range(7, 25):
        fields = {"held_until": "2026-09-30"} if number % 2 else {}
        status = "active" if number % 2 else "stale"
        content = reserved(
            content, f"A1-R{number:02}", "ap-hp", status=status, custom_fields=fields
        )
    (option,) = answer(content, asking(racks=2, aisles=(1,))).options
    text = " ".join(option.remarks)
    assert "A1-R07: the reservation for AP-HP ended on 2026-09-30; delete it in NetBox" in text
    assert "A1-R08: the reservation for AP-HP is stale" in text


def test_a_reservation_of_the_tenant_s_own_for_this_request_is_taken_first() -> None:
    content = reference.content()
    for name in ("A3-R20", "A3-R21"):
        content = reserved(content, name, "eau-de-paris", custom_fields={"request": "TEST-1"})
    assert answer(content, asking(racks=2)).options[0].racks == ("A3-R20", "A3-R21")


# -- ports ----------------------------------------------------------------------------------------


def busy(content: Content, switch: str, free: set[int]) -> Content:
    number = device(content, switch).id
    return replace(
        content,
        interfaces=tuple(
            replace(i, mode="access")
            if i.device == number and i.name.startswith("swp") and int(i.name[3:]) not in free
            else i
            for i in content.interfaces
        ),
    )


def test_ports_are_free_on_both_leafs_under_one_number() -> None:
    content = busy(reference.content(), "leaf-a1-ta", {3, 4, 9})
    content = busy(content, "leaf-a1-tb", {4, 5, 6})
    request = asking(aisles=(1,))
    assert answer(content, request).options
    two = replace(request, handoff=replace(request.handoff, ports=2))
    found = answer(content, two)
    assert not found.options
    assert "leaf-a1-ta, leaf-a1-tb: 1" in reason(found, "A1-R07")
    assert "fits with one hand-off port on each leaf" in found.changes


def test_an_out_of_band_port_is_free_where_one_is_asked_for() -> None:
    content = reference.content()
    for number in (1, 2, 3):
        content = busy(content, f"oob-a1-{number}", set())
    request = asking(aisles=(1,))
    found = answer(content, request)
    assert reason(found, "A1-R07") == "no port of an out-of-band switch is free"
    assert "fits without an out-of-band port" in found.changes
    assert answer(content, replace(request, out_of_band=0)).options


# -- wishes ---------------------------------------------------------------------------------------


def test_near_is_near_and_says_how_far() -> None:
    first = answer(reference.content(), asking(racks=3, near="A3-R02")).options[0]
    assert first.racks == ("A3-R07", "A3-R08", "A3-R09")
    assert "from A3-R02 the nearest is 5 racks away, the farthest 7" in first.remarks


def test_apart_from_leaves_out_aisles_where_that_tenant_has_or_holds_racks() -> None:
    content = let(reference.content(), "ap-hp", ("A1-R07",), 4000)
    content = reserved(content, "A2-R07", "ap-hp")
    found = answer(content, asking(apart_from=("ap-hp",)))
    assert {rack[:2] for option in found.options for rack in option.racks} == {"A3", "A4"}
    assert reason(found, "A1-R20").startswith("AP-HP has racks in it")


def test_side_by_side_leaves_no_gap_and_without_the_wish_the_racks_are_taken() -> None:
    content = reference.content()
    for number in range(9, 25, 3):
        content = edited(content, "racks", named(f"A1-R{number:02}"), status="planned")
    found = answer(content, asking(racks=3, aisles=(1,), contiguous=True))
    assert not found.options
    assert "fits without the wish contiguous" in found.changes
    (option,) = answer(content, asking(racks=3, aisles=(1,))).options
    assert "1 of others between" in option.remarks[0]


def test_units_leave_the_highest_free_one_for_the_edge() -> None:
    found = answer(reference.content(), asking(units=41, kw_per_rack=2.0))
    assert found.options[0].units == tuple(range(1, 42))
    none = answer(reference.content(), asking(units=42, kw_per_rack=2.0))
    assert "fits with 41 units" in none.changes


# -- under loss -----------------------------------------------------------------------------------


def test_what_fits_only_while_both_sides_live_says_what_would_be_overloaded() -> None:
    content = panels(reference.content(), 57, ("panel-a2-a", "panel-a2-b"))
    request = asking(racks=6, aisles=(2,), kw_per_rack=5.0)
    found = answer(content, request)
    assert not found.options
    assert "fits with 4 racks" in found.changes
    assert "fits with 4 kW a rack" in found.changes
    assert "fits without the wish aisles" in found.changes
    assert (
        "fits only while both sides live: panel panel-a2-a would carry 111 % of what it may when "
        "panel panel-a2-b is out: 59.8 of 54.1 kW"
    ) in found.changes


def test_a_rack_beyond_one_feed_says_which() -> None:
    found = answer(reference.content(), asking(kw_per_rack=7.0))
    assert found.refused[0].reason == "no rack can be offered"
    assert "fits with 5.5 kW a rack" in found.changes
    assert any("feed A1-R07-A would carry 125 %" in change for change in found.changes)


def test_what_was_promised_before_counts_though_nothing_of_it_stands_there() -> None:
    content = panels(reference.content(), 57)
    assert answer(content, asking(racks=4, aisles=(2,), kw_per_rack=5.0)).options
    content = let(content, "ap-hp", ("A2-R07", "A2-R08", "A2-R09", "A2-R10"), 5000)
    found = answer(content, asking(aisles=(2,), kw_per_rack=5.0))
    assert not found.options
    assert "would carry" in reason(found, "A2-R11")


def test_what_is_promised_too_much_elsewhere_is_told_and_stops_nobody_else() -> None:
    content = panels(reference.content(), 40, ("panel-a4-a", "panel-a4-b"))
    content = let(content, "ap-hp", ("A4-R07", "A4-R08"), 5000)
    found = answer(content, asking())
    assert {option.racks[0][:2] for option in found.options} == {"A1", "A2", "A3"}
    assert reason(found, "A4-R10").startswith("panel panel-a4-")
    assert found.options[0].remarks[-1] == (
        "promised too much before, and nothing is added to it: panel panel-a4-b would carry 106 % "
        "of what it may when panel panel-a4-a is out: 40.2 of 38.0 kW"
    )


# -- what cannot be asked -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held_until": datetime.date(2026, 9, 30)}, "held_until is past"),
        ({"starts": datetime.date(2026, 9, 30)}, "starts is past"),
        ({"ends": datetime.date(2020, 1, 1)}, "ends is past"),
    ],
)
def test_a_day_that_is_past_is_bad_input(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        answer(reference.content(), replace(asking(), **changes))


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"near": "A9-R01"}, "no rack 'A9-R01'"),
        ({"aisles": (9,)}, "no aisle '9'"),
        ({"apart_from": ("nobody",)}, "no tenant 'nobody'"),
    ],
)
def test_what_does_not_exist_is_bad_input(space: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        answer(reference.content(), asking(**space))


def test_a_reference_is_one_tenant_s() -> None:
    content = let(reference.content(), "ap-hp", ("A1-R07",), 4000, ref="TEST-1")
    with pytest.raises(InputError, match="another tenant's"):
        answer(content, asking())


def test_an_empty_netbox_offers_nothing() -> None:
    found = answer(Content(), asking())
    assert not found.options
    assert found.refused[0].reason == "no rack can be offered"


# -- the oracle -----------------------------------------------------------------------------------

SIDES = 230 * 0.8 * 0.95  # watts for each ampere of a feed


def city(content: Content, aisle: int) -> float:
    """What the city's machines of an aisle draw."""
    where = one(content, "locations", lambda place: place.slug == f"aisle-{aisle}").id
    inside = {d.id for d in content.devices if d.location == where}
    inlets = {port.id for port in content.power_ports if port.name == "inlet"}
    return sum(
        port.allocated_draw or 0
        for port in content.power_ports
        if port.device in inside and port.id not in inlets
    )


class Case(msgspec.Struct, frozen=True):
    """A datacentre where panels, UPSs and feeds are small and some racks are let."""

    panel_kva: int
    ups_kva: int
    amps: dict[str, int]
    let: dict[str, int]
    request: Request

    def content(self) -> Content:
        content = ups(panels(reference.content(), self.panel_kva), self.ups_kva)
        for rack, most in self.amps.items():
            content = amperes(content, rack, most)
        for rack, watts in self.let.items():
            content = let(content, "ap-hp", (rack,), watts)
        return content

    def holds(self, extra: dict[str, float]) -> bool:
        """Whether one side can carry everything of what these racks hang on, and they with it.

        What is promised too much elsewhere is no reason against them.
        """
        total = 0.0
        for aisle in range(1, 5):
            racks = {**self.let, **extra}
            own = sum(watts for rack, watts in racks.items() if rack[1] == str(aisle))
            load = city(reference.content(), aisle) + own
            if load > self.panel_kva * 950 + 1 and any(rack[1] == str(aisle) for rack in extra):
                return False
            total += load
        return not extra or total <= self.ups_kva * 950 + 1

    def free(self) -> list[str]:
        """The racks whose feeds give what is asked for."""
        watts = self.request.space.kw_per_rack * 1000
        names = [f"A{aisle}-R{rack:02}" for aisle in range(1, 5) for rack in range(7, 25)]
        return [
            name
            for name in names
            if name not in self.let and self.amps.get(name, 32) * SIDES >= watts
        ]

    def most(self) -> int:
        """How many racks can be had, wherever they are: all are alike."""
        watts = self.request.space.kw_per_rack * 1000
        taken: dict[str, float] = {}
        for name in self.free():
            if self.holds({**taken, name: watts}):
                taken[name] = watts
        return len(taken)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    racks = st.sampled_from([f"A{a}-R{n:02}" for a in range(1, 5) for n in range(7, 25)])
    return Case(
        panel_kva=draw(st.integers(40, 120)),
        ups_kva=draw(st.integers(140, 400)),
        amps=draw(st.dictionaries(racks, st.sampled_from((10, 16, 20, 25)), max_size=6)),
        let=draw(st.dictionaries(racks, st.sampled_from((1000, 3000, 5000)), max_size=8)),
        request=asking(
            racks=draw(st.integers(1, 40)),
            kw_per_rack=draw(st.sampled_from((0.5, 1.9, 3.3, 4.0, 5.5))),
        ),
    )


def limits_kept(case: Case, option: Option) -> None:
    watts = case.request.space.kw_per_rack * 1000
    assert len(set(option.racks)) == case.request.space.racks
    assert set(option.racks) <= set(case.free())
    assert case.holds(dict.fromkeys(option.racks, watts))


@settings(max_examples=20, deadline=None)
@given(case=cases())
def test_what_is_offered_breaks_no_limit_and_what_fits_is_offered(case: Case) -> None:
    found = answer(case.content(), case.request, options=3)
    for option in found.options:
        limits_kept(case, option)
    assert bool(found.options) == ((case.request.space.racks or 0) <= case.most())


@settings(max_examples=10, deadline=None)
@given(case=cases(), at_most=st.integers(1, 6), near=st.sampled_from(("A2-R10", "A4-R24", None)))
def test_wishes_are_kept(case: Case, at_most: int, near: str | None) -> None:
    count = min(case.request.space.racks or 1, 9)
    space = replace(
        case.request.space, racks=count, contiguous=True, at_most_per_aisle=at_most, near=near
    )
    case = replace(case, request=replace(case.request, space=space))
    for option in answer(case.content(), case.request, options=3).options:
        limits_kept(case, option)
        for aisle in range(1, 5):
            numbers = sorted(int(rack[4:]) for rack in option.racks if rack[1] == str(aisle))
            assert len(numbers) <= at_most
            assert not numbers or numbers[-1] - numbers[0] + 1 == len(numbers)
