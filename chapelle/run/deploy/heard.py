"""What is heard of one host while its boot window is open: from DHCP, from HTTP, from itself."""

import threading
import time

from chapelle.model.boot import BootEvent
from chapelle.model.deploy import Report
from chapelle.run.steps import one_line


class Heard:
    """What one host has said. Told by threads of the boot service, asked by the host's own.

    Arguments:
        host: which.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self._changed = threading.Condition()
        self._reports: list[Report] = []
        self._events: list[BootEvent] = []
        self._at = time.monotonic()
        self._headers: set[str] = set()

    def event(self, event: BootEvent) -> None:
        """The boot service tells of this host."""
        with self._changed:
            self._events.append(event)
            self._at = time.monotonic()
            self._changed.notify_all()

    def report(self, said: Report) -> bool:
        """The installer reports; whether it needs nothing more."""
        with self._changed:
            self._reports.append(said)
            self._at = time.monotonic()
            self._changed.notify_all()
        return said.outcome != "running"

    def header(self, name: str) -> None:
        """A header backup of that name is kept."""
        with self._changed:
            self._headers.add(name)
            self._at = time.monotonic()

    @property
    def headers(self) -> frozenset[str]:
        """The names of the headers that are kept."""
        with self._changed:
            return frozenset(self._headers)

    @property
    def reports(self) -> tuple[Report, ...]:
        """All reports."""
        with self._changed:
            return tuple(self._reports)

    @property
    def last(self) -> Report | None:
        """The latest report."""
        with self._changed:
            return self._reports[-1] if self._reports else None

    @property
    def silent(self) -> float:
        """Seconds since anything was heard."""
        with self._changed:
            return time.monotonic() - self._at

    @property
    def broken(self) -> str:
        """Why the boot service has ended; empty while it works."""
        with self._changed:
            return next((e.message for e in self._events if e.kind == "broken"), "")

    def quiet(self) -> None:
        """Count the silence from now on: something was done that wants an answer."""
        with self._changed:
            self._at = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait for news, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    @property
    def words(self) -> str:
        """The last thing that it said, or that was heard of it, for people."""
        with self._changed:
            if self._reports:
                said = self._reports[-1]
                text = f"{said.stage}: {said.message or f'{said.percent} %'}"
                return one_line(f"{text} ({said.seconds:.0f} s after it began)")
            if self._events:
                return one_line(f"{self._events[-1].kind}: {self._events[-1].message}")
        return "nothing was heard of it"


def complaint(said: Report) -> str:
    """Why an installer stopped, with what it expected and found."""
    parts = [f"{said.stage}: {said.message}"]
    parts += [f"expected {said.expected}"] if said.expected else []
    parts += [f"found {said.found}"] if said.found else []
    return one_line("; ".join(parts))
