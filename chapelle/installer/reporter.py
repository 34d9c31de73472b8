"""Says how far the installer is: to the controller, and on the console."""

import contextlib
import time
from typing import Any

from chapelle.installer.link import Link
from chapelle.installer.stop import Stop


class Reporter:
    """Makes reports as chapelle/model/deploy.py has them.

    Arguments:
        begun: when the installer began, by time.monotonic().
    """

    def __init__(self, begun: float) -> None:
        self.link: Link | None = None
        self.host = ""
        self.run = ""
        self._begun = begun
        self._stage = "hello"

    def stage(self, name: str, message: str = "", **more: Any) -> None:
        """Say that a stage begins; it does not begin unless the controller has heard of it.

        Raises:
            Failed: the boot window is closed, or nobody has answered for too long.
        """
        self._stage = name
        self._send(message=message, **more)

    def progress(self, percent: int) -> None:
        """Say how far the stage is; if nobody hears it, it goes on all the same."""
        if percent % 10 == 0:
            with contextlib.suppress(Stop):
                self._send(percent=percent)

    def done(self, message: str, **more: Any) -> None:
        """Say that all is done.

        Raises:
            Failed: nobody has answered.
        """
        self._send(message=message, percent=100, outcome="done", **more)

    def stopped(self, stop: Stop) -> None:
        """Say why it ends here; on the console, too, where a person may look."""
        for text in (stop.expected and f"expected: {stop.expected}", f"found: {stop.found}"):
            if text:
                print(f"installer:   {text}", flush=True)
        with contextlib.suppress(Stop):
            self._send(
                message=stop.message,
                outcome=stop.outcome,
                expected=stop.expected,
                found=stop.found,
            )

    def _send(self, **more: Any) -> None:
        report = {
            "host": self.host,
            "run": self.run,
            "stage": self._stage,
            "at": time.time(),
            "seconds": round(time.monotonic() - self._begun, 2),
            **more,
        }
        said = f"{report.get('percent', '')} {report.get('message', '')}".strip()
        print(f"installer: {report['seconds']:7.2f} {self._stage}: {said}", flush=True)
        if self.link is not None:
            self.link.report(report)
