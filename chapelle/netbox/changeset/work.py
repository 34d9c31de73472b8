"""Carries a set of changes out, or takes it back, step by step under its journal.

Each step can be begun again after a crash: it looks whether the request that nobody saw the end of
was done. An update and a deletion carry the ETag of what was looked at, so that whoever is second
gets nothing done. For making an object NetBox has no such thing: a lost request is waited for, and
made again only when nothing came of it.
"""

import time
from collections.abc import Callable

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.change import Change, Create, Delete, Fields, Ids, Update, mapped, part
from chapelle.netbox.access import UnreachableError
from chapelle.netbox.changeset import refusals
from chapelle.netbox.changeset.journal import Done, Ended, Journal, Refused, Turned
from chapelle.netbox.changeset.objects import COMPONENTS, Found, Objects, Say, label

PATIENCE = 300.0  # seconds that a NetBox which is away is waited for, in each step
SETTLE = 10.0  # seconds in which NetBox ends what it was asked by somebody who is gone
SWAPS = 10

_VERBS = {
    Create: ("made", "removed"),
    Update: ("changed", "changed back"),
    Delete: ("deleted", "made again"),
}


class Work:
    """One set of changes under way.

    Arguments:
        objects: NetBox.
        journal: what is to be done, and was.
        say: told of each step.
        patience: seconds that a NetBox which is away is waited for, in each step.
        ids: ids that objects have got since, by list and the id that changes know them by.
    """

    def __init__(
        self, objects: Objects, journal: Journal, say: Say, patience: float, ids: Ids
    ) -> None:
        self._objects = objects
        self._journal = journal
        self._say = say
        self._patience = patience
        # The ids that objects have got, by list and the id that changes know them by.
        self.ids: dict[tuple[str, int], int] = dict(ids)
        self._devices: set[int] = set()
        for _, done in sorted(journal.state.done.items()):
            self._learn(done)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The whole set."""
        return self._journal.state.changes

    # -- forwards ---------------------------------------------------------------------------------

    def write(self) -> None:
        """Do what is not done yet.

        Raises:
            RefusedError: a change does not fit, or NetBox refuses it; so far nothing was undone.
            UnreachableError: NetBox stayed away.
        """
        for step, change in enumerate(self.changes):
            if (False, step) in self._journal.state.done:
                continue
            match change:
                case Create():
                    self._make(step, undo=False)
                case Update():
                    self._swap(step, change.before, change.after, undo=False)
                case Delete():
                    self._remove(step, change.fields, undo=False)
        for step in sorted(self._journal.state.repeated):
            self._require_single(self.changes[step])
        self._journal.append(Ended(outcome="written"))

    # -- backwards --------------------------------------------------------------------------------

    def undo(self, reason: str) -> None:
        """Take back what was done, the last first.

        Raises:
            RefusedError: something was changed since, or other things hang on it: it is named, and
                `left` names what was not undone.
            UnreachableError: NetBox stayed away.
        """
        state = self._journal.state
        if state.turned is None:
            self._journal.append(Turned(reason=reason))
        for step in reversed(range(len(self.changes))):
            if (True, step) in state.done:
                continue
            if (False, step) not in state.done and (False, step) in state.begun:
                self._look(step, state.begun[False, step])
            if (False, step) in state.done:
                self._take_back(step)
        self._journal.append(Ended(outcome="undone"))

    def left(self) -> tuple[str, ...]:
        """What was done and is not taken back."""
        done = self._journal.state.done
        return tuple(
            f"{_VERBS[type(self.changes[step])][0]} {label(self.changes[step].list_name, d.fields)}"
            f" (id {d.id})"
            for (undo, step), d in sorted(done.items())
            if not undo and (True, step) not in done
        )

    def _take_back(self, step: int) -> None:
        change, done = self.changes[step], self._journal.state.done[False, step]
        match change:
            case Create():
                if self._goes_with_device(change):
                    self._leave(step, self._resolved(change.list_name, done.fields))
                else:
                    self._remove(step, done.fields, undo=True)
            case Update():
                self._swap(step, done.fields, change.before, undo=True)
            case Delete():
                self._make(step, undo=True)

    def _leave(self, step: int, wanted: Fields) -> None:
        """Let a component be deleted with its device, if nobody has changed it."""
        change = self.changes[step]
        number = self._number(change)
        found = self._patiently(lambda: self._objects.read(change.list_name, number))
        if found is not None:
            refusals.require(change.list_name, found, wanted)
        self._end(step, number, wanted, undo=True)

    def _look(self, step: int, begun: float) -> None:
        """Find out whether a request was done that nobody saw the end of; note it if it was.

        Raises:
            RefusedError: there is something that is neither.
        """
        change = self.changes[step]
        name = change.list_name
        if self._goes_with_device(change):
            return
        wanted = self._resolved(name, change.after if isinstance(change, Update) else change.fields)

        def there() -> Found | None:
            if isinstance(change, Create):
                return self._objects.find(name, wanted)
            return self._objects.read(name, self._number(change))

        def done() -> Found | None:
            found = there()
            if isinstance(change, Delete):
                return None if found else Found(id=self._number(change), fields=wanted)
            return found if found and found.has(wanted) else None

        found = self._patiently(lambda: self._awaited(done, begun))
        if found is not None:
            self._end(step, found.id, wanted, undo=False)
            return
        found = self._patiently(there)
        match change:
            case Create() if found is not None:
                raise refusals.in_the_way(name, found, wanted)
            case Update() if found is not None:
                refusals.require(name, found, self._resolved(name, change.before))

    # -- one change -------------------------------------------------------------------------------

    def _make(self, step: int, *, undo: bool) -> None:
        """Make an object, unless NetBox has made it by itself, or did so without our hearing."""
        change = self.changes[step]
        name = change.list_name
        assert not isinstance(change, Update)  # noqa: S101 - for the type checker
        wanted = self._resolved(name, change.fields)
        if self._goes_with_device(change):
            made = self._patiently(lambda: self._objects.find(name, wanted))
            if made is not None:
                self._fit(step, made, wanted, undo=undo)
                return
        begun = self._journal.state.begun

        def there() -> Found | None:
            return self._objects.find(name, wanted)

        def action() -> Found:
            since = begun.get((undo, step))
            found = there() if since is None else self._awaited(there, since)
            if found is None:
                try:
                    return self._ask(step, lambda: self._objects.create(name, wanted), undo=undo)
                except RefusedError:
                    # What was lost may have come late, and be what is now in the way.
                    found = there() if since is not None else None
                    if found is None:
                        raise
            if since is None or not found.has(wanted):
                raise refusals.in_the_way(name, found, wanted)
            return found

        found = self._patiently(action)
        self._end(step, found.id, part(found.fields, wanted), etag=found.etag, undo=undo)
        refusals.require_as_asked(name, found, wanted)
        if name == "devices":
            self._require_known_components(found.id)

    def _fit(self, step: int, found: Found, wanted: Fields, *, undo: bool) -> None:
        """Give a component that NetBox made of the device's type the fields that it shall have."""
        if not found.has(wanted):
            now = part(found.fields, wanted)
            other = {key for key in wanted if now[key] != wanted[key]}
            before, after = ({key: of[key] for key in other} for of in (now, wanted))
            found = self._change(step, found.id, before, after, undo=undo)
        self._end(step, found.id, part(found.fields, wanted), etag=found.etag, undo=undo)
        refusals.require_as_asked(self.changes[step].list_name, found, wanted)

    def _swap(self, step: int, before: Fields, after: Fields, *, undo: bool) -> None:
        """Give fields other values, if they have those that they must have."""
        change = self.changes[step]
        before, after = (self._resolved(change.list_name, each) for each in (before, after))
        number = self._number(change)
        found = self._change(step, number, before, after, undo=undo)
        now = part(found.fields, after)
        self._end(step, number, now, etag=found.etag, named=found.fields, undo=undo)
        refusals.require_as_asked(change.list_name, found, after)

    def _change(
        self, step: int, number: int, before: Fields, after: Fields, *, undo: bool
    ) -> Found:
        name = self.changes[step].list_name
        swaps = 0

        def action() -> Found | None:
            nonlocal swaps
            found = self._objects.read(name, number)
            if found is None:
                raise refusals.gone(name, number)
            if (undo, step) in self._journal.state.begun and found.has(after):
                return found  # it was done, though the answer was lost
            refusals.require(name, found, before)
            swaps += 1
            if swaps > SWAPS:
                raise refusals.contended(name, found, SWAPS)
            return self._ask(step, lambda: self._objects.update(name, found, after), undo=undo)

        return self._until(action)

    def _remove(self, step: int, wanted: Fields, *, undo: bool) -> None:
        """Delete an object, if it is as it must be and nothing else hangs on it."""
        change = self.changes[step]
        name, number = change.list_name, self._number(change)
        wanted = self._resolved(name, wanted)
        swaps = 0

        def action() -> Found | None:
            nonlocal swaps
            found = self._objects.read(name, number)
            if found is None:
                if undo or (undo, step) in self._journal.state.begun:
                    return Found(id=number, fields=wanted)
                raise refusals.gone(name, number)
            refusals.require(name, found, wanted)
            own = self._components_of(number) if name == "devices" else set()
            if hanging := self._objects.hanging(name, number, own):
                raise refusals.in_use(name, found, hanging)
            swaps += 1
            if swaps > SWAPS:
                raise refusals.contended(name, found, SWAPS)
            return self._ask(
                step, lambda: found if self._objects.delete(name, found) else None, undo=undo
            )

        self._until(action)
        self._end(step, number, wanted, undo=undo)

    def _ask[T](self, step: int, request: Callable[[], T], *, undo: bool) -> T:
        """Make a request, noted before, and after where NetBox says that it did nothing."""
        self._journal.begin(step, undo=undo)
        refused = Refused(step=step, undo=undo)
        try:
            answer = request()
        except UnreachableError:
            raise
        except ChapelleError:
            self._journal.append(refused)
            raise
        if answer is None:
            self._journal.append(refused)
        return answer

    # -- what is known ----------------------------------------------------------------------------

    def _end(
        self,
        step: int,
        number: int,
        fields: Fields,
        *,
        undo: bool,
        etag: str = "",
        named: Fields | None = None,
    ) -> None:
        done = Done(step=step, undo=undo, id=number, etag=etag, fields=fields)
        self._journal.append(done)
        self._learn(done)
        change = self.changes[step]
        what = label(change.list_name, named or fields)
        verb = _VERBS[type(change)][undo]
        self._say(f"{step + 1}/{len(self.changes)} {verb}: {what} (id {number})")

    def _learn(self, done: Done) -> None:
        """The id that NetBox gave to what a change made."""
        change = self.changes[done.step]
        if not isinstance(change, Delete if done.undo else Create):
            return
        for known in {change.id, self._number(change)}:
            self.ids[change.list_name, known] = done.id
        if change.list_name == "devices":
            self._devices.add(done.id)

    def _number(self, change: Change) -> int:
        return self.ids.get((change.list_name, change.id), change.id)

    def _resolved(self, list_name: str, fields: Fields) -> Fields:
        return mapped(list_name, fields, self.ids)

    def _goes_with_device(self, change: Change) -> bool:
        """Whether it is a component of a device that this set has made."""
        if isinstance(change, Update) or change.list_name not in COMPONENTS:
            return False
        return self._resolved(change.list_name, change.fields)["device"] in self._devices

    def _components_of(self, device: int) -> set[tuple[str, str]]:
        """The components, by list and name, of a device that this set has made."""
        if device not in self._devices:
            return set()
        return {
            (change.list_name, change.fields["name"])
            for change in self.changes
            if not isinstance(change, Update)
            and change.list_name in COMPONENTS
            and self._resolved(change.list_name, change.fields)["device"] == device
        }

    # -- making sure ------------------------------------------------------------------------------

    def _require_known_components(self, device: int) -> None:
        """Make sure that NetBox made nothing of a device's type that the changes do not know of."""
        known = self._components_of(device)
        made = self._patiently(lambda: self._objects.components(device))
        if unknown := sorted(made.keys() - known):
            raise RefusedError(
                "NetBox made components of a device's type that the plan does not know of.",
                where=f"devices, id {device}",
                expected=", ".join(sorted(name for _, name in known)) or "none",
                found=", ".join(f"{name} of {kind}" for kind, name in unknown),
                remedy="plan every component of the device's type",
            )

    def _require_single(self, change: Change) -> None:
        """Make sure that what was asked for twice was made once."""
        if not isinstance(change, Create):
            return
        wanted = self._resolved(change.list_name, change.fields)
        count = self._patiently(lambda: self._objects.count(change.list_name, wanted))
        if count != 1:
            raise RefusedError(
                f"{label(change.list_name, wanted)} was made more than once, or changed since.",
                where=f"{change.list_name}, id {self._number(change)}",
                expected="one that is as it was asked for",
                found=str(count),
                remedy="delete in NetBox what has another id",
            )

    # -- waiting ----------------------------------------------------------------------------------

    def _awaited[T](self, look: Callable[[], T | None], begun: float) -> T | None:
        """Look until something is there, or a request of that time can no longer be under way."""
        until = min(begun, time.time()) + SETTLE
        while (found := look()) is None and time.time() < until:
            time.sleep(0.25)
        return found

    def _until(self, action: Callable[[], Found | None]) -> Found:
        """Repeat the action while somebody else is faster."""
        while (found := self._patiently(action)) is None:
            pass
        return found

    def _patiently[T](self, action: Callable[[], T]) -> T:
        """What the action gives, through a NetBox that is away for a bounded time."""
        limit = time.monotonic() + self._patience
        pause = 0.5
        while True:
            try:
                return action()
            except UnreachableError:
                if time.monotonic() + pause > limit:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
