"""The difference of two snapshots, by natural names."""

from typing import Any

import msgspec
import pytest
import reference

from chapelle.model import records as r
from chapelle.model.diff import FieldChange, diff
from chapelle.model.records import ENDPOINTS, Content
from chapelle.model.references import MODELS, REFERENCES, Names, record_type

# Whole numbers that count or measure; all others are ids of something.
NUMBERS = {
    "u_height", "max_weight", "units", "mtu", "voltage", "amperage", "max_utilization",
    "maximum_draw", "allocated_draw", "vid_ranges", "vid", "asn", "identifier", "positions",
}  # fmt: skip
GENERIC_IDS = {"object_id", "scope_id", "assigned_object_id"}


def test_the_tables_name_every_list() -> None:
    assert set(MODELS) == set(ENDPOINTS) == set(Content.__struct_fields__)


@pytest.mark.parametrize("list_name", MODELS)
def test_every_id_in_a_record_is_known_as_a_reference(list_name: str) -> None:
    record = record_type(list_name)
    whole = {f.name for f in msgspec.structs.fields(record) if "int" in str(f.type)}
    assert whole - {"id"} - NUMBERS - GENERIC_IDS == set(REFERENCES[list_name]) - {"tags"}
    assert set(REFERENCES[list_name].values()) <= set(MODELS)


def renumbered(content: Content) -> Content:
    """The same content as another NetBox would number it."""
    lists: dict[str, Any] = {}
    for list_name in MODELS:
        lists[list_name] = tuple(
            _renumbered(list_name, record) for record in getattr(content, list_name)
        )
    return Content(**lists)


def _renumbered(list_name: str, record: r.Record) -> r.Record:
    changes: dict[str, Any] = {"id": record.id + 5000}
    for field, target in REFERENCES[list_name].items():
        value = getattr(record, field)
        if target == "tags" or value is None:
            continue
        changes[field] = (
            tuple(item + 5000 for item in value) if isinstance(value, tuple) else value + 5000
        )
    for field in GENERIC_IDS:
        if getattr(record, field, None) is not None:
            changes[field] = getattr(record, field) + 5000
    for field in ("a_terminations", "b_terminations"):
        if hasattr(record, field):
            changes[field] = tuple(
                msgspec.structs.replace(end, object_id=end.object_id + 5000)
                for end in getattr(record, field)
            )
    return msgspec.structs.replace(record, **changes)


def test_a_snapshot_does_not_differ_from_itself() -> None:
    assert diff(reference.content(), reference.content()) == []


def test_other_ids_are_no_difference() -> None:
    assert diff(reference.content(), renumbered(reference.content())) == []


def test_a_changed_field_is_named_with_both_values() -> None:
    content = reference.content()
    device = next(d for d in content.devices if d.name == "compute-a2-01")
    rack = next(rack for rack in content.racks if rack.name == "A2-R02")
    moved = msgspec.structs.replace(device, rack=rack.id, status="active")
    devices = tuple(moved if d.id == device.id else d for d in content.devices)
    (change,) = diff(content, msgspec.structs.replace(content, devices=devices))
    assert (change.kind, change.name, change.change) == ("dcim.device", "compute-a2-01", "changed")
    assert change.fields == (
        FieldChange(field="rack", before="A2-R01", after="A2-R02"),
        FieldChange(field="status", before="planned", after="active"),
    )


def test_custom_fields_and_vlans_are_said_by_name() -> None:
    content = reference.content()
    bond = next(i for i in content.interfaces if i.name == "bond0")
    disk = content.inventory_items[0]
    other = msgspec.structs.replace(
        content,
        interfaces=tuple(
            msgspec.structs.replace(i, tagged_vlans=()) if i.id == bond.id else i
            for i in content.interfaces
        ),
        inventory_items=(
            msgspec.structs.replace(disk, custom_fields={"disk_purpose": "keep"}),
            *content.inventory_items[1:],
        ),
    )
    changes = {change.kind: change.fields for change in diff(content, other)}
    assert changes["dcim.interface"] == (
        FieldChange(field="tagged_vlans", before=["201 (storage-a1) in city-storage"], after=[]),
    )
    assert {field.field for field in changes["dcim.inventoryitem"]} == {
        "custom_fields.disk_purpose",
        "custom_fields.disk_size_gb",
    }


def test_added_and_removed_objects() -> None:
    content = reference.content()
    fewer = msgspec.structs.replace(content, racks=content.racks[:-1])
    added = [c for c in diff(fewer, content) if c.kind == "dcim.rack"]
    removed = [c for c in diff(content, fewer) if c.kind == "dcim.rack"]
    assert [(c.name, c.change) for c in added] == [("A4-R24", "added")]
    assert [(c.name, c.change) for c in removed] == [("A4-R24", "removed")]


def test_a_moved_cable_is_one_cable_less_and_one_more() -> None:
    content = reference.content()
    cable = content.cables[0]
    assert Names(content).name("cables", cable.id).count(" -- ") == 1
    free = next(i for i in content.interfaces if i.cable is None and i.name.startswith("swp"))
    end = r.Termination(object_type="dcim.interface", object_id=free.id)
    moved = msgspec.structs.replace(cable, b_terminations=(end,))
    cables = tuple(moved if c.id == cable.id else c for c in content.cables)
    changes = diff(content, msgspec.structs.replace(content, cables=cables))
    assert sorted(c.change for c in changes if c.kind == "dcim.cable") == ["added", "removed"]


def test_objects_of_one_name_are_all_compared() -> None:
    twins = (
        r.Device(id=1, name="twin", device_type=1, role=1, site=1, status="active"),
        r.Device(id=2, name="twin", device_type=1, role=1, site=1, status="planned"),
    )
    changed = (twins[0], msgspec.structs.replace(twins[1], status="failed"))
    (change,) = diff(Content(devices=twins), Content(devices=changed))
    assert change.name == "twin (2)"
