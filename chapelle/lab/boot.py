"""Starting many nodes: a few at a time, each watched until it has booted and sshd answers.

systemd tells us over its notification socket when a container has booted; then one connection from
the hub shows that it can be reached. A node with a kernel of its own tells nothing, and is asked
from the beginning.
"""

import contextlib
import os
import socket
import struct
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from chapelle.lab import cgroup, node, uml, wires
from chapelle.lab.knocking import Knocking
from chapelle.lab.spec import Node
from chapelle.process import parent
from chapelle.settings import Settings

# Enough to keep the processors busy while some nodes wait for something, few enough that each
# gets ahead.
AT_ONE_TIME = 4 * (os.cpu_count() or 1)

BOOT_SECONDS = 120.0
# A full kernel takes 16 s of a processor to boot; fifteen of them on two processors take minutes.
FULL_KERNEL_SECONDS = 300.0
ANSWER_SECONDS = 30.0
PROBE_SECONDS = 0.5
TICK_SECONDS = 0.2

Progress = Callable[[int, int], None]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A node that did not come up, and why."""

    host: str
    reason: str


class _Booting(msgspec.Struct, frozen=True, kw_only=True):
    """A node on its way; it has so many seconds' `patience`, till `deadline` (monotonic clock)."""

    node: Node
    process: subprocess.Popen[bytes]
    patience: float
    deadline: float


class _Readiness:
    """A datagram socket that systemd-nspawn tells when a container has booted (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def wait(self, seconds: float) -> set[int]:
        """The supervisors whose systemd-nspawn is ready; waits for one at most so long."""
        ready = set()
        self._socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                data, ancillary, _, _ = self._socket.recvmsg(4096, 64)
                if b"READY=1" in data.split(b"\n"):
                    for _, kind, payload in ancillary:
                        if kind == socket.SCM_CREDENTIALS:
                            ready.add(parent(struct.unpack("3i", payload[:12])[0]))
                self._socket.settimeout(0)
        return ready


class Boot:
    """Brings nodes up.

    Arguments:
        settings: whose lab.
        hub: its network.
        groups: its control groups.
        notify: where the notification socket is to be; a short path.
        source: our own address towards the nodes, or the empty string.
        progress: told how many nodes of how many answer.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        hub: wires.Hub,
        groups: cgroup.Tree,
        notify: Path,
        source: str,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._groups = groups
        self._notify = notify
        self._progress = progress
        self._booting: dict[int, _Booting] = {}
        self._booted: dict[str, tuple[Node, float]] = {}
        self._failures: list[Failure] = []
        self._knocking = Knocking(hub.namespace, source)
        self._namespaces: dict[str, int] = {}

    def run(
        self, to_start: Sequence[Node], already: Sequence[Node], namespaces: dict[str, int]
    ) -> list[Failure]:
        """Start nodes, and wait until they and those that run already answer.

        Arguments:
            to_start: nodes that do not run.
            already: nodes that run.
            namespaces: a descriptor of the network namespace of each of `to_start`, by name; they
                are closed.

        Returns:
            The nodes that do not, each with the reason; they are left as they are.
        """
        self._namespaces = dict(namespaces)
        try:
            return self._run(to_start, already)
        finally:
            for namespace in self._namespaces.values():
                os.close(namespace)

    def _run(self, to_start: Sequence[Node], already: Sequence[Node]) -> list[Failure]:
        pending = deque(to_start)
        total = len(to_start) + len(already)
        self._booted = {each.ip: (each, time.monotonic() + ANSWER_SECONDS) for each in already}
        with _Readiness(self._notify) as readiness, self._knocking:
            while pending or self._booting or self._booted:
                while pending and len(self._booting) < AT_ONE_TIME:
                    self._launch(pending.popleft())
                if self._booting:
                    self._note_ready(readiness.wait(0 if self._booted else TICK_SECONDS))
                self._note_dead()
                self._probe(PROBE_SECONDS if not self._booting else TICK_SECONDS)
                unfinished = len(pending) + len(self._booting) + len(self._booted)
                self._progress(total - unfinished - len(self._failures), total)
        return self._failures

    def _launch(self, each: Node) -> None:
        namespace = self._namespaces.pop(each.name)
        try:
            if each.kind == "uml":
                home = node.folder(self._settings) / each.name
                process = uml.launch(each, home, namespace, self._groups)
            else:
                process = node.launch(self._settings, each, namespace, self._groups, self._notify)
        finally:
            os.close(namespace)
        patience = FULL_KERNEL_SECONDS if each.kind == "uml" else BOOT_SECONDS
        self._booting[process.pid] = _Booting(
            node=each, process=process, patience=patience, deadline=time.monotonic() + patience
        )

    def _note_ready(self, pids: set[int]) -> None:
        for pid in pids & self._booting.keys():
            each = self._booting.pop(pid).node
            self._booted[each.ip] = (each, time.monotonic() + ANSWER_SECONDS)

    def _note_dead(self) -> None:
        for pid, booting in list(self._booting.items()):
            status = booting.process.poll()
            if status is not None:
                self._give_up(pid, f"it ended ({_describe(status)})")
            elif time.monotonic() > booting.deadline:
                self._give_up(pid, f"it had not booted after {booting.patience:.0f} s")

    def _give_up(self, pid: int, reason: str) -> None:
        each = self._booting.pop(pid).node
        tail = node.console_tail(self._settings, each.name)
        self._failures.append(Failure(host=each.name, reason=f"{reason}; its console: {tail}"))

    def _probe(self, seconds: float) -> None:
        telling_nothing = {
            booting.node.ip: pid
            for pid, booting in self._booting.items()
            if booting.node.kind == "uml"
        }
        for address in self._knocking.answered({*self._booted, *telling_nothing}, seconds):
            if address in self._booted:
                del self._booted[address]
            else:
                del self._booting[telling_nothing[address]]
        for address, (each, deadline) in list(self._booted.items()):
            if time.monotonic() > deadline:
                del self._booted[address]
                tail = node.console_tail(self._settings, each.name)
                reason = f"sshd did not answer for {ANSWER_SECONDS:.0f} s; its console: {tail}"
                self._failures.append(Failure(host=each.name, reason=reason))


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
