"""The tasks `plan`, `provision` and `drift`."""

from pathlib import Path
from typing import TYPE_CHECKING

from chapelle.errors import ExitCode, InputError
from chapelle.files import write
from chapelle.plan import plan as plans
from chapelle.plan import scope as scopes
from chapelle.plan.scope import Scope
from chapelle.report import drift as drift_report
from chapelle.report import fabric as fabric_report
from chapelle.report import summary
from chapelle.report.plan import print_plan
from chapelle.run import prepare
from chapelle.run import provision as running
from chapelle.run.engine import DEFAULT_MAX_FAILED
from chapelle.run.fabric import looking, standing
from chapelle.run.operator import Done
from chapelle.run.provision import Order
from chapelle.settings import Settings
from chapelle.tasks._command import command
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.snapshot import print_lines

if TYPE_CHECKING:
    from chapelle.model.finding import Finding
    from chapelle.run.fabric.standing import Stand
    from chapelle.run.fabric.survey import Looks
    from chapelle.run.prepare import Scene

SCOPE_HELP = {
    "aisle": "aisles by number, such as 2 or 1,2, or all",
    "rack": "racks by name, such as A2-R01,A2-R02",
    "limit": "hosts by name or pattern, such as compute-a2-01,storage-a2-*",
}


@command(
    help={
        **SCOPE_HELP,
        "out": "write the plan to this file, for provision --plan",
    }
)
def plan(
    _context: object,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    out: str | None = None,
) -> None:
    """Say what provision would do. Reads NetBox and touches nothing.

    A plan names the snapshot of NetBox, the commit and each host with what is intended for it, and
    has a hash. `provision --plan FILE` applies it, or says what has moved since.
    """
    scope = scopes.parse(aisle=aisle, rack=rack, limit=limit)
    made = running.plan(Settings.load(), scope, Terminal(json=False))
    if out:
        write(Path(out).expanduser(), plans.encode(made))
    print_plan(made, file=out or "")


@command(
    help={
        **SCOPE_HELP,
        "plan": "apply the plan in this file, or refuse and say what has moved",
        "dry-run": "change nothing anywhere: show the plan and what hosts that answer would get",
        "yes": "do not ask before servers of the site are touched",
        "resume": "go on with the run of this id; what is done is not done again",
        "max-failed": "hosts that may fail before the run stops after a batch "
        f"(default {DEFAULT_MAX_FAILED}, with --resume too; a canary that fails always stops it)",
        "json": "print events as JSON, one a line, and the result as the last",
    }
)
def provision(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    plan: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
    resume: str | None = None,
    max_failed: str = str(DEFAULT_MAX_FAILED),
    json: bool = False,
) -> ExitCode:
    """Bring servers to what NetBox says, verify each, and make them active.

    With --aisle, its switches come first, as `invoke fabric.push` does it: a run of its own, whose
    events and result come first with --json too.

    1. NetBox is started and seeded if it is ours and needs it; a snapshot of it is taken.
    2. Findings of severity error about a server of the scope stop here.
    3. With target lab, the twins of the servers are started.
    4. The aisles are locked in NetBox: one writer at a time.
    5. First one canary, then batch by batch (one rack, one leaf pair, two power feeds each):
       status staged, preflight, configure, verify, and status and journal entry written back.
    6. The run stops when the canary fails, when more than --max-failed hosts have, or at Ctrl-C
       (exit code 1): hosts at work are then UNKNOWN, and --resume checks them.

    Exit codes: 0 done, 1 stopped or the program failed, 2 bad input, 3 refused, 4 locked by
    somebody else, 5 some hosts failed.
    """
    scope = {"aisle": aisle, "rack": rack, "limit": limit}
    order = order_of("provision", scope, {"plan": plan, "resume": resume}, max_failed)
    return carry_out(Settings.load(), order, Terminal(json=json, yes=yes), dry_run=dry_run)


