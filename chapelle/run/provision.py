"""The commands that work on servers from beginning to end, without their printing.

`plan`, `provision` and `drift`; and `reboot` and `patch`, which are the same run with other steps.

scope -> NetBox -> snapshot -> checks -> hosts -> plan -> yes -> lock -> run -> report
"""

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from chapelle import process
from chapelle.errors import ExitCode, HostsFailedError, InputError, RefusedError
from chapelle.model.outcome import ROLLING_KINDS
from chapelle.model.status import IN_SERVICE
from chapelle.netbox import writeback
from chapelle.plan import plan as plans
from chapelle.plan import policy as policies
from chapelle.plan.plan import BARE_KINDS, Plan
from chapelle.plan.policy import Policy
from chapelle.plan.scope import Scope, select, workable_switches
from chapelle.run import prepare, reach, resume
from chapelle.run.deploy import ground as grounds
from chapelle.run.deploy.deploying import Deploying
from chapelle.run.deploy.retire import Retirement
from chapelle.run.engine import DEFAULT_MAX_FAILED, Engine, Work
from chapelle.run.fabric import push
from chapelle.run.filing import folder_of, hold, journal_of, new_id, opened, record
from chapelle.run.folder import Folder
from chapelle.run.interrupt import Interrupt, interruptible
from chapelle.run.journal import Journal, steps_of
from chapelle.run.operator import Done, Operator
from chapelle.run.prepare import Scene
from chapelle.run.recorder import Recorder
from chapelle.run.resume import Left
from chapelle.settings import Settings


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to work on: exactly one of a scope, a plan's file, and a run to be gone on with.

    `kind` is provision, rebuild, retire, reboot or patch. `active`: servers in service may lose
    their system.
    """

    kind: str = "provision"
    scope: Scope | None = None
    plan: Path | None = None
    resume: str | None = None
    max_failed: int = DEFAULT_MAX_FAILED
    active: bool = False


# -- plan -----------------------------------------------------------------------------------------


def plan(settings: Settings, scope: Scope, operator: Operator, kind: str = "provision") -> Plan:
    """What would be done to the servers of a scope. NetBox is read, and nothing is touched.

    Raises:
        InputError: the scope means nothing, or NetBox's content makes servers unfit for a run.
    """
    scene = prepare.scene(settings, operator.say)
    _tell_of_switches(scene, scope, operator)
    return _plan(settings, scene, scope, operator, kind, make=False)


def _tell_of_switches(scene: Scene, scope: Scope, operator: Operator) -> None:
    """A plan is of servers; provisioning an aisle begins with its switches."""
    if _has_switches(scene, scope):
        operator.say(
            f"servers only: provision {scope} pushes to the switches first; see what they would "
            f"get with invoke fabric.diff {scope}"
        )


def _has_switches(scene: Scene, scope: Scope) -> bool:
    """Whether provisioning that scope begins with switches: that of an aisle that has some does."""
    return scope.kind == "aisle" and bool(workable_switches(scene.dc, scope))


def _brings_up_switches(scene: Scene, order: Order) -> bool:
    return (
        order.kind == "provision" and order.scope is not None and _has_switches(scene, order.scope)
    )


def _plan(
    settings: Settings,
    scene: Scene,
    scope: Scope,
    operator: Operator,
    kind: str = "provision",
    *,
    make: bool,
) -> Plan:
    selection = select(scene.dc, scope, plans.statuses_of(kind))
    for device in selection.left_out:
        operator.say(f"{device.name} is left out: its status is {device.status}")
    prepare.require_sound(scene.dc, {device.id for device in selection.devices}, operator.say)
    bare = [d for d in selection.devices if kind in BARE_KINDS or d.status == "planned"]
    ground = (
        None
        if kind == "drift"
        else grounds.ground(settings, scene.dc, bare, operator.say, make=make)
    )
    if kind in BARE_KINDS:
        grounds.require_all(settings, bare, ground)
    return plans.build(
        scene.dc,
        scope,
        kind=kind,
        target=settings.target,
        commit=scene.commit,
        kernels=reach.kernels(settings),
        policy=_policy(settings) if kind in ROLLING_KINDS else None,
        ground=ground,
    )


def _policy(settings: Settings) -> Policy:
    return policies.read(settings.root / "inventory" / "rolling.yml")


# -- provision ------------------------------------------------------------------------------------


def provision(settings: Settings, order: Order, operator: Operator) -> Done:
    """Bring servers to what NetBox says, or restart or patch those that are in service.

    Raises:
        InputError: the order is wrong, or NetBox's content is.
        RefusedError: the plan no longer holds, or the operator says no. Nothing was changed.
        LockedError: somebody else is at work there. Nothing was changed.
    """
    folder = folder_of(settings, order.resume or new_id())
    with closing(journal_of(settings)) as journal:
        left = None
        if order.resume:
            left = resume.left(journal, order.resume, folder.path, (order.kind,))
        kept = left.plan if left else _kept(order.plan) if order.plan else None
        prepare.netbox(settings, operator.say)
        scene = prepare.scene(settings, operator.say)
        if left and not left.hosts:
            operator.say(f"run {folder.run}: nothing is left to do")
            return _close(settings, left, scene, operator, journal=journal, folder=folder)
        _start_hosts(settings, scene, kept, order, operator)
        made = kept or _plan(settings, scene, _given(order.scope), operator, order.kind, make=True)
        _require_holds(settings, made, scene, left, operator)
        require_may_go(made, active=order.active or left is not None)
        if left:
            _tell_left(left, operator)
        operator.confirm(made)
        if _brings_up_switches(scene, order):
            scene = _bring_up_switches(settings, scene, _given(order.scope), operator)
        writer = writeback.Writer(settings, patience=settings.netbox_patience)
        with (
            interruptible(operator.say) as interrupt,
            opened(journal, folder, made, scene.dc.snapshot, left),
            hold(settings, made, folder.run, operator.say) as held,
        ):
            scene = prepare.up_to_date(settings, scene, operator.say)
            # Also now that nobody else may write.
            _require_holds(settings, made, scene, left, operator)
            folder.fill(made, scene.dc.snapshot)
            if left:
                journal.take_over(folder.run, process.own())
            return _carry_out(
                settings, made, scene, operator, journal=journal, folder=folder,
                interrupt=interrupt, lock=held, writer=writer, max_failed=order.max_failed,
            )  # fmt: skip


def _kept(path: Path) -> Plan:
    """A plan to be applied, from its file.

    Raises:
        InputError: it is no plan, or one of a look at drift.
        RefusedError: it was altered.
    """
    plan = plans.read(path)
    if plan.kind != "provision":
        raise InputError(
            "This plan is not one to be applied.",
            where=str(path),
            expected="a plan of kind provision, as invoke plan --out FILE writes",
            found=f"kind {plan.kind}",
            remedy=f"make one: invoke plan {plan.scope} --out FILE",
        )
    return plan


def _bring_up_switches(settings: Settings, scene: Scene, scope: Scope, operator: Operator) -> Scene:
    """Push to the switches of an aisle, which its servers need; what NetBox says afterwards.

    Raises:
        HostsFailedError: a switch failed, and the change was taken back from all of them.
    """
    operator.say("the switches first")
    done = push.bring_up(settings, scene, scope, operator)
    operator.conclude(done)
    if not push.succeeded(done):
        raise HostsFailedError(
            "The switches are not as NetBox says, so no server was touched.",
            where=f"run {done.result.id}",
            found=done.result.stopped or "see the run",
            remedy=f"invoke runs.show {done.result.id}; mend the cause, then provision again",
        )
    return prepare.up_to_date(settings, scene, operator.say)


def _close(
    settings: Settings,
    left: Left,
    scene: Scene,
    operator: Operator,
    *,
    journal: Journal,
    folder: Folder,
) -> Done:
    """End a run whose last host was done when it was cut short: lock, exit code and report."""
    if journal.run(folder.run).exit_code == ExitCode.OK and folder.report.exists():
        result = journal.result(folder.run)
        return Done(result=result, netbox_url=scene.netbox_url, report=folder.report)
    writer = writeback.Writer(settings, patience=settings.netbox_patience)
    with (
        interruptible(operator.say) as interrupt,
        hold(settings, left.plan, folder.run, operator.say) as held,
    ):
        journal.take_over(folder.run, process.own())
        return _carry_out(
            settings, left.plan, scene, operator, journal=journal, folder=folder,
            interrupt=interrupt, lock=held, writer=writer,
        )  # fmt: skip


def _given(scope: Scope | None) -> Scope:
    if scope is None:
        raise ValueError("an order without scope, plan and run")
    return scope


def _start_hosts(
    settings: Settings, scene: Scene, kept: Plan | None, order: Order, operator: Operator
) -> None:
    if kept is None:
        given = _given(order.scope)
        devices = select(scene.dc, given, plans.statuses_of(order.kind)).devices
        names = {device.name or "" for device in devices}
        if _brings_up_switches(scene, order):
            names |= {device.name or "" for device in workable_switches(scene.dc, given)}
    else:
        names = set(kept.by_name) & set(scene.dc.devices_by_name)
    prepare.hosts(settings, scene.dc, names, operator.say)


def _require_holds(
    settings: Settings,
    made: Plan,
    scene: Scene,
    left: Left | None,
    operator: Operator,
    *,
    make: bool = True,
) -> None:
    """Make sure that nothing has moved since the plan was made.

    Raises:
        RefusedError: something has; each movement is named.
    """
    lines = plans.moved(
        made,
        scene.dc,
        target=settings.target,
        commit=scene.commit,
        kernels=reach.kernels(settings),
        only=left.hosts if left else None,
        own_statuses=left.own_statuses if left else None,
        ground=grounds.of_plan(settings, scene.dc, made, operator.say, make=make),
    )
    if lines:
        again = f"invoke {made.kind} {made.scope}"
        if made.kind == "provision":
            again = f"invoke plan {made.scope}, or {again}"
        raise RefusedError(
            "The plan no longer holds: something has moved since it was made.",
            where=f"plan {made.hash[:12]}, {made.scope}",
            expected="the same NetBox content, commit and target",
            found="\n            ".join(lines),
            remedy=f"make a new plan: {again}",
        )


def require_may_go(made: Plan, *, active: bool) -> None:
    """Make sure that no server in service is written anew unless that was said.

    Raises:
        RefusedError: there are some; they are named.
    """
    names = [host.name for host in made.hosts if host.status in IN_SERVICE]
    if made.kind in BARE_KINDS and names and not active:
        raise RefusedError(
            f"Servers in service would lose their system ({made.kind}); nothing was done.",
            where=", ".join(names[:10]),
            expected="servers that are not active, or the argument --active",
            found=f"{len(names)} active",
            remedy="see that nobody needs them, then say --active",
        )


def _tell_left(left: Left, operator: Operator) -> None:
    done = len(left.plan.hosts) - len(left.hosts)
    operator.say(f"{done} of {len(left.plan.hosts)} hosts are done and are not touched again")
    if left.unknown:
        rolling = left.plan.kind in ROLLING_KINDS
        how = "seeing whether they restarted" if rolling else "running their steps again"
        operator.say(f"UNKNOWN, to be checked by {how}: {', '.join(left.unknown)}")


# -- drift and dry run ----------------------------------------------------------------------------


def drift(settings: Settings, scene: Scene, scope: Scope, operator: Operator) -> Done:
    """Compare servers with what NetBox says. Nothing is changed on them or in NetBox.

    Raises:
        InputError: the scope means nothing, or NetBox's content makes servers unfit for a run.
    """
    made = _plan(settings, scene, scope, operator, "drift", make=False)
    folder = folder_of(settings, new_id())
    with closing(journal_of(settings)) as journal, interruptible(operator.say) as interrupt:
        folder.fill(made, scene.dc.snapshot)
        journal.open_run(record(folder.run, made, dry_run=True), made.hosts)
        folder.prune(journal.alike(made.kind))
        return _carry_out(
            settings, made, scene, operator, journal=journal, folder=folder, interrupt=interrupt
        )


def dry_run(settings: Settings, order: Order, operator: Operator) -> Done:
    """What a run would change on the hosts that answer. Not even the journal is touched.

    Raises:
        InputError: the order is wrong, or NetBox's content is.
        RefusedError: the plan no longer holds.
    """
    kept = _kept(order.plan) if order.plan else None
    scene = prepare.scene(settings, operator.say)
    if order.scope is not None and order.kind == "provision":
        _tell_of_switches(scene, order.scope, operator)
    made = kept or _plan(settings, scene, _given(order.scope), operator, order.kind, make=False)
    _require_holds(settings, made, scene, None, operator, make=False)
    operator.present(made)
    require_may_go(made, active=order.active)
    with (
        tempfile.TemporaryDirectory(prefix="chapelle-") as scratch,
        closing(Journal(Path(scratch) / "journal.sqlite")) as journal,
        interruptible(operator.say) as interrupt,
    ):
        folder = Folder(Path(scratch), new_id())
        folder.fill(made, scene.dc.snapshot)
        journal.open_run(record(folder.run, made, dry_run=True), made.hosts)
        bare = made.kind in BARE_KINDS
        if bare or prepare.nobody_answers(settings):
            if not bare:
                operator.say("the lab is not up: what its hosts would get cannot be said")
            journal.close_run(folder.run, time.time(), 0, "")
            return Done(result=journal.result(folder.run), netbox_url=scene.netbox_url)
        done = _carry_out(
            settings, made, scene, operator, journal=journal, folder=folder, interrupt=interrupt
        )
        return msgspec.structs.replace(done, report=None)


# -- all of them ----------------------------------------------------------------------------------


def _carry_out(
    settings: Settings,
    made: Plan,
    scene: Scene,
    operator: Operator,
    *,
    journal: Journal,
    folder: Folder,
    interrupt: Interrupt,
    **writing: Any,
) -> Done:
    steps = steps_of(made.kind, dry_run=not writing)
    took = journal.took(kind=made.kind, scope=made.scope, target=made.target)
    ground = grounds.of_plan(settings, scene.dc, made, operator.say, make=True) if writing else None
    deploying = (
        Deploying(settings, scene, ground, made, say=operator.say, directory=folder.path)
        if ground
        else None
    )
    with operator.watch(made, took) as watch:
        work = Work(
            settings=settings,
            plan=made,
            directory=folder.path,
            statuses=prepare.statuses(made, scene.dc),
            recorder=Recorder(journal, folder.run, steps, watch),
            interrupt=interrupt,
            deploying=deploying,
            **writing,
        )
        result = (Retirement if made.kind == "retire" else Engine)(work).run()
    folder.conclude(result, scene.netbox_url)
    return Done(result=result, netbox_url=scene.netbox_url, report=folder.report)
