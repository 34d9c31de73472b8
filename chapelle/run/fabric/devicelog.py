"""The steps of one switch, written down from the thread that works on it."""

import time
from collections.abc import Sequence
from pathlib import Path

from chapelle.model.outcome import PUSH_STEPS, Change, Difference, StepResult
from chapelle.run.journal import Journal
from chapelle.run.recorder import Recorder, Watcher


class DeviceLog:
    """A `Log` in the journal. Each has a connection of its own; call it from one thread.

    Arguments:
        journal: the journal's file.
        run: the run's id.
        device: the switch's name.
        watch: called with each event.
    """

    def __init__(self, journal: Path, run: str, device: str, watch: Watcher) -> None:
        self._journal = Journal(journal)
        self._recorder = Recorder(self._journal, run, PUSH_STEPS, watch)
        self._device = device
        self._began: dict[str, float] = {}

    def close(self) -> None:
        """Close the journal's file."""
        self._journal.close()

    def begin(self, step: str) -> None:
        """A step is about to begin."""
        self._recorder.begin([self._device], step)
        self._began[step] = time.time()

    def end(
        self,
        step: str,
        outcome: str,
        message: str = "",
        *,
        changes: Sequence[Change] = (),
        differences: Sequence[Difference] = (),
        not_exercised: Sequence[str] = (),
    ) -> None:
        """The step has ended."""
        result = StepResult(
            step=step,
            outcome=outcome,
            started=self._began.get(step, time.time()),
            finished=None if outcome == "unknown" else time.time(),
            message=message,
            changes=tuple(changes),
            differences=tuple(differences),
            not_exercised=tuple(not_exercised),
        )
        self._recorder.end(self._device, result)

    def note(self, message: str) -> None:
        """Something that people should know about the device."""
        self._recorder.say("note", message)

    def finished(self) -> str:
        """Nothing more is done to the device for now; its outcome is returned."""
        return self._recorder.host_finished(self._device)


class Aside:
    """A `Log` for work that is itself one step of another log: its notes only."""

    def __init__(self, log: DeviceLog) -> None:
        self._log = log

    def begin(self, step: str) -> None:
        """Not written down: the step around it is."""

    def end(
        self,
        step: str,
        outcome: str,
        message: str = "",
        *,
        changes: Sequence[Change] = (),
        differences: Sequence[Difference] = (),
        not_exercised: Sequence[str] = (),
    ) -> None:
        """Not written down."""

    def note(self, message: str) -> None:
        """Something that people should know about the device."""
        self._log.note(message)
