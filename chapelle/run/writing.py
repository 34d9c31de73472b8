"""What a run writes back to NetBox: statuses by the transition table, journal entries, facts.

A server on which nothing changed is not written to at all.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.outcome import StepResult
from chapelle.model.status import TRANSITIONS
from chapelle.netbox.writeback import Writer
from chapelle.run.commit import short

# Requests to NetBox at one time. A NetBox with two workers gains nothing from more.
WRITERS = 4

STAGED = "staged"
_FAILURES = ("failed", "unreachable")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One server to be written about.

    `status` is what NetBox says now, `work` the steps before write-back, `run` the run's id, and
    `plan` and `commit` what was done there. `facts` were read on the server. `words` say what was
    done to it when all went well. `asked` is when it was first tried to write this, if it was
    (seconds since the epoch): it may be in NetBox already. A server that
    is made `anew` is out of service from the beginning. `ends` is its status when all went well.
    """

    name: str
    device_id: int
    status: str
    work: tuple[StepResult, ...]
    facts: dict[str, Any]
    run: str
    plan: str
    commit: str
    words: str = "configured and verified"
    anew: bool = False
    ends: str = "active"
    asked: float | None = None


def staged_first(status: str) -> bool:
    """Whether a server with this status becomes `staged` before it is worked on."""
    return status not in {STAGED, "active"} and STAGED in TRANSITIONS[status]


def failed(work: tuple[StepResult, ...]) -> StepResult | None:
    """The step that failed, if one did."""
    return next((step for step in work if step.outcome in _FAILURES), None)


def final_status(status: str, work: tuple[StepResult, ...], ends: str = "active") -> str:
    """The status after the work.

    A server that is `active` stays so, whatever befell it, unless the run itself took it out of
    service and did not bring it back.
    """
    taken_out = any(step.step == "drain" and step.outcome not in _FAILURES for step in work)
    if status == "active" and not taken_out:
        return status
    if failed(work):  # what a person took out keeps its status
        return "failed" if "failed" in TRANSITIONS[status] else status
    return ends


def stage(writer: Writer, entry: Entry) -> str:
    """Make the server `staged` in NetBox unless its status needs no such thing; the new status.

    Raises:
        ChapelleError: NetBox says something else of the server now, or cannot be reached.
    """
    if not staged_first(entry.status) and not (entry.anew and entry.status == "active"):
        return entry.status
    writer.set_status(entry.device_id, entry.name, entry.status, STAGED)
    return STAGED


def write(writer: Writer, entry: Entry) -> tuple[str, bool]:
    """Write back how a server fared.

    Returns:
        Its status in NetBox now, and whether anything was written.

    Raises:
        ChapelleError: NetBox says something else of the server now, or cannot be reached.
    """
    wanted = final_status(entry.status, entry.work, entry.ends)
    bad = failed(entry.work)
    changed = any(step.outcome == "changed" for step in entry.work)
    if wanted == entry.status and not changed and not bad:
        return entry.status, False
    kind = "danger" if bad else "success"
    writer.journal(entry.device_id, text(entry), kind, asked=entry.asked)
    # Last: who sees the new status finds the rest written.
    writer.set_status(
        entry.device_id, entry.name, entry.status, wanted, facts=entry.facts or None, run=entry.run
    )
    return wanted, True


def text(entry: Entry) -> str:
    """A NetBox journal entry (Markdown) about a server."""
    bad = failed(entry.work)
    if bad:
        head = f"chapelle: {bad.step} {bad.outcome}: {bad.message or 'no reason was given'}"
    else:
        changes = sum(len(step.changes) for step in entry.work)
        head = f"chapelle: {entry.words}, {changes} changes"
    facts = (f"run `{entry.run}`", f"commit `{short(entry.commit)}`", f"plan `{entry.plan[:12]}`")
    return "\n- ".join([f"{head}\n", *facts])


def at_once[T](
    work: Callable[[Entry], T], entries: list[Entry]
) -> list[tuple[Entry, T | ChapelleError]]:
    """Do `work` on all entries, a few at a time; an error is returned in its entry's place."""

    def guarded(entry: Entry) -> T | ChapelleError:
        try:
            return work(entry)
        except ChapelleError as error:
            return error

    with ThreadPoolExecutor(max_workers=WRITERS) as pool:
        return list(zip(entries, pool.map(guarded, entries), strict=True))
