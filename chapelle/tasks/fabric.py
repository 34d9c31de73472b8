"""Tasks of fabric: the switches' configuration, from NetBox to the device and back."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from chapelle.errors import ExitCode, InputError
from chapelle.files import write
from chapelle.plan import plan as plans
from chapelle.plan import scope as scopes
from chapelle.plan.scope import Scope
from chapelle.report import content
from chapelle.report import fabric as shown
from chapelle.run.fabric import looking, standing
from chapelle.run.fabric import push as pushing
from chapelle.run.fabric.order import ADOPT, OVERWRITE, STOP, Limits
from chapelle.run.operator import Done
from chapelle.settings import Settings
from chapelle.tasks._command import command
from chapelle.tasks._terminal import Terminal

_SCOPE_HELP = {
    "aisle": "the switches of aisles by number, such as 2 or 1,2, or all",
    "limit": "switches by name or pattern, such as leaf-a2-1a,spine-*",
}
_FORKS = "switches at a time (default 4, 8 for each core at most)"
_DRIFT_HELP = {
    "adopt": "leave switches that others changed as they are, and take the change as known",
    "overwrite": "change switches that others changed too: NetBox is right",
}


@command(help={**_SCOPE_HELP, "out": "write a file for each switch into this directory"})
def render(
    _context: object, aisle: str | None = None, limit: str | None = None, out: str | None = None
) -> None:
    """Print our sections of each switch's configuration, as NetBox says. Talks to no switch.

    Without --aisle and --limit: of all switches.
    """
    where = _stand(Settings.load(), _scope(aisle, limit), reachable=False)
    if out is None:
        for name, gear in where.gears.items():
            print(f"! ---- {name} ({gear.target.platform})\n{gear.sections}", end="")
        return
    directory = Path(out).expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    for name, gear in where.gears.items():
        write(directory / f"{name}.conf", gear.sections.encode())
    print(f"{len(where.gears)} files in {directory}")


@command(
    help={
        **_SCOPE_HELP,
        "forks": _FORKS,
        "json": "print the diffs as one JSON document",
    }
)
def diff(
    _context: object,
    aisle: str | None = None,
    limit: str | None = None,
    forks: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Show what a push would change; switches with the same diff together. Changes nothing.

    Exit codes: 0 nothing would change, 99 something would, 5 switches that do not answer.
    """
    settings = Settings.load()
    where = _stand(settings, _scope(aisle, limit))
    looks, failed = looking.parted(looking.look(settings, where.gears, forks=_forks(forks)))
    errors = looking.messages(failed)
    diffs = {name: look.diff for name, look in looks.items()}
    drifts = {name: look.drift for name, look in looks.items() if look.drift}
    if json:
        _print_json({"kind": "diff", "diffs": diffs, "drift": drifts, "not_asked": errors})
    else:
        if diffs:
            shown.print_diffs(diffs)
        for name, drift in drifts.items():
            print(f"\nchanged by others on {name}:\n{drift}", end="")
        for name, error in errors.items():
            print(f"not looked at: {name}: {error}")
    if errors:
        return ExitCode.HOSTS_FAILED
    return ExitCode.FINDINGS if any(diffs.values()) or drifts else ExitCode.OK


@command(
    help={
        **_SCOPE_HELP,
        **_DRIFT_HELP,
        "out": "write the plan to this file, for fabric.push --plan",
        "forks": _FORKS,
    }
)
def plan(
    _context: object,
    *,
    aisle: str | None = None,
    limit: str | None = None,
    out: str | None = None,
    adopt: bool = False,
    overwrite: bool = False,
    forks: str | None = None,
) -> None:
    """Say what a push would change, and in which order. Reads the switches and touches nothing.

    A plan names the snapshot of NetBox, the commit, and the SHA-256 of each switch's diff, and has
    a hash. `fabric.push --plan FILE` applies just that, or says what has moved since.
    """
    order = pushing.Order(
        scope=_exactly(aisle, limit), drift=_drift(adopt, overwrite), forks=_forks(forks)
    )
    made = pushing.plan(Settings.load(), order, Terminal(json=False))
    if out:
        write(Path(out).expanduser(), plans.encode(made))
    shown.print_push(made, file=out or "")


