"""Changes as data: applied to a content, taken back, kept in a file."""

import datetime
import functools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import reference
from edits import device, edited, named, one, port
from hypothesis import given, settings
from hypothesis import strategies as st
from small_designs import tiny

from chapelle.errors import InputError, RefusedError
from chapelle.model.change import Change, Create, Delete, Update, decode, encode
from chapelle.model.diff import diff
from chapelle.model.draft import Draft, apply, inverse
from chapelle.model.records import Content
from chapelle.netbox.expand import expand


@functools.cache
def small() -> Content:
    return reference.content_of(expand(tiny({"compute": 2}, aisles=2)))


def edge(draft: Draft, name: str, rack: int) -> int:
    """A device with the components that NetBox makes of its type."""
    like = one(draft.content, "device_types", lambda t: t.slug == "tenant-edge")
    role = one(draft.content, "device_roles", lambda r: r.slug == "tenant-edge")
    site = draft.record("racks", rack).site
    made = draft.create(
        "devices", name=name, device_type=like.id, role=role.id, site=site, status="planned",
        rack=rack, position=20, face="front",
    )  # fmt: skip
    for each in ("et1", "et2"):
        draft.create("interfaces", device=made, name=each, type="25gbase-x-sfp28")
    draft.create("power_ports", device=made, name="PSU1", type="iec-60320-c14")
    return made


def cable(draft: Draft, a: tuple[str, int], b: tuple[str, int]) -> int:
    ends = [[{"object_type": kind, "object_id": number}] for kind, number in (a, b)]
    return draft.create(
        "cables", status="connected", a_terminations=ends[0], b_terminations=ends[1],
        custom_fields={"request": "R-1"},
    )  # fmt: skip


def free_port(content: Content, name: str) -> int:
    owner = device(content, name).id
    return int(
        one(
            content,
            "interfaces",
            lambda i: i.device == owner and i.cable is None and i.name.startswith("swp"),
        ).id
    )


def test_a_tenant_is_in_the_content_with_all_that_hangs_on_it() -> None:
    content = reference.content()
    draft = Draft(content)
    rack = one(content, "racks", named("A1-R07"))
    tenant = one(content, "tenants", lambda t: t.slug == "ap-hp").id
    target = draft.create("route_targets", name="4200000000:50200", tenant=tenant)
    vrf = draft.create(
        "vrfs", name="ap-hp", rd="4200000000:50200", import_targets=[target],
        export_targets=(target,), custom_fields={"l3vni": 50200},
    )  # fmt: skip
    vlan = draft.create("vlans", vid=1000, name="ap-hp-lan", status="active", site=rack.site)
    made = edge(draft, "edge-ap-hp-a1", rack.id)
    leaf = free_port(content, "leaf-a1-ta")
    et1 = one(draft.content, "interfaces", lambda i: i.device == made and i.name == "et1")
    wire = cable(draft, ("dcim.interface", et1.id), ("dcim.interface", leaf))
    draft.update("interfaces", leaf, vrf=vrf, tagged_vlans=[vlan])
    draft.update(
        "racks", rack.id, tenant=tenant, status="active",
        custom_fields={"let_until": datetime.date(2030, 6, 30)},
    )  # fmt: skip

    planned = apply(content, draft.changes)
    assert planned == draft.content
    near, far = (one(planned, "interfaces", lambda i, n=n: i.id == n) for n in (et1.id, leaf))
    assert (near.cable, near.cable_end) == (wire, "A")
    assert (far.cable, far.cable_end, far.vrf, far.tagged_vlans) == (wire, "B", vrf, (vlan,))
    assert one(planned, "vrfs", named("ap-hp")).export_targets == (target,)
    let = one(planned, "racks", named("A1-R07"))
    assert let.custom_fields == rack.custom_fields | {"let_until": "2030-06-30"}
    assert planned.devices[-1].name == "edge-ap-hp-a1"  # after all others, as NetBox numbers it
    assert content == reference.content()


