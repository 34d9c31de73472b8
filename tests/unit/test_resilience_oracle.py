"""The loss of anything in random small datacentres: the product agrees with a dumb oracle."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from resilience_oracle import Found, Node, State, loads_and_losses
from resilience_sites import contents

from chapelle.checks.resilience.loss import Plant
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
    elements = st.sampled_from(losable(content, plant))
    return content, plant, draw(st.lists(elements, min_size=1, max_size=most))


def shown(content: Content, found: Found) -> Counter[tuple[Any, ...]]:
    """The loads of the oracle as the product shows them: what changed, and lives on."""
    names = {record.id: record.name for record in [*content.devices, *content.power_panels,
                                                   *content.power_feeds]}  # fmt: skip
    devices = {port.id: port.device for port in content.power_ports}
    ports = {port.id: port.name for port in content.power_ports}
    pdus = {outlet.device for outlet in content.power_outlets}

    def element(node: Node) -> tuple[str, str, Any, str] | None:
        match node:
            case ("source", site, name):
                return "source", "dcim/sites", site, str(name)
            case ("panel", number):
                return "panel", "dcim/power-panels", number, names[number]
            case ("feed", number):
                return "feed", "dcim/power-feeds", number, names[number]
            case ("port", number) if devices[number] in pdus:
                device = devices[number]
                several = list(devices.values()).count(device) > 1
                name = f"{names[device]} {ports[number]}" if several else names[device]
                return "pdu", "dcim/devices", device, name
            case ("leg", number, leg):
                device = devices[number]
                return "leg", "dcim/devices", device, f"{names[device]} leg {leg}"
            case ("bank", device, name):
                return "bank", "dcim/devices", device, f"{names[device]} bank {name}"
        return None

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