@command(
    help={
        **_SCOPE_HELP,
        **_DRIFT_HELP,
        "plan": "apply the plan in this file, or refuse and say what has moved",
        "dry-run": "change nothing anywhere: show what would change",
        "yes": "do not ask before switches of the site are touched",
        "resume": "go on with the run of this id; what is done is not done again",
        "forks": _FORKS,
        "device-seconds": "what a switch may take until it is armed (default 300); then it is left",
        "revert-after": "seconds until a switch takes an unconfirmed change back by itself "
        "(default 120; 300 if the change touches the path by which we manage it)",
        "json": "print events as JSON, one a line, and the result as the last",
    }
)
def push(
    _context: object,
    *,
    aisle: str | None = None,
    limit: str | None = None,
    plan: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
    adopt: bool = False,
    overwrite: bool = False,
    resume: str | None = None,
    forks: str | None = None,
    device_seconds: str | None = None,
    revert_after: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Bring switches to what NetBox says, each in a transaction, or take all of it back.

    1. Findings of severity error about a switch stop here, and so does a switch that does not
       answer, or that somebody else changed (--adopt or --overwrite).
    2. What would change is shown and approved; the aisles are locked in NetBox.
    3. A leaf is the canary; then the other leafs, never two of a pair; border leafs and spines one
       at a time, spines drained; out-of-band switches last.
    4. Each switch: check, diff, checkpoint, arm its own revert, apply, compare, check over a new
       session, confirm, persist. Whatever happens, it ends in the old or the new configuration.
    5. The first switch that fails halts the run, and all switches are taken back.

    Exit codes: 0 done, 1 stopped or the program failed, 2 bad input, 3 refused, 4 locked by
    somebody else, 5 a switch failed and the change was taken back.
    """
    terminal = Terminal(json=json, yes=yes)
    order = pushing.Order(
        scope=_one_of(aisle, limit, plan, resume),
        plan=Path(plan).expanduser() if plan is not None else None,
        resume=resume,
        drift=_drift(adopt, overwrite),
        forks=_forks(forks),
        limits=_limits(device_seconds, revert_after),
    )
    if dry_run:
        return _dry_run(order, terminal)
    return _show(pushing.push(Settings.load(), order, terminal), terminal)


@command(help={**_SCOPE_HELP, "forks": _FORKS, "json": "print the differences as JSON"})
def verify(
    _context: object,
    aisle: str | None = None,
    limit: str | None = None,
    forks: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Say in what switches differ from what NetBox says. Changes nothing.

    Looked at are the configuration, what others changed, BGP sessions, VNIs, ports, and LLDP.

    Exit codes: 0 no difference, 99 differences, 5 switches that could not be looked at.
    """
    settings = Settings.load()
    scope = _scope(aisle, limit)
    judgements = looking.verify(settings, _stand(settings, scope), _forks(forks))
    if json:
        _print_json(shown.judgements_document(judgements))
    else:
        shown.print_judgements(judgements, scope=str(scope))
    return looking.exit_code(judgements)


@command(
    help={
        "run": "the id of the run, as runs.list prints it",
        "yes": "do not ask before switches of the site are touched",
        "overwrite": _DRIFT_HELP["overwrite"],
        "forks": _FORKS,
        "json": "print events as JSON, one a line, and the result as the last",
    },
)
def revert(
    _context: object,
    run: str,
    yes: bool = False,
    overwrite: bool = False,
    forks: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Bring the switches that a run changed back to what they ran before it.

    Only our own sections go back; what others configured since stays. Each switch goes through the
    same transaction, in the same order of switches, as in a push.
    """
    terminal = Terminal(json=json, yes=yes)
    order = pushing.Order(revert=run, drift=_drift(False, overwrite), forks=_forks(forks))
    return _show(pushing.push(Settings.load(), order, terminal), terminal)


@command(help={**_SCOPE_HELP, "forks": _FORKS, "json": "print the findings as one JSON document"})
def cabling(
    _context: object,
    aisle: str | None = None,
    limit: str | None = None,
    forks: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Compare the cables that LLDP sees with NetBox's: missing, swapped, wrong, unknown.

    Exit codes: 0 nothing found, 99 findings, 5 switches that could not be asked.
    """
    settings = Settings.load()
    where = _stand(settings, _scope(aisle, limit))
    findings, errors = looking.cabling(settings, where, _forks(forks))
    base = where.scene.netbox_url
    if json:
        document = content.findings_document(findings, where.dc.snapshot.hash, base)
        _print_json({**document, "not_asked": errors})
    else:
        shown.print_cabling(findings, errors, base)
    if errors:
        return ExitCode.HOSTS_FAILED
    return ExitCode.FINDINGS if findings else ExitCode.OK


# -- arguments and answers ------------------------------------------------------------------------


def _stand(settings: Settings, scope: Scope, *, reachable: bool = True) -> standing.Stand:
    return standing.stand(settings, scope, Terminal(json=False), reachable=reachable)


def _scope(aisle: str | None, limit: str | None) -> Scope:
    if aisle is None and limit is None:
        return scopes.parse(aisle=scopes.ALL)
    return _exactly(aisle, limit)


def _exactly(aisle: str | None, limit: str | None) -> Scope:
    if (aisle is None) == (limit is None):
        raise InputError(
            "Say which switches are meant.",
            where="the command line",
            expected="one of --aisle and --limit",
            found="both" if aisle is not None else "none of them",
            remedy="for instance: --aisle=2, --aisle=all, or --limit=leaf-a2-1a",
        )
    return scopes.parse(aisle=aisle, limit=limit)


def _one_of(
    aisle: str | None, limit: str | None, plan: str | None, resume: str | None
) -> Scope | None:
    given = {"--aisle": aisle, "--limit": limit, "--plan": plan, "--resume": resume}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise InputError(
            "Say once what is to be pushed.",
            where="the command line",
            expected="exactly one of --aisle, --limit, --plan, and --resume",
            found=" and ".join(named) or "none of them",
        )
    return _exactly(aisle, limit) if plan is None and resume is None else None


def _drift(adopt: bool, overwrite: bool) -> str:
    if adopt and overwrite:
        raise InputError(
            "--adopt and --overwrite contradict each other.",
            where="the command line",
            expected="one of them at most",
            found="both",
        )
    return ADOPT if adopt else OVERWRITE if overwrite else STOP


def _forks(text: str | None) -> int:
    return looking.forks_of(None if text is None else _whole("--forks", text))


def _limits(device_seconds: str | None, revert_after: str | None) -> Limits:
    limits = Limits()
    if device_seconds is not None:
        seconds = float(_whole("--device-seconds", device_seconds))
        limits = msgspec.structs.replace(limits, before=seconds)
    if revert_after is not None:
        seconds = _whole("--revert-after", revert_after)
        longer = max(seconds, limits.management)
        limits = msgspec.structs.replace(limits, revert=seconds, management=longer)
    return limits


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 86400):
        raise InputError(
            f"{name} is no such number.",
            where="the command line",
            expected="a whole number from 1 to 86400",
            found=repr(text),
        )
    return int(text)


def _dry_run(order: pushing.Order, terminal: Terminal) -> ExitCode:
    if order.resume:
        raise InputError(
            "--resume goes on with a run, and a dry run does nothing to go on with.",
            where="the command line",
            expected="--dry-run with --aisle, --limit, or --plan",
            found="--dry-run --resume",
        )
    made = pushing.dry_run(Settings.load(), order, terminal)
    if terminal.json:
        _print_json({"kind": "plan", "plan": msgspec.to_builtins(made), "hash": made.hash})
    return ExitCode.OK


def _show(done: Done, terminal: Terminal) -> ExitCode:
    terminal.conclude(done)
    return ExitCode(done.result.exit_code)


def _print_json(document: dict[str, Any]) -> None:
    print(msgspec.json.encode(document).decode(), file=sys.stdout, flush=True)
