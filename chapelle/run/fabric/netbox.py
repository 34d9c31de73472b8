"""What a push writes back to NetBox: statuses by the transition table, journal entries, facts."""

import time
from collections.abc import Mapping, Sequence

from chapelle.errors import ChapelleError
from chapelle.model.outcome import HostResult, StepResult
from chapelle.model.switch import Identity
from chapelle.netbox.access import UnreachableError
from chapelle.netbox.writeback import Writer
from chapelle.plan.plan import Plan
from chapelle.run import writing
from chapelle.run.fabric.order import APPLIED, UNCHANGED
from chapelle.run.recorder import Recorder
from chapelle.run.steps import one_line

WRITE_BACK = "write-back"


class Notes:
    """How NetBox is told of one push.

    Arguments:
        writer: who writes.
        recorder: where it is written down that it was.
        plan: the plan of the push.
        statuses: NetBox's now, by switch.
    """

    def __init__(
        self, writer: Writer, recorder: Recorder, plan: Plan, statuses: Mapping[str, str]
    ) -> None:
        self._writer = writer
        self._recorder = recorder
        self._plan = plan
        self._statuses = dict(statuses)

    def stage(self, names: Sequence[str]) -> None:
        """Make switches `staged` that are about to be changed, if their status asks for it.

        Raises:
            ChapelleError: NetBox says no about one, or is out of reach.
        """
        entries = [self._entry(name, ()) for name in names]
        results = writing.at_once(lambda entry: writing.stage(self._writer, entry), entries)
        for entry, result in results:
            if isinstance(result, ChapelleError):
                raise result
            self._now(entry.name, result)

    def write(self, hosts: Sequence[HostResult], identities: Mapping[str, Identity]) -> None:
        """Write back how switches fared.

        Raises:
            ChapelleError: NetBox is out of reach; the run can be resumed.
        """
        entries = [self._entry(h.host, (_work(h),), identities.get(h.host)) for h in hosts]
        self._recorder.begin([entry.name for entry in entries], WRITE_BACK)
        results = writing.at_once(lambda entry: writing.write(self._writer, entry), entries)
        outages = []
        for entry, result in results:
            if isinstance(result, ChapelleError):
                self._end(entry.name, "failed", one_line(str(result)))
                outages += [result] if isinstance(result, UnreachableError) else []
            else:
                status, written = result
                self._now(entry.name, status)
                self._end(entry.name, "changed" if written else "ok")
        if outages:
            raise outages[0]

    def _entry(
        self, name: str, work: tuple[StepResult, ...], identity: Identity | None = None
    ) -> writing.Entry:
        return writing.Entry(
            name=name,
            device_id=self._plan.by_name[name].device_id,
            status=self._statuses[name],
            work=work,
            facts=_facts(identity),
            run=self._recorder.run,
            plan=self._plan.hash,
            commit=self._plan.commit,
            words="configuration applied, confirmed, and persisted",
        )

    def _now(self, name: str, status: str) -> None:
        if status != self._statuses[name]:
            self._statuses[name] = status
            self._recorder.journal.status(self._recorder.run, name, status)

    def _end(self, name: str, outcome: str, message: str = "") -> None:
        now = time.time()
        result = StepResult(
            step=WRITE_BACK, outcome=outcome, started=now, finished=now, message=message
        )
        self._recorder.end(name, result)


def _facts(identity: Identity | None) -> dict[str, str]:
    if identity is None:
        return {}
    return {"serial": identity.serial, "model": identity.model, "version": identity.version}


def written(host: HostResult) -> bool:
    """Whether NetBox knows already what became of a switch."""
    steps = {step.step: step for step in host.steps}
    told = steps.pop(WRITE_BACK, None)
    last = max((step.started for step in steps.values()), default=0.0)
    return told is not None and told.outcome in {"ok", "changed"} and told.started >= last


def _work(host: HostResult) -> StepResult:
    """What became of a switch, as one step for NetBox' journal."""
    bad = next((s for s in host.steps if s.outcome in {"failed", "unreachable"}), None)
    back = next((s for s in host.steps if s.step in {"revert", "take-back"}), None)
    good = {UNCHANGED: "ok", APPLIED: "changed"}
    told = bad or back
    return StepResult(
        step=f"push {host.outcome}" if host.outcome not in good else "push",
        outcome=good.get(host.outcome, "failed"),
        started=host.steps[0].started if host.steps else time.time(),
        finished=time.time(),
        message=told.message if told else "",
        changes=tuple(c for step in host.steps for c in step.changes),
    )