def order_of(
    kind: str, scope: dict[str, str | None], others: dict[str, str | None], budget: str
) -> Order:
    """What a run of that kind shall work on, as the operator typed it.

    Arguments:
        kind: provision, reboot or patch.
        scope: --aisle, --rack and --limit.
        others: what the command takes instead of a scope: --plan, --resume.
        budget: --max-failed.

    Raises:
        InputError: nothing was said, or more than one thing, or something that means nothing.
    """
    given = {f"--{n}": value for n, value in {**scope, **others}.items() if value is not None}
    instead = any(value is not None for value in others.values())
    if len(given) > 1 and instead:
        names = [f"--{name}" for name in (*scope, *others)]
        raise InputError(
            "Say once what is to be worked on.",
            where="the command line",
            expected=f"one of {', '.join(names[:-1])} and {names[-1]}",
            found=" and ".join(given),
        )
    plan, resume = others.get("plan"), others.get("resume")
    return Order(
        kind=kind,
        scope=None if instead else scopes.parse(**scope),
        plan=Path(plan).expanduser() if plan is not None else None,
        resume=resume,
        max_failed=_number(budget),
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise InputError(
            "--max-failed is not a number of hosts.",
            where="the command line",
            expected="a whole number, such as 0 or 5",
            found=repr(text),
        )
    return int(text)


def carry_out(settings: Settings, order: Order, terminal: Terminal, *, dry_run: bool) -> ExitCode:
    """Do what was ordered, or say what it would do, and tell how it ended."""
    if dry_run:
        return _dry_run(settings, order, terminal)
    return _show(running.provision(settings, order, terminal), terminal)


def _dry_run(settings: Settings, order: Order, terminal: Terminal) -> ExitCode:
    if order.resume:
        raise InputError(
            "--resume goes on with a run, and a dry run does nothing to go on with.",
            where="the command line",
            expected="--dry-run with what a new run would work on, such as --aisle",
            found="--dry-run --resume",
        )
    done = running.dry_run(settings, order, terminal)
    if not terminal.json and all(host.outcome == "pending" for host in done.result.hosts):
        return ExitCode.OK
    return _show(done, terminal)


def _show(done: Done, terminal: Terminal) -> ExitCode:
    terminal.conclude(done)
    return ExitCode(done.result.exit_code)


@command(help={**SCOPE_HELP, "json": "print the differences as one line of JSON"})
def drift(
    _context: object,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Say in what servers differ from what NetBox says; with --aisle, its switches too.

    The roles run in check mode, then each server is verified: one line a difference, and the
    command that mends it. Where there are VRFs of more than one tenant, it is proven that they are
    apart: from what NetBox says, and with --aisle from what its switches run. Changes nothing.
    Exit codes: 0 no difference, 99 differences or leaks, 5 machines that could not be looked at.
    """
    from chapelle.report import isolation as isolation_report

    scope = scopes.parse(aisle=aisle, rack=rack, limit=limit)
    settings = Settings.load()
    terminal = Terminal(json=json)
    scene = prepare.scene(settings, terminal.say)
    where, looks = _switches(settings, scene, scope, terminal)
    switches = looking.judged(where, looks) if where else []
    proven = _apart(settings, scene, looks)
    done = running.drift(settings, scene, scope, terminal)
    if json:
        drift_report.print_json(done.result, switches=switches, leaks=proven)
    else:
        if switches:
            fabric_report.print_judgements(switches, scope=str(scope))
        print_lines(isolation_report.leak_lines(proven, scene.netbox_url))
        drift_report.print_drift(done.result)
        summary.print_summary(done.result, netbox_url=done.netbox_url, report=done.report or "")
    leaking = ExitCode.FINDINGS if proven else ExitCode.OK
    return _worse(ExitCode(done.result.exit_code), looking.exit_code(switches), leaking)


def _switches(
    settings: Settings, scene: "Scene", scope: Scope, terminal: Terminal
) -> tuple["Stand | None", "Looks"]:
    """Looks at the switches of an aisle; none with any other scope."""
    if scope.kind != "aisle" or not scopes.workable_switches(scene.dc, scope):
        return None, {}
    where = standing.on_stand(settings, scene, scope, terminal)
    forks = looking.forks_of(None)
    return where, looking.look(settings, where.gears, facts=True, forks=forks)


def _apart(settings: Settings, scene: "Scene", looks: "Looks") -> "tuple[Finding, ...]":
    """How tenants are not apart, where there are several."""
    from chapelle.run.tenancy import isolation

    if not isolation.applies(scene.dc):
        return ()
    return isolation.of_looks(settings, scene.dc, looks).leaks


def _worse(*codes: ExitCode) -> ExitCode:
    """What could not be looked at weighs more than a difference."""
    found = [code for code in codes if code != ExitCode.OK]
    return min(found, key=lambda code: code == ExitCode.FINDINGS, default=ExitCode.OK)
