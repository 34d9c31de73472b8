"""The rules of resilience: silent on the reference datacentre, and each finds its own fault."""

import datetime
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import reference
from edits import added, device, edited, named, one, port

from chapelle.checks.resilience import sweep
from chapelle.checks.resilience.check import RULES, check
from chapelle.checks.resilience.loss import Plant
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content, Termination
from chapelle.model.resilience import BANKS, SOURCES, WAIVERS, WINDOWS, Verdict
from chapelle.model.snapshot import Snapshot

NOW = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
SERVER = "compute-a2-01"

type Edit = Callable[[Content], Content]


def verdict_of(content: Content) -> Verdict:
    return check(Plant(Datacentre(Snapshot(content))), NOW)


def found(content: Content) -> dict[str, list[str]]:
    """By rule, the names of the first objects."""
    rules: dict[str, list[str]] = {}
    for finding in verdict_of(content).findings:
        rules.setdefault(finding.rule, []).append(finding.objects[0].name)
    return rules


def everywhere(content: Content, list_name: str, find: Any, **changes: Any) -> Content:
    records = tuple(
        msgspec.structs.replace(record, **changes) if find(record) else record
        for record in getattr(content, list_name)
    )
    return msgspec.structs.replace(content, **{list_name: records})


def replugged(content: Content, owner: str, name: str, outlet_of: str, outlet: str) -> Content:
    """The cord of a device in another outlet, whatever was in that."""
    cord = one(content, "power_ports", port(content, owner, name))
    into = one(content, "power_outlets", port(content, outlet_of, outlet))
    ends = Termination(object_type="dcim.poweroutlet", object_id=into.id)
    cable = one(content, "cables", lambda c: c.id == cord.cable)
    side = "a_terminations" if cable.b_terminations[0].object_id == cord.id else "b_terminations"
    return edited(content, "cables", lambda c: c.id == cord.cable, **{side: (ends,)})


def recabled(content: Content, owner: str, name: str, to: str, to_port: str) -> Content:
    """The link of a device's port moved to another switch port."""
    near = one(content, "interfaces", port(content, owner, name))
    far = one(content, "interfaces", port(content, to, to_port))
    content = everywhere(
        content, "interfaces", lambda i: i.cable == near.cable and i.id != near.id, cable=None
    )
    ends = (Termination(object_type="dcim.interface", object_id=near.id),)
    other = (Termination(object_type="dcim.interface", object_id=far.id),)
    content = edited(
        content, "cables", lambda c: c.id == near.cable, a_terminations=ends, b_terminations=other
    )
    return edited(content, "interfaces", lambda i: i.id == far.id, cable=near.cable)


# -- the faults -----------------------------------------------------------------------------------


def both_cords_on_a(content: Content) -> Content:
    return replugged(content, SERVER, "PSU2", "pdu-a2-r01-a", "outlet-24")


def one_cord_loose(content: Content) -> Content:
    cord = one(content, "power_ports", port(content, SERVER, "PSU2"))
    return edited(content, "cables", lambda c: c.id == cord.cable, status="planned")


def a_pdu_without_feed(content: Content) -> Content:
    inlet = one(content, "power_ports", port(content, "pdu-a2-r07-a", "inlet"))
    return edited(content, "cables", lambda c: c.id == inlet.cable, status="planned")


def one_supply(content: Content) -> Content:
    return edited(content, "power_ports", port(content, SERVER, "PSU2"))


def two_plus_none(content: Content) -> Content:
    for name in ("PSU1", "PSU2"):
        content = edited(content, "power_ports", port(content, SERVER, name), allocated_draw=200)
    return content


def measured(content: Content) -> Content:
    owner = device(content, SERVER)
    fields = {**owner.custom_fields, "measured_draw": 400}
    return edited(content, "devices", named(SERVER), custom_fields=fields)


