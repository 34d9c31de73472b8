"""What can be said of switches without changing anything: rendered, compared, verified, cabled."""

from collections.abc import Mapping, Sequence

from chapelle.checks.cabling import cabling as cabling_of
from chapelle.checks.fabric import as_intended
from chapelle.errors import ChapelleError, ExitCode, HostsFailedError, RefusedError
from chapelle.model.finding import Finding
from chapelle.model.outcome import Difference, Judgement
from chapelle.run.fabric import expect, reach, survey
from chapelle.run.fabric.connecting import connecting
from chapelle.run.fabric.known import store_of
from chapelle.run.fabric.standing import Stand
from chapelle.run.fabric.survey import Gear, Look, Looks
from chapelle.settings import Settings


def look(
    settings: Settings, gears: Mapping[str, Gear], *, facts: bool = False, forks: int
) -> Looks:
    """Look at switches."""
    store = store_of(settings)
    return survey.survey(gears, connecting(settings), store, forks=forks, facts=facts)


def parted(looks: Looks) -> tuple[dict[str, Look], dict[str, ChapelleError]]:
    """The looks that succeeded, and for each switch that could not be looked at why not."""
    errors = {name: each for name, each in looks.items() if isinstance(each, ChapelleError)}
    return {name: each for name, each in looks.items() if isinstance(each, Look)}, errors


def seen(looks: Looks) -> dict[str, Look]:
    """The looks, all of which succeeded.

    Raises:
        HostsFailedError: some switches could not be looked at; they are named.
    """
    good, failed = parted(looks)
    if failed:
        raise HostsFailedError(
            f"{len(failed)} of {len(looks)} switches could not be looked at: {', '.join(failed)}",
            where="; ".join(f"{name}: {each.message}" for name, each in list(failed.items())[:3]),
            expected="an answer from every switch of the scope: a change reaches all of them",
            found=next(iter(failed.values())).found,
            remedy="mend them, or leave them out with --limit; nothing was changed",
        )
    return good


def require_no_drift(looks: Mapping[str, Look]) -> None:
    """Make sure that nobody else changed our sections of any of these switches.

    Raises:
        RefusedError: somebody did; each change is shown.
    """
    drifted = {name: each.drift for name, each in looks.items() if each.drift}
    if drifted:
        lines = [
            line
            for name, drift in drifted.items()
            for line in (f"{name}:", *(f"  {each}" for each in drift.splitlines()))
        ]
        raise RefusedError(
            f"Somebody else changed {', '.join(drifted)} since a run last did.",
            expected="our own sections as the last run left them",
            found="\n            ".join(lines),
            remedy="--overwrite puts NetBox's intention in force; --adopt leaves these switches as "
            "they are and takes the change as known",
        )


def verify(settings: Settings, where: Stand, forks: int) -> list[Judgement]:
    """Judge switches: their configuration, what others changed, and what they do."""
    return judged(where, look(settings, where.gears, facts=True, forks=forks))


def judged(where: Stand, looks: Looks) -> list[Judgement]:
    """The same from looks with facts that were taken already."""
    ready = expect.in_service(where.dc)
    return [_judgement(where.gears[name], each, ready) for name, each in looks.items()]


def _judgement(gear: Gear, look: Look | ChapelleError, ready: set[str]) -> Judgement:
    if isinstance(look, ChapelleError):
        return Judgement(device=gear.name, error=str(look))
    found = []
    if look.pending:
        found.append(
            Difference(
                area="configuration",
                item=look.pending,
                expected="no change under way",
                found="one that is not confirmed",
            )
        )
    for area, diff in (("configuration", look.diff), ("drift", look.drift)):
        if diff:
            found.append(_lines(area, diff))
    if look.facts is not None:
        found += as_intended(expect.awaiting(gear.expected, ready), look.facts)
    return Judgement(device=gear.name, differences=tuple(found), diff=look.diff, drift=look.drift)


def _lines(area: str, diff: str) -> Difference:
    """A diff as one difference: how many lines, and the first of each sign."""
    lines = diff.splitlines()
    added = [line[1:].strip() for line in lines if line.startswith("+")]
    removed = [line[1:].strip() for line in lines if line.startswith("-")]
    return Difference(
        area=area,
        item=f"{len(added) + len(removed)} lines",
        expected=_first(added if area == "configuration" else removed),
        found=_first(removed if area == "configuration" else added),
    )


def _first(lines: list[str]) -> str:
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{lines[0]}{more}" if lines else "no such line"


def cabling(settings: Settings, where: Stand, forks: int) -> tuple[list[Finding], dict[str, str]]:
    """Compare the cables that LLDP sees with NetBox's.

    Returns:
        The findings, and for each switch that could not be asked why not.
    """
    looks, errors = parted(look(settings, where.gears, facts=True, forks=forks))
    facts = {name: each.facts for name, each in looks.items() if each.facts is not None}
    return cabling_of(where.dc, facts), messages(errors)


def messages(errors: Mapping[str, ChapelleError]) -> dict[str, str]:
    """Why switches could not be looked at, in one line each."""
    return {name: error.message for name, error in errors.items()}


def forks_of(given: int | None) -> int:
    """How many switches at a time: what was asked for, within what the CPU can carry."""
    return min(given or reach.DEFAULT_FORKS, reach.most_forks())


def exit_code(judgements: Sequence[Judgement]) -> ExitCode:
    """What judgements tell the shell."""
    if any(each.error for each in judgements):
        return ExitCode.HOSTS_FAILED
    return ExitCode.FINDINGS if any(each.differences for each in judgements) else ExitCode.OK
