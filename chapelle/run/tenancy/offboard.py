"""`tenant.offboard` from beginning to end.

snapshot -> plan -> judged in memory -> yes -> locks -> NetBox: nothing to carry -> switches
-> NetBox: racks released -> certificate
"""

import datetime
from pathlib import Path

import msgspec

from chapelle import files
from chapelle.errors import InputError, RefusedError
from chapelle.plan.tenancy import certificate as certificates
from chapelle.plan.tenancy import plan as plans
from chapelle.plan.tenancy.certificate import Certificate
from chapelle.plan.tenancy.offboard import offboard as planned
from chapelle.plan.tenancy.plan import OFFBOARD, TenancyPlan
from chapelle.report import tenancy as report
from chapelle.run import prepare
from chapelle.run.operator import Operator
from chapelle.run.tenancy import judge, papers
from chapelle.run.tenancy.carrying import Carrying
from chapelle.run.tenancy.onboard import Confirm, Outcome
from chapelle.run.tenancy.papers import Papers
from chapelle.settings import Settings

# The certificate of a run that is done.
_FOR_MACHINES, _FOR_PEOPLE = "certificate.json", "certificate.txt"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do.

    Arguments:
        tenant: the slug of who leaves.
        plan: the file of a plan that was approved.
        fabric: whether the switches follow.
    """

    tenant: str
    plan: Path | None = None
    fabric: bool = True


def plan(settings: Settings, order: Order, operator: Operator) -> Outcome:
    """What an offboarding would change. NetBox is read, and nothing is written anywhere.

    Raises:
        InputError: there is no such tenant.
        RefusedError: equipment is still here, or something else forbids it.
    """
    dc = prepare.scene(settings, operator.say).dc
    now = datetime.datetime.now(datetime.UTC)
    made = planned(dc, order.tenant, now.date())
    if order.plan is not None:
        made = _kept(order.plan, made)
    diffs = {} if made.empty else judge.judge(dc, made, now)
    return Outcome(plan=made, diffs=diffs)


def offboard(settings: Settings, order: Order, operator: Operator, confirm: Confirm) -> Outcome:
    """Let a tenant leave, or finish what was interrupted.

    Raises:
        InputError: there is no such tenant.
        RefusedError: equipment is still here, NetBox has moved, or the answer is no; nothing was
            changed.
        LockedError: somebody is at work there.
        HostsFailedError: switches did not follow; the error says what was done about it.
    """
    prepare.netbox(settings, operator.say)
    with papers.alone(settings, order.tenant):
        left = papers.unfinished(settings, order.tenant)
        if left is not None and _is_blank(left):
            left.note(stage="undone")
            left = None
        if left is not None:
            _require_same(left, order)
            operator.say(f"run {left.run} is {left.state.stage}: going on with it")
            return _carried(settings, left, order, operator)
        made = plan(settings, order, operator)
        if made.plan.empty:
            return made
        confirm(made.plan, made.diffs)
        run = papers.new(settings)
        run.begin(made.plan, made.diffs if order.fabric else ())
        done = _carried(settings, run, order, operator)
        return msgspec.structs.replace(done, diffs=made.diffs)


def undo(settings: Settings, order: Order, operator: Operator, confirm: Confirm) -> Outcome:
    """Take back the latest offboarding of a tenant, wherever it stopped.

    Raises:
        InputError: there was none.
        RefusedError: somebody has changed since what would be taken back, or the answer is no.
        HostsFailedError: a switch did not follow; the same command again goes on.
    """
    with papers.alone(settings, order.tenant):
        runs = papers.of_tenant(settings, order.tenant)
        run = runs[0] if runs else None
        if run is None or run.state.kind != OFFBOARD or run.state.stage == "undone":
            raise InputError(
                f"There is no offboarding of {order.tenant} to take back.",
                where=str(papers.root_of(settings)),
                expected="one that was begun on this machine, and nothing after it",
                found="none" if run is None else f"{run.state.kind}, {run.state.stage}",
            )
        made = run.plan
        confirm(made, {})
        dc = prepare.scene(settings, operator.say).dc
        Carrying(settings, run, dc, operator, _again(order)).undo()
        for name in (_FOR_MACHINES, _FOR_PEOPLE):  # it certifies what is not so any more
            (run.path / name).unlink(missing_ok=True)
        return Outcome(plan=made, diffs={}, run=run.run, stage="undone", papers=run.path)


def _kept(path: Path, again: TenancyPlan) -> TenancyPlan:
    """A plan from its file, if it is what would be planned now."""
    kept = plans.read(path)
    if kept.hash != again.hash:
        raise RefusedError(
            "The plan no longer holds: NetBox, the tenant or the day is another.",
            where=str(path),
            expected=f"plan {kept.hash[:12]}, from snapshot {kept.snapshot[:12]}",
            found=f"plan {again.hash[:12]}, from snapshot {again.snapshot[:12]}",
            remedy="make a new one with --plan-only, and read what is different",
        )
    return kept


def _is_blank(left: Papers) -> bool:
    return left.state.stage == "begun" and not left.journal(papers.FREEZE).exists()


def _require_same(left: Papers, order: Order) -> None:
    state = left.state
    if state.kind != OFFBOARD or state.stage == "undoing":
        undo = " --undo" if state.stage == "undoing" else ""
        raise RefusedError(
            f"Another run for {order.tenant} is not at its end.",
            where=str(left.path),
            expected="none, or an offboarding",
            found=f"{state.kind} {state.reference}, {state.stage}",
            remedy=f"finish it: {_again(order)}{undo}"
            if state.kind == OFFBOARD
            else f"finish it: invoke tenant.onboard with the file of {state.reference}{undo}",
        )


def _carried(settings: Settings, run: Papers, order: Order, operator: Operator) -> Outcome:
    dc = prepare.scene(settings, operator.say).dc
    Carrying(settings, run, dc, operator, _again(order)).run()
    _certify(run)
    judge.require_apart(prepare.scene(settings, operator.say).dc)
    return Outcome(plan=run.plan, diffs={}, run=run.run, stage=run.state.stage, papers=run.path)


def _certify(run: Papers) -> Certificate:
    """Write the certificate beside the plan, for people and for machines."""
    made = certificates.certificate(
        run.plan,
        run=run.run,
        finished=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        confirmed_by=run.state.owner,
        switches=run.state.switches,
    )
    data = msgspec.json.format(msgspec.json.encode(made)) + b"\n"
    files.write(run.path / _FOR_MACHINES, data)
    text = "".join(f"{line}\n" for line in report.certificate_lines(made))
    files.write(run.path / _FOR_PEOPLE, text)
    return made


def _again(order: Order) -> str:
    return f"invoke tenant.offboard {order.tenant}"
