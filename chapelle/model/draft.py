"""A snapshot's content with changes in it: what NetBox will hold when they have been written.

So that checks, proofs and the configurations of switches can be computed before anything is.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from chapelle.errors import RefusedError
from chapelle.model.change import (
    CUSTOM,
    TERMINATIONS,
    Change,
    Create,
    Delete,
    Fields,
    Update,
    fields_of,
    mapped,
    order,
    part,
)
from chapelle.model.records import Content, Record
from chapelle.model.references import LISTS, MODELS, Names, references

_SIDES = dict(zip(TERMINATIONS, "AB", strict=True))


def apply(content: Content, changes: Iterable[Change]) -> Content:
    """The content as it is when the changes have been written, in their order.

    Raises:
        RefusedError: a change does not fit: what it starts from is not so, it refers to nothing,
            or something still refers to what it deletes. The error names the object.
    """
    draft = Draft(content)
    for change in changes:
        draft.add(change)
    return draft.content


class Draft:
    """A content that is being changed, and the changes so far.

    `create`, `update` and `delete` make a change, check that it fits, and keep it. `lowest` is the
    lowest id that there is, below zero as soon as an object is to be made.
    """

    def __init__(self, content: Content) -> None:
        self._before = content
        self._lists: dict[str, dict[int, Record]] = {}
        self._changes: list[Change] = []
        self._deleted: set[tuple[str, int]] = set()
        self.lowest = min(
            (record.id for name in MODELS for record in getattr(content, name)), default=0
        )

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes so far, in their order."""
        return tuple(self._changes)

    @property
    def content(self) -> Content:
        """The content with all changes.

        Raises:
            RefusedError: something refers to an object that was deleted.
        """
        lists: dict[str, Any] = {
            name: tuple(records[number] for number in sorted(records, key=order))
            for name, records in self._lists.items()
        }
        made = msgspec.structs.replace(self._before, **lists)
        if self._deleted:
            self._require_whole(made)
        return made

    def record(self, list_name: str, number: int) -> Any:
        """An object as it is by now.

        Raises:
            RefusedError: there is none of that id.
        """
        found = self._list(list_name).get(number)
        if found is None:
            raise _refused(
                f"{MODELS[list_name]} {number} is not there.",
                where=f"{list_name}, id {number}",
                expected="an object of that id",
                found="none",
            )
        return found

    def create(self, list_name: str, **fields: Any) -> int:
        """Make an object; returns its temporary id."""
        number = min(self.lowest, 0) - 1
        self.add(Create(list_name=list_name, id=number, fields=fields))
        return number

    def update(self, list_name: str, number: int, **after: Any) -> None:
        """Give fields of an object other values; no change where it has them already.

        Custom fields that are not named stay as they are.
        """
        now = fields_of(self.record(list_name, number))
        wanted = Update(list_name=list_name, id=number, before=part(now, after), after=after)
        before, after = wanted.before, dict(wanted.after)
        if CUSTOM in after:
            after[CUSTOM] = {k: v for k, v in after[CUSTOM].items() if before[CUSTOM][k] != v}
        after = {k: v for k, v in after.items() if (v if k == CUSTOM else before[k] != v)}
        if after:
            before = part(before, after)
            self.add(Update(list_name=list_name, id=number, before=before, after=after))

    def delete(self, list_name: str, number: int) -> None:
        """Remove an object."""
        now = fields_of(self.record(list_name, number))
        self.add(Delete(list_name=list_name, id=number, fields=now))

    def add(self, change: Change) -> None:
        """Take one more change in.

        Raises:
            RefusedError: it does not fit.
        """
        match change:
            case Create():
                self._create(change)
            case Update():
                self._update(change)
            case Delete():
                self._delete(change)
        self._changes.append(change)

    def _create(self, change: Create) -> None:
        if change.id in self._list(change.list_name):
            raise ValueError(f"two {change.list_name} have the temporary id {change.id}")
        record = change.record
        self._require_targets(change.list_name, record)
        self._list(change.list_name)[change.id] = record
        self.lowest = min(self.lowest, change.id)
        if change.list_name == "cables":
            self._plug(record)

    def _update(self, change: Update) -> None:
        now = self.record(change.list_name, change.id)
        self._require(change.list_name, now, change.before)
        after = dict(change.after)
        if CUSTOM in after:
            after[CUSTOM] = now.custom_fields | after[CUSTOM]
        plain = msgspec.to_builtins(now) | after
        made = msgspec.convert(plain, type(now))
        self._require_targets(change.list_name, made)
        self._list(change.list_name)[change.id] = made

    def _delete(self, change: Delete) -> None:
        now = self.record(change.list_name, change.id)
        self._require(change.list_name, now, change.fields)
        if getattr(now, "mac_address", None):
            name = self._name(change.list_name, now)
            raise _refused(
                f"{name} has a MAC address, and no undo brings it back.",
                where=f"{change.list_name}, id {change.id}",
                expected="no MAC address",
                found=str(now.mac_address),
                remedy="delete the MAC address in NetBox first",
            )
        if change.list_name == "cables":
            self._unplug(now)
        del self._list(change.list_name)[change.id]
        self._deleted.add((change.list_name, change.id))

    # -- cables -----------------------------------------------------------------------------------

    def _plug(self, cable: Any) -> None:
        for field, side in _SIDES.items():
            for end in getattr(cable, field):
                port = self.record(LISTS[end.object_type], end.object_id)
                if port.cable is not None:
                    name = self._name(LISTS[end.object_type], port)
                    raise _refused(
                        f"{name} has a cable in it.",
                        where=f"{end.object_type} {end.object_id}",
                        expected="a free port",
                        found=f"cable {port.cable}",
                    )
                self._hold(LISTS[end.object_type], port, cable=cable.id, cable_end=side)

    def _unplug(self, cable: Any) -> None:
        for field in _SIDES:
            for end in getattr(cable, field):
                port = self._list(LISTS[end.object_type]).get(end.object_id)
                if port is not None:
                    self._hold(LISTS[end.object_type], port, cable=None, cable_end=None)

    def _hold(self, list_name: str, port: Record, **held: Any) -> None:
        own = {name: value for name, value in held.items() if name in port.__struct_fields__}
        self._list(list_name)[port.id] = msgspec.structs.replace(port, **own)

    # -- whether it fits --------------------------------------------------------------------------

    def _list(self, list_name: str) -> dict[int, Record]:
        if list_name not in self._lists:
            records = getattr(self._before, list_name)
            self._lists[list_name] = {record.id: record for record in records}
        return self._lists[list_name]

    def _require(self, list_name: str, record: Record, wanted: Fields) -> None:
        """Make sure that an object has these values."""
        found = part(fields_of(record), wanted)
        if found == wanted:
            return
        name = next(name for name in wanted if found[name] != wanted[name])
        raise _refused(
            f"{self._name(list_name, record)} is not as the plan found it.",
            where=f"{list_name}, id {record.id}, {name}",
            expected=repr(wanted[name]),
            found=repr(found[name]),
            remedy="somebody changed it since; plan again",
        )

    def _require_targets(self, list_name: str, record: Record) -> None:
        for field, target, number in references(list_name, record):
            if number not in self._list(target):
                raise _refused(
                    f"A change refers to {MODELS[target]} {number}, which is not there.",
                    where=f"{list_name}, id {record.id}, {field}",
                    expected="an object of that id, made before",
                    found="none",
                )

    def _require_whole(self, content: Content) -> None:
        for list_name in MODELS:
            for record in getattr(content, list_name):
                for field, target, number in references(list_name, record):
                    if (target, number) in self._deleted:
                        raise _refused(
                            f"{self._name(list_name, record)} still refers to what is deleted.",
                            where=f"{list_name}, id {record.id}, {field}",
                            expected=f"nothing that needs {MODELS[target]} {number}",
                            found=f"{field} {number}",
                        )

    def _name(self, list_name: str, record: Record) -> str:
        """What the object is called; objects that are new have their names, too."""
        names = Names(msgspec.structs.replace(self._before, **{
            name: tuple(records.values()) for name, records in self._lists.items()
        }))  # fmt: skip
        return names.name(list_name, record.id)


def inverse(changes: Iterable[Change]) -> tuple[Change, ...]:
    """What takes the changes back, in the content that they led to.

    What they deleted is made again under a new temporary id: equal in all but ids.
    """
    done = tuple(changes)
    lowest = min((change.id for change in done), default=0)
    again: dict[tuple[str, int], int] = {}
    made: list[Change] = []
    for change in reversed(done):
        name = change.list_name
        number = again.get((name, change.id), change.id)
        match change:
            case Create():
                fields = mapped(name, fields_of(change.record), again)
                made.append(Delete(list_name=name, id=number, fields=fields))
            case Update():
                before, after = (mapped(name, f, again) for f in (change.after, change.before))
                made.append(Update(list_name=name, id=number, before=before, after=after))
            case Delete():
                lowest = again[name, change.id] = min(lowest, 0) - 1
                fields = mapped(name, change.fields, again)
                made.append(Create(list_name=name, id=lowest, fields=fields))
    return tuple(made)


def _refused(message: str, **details: str) -> RefusedError:
    return RefusedError(message, **details)