def exchanged_pdus(content: Content) -> Content:
    """The two PDUs of A2-R01 on each other's feed."""
    cables = {
        side: one(content, "power_ports", port(content, f"pdu-a2-r01-{side}", "inlet")).cable
        for side in "ab"
    }
    feeds = {side: one(content, "power_feeds", named(f"A2-R01-{side.upper()}")) for side in "ab"}
    for side, other in ("ab", "ba"):
        inlet = one(content, "power_ports", port(content, f"pdu-a2-r01-{side}", "inlet"))
        content = edited(
            content, "cables", lambda c, side=side: c.id == cables[side],
            a_terminations=(Termination(object_type="dcim.powerport", object_id=inlet.id),),
            b_terminations=(Termination(object_type="dcim.powerfeed", object_id=feeds[other].id),),
        )  # fmt: skip
    return content


def exchanged_cords(content: Content) -> Content:
    content = replugged(content, SERVER, "PSU1", "pdu-a2-r01-b", "outlet-24")
    return replugged(content, SERVER, "PSU2", "pdu-a2-r01-a", "outlet-24")


def sixty_and_sixty(content: Content) -> Content:
    """Both feeds of A2-R01 carry three fifths of what they may; neither can carry all."""
    rack = one(content, "racks", named("A2-R01")).id
    devices = {d.id for d in content.devices if d.rack == rack}
    wide = lambda p: p.device in devices and p.allocated_draw  # noqa: E731
    total = sum(p.allocated_draw or 0 for p in content.power_ports if wide(p) and p.name == "PSU1")
    factor = 0.6 * 230 * 32 * 0.8 * 0.95 / total
    ports = tuple(
        msgspec.structs.replace(
            p, allocated_draw=round(p.allocated_draw * factor), maximum_draw=2 * p.maximum_draw
        )
        if wide(p)
        else p
        for p in content.power_ports
    )
    return msgspec.structs.replace(content, power_ports=ports)


def overloaded(content: Content) -> Content:
    return edited(content, "power_feeds", named("A2-R01-A"), amperage=10)


def small_panel(content: Content) -> Content:
    panel = one(content, "power_panels", named("panel-a2-b"))
    fields = {**panel.custom_fields, "capacity_kva": 20}
    return edited(content, "power_panels", named("panel-a2-b"), custom_fields=fields)


def overfull_bank(content: Content) -> Content:
    pdu = device(content, "pdu-a2-r01-a")
    outlets = [f"outlet-{number:02d}" for number in range(1, 14)]
    bank = {"name": "1", "amperage": 16, "outlets": outlets}
    fields = {**pdu.custom_fields, BANKS: [bank]}
    return edited(content, "devices", named("pdu-a2-r01-a"), custom_fields=fields)


def small_leg(content: Content) -> Content:
    """The PDU of A2-R01 B on three phases, with every cord on one of them."""
    content = edited(
        content, "power_feeds", named("A2-R01-B"), phase="three-phase", voltage=400, amperage=16
    )
    pdu = device(content, "pdu-a2-r01-b").id
    return everywhere(content, "power_outlets", lambda o: o.device == pdu, feed_leg="A")


def no_leg(content: Content) -> Content:
    return edited(
        content, "power_feeds", named("A2-R01-B"), phase="three-phase", voltage=400, amperage=32
    )


def shared_ups(content: Content) -> Content:
    """Both sides of the site behind one UPS, three floors above any cord."""
    for panel in content.power_panels:
        fields = {**panel.custom_fields, "ups": "ups-a"}
        content = edited(
            content, "power_panels", lambda p, i=panel.id: p.id == i, custom_fields=fields
        )
    return content


def shared_board(content: Content) -> Content:
    site = content.sites[0]
    sources = {**site.custom_fields[SOURCES]}
    below = {**sources["sources"]["ups-b"], "fed_by": ["board-a"]}
    sources["sources"] = {**sources["sources"], "ups-b": below}
    fields = {**site.custom_fields, SOURCES: sources}
    return edited(content, "sites", lambda s: s.id == site.id, custom_fields=fields)


def unknown_ups(content: Content) -> Content:
    fields = {"ups": "ups-c"}
    return edited(content, "power_panels", named("panel-a2-b"), custom_fields=fields)


