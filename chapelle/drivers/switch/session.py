"""One SSH session with one switch, over Netmiko: opening it, asking, sending files, closing it.

Whatever Netmiko, Paramiko, or a socket raises leaves here as an error of the contract, with what to
do about it. A host whose key is not known is not talked to, and no password is ever used.
"""

import contextlib
import io
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chapelle import lazy
from chapelle.drivers.switch import wire
from chapelle.drivers.switch.contract import (
    StrangerError,
    SwitchError,
    Target,
    UnreachableError,
)
from chapelle.errors import InputError

if TYPE_CHECKING:
    import netmiko
    import paramiko
    import tenacity
else:
    netmiko = lazy.library("netmiko")
    paramiko = lazy.library("paramiko")
    tenacity = lazy.library("tenacity")

# SSH messages that make a dead path known while nothing is said; see `wire`.
KEEPALIVE_SECONDS = 5

# Characters pasted at a time: less than what a terminal keeps for a program that is busy.
CHUNK = 1024

# An SSH server that has too many sessions under way drops new ones before its banner
# (sshd_config(5), MaxStartups): one tries again, at odd moments.
ATTEMPTS = 4

# Paramiko writes its own account of each failed login to stderr unless somebody listens.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _BannerError(UnreachableError):
    """The server hung up before it presented itself."""


