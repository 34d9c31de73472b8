"""Where a run stands, worked out from its events alone: what every live display shows."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from chapelle.model.outcome import HOST_OUTCOMES, STEPS, Event
from chapelle.report.text import BAD_OUTCOMES

# Steps take unlike times, so a guess from single steps needs this share of the work behind it.
_ENOUGH = 0.1

WRITE_BACK = STEPS[-1]


class RackLine(msgspec.Struct, kw_only=True):
    """How far the hosts of one rack, or of several, have come.

    All numbers are hosts: `done` and `running` by step (a step that failed is not done),
    `outcomes` by outcome.
    """

    name: str
    hosts: int = 0
    finished: int = 0
    done: Counter[str] = msgspec.field(default_factory=Counter)
    running: Counter[str] = msgspec.field(default_factory=Counter)
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def state(self) -> str:
        """`working` while a step runs in the rack, else `finished` or `waiting`."""
        if self.running.total():
            return "working"
        return "finished" if self.finished == self.hosts else "waiting"

    def add(self, other: "RackLine") -> None:
        """Count the hosts of `other` here as well."""
        self.hosts += other.hosts
        self.finished += other.finished
        self.done += other.done
        self.running += other.running
        self.outcomes += other.outcomes


class Progress:
    """The state of a run.

    Arguments:
        hosts: name and rack of every host of the run, in the order in which racks are shown.
        steps: what is done to each host.
        expected_seconds: how long such a run took before, if that is known.
    """

    def __init__(
        self,
        hosts: Mapping[str, str],
        steps: Sequence[str] = STEPS,
        expected_seconds: float | None = None,
    ) -> None:
        self.hosts = dict(hosts)
        self.steps = tuple(steps)
        self.expected_seconds = expected_seconds
        self.outcomes: dict[str, str] = {}
        self.batch = 0
        self.started: float | None = None
        self.note = ""
        self._running: dict[str, str] = {}
        self._done: dict[str, dict[str, str]] = {host: {} for host in self.hosts}
        self._pace_from: tuple[float, float] | None = None
        self._batches_finished = 0
        self._end: float | None = None

    @property
    def finished(self) -> int:
        """How many hosts are through."""
        return len(self.outcomes)

    @property
    def racks(self) -> dict[str, RackLine]:
        """The racks in order, each with its counts."""
        racks: dict[str, RackLine] = {}
        for host, rack in self.hosts.items():
            line = racks.setdefault(rack, RackLine(name=rack))
            line.hosts += 1
            line.done.update(s for s, end in self._done[host].items() if end not in BAD_OUTCOMES)
            if host in self._running:
                line.running[self._running[host]] += 1
            if outcome := self.outcomes.get(host):
                line.finished += 1
                line.outcomes[outcome] += 1
        return racks

    def counts(self) -> dict[str, int]:
        """Hosts by outcome, no outcome yet as `pending`; outcomes that nobody has are left out."""
        found = Counter(self.outcomes.values())
        found["pending"] += len(self.hosts) - self.finished
        return {name: found[name] for name in HOST_OUTCOMES if found[name]}

    def word(self, outcome: str) -> str:
        """What an outcome is called: a run that writes nothing back has changed nothing."""
        only_looks = WRITE_BACK not in self.steps
        return "differing" if only_looks and outcome == "changed" else outcome

    def see(self, event: Event) -> None:
        """Take in one event. Events about hosts outside the run are ignored."""
        if self.started is None:
            self.started = event.time
        if event.kind == "batch-started":
            self.batch = event.batch
        if event.kind in ("batch-started", "note", "run-stopped"):
            self.note = event.message
        if event.host in self.hosts:
            self._see_host(event)
        self._measure(event)

    def _see_host(self, event: Event) -> None:
        if event.kind == "step-started":
            self._running[event.host] = event.step
        elif event.kind == "step-finished":
            self._running.pop(event.host, None)
            self._done[event.host][event.step] = event.outcome
        elif event.kind == "host-finished":
            self._running.pop(event.host, None)
            self.outcomes[event.host] = event.outcome

    # -- how long it will take --------------------------------------------------------------------

    def _work(self) -> float:
        """Hosts done, a host half through counting as half."""
        unfinished = (host for host in self.hosts if host not in self.outcomes)
        parts = sum(len(self._done[host]) for host in unfinished) / len(self.steps)
        return self.finished + parts

    def _measure(self, event: Event) -> None:
        """Guess the end anew where the pace can be judged.

        The first batch is the canary: a host or two, slower each than those of a full batch. The
        pace is therefore taken from its end on, and best at the end of a batch, since the hosts of
        a batch advance together.
        """
        if event.kind == "batch-finished":
            self._batches_finished += 1
            if self._batches_finished == 1:
                self._pace_from = (event.time, self._work())
        settled = self._batches_finished > 1
        if self._pace_from is None or (settled and event.kind != "batch-finished"):
            return
        since, before = self._pace_from
        work = self._work()
        enough = 0.0 if settled else _ENOUGH * (len(self.hosts) - before)
        if event.time > since and work - before > enough:
            seconds = (event.time - since) / (work - before)
            self._end = event.time + (len(self.hosts) - work) * seconds

    def remaining(self, now: float) -> float | None:
        """Seconds until the end, as far as can be told; None as long as nothing can."""
        end = self._end
        if end is None and self.expected_seconds is not None and self.started is not None:
            end = self.started + self.expected_seconds
        return None if end is None or end <= now or self.finished >= len(self.hosts) else end - now
