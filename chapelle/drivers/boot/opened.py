"""The open boot windows: who may ask for what, and how often.

A host has two tokens. DHCP tells it the first, which gives the script of a boot, and its BMC the
medium of a boot by virtual media; each script holds
a second one, drawn for this boot, under which kernel, ramdisk, order and files are, and which ends
the one before. The order is given out once for each boot.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from typing import Literal

from chapelle.errors import RefusedError
from chapelle.model.boot import BootEvent, BootFile, BootWindow, EventKind

# A host that asks for more scripts than this in one window is in a circle.
MOST_BOOTS = 10
TOKEN_BYTES = 24
CHUNK = 1 << 20
# Some BMCs take a medium by the end of its name only.
MEDIUM = "boot.iso"

Tell = Callable[[BootEvent], None]
# An order is made when it is fetched, so that what it holds is nowhere before.
MakeOrder = Callable[[], bytes]
# A report as it came; the answer says whether the host needs nothing more.
OnReport = Callable[[bytes], bool]
# The serial of a disk, and its header.
OnHeader = Callable[[str, bytes], None]

# What a request is good for: the first token gives a host its script, and its BMC the medium.
Part = Literal["token", "medium", "session"]

type _Stamp = tuple[int, int, int]


class Refusal(Exception):  # noqa: N818  (not an error of ours: an answer to a request)
    """A request that is not answered; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Opened:
    """One open window. All methods may be called from any thread.

    Arguments:
        window: what it allows.
        server: the URL of the service over plain HTTP.
        order: makes the order.
        on_report: told of each report.
        on_header: told of each disk's header.
        tell: told of events.
    """

    def __init__(
        self,
        window: BootWindow,
        *,
        server: str,
        order: MakeOrder,
        on_report: OnReport,
        on_header: OnHeader,
        tell: Tell,
    ) -> None:
        self.window = window
        self.order = order
        self.on_report = on_report
        self.on_header = on_header
        self.token = secrets.token_hex(TOKEN_BYTES)
        self.session = ""
        self.url = f"{server}/{self.token}"
        self.boots = 0
        self.finished = False
        self._ordered = False
        self._inserted = False
        self._tell = tell
        self._lock = threading.Lock()

    def tell(self, kind: EventKind, message: str) -> None:
        """Tell of something that this host did."""
        self._tell(BootEvent(kind=kind, host=self.window.host, message=message))

    @property
    def medium_url(self) -> str:
        """Where its BMC finds the medium."""
        return f"{self.url}/{MEDIUM}"

    def medium(self) -> BootFile:
        """The medium, which its BMC asks for, often piece by piece.

        Raises:
            Refusal: the window has none, or the host is finished.
        """
        if self.window.medium is None:
            raise Refusal(404, "its BMC asked for a medium, and its window has none")
        if self.finished:
            raise Refusal(410, "its BMC asked for its medium, and it is finished")
        with self._lock:
            first, self._inserted = not self._inserted, True
        if first:
            self.tell("medium", "its BMC fetches the medium that it is to boot from")
        return self.window.medium

    def begin(self) -> str:
        """A boot begins: returns the token of it. The token before is worth nothing from now on.

        Raises:
            Refusal: the host is finished, or has booted too often.
        """
        with self._lock:
            if self.finished:
                raise Refusal(410, "it is finished, and boots from the network again")
            if self.boots >= MOST_BOOTS:
                raise Refusal(429, f"it has booted {self.boots} times")
            self.boots += 1
            again, self._ordered = self._ordered, False
            self.session = secrets.token_hex(TOKEN_BYTES)
        if again:
            self.tell("again", "boots from the network again after it had its order")
        self.tell("script", f"loads its kernel, boot {self.boots}")
        return self.session

    def claim_order(self) -> None:
        """Somebody wants the order.

        Raises:
            Refusal: it has been given out since this boot began.
        """
        with self._lock:
            if self._ordered:
                raise Refusal(410, "its order was asked for a second time")
            self._ordered = True

    def release_order(self) -> None:
        """The order did not get there: it may be asked for again."""
        with self._lock:
            self._ordered = False

    def finish(self) -> None:
        """Nothing is booted any more; what the host still says is heard."""
        with self._lock:
            first, self.finished = not self.finished, True
        if first:
            self.tell("finished", "needs nothing more from the network")

    def file(self, name: str, kind: Literal["loaded", "fetched"]) -> BootFile:
        """The file of that name: one that iPXE loads, or one that the ramdisk fetches.

        Raises:
            Refusal: there is none, or the host is finished.
        """
        loaded = {"kernel": self.window.kernel, "initrd": self.window.initrd}
        found = (loaded if kind == "loaded" else self.window.files).get(name)
        if found is None:
            raise Refusal(404, f"it asked for {name!r}, which is not in its window")
        if self.finished:
            raise Refusal(410, f"it asked for {name!r}, and is finished")
        return found


