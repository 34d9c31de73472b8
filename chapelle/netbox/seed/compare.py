"""Compare an item of the design with NetBox's record of it. Pure."""

from collections.abc import Mapping
from typing import Any

from chapelle.netbox.decoding import plain
from chapelle.netbox.expand.desired import CUSTOM, Item, Ref, refs
from chapelle.netbox.seed.kinds import CONTENT_TYPES, Json

_TERMINATIONS = ("a_terminations", "b_terminations")


def resolvable(item: Item, ids: Mapping[Ref, int]) -> bool:
    """Whether all items that this one refers to have ids."""
    return all(ref in ids for value in item.fields.values() for ref in refs(value))


def payload(item: Item, ids: Mapping[Ref, int]) -> Json:
    """The item as NetBox wants it when it is created."""
    return {
        field: _terminations(value, ids) if field in _TERMINATIONS else _resolved(value, ids)
        for field, value in item.fields.items()
    }


def _terminations(ends: list[Ref], ids: Mapping[Ref, int]) -> list[Json]:
    return [{"object_type": CONTENT_TYPES[end.kind], "object_id": ids[end]} for end in ends]


def _resolved(value: Any, ids: Mapping[Ref, int]) -> Any:
    if isinstance(value, Ref):
        return ids[value]
    if isinstance(value, list):
        return [_resolved(member, ids) for member in value]
    return value


def changes(item: Item, record: Json, ids: Mapping[Ref, int]) -> Json:
    """The fields in which NetBox's record has to change; nothing when it is as it should be.

    Fields of `item.initial` are left alone as soon as NetBox has a value. A cable's ends never
    change: they are its key.
    """
    found: Json = {}
    for field, value in item.fields.items():
        if field in _TERMINATIONS:
            continue
        if field == CUSTOM:
            current = record.get(CUSTOM) or {}
            different = {
                name: wanted
                for name, wanted in value.items()
                if not _agrees(wanted, current.get(name), f"{CUSTOM}.{name}" in item.initial)
            }
            if different:
                found[CUSTOM] = different
            continue
        wanted = _resolved(value, ids)
        if not _agrees(wanted, record.get(field), field in item.initial):
            found[field] = wanted
    return found


def _agrees(wanted: Any, current: Any, initial: bool) -> bool:
    current = plain(current)
    if initial and current not in (None, ""):
        return True
    return bool(_comparable(wanted) == _comparable(current))


def _comparable(value: Any) -> Any:
    """Without what means nothing: the order of plain lists, nothing against empty text."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(member, int | str) for member in value):
        return sorted(value, key=str)
    return value
