"""The evidence of an acceptance, for people at a terminal and for machines."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from chapelle.model.acceptance import (
    AREAS,
    FAILED,
    NOT_MEASURED,
    PASSED,
    Acceptance,
    Evidence,
    Verdict,
)
from chapelle.report.text import clean

_MARKS: dict[Verdict, str] = {PASSED: "passed", FAILED: "FAILED", NOT_MEASURED: "not measured"}

# So many things that are alike are all named.
_FEW = 2


def lines(made: Acceptance) -> Iterator[str]:
    """All evidence, area by area, and what it comes to: for the file that is kept."""
    yield from _by_area(made, _whole)


def brief(made: Acceptance) -> Iterator[str]:
    """The same for a terminal: what failed in full, and of the rest what is alike together."""
    yield from _by_area(made, _in_short)


def _by_area(
    made: Acceptance, told: Callable[[Sequence[Evidence]], Iterator[str]]
) -> Iterator[str]:
    yield f"Acceptance of {made.name} ({made.tenant}), run {made.run}, by {made.owner}"
    yield f"target {made.target}, snapshot {made.snapshot[:12]}, commit {made.commit[:12]}"
    if made.target == "lab":
        yield "All figures are the lab's: they say that something works, and not how fast it is."
    for area in AREAS:
        found = [each for each in made.evidence if each.area == area]
        if found:
            yield ""
            yield area
            yield from told(found)
    yield ""
    yield summary(made)


def _whole(some: Sequence[Evidence]) -> Iterator[str]:
    for each in some:
        yield from _evidence(each)


def _in_short(some: Sequence[Evidence]) -> Iterator[str]:
    yield from _whole([each for each in some if each.verdict == FAILED])
    yield from _together([each for each in some if each.verdict != FAILED])


def _together(some: Sequence[Evidence]) -> Iterator[str]:
    alike: dict[tuple[Verdict, str], list[Evidence]] = {}
    for each in some:
        alike.setdefault((each.verdict, each.found), []).append(each)
    for (verdict, words), group in alike.items():
        found = clean(words.removeprefix(f"{NOT_MEASURED}: "))
        names = [f"{each.item}: {each.what}" for each in group]
        if len(names) == 1:
            said = f"{names[0]}: {found}"
        elif len(names) <= _FEW:
            said = f"{found} ({'; '.join(names)})"
        else:
            said = f"{found} ({len(names)}, from {names[0]} to {names[-1]})"
        yield f"  {_MARKS[verdict]:<13} {said}"


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
