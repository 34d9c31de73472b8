"""From NetBox's JSON to the model's records.

For every record class a looser twin is derived that takes what NetBox sends: a nested object where
the record has an id, `{value, label}` where it has a value, nested tags where it has slugs. msgspec
decodes straight into the twin, several times faster than by way of dictionaries. Every field that
we asked for must be there: a NetBox that calls one otherwise is an error, not a default value.
"""

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from chapelle.model.records import Record, Termination
from chapelle.model.references import MODELS, record_type
from chapelle.model.snapshot import OPERATIONAL_CUSTOM_FIELDS

type Converter = Callable[[Any], Any]


class _Nested(msgspec.Struct, gc=False):
    """An object, a choice or a tag inside the object that was asked for."""

    id: int | None = None
    value: str | int | None = None
    slug: str | None = None


class Page(msgspec.Struct):
    """One page of a list; `count` is how many there are in all pages together."""

    count: int | None
    results: list[Record]


class CableEnd(Record, frozen=True, kw_only=True):
    """`dcim.cabletermination`: one end of a cable."""

    cable: int
    cable_end: str
    termination_type: str
    termination_id: int


# A list that no snapshot has: NetBox lists the ends of all cables twenty times faster than it shows
# them in the cables, where each comes with the whole object that it is plugged into. Which cable is
# in a port comes from there too, for no port then has to show its cable.
CABLE_ENDS = "cable_ends"
_PLUGGED = (
    "interfaces", "front_ports", "rear_ports", "power_feeds", "power_ports", "power_outlets",
)  # fmt: skip
_APART: dict[str, frozenset[str]] = {
    "cables": frozenset({"a_terminations", "b_terminations"}),
    **dict.fromkeys(_PLUGGED, frozenset({"cable", "cable_end"})),
}

# Fields that no record holds, asked for because NetBox then loads with one query what it would
# otherwise look up object by object: `mac_address` is a property of the primary MAC object.
_HELPERS: dict[str, tuple[str, ...]] = {"interfaces": ("primary_mac_address",)}


def wanted_fields(list_name: str) -> str:
    """The value of NetBox's `fields` parameter that yields just what the record holds."""
    own = [field.name for field in _fields(list_name)]
    return ",".join((*own, *_HELPERS.get(list_name, ())))


def with_ends(
    lists: Mapping[str, tuple[Record, ...]], ends: Iterable[CableEnd]
) -> dict[str, tuple[Record, ...]]:
    """The lists, each cable with what it is plugged into, each port with the cable that it holds.

    An end of a cable that is gone, or in a port that is gone, is left out.
    """
    plugged: dict[tuple[int, str], list[Termination]] = {}
    holding: dict[str, dict[int, CableEnd]] = {}
    for end in ends:
        termination = Termination(object_type=end.termination_type, object_id=end.termination_id)
        plugged.setdefault((end.cable, end.cable_end), []).append(termination)
        holding.setdefault(end.termination_type, {})[end.termination_id] = end
    cables = tuple(
        msgspec.structs.replace(
            cable,
            a_terminations=tuple(sorted(plugged.get((cable.id, "A"), ()))),
            b_terminations=tuple(sorted(plugged.get((cable.id, "B"), ()))),
        )
        for cable in lists["cables"]
    )
    ports = {name: _holding(lists[name], holding.get(MODELS[name], {})) for name in _PLUGGED}
    return {**lists, **ports, "cables": cables}


def _holding(ports: tuple[Record, ...], ends: Mapping[int, CableEnd]) -> tuple[Record, ...]:
    return tuple(
        msgspec.structs.replace(port, **_hold(port, ends[port.id])) if port.id in ends else port
        for port in ports
    )


def _hold(port: Record, end: CableEnd) -> dict[str, Any]:
    found = {"cable": end.cable, "cable_end": end.cable_end}
    return {name: value for name, value in found.items() if name in port.__struct_fields__}


def _record(list_name: str) -> type[Record]:
    return CableEnd if list_name == CABLE_ENDS else record_type(list_name)


