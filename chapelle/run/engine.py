"""Carries a plan out: batch by batch, each step in the journal, and a stop that says why.

The way of one host: status `staged` in NetBox unless it is in service, then the steps of its run by
one playbook process for its whole batch, then the outcome written back to NetBox. A host that a run
is gone on with begins later: one that was configured is verified only, and of one that was to be
restarted it is seen first whether it has been.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chapelle.drivers import ansible
from chapelle.errors import ChapelleError, ExitCode, LockedError
from chapelle.model.outcome import DEPLOY_STEPS, RunResult, StepResult
from chapelle.netbox.access import UnreachableError
from chapelle.netbox.lock import Lock
from chapelle.netbox.writeback import Writer
from chapelle.plan import rolling
from chapelle.plan.batches import Batch
from chapelle.plan.plan import BARE_KINDS, Plan
from chapelle.run import writing
from chapelle.run.deploy.deploying import Deploying
from chapelle.run.deploy.host import GATE
from chapelle.run.interrupt import Interrupt
from chapelle.run.recorder import Recorder
from chapelle.run.steps import PREFLIGHT, WRITE_BACK, Follower, course, one_line
from chapelle.settings import Settings

# How many hosts may fail before the run stops, unless the operator says otherwise.
DEFAULT_MAX_FAILED = 2

# What was done to a host when all went well, for NetBox's journal.
_CONFIGURED = "configured and verified"
_WORDS = {
    "reboot": "restarted and verified",
    "patch": "patched and verified",
    "rebuild": "rebuilt, configured and verified",
}

_LOST = ("failed", "unreachable", "unknown")


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run ends early, and the exit code that says so."""

    why: str
    exit_code: ExitCode


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that carrying out a plan needs.

    `statuses` are NetBox's now, by host. `directory` is the run's own and has the plan's snapshot
    in `snapshot.json`. Of a drift, `writer` and `lock` are None and nothing is changed anywhere.
    `deploying` brings up the hosts of which nothing is there yet, if the plan has some.
    """

    settings: Settings
    plan: Plan
    directory: Path
    statuses: Mapping[str, str]
    recorder: Recorder
    interrupt: Interrupt
    writer: Writer | None = None
    lock: Lock | None = None
    max_failed: int = DEFAULT_MAX_FAILED
    deploying: Deploying | None = None


class Engine:
    """One carrying out of one plan."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.recorder = work.recorder
        self.course = course(work.plan.kind)
        self.statuses = dict(work.statuses)
        self.lost: list[str] = []

    def run(self) -> RunResult:
        """Work through the batches; the result is in the journal too, and says how it ended."""
        self.recorder.say("run-started", self.work.plan.scope)
        stop = None
        try:
            self._tell_done()
            for batch in self.work.plan.batches:
                if stop := self._asked_to_stop() or self._in_turn(batch):
                    break
        except LockedError as error:
            stop = Stop(why=str(error), exit_code=ExitCode.LOCKED)
        except KeyboardInterrupt:
            stop = Stop(why="stopped at once by a second Ctrl-C", exit_code=ExitCode.FAILED)
        except (ChapelleError, OSError) as error:
            stop = Stop(why=str(error), exit_code=ExitCode.FAILED)
        return self._finish(stop)

    def _tell_done(self) -> None:
        """Of a run that is gone on with: the hosts that are done, for whoever counts."""
        for host in self.work.plan.hosts:
            if self._is_done(host.name):
                self.recorder.host_finished(host.name)

    def _is_done(self, host: str) -> bool:
        known = self.recorder.journal.steps(self.recorder.run, host)
        return _done(known, self.course.steps) and (self.work.writer is None or _written(known))

    def _finish(self, stop: Stop | None) -> RunResult:
        result = self.recorder.result()
        code = stop.exit_code if stop else exit_code(result)
        if stop:
            self.recorder.say("run-stopped", stop.why)
        why = stop.why if stop else ""
        self.recorder.journal.close_run(self.recorder.run, time.time(), int(code), why)
        self.recorder.say("run-finished")
        return self.recorder.result()

    def _asked_to_stop(self) -> Stop | None:
        """A request that comes when the last host is done stops nothing."""
        if not self.work.interrupt or all(self._is_done(h.name) for h in self.work.plan.hosts):
            return None
        return Stop(why=f"stopped by {self.work.interrupt.by}", exit_code=ExitCode.FAILED)

    # -- one batch --------------------------------------------------------------------------------

    def _in_turn(self, batch: Batch) -> Stop | None:
        """A batch at one go, or in parts where servers did not come back and leave less room."""
        waiting = batch.hosts
        while waiting:
            fitting = self._fitting(waiting)
            if not fitting:
                return Stop(
                    why=f"{', '.join(self.lost)} did not succeed, and beside that "
                    f"inventory/rolling.yml lets none of these be out: {', '.join(waiting)}",
                    exit_code=ExitCode.HOSTS_FAILED,
                )
            if stop := self._batch(msgspec.structs.replace(batch, hosts=fitting)):
                return stop
            waiting = tuple(name for name in waiting if name not in fitting)
        return None

    def _fitting(self, waiting: tuple[str, ...]) -> tuple[str, ...]:
        policy = self.work.plan.policy
        if policy is None or self.work.writer is None or not self.lost:
            return waiting
        roles = {host.name: host.role for host in self.work.plan.hosts}
        return rolling.room(waiting, self.lost, roles, policy)

    def _batch(self, batch: Batch) -> Stop | None:
        known = {name: self.recorder.journal.steps(self.recorder.run, name) for name in batch.hosts}
        worked = [name for name in batch.hosts if _done(known[name], self.course.steps)]
        todo = [name for name in batch.hosts if name not in worked]
        unwritten = [name for name in worked if not _written(known[name])]
        if self.work.writer is None:
            unwritten = []
        if not todo and not unwritten:
            return None
        kind = "canary" if batch.canary else "batch"
        self.recorder.say("batch-started", f"{kind} in {batch.domain}", batch=batch.number)
        bare = [name for name in todo if self._is_bare(name, known[name])]
        brought = self._bring_up(bare, known)
        ready = [name for name in todo if name not in bare or name in brought]
        worked_on = [name for name in bare if name not in brought]
        if ready and not (bare and self._must_stop()):
            worked_on += self._play(batch, ready, known)
        stop = self._write_back([*unwritten, *worked_on]) or self._asked_to_stop()
        for name in [*unwritten, *todo]:
            self._count(name, self.recorder.host_finished(name))
        self.recorder.say("batch-finished", batch=batch.number)
        return stop or self._over_budget(batch)

    def _is_bare(self, host: str, known: Mapping[str, StepResult]) -> bool:
        """Whether nothing of ours runs on a host yet: its plan begins at the BMC."""
        if self.work.deploying is None or GATE not in self.work.plan.by_name[host].steps:
            return False
        return not _done(known, DEPLOY_STEPS)

    def _bring_up(
        self, hosts: Sequence[str], known: Mapping[str, Mapping[str, StepResult]]
    ) -> list[str]:
        """Take hosts from no power to a system that answers; those that came through."""
        if not hosts or self.work.deploying is None:
            return []
        self._check_lock()
        self.recorder.begin(hosts, GATE)
        staged = self._stage(hosts, GATE)
        if not staged:
            return []
        return self.work.deploying.carry_out(staged, known, self.recorder, self._must_stop)

    def _play(
        self, batch: Batch, hosts: Sequence[str], known: Mapping[str, Mapping[str, StepResult]]
    ) -> list[str]:
        """All steps but the writing back; the hosts that were worked on.

        What was completed before a run was cut short is not done again.
        """
        self._check_lock()
        course = self.course
        later = [name for name in hosts if _done(known[name], course.before)]
        fresh = [name for name in hosts if name not in later]
        parts = ((fresh, PREFLIGHT, course.playbook), (later, course.again, course.later))
        worked_on: list[str] = []
        for names, first, playbook in parts:
            if not names or (worked_on and self._must_stop()):
                continue
            self.recorder.begin(names, first)
            if staged := self._stage(names, first):
                self._run_playbook(f"batch-{batch.number}-{first}", playbook, staged, first)
                worked_on += staged
        return worked_on

    def _must_stop(self) -> bool:
        """Whether hosts at work are to be left at once: we were told to, or may not go on."""
        return bool(self.work.interrupt) or (self.work.lock is not None and self.work.lock.lost)

    def _run_playbook(self, name: str, playbook: str, staged: Sequence[str], first: str) -> None:
        follower = Follower(staged, self.recorder, self.course.steps, first)
        book = ansible.Playbook(
            directory=self.work.directory,
            name=name,
            playbook=self.work.settings.root / "playbooks" / f"{playbook}.yml",
            inventory=self.work.settings.root / "inventory" / "chapelle.yml",
            hosts=tuple(staged),
            environment={
                "CHAPELLE_SNAPSHOT": str(self.work.directory / "snapshot.json"),
                "CHAPELLE_HOSTS": ",".join(staged),
            },
            variables=self._variables(staged if first == self.course.again else ()),
            check=self.work.writer is None,
        )
        ending = ansible.run(self.work.settings, book, follower.see, self._must_stop)
        follower.close(ending)

    def _variables(self, resumed: Sequence[str]) -> dict[str, Any]:
        """What the playbooks of a rolling run are told; `boots` is of hosts that it comes back to.

        It is in the journal from before the restart was ordered, so that none is restarted twice.
        """
        policy = self.work.plan.policy
        if policy is None:
            return {}
        run = self.recorder.run
        steps = {name: self.recorder.journal.steps(run, name) for name in resumed}
        told = {
            "kind": self.work.plan.kind,
            "run": run,
            "boots": {name: known[PREFLIGHT].boot_id for name, known in steps.items()},
            "seconds": msgspec.to_builtins(policy.seconds),
        }
        return {"chapelle_rolling": told}

    def _over_budget(self, batch: Batch) -> Stop | None:
        if self.work.writer is None or not self.lost:
            return None
        if batch.canary:
            why = f"the canary {self.lost[0]} did not succeed; no other host was touched"
        elif len(self.lost) > self.work.max_failed:
            names = ", ".join(self.lost)
            why = (
                f"{len(self.lost)} hosts did not succeed, and --max-failed allows "
                f"{self.work.max_failed}: {names}"
            )
        else:
            return None
        return Stop(why=why, exit_code=ExitCode.HOSTS_FAILED)

    def _count(self, host: str, outcome: str) -> None:
        if outcome in _LOST:
            self.lost.append(host)

    def _check_lock(self) -> None:
        if self.work.lock:
            self.work.lock.check()

    # -- NetBox -----------------------------------------------------------------------------------

    def _entry(self, host: str) -> writing.Entry:
        run = self.recorder.run
        steps = self.recorder.journal.steps(run, host)
        asked = steps.get(WRITE_BACK)
        return writing.Entry(
            name=host,
            device_id=self.work.plan.by_name[host].device_id,
            status=self.statuses[host],
            work=tuple(steps[step] for step in self._steps(host) if step in steps),
            facts=self.recorder.journal.facts(run, host),
            run=run,
            plan=self.work.plan.hash,
            commit=self.work.plan.commit,
            words=_WORDS.get(self.work.plan.kind, _CONFIGURED),
            anew=self.work.plan.kind in BARE_KINDS,
            asked=asked.started if asked else None,
        )

    def _stage(self, hosts: Sequence[str], first: str) -> list[str]:
        """Make the hosts `staged`; those that may be worked on.

        Of the others the step `first`, which was begun, ends here.

        Raises:
            ChapelleError: NetBox cannot be written to.
        """
        writer = self.work.writer
        if writer is None:
            return list(hosts)
        entries = [self._entry(host) for host in hosts]
        results = writing.at_once(lambda entry: writing.stage(writer, entry), entries)
        outages = _outages([result for _, result in results])
        ready = []
        for entry, result in results:
            if isinstance(result, ChapelleError):
                outcome = "skipped" if outages else "failed"
                self._end(entry.name, first, outcome, _short(result))
            else:
                self._now(entry.name, result)
                ready.append(entry.name)
        if outages:
            for name in ready:
                self._end(name, first, "skipped", "NetBox was out of reach")
            raise outages[0]
        return ready

    def _write_back(self, hosts: Sequence[str]) -> Stop | None:
        writer = self.work.writer
        if writer is None:
            return None
        self._check_lock()
        entries = [entry for host in hosts if self._knowable(entry := self._entry(host))]
        self.recorder.begin([entry.name for entry in entries], WRITE_BACK)
        results = writing.at_once(lambda entry: writing.write(writer, entry), entries)
        for entry, result in results:
            if isinstance(result, ChapelleError):
                self._end(entry.name, WRITE_BACK, "failed", _short(result))
            else:
                status, written = result
                self._now(entry.name, status)
                self._end(entry.name, WRITE_BACK, "changed" if written else "ok")
        outages = _outages([result for _, result in results])
        if not outages:
            return None
        why = f"{len(outages)} hosts could not be written back to NetBox: {_short(outages[0])}"
        return Stop(why=why, exit_code=ExitCode.FAILED)

    def _steps(self, host: str) -> tuple[str, ...]:
        """All steps of a host but the last."""
        return tuple(step for step in self.work.plan.by_name[host].steps if step != WRITE_BACK)

    def _knowable(self, entry: writing.Entry) -> bool:
        """Whether there is an outcome to write: nothing is written about what nobody knows.

        A host that was left between two steps has none either.
        """
        if any(step.outcome == "unknown" for step in entry.work):
            return False
        return len(entry.work) == len(self._steps(entry.name)) or bool(writing.failed(entry.work))

    def _now(self, host: str, status: str) -> None:
        if status != self.statuses[host]:
            self.statuses[host] = status
            self.recorder.journal.status(self.recorder.run, host, status)

    def _end(self, host: str, step: str, outcome: str, message: str = "") -> None:
        now = time.time()
        self.recorder.end(
            host,
            StepResult(step=step, outcome=outcome, started=now, finished=now, message=message),
        )


def exit_code(result: RunResult) -> ExitCode:
    """What a run that went to its end tells the shell."""
    outcomes = {host.outcome for host in result.hosts}
    if result.dry_run and result.kind == "provision":  # a host that is not up yet has no news
        outcomes -= {"unreachable"}
    if outcomes & set(_LOST):
        return ExitCode.HOSTS_FAILED
    if result.kind == "drift" and "changed" in outcomes:
        return ExitCode.FINDINGS
    return ExitCode.OK


def _done(steps: Mapping[str, StepResult], wanted: Sequence[str]) -> bool:
    """Whether these steps of a host were done and seen to be done."""
    return all(step in steps and steps[step].outcome in {"ok", "changed"} for step in wanted)


def _written(steps: Mapping[str, StepResult]) -> bool:
    return _done(steps, [WRITE_BACK])


def _outages(results: Sequence[Any]) -> list[UnreachableError]:
    """The errors that mean that NetBox is out of reach, and not that it said no about a server."""
    return [result for result in results if isinstance(result, UnreachableError)]


def _short(error: ChapelleError) -> str:
    return one_line(str(error))
