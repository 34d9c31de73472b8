"""`tenant.onboard` from beginning to end.

request -> snapshot -> racks -> plan -> judged in memory -> yes -> locks -> NetBox -> switches
-> looked at again
"""

import datetime
from collections.abc import Callable
from pathlib import Path

import msgspec

from chapelle.errors import InputError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import Option, Request
from chapelle.plan.tenancy import plan as plans
from chapelle.plan.tenancy import request as requests
from chapelle.plan.tenancy.onboard import onboard as planned
from chapelle.plan.tenancy.plan import ONBOARD, TenancyPlan
from chapelle.run import prepare
from chapelle.run.operator import Operator
from chapelle.run.tenancy import choosing, judge, papers
from chapelle.run.tenancy.carrying import Carrying
from chapelle.run.tenancy.papers import Papers
from chapelle.settings import Settings

# Shown the plan and what it changes on each switch; raises RefusedError for a no.
type Confirm = Callable[[TenancyPlan, dict[str, str]], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do.

    Arguments:
        request: the file of the request.
        racks: the racks, by name; none, for those that are offered.
        option: which of the offers, from 1.
        plan: the file of a plan that was approved.
        fabric: whether the switches follow.
    """

    request: Path
    racks: tuple[str, ...] = ()
    option: int = 1
    plan: Path | None = None
    fabric: bool = True


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did: `run` and `stage` are empty where it only planned."""

    plan: TenancyPlan
    diffs: dict[str, str]
    run: str = ""
    stage: str = ""
    papers: Path | None = None


def plan(settings: Settings, order: Order, operator: Operator) -> Outcome:
    """What an onboarding would change. NetBox is read, and nothing is written anywhere.

    Raises:
        InputError: the request, NetBox or the order is wrong.
        RefusedError: it cannot be done; the error says why.
    """
    asked = requests.read(order.request)
    dc = prepare.scene(settings, operator.say).dc
    made = _planned(dc, asked, order)
    diffs = {} if made.empty else judge.judge(dc, made, datetime.datetime.now(datetime.UTC))
    return Outcome(plan=made, diffs=diffs)


def onboard(settings: Settings, order: Order, operator: Operator, confirm: Confirm) -> Outcome:
    """Bring a tenant in, give it what is missing, or finish what was interrupted.

    Raises:
        InputError: the request, NetBox or the order is wrong.
        RefusedError: it cannot be done, NetBox has moved, or the answer is no; nothing was changed.
        LockedError: somebody is at work there.
        HostsFailedError: switches did not follow; the error says what was done about it.
    """
    asked = requests.read(order.request)
    slug = asked.tenant.slug
    prepare.netbox(settings, operator.say)
    with papers.alone(settings, slug):
        left = papers.unfinished(settings, slug)
        if left is not None:
            finished = _finished(settings, left, asked, order, operator)
            if finished is not None:
                return finished
        made = plan(settings, order, operator)
        if made.plan.empty:
            return made
        confirm(made.plan, made.diffs)
        run = papers.new(settings)
        run.begin(made.plan, made.diffs if order.fabric else ())
        return _carried(settings, run, order, operator, made)


def undo(settings: Settings, order: Order, operator: Operator, confirm: Confirm) -> Outcome:
    """Take back the latest onboarding of a request, wherever it stopped.

    Raises:
        InputError: there was none.
        RefusedError: somebody has changed since what would be taken back, or the answer is no.
        HostsFailedError: a switch did not follow; the same command again goes on.
    """
    asked = requests.read(order.request)
    slug, reference = asked.tenant.slug, asked.reference
    with papers.alone(settings, slug):
        run = next(
            (
                each
                for each in papers.of_tenant(settings, slug)
                if (each.state.kind, each.state.reference) == (ONBOARD, reference)
            ),
            None,
        )
        if run is None or run.state.stage == "undone":
            raise InputError(
                f"There is no onboarding of {reference} to take back.",
                where=str(papers.root_of(settings)),
                expected="one that was begun on this machine",
                found="none" if run is None else f"run {run.run}, which is taken back",
                remedy=f"a tenant that is here leaves with invoke tenant.offboard {slug}",
            )
        made = run.plan
        confirm(made, {})
        dc = prepare.scene(settings, operator.say).dc
        Carrying(settings, run, dc, operator, _again(order)).undo()
        return Outcome(plan=made, diffs={}, run=run.run, stage="undone", papers=run.path)


def _planned(dc: Datacentre, asked: Request, order: Order) -> TenancyPlan:
    today = datetime.datetime.now(datetime.UTC).date()
    if order.plan is None:
        option = choosing.choose(dc, asked, order.racks, order.option, today)
        return planned(dc, asked, option, today)
    kept = plans.read(order.plan)
    # Made again from what NetBox says now: it is the same plan, or it does not hold.
    again = planned(dc, asked, _option(kept), today) if kept.kind == ONBOARD else None
    if again is None or kept.hash != again.hash:
        raise RefusedError(
            "The plan no longer holds: NetBox, the request or the day is another.",
            where=str(order.plan),
            expected=f"plan {kept.hash[:12]}, from snapshot {kept.snapshot[:12]}",
            found=f"snapshot {dc.snapshot.hash[:12]}",
            remedy="make a new one with --plan-only, and read what is different",
        )
    return kept


def _option(kept: TenancyPlan) -> Option:
    return Option(racks=kept.racks, units=kept.units)


def _finished(
    settings: Settings, left: Papers, asked: Request, order: Order, operator: Operator
) -> Outcome | None:
    """Finish a run that was interrupted; None where nothing of it is anywhere.

    Raises:
        RefusedError: it is another one than that which is asked for.
    """
    state = left.state
    if state.stage == "begun" and not left.journal(papers.FREEZE).exists():
        left.note(stage="undone")
        return None
    if (state.kind, state.reference) != (ONBOARD, asked.reference) or state.stage == "undoing":
        raise RefusedError(
            f"Another run for {asked.tenant.name} is not at its end.",
            where=str(left.path),
            expected=f"none, or an onboarding of {asked.reference}",
            found=f"{state.kind} {state.reference or state.tenant}, {state.stage}",
            remedy=_remedy(state, order),
        )
    operator.say(f"run {left.run} is {state.stage}: going on with it")
    kept = Outcome(plan=left.plan, diffs={})
    return _carried(settings, left, order, operator, kept)


def _remedy(state: papers.State, order: Order) -> str:
    if state.kind != ONBOARD:
        return f"finish it with: invoke tenant.offboard {state.tenant}"
    return f"finish it with: {_again(order)}{' --undo' if state.stage == 'undoing' else ''}"


def _carried(
    settings: Settings, run: Papers, order: Order, operator: Operator, made: Outcome
) -> Outcome:
    dc = prepare.scene(settings, operator.say).dc
    Carrying(settings, run, dc, operator, _again(order)).run()
    _look_again(settings, order, operator)
    stage = run.state.stage
    return msgspec.structs.replace(made, run=run.run, stage=stage, papers=run.path)


def _look_again(settings: Settings, order: Order, operator: Operator) -> None:
    """See that nothing is left to be done for the request, and that it joins nobody."""
    asked = requests.read(order.request)
    dc = prepare.scene(settings, operator.say).dc
    left = planned(dc, asked, Option(racks=()), datetime.datetime.now(datetime.UTC).date())
    if not left.empty:
        operator.say(
            f"NetBox has changed while this ran: {len(left.changes)} changes are left; "
            f"{_again(order)} makes them"
        )
    judge.require_apart(dc)


def _again(order: Order) -> str:
    return f"invoke tenant.onboard {order.request}"


def names_of(racks: str | None) -> tuple[str, ...]:
    """The racks of `--racks`."""
    return tuple(dict.fromkeys(filter(None, (racks or "").split(","))))
