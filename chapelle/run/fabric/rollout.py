"""Carries a push out over all its switches: batch by batch, and back from all if one of them fails.

A change that reaches some switches of several is worse than none: a tenant's VRF on half of its
leafs. So the first switch that does not end as it should halts the rollout, and what the run had
applied until then is taken back, the last first. A run that is stopped by Ctrl-C, or whose lock is
lost, stays where it is: it is resumed, or reverted as a whole by `fabric.revert`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from chapelle.checks.fabric import Expected
from chapelle.drivers.switch.contract import Target
from chapelle.errors import ChapelleError, ExitCode, LockedError
from chapelle.fabric import ownership
from chapelle.model.outcome import PUSH_STEPS, RunResult
from chapelle.model.switch import Identity
from chapelle.netbox.lock import Lock
from chapelle.plan.batches import Batch
from chapelle.plan.plan import Plan
from chapelle.run.fabric import expect, papers
from chapelle.run.fabric.devicelog import Aside, DeviceLog
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.management import Path as ManagementPath
from chapelle.run.fabric.netbox import WRITE_BACK, Notes, written
from chapelle.run.fabric.order import (
    APPLIED,
    FAILED,
    OVERWRITE,
    REVERTED,
    STOP,
    UNCHANGED,
    UNKNOWN,
    Connect,
    Ending,
    Limits,
    Order,
)
from chapelle.run.fabric.papers import Papers
from chapelle.run.fabric.transaction import Transaction
from chapelle.run.interrupt import Interrupt
from chapelle.run.journal import Journal, switch_outcome
from chapelle.run.recorder import Recorder, Watcher

TAKE_BACK = "take-back"
DRAINED_ROLES = frozenset({"spine"})

_GOOD = (UNCHANGED, APPLIED)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one switch shall be: its sections, what it shall do, and how it is reached.

    `not_exercised` is what post-checks cannot try on it.
    """

    target: Target
    sections: str
    expected: Expected
    path: ManagementPath | None = None
    not_exercised: tuple[str, ...] = ()


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a rollout needs.

    Arguments:
        plan: which switches, in which order, with which approved diffs.
        run: the run's id.
        directory: the run's own directory.
        journal: the journal's file.
        changes: by switch.
        connect: opens sessions.
        store: what is known of switches.
        limits: how long things may take.
        forks: how many switches at a time.
        drift: STOP, ADOPT, or OVERWRITE.
        serving: the devices that are in service, as NetBox says, and are not to be changed.
        watch: told of each event, from any thread.
        interrupt: whether the run was asked to stop.
        notes: how NetBox is told; None where it is not.
        lock: the lock on the aisles; None where there is none.
    """

    plan: Plan
    run: str
    directory: Path
    journal: Path
    changes: Mapping[str, Change]
    connect: Connect
    store: Store
    limits: Limits
    forks: int
    serving: frozenset[str]
    watch: Watcher
    interrupt: Interrupt
    drift: str = STOP
    notes: Notes | None = None
    lock: Lock | None = None


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Why a rollout ends early, and the exit code that says so."""

    why: str
    exit_code: ExitCode


