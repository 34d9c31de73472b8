"""What an operator types for something that can be lost."""

from functools import cache

import msgspec
import pytest
from reference import content

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.names import Index, exact, find, find_all
from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.snapshot import Snapshot

_replace = msgspec.structs.replace


@cache
def plant() -> Plant:
    """The reference datacentre with a bundle, a device of a rack's name, and two feeds of one."""
    base = content()
    feed = base.power_feeds[0]
    namesake = _replace(base.devices[-1], id=9001, name="A2-R01", rack=None)
    bundle = r.CableBundle(id=7, name="bundle-a2")
    cables = (_replace(base.cables[0], bundle=7), *base.cables[1:-1])
    return Plant(
        Datacentre(
            Snapshot(
                _replace(
                    base,
                    power_feeds=(*base.power_feeds, _replace(feed, id=9002, cable=None)),
                    devices=(*base.devices, namesake),
                    cable_bundles=(bundle,),
                    cables=(*cables, _replace(base.cables[-1], label="")),
                )
            )
        )
    )


@pytest.mark.parametrize(
    ("text", "kind", "endpoint"),
    [
        ("ups-a", "ups", "dcim/sites"),
        ("board-a", "switchboard", "dcim/sites"),
        ("panel-a2-a", "panel", "dcim/power-panels"),
        ("A2-R01-A", "feed", "dcim/power-feeds"),
        ("pdu-a2-r01-a", "pdu", "dcim/devices"),
        ("leaf-a2-1a", "switch", "dcim/devices"),
        ("compute-a2-01", "device", "dcim/devices"),
        ("A2-R02", "rack", "dcim/racks"),
        ("aisle-2", "aisle", "dcim/locations"),
        ("Aisle 2", "aisle", "dcim/locations"),
        ("bundle-a2", "bundle", "dcim/cable-bundles"),
        (" panel-a2-a ", "panel", "dcim/power-panels"),
        ("rack:A2-R01", "rack", "dcim/racks"),
        ("device: A2-R01", "device", "dcim/devices"),
        ("source:ups-a", "ups", "dcim/sites"),
    ],
)
def test_names_of_every_kind_are_found(text: str, kind: str, endpoint: str) -> None:
    found = find(plant(), text)
    assert (found.kind, found.ref.endpoint) == (kind, endpoint)
    assert found == find(plant(), exact(found))


def test_what_is_found_can_be_lost() -> None:
    everything = [find(plant(), name) for name in ("ups-a", "A2-R02", "aisle-2", "bundle-a2")]
    assert all(plant().lose([element]).elements == (element,) for element in everything)


def test_cables_are_found_by_id_and_by_label_and_only_so() -> None:
    cable = plant().dc.content.cables[0]
    assert find(plant(), f"cable:{cable.id}").ref.name == cable.label
    assert find(plant(), f"cable:{cable.label}").ref.id == cable.id
    with pytest.raises(InputError):
        find(plant(), cable.label)
    bare = plant().dc.content.cables[-1]
    assert " -- " in find(plant(), f"cable:{bare.id}").name  # where it leads, without a label


def test_a_name_of_several_objects_lists_them() -> None:
    with pytest.raises(InputError) as raised:
        find(plant(), "A2-R01")
    found = raised.value.found or ""
    assert "device:9001" in found
    assert f"rack:{plant().dc.rack('A2-R01').id} (rack)" in found
    with pytest.raises(InputError) as raised:
        find(plant(), plant().dc.content.power_feeds[0].name)
    assert "feed:9002 (feed)" in (raised.value.found or "")
    assert find(plant(), "feed:9002").ref.id == 9002


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("panel-a2-x", "panel-a2-a"),
        ("PANEL-A2-A", "panel-a2-a"),
        ("rack:A2-R99", "rack:A2-R09"),
        ("usp-a", "ups-a"),
    ],
)
def test_an_unknown_name_lists_near_ones(text: str, near: str) -> None:
    with pytest.raises(InputError) as raised:
        find(plant(), text)
    assert near in (raised.value.remedy or "")


@pytest.mark.parametrize(
    "text", ["", "zzzz", "rack:", "feed:99999", "source:1", "switch:leaf-a2-1a", "cable:-1"]
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        find(plant(), text)


def test_several_names_are_found_in_order_and_once() -> None:
    found = find_all(plant(), "ups-a, panel-a2-a,,ups-a")
    assert [element.name for element in found] == ["ups-a", "panel-a2-a"]
    with pytest.raises(InputError):
        find_all(plant(), " , ")


def test_an_object_is_known_again_by_its_id_and_a_source_by_its_name() -> None:
    index = Index(plant())
    panel = find(plant(), "panel-a2-a")
    assert index.at(_replace(panel.ref, name="as it was called before")) == panel
    assert index.at(_replace(panel.ref, id=9999)) is None
    ups = find(plant(), "ups-a")
    assert index.at(ups.ref) == ups
    assert index.at(_replace(ups.ref, name="ups-z")) is None
    assert index.at(ObjectRef(endpoint="ipam/vlans", id=1, name="ups-a")) is None
