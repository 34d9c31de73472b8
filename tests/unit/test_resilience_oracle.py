"""The loss of anything in random small datacentres: the product agrees with a dumb oracle."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_datacentre import LEAF_ROLE, PDU_ROLE, Builder
from resilience_oracle import Found, Node, State, loads_and_losses
from resilience_sites import contents

from chapelle.checks.resilience.loss import Plant
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.records import Content
from chapelle.model.resilience import Element, Outcome
from chapelle.model.snapshot import Snapshot

many = settings(max_examples=150, deadline=None)
SINGLE = {
    "dcim/cables": "cables", "dcim/racks": "racks", "dcim/locations": "locations",
    "dcim/devices": "devices",
}  # fmt: skip


def plant_of(content: Content) -> Plant:
    return Plant(Datacentre(Snapshot(content)))


def losable(content: Content, plant: Plant) -> list[Element]:
    """What can be taken out: what the product names, and anything else that a person may name."""
    found = list(plant.elements)
    for endpoint, name in SINGLE.items():
        for record in getattr(content, name):
            ref = ObjectRef(endpoint=endpoint, id=record.id, name=getattr(record, "name", ""))
            found.append(Element(kind=name, ref=ref))
    return found


@st.composite
def losses(draw: st.DrawFn, most: int = 3) -> tuple[Content, Plant, list[Element]]:
    """A datacentre, and some of it to lose."""
    content = draw(contents())
    plant = plant_of(content)
    anything = st.sampled_from(losable(content, plant))
    elements = st.one_of(st.sampled_from(plant.elements), anything)
    return content, plant, draw(st.lists(elements, min_size=1, max_size=most))


def shown(content: Content, found: Found) -> Counter[tuple[Any, ...]]:
    """The loads of the oracle as the product shows them: what changed, and lives on."""
    names = {device.id: device.name or "" for device in content.devices}
    panels = {panel.id: panel.name for panel in content.power_panels}
    feeds = {feed.id: feed.name for feed in content.power_feeds}
    ports = {port.id: port for port in content.power_ports}
    inlets = Counter(port.device for port in content.power_ports)
    pdus = {outlet.device for outlet in content.power_outlets}

    def inlet(number: Any, what: str = "") -> tuple[str, str, Any, str]:
        port = ports[number]
        several = f" {port.name}" if inlets[port.device] > 1 else ""
        kind = "leg" if what else "pdu"
        return kind, "dcim/devices", port.device, f"{names[port.device]}{several}{what}"

    def element(node: Node) -> tuple[str, str, Any, str] | None:
        which = None
        match node:
            case ("source", site, name):
                which = "source", "dcim/sites", site, str(name)
            case ("panel", number):
                which = "panel", "dcim/power-panels", number, panels[number]
            case ("feed", number):
                which = "feed", "dcim/power-feeds", number, feeds[number]
            case ("port", number) if ports[number].device in pdus:
                which = inlet(number)
            case ("leg", number, leg):
                which = inlet(number, f" leg {leg}")
            case ("bank", device, name):
                which = "bank", "dcim/devices", device, f"{names[device]} bank {name}"
        return which

    return Counter(
        (*which, *rounded(before, after, limit))
        for node, (before, after, limit) in found.loads.items()
        if (which := element(node)) and node not in found.dead and abs(before - after) > 1e-6
    )


def rounded(before: float, after: float, limit: float | None) -> tuple[Any, ...]:
    return round(before, 3), round(after, 3), None if limit is None else round(limit, 3)


def loads_of(outcome: Outcome, *, over: bool = False) -> Counter[tuple[Any, ...]]:
    return Counter(
        (
            "source" if load.element.ref.endpoint == "dcim/sites" else load.element.kind,
            load.element.ref.endpoint, load.element.ref.id, load.element.ref.name,
            *rounded(load.before, load.after, load.limit),
        )
        for load in (outcome.overloads if over else outcome.loads)
    )  # fmt: skip


def compare(content: Content, plant: Plant, lost: Sequence[Element], before: State | None) -> None:
    outcome = plant.lose(lost)
    found = loads_and_losses(content, [element.ref for element in lost], before)
    assert sorted((item.id, item.reason) for item in outcome.lost) == sorted(found.lost)
    loads = shown(content, found)
    assert loads_of(outcome) == loads
    over = Counter({key: n for key, n in loads.items() if key[-1] and key[-2] > key[-1] + 1})
    more = Counter({key: n for key, n in over.items() if key[-2] > key[-3]})
    assert loads_of(outcome, over=True) == more
    names = {device.id: device.name for device in content.devices}
    assert sorted(outcome.unmanaged) == sorted(names[number] for number in found.unmanaged)


@many
@given(losses())
def test_product_and_oracle_agree_on_any_loss(case: tuple[Content, Plant, list[Element]]) -> None:
    compare(*case, None)


@settings(max_examples=50, deadline=None)
@given(contents())
def test_product_and_oracle_agree_on_the_loss_of_each_element(content: Content) -> None:
    plant, before = plant_of(content), State(content, ())
    for element in losable(content, plant):
        compare(content, plant, [element], before)


@settings(max_examples=40, deadline=None)
@given(contents())
def test_losing_nothing_changes_nothing(content: Content) -> None:
    assert plant_of(content).lose([]) == Outcome(elements=())
    found = loads_and_losses(content, [])
    assert not found.lost
    assert not found.unmanaged
    assert all(before == after for before, after, _ in found.loads.values())


@many
@given(losses(most=2), st.data())
def test_more_is_lost_with_more_out(
    case: tuple[Content, Plant, list[Element]], data: st.DataObject
) -> None:
    """Whoever is without power or network stays so, whatever else goes.

    For power, supplies and the network alike: nothing that is lost gives power back, and a switch
    that is dark carries nothing. Not so for loads, which fall as well, nor for the one reason: who
    had too little may have nothing then.
    """
    content, plant, some = case
    more = data.draw(st.sampled_from(losable(content, plant)))
    less, all_ = plant.lose(some), plant.lose([*some, more])
    out = State(content, (more.ref,)).devices_out
    assert {item.id for item in less.lost} - out <= {item.id for item in all_.lost}
    worse = {(item.id, item.reason) for item in all_.lost}
    assert all(
        item.id in out or (item.id, "power") in worse
        for item in less.lost
        if item.reason == "power"
    )


@many
@given(losses())
def test_the_order_and_repetition_of_what_is_lost_do_not_matter(
    case: tuple[Content, Plant, list[Element]],
) -> None:
    _, plant, lost = case
    outcomes = [plant.lose(lost), plant.lose(lost[::-1]), plant.lose([*lost, lost[0]])]
    assert len({outcome.lost for outcome in outcomes}) == 1
    assert len({outcome.unmanaged for outcome in outcomes}) == 1
    assert loads_of(outcomes[0]) == loads_of(outcomes[1]) == loads_of(outcomes[2])


@many
@given(contents())
def test_the_roots_carry_what_the_cords_draw(content: Content) -> None:
    """Nothing is counted twice, and nothing is left out, on the way up."""
    plant = plant_of(content)
    load, elements = plant.state.load, plant.power.elements
    drawn = [watts for watts, element in zip(load, elements, strict=True) if element.kind == "cord"]
    assert sum(load[root] for root in plant.power.roots) == pytest.approx(sum(drawn))


def test_product_and_oracle_agree_on_the_reference_datacentre() -> None:
    content = reference.content()
    plant = plant_of(content)
    above = [e for e in plant.elements if e.ref.endpoint in ("dcim/sites", "dcim/power-panels")]
    assert len(above) == 12
    others = [element for element in losable(content, plant) if element not in above]
    before = State(content, ())
    for element in [*above, *random.Random(5).sample(others, 30)]:  # noqa: S311 - no secret
        compare(content, plant, [element], before)


def test_what_random_datacentres_hold_is_worth_losing() -> None:
    """The examples have every kind of loss, load and element: else the rest proves nothing."""
    seen: Counter[str] = Counter()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(contents())
    def look(content: Content) -> None:
        plant = plant_of(content)
        for element in losable(content, plant):
            outcome = plant.lose([element])
            if not outcome.harmless or outcome.unmanaged:
                seen[f"harm by {element.kind}"] += 1
            seen.update(f"lost to {item.reason}" for item in outcome.lost)
            seen.update(f"load of {load.element.kind}" for load in outcome.loads)
            seen.update(["overload"] * bool(outcome.overloads))
            seen.update(["unmanaged"] * bool(outcome.unmanaged))

    look()
    wanted = {f"lost to {reason}" for reason in ("power", "supplies", "network")}
    wanted |= {f"load of {kind}" for kind in ("ups", "panel", "feed", "pdu", "leg", "bank")}
    wanted |= {f"harm by {kind}" for kind in ("ups", "panel", "feed", "pdu", "switch")}
    wanted |= {f"harm by {kind}" for kind in ("bundle", "cables", "racks", "locations")}
    assert wanted | {"overload", "unmanaged"} <= set(seen), wanted - set(seen)


# -- what the oracle found once -------------------------------------------------------------------


def made(*, status: str = "active", border: bool = False) -> Builder:
    """A server on one leaf of its site; at another site, perhaps a border leaf; two aisles."""
    builder = Builder()
    hall = builder.aisle(1)
    aisle = builder.add(
        "locations", r.Location, name="Aisle 2", slug="aisle-2", site=1, status="active",
        parent=hall,
    )  # fmt: skip
    place = {"site": 1, "location": aisle, "device_type": builder.type}
    server = builder.add("devices", r.Device, name="server", role=1, status="active", **place)
    leaf = builder.add("devices", r.Device, name="leaf", role=LEAF_ROLE, status=status, **place)
    ports = [builder.next_id + 2, builder.next_id + 3]
    cable = builder.cable("dcim.interface", ports[0], "dcim.interface", ports[1])
    for port, device in zip(ports, (server, leaf), strict=True):
        builder.add(
            "interfaces", r.Interface, id=port, device=device, name="eth0", type="other",
            cable=cable,
        )  # fmt: skip
    builder.next_id = ports[1]
    if border:
        builder.add("sites", r.Site, id=2, name="Other", slug="other", status="active")
        builder.add("device_roles", r.DeviceRole, id=99, name="border", slug="border")
        builder.add(
            "devices", r.Device, name="border", role=99, site=2, status="active",
            device_type=builder.type,
        )  # fmt: skip
    return builder


def lost_with(builder: Builder, endpoint: str, name: str) -> list[tuple[str, str]]:
    dc = builder.datacentre()
    records = [*dc.content.devices, *dc.content.locations]
    number = next(record.id for record in records if record.name == name)
    element = Element(kind="any", ref=ObjectRef(endpoint=endpoint, id=number, name=name))
    return [(item.name, item.reason) for item in Plant(dc).lose([element]).lost]


def test_a_site_without_border_leaf_is_its_switches_whatever_other_sites_have() -> None:
    assert lost_with(made(), "dcim/devices", "leaf") == [("server", "network")]
    assert lost_with(made(border=True), "dcim/devices", "leaf") == [("server", "network")]


@pytest.mark.parametrize("status", ["inventory", "decommissioning", "failed", "offline"])
def test_a_switch_that_is_not_there_carries_nothing(status: str) -> None:
    """So that a server which hangs on it had no network, and loses none."""
    assert lost_with(made(status=status), "dcim/devices", "leaf") == []


def test_a_location_takes_the_locations_within_it_along() -> None:
    builder = made()
    place = {"site": 1, "device_type": builder.type}
    other = builder.add("devices", r.Device, name="outside", role=1, status="active", **place)
    leaf = next(d.id for d in builder.made["devices"] if d.name == "leaf")
    ports = [builder.next_id + 2, builder.next_id + 3]
    cable = builder.cable("dcim.interface", ports[0], "dcim.interface", ports[1])
    for port, device in zip(ports, (other, leaf), strict=True):
        builder.add(
            "interfaces", r.Interface, id=port, device=device, name="eth1", type="other",
            cable=cable,
        )  # fmt: skip
    assert lost_with(builder, "dcim/locations", "Aisle 1") == [("outside", "network")]


def test_a_bank_hangs_on_the_leg_of_its_first_plugged_outlet() -> None:
    """Not on that of the outlet whose server has the lowest id."""
    builder = Builder()
    panel = builder.add("power_panels", r.PowerPanel, name="panel", site=1)
    bank = {"name": "B1", "amperage": 16, "outlets": ["one", "two", "three"]}
    place = {"site": 1, "status": "active", "device_type": builder.type}
    pdu = builder.add(
        "devices", r.Device, name="pdu", role=PDU_ROLE, custom_fields={"outlet_banks": [bank]},
        **place,
    )  # fmt: skip
    feed, inlet = builder.next_id + 2, builder.next_id + 3
    cable = builder.cable("dcim.powerfeed", feed, "dcim.powerport", inlet)
    builder.add(
        "power_feeds", r.PowerFeed, id=feed, name="feed", power_panel=panel, status="active",
        phase="three-phase", voltage=400, amperage=16, max_utilization=80, cable=cable,
    )  # fmt: skip
    builder.add("power_ports", r.PowerPort, id=inlet, device=pdu, name="in", cable=cable)
    builder.next_id = inlet
    builder.add("power_outlets", r.PowerOutlet, device=pdu, name="one", feed_leg="C")
    for outlet_name, leg in (("three", "B"), ("two", "A")):
        server = builder.add("devices", r.Device, name=f"server-{outlet_name}", role=1, **place)
        outlet, port = builder.next_id + 2, builder.next_id + 3
        cable = builder.cable("dcim.poweroutlet", outlet, "dcim.powerport", port)
        builder.add(
            "power_outlets", r.PowerOutlet, id=outlet, device=pdu, name=outlet_name,
            power_port=inlet, feed_leg=leg, cable=cable,
        )  # fmt: skip
        builder.add(
            "power_ports", r.PowerPort, id=port, device=server, name="PSU1", allocated_draw=100,
            cable=cable,
        )  # fmt: skip
        builder.next_id = port
    plant = Plant(builder.datacentre())
    loads = {
        element.name: watts
        for element, watts in zip(plant.power.elements, plant.state.load, strict=True)
    }
    assert {name: loads[f"pdu leg {name}"] for name in "ABC"} == {"A": 200, "B": 0, "C": 0}