class Rollout:
    """One carrying out of one push."""

    def __init__(self, work: Work, journal: Journal) -> None:
        self.work = work
        self.recorder = Recorder(journal, work.run, PUSH_STEPS, work.watch)
        self.identities: dict[str, Identity] = {}

    def run(self) -> RunResult:
        """Work through the batches; the result is in the journal too, and says how it ended."""
        self.recorder.say("run-started", self.work.plan.scope)
        try:
            stop = self._roll()
        except LockedError as error:
            stop = Stop(why=str(error), exit_code=ExitCode.LOCKED)
        except KeyboardInterrupt:
            why = "stopped at once by a second Ctrl-C; what was at work was brought to its end"
            stop = Stop(why=why, exit_code=ExitCode.FAILED)
        except ChapelleError as error:
            stop = Stop(why=str(error), exit_code=ExitCode.FAILED)
        return self._finish(stop)

    def _finish(self, stop: Stop | None) -> RunResult:
        code = stop.exit_code if stop else exit_code(self.recorder.result())
        if stop:
            self.recorder.say("run-stopped", stop.why)
        why = stop.why if stop else ""
        self.recorder.journal.close_run(self.recorder.run, time.time(), int(code), why)
        self.recorder.say("run-finished")
        return self.recorder.result()

    def _roll(self) -> Stop | None:
        stop = None
        for batch in self.work.plan.batches:
            self._check_lock()
            stop = self._asked_to_stop() or self._batch(batch)
            if stop:
                break
        if stop and stop.exit_code == ExitCode.HOSTS_FAILED:
            self._take_back()
        if not stop or stop.exit_code == ExitCode.HOSTS_FAILED:
            self._write_back()
        return stop

    def _asked_to_stop(self) -> Stop | None:
        if not self.work.interrupt or all(self._is_done(h.name) for h in self.work.plan.hosts):
            return None
        return Stop(why=f"stopped by {self.work.interrupt.by}", exit_code=ExitCode.FAILED)

    def _check_lock(self) -> None:
        if self.work.lock:
            self.work.lock.check()

    def _outcome(self, name: str) -> str:
        return switch_outcome(self.recorder.journal.steps(self.work.run, name))

    def _is_done(self, name: str) -> bool:
        return self._outcome(name) in _GOOD

    # -- one batch --------------------------------------------------------------------------------

    def _batch(self, batch: Batch) -> Stop | None:
        todo = [name for name in batch.hosts if not self._is_done(name)]
        if not todo:
            return None
        kind = "canary" if batch.canary else "batch"
        self.recorder.say("batch-started", f"{kind}: {batch.domain}", batch=batch.number)
        if self.work.notes:
            self.work.notes.stage(todo)
        ready = self.work.serving | {n for n in self.work.plan.by_name if self._is_done(n)}
        unknown = {name: self._last_step(name) for name in todo if self._outcome(name) == UNKNOWN}
        endings = self._at_once(todo, lambda name: self._push(name, ready, unknown.get(name)))
        self.recorder.say("batch-finished", batch=batch.number)
        bad = {name: each for name, each in endings.items() if each.outcome not in _GOOD}
        if not bad:
            return None
        words = "; ".join(f"{name} {each.outcome}: {each.message}" for name, each in bad.items())
        why = f"halted, since a change reaches all switches or none: {words}"
        return Stop(why=why, exit_code=ExitCode.HOSTS_FAILED)

    def _at_once(self, names: Sequence[str], work: Callable[[str], Ending]) -> dict[str, Ending]:
        """Work on some switches at a time; each is brought to its end, whatever happens here."""
        with ThreadPoolExecutor(max_workers=self.work.forks) as pool:
            return dict(zip(names, pool.map(work, names), strict=True))

    def _last_step(self, name: str) -> str:
        steps = self.recorder.journal.steps(self.work.run, name).values()
        return max(steps, key=lambda step: step.started).step

    def _push(self, name: str, ready: frozenset[str], begun: str | None) -> Ending:
        """Push to one switch; `begun` is the step at which an earlier controller was lost."""
        change = self.work.changes[name]
        host = self.work.plan.by_name[name]
        order = Order(
            target=change.target,
            device_id=host.device_id,
            run=self.work.run,
            sections=change.sections,
            expected=expect.awaiting(change.expected, ready),
            approved=host.intent["diff"],
            drift=self.work.drift,
            path=change.path,
            drain=host.role in DRAINED_ROLES,
            not_exercised=change.not_exercised,
        )
        log = DeviceLog(self.work.journal, self.work.run, name, self.work.watch)
        try:
            transaction = self._transaction(order, log, Papers(self.work.directory, name))
            ending = None
            if begun == TAKE_BACK:
                ending = self._settle_retreat(name, log)
            elif begun:
                ending = transaction.resume()
            ending = ending or transaction.run()
            if ending.identity:
                self.identities[name] = ending.identity
            log.finished()
        finally:
            log.close()
        return ending

    def _transaction(self, order: Order, log: DeviceLog | Aside, kept: Papers) -> Transaction:
        return Transaction(
            order,
            connect=self.work.connect,
            log=log,
            kept=kept,
            store=self.work.store,
            limits=self.work.limits,
        )

    # -- the way back -----------------------------------------------------------------------------

    def _take_back(self) -> None:
        """Bring every switch that the run changed back to what it ran before, the last first."""
        batches = [
            [name for name in batch.hosts if self._outcome(name) == APPLIED]
            for batch in reversed(self.work.plan.batches)
        ]
        applied = [batch for batch in batches if batch]
        if not applied:
            return
        names = ", ".join(name for batch in applied for name in batch)
        self.recorder.say("note", f"taking the change back from {names}")
        for batch in applied:
            self._check_lock()
            self._at_once(batch, self._take_back_one)

    def _take_back_one(self, name: str) -> Ending:
        log = DeviceLog(self.work.journal, self.work.run, name, self.work.watch)
        try:
            log.begin(TAKE_BACK)
            ending = self._retreat(name, log)
            outcome = {APPLIED: "ok", UNCHANGED: "ok", UNKNOWN: "unknown"}.get(
                ending.outcome, "failed"
            )
            words = "taken back: the change failed on another switch"
            if outcome != "ok":
                words = f"not taken back: {ending.message}"
            log.end(TAKE_BACK, outcome, words)
            log.finished()
        finally:
            log.close()
        return ending

    def _settle_retreat(self, name: str, log: DeviceLog) -> Ending | None:
        """A way back that was cut short: bring it to its end; None when the switch can go on."""
        order = self._order_back(name)
        ending = order and self._transaction(order, Aside(log), self._papers_back(name)).resume()
        if ending and ending.outcome == UNKNOWN:
            log.begin(TAKE_BACK)
            log.end(TAKE_BACK, "unknown", ending.message)
            return ending
        return None

    def _papers_back(self, name: str) -> Papers:
        return Papers(self.work.directory, name, TAKE_BACK)

    def _retreat(self, name: str, log: DeviceLog) -> Ending:
        order = self._order_back(name)
        if order is None:
            return Ending(outcome=FAILED, message="nothing is known of what it ran before")
        return self._transaction(order, Aside(log), self._papers_back(name)).run()

    def _order_back(self, name: str) -> Order | None:
        kept = Papers(self.work.directory, name)
        before, checkpoint = kept.facts(papers.BEFORE), kept.get(papers.CHECKPOINT)
        change = self.work.changes[name]
        if before is None or checkpoint is None:
            return None
        return Order(
            target=change.target,
            device_id=self.work.plan.by_name[name].device_id,
            run=f"{self.work.run}-{TAKE_BACK}",
            sections=ownership.owned(change.target.platform, checkpoint),
            expected=expect.as_before(change.expected.serial, before),
            drift=OVERWRITE,
            path=change.path,
        )

    # -- NetBox -----------------------------------------------------------------------------------

    def _write_back(self) -> None:
        """Tell NetBox what became of each switch; nothing of those that nobody knows of."""
        if self.work.notes is None:
            return
        self._check_lock()
        known = [h for h in self.recorder.result().hosts if h.outcome in (*_GOOD, REVERTED, FAILED)]
        self.work.notes.write([h for h in known if not written(h)], self.identities)


def exit_code(result: RunResult) -> ExitCode:
    """What a run that went to its end tells the shell."""
    good = all(host.outcome in _GOOD for host in result.hosts)
    told = all(
        step.outcome in {"ok", "changed"}
        for host in result.hosts
        for step in host.steps
        if step.step == WRITE_BACK
    )
    return ExitCode.OK if good and told else ExitCode.HOSTS_FAILED
