"""Ctrl-C and its kin, as a question that the run asks itself between its steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# A closed terminal and a polite kill mean the same as Ctrl-C.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Whether the run was asked to stop, and by what."""

    def __init__(self) -> None:
        self.by: str | None = None

    def __bool__(self) -> bool:
        return self.by is not None


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interrupt]:
    """While this lasts, the first signal asks the run to stop, and a second one stops it at once.

    A signal that was ignored before, as nohup(1) does with SIGHUP, stays ignored.

    Arguments:
        say: told about the first signal, so that the operator knows that it was heard.
    """
    interrupt = Interrupt()

    def handle(number: int, _frame: FrameType | None) -> None:
        if interrupt:
            raise KeyboardInterrupt
        interrupt.by = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        say(
            f"{interrupt.by}: stopping cleanly; once more stops at once and leaves the rest UNKNOWN"
        )

    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