def sources_in_a_ring(content: Content) -> Content:
    site = content.sites[0]
    sources = {**site.custom_fields[SOURCES]["sources"]}
    sources["board-a"] = {"kind": "switchboard", "fed_by": ["ups-a"]}
    fields = {**site.custom_fields, SOURCES: {"sources": sources}}
    return edited(content, "sites", lambda s: s.id == site.id, custom_fields=fields)


def garbled_sources(content: Content) -> Content:
    site = content.sites[0]
    fields = {**site.custom_fields, SOURCES: {"source": {}}}
    return edited(content, "sites", lambda s: s.id == site.id, custom_fields=fields)


def no_draw(content: Content) -> Content:
    owner = device(content, SERVER).id
    mine = lambda p: p.device == owner  # noqa: E731
    return everywhere(content, "power_ports", mine, allocated_draw=None, maximum_draw=None)


def two_ports_in_one_leaf(content: Content) -> Content:
    return recabled(content, SERVER, "eno2", "leaf-a2-1a", "swp48")


def two_pairs(content: Content) -> Content:
    return recabled(content, SERVER, "eno2", "leaf-a2-2b", "swp48")


def a_port_switched_off(content: Content) -> Content:
    return edited(content, "interfaces", port(content, SERVER, "eno2"), enabled=False)


def pair_on_one_panel(content: Content) -> Content:
    """Each leaf of pair 1 has both of its cords on panel A, by way of two racks' PDUs."""
    content = replugged(content, "leaf-a2-1a", "PSU2", "pdu-a2-r02-a", "outlet-23")
    return replugged(content, "leaf-a2-1b", "PSU2", "pdu-a2-r01-a", "outlet-23")


def pair_in_one_rack(content: Content) -> Content:
    rack = one(content, "racks", named("A2-R01")).id
    return edited(content, "devices", named("leaf-a2-1b"), rack=rack, position=41.0)


def links_in_one_bundle(content: Content) -> Content:
    """Both links of a server run in one trunk."""
    content = added(content, "cable_bundles", r.CableBundle(id=1, name="trunk-7"))
    for name in ("eno1", "eno2"):
        cable = one(content, "interfaces", port(content, SERVER, name)).cable
        content = edited(content, "cables", lambda c, i=cable: c.id == i, bundle=1)
    return content


def links_in_one_patch_panel(content: Content) -> Content:
    """Both links of a server go through the same panel: a front port and a rear port each."""
    panel = msgspec.structs.replace(
        device(content, "pdu-a2-r01-a"), id=90_000, name="patch-a2-1", custom_fields={}, serial="p"
    )
    content = added(content, "devices", panel)
    for number, name in enumerate(("eno1", "eno2"), start=1):
        near = one(content, "interfaces", port(content, SERVER, name))
        cable = one(content, "cables", lambda c, i=near.cable: c.id == i)
        far = next(
            end
            for end in (*cable.a_terminations, *cable.b_terminations)
            if end.object_id != near.id
        )
        mapping = r.PortMapping(position=1, rear_port=number, rear_port_position=1)
        second = 90_000 + number
        content = added(
            content, "front_ports",
            r.FrontPort(
                id=number, device=panel.id, name=f"f{number}", rear_ports=(mapping,), cable=cable.id
            ),
        )  # fmt: skip
        rear = r.RearPort(id=number, device=panel.id, name=f"r{number}", cable=second)
        content = added(content, "rear_ports", rear)
        content = edited(
            content, "cables", lambda c, i=cable.id: c.id == i,
            a_terminations=(Termination(object_type="dcim.interface", object_id=near.id),),
            b_terminations=(Termination(object_type="dcim.frontport", object_id=number),),
        )  # fmt: skip
        content = added(
            content, "cables",
            msgspec.structs.replace(
                cable, id=second,
                a_terminations=(Termination(object_type="dcim.rearport", object_id=number),),
                b_terminations=(far,),
            ),
        )  # fmt: skip
        content = edited(
            content, "interfaces", lambda i, far=far: i.id == far.object_id, cable=second
        )
    return content


