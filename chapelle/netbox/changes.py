"""NetBox's change log, read to learn whether anything moved while a snapshot was taken.

The log's ids are given out when a change is made and seen when it is committed, so a lower one can
appear after a higher one. A mark therefore holds the latest ids and not only the last.
"""

from typing import Any

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.references import LISTS
from chapelle.model.snapshot import OPERATIONAL_CUSTOM_FIELDS
from chapelle.netbox.reading import Get, MovedError, Query

_PATH = "core/object-changes/"
_WINDOW = 200
_PAGE = 1000
_ID_FIELDS = "id,request_id,time"

# New entries past which everything is read anew: to look at each would take longer.
_TOO_MANY = 500

# Models that no snapshot lists but whose objects show in the fields of those that it does.
_SHOWN_ELSEWHERE = frozenset({"dcim.macaddress", "dcim.cabletermination", "extras.customfield"})

# Kept by NetBox itself, and no part of any record.
_BOOKKEEPING = frozenset({"last_updated", "created"})


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment in the change log: the ids of its latest entries, and what the newest of them is.

    `lowest` is the id from which on the log must be looked through for what came since.
    """

    ids: frozenset[int]
    lowest: int
    newest: str


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


class _Id(msgspec.Struct):
    id: int
    request_id: str | None = None
    time: str | None = None

    @property
    def identity(self) -> str:
        """What no other log has under the same number."""
        return f"{self.id} {self.request_id} {self.time}"


class _Ids(msgspec.Struct):
    results: list[_Id]
    next: str | None = None


class _Entry(msgspec.Struct, kw_only=True):
    id: int
    user_name: str | None = None
    action: _Choice | None = None
    changed_object_type: str | None = None
    changed_object_id: int | None = None
    prechange_data: dict[str, Any] | None = None
    postchange_data: dict[str, Any] | None = None


class _Entries(msgspec.Struct):
    results: list[_Entry]


def mark(get: Get) -> Mark:
    """The present moment in NetBox's change log."""
    page = _get(get, {"fields": _ID_FIELDS, "ordering": "-id", "limit": _WINDOW}, _Ids)
    older = page.next is not None
    return _mark(page.results, min(entry.id for entry in page.results) if older else 0)


def since(get: Get, before: Mark) -> tuple[list[Change], Mark]:
    """What has changed since that moment as far as a snapshot shows it, and the new moment.

    What runs note for themselves (locks, run names, facts, journal entries) is not among it.

    Raises:
        MovedError: more changed than is worth looking through, or this is not the log that `before`
            is a moment of: it was cut, or NetBox was restored or set up anew.
    """
    entries: list[_Id] = []
    start = before.lowest
    while True:
        page = _get(get, {"fields": _ID_FIELDS, "start": start, "limit": _PAGE}, _Ids)
        entries += page.results
        new = [entry.id for entry in entries if entry.id not in before.ids]
        if len(new) > _TOO_MANY:
            raise MovedError(f"the change log has {len(new)} new entries, or more")
        if page.next is None or not page.results:
            break
        start = entries[-1].id + 1
    if before.newest and before.newest not in {entry.identity for entry in entries}:
        raise MovedError("the change log was cut or replaced")
    changes = []
    for offset in range(0, len(new), 50):
        for entry in _get(get, _details(new[offset : offset + 50]), _Entries).results:
            change = _relevant(entry)
            if change is not None:
                changes.append(change)
    latest = entries[-_WINDOW:]
    return changes, _mark(latest, latest[0].id if len(entries) > _WINDOW else before.lowest)


def _mark(entries: list[_Id], lowest: int) -> Mark:
    newest = max(entries, key=lambda entry: entry.id).identity if entries else ""
    return Mark(ids=frozenset(entry.id for entry in entries), lowest=lowest, newest=newest)


def _details(ids: list[int]) -> Query:
    fields = ",".join(_Entry.__struct_fields__)
    return {"fields": fields, "id": ids, "limit": len(ids)}


def _get[T](get: Get, query: Query, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(get(_PATH, query), type=kind)
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
