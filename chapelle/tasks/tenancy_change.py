"""Tasks that bring tenants in and let them go."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chapelle.errors import ExitCode, InputError
from chapelle.run.operator import Done
from chapelle.settings import Settings
from chapelle.tasks._command import command, confirm
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.snapshot import print_json, print_lines

if TYPE_CHECKING:
    from chapelle.plan.tenancy.plan import TenancyPlan
    from chapelle.run.tenancy.onboard import Confirm, Outcome

_HELP = {
    "plan-only": "write the plan to a file, and do nothing else (see --out)",
    "out": "the plan's file (default: <tenant>.plan.json in this directory)",
    "plan": "carry out exactly the plan in this file, or refuse",
    "dry-run": "show the plan and what it changes on each switch; nothing is written anywhere",
    "undo": "take the latest such run back, wherever it stopped",
    "no-fabric": "NetBox only: the switches follow with a later fabric.push",
    "yes": "do not ask",
    "json": "print one JSON document",
}


@command(
    help={
        "request": "the request, such as inventory/tenants/ap-hp.yml",
        "racks": "give it these racks, such as A2-R07,A2-R08 (default: the best offer)",
        "option": "give it this offer of tenant.feasibility (default: 1)",
        **_HELP,
    }
)
def onboard(
    _context: object,
    request: str,
    *,
    racks: str | None = None,
    option: int = 1,
    plan_only: bool = False,
    out: str | None = None,
    plan: str | None = None,
    dry_run: bool = False,
    undo: bool = False,
    no_fabric: bool = False,
    yes: bool = False,
    json: bool = False,
) -> ExitCode:
    """Bring a tenant in as its request says, or give it more: one plan, all or nothing.

    Racks and feeds, VRF, VLANs, prefixes and AS number from the pools, hand-off and out-of-band
    ports in NetBox; then the switches. Judged before: space, power under loss, resilience, and that
    nobody reaches anybody. What was cut short is finished by the same command; when nothing is
    left to do, nothing is done.
    """
    from chapelle.run.tenancy import onboard as running

    order = running.Order(
        request=Path(request).expanduser(),
        racks=running.names_of(racks),
        option=option,
        plan=Path(plan).expanduser() if plan else None,
        fabric=not no_fabric,
    )
    _require_one(plan_only=plan_only, dry_run=dry_run, undo=undo)
    settings, terminal = Settings.load(), _Operator(json=json, yes=True)
    if plan_only or dry_run:
        return _planned(running.plan(settings, order, terminal), plan_only, out, json=json)
    ask = _asking(terminal, yes=yes, undo=undo)
    act = running.undo if undo else running.onboard
    return _ended(act(settings, order, terminal, ask), json=json)


@command(help={"tenant": "the tenant's slug, such as ap-hp", **_HELP})
def offboard(
    _context: object,
    tenant: str,
    *,
    plan_only: bool = False,
    out: str | None = None,
    plan: str | None = None,
    dry_run: bool = False,
    undo: bool = False,
    no_fabric: bool = False,
    yes: bool = False,
    json: bool = False,
) -> ExitCode:
    """Let a tenant leave: off the switches first, then its racks released, with a certificate.

    Refused while equipment is in its racks or on its ports (3). Its numbers and networks are in
    quarantine before anybody else gets them. What was cut short is finished by the same command.
    """
    from chapelle.run.tenancy import offboard as running

    order = running.Order(
        tenant=tenant, plan=Path(plan).expanduser() if plan else None, fabric=not no_fabric
    )
    _require_one(plan_only=plan_only, dry_run=dry_run, undo=undo)
    settings, terminal = Settings.load(), _Operator(json=json, yes=True)
    if plan_only or dry_run:
        return _planned(running.plan(settings, order, terminal), plan_only, out, json=json)
    ask = _asking(terminal, yes=yes, undo=undo)
    act = running.undo if undo else running.offboard
    return _ended(act(settings, order, terminal, ask), json=json)


class _Operator(Terminal):
    """The terminal; what was pushed is a part of what is said in the end, if that is JSON."""

    def conclude(self, done: Done) -> None:
        """Tell how the push to the switches ended."""
        if not self.json:
            super().conclude(done)


def _require_one(**given: bool) -> None:
    named = [f"--{name.replace('_', '-')}" for name, said in given.items() if said]
    if len(named) > 1:
        raise InputError(
            f"{' and '.join(named)} contradict each other.",
            where="the command line",
            expected="one of them at most",
            found=" and ".join(named),
        )


def _asking(terminal: Terminal, *, yes: bool, undo: bool) -> "Confirm":
    """What asks the operator, who has seen the plan."""
    from chapelle.report import tenancy as report

    def ask(plan: "TenancyPlan", diffs: dict[str, str]) -> None:
        if yes:
            return
        for line in report.plan_lines(plan, diffs, brief=True, back=undo):
            terminal.say(line)
        report.print_diffs(diffs, sys.stderr, brief=True)
        confirm("Take all of this back?" if undo else "Go on?")

    return ask


def _planned(made: "Outcome", plan_only: bool, out: str | None, *, json: bool) -> ExitCode:
    from chapelle import files
    from chapelle.plan.tenancy import plan as plans
    from chapelle.report import tenancy as report

    path = Path(out).expanduser() if out else Path(f"{made.plan.tenant}.plan.json")
    if plan_only:
        files.write(path, plans.encode(made.plan))
    if json:
        print_json(report.document(made.plan, made.diffs, "", ""))
        return ExitCode.OK
    print_lines(report.plan_lines(made.plan, made.diffs))
    report.print_diffs(made.diffs)
    if plan_only:
        print_lines(["", f"written to {path}; to carry out exactly this: --plan={path}"])
    return ExitCode.OK


def _ended(made: "Outcome", *, json: bool) -> ExitCode:
    from chapelle.report import tenancy as report

    if json:
        print_json(report.document(made.plan, made.diffs, made.stage or "unchanged", made.run))
    elif not made.run:
        print_lines(report.plan_lines(made.plan, made.diffs))
    else:
        print_lines(report.outcome_lines(made.plan, made.stage, made.run, str(made.papers or "")))
    return ExitCode.OK
