"""What operators need on the day that nothing opens by itself: passphrases and header backups.

Each is a file below `escrow/<host>` of the state directory, encrypted for the operators' age keys.
A secret is on disk before it is used, and an old one stays until its successor is proven.
"""

import contextlib
import os
import secrets
from pathlib import Path

import pyrage
from pyrage import x25519

from chapelle import files
from chapelle.errors import InputError
from chapelle.run.deploy import site
from chapelle.settings import Settings

# 31 characters without those that look alike: 36 of them hold 178 bits.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _LENGTH = 6, 6

PASSPHRASE = "passphrase"  # noqa: S105 - the name of a file
NEXT = "passphrase-next"
_LAB_IDENTITY = "identity.txt"


class Escrow:
    """The kept secrets of one installation.

    Arguments:
        settings: this installation.

    Raises:
        InputError: it is not said for whom secrets are kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._home = settings.state / "escrow"
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if settings.target == "lab":
            self._identity: Path | None = self._lab_identity()
            text = str(self._own(self._identity).to_public())
            recipients: tuple[str, ...] = (text,)
        else:
            said = site.require(settings)
            self._identity = Path(said.identity) if said.identity else None
            recipients = said.recipients
        self._recipients = [x25519.Recipient.from_str(each) for each in recipients]

    def _lab_identity(self) -> Path:
        path = self._home / _LAB_IDENTITY
        if not path.exists():
            files.write(path, f"{x25519.Identity.generate()}\n".encode())
        return path

    def _path(self, host: str, name: str) -> Path:
        return self._home / host / f"{name}.age"

    def has(self, host: str, name: str) -> bool:
        """Whether something of that name is kept of a host."""
        return self._path(host, name).is_file()

    def names(self, host: str) -> tuple[str, ...]:
        """What is kept of a host."""
        return tuple(sorted(path.stem for path in (self._home / host).glob("*.age")))

    def keep(self, host: str, name: str, data: bytes) -> None:
        """Keep something of a host, for the operators only. It is on disk when this returns."""
        path = self._path(host, name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        files.write(path, pyrage.encrypt(data, self._recipients))

    def open(self, host: str, name: str) -> bytes:
        """What is kept of a host.

        Raises:
            InputError: there is no such thing, or no identity that opens it.
        """
        path = self._path(host, name)
        if not path.is_file():
            raise InputError(
                f"Nothing of the name {name} is kept of {host}.",
                where=str(path),
                expected="a file that the run made which built the host",
                found="none",
                remedy="copy it back from where escrow/ is backed up",
            )
        if self._identity is None:
            raise InputError(
                f"What is kept of {host} cannot be opened.",
                where=f"{site.VARIABLE}, identity",
                expected="the file of an age identity",
                found="none",
                remedy="name it there while you rebuild hosts or rotate their keys",
            )
        try:
            found: bytes = pyrage.decrypt(path.read_bytes(), [self._own(self._identity)])
        except pyrage.DecryptError as error:
            raise InputError(
                f"What is kept of {host} does not open.",
                where=str(path),
                expected=f"a file encrypted for the identity in {self._identity}",
                found=str(error),
            ) from error
        return found

    @staticmethod
    def _own(path: Path) -> x25519.Identity:
        if path.stat().st_mode & 0o077:
            raise InputError(
                "The age identity is not private.",
                where=str(path),
                expected="mode 0600",
                found=f"mode {path.stat().st_mode & 0o777:04o}",
                remedy=f"chmod 0600 {path}",
            )
        lines = [line for line in path.read_text().split() if line.startswith("AGE-SECRET-KEY-")]
        try:
            return x25519.Identity.from_str(lines[0])
        except (IndexError, pyrage.IdentityError):
            raise InputError(
                "The age identity cannot be read.",
                where=str(path),
                expected="a line that begins with AGE-SECRET-KEY-",
                found="none that can be used",
            ) from None

    def passphrase(self, host: str) -> str:
        """The recovery passphrase of a host; a new one is kept before it is returned."""
        if not self.has(host, PASSPHRASE):
            self.keep(host, PASSPHRASE, new_passphrase().encode())
        return self.open(host, PASSPHRASE).decode()

    def replace(self, host: str) -> None:
        """The next passphrase becomes the passphrase, at one stroke."""
        self._path(host, NEXT).replace(self._path(host, PASSPHRASE))

    def destroy(self, host: str) -> tuple[str, ...]:
        """Remove all that is kept of a host; returns what is still there.

        Copies elsewhere, and what a disk keeps of a removed file, are not reached.
        """
        for name in self.names(host):
            path = self._path(host, name)
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.write(os.urandom(size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        with contextlib.suppress(OSError):
            (self._home / host).rmdir()
        return self.names(host)


def new_passphrase() -> str:
    """A passphrase of 178 bits, in groups that a person can read out."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)