def one_spine_left(content: Content) -> Content:
    """Leaf pair 1 has links to spine 2 only."""
    leafs = {device(content, f"leaf-a2-1{side}").id for side in "ab"}
    spine = device(content, "spine-a2").id
    dc = Datacentre(Snapshot(content))
    for interface in content.interfaces:
        peer = dc.peer_interface(interface) if interface.device in leafs else None
        role = dc.role_of(dc.devices[peer.device]) if peer else ""
        if peer and role == "spine" and peer.device != spine:
            content = edited(
                content, "interfaces", lambda i, n=interface.id: i.id == n, enabled=False
            )
    return content


def heavy_rack(content: Content) -> Content:
    return edited(content, "racks", named("A2-R01"), max_weight=100)


def two_in_one_unit(content: Content) -> Content:
    place = device(content, "compute-a2-02").position
    return edited(content, "devices", named(SERVER), position=place)


def in_reserved_units(content: Content) -> Content:
    tenant = one(content, "tenants", lambda t: t.slug == "ap-hp").id
    rack = one(content, "racks", named("A2-R01")).id
    unit = int(device(content, SERVER).position or 0)
    reservation = r.RackReservation(id=1, rack=rack, units=(unit, 41), tenant=tenant)
    return added(content, "rack_reservations", reservation)


def in_anothers_rack(content: Content) -> Content:
    tenant = one(content, "tenants", lambda t: t.slug == "ap-hp").id
    rack = edited(content, "racks", named("A2-R07"), tenant=tenant)
    return edited(rack, "devices", named(SERVER), rack=one(content, "racks", named("A2-R07")).id)


def waived(content: Content, *, rule: str, name: str, expires: str) -> Content:
    site = content.sites[0]
    waiver = {
        "rule": rule,
        "object": name,
        "owner": "Ops",
        "reason": "On order",
        "expires": expires,
    }
    fields = {**site.custom_fields, WAIVERS: [waiver]}
    return edited(content, "sites", lambda s: s.id == site.id, custom_fields=fields)


FAULTS: dict[str, tuple[Edit, dict[str, list[str]]]] = {
    "both cords on a": (both_cords_on_a, {"cord-diversity": [SERVER]}),
    "a cord that is only planned": (one_cord_loose, {"cord-dangling": [SERVER]}),
    "a pdu that is not fed yet": (a_pdu_without_feed, {"cord-dangling": ["pdu-a2-r07-a"]}),
    "one power supply": (one_supply, {"single-cord": [SERVER]}),
    "two power supplies that are both needed": (two_plus_none, {"supply-capacity": [SERVER]}),
    "measured above what a supply gives": (measured, {"supply-capacity": [SERVER]}),
    "exchanged pdus": (exchanged_pdus, {"cords-swapped": ["pdu-a2-r01-a"]}),
    "exchanged cords": (exchanged_cords, {"cords-swapped": [SERVER]}),
    "feeds at 60 and 60 per cent": (
        sixty_and_sixty,
        {"overload-after-loss": ["A2-R01-A", "A2-R01-B"]},
    ),
    "an overloaded feed": (overloaded, {"overload": ["A2-R01-A"]}),
    "a panel that is too small": (small_panel, {"overload-after-loss": ["panel-a2-b"]}),
    "an overfull bank": (overfull_bank, {"overload-after-loss": ["pdu-a2-r01-a bank 1"]}),
    "an overfull phase": (small_leg, {"overload-after-loss": ["pdu-a2-r01-b leg A"]}),
    "a phase that nobody knows": (no_leg, {"outlet-leg": ["pdu-a2-r01-b outlet-01"]}),
    "a ups that no site states": (unknown_ups, {"unknown-source": ["panel-a2-b"]}),
    "sources in a ring": (sources_in_a_ring, {"power-loop": ["board-a"]}),
    "a garbled field": (garbled_sources, {"resilience-data": ["Porte de la Chapelle"]}),
    "no draw": (no_draw, {"draw-unknown": [SERVER]}),
    "two ports in one leaf": (two_ports_in_one_leaf, {"leaf-diversity": [SERVER]}),
    "leafs of two pairs": (two_pairs, {"leaf-diversity": [SERVER]}),
    "a port that is off": (a_port_switched_off, {"leaf-diversity": [SERVER]}),
    "a pair on one panel": (
        pair_on_one_panel,
        {
            "cord-diversity": ["leaf-a2-1a", "leaf-a2-1b"],
            "pair-power": ["panel-a2-a"],
            "single-point-of-failure": ["panel-a2-a"],
        },
    ),
    "a pair in one rack": (pair_in_one_rack, {"pair-rack": ["A2-R01"]}),
    "links in one bundle": (links_in_one_bundle, {"single-point-of-failure": ["trunk-7"]}),
    "links in one patch panel": (
        links_in_one_patch_panel,
        {"single-point-of-failure": ["patch-a2-1"]},
    ),
    "one spine left": (one_spine_left, {"single-point-of-failure": ["spine-a2"]}),
    "a heavy rack": (heavy_rack, {"rack-weight": ["A2-R01"]}),
    "two in one unit": (two_in_one_unit, {"rack-overlap": [SERVER]}),
    "in reserved units": (in_reserved_units, {"reserved-unit": [SERVER]}),
    "in another's rack": (in_anothers_rack, {"foreign-rack": [SERVER]}),
}