def _fields(list_name: str) -> list[msgspec.structs.FieldInfo]:
    """The fields of the list's records that are asked for with them."""
    apart = _APART.get(list_name, frozenset())
    return [
        field for field in msgspec.structs.fields(_record(list_name)) if field.name not in apart
    ]


def decode_page(list_name: str, data: bytes) -> Page:
    """Decode one page of that list.

    Raises:
        msgspec.DecodeError: this is no JSON.
        msgspec.ValidationError: this is not such a page; the message names the field.
    """
    page = _page_decoder(list_name).decode(data)
    record = _record(list_name)
    converters = _converters(list_name)
    made = [
        record(**{name: convert(getattr(twin, name)) for name, convert in converters})
        for twin in page.results
    ]
    return Page(count=page.count, results=made)


@cache
def _page_decoder(list_name: str) -> "msgspec.json.Decoder[Any]":
    fields = [(field.name, _loose(field)) for field in _fields(list_name)]
    twin = msgspec.defstruct(f"Raw{_record(list_name).__name__}", fields, gc=False)
    page = msgspec.defstruct(
        "RawPage", [("count", int | None), ("results", types.GenericAlias(list, (twin,)))]
    )
    return msgspec.json.Decoder(page)


# What NetBox may send for a field of each type; other types are sent as the record holds them.
_LOOSE: dict[Any, Any] = {
    int: int | _Nested | None,
    str: str | _Nested | None,  # the empty choice is null, in a required field too
    float: float | str | None,
    bool: bool | None,
    tuple[int, ...]: list[int | _Nested] | None,
    tuple[str, ...]: list[str | _Nested] | None,
}


def _alternatives(field: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    if isinstance(field.type, types.UnionType):
        return typing.get_args(field.type)
    return (field.type,)


def _loose(field: msgspec.structs.FieldInfo) -> Any:
    options = _alternatives(field)
    if int in options and field.required and type(None) not in options:
        return int | _Nested
    return next((_LOOSE[option] for option in options if option in _LOOSE), field.type)


@cache
def _converters(list_name: str) -> list[tuple[str, Converter]]:
    return [(field.name, _converter(field)) for field in _fields(list_name)]


def _converter(field: msgspec.structs.FieldInfo) -> Converter:
    options = _alternatives(field)
    # What the record holds where NetBox says null.
    nothing = None if type(None) in options or field.required else field.default
    if field.name == "custom_fields":
        return _custom_fields
    if str in options:
        empty = None if type(None) in options else ""
        return lambda value: _text(value) or empty
    by_type: dict[Any, Converter] = {
        int: lambda value: _number(value, nothing),
        float: lambda value: nothing if value is None or value == "" else float(value),
        bool: lambda value: nothing if value is None else value,
        tuple[int, ...]: _ids,
        tuple[str, ...]: _slugs,
    }
    return next((by_type[option] for option in options if option in by_type), _same)


def _same(value: Any) -> Any:
    return value


def _number(value: Any, nothing: Any) -> Any:
    if isinstance(value, _Nested):
        value = value.value if value.id is None else value.id
    return nothing if value is None else value


def _text(value: Any) -> str:
    if isinstance(value, _Nested):
        value = value.slug if value.value is None else value.value
    return "" if value is None else str(value)


def _ids(value: Any) -> tuple[int, ...]:
    items = (item.id if isinstance(item, _Nested) else item for item in value or ())
    return tuple(sorted(item for item in items if item is not None))


def _slugs(value: Any) -> tuple[str, ...]:
    items = (item.slug if isinstance(item, _Nested) else item for item in value or ())
    return tuple(sorted(item or "" for item in items))


def _custom_fields(value: dict[str, Any]) -> dict[str, Any]:
    return {
        name: plain(item) for name, item in value.items() if name not in OPERATIONAL_CUSTOM_FIELDS
    }


def plain(value: Any) -> Any:
    """What NetBox sends as what one writes: a choice's value, an object's id.

    In custom fields, too, a choice is `{value, label}` since NetBox 4.7.
    """
    if isinstance(value, list):
        return [plain(member) for member in value]
    if isinstance(value, dict):
        if value.keys() == {"value", "label"}:
            return value["value"]
        if "id" in value and "url" in value:
            return value["id"]
    return value
