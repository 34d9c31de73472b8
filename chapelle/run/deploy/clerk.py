"""One thread that writes the journal for many that work on hosts.

The journal is used from one thread. A worker that wants something written waits until it is on
disk: nothing is done that is not in the journal.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from chapelle.model.outcome import StepResult
from chapelle.run.recorder import Recorder

_LOOK_SECONDS = 0.2


class StoppedError(Exception):
    """The run was asked to stop; where the host is will be looked at when it goes on."""


class Clerk:
    """Writes what workers say. `pump` belongs to the thread of the journal, the rest to any.

    Arguments:
        recorder: of the run.
        must_stop: whether workers are to leave their hosts as they are.
    """

    def __init__(self, recorder: Recorder, must_stop: Callable[[], bool]) -> None:
        self._recorder = recorder
        self._must_stop = must_stop
        self._waiting: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = (
            queue.SimpleQueue()
        )
        self._stopping = threading.Event()
        self._closed = threading.Event()

    def begin(self, host: str, step: str) -> None:
        """A step is about to begin."""
        self._ask(lambda: self._recorder.begin([host], step))

    def end(self, host: str, step: str, outcome: str, started: float, message: str = "") -> None:
        """A step has ended; with outcome `unknown` nobody will see its end."""
        result = StepResult(
            step=step,
            outcome=outcome,
            started=started,
            finished=None if outcome == "unknown" else time.time(),
            message=message,
        )
        self._ask(lambda: self._recorder.end(host, result))

    def note(self, text: str) -> None:
        """Something that whoever watches should know; nobody waits for it."""
        self._waiting.put((lambda: self._recorder.say("note", text), Future()))

    def rest(self, seconds: float) -> None:
        """Wait; not at all when the run is to stop.

        Raises:
            StoppedError: it is.
        """
        if self._stopping.wait(seconds):
            raise StoppedError

    def _ask(self, write: Callable[[], None]) -> None:
        """Have something written, and wait until it is.

        Raises:
            StoppedError: nobody writes any more.
        """
        done: Future[None] = Future()
        self._waiting.put((write, done))
        while True:
            try:
                return done.result(_LOOK_SECONDS)
            except TimeoutError:
                if self._closed.is_set():
                    raise StoppedError from None

    def pump(self, workers: Sequence[Future[Any]]) -> None:
        """Write what workers say until all have ended.

        Raises:
            ChapelleError: the journal cannot be written; workers were told to stop.
        """
        try:
            while not self._write_next(ended=all(worker.done() for worker in workers)):
                if self._must_stop():
                    self._stopping.set()
        finally:
            self._stopping.set()
            self._closed.set()

    def _write_next(self, *, ended: bool) -> bool:
        """Write the next thing, if one comes soon; whether that was all."""
        try:
            write, done = self._waiting.get(timeout=0 if ended else _LOOK_SECONDS)
        except queue.Empty:
            return ended
        try:
            write()
        except BaseException as error:
            done.set_exception(error)
            raise
        done.set_result(None)
        return False