class Verified:
    """Files that were read and found to be what they have to be; touched ones are read again.

    One for all windows: every host of a run is given the same image.
    """

    def __init__(self) -> None:
        self._known: dict[BootFile, _Stamp] = {}

    def check(self, file: BootFile) -> None:
        """Make sure that a file is what it has to be.

        Raises:
            RefusedError: it is not.
        """
        try:
            with file.path.open("rb") as stream:
                stamp = _stamp(stream.fileno())
                if self._known.get(file) == stamp:
                    return
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            found = error.strerror or str(error)
        if found != file.sha256:
            raise RefusedError(
                "A file for a host that boots is not what it has to be.",
                where=str(file.path),
                expected=f"SHA-256 {file.sha256}",
                found=found,
                remedy="build it again",
            )
        self._known[file] = stamp


class Windows:
    """All open windows, found by token and by MAC address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Opened] = {}

    def add(self, opened: Opened) -> None:
        """Open a window.

        Raises:
            RefusedError: the host, its address or one of its MAC addresses has one already.
        """
        new = opened.window
        with self._lock:
            for other in self._open.values():
                old = other.window
                shared = sorted({new.host, new.ip, *new.macs} & {old.host, old.ip, *old.macs})
                if shared:
                    raise RefusedError(
                        "Two hosts cannot boot as one.",
                        where=f"hosts {old.host} and {new.host}",
                        expected="names, addresses and MAC addresses of their own",
                        found=f"{', '.join(shared)} twice",
                        remedy="correct NetBox, or wait until the other window is closed",
                    )
            self._open[new.host] = opened

    def remove(self, opened: Opened) -> None:
        """Close a window."""
        with self._lock:
            self._open.pop(opened.window.host, None)

    @property
    def answered(self) -> list[Opened]:
        """Those that DHCP answers, by host."""
        with self._lock:
            return [
                self._open[host] for host in sorted(self._open) if not self._open[host].finished
            ]

    def by_mac(self, mac: str) -> Opened | None:
        """The window that a MAC address is answered in."""
        return next((each for each in self.answered if mac in each.window.macs), None)

    def by_token(self, token: str, part: Part, remote: str) -> Opened:
        """The window of a token, asked for by that address: its host's, or its BMC's.

        Raises:
            Refusal: there is none, or another machine asks.
        """
        with self._lock:
            for each in self._open.values():
                known = each.session if part == "session" else each.token
                if known and secrets.compare_digest(known.encode(), token.encode()):
                    found = each
                    break
            else:
                raise Refusal(404, "it asked with a token that is not, or no longer, good")
        if remote != (found.window.bmc if part == "medium" else found.window.ip):
            raise Refusal(403, f"it asked with the token of {found.window.host}")
        return found


def _stamp(descriptor: int) -> _Stamp:
    found = os.fstat(descriptor)
    return found.st_ino, found.st_size, found.st_mtime_ns