def test_the_reference_datacentre_has_no_finding() -> None:
    verdict = verdict_of(reference.content())
    assert verdict.findings == ()
    assert verdict.elements > 400
    assert verdict.devices == 350


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(name: str) -> None:
    plant, expected = FAULTS[name]
    rules = found(plant(reference.content()))
    if name == "a phase that nobody knows":  # every outlet that is plugged
        rules = {rule: names[:1] for rule, names in rules.items()}
    if name == "sources in a ring":  # all of side A is dead, so that all of B is needed
        assert len(rules.pop("single-point-of-failure")) >= 24
    assert rules == expected


def test_every_rule_has_its_fault() -> None:
    assert {rule for _, expected in FAULTS.values() for rule in expected} == set(RULES)


@pytest.mark.parametrize(("plant", "element"), [(shared_ups, "ups-a"), (shared_board, "board-a")])
def test_what_both_sides_share_far_above_is_found_for_every_device(
    plant: Edit, element: str
) -> None:
    findings = [f for f in verdict_of(plant(reference.content())).findings if f.severity == "error"]
    devices = {f.objects[0].name for f in findings if f.rule == "cord-diversity"}
    assert len(devices) == 350
    assert all(element in f.found for f in findings if f.rule == "cord-diversity")
    # Told once for each device, and not again for each element above it.
    assert {f.rule for f in findings} == {"cord-diversity", "pair-power"}


def test_a_single_cord_behind_a_transfer_switch_with_two_inlets_is_fine() -> None:
    content = one_supply(reference.content())
    kind = msgspec.structs.replace(device(content, "pdu-a2-r01-a"), id=90_000, name="sts-a2-1")
    content = added(content, "devices", kind)
    free = {
        side: one(content, "power_outlets", port(content, f"pdu-a2-r01-{side}", "outlet-24"))
        for side in "ab"
    }
    for number, side in enumerate("ab", start=1):
        inlet = r.PowerPort(
            id=90_000 + number, device=90_000, name=f"inlet-{side}", cable=90_000 + number
        )
        content = added(content, "power_ports", inlet)
        content = added(
            content, "cables",
            r.Cable(
                id=90_000 + number, status="connected",
                a_terminations=(Termination(object_type="dcim.powerport", object_id=inlet.id),),
                b_terminations=(
                    Termination(object_type="dcim.poweroutlet", object_id=free[side].id),
                ),
            ),
        )  # fmt: skip
    content = added(content, "power_outlets", r.PowerOutlet(id=90_000, device=90_000, name="out-1"))
    content = replugged(content, SERVER, "PSU1", "sts-a2-1", "out-1")
    # The switch itself is left: nothing stands beside it.
    assert found(content) == {"single-point-of-failure": ["sts-a2-1"]}


