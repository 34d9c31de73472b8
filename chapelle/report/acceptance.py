"""The evidence of an acceptance, for people at a terminal and for machines."""

import datetime
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from chapelle.model import tenant_view
from chapelle.model.acceptance import (
    AREAS,
    FAILED,
    ISOLATION,
    LINES,
    LINKS,
    LOSS,
    METERS,
    NOT_MEASURED,
    PASSED,
    POWER,
    Acceptance,
    Evidence,
    Verdict,
)
from chapelle.report.text import clean

_MARKS: dict[Verdict, str] = {PASSED: "passed", FAILED: "FAILED", NOT_MEASURED: "not measured"}


def lines(made: Acceptance) -> Iterator[str]:
    """All evidence, area by area, and what it comes to."""
    yield f"Acceptance of {made.name} ({made.tenant}), run {made.run}, by {made.owner}"
    yield f"target {made.target}, snapshot {made.snapshot[:12]}, commit {made.commit[:12]}"
    if made.target == "lab":
        yield "All figures are the lab's: they say that something works, and not how fast it is."
    for area in AREAS:
        found = [each for each in made.evidence if each.area == area]
        if found:
            yield ""
            yield area
            for each in found:
                yield from _evidence(each)
    yield ""
    yield summary(made)


def _evidence(each: Evidence) -> Iterator[str]:
    yield f"  {_MARKS[each.verdict]:<13} {each.item}: {each.what}: {clean(each.found)}"
    if each.verdict == FAILED:
        yield f"  {'':<13} expected: {each.expected}"
    yield f"  {'':<13} {moment(each.when)}, {each.how}"


def moment(when: float) -> str:
    """A time as ISO 8601 writes it, to the second, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def summary(made: Acceptance) -> str:
    """What it comes to, in one line."""
    counts = ", ".join(f"{len(made.of(verdict))} {verdict}" for verdict in _MARKS)
    return f"{'accepted' if made.accepted else 'NOT accepted'}: {counts}"


def document(made: Acceptance) -> dict[str, Any]:
    """The same for machines: the acceptance as it is kept, and whether it is one."""
    return {
        "kind": "acceptance",
        "accepted": made.accepted,
        "acceptance": msgspec.to_builtins(made),
    }


# -- for the file that both sides sign ------------------------------------------------------------

_KINDS = {LINKS: "link", LOSS: "leaf", POWER: "cord", METERS: "meter"}
_OUTCOMES: dict[Verdict, str] = {PASSED: "passed", FAILED: "failed", NOT_MEASURED: "unknown"}
# What else was found may name somebody else's equipment.
_TOLD = frozenset({LINES, LOSS, METERS})


def for_handover(made: Acceptance) -> tuple[tenant_view.Evidence, ...]:
    """The evidence as the tenant sees it: of isolation only whether it holds."""
    shown = [each for each in made.evidence if each.area != ISOLATION]
    proofs = sorted(
        (each for each in made.evidence if each.area == ISOLATION),
        key=lambda each: (FAILED, NOT_MEASURED, PASSED).index(each.verdict),
    )
    return tuple(_for_handover(made, each) for each in (*shown, *proofs[:1]))


def _for_handover(made: Acceptance, each: Evidence) -> tenant_view.Evidence:
    isolation = each.area == ISOLATION
    told = each.area in _TOLD and each.verdict != NOT_MEASURED
    return msgspec.convert(
        {
            "tenant": made.tenant,
            "kind": "isolation" if isolation else _KINDS.get(each.area, each.what),
            "subject": made.name if isolation else _subject(each),
            "outcome": _OUTCOMES[each.verdict],
            "measured": clean(each.found) if told else "",
            "at": datetime.datetime.fromtimestamp(int(each.when), datetime.UTC),
            "run": made.run,
        },
        tenant_view.Evidence,
    )


def _subject(each: Evidence) -> str:
    return each.item if each.area == LINES else f"{each.item}: {each.what}"
