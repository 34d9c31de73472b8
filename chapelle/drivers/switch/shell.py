"""A root shell on a switch that is a Linux machine, in one Netmiko session.

The login shell is left for a plain bash without echo and line editing, so that what a command
prints is what it printed, and each command's exit status comes with it.
"""

import re
import secrets
import shlex
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from chapelle.drivers.switch.contract import SwitchError, Target
from chapelle.drivers.switch.session import Session

# A shell that nobody has talked to for so long ends, and with it its lock: a session whose network
# is gone is not noticed by the device otherwise. Longer than any step of ours waits for another.
IDLE_SECONDS = 900

# The kernel's line discipline takes no longer line (termios(3), canonical mode).
LONGEST = 4000

_PLAIN = f"exec env TMOUT={IDLE_SECONDS} PS1='chapelle$ ' bash --norc --noprofile --noediting"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A command that ended: its exit status, and what it wrote to both of its outputs."""

    status: int
    text: str


class Shell:
    """A shell that stays for the session; what is opened in it stays open. A context manager."""

    def __init__(self, target: Target, transcripts: Path | None = None) -> None:
        self.session = Session(target, "linux", transcripts)
        try:
            self._settle()
        except BaseException:
            self.session.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.session.close()

    def run(self, command: str, *, timeout: float = 30.0) -> Done:
        """Run a command as the user who logged in.

        Arguments:
            command: for bash; it gets no input. What it changes of the shell itself stays.
            timeout: seconds.

        Raises:
            UnreachableError: the session is lost, or the command did not end in time.
        """
        mark = secrets.token_hex(8)
        line = f"echo; echo {mark}+; {{ {command}; }} </dev/null 2>&1; printf '\\n%s:%d;' {mark} $?"
        if len(line.encode()) > LONGEST:
            raise ValueError(f"a command of {len(line)} characters")
        said = self.session.ask(line, expect=rf"\n{mark}:\d+;", echo=False, timeout=timeout)
        found = re.search(rf"{mark}\+\n(.*)\n{mark}:(\d+);", said.replace("\r", ""), re.DOTALL)
        if found is None:
            raise SwitchError(
                f"The shell of {self.session.target.name} answers what nobody asked.",
                expected="what a command prints, and its status",
                found=said[-200:],
            )
        return Done(status=int(found[2]), text=found[1])

    def root(self, script: str, *arguments: str, timeout: float = 30.0) -> Done:
        """Run a script as root, by sudo without password.

        Arguments:
            script: for /bin/sh with `-eu`; `$1` and on are the arguments.
            arguments: passed as they are.
            timeout: seconds.

        Raises:
            UnreachableError: as `run`.
        """
        command = ["sudo", "-n", "/bin/sh", "-euc", script, "chapelle", *arguments]
        return self.run(shlex.join(command), timeout=timeout)

    def must(self, script: str, *arguments: str, purpose: str, timeout: float = 30.0) -> str:
        """Run a script as root and return what it printed.

        Raises:
            SwitchError: it failed; `purpose` says what it was for.
            UnreachableError: as `run`.
        """
        done = self.root(script, *arguments, timeout=timeout)
        if done.status != 0:
            raise self.failed(purpose, done)
        return done.text

    def failed(
        self, purpose: str, done: Done, kind: type[SwitchError] = SwitchError
    ) -> SwitchError:
        """The error for a command that failed at something."""
        last = " / ".join([line.strip() for line in done.text.splitlines() if line.strip()][-3:])
        return kind(
            f"{self.session.target.name} could not {purpose}.",
            where=self.session.target.name,
            expected="exit status 0",
            found=f"exit status {done.status}: {last or 'nothing said'}",
            remedy="log in and look; the session's transcript has what was said",
        )

    def _settle(self) -> None:
        self.session.ask(_PLAIN, expect=r"\nchapelle\$ $", echo=False)
        self.session.ask("stty -echo -onlcr", expect=r"\nchapelle\$ $", echo=False)
        self.session.record_writes()
        who = self.run("sudo -n id -u")
        if who.status != 0 or who.text.strip() != "0":
            raise SwitchError(
                f"{self.session.target.name} does not let us be root.",
                where=self.session.target.name,
                expected=f"sudo without password for {self.session.target.user}",
                found=who.text.strip() or f"exit status {who.status}",
                remedy="a file in /etc/sudoers.d; see docs/switch-platforms.md",
            )
