"""An SSH server for stand-ins of switches: host key, public keys, terminals, SFTP.

What a device does is the business of its subclass of Terminal; here is what all have in common:
lines with echo, prompts, paging, and sessions that may be lost at any moment.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from io import StringIO
from types import TracebackType
from typing import Any, Self

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONTROL_D = "\x04"


class Device:
    """What all sessions with a stand-in see: its files, its clock, its faults.

    `second` is how long one of its seconds takes, `pace` how many of our seconds it needs for a
    line of configuration, `full` whether its disk is.
    """

    terminal: type["Terminal"]

    def __init__(self, *, second: float = 1.0) -> None:
        self.second = second
        self.pace = 0.0
        self.full = False
        self.files: dict[str, bytes] = {}
        self.lock = threading.RLock()
        self._began = time.monotonic()
        self._timer: threading.Timer | None = None

    def uptime(self) -> float:
        """Seconds of the device since its start."""
        return (time.monotonic() - self._began) / self.second

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in so many seconds of the device, once, unless `stop` comes first."""

        def act() -> None:
            with self.lock:
                self._timer = None
                action()

        self.stop()
        self._timer = threading.Timer(seconds * self.second, act)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None


class Terminal:
    """One shell on a device. Subclasses have a prompt, and answer lines."""

    def __init__(self, device: Any, user: str) -> None:
        self.device = device
        self.user = user
        self.length = 24
        self.over = False
        self.pasting: Callable[[str], str] | None = None

    @property
    def prompt(self) -> str:
        """What stands before the next line."""
        raise NotImplementedError

    def answer(self, line: str) -> str:
        """What the device says to a line."""
        raise NotImplementedError

    def left(self) -> None:
        """The session is over, in whatever way."""


class Server:
    """Serves a device on a free port of the loopback interface. A context manager."""

    def __init__(self, device: Device, authorised: str) -> None:
        self.device = device
        self.authorised = authorised
        key = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        self.key = paramiko.Ed25519Key.from_private_key(StringIO(key.decode()))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._transports: list[paramiko.Transport] = []
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.device.stop()
        self._server.close()
        for transport in self._transports:
            transport.close()

    @property
    def known_host(self) -> str:
        """Its line of a known_hosts file."""
        return f"[127.0.0.1]:{self.port} ssh-ed25519 {self.key.get_base64()}\n"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        transport = paramiko.Transport(client)
        self._transports.append(transport)
        transport.add_server_key(self.key)
        transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, self.device)
        rules = _Rules(self.authorised, self.device)
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=rules)
            channels = []  # Paramiko closes one that nobody refers to
            while transport.is_active():
                channels.append(transport.accept(timeout=1))


class _Rules(paramiko.ServerInterface):
    """Who may log in, and for what."""

    def __init__(self, authorised: str, device: Device) -> None:
        self._authorised = authorised.split()[1]
        self._device = device
        self.user = ""

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.user = username
        known = key.get_base64() == self._authorised
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, _kind: str, _number: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_pty_request(self, *_: object) -> bool:
        return True

    def check_channel_shell_request(self, channel: paramiko.Channel) -> bool:
        terminal = self._device.terminal(self._device, self.user)
        threading.Thread(target=_talk, args=(channel, terminal), daemon=True).start()
        return True


class _Files(paramiko.SFTPServerInterface):
    """The files of a device below /bootflash."""

    def __init__(self, server: paramiko.ServerInterface, device: Device) -> None:
        super().__init__(server)
        self._device = device

    def open(self, path: str, _flags: int, _attributes: paramiko.SFTPAttributes) -> Any:
        if not path.startswith("/bootflash/"):
            return paramiko.SFTP_PERMISSION_DENIED
        return _File(self._device, path.removeprefix("/bootflash/"))

    def stat(self, path: str) -> Any:
        data = self._device.files.get(path.removeprefix("/bootflash/"))
        if data is None:
            return paramiko.SFTP_NO_SUCH_FILE
        found = paramiko.SFTPAttributes()
        found.st_size = len(data)
        return found


class _File(paramiko.SFTPHandle):
    def __init__(self, device: Device, name: str) -> None:
        super().__init__()
        self._device = device
        self._name = name
        device.files[name] = b""

    def write(self, offset: int, data: bytes) -> int:
        if self._device.full:
            return paramiko.SFTP_FAILURE
        old = self._device.files[self._name]
        self._device.files[self._name] = old[:offset] + data + old[offset + len(data) :]
        return paramiko.SFTP_OK


def _talk(channel: paramiko.Channel, terminal: Terminal) -> None:
    try:
        with contextlib.suppress(OSError, EOFError):
            _Line(channel, terminal).talk()
    finally:
        terminal.left()
        with contextlib.suppress(OSError, EOFError):
            channel.close()


class _Line:
    """The line discipline: what is typed comes back, what is answered is paged."""

    def __init__(self, channel: paramiko.Channel, terminal: Terminal) -> None:
        self._channel = channel
        self._terminal = terminal
        self._typed = ""

    def talk(self) -> None:
        self._send(f"\n{self._terminal.prompt}")
        while not self._terminal.over:
            line, end = self._read()
            if self._terminal.pasting:
                answer = self._terminal.pasting(end if end == CONTROL_D else line)
            else:
                answer = self._terminal.answer(" ".join(line.split()))
            self._page(answer)
            if not self._terminal.pasting:
                self._send(self._terminal.prompt)

    def _read(self) -> tuple[str, str]:
        while True:
            for index, character in enumerate(self._typed):
                if character in f"\n{CONTROL_D}":
                    line = self._typed[:index]
                    self._typed = self._typed[index + 1 :]
                    self._send(line if character == CONTROL_D else f"{line}\n")
                    return line, character
            data = self._channel.recv(4096)
            if not data:
                raise EOFError
            self._typed += data.decode().replace("\r\n", "\n").replace("\r", "\n")

    def _page(self, answer: str) -> None:
        lines = answer.splitlines()
        size = self._terminal.length
        while size and len(lines) > size:
            self._send("".join(f"{line}\n" for line in lines[:size]) + " --More-- ")
            lines = lines[size:]
            key = self._channel.recv(1)
            if key in {b"q", b""}:
                lines = []
            self._send("\r" + " " * 10 + "\r")
        self._send("".join(f"{line}\n" for line in lines))

    def _send(self, text: str) -> None:
        self._channel.sendall(text.replace("\n", "\r\n").encode())
