"""Says what happens in a run, in both places: the journal first, then whoever watches."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from chapelle.model.outcome import Event, RunResult, StepResult, steps_for
from chapelle.run.journal import Journal
from chapelle.run.journal import outcome as outcome_of

Watcher = Callable[[Event], None]


class Recorder:
    """One run's way to say things.

    Arguments:
        journal: where the run was opened.
        run: the run's id.
        steps: the steps that make a host complete.
        watch: called with each event.
    """

    def __init__(self, journal: Journal, run: str, steps: Sequence[str], watch: Watcher) -> None:
        self.journal = journal
        self.run = run
        self.steps = steps
        self._watch = watch

    def begin(self, hosts: Sequence[str], step: str) -> None:
        """A step is about to begin on some hosts."""
        now = time.time()
        self.journal.begin(self.run, hosts, step, now)
        for host in hosts:
            self._watch(Event(time=now, kind="step-started", host=host, step=step))

    def end(self, host: str, result: StepResult, facts: dict[str, Any] | None = None) -> None:
        """A step has ended on a host, or will never be seen to end (outcome `unknown`)."""
        self.journal.end(self.run, host, result, facts)
        self._watch(
            Event(
                time=time.time(),
                kind="step-finished",
                host=host,
                step=result.step,
                outcome=result.outcome,
                message=result.message,
            )
        )

    def host_finished(self, host: str) -> str:
        """Nothing more is done on a host in this run; its outcome is returned."""
        steps = self.journal.steps(self.run, host)
        outcome = outcome_of(steps, steps_for(self.steps, steps))
        messages = [step.message for step in steps.values() if step.outcome == outcome]
        self._watch(
            Event(
                time=time.time(),
                kind="host-finished",
                host=host,
                outcome=outcome,
                message=next(filter(None, messages), ""),
            )
        )
        return outcome

    def say(self, kind: str, message: str = "", *, batch: int = 0) -> None:
        """Something happened to the run as a whole; `kind` as in `Event`."""
        event = Event(time=time.time(), kind=kind, message=message, batch=batch)
        self.journal.event(self.run, event)
        self._watch(event)

    def result(self) -> RunResult:
        """The run as the journal knows it now."""
        return self.journal.result(self.run)
