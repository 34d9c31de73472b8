"""The one door to the operating system: files below a root, programs with a time limit."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple

STATE = "/var/lib/chapelle"  # what must outlive one execution: due restarts, saved files
DRAINED = f"{STATE}/drained"  # there, with the run's id, while drain hooks have not restored

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {
    "PATH": _PATH,
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


class NodeError(Exception):
    """The host could not be brought to its state; says for which role and item, and why.

    Arguments:
        message: one line: what went wrong.
        phase: preflight, packages, accounts, validate, files, units, firewall, network, drain,
            reboot or restore.
        role: whose state it was.
        item: the file, package, unit or user concerned.
        expected: what should have been there.
        found: what was there instead.
        remedy: what a person should do next.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str,
        role: str = "",
        item: str = "",
        expected: str = "",
        found: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.phase = phase
        self.done: list[dict[str, str]] = []  # changes that were made before it stopped
        self.details = {
            "role": role,
            "item": item,
            "expected": expected,
            "found": found,
            "remedy": remedy,
        }


class Ran(NamedTuple):
    """How a program ended: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    def said(self, lines: int = 4) -> str:
        """The last lines that it wrote, on one line."""
        text = (self.err.strip() or self.out.strip()).splitlines()
        return " | ".join(line.strip() for line in text[-lines:] if line.strip())


class System:
    """The machine, or for a test a directory tree that looks like one.

    Arguments:
        root: where the tree begins. Anything but `/` has no running kernel or services.
        check: whether nothing may be changed.
    """

    def __init__(self, root: str = "/", *, check: bool = False) -> None:
        self.root = root
        self.check = check

    @property
    def live(self) -> bool:
        """Whether this is a running machine and not only its files."""
        return self.root == "/"

    def path(self, path: str) -> str:
        """Where an absolute path of the machine is for us."""
        return path if self.live else os.path.join(self.root, path.lstrip("/"))

    def read(self, path: str) -> str | None:
        """The text of a file, or None when there is none (bytes that are no UTF-8 survive)."""
        try:
            with open(self.path(path), encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def has(self, program: str) -> bool:
        """Whether a program is installed."""
        return shutil.which(program, path=_PATH) is not None

    def run(
        self,
        command: Sequence[str],
        *,
        given: str | None = None,
        timeout: float = 60,
        **options: Any,
    ) -> Ran:
        """Run a program (never through a shell), in the C locale; a time-out is status 124."""
        try:
            ran = subprocess.run(
                command,
                input=given,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=ENVIRONMENT,
                check=False,
                **options,
            )
        except subprocess.TimeoutExpired:
            return Ran(124, "", f"{command[0]} did not end within {timeout:.0f} s")
        except OSError as error:
            return Ran(127, "", f"{command[0]}: {error.strerror or error}")
        return Ran(ran.returncode, ran.stdout, ran.stderr)