def test_a_deleted_cable_frees_its_ports() -> None:
    content = small()
    server = port(content, "compute-a1-01", "eno1")
    draft = Draft(content)
    near = one(content, "interfaces", server)
    draft.delete("cables", near.cable)
    (change,) = draft.changes
    assert isinstance(change, Delete)
    ends = {end["object_id"] for side in "ab" for end in change.fields[f"{side}_terminations"]}
    left = {i.id: (i.cable, i.cable_end) for i in draft.content.interfaces}
    assert near.id in ends
    assert {left[number] for number in ends} == {(None, None)}


def test_what_has_its_value_already_is_no_change() -> None:
    draft = Draft(small())
    rack = small().racks[0]
    draft.update("racks", rack.id, status=rack.status, custom_fields={"request": None})
    assert draft.changes == ()
    draft.update("racks", rack.id, status=rack.status, custom_fields={"request": "R-1"})
    wanted = Update(
        list_name="racks", id=rack.id, before={"custom_fields": {"request": None}},
        after={"custom_fields": {"request": "R-1"}},
    )  # fmt: skip
    assert draft.changes == (wanted,)


def rack_update(**after: Any) -> Update:
    rack = small().racks[0]
    draft = Draft(small())
    draft.update("racks", rack.id, **after)
    (change,) = draft.changes
    assert isinstance(change, Update)
    return change


MOVED: dict[str, Callable[[Content], Content]] = {
    "is not as the plan found it": lambda c: edited(
        c, "racks", lambda r: r.id == c.racks[0].id, status="reserved"
    ),
    "is not there": lambda c: msgspec.structs.replace(c, racks=c.racks[1:], devices=()),
}


@pytest.mark.parametrize("said", MOVED)
def test_a_plan_whose_world_has_moved_is_refused(said: str) -> None:
    change = rack_update(status="active" if small().racks[0].status != "active" else "planned")
    with pytest.raises(RefusedError, match=said) as failed:
        apply(MOVED[said](small()), [change])
    assert "racks" in (failed.value.where or "")
    assert failed.value.expected
    assert failed.value.found


def test_a_port_takes_one_cable() -> None:
    content = small()
    draft = Draft(content)
    near = one(content, "interfaces", port(content, "compute-a1-01", "eno1"))
    free = free_port(content, "leaf-a1-1a")
    with pytest.raises(RefusedError, match="compute-a1-01 eno1 has a cable in it"):
        cable(draft, ("dcim.interface", near.id), ("dcim.interface", free))


def test_what_is_still_in_use_cannot_go() -> None:
    draft = Draft(small())
    draft.delete("tenants", one(small(), "tenants", lambda t: t.slug == "ville-de-paris").id)
    with pytest.raises(RefusedError, match="still refers to what is deleted"):
        _ = draft.content


def test_a_reference_to_nothing_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"refers to ipam.vrf -7, which is not there"):
        Draft(small()).create("prefixes", prefix="10.80.0.0/24", status="active", vrf=-7)


