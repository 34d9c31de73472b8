"""A wire between a driver and a switch that can be slow, cut, or dead."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from chapelle.drivers.switch import wire
from chapelle.drivers.switch.contract import Target


class Proxy:
    """Listens on the loopback interface and hands on to a switch. A context manager.

    `banner_delay` holds back what the switch says first; `hang_ups` counts connections that are
    closed before anything is said; `dead` lets nothing through any more, and nobody is told.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.port = self._server.getsockname()[1]
        self.banner_delay = 0.0
        self.hang_ups = 0
        self.connections = 0
        self.dead = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.close()
        self.reset()

    def reset(self) -> None:
        """Cut all connections: both ends get a reset (SO_LINGER of zero, socket(7))."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.close()
        self._pairs.clear()

    def reset_after(self, wait: Callable[[], object]) -> None:
        """Cut all connections when `wait`, which is called at once beside us, returns."""

        def waited() -> None:
            wait()
            self.reset()

        threading.Thread(target=waited, daemon=True).start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            if self.hang_ups:
                self.hang_ups -= 1
                near.close()
                continue
            far = wire.connect(self._target)
            far.settimeout(None)
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        time.sleep(self.banner_delay)
        with contextlib.suppress(OSError, ValueError):
            while True:
                # Short waits: a socket that is closed meanwhile is let go only when select returns.
                for source in select.select([near, far], [], [], 0.05)[0]:
                    data = source.recv(65536)
                    if self.dead:
                        continue
                    if not data:
                        near.close()
                        far.close()
                        return
                    (far if source is near else near).sendall(data)
