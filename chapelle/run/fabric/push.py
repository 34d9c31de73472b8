"""The commands `fabric.plan`, `fabric.push` and `fabric.revert` from beginning to end.

scope -> NetBox -> snapshot -> checks -> a look at every switch -> plan -> yes -> lock -> rollout
"""

from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from chapelle import process
from chapelle.errors import ExitCode, InputError, RefusedError
from chapelle.model.outcome import STEPS_OF
from chapelle.netbox import writeback
from chapelle.netbox.lock import Lock
from chapelle.plan import plan as plans
from chapelle.plan import push as pushes
from chapelle.plan.plan import Plan
from chapelle.plan.rollout import MAX_BATCH
from chapelle.plan.scope import Scope
from chapelle.run import prepare, resume
from chapelle.run.fabric import expect, looking, partners, standing
from chapelle.run.fabric.connecting import connecting
from chapelle.run.fabric.known import store_of
from chapelle.run.fabric.netbox import Notes
from chapelle.run.fabric.order import ADOPT, OVERWRITE, STOP, Limits
from chapelle.run.fabric.rollout import Change, Rollout, Work
from chapelle.run.fabric.standing import Stand
from chapelle.run.fabric.survey import Gear, Look
from chapelle.run.filing import folder_of, hold, journal_of, new_id, opened
from chapelle.run.folder import Folder
from chapelle.run.interrupt import Interrupt, interruptible
from chapelle.run.journal import SWITCH_KINDS, Journal
from chapelle.run.operator import Done, Operator
from chapelle.run.prepare import Scene
from chapelle.run.recorder import Recorder
from chapelle.run.resume import Left
from chapelle.settings import Settings


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to push: exactly one of a scope, a plan's file, a run to go on with, and one to revert.

    Arguments:
        scope: the switches.
        plan: the file of an approved plan.
        resume: the id of a run that was cut short.
        revert: the id of a run whose change is taken back.
        drift: what to do about changes of others: STOP, ADOPT, or OVERWRITE.
        forks: how many switches at a time.
        limits: how long things may take.
    """

    scope: Scope | None = None
    plan: Path | None = None
    resume: str | None = None
    revert: str | None = None
    drift: str = STOP
    forks: int
    limits: Limits = Limits()


# -- plan -----------------------------------------------------------------------------------------


def plan(settings: Settings, order: Order, operator: Operator) -> Plan:
    """What would be changed on the switches of a scope. They are read, and nothing is touched.

    Raises:
        InputError: the scope means nothing, or NetBox's content makes switches unfit for a run.
        HostsFailedError: some switches do not answer.
        RefusedError: others changed some of them, and the order does not say what of that.
    """
    scope = _given(order.scope)
    where = standing.stand(settings, scope, operator)
    return _plan(settings, where, order, str(scope))


def _plan(settings: Settings, where: Stand, order: Order, scope: str, kind: str = "push") -> Plan:
    looks = looking.seen(looking.look(settings, where.gears, forks=order.forks))
    _require_quiet(looks)
    if order.drift == STOP:
        looking.require_no_drift(looks)
    adopted = {name for name, each in looks.items() if each.drift and order.drift == ADOPT}
    if kind == "push":  # the way back is never barred
        _require_partners(settings, where, looks, adopted)
    return pushes.build(
        where.dc,
        [gear.device for gear in where.gears.values()],
        kind=kind,
        scope=scope,
        target=settings.target,
        commit=where.scene.commit,
        configurations={name: gear.sections for name, gear in where.gears.items()},
        diffs={name: "" if name in adopted else look.diff for name, look in looks.items()},
        max_batch=MAX_BATCH,
    )


def _require_partners(
    settings: Settings, where: Stand, looks: Mapping[str, Look], adopted: Collection[str] = ()
) -> None:
    """Make sure that no switch is changed while the one beside it is away."""
    changing = {name for name, each in looks.items() if each.diff and name not in adopted}
    partners.require(where.dc, changing, looks.keys(), partners.answering(settings, where.dc))


def _require_quiet(looks: Mapping[str, Look]) -> None:
    pending = {name: each.pending for name, each in looks.items() if each.pending}
    if pending:
        runs = sorted({name.removeprefix("chapelle-") for name in pending.values()})
        raise RefusedError(
            f"A change is under way on {', '.join(pending)}.",
            expected="no switch with an unconfirmed change on it",
            found=", ".join(f"{name}: {checkpoint}" for name, checkpoint in pending.items()),
            remedy=f"invoke fabric.push --resume={runs[0]}; or wait: they go back by themselves",
        )


def _given(scope: Scope | None) -> Scope:
    if scope is None:
        raise ValueError("an order without scope, plan and run")
    return scope


def _by_name(made: Plan) -> Scope:
    """The switches of a plan, one by one: what is new in its scope since is another matter."""
    return Scope(kind="limit", values=tuple(made.by_name))


# -- push -----------------------------------------------------------------------------------------


def push(settings: Settings, order: Order, operator: Operator) -> Done:
    """Bring switches to what NetBox says, or back to what they were before a run.

    Raises:
        InputError: the order is wrong, or NetBox's content is.
        RefusedError: something moved, others changed a switch, or the operator says no. Nothing
            was changed.
        HostsFailedError: some switches do not answer. Nothing was changed.
        LockedError: somebody else is at work there. Nothing was changed.
    """
    prepare.netbox(settings, operator.say)
    scene = prepare.scene(settings, operator.say)
    return push_on(settings, order, operator, scene)


def push_on(settings: Settings, order: Order, operator: Operator, scene: Scene) -> Done:
    """The same, with what NetBox says at hand."""
    folder = folder_of(settings, order.resume or new_id())
    with closing(journal_of(settings)) as journal:
        left = None
        if order.resume:
            left = resume.left(journal, order.resume, folder.path, SWITCH_KINDS)
        kept = left.plan if left else _read(order.plan) if order.plan else None
        reverts = order.revert or (standing.reverted(folder) if left else None)
        scope = order.scope or (_by_name(kept) if kept else None)

        def stand(now: Scene) -> Stand:
            if reverts:
                return standing.as_before(settings, now, reverts, journal, operator)
            return standing.with_nodes(settings, now, _given(scope), operator)

        where = stand(scene)
        made = kept or _plan(settings, where, order, _words(order, where), _kind(reverts))
        _require_holds(settings, made, where, left)
        if order.plan:
            _require_approved(settings, made, where, order)
        if left:
            _tell_left(left, operator)
        operator.confirm(made)
        with (
            interruptible(operator.say) as interrupt,
            opened(journal, folder, made, where.dc.snapshot, left),
            hold(settings, made, folder.run, operator.say) as held,
        ):
            now = prepare.up_to_date(settings, scene, operator.say)
            if now is not scene:
                where = stand(now)
            _require_holds(settings, made, where, left)  # also now that nobody else may write
            folder.fill(made, where.dc.snapshot)
            if reverts:
                standing.note_reverted(folder, reverts)
            if left:
                journal.take_over(folder.run, process.own())
            return _carry_out(
                settings, made, where, order, operator=operator, journal=journal, folder=folder,
                interrupt=interrupt, held=held,
            )  # fmt: skip


def dry_run(settings: Settings, order: Order, operator: Operator) -> Plan:
    """What a push would change. The switches are read; nothing is changed, not even the journal.

    Raises:
        InputError: the order is wrong, or NetBox's content is.
        RefusedError: the plan no longer holds, or others changed a switch.
        HostsFailedError: some switches do not answer.
    """
    scene = prepare.scene(settings, operator.say)
    kept = _read(order.plan) if order.plan else None
    scope = _by_name(kept) if kept else _given(order.scope)
    where = standing.on_stand(settings, scene, scope, operator)
    made = kept or _plan(settings, where, order, str(scope))
    if kept:
        _require_holds(settings, made, where, None)
        _require_approved(settings, made, where, order)
    operator.present(made)
    return made


def _kind(reverts: str | None) -> str:
    return "revert" if reverts else "push"


def _words(order: Order, where: Stand) -> str:
    """The scope as it is kept: of a revert, the switches by name."""
    return str(order.scope) if order.scope else f"--limit={','.join(where.gears)}"


def _read(path: Path) -> Plan:
    made = plans.read(path)
    if made.kind != "push":
        raise InputError(
            "This is a plan for servers.",
            where=str(path),
            expected="a file written by: invoke fabric.plan --out FILE",
            found=f"a plan of kind {made.kind}",
            remedy=f"invoke {made.kind} --plan {path}",
        )
    return made


def _require_holds(settings: Settings, made: Plan, where: Stand, left: Left | None) -> None:
    """Make sure that nothing has moved in NetBox or the code since the plan was made.

    Raises:
        RefusedError: something has; each movement is named.
    """
    lines = pushes.moved(
        made,
        where.dc,
        target=settings.target,
        commit=where.scene.commit,
        configurations={name: gear.sections for name, gear in where.gears.items()},
        only=left.hosts if left else None,
        own_statuses=left.own_statuses if left else None,
    )
    if lines:
        raise _moved(made, lines)


def _require_approved(settings: Settings, made: Plan, where: Stand, order: Order) -> None:
    """Make sure that each switch would change as the plan says, before any is touched.

    Raises:
        RefusedError: one would not: it moved since.
    """
    looks = looking.seen(looking.look(settings, where.gears, forks=order.forks))
    _require_quiet(looks)
    if order.drift != OVERWRITE:
        looking.require_no_drift(looks)
    lines = []
    for name, look in looks.items():
        if pushes.sha256(look.diff) != made.by_name[name].intent[pushes.DIFF]:
            lines.append(f"{name}: what would change is not what was approved. Now it is:")
            lines += [f"  {line}" for line in look.diff.splitlines()] or ["  nothing"]
    if lines:
        raise _moved(made, lines)
    _require_partners(settings, where, looks)


def _moved(made: Plan, lines: list[str]) -> RefusedError:
    return RefusedError(
        "The plan no longer holds: something has moved since it was made.",
        where=f"plan {made.hash[:12]}, {made.scope}",
        expected="the same NetBox content, commit, target, and running configurations",
        found="\n            ".join(lines),
        remedy=f"make a new plan: invoke fabric.plan {made.scope} --out FILE",
    )


def _tell_left(left: Left, operator: Operator) -> None:
    done = len(left.plan.hosts) - len(left.hosts)
    operator.say(f"{done} of {len(left.plan.hosts)} switches are done and are not touched again")
    if left.unknown:
        operator.say(f"UNKNOWN, to be looked at first: {', '.join(left.unknown)}")


def _carry_out(
    settings: Settings,
    made: Plan,
    where: Stand,
    order: Order,
    *,
    operator: Operator,
    journal: Journal,
    folder: Folder,
    interrupt: Interrupt,
    held: Lock,
) -> Done:
    took = journal.took(kind=made.kind, scope=made.scope, target=made.target)
    with operator.watch(made, took) as watch:
        recorder = Recorder(journal, folder.run, STEPS_OF[made.kind], watch)
        writer = writeback.Writer(settings, patience=settings.netbox_patience)
        work = Work(
            plan=made,
            run=folder.run,
            directory=folder.path,
            journal=journal.path,
            changes={name: _change(gear) for name, gear in where.gears.items()},
            connect=connecting(settings),
            store=store_of(settings),
            limits=order.limits,
            forks=order.forks,
            # What is still to be changed may do anything now, whatever NetBox says of it.
            serving=frozenset(expect.in_service(where.dc) - made.diffs.keys()),
            watch=watch,
            interrupt=interrupt,
            drift=order.drift,
            notes=Notes(writer, recorder, made, prepare.statuses(made, where.dc)),
            lock=held,
        )
        result = Rollout(work, journal).run()
    url = where.scene.netbox_url
    folder.conclude(result, url)
    return Done(result=result, netbox_url=url, report=folder.report)


def _change(gear: Gear) -> Change:
    return Change(
        target=gear.target,
        sections=gear.sections,
        expected=gear.expected,
        path=gear.path,
        not_exercised=gear.not_exercised,
    )


# -- with the servers of an aisle -----------------------------------------------------------------


def bring_up(settings: Settings, scene: Scene, scope: Scope, operator: Operator) -> Done:
    """Push to the switches of a scope whose servers are to be provisioned next.

    Raises:
        ChapelleError: as `push`.
    """
    order = Order(scope=scope, forks=looking.forks_of(None))
    return push_on(settings, order, operator, scene)


def succeeded(done: Done) -> bool:
    """Whether all switches are as NetBox says."""
    return done.result.exit_code == ExitCode.OK