class Session:
    """An open session. Use it as a context manager.

    Arguments:
        target: who it is with.
        device_type: Netmiko's name for the platform.
        transcripts: a directory; all that is said goes to `<name>.log` there, which only we read.
    """

    def __init__(self, target: Target, device_type: str, transcripts: Path | None = None) -> None:
        self.target = target
        self._device_type = device_type
        self._transcript = _open_transcript(transcripts, target) if transcripts else None
        try:
            self.netmiko = self._connected()
        except BaseException:
            self._end_transcript()
            raise
        self._watch(self.netmiko.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session. Never raises.

        Netmiko would say good-bye first, and wait long for an answer if the path is dead.
        """
        self.netmiko.cleanup = lambda: None
        with contextlib.suppress(Exception):
            self.netmiko.disconnect()
        self._end_transcript()

    def record_writes(self) -> None:
        """Have the transcript show from now on what we say: the device does not echo it."""
        if self.netmiko.session_log is not None:
            self.netmiko.session_log.record_writes = True

    def ask(self, command: str, *, expect: str, echo: bool, timeout: float = 30.0) -> str:
        """Say one line and return what comes until `expect`, which is included.

        Arguments:
            command: the line.
            expect: a regular expression that ends the answer.
            echo: whether the device echoes what we say; then that is waited for, and left out.
            timeout: seconds.

        Raises:
            UnreachableError: the session is lost, or the answer did not come in time.
        """
        connection = self.netmiko
        with self._translated(f"did not answer: {command[:80]}"):
            connection.read_channel()  # what nobody has asked for
            connection.write_channel(connection.normalize_cmd(command))
            if echo:
                connection.command_echo_read(cmd=command, read_timeout=timeout)
            # Netmiko's send_command sleeps for 25 ms between two reads, this for 10.
            answer: str = connection.read_until_pattern(pattern=expect, read_timeout=timeout)
        return answer

    def paste(self, text: str, *, end: str, expect: str, timeout: float = 60.0) -> str:
        """Say many lines as they are, then `end`, and return what was said until `expect`.

        Arguments:
            text: the lines; a device that is slow to take them is waited for.
            end: what tells the device that this was all, such as Ctrl-D.
            expect: a regular expression that ends the answer.
            timeout: seconds for the answer after the end.

        Raises:
            UnreachableError: the session is lost, or the answer did not come in time.
        """
        said = ""
        with self._translated("did not take what was pasted"):
            for start in range(0, len(text), CHUNK):
                self.netmiko.write_channel(text[start : start + CHUNK])
                said += self.netmiko.read_channel()
            self.netmiko.write_channel(end)
            rest: str = self.netmiko.read_until_pattern(pattern=expect, read_timeout=timeout)
        return said + rest

    def put(self, path: str, text: str) -> None:
        """Write a file on the device over SFTP, in the same SSH connection.

        Raises:
            UnreachableError: the session is lost.
            SwitchError: the file could not be written.
        """
        data = text.encode()
        self._note(f"SFTP: {len(data)} bytes to {path}")
        with self._translated(f"did not take the file {path}"):
            try:
                self._put(path, data)
            except OSError as error:
                if not self.alive:
                    raise
                raise SwitchError(
                    f"{self.target.name} could not write a file.",
                    where=f"{self.target.name}:{path}",
                    expected=f"{len(data)} bytes written",
                    found=_one_line(error),
                    remedy="is its file system full, or read-only?",
                ) from error

    @property
    def alive(self) -> bool:
        """Whether connection and shell stand, as far as we know."""
        transport = self.netmiko.remote_conn_pre.get_transport()
        lost = transport is None or not transport.is_active() or self.netmiko.remote_conn.closed
        return not lost

    def _put(self, path: str, data: bytes) -> None:
        client = self.netmiko.remote_conn_pre.open_sftp()
        try:
            client.get_channel().settimeout(30.0)
            with client.open(path, "wb") as file:
                file.write(data)
            found = client.stat(path).st_size
        finally:
            client.close()
        if found != len(data):
            raise OSError(f"{found} bytes were written")

    def _connected(self) -> Any:
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_BannerError),
            stop=tenacity.stop_after_attempt(ATTEMPTS)
            | tenacity.stop_after_delay(self.target.timeout),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=5),
            reraise=True,
        )
        return attempts(self._connect)

    def _connect(self) -> Any:
        target = self.target
        with self._translated("cannot be reached"):
            link = wire.connect(target)
            try:
                return netmiko.ConnectHandler(
                    device_type=self._device_type,
                    host=target.address,
                    port=target.port,
                    username=target.user,
                    pkey=_key(target),
                    ssh_strict=True,
                    alt_host_keys=True,
                    alt_key_file=_known_hosts(target),
                    sock=link,
                    banner_timeout=target.timeout,
                    auth_timeout=target.timeout,
                    keepalive=KEEPALIVE_SECONDS,
                    session_log=self._transcript,
                    session_log_record_writes=False,
                    auto_connect=True,
                )
            except BaseException:
                link.close()
                raise

    def _watch(self, channel: Any) -> None:
        """Make reading fail on a lost connection: Netmiko would wait for the rest to the end."""
        read = channel.read_channel

        def watched() -> str:
            said: str = read()
            if not said and not self.alive:
                raise EOFError("the connection was lost")
            return said

        channel.read_channel = watched

    @contextlib.contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (netmiko.NetmikoBaseException, paramiko.SSHException, OSError, EOFError) as error:
            raise _translation(self.target, what, error) from error
        except ValueError as error:  # Netmiko: there is no prompt where one should be
            raise SwitchError(
                f"{self.target.name} {what}",
                where=_where(self.target),
                expected=f"the prompt of a {self.target.platform}",
                found=_one_line(error),
                remedy="is the platform of the device right in NetBox?",
            ) from error

    def _note(self, text: str) -> None:
        if self._transcript is not None:
            self._transcript.write(f"\n[{text}]\n".encode())
            self._transcript.flush()

    def _end_transcript(self) -> None:
        if self._transcript is not None:
            self._transcript.close()


def _translation(target: Target, what: str, error: Exception) -> SwitchError:
    """The contract's error for one of Netmiko's, which hides Paramiko's as its context."""
    cause = error.__context__ if isinstance(error.__context__, Exception) else error
    where = _where(target)
    if isinstance(cause, paramiko.BadHostKeyException):
        return StrangerError(
            f"{target.name} is not who it should be: its host key is another one.",
            where=where,
            expected=f"{cause.expected_key.get_name()} {cause.expected_key.fingerprint}",
            found=f"{cause.key.get_name()} {cause.key.fingerprint}",
            remedy=f"find out why; only if the device was replaced, correct {target.known_hosts}",
        )
    if "not found in known_hosts" in str(cause):
        return StrangerError(
            f"Nobody has said which host key {target.name} has.",
            where=where,
            expected=f"a line for {target.address} in {target.known_hosts}",
            found="none",
            remedy="read the key off the device's console and add it",
        )
    if isinstance(cause, paramiko.AuthenticationException):
        return StrangerError(
            f"{target.name} refuses our login.",
            where=where,
            expected=f"the key {target.key} to be good for user {target.user}",
            found=_one_line(cause),
            remedy="is the account there, and the certificate still valid?",
        )
    return (_BannerError if _hung_up(error, cause) else UnreachableError)(
        f"{target.name} {what}.",
        where=where,
        expected="an SSH session",
        found=_one_line(cause),
        remedy="is the path to it up? look at the device's console",
    )


def _hung_up(error: Exception, cause: Exception) -> bool:
    """Whether a server ended a connection that had been made, before anybody could log in."""
    if not isinstance(error, netmiko.NetmikoTimeoutException):
        return False
    return isinstance(cause, EOFError | ConnectionResetError) or "banner" in str(cause).lower()


def _where(target: Target) -> str:
    inside = f", from {target.namespace}" if target.namespace else ""
    return f"{target.user}@{target.address}:{target.port}{inside}"


def _one_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return text or type(error).__name__


def _key(target: Target) -> "paramiko.PKey":
    """The private key, with the certificate beside it if there is one."""
    try:
        return paramiko.PKey.from_path(target.key)
    except (OSError, ValueError, TypeError, paramiko.SSHException) as error:
        raise InputError(
            f"The key for {target.name} cannot be used.",
            where=target.key,
            expected="a private key without passphrase",
            found=_one_line(error),
        ) from error


def _known_hosts(target: Target) -> str:
    """Netmiko would go on without the file, and then know nobody."""
    if not Path(target.known_hosts).is_file():
        raise InputError(
            f"There is no file with the host key of {target.name}.",
            where=target.known_hosts,
            expected="an OpenSSH known_hosts file",
            found="nothing",
        )
    return target.known_hosts


def _open_transcript(directory: Path, target: Target) -> io.BufferedWriter:
    """Append to a file that only we may read, whatever the umask is."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{target.name}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    transcript = os.fdopen(descriptor, "ab")
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    transcript.write(f"\n[session with {_where(target)}, {began}]\n".encode())
    return transcript
