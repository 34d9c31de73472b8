"""What differs between two snapshots, said by natural names and field by field.

Ids are no part of the comparison: a NetBox that was seeded again has others for the same things.
"""

from typing import Any

import msgspec

from chapelle.model.records import Content, Record
from chapelle.model.references import GENERIC, MODELS, REFERENCES, Names

CHANGES = ("added", "removed", "changed")


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One field that differs; `before` and `after` are plain values with names instead of ids."""

    field: str
    before: Any
    after: Any


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One object that is in one snapshot only, or differs between the two.

    `kind` is the NetBox model, such as `dcim.device`; `change` is one of CHANGES.
    """

    kind: str
    name: str
    change: str
    fields: tuple[FieldChange, ...] = ()


def diff(before: Content, after: Content) -> list[ObjectChange]:
    """Everything that differs, in the order of NetBox's models, then of names."""
    old, new = Names(before), Names(after)
    changes: list[ObjectChange] = []
    for list_name, kind in MODELS.items():
        left, right = _plain_records(old, list_name), _plain_records(new, list_name)
        for name in sorted(left.keys() | right.keys()):
            if name not in left:
                changes.append(ObjectChange(kind=kind, name=name, change="added"))
            elif name not in right:
                changes.append(ObjectChange(kind=kind, name=name, change="removed"))
            elif fields := _changed(left[name], right[name]):
                changes.append(ObjectChange(kind=kind, name=name, change="changed", fields=fields))
    return changes


def _changed(left: dict[str, Any], right: dict[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(field=field, before=left.get(field), after=right.get(field))
        for field in sorted(left.keys() | right.keys())
        if left.get(field) != right.get(field)
    )


def _plain_records(names: Names, list_name: str) -> dict[str, dict[str, Any]]:
    return {
        names.name(list_name, object_id): _plain(names, list_name, record)
        for object_id, record in names.records(list_name).items()
    }


def _plain(names: Names, list_name: str, record: Record) -> dict[str, Any]:
    """The record's fields without ids: names for references, one entry a custom field."""
    plain: dict[str, Any] = {}
    references = REFERENCES[list_name]
    for field in record.__struct_fields__:
        value = getattr(record, field)
        if field in ("id", "cable_end"):  # which end is A says nothing; the cable's name has both
            continue
        if field == "custom_fields":
            plain.update({f"custom_fields.{key}": item for key, item in value.items()})
        elif field in ("a_terminations", "b_terminations"):
            continue  # they are the cable's name
        elif field == "rear_ports":
            plain[field] = sorted(
                f"{m.position}: {names.name('rear_ports', m.rear_port)} {m.rear_port_position}"
                for m in value
            )
        elif references.get(field, "tags") != "tags":
            plain[field] = _named(names, references[field], value)
        else:
            plain[field] = list(value) if isinstance(value, tuple) else value
    for type_field, id_field in GENERIC:
        if id_field in plain:
            plain[id_field] = names.of_type(plain[type_field], plain[id_field])
    return plain


def _named(names: Names, target: str, value: int | tuple[int, ...] | None) -> Any:
    if isinstance(value, tuple):
        return sorted(names.name(target, item) for item in value)
    return None if value is None else names.name(target, value)
