"""Who logs in to BMCs: a file that only its owner may read, outside NetBox.

default: {user: chapelle, password: ...}
hosts:
  compute-a1-01: {user: chapelle, password: ...}
"""

from pathlib import Path

import msgspec
import yaml

from chapelle import files, strict
from chapelle.drivers.bmc.contract import Login
from chapelle.drivers.bmc.private import require_private
from chapelle.errors import InputError
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
    require_private(
        path, "file of BMCs' logins", "change the passwords if others could have read them"
    )
    credentials, problems = strict.read(path, Credentials)
    if problems:
        hidden = [Problem(p.file, p.path, p.expected, "something else", p.line) for p in problems]
        raise ProblemsError("The file of BMCs' logins", hidden, "mend the file")
    known: Credentials = credentials
    return known
