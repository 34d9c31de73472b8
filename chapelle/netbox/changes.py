"""NetBox's change log, read to learn whether anything moved while a snapshot was taken.

The log's ids are given out when a change is made and seen when it is committed, so a lower one can
appear after a higher one. A mark therefore holds the latest ids and not only the last.
"""

from typing import Any

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.references import LISTS
from chapelle.model.snapshot import OPERATIONAL_CUSTOM_FIELDS
from chapelle.netbox.reading import Get, Query

_PATH = "core/object-changes/"
_WINDOW = 200
_PAGE = 1000

# Models that no snapshot lists but whose objects show in the fields of those that it does.
_SHOWN_ELSEWHERE = frozenset({"dcim.macaddress", "dcim.cabletermination", "extras.customfield"})

# Kept by NetBox itself, and no part of any record.
_BOOKKEEPING = frozenset({"last_updated", "created"})


class Mark(msgspec.Struct, frozen=True):
    """A moment in the change log: the ids of its latest entries."""

    ids: frozenset[int]

    @property
    def lowest(self) -> int:
        """The first id from which on the log must be looked through again."""
        return min(self.ids) if len(self.ids) >= _WINDOW else 0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change to something that a snapshot shows; `fields` are those of an update."""

    content_type: str
    object_id: int
    action: str
    fields: frozenset[str]
    who: str

    @property
    def status_only(self) -> bool:
        """Whether a device's status moved and nothing else: what runs write all the time."""
        return (self.content_type, self.action) == ("dcim.device", "update") and self.fields <= {
            "status"
        }

    def __str__(self) -> str:
        what = f" of {', '.join(sorted(self.fields))}" if self.fields else ""
        return f"{self.action}{what}, {self.content_type} {self.object_id}, by {self.who}"


class _Choice(msgspec.Struct):
    value: str


class _Entry(msgspec.Struct, kw_only=True):
    id: int
    user_name: str | None = None
    action: _Choice | None = None
    changed_object_type: str | None = None
    changed_object_id: int | None = None
    prechange_data: dict[str, Any] | None = None
    postchange_data: dict[str, Any] | None = None


class _Page(msgspec.Struct):
    results: list[_Entry]
    next: str | None = None


def mark(get: Get) -> Mark:
    """The present moment in NetBox's change log."""
    page = _get(get, {"fields": "id", "ordering": "-id", "limit": _WINDOW})
    return Mark(ids=frozenset(entry.id for entry in page.results))


def since(get: Get, before: Mark) -> tuple[list[Change], Mark]:
    """What has changed since that moment as far as a snapshot shows it, and the new moment.

    What runs note for themselves (locks, run names, facts, journal entries) is not among it.
    """
    new: list[int] = []
    start = before.lowest
    latest: list[int] = []
    while True:
        page = _get(get, {"fields": "id", "start": start, "limit": _PAGE})
        ids = [entry.id for entry in page.results]
        latest = (latest + ids)[-_WINDOW:]
        new += [number for number in ids if number not in before.ids]
        if page.next is None or not ids:
            break
        start = ids[-1] + 1
    changes = []
    for offset in range(0, len(new), 50):
        for entry in _get(get, _details(new[offset : offset + 50])).results:
            change = _relevant(entry)
            if change is not None:
                changes.append(change)
    return changes, Mark(ids=frozenset(latest))


def _details(ids: list[int]) -> Query:
    fields = ",".join(_Entry.__struct_fields__)
    return {"fields": fields, "id": ids, "limit": len(ids)}


def _get(get: Get, query: Query) -> _Page:
    try:
        return msgspec.json.decode(get(_PATH, query), type=_Page)
    except msgspec.DecodeError as error:
        raise ChapelleError(
            "NetBox's change log is not what its version should send.",
            where=f"/api/{_PATH}",
            expected="a list of object changes",
            found=str(error),
        ) from error


def _relevant(entry: _Entry) -> Change | None:
    content_type = entry.changed_object_type or ""
    if content_type not in LISTS and content_type not in _SHOWN_ELSEWHERE:
        return None
    action = entry.action.value if entry.action else ""
    fields: frozenset[str] = frozenset()
    if action == "update":
        fields = _changed_fields(entry.prechange_data or {}, entry.postchange_data or {})
        if not fields:
            return None
    return Change(
        content_type=content_type,
        object_id=entry.changed_object_id or 0,
        action=action,
        fields=fields,
        who=entry.user_name or "somebody",
    )


def _changed_fields(before: dict[str, Any], after: dict[str, Any]) -> frozenset[str]:
    names = (before.keys() | after.keys()) - _BOOKKEEPING - {"custom_fields"}
    changed = {name for name in names if before.get(name) != after.get(name)}
    if _intended(before) != _intended(after):
        changed.add("custom_fields")
    return frozenset(changed)


def _intended(data: dict[str, Any]) -> dict[str, Any]:
    custom = data.get("custom_fields") or {}
    return {name: value for name, value in custom.items() if name not in OPERATIONAL_CUSTOM_FIELDS}