WRONG: dict[str, Callable[[], Change]] = {
    "no list of a snapshot": lambda: Create(list_name="circuits", id=-1, fields={}),
    "below zero": lambda: Create(list_name="tenants", id=5, fields={"name": "A", "slug": "a"}),
    "no field 'colour'": lambda: Create(
        list_name="tenants", id=-1, fields={"name": "A", "slug": "a", "colour": "red"}
    ),
    "no field 'cable'": lambda: Update(
        list_name="interfaces", id=1, before={"cable": None}, after={"cable": 5}
    ),
    "required field `slug`": lambda: Create(list_name="tenants", id=-1, fields={"name": "A"}),
    "Expected `int": lambda: Update(
        list_name="racks", id=1, before={"tenant": None}, after={"tenant": "AP-HP"}
    ),
    "the same fields": lambda: Update(
        list_name="racks", id=1, before={"tenant": None}, after={"status": "active"}
    ),
    "the same custom fields": lambda: Update(
        list_name="racks", id=1, before={"custom_fields": {}},
        after={"custom_fields": {"request": "R-1"}},
    ),
    "cannot be changed": lambda: Update(
        list_name="cables", id=1, before={"a_terminations": []}, after={"a_terminations": []}
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", WRONG)
def test_a_change_that_makes_no_sense_cannot_be_made(said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WRONG[said]()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"format":1', b'"format":2', "format 2"),
        (b'"status"', b'"statuses"', "no field 'statuses'"),
        (b'"update"', b'"upset"', "upset"),
        (b'"racks"', b'"shelves"', "'shelves' is no list"),
        (b"{", b"[", ""),
    ],
)
def test_a_file_with_unknown_things_is_refused(old: bytes, new: bytes, said: str) -> None:
    data = encode([rack_update(status="deprecated")])
    with pytest.raises(InputError) as failed:
        decode(data.replace(old, new), where="plan.json")
    assert failed.value.where == "plan.json"
    assert said in str(failed.value)


# -- whatever is changed --------------------------------------------------------------------------


def _make_vrf(draft: Draft, number: int) -> None:
    target = draft.create("route_targets", name=f"65000:{-draft.lowest}")
    draft.create("vrfs", name=f"vrf{-draft.lowest}", import_targets=[target])


def _make_network(draft: Draft, number: int) -> None:
    vrf = draft.content.vrfs[number % len(draft.content.vrfs)].id
    vlan = draft.create("vlans", vid=number % 4000 + 1, name=f"v{-draft.lowest}", status="active")
    draft.create(
        "prefixes", prefix=f"10.{number % 256}.0.0/24", status="active", vrf=vrf, vlan=vlan
    )
    ports = [i for i in draft.content.interfaces if i.name.startswith("swp")]
    chosen = ports[number % len(ports)]
    draft.update("interfaces", chosen.id, mode="tagged", tagged_vlans=[*chosen.tagged_vlans, vlan])


def _make_edge(draft: Draft, number: int) -> None:
    made = edge(draft, f"edge{-draft.lowest}", draft.content.racks[number % 2].id)
    et1 = one(draft.content, "interfaces", lambda i: i.device == made)
    free = [i for i in draft.content.interfaces if i.name.startswith("swp") and not i.cable]
    cable(draft, ("dcim.interface", et1.id), ("dcim.interface", free[number % len(free)].id))


def _let_rack(draft: Draft, number: int) -> None:
    rack = draft.content.racks[number % len(draft.content.racks)]
    tenant = draft.content.tenants[number % len(draft.content.tenants)].id
    draft.update("racks", rack.id, tenant=tenant, custom_fields={"request": f"R-{number}"})


def _delete_cable(draft: Draft, number: int) -> None:
    draft.delete("cables", draft.content.cables[number % len(draft.content.cables)].id)


def _delete_vlan(draft: Draft, number: int) -> None:
    vlan = draft.content.vlans[number % len(draft.content.vlans)].id
    for each in draft.content.interfaces:
        left = tuple(v for v in each.tagged_vlans if v != vlan)
        untagged = None if each.untagged_vlan == vlan else each.untagged_vlan
        draft.update("interfaces", each.id, tagged_vlans=left, untagged_vlan=untagged)
    for prefix in draft.content.prefixes:
        if prefix.vlan == vlan:
            draft.update("prefixes", prefix.id, vlan=None)
    for end in draft.content.l2vpn_terminations:
        if (end.assigned_object_type, end.assigned_object_id) == ("ipam.vlan", vlan):
            draft.delete("l2vpn_terminations", end.id)
    draft.delete("vlans", vlan)


STEPS = (_make_vrf, _make_network, _make_edge, _let_rack, _delete_cable, _delete_vlan)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10_000)), max_size=8))
def test_changes_can_be_kept_and_taken_back(
    steps: list[tuple[Callable[[Draft, int], None], int]],
) -> None:
    draft = Draft(small())
    for step, number in steps:
        step(draft, number)
    data = encode(draft.changes)
    assert decode(data, where="here") == draft.changes
    assert encode(decode(data, where="here")) == data
    after = apply(small(), draft.changes)
    assert after == draft.content
    back = inverse(draft.changes)
    assert diff(small(), apply(after, back)) == []
    assert diff(after, apply(apply(after, back), inverse(back))) == []
