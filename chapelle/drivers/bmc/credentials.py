"""Who logs in to BMCs: a file that only its owner may read, outside NetBox.

default: {user: chapelle, password: ...}
hosts:
  compute-a1-01: {user: chapelle, password: ...}
"""

import os
import stat
from pathlib import Path

import msgspec
import yaml

from chapelle import files, strict
from chapelle.drivers.bmc.contract import Login
from chapelle.errors import InputError, RefusedError
from chapelle.strict.problems import Problem, ProblemsError


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The logins by server, and the one of those that are not named."""

    default: Login | None = None
    hosts: dict[str, Login] = {}

    def of(self, host: str) -> Login:
        """Who logs in to the BMC of a server.

        Raises:
            InputError: nobody does.
        """
        login = self.hosts.get(host) or self.default
        if login is None:
            raise InputError(
                f"Nobody can log in to the BMC of {host}.",
                where="the file of BMCs' logins",
                expected=f"hosts.{host}, or default",
                found="neither",
                remedy="add it to the file",
            )
        return login


def write(path: Path, credentials: Credentials) -> None:
    """Replace the file at one stroke; comments that people wrote in it are lost."""
    plain = msgspec.to_builtins(credentials)
    for login in (plain["default"] or {}, *plain["hosts"].values()):
        if login.get("next") is None:
            login.pop("next", None)
    if plain["default"] is None:
        del plain["default"]
    files.write(path, yaml.safe_dump(plain, sort_keys=True))


def read(path: Path) -> Credentials:
    """The logins of a file.

    Raises:
        RefusedError: others than its owner may read it, or its owner is not us.
        InputError: it cannot be read, or is not as it should be; no content of it is said.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            "The logins of BMCs cannot be read.",
            where=str(path),
            expected="a file with default or hosts, each with user and password",
            found=error.strerror or str(error),
        ) from error
    if status.st_mode & 0o077 or status.st_uid not in {0, os.geteuid()}:
        raise RefusedError(
            "The file of BMCs' logins is not private.",
            where=str(path),
            expected=f"mode 0600, owner {os.geteuid()}",
            found=f"mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
            remedy=f"chmod 600 {path}; change the passwords if others could have read them",
        )
    credentials, problems = strict.read(path, Credentials)
    if problems:
        hidden = [Problem(p.file, p.path, p.expected, "something else", p.line) for p in problems]
        raise ProblemsError("The file of BMCs' logins", hidden, "mend the file")
    known: Credentials = credentials
    return known
