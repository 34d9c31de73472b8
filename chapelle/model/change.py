"""Changes to NetBox's objects as data: planned, looked at, kept in a file, and written later.

A change names a list of `Content`, and fields of its records by NetBox's names: references are ids,
choices are values, tags are slugs. An object that is still to be made has a temporary id below
zero, which no other object of its list has and later changes refer to. The components that NetBox
makes of a device's type are created by changes like all others: a snapshot holds no templates, and
`chapelle.netbox.changeset` finds them by their names. `chapelle.model.draft` makes changes.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from chapelle.errors import InputError
from chapelle.model.records import Record
from chapelle.model.references import GENERIC, LISTS, MODELS, REFERENCES, record_type

FORMAT = 1

CUSTOM = "custom_fields"
TERMINATIONS = ("a_terminations", "b_terminations")

# What NetBox enters by itself: by a cable, or by another object (a MAC address).
DERIVED = frozenset({"cable", "cable_end", "mac_address"})

# What nothing can put in another place: a cable is pulled and another one plugged in.
_FIXED: dict[str, frozenset[str]] = {"cables": frozenset(TERMINATIONS)}

type Fields = dict[str, Any]

# Objects by list and id, and the ids that they get instead.
type Ids = Mapping[tuple[str, int], int]


class Create(msgspec.Struct, frozen=True, kw_only=True, tag="create", forbid_unknown_fields=True):
    """An object to be made; of `custom_fields` those that get a value."""

    list_name: str
    id: int
    fields: Fields

    def __post_init__(self) -> None:
        _require_list(self.list_name)
        if self.id >= 0:
            raise ValueError(f"a temporary id is below zero, and {self.id} is not")
        fields = _normal(self.list_name, self.fields)
        _record(self.list_name, self.id, fields)  # whether all required fields are there
        msgspec.structs.force_setattr(self, "fields", fields)

    @property
    def record(self) -> Record:
        """The object as a snapshot will show it, but for its id."""
        return _record(self.list_name, self.id, self.fields)


class Update(msgspec.Struct, frozen=True, kw_only=True, tag="update", forbid_unknown_fields=True):
    """Fields of an object that change: what they must be before, and what they are after.

    Of `custom_fields` only those concerned; None is one without a value.
    """

    list_name: str
    id: int
    before: Fields
    after: Fields

    def __post_init__(self) -> None:
        _require_list(self.list_name)
        for name in ("before", "after"):
            fields = _normal(self.list_name, getattr(self, name))
            if fixed := sorted(fields.keys() & _FIXED.get(self.list_name, frozenset())):
                raise ValueError(f"{self.list_name}: {', '.join(fixed)} cannot be changed")
            msgspec.structs.force_setattr(self, name, fields)
        before, after = self.before, self.after
        if before.keys() != after.keys() or not after:
            raise ValueError("`before` and `after` name the same fields, at least one")
        if before.get(CUSTOM, {}).keys() != after.get(CUSTOM, {}).keys():
            raise ValueError("`before` and `after` name the same custom fields")


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete", forbid_unknown_fields=True):
    """An object to be removed, with its fields as they must be, so that it can be made again."""

    list_name: str
    id: int
    fields: Fields

    def __post_init__(self) -> None:
        _require_list(self.list_name)
        fields = _normal(self.list_name, self.fields)
        _record(self.list_name, self.id, fields)
        msgspec.structs.force_setattr(self, "fields", fields)


type Change = Create | Update | Delete


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    changes: tuple[Change, ...]


def encode(changes: Iterable[Change]) -> bytes:
    """The changes as canonical JSON: the same changes give the same bytes."""
    made = _File(format=FORMAT, changes=tuple(changes))
    return msgspec.json.encode(made, order="deterministic")


def decode(data: bytes, *, where: str) -> tuple[Change, ...]:
    """Read what `encode` wrote; `where` names its origin in errors.

    Raises:
        InputError: it is something else, or has a list, a field or a value that nobody knows.
    """
    try:
        read = msgspec.json.decode(data, type=_File)
    except msgspec.DecodeError as error:
        raise InputError(
            "This is no set of changes.",
            where=where,
            expected=f"what chapelle writes (format {FORMAT})",
            found=str(error),
        ) from error
    if read.format != FORMAT:
        raise InputError(
            "This set of changes has another format.",
            where=where,
            expected=f"format {FORMAT}",
            found=f"format {read.format}",
        )
    return read.changes


def fields_of(record: Record) -> Fields:
    """What a person could have entered of a record: no id, nothing that NetBox enters itself."""
    plain: Fields = msgspec.json.decode(msgspec.json.encode(record))
    return {name: value for name, value in plain.items() if name not in DERIVED | {"id"}}


def part(fields: Fields, like: Mapping[str, Any]) -> Fields:
    """Those of the fields that `like` has, of custom fields too; None is one without a value."""
    kept = {name: fields[name] for name in like if name in fields}
    if CUSTOM in kept:
        kept[CUSTOM] = {key: fields[CUSTOM].get(key) for key in like[CUSTOM]}
    return kept


def mapped(list_name: str, fields: Fields, ids: Ids) -> Fields:
    """The fields with another id in each reference to an object that `ids` has one for."""

    def other(target: str | None, value: Any) -> Any:
        if isinstance(value, list):
            return sorted((other(target, item) for item in value), key=order)
        return ids.get((target, value), value) if target else value

    made = dict(fields)
    for field, target in REFERENCES[list_name].items():
        if target != "tags" and field in made:
            made[field] = other(target, made[field])
    for type_field, id_field in GENERIC:
        if id_field in made:
            made[id_field] = other(LISTS.get(made.get(type_field) or ""), made[id_field])
    for field in TERMINATIONS:
        if field in made:
            ends = [
                {**end, "object_id": other(LISTS.get(end["object_type"]), end["object_id"])}
                for end in made[field]
            ]
            made[field] = sorted(ends, key=_place)
    if "rear_ports" in made:
        made["rear_ports"] = [
            {**each, "rear_port": other("rear_ports", each["rear_port"])}
            for each in made["rear_ports"]
        ]
    return made


def _place(end: Mapping[str, Any]) -> tuple[str, tuple[bool, int]]:
    return end["object_type"], order(end["object_id"])


def order(number: int) -> tuple[bool, int]:
    """Sorts ids as NetBox will: temporary ones come after all others, and count downwards."""
    return number < 0, abs(number)


def _require_list(list_name: str) -> None:
    if list_name not in MODELS:
        raise ValueError(f"{list_name!r} is no list of a snapshot")


def _normal(list_name: str, fields: Mapping[str, Any]) -> Fields:
    """The fields as JSON has them, each of its type, lists of ids in their order.

    Raises:
        ValueError: a field that the list's records have not, or NetBox enters; or another type.
    """
    known = _types(list_name)
    made: Fields = {}
    for name, value in fields.items():
        if name not in known:
            raise ValueError(f"{list_name} have no field {name!r} that could be written")
        try:
            made[name] = msgspec.json.decode(
                msgspec.json.encode(msgspec.convert(value, known[name], from_attributes=True))
            )
        except msgspec.ValidationError as error:
            raise ValueError(f"{list_name}, {name}: {error}") from error
    return mapped(list_name, made, {})


@functools.cache
def _types(list_name: str) -> dict[str, Any]:
    fields = msgspec.structs.fields(record_type(list_name))
    return {field.name: field.type for field in fields if field.name not in DERIVED | {"id"}}


def _record(list_name: str, number: int, fields: Fields) -> Record:
    try:
        return msgspec.convert({"id": number, **fields}, record_type(list_name))
    except msgspec.ValidationError as error:
        raise ValueError(f"{list_name}: {error}") from error