def test_a_finding_names_objects_what_was_found_and_what_to_do() -> None:
    (finding,) = verdict_of(both_cords_on_a(reference.content())).findings
    assert (
        finding.objects[0]
        .url("https://netbox.example")
        .startswith("https://netbox.example/dcim/devices/")
    )
    for name in ("PSU1 and PSU2", "pdu-a2-r01-a", "A2-R01-A", "panel-a2-a", "ups-a", "board-a"):
        assert name in finding.found
    assert finding.remedy


def test_a_waiver_hides_its_finding_until_its_day() -> None:
    faulty = both_cords_on_a(reference.content())
    accepted = waived(faulty, rule="cord-diversity", name=SERVER, expires="2026-11-27")
    verdict = verdict_of(accepted)
    assert verdict.findings == ()
    assert [item.finding.objects[0].name for item in verdict.waived] == [SERVER]
    late = waived(faulty, rule="cord-diversity", name=SERVER, expires="2026-11-26")
    assert found(late).keys() == {"cord-diversity", "waiver-expired"}


@pytest.mark.parametrize(("rule", "name"), [("cord-diversity", "x"), ("single-cord", SERVER)])
def test_a_waiver_hides_nothing_else_and_says_that_it_is_not_needed(rule: str, name: str) -> None:
    faulty = both_cords_on_a(reference.content())
    rules = found(waived(faulty, rule=rule, name=name, expires="2027-01-01"))
    assert rules.keys() == {"cord-diversity", "waiver-unused"}


def test_two_floors_of_redundancy_are_seen_by_pairs() -> None:
    """Any two of one rack's PDUs, or the two panels of an aisle, take everything with them."""
    plant = Plant(reference.datacentre())
    assert sweep.single(plant).harmful == ()
    elements = {e.name: e for e in plant.elements}
    outcome = plant.lose([elements["panel-a2-a"], elements["panel-a2-b"]])
    assert {item.reason for item in outcome.lost} == {"power"}
    assert len([item for item in outcome.lost if item.role not in ("leaf", "spine")]) >= 75


def test_what_is_offline_already_counts_as_out() -> None:
    content = edited(reference.content(), "devices", named("leaf-a2-1b"), status="offline")
    assert found(content)["single-point-of-failure"] == ["leaf-a2-1a"]
    assert [element.name for element in verdict_of(content).down] == ["leaf-a2-1b"]
    content = edited(reference.content(), "power_feeds", named("A2-R01-A"), status="failed")
    assert "pdu-a2-r01-b" in found(content)["single-point-of-failure"]


def window(number: int, element: tuple[str, int, str], hours: tuple[int, int]) -> dict[str, Any]:
    endpoint, object_id, name = element
    starts, ends = (f"2026-12-03T{hour:02d}:00:00+01:00" for hour in hours)
    return {
        "id": f"MW-2026-{number:04d}",
        "elements": [{"endpoint": endpoint, "id": object_id, "name": name}],
        "starts": starts, "ends": ends, "owner": "Ops", "reason": "Yearly check",
    }  # fmt: skip


@pytest.mark.parametrize(("hours", "rules"), [((9, 11), {"maintenance-window"}), ((12, 14), set())])
def test_overlapping_windows_that_take_both_sides_are_found(
    hours: tuple[int, int], rules: set[str]
) -> None:
    content = reference.content()
    panels = {p.name: p.id for p in content.power_panels}
    a, b = (("dcim/power-panels", panels[n], n) for n in ("panel-a2-a", "panel-a2-b"))
    site = content.sites[0]
    fields = {**site.custom_fields, WINDOWS: [window(1, a, (8, 12)), window(2, b, hours)]}
    assert (
        found(edited(content, "sites", lambda s: s.id == site.id, custom_fields=fields)).keys()
        == rules
    )
