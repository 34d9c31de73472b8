"""Which nodes have an SSH server that answers, asked with one lasting connection each.

A node that is short of processor time needs seconds to say its first word. Whoever gives up sooner
and connects anew makes it start one more process for each attempt, and so keeps it from answering.
"""

import contextlib
import select
import socket
import time
from collections.abc import Collection
from types import TracebackType
from typing import Self

from chapelle.lab import wires

# After so many seconds without a word, a connection may be one to a node that is no more.
STALE_SECONDS = 15.0
PAUSE_SECONDS = 0.1
GREETING = b"SSH-"


class Knocking:
    """Connections to nodes, kept until they answer, fail or are no longer asked for.

    Arguments:
        namespace: a descriptor of the hub's namespace.
        source: our own address, or the empty string; a node may let in only some.
    """

    def __init__(self, namespace: int, source: str) -> None:
        self._namespace = namespace
        self._source = source
        self._open: dict[str, tuple[socket.socket, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._keep(())

    def answered(self, addresses: Collection[str], seconds: float) -> set[str]:
        """Those of the addresses whose SSH server has presented itself; waits so long for all."""
        self._keep(addresses)
        self._connect([each for each in addresses if each not in self._open])
        poll = select.poll()
        waiting = {}
        for address, (client, _) in self._open.items():
            waiting[client.fileno()] = (client, address)
            poll.register(client, select.POLLIN)
        found = set()
        deadline = time.monotonic() + seconds
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                client, address = waiting.pop(descriptor)
                poll.unregister(descriptor)
                with contextlib.suppress(OSError):
                    if client.recv(len(GREETING)) == GREETING:
                        found.add(address)
                self._close(address)
        if len(found) < len(addresses) and deadline > time.monotonic():
            time.sleep(PAUSE_SECONDS)  # some refused at once, and whoever asks again would spin
        return found

    def _connect(self, addresses: Collection[str]) -> None:
        if not addresses:
            return
        with wires.entered(self._namespace):
            for address in addresses:
                client = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                self._open[address] = (client, time.monotonic())
                client.bind((self._source, 0))
                client.connect_ex((address, 22))

    def _keep(self, addresses: Collection[str]) -> None:
        oldest = time.monotonic() - STALE_SECONDS
        for address, (_, since) in list(self._open.items()):
            if address not in addresses or since < oldest:
                self._close(address)

    def _close(self, address: str) -> None:
        self._open.pop(address)[0].close()
