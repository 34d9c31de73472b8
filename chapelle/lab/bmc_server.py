"""The process that is all BMCs of a lab: one listening socket with its own certificate for each.

Run as `python -m chapelle.lab.bmc_server DIRECTORY`. It reads `fleet.json` and `faults.json` there
again when they change, and writes in `serving.json` whom it serves. It ends when it is killed.
"""

import contextlib
import os
import selectors
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import msgspec

from chapelle.lab import files
from chapelle.lab.bmc_identity import Identity
from chapelle.lab.bmc_machine import (
    FAULTS_FILE,
    FLEET_FILE,
    LOGIN_FILE,
    SERVING_FILE,
    Backend,
    Board,
    Faults,
    Fleet,
    Logins,
    Serving,
    Simulated,
)
from chapelle.lab.bmc_power import QEMU, Machines
from chapelle.lab.bmc_redfish import Redfish

LOOK_SECONDS = 0.2
IDLE_SECONDS = 60
BODY_BYTES = 1 << 20

# What machines may be switched by; made once, with the directory of the fleet.
BACKENDS: dict[str, Callable[[Path], Backend]] = {
    "simulated": lambda _folder: Simulated(),
    QEMU: Machines,
}


class _Watched[T]:
    """A file that is read again when it was replaced."""

    def __init__(self, path: Path, kind: type[T]) -> None:
        self._path = path
        self._kind = kind
        self._seen: tuple[int, int] = (0, 0)

    def changed(self) -> T | None:
        """Its content, if it is there and is not what was read before."""
        try:
            status = self._path.stat()
            mark = (status.st_ino, status.st_mtime_ns)
            if mark == self._seen:
                return None
            found = msgspec.json.decode(self._path.read_bytes(), type=self._kind)
        except FileNotFoundError:
            return None
        self._seen = mark
        return found


class _Handler(BaseHTTPRequestHandler):
    """One connection to one BMC."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    wbufsize = -1  # one answer, one packet
    server: "_Listener"  # type: ignore[assignment]

    def setup(self) -> None:
        """Shake hands for TLS, in the connection's own thread."""
        self.request.settimeout(IDLE_SECONDS)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        """Close the connection, whatever became of it."""
        try:
            super().finish()
        finally:
            self.request.close()

    def _serve(self) -> None:
        board = self.server.board
        length = min(int(self.headers.get("Content-Length") or 0), BODY_BYTES)
        body = self.rfile.read(length)
        faults = board.faults
        if "silent" in faults:
            while "silent" in board.faults and not _gone(self.connection):
                time.sleep(LOOK_SECONDS)
            self.close_connection = True
            return
        if seconds := faults.get("slow"):
            time.sleep(seconds)
        board.answered += 1
        if "busy" in faults and board.answered <= (faults["busy"] or float("inf")):
            self._send(503, (("Retry-After", "1"),), b"")
            return
        login = self.headers.get("Authorization") or ""
        answer = self.server.redfish.answer(board, self.command, self.path, login, body)
        once = self.command == "POST" or (self.command == "PATCH" and "/Accounts/" in self.path)
        once = once and not self.path.endswith("GenerateCSR")
        if "lost-answer" in faults and once:
            self.close_connection = True
            return
        self._send(answer.status, answer.headers, answer.body)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method of HTTP is served alike."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _send(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nobody reads it."""


class _Listener:
    """The socket of one BMC, and its certificates."""

    def __init__(self, board: Board, port: int, folder: Path, redfish: Redfish) -> None:
        self.board = board
        self.redfish = redfish
        self._folder = folder / "certificates"
        self.socket = socket.create_server((board.machine.address, port), backlog=64)
        self.socket.setblocking(False)

    @property
    def context(self) -> ssl.SSLContext:
        """The certificate to show."""
        identity, faults = self.board.identity, self.board.faults
        if "no-certificate" in faults:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if "stranger" in faults and not identity.replaced:
            return self._strange()
        return identity.context()

    def _strange(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "stranger.pem")
        return context

    def accept(self) -> None:
        """Take a connection, and serve it beside the others."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, client = self.socket.accept()
            connection.setblocking(True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if "unreachable" in self.board.faults or self.board.identity.away():
                connection.close()
                return
            threading.Thread(target=self._serve, args=(connection, client), daemon=True).start()

    def _serve(self, connection: socket.socket, client: object) -> None:
        # A client may leave at any time, and one that does not trust us does.
        with contextlib.suppress(OSError), connection:
            _Handler(connection, client, self)  # type: ignore[arg-type]


def _gone(connection: socket.socket) -> bool:
    """Whether the other side has closed."""
    plain = socket.socket(fileno=os.dup(connection.fileno()))
    try:
        plain.setblocking(False)
        return plain.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        plain.close()


def serve(folder: Path) -> None:
    """Serve the fleet of a directory until the end of the process."""
    redfish = Redfish(files.directory(folder / "emulator"))
    backends = {name: make(folder) for name, make in BACKENDS.items()}
    fleet = _Watched(folder / FLEET_FILE, Fleet)
    faults = _Watched(folder / FAULTS_FILE, dict[str, dict[str, float]])
    listeners: dict[str, _Listener] = {}
    wrong: dict[str, dict[str, float]] = {}
    with selectors.DefaultSelector() as selector:
        while True:
            now, other = fleet.changed(), faults.changed()
            if now is not None:
                logins = msgspec.json.decode((folder / LOGIN_FILE).read_bytes(), type=Logins)
                for name, listener in list(listeners.items()):
                    if now.machines.get(name) != listener.board.machine:
                        selector.unregister(listeners.pop(name).socket)
                        listener.socket.close()
                for name, machine in now.machines.items():
                    if name not in listeners:
                        login = logins.hosts.get(name, logins.default)
                        identity = Identity(folder / "certificates" / f"{name}.pem")
                        board = Board(machine, login, backends[machine.backend], identity)
                        listeners[name] = _Listener(board, now.port, folder, redfish)
                        selector.register(
                            listeners[name].socket, selectors.EVENT_READ, listeners[name]
                        )
            wrong = wrong if other is None else other
            for name, listener in listeners.items():
                _break(listener.board, wrong.get(name, {}))
            if now is not None or other is not None:
                serving = Serving(machines=tuple(listeners), faults=wrong)
                files.write(folder / SERVING_FILE, msgspec.json.encode(serving))
            for key, _ in selector.select(LOOK_SECONDS):
                key.data.accept()


def _break(board: Board, faults: Faults) -> None:
    """Give a BMC other faults than it has; what is counted begins anew."""
    if board.faults != faults:
        board.answered = 0
        board.faults = faults
        board.identity.replaced = False


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
