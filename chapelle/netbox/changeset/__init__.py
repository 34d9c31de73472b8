"""Writes a set of changes to NetBox, all or nothing.

Each request stands in a journal before it is made, and its outcome after, so that a set that was
interrupted at any instant can be finished (`resume`) or taken back (`undo`). What NetBox refuses,
or somebody has changed since the plan, takes back by itself what was written before.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from chapelle.errors import ChapelleError, InputError
from chapelle.model.change import Change, Create, Delete, Ids, Update
from chapelle.netbox.access import NotNetBoxError, Session, TokenError, UnreachableError
from chapelle.netbox.changeset import refusals
from chapelle.netbox.changeset.journal import Journal, created, opened, require_new
from chapelle.netbox.changeset.objects import KEYS, Objects, Say
from chapelle.netbox.changeset.work import PATIENCE, Work

__all__ = ["KEYS", "PATIENCE", "Result", "Say", "resume", "undo", "write"]

# Nothing can be done, nor undone, while it is so.
_AWAY = (UnreachableError, NotNetBoxError, TokenError)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a set of changes ended, and the ids that NetBox gave.

    Arguments:
        outcome: how.
        ids: of what was made, by list and temporary id; once undone, of what was deleted and made
            again, by list and the id that it had.
    """

    outcome: Literal["written", "undone"]
    ids: Ids


def write(
    session: Session,
    changes: Iterable[Change],
    journal_path: Path,
    say: Say,
    *,
    patience: float = PATIENCE,
) -> Result:
    """Write the changes, in their order.

    Arguments:
        session: NetBox, with the token of mode `tenancy`.
        changes: what is to be done.
        journal_path: where the journal is to stand; there is nothing yet.
        say: told of each change that was made.
        patience: seconds that a NetBox which is away is waited for, in each step.

    Returns: the ids of what was made; the outcome is always `written`.

    Raises:
        InputError: changes make objects of a kind that is not made so.
        RefusedError: NetBox is not as the changes expect, or refuses one: nothing is changed.
        UnreachableError: NetBox stayed away: to be resumed, or undone.
        ChapelleError: what was written could not be undone; the error says what is left.
    """
    wanted = tuple(changes)
    objects = Objects(session)
    _require_makeable(wanted)
    require_new(journal_path)
    _require_fresh(objects, wanted)
    with created(journal_path, _address(session), wanted) as journal:
        return _written(Work(objects, journal, say, patience, {}), journal)


def resume(session: Session, journal_path: Path, say: Say, *, patience: float = PATIENCE) -> Result:
    """Go on with a set of changes where it stopped: it is finished, or undone if that was begun.

    Raises:
        InputError: there is no such journal, or it is another NetBox's.
        LockedError: another process is at work on it.
        ChapelleError: as `write`.
    """
    with opened(journal_path) as journal:
        work = _work(session, journal, say, patience)
        if journal.state.outcome is not None:
            return _result(work, journal)
        if journal.state.turned is not None:
            return _undone(work, journal, journal.state.turned)
        return _written(work, journal)


def undo(
    session: Session,
    journal_path: Path,
    say: Say,
    *,
    ids: Ids | None = None,
    patience: float = PATIENCE,
) -> Result:
    """Take back what a set of changes has done, the last first, wherever it stopped.

    Arguments:
        session: NetBox, with the token of mode `tenancy`.
        journal_path: the journal of the set.
        say: told of each change that was taken back.
        ids: those of objects that have got another since the set was written, because a later set
            that deleted them was undone; its result has them.
        patience: seconds that a NetBox which is away is waited for, in each step.

    Raises:
        InputError: there is no such journal, or it is another NetBox's.
        LockedError: another process is at work on it.
        ChapelleError: as `write`; what is left is said.
    """
    with opened(journal_path) as journal:
        work = _work(session, journal, say, patience, ids)
        if journal.state.outcome == "undone":
            return _result(work, journal)
        return _undone(work, journal, "it was asked for")


def _work(
    session: Session, journal: Journal, say: Say, patience: float, ids: Ids | None = None
) -> Work:
    here, there = _address(session), journal.state.url
    if here != there:
        raise InputError(
            "These changes were begun in another NetBox.",
            where=str(journal.path),
            expected=there or "the embedded NetBox",
            found=here or "the embedded NetBox",
            remedy="set NETBOX_URL to that one, or unset it for the embedded one",
        )
    return Work(Objects(session), journal, say, patience, ids or {})


def _address(session: Session) -> str:
    """What a journal calls this NetBox; the embedded one may have another port each time."""
    return "" if session.granted.embedded else session.granted.url


def _result(work: Work, journal: Journal) -> Result:
    outcome: Literal["written", "undone"] = (
        "undone" if journal.state.outcome == "undone" else "written"
    )
    kind = Delete if outcome == "undone" else Create
    asked = {(c.list_name, c.id) for c in work.changes if isinstance(c, kind)}
    ids = {key: number for key, number in work.ids.items() if key in asked}
    return Result(outcome=outcome, ids=ids)


def _written(work: Work, journal: Journal) -> Result:
    try:
        work.write()
    except _AWAY as error:
        raise _interrupted(error, journal) from error
    except ChapelleError as error:
        _undone(work, journal, error.message)
        raise
    return _result(work, journal)


def _undone(work: Work, journal: Journal, reason: str) -> Result:
    try:
        work.undo(reason)
    except _AWAY as error:
        raise _interrupted(error, journal) from error
    except ChapelleError as error:
        raise ChapelleError(
            f"Not all that was written could be taken back. {error.message}",
            where=error.where,
            expected=error.expected,
            found=f"{error.found or ''}; left: {'; '.join(work.left())}",
            remedy=f"{error.remedy or 'mend it in NetBox'}; then resume by {journal.path}"
            f" (it was being undone, because: {reason})",
        ) from error
    return _result(work, journal)


def _interrupted(error: ChapelleError, journal: Journal) -> ChapelleError:
    """The same error, with what it means for the changes."""
    return type(error)(
        f"The changes are written in part. {error.message}",
        where=error.where,
        expected=error.expected,
        found=error.found,
        remedy=f"{error.remedy or 'see to it'}; then resume, or undo, by {journal.path}",
    )


def _require_makeable(changes: tuple[Change, ...]) -> None:
    unknown = {c.list_name for c in changes if isinstance(c, Create)} - KEYS.keys()
    if unknown:
        raise InputError(
            "Changes make objects of a kind that only a person, or the design, makes.",
            where=", ".join(sorted(unknown)),
            expected=f"one of {', '.join(sorted(KEYS))}",
        )


def _require_fresh(objects: Objects, changes: tuple[Change, ...]) -> None:
    """Make sure, before anything is written, that what is to be changed is as it must be.

    Each change looks again when its turn comes; this is so that most refusals leave no trace.
    """
    first: dict[str, dict[int, Change]] = defaultdict(dict)
    for change in changes:
        if change.id > 0:
            first[change.list_name].setdefault(change.id, change)
    for name, by_id in first.items():
        found = objects.read_many(name, by_id)
        for number, change in by_id.items():
            if number not in found:
                raise refusals.gone(name, number)
            wanted = change.before if isinstance(change, Update) else change.fields
            known = {key: value for key, value in wanted.items() if key in found[number].fields}
            refusals.require(name, found[number], known)
