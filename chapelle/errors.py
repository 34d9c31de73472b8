"""The one tree of errors that reach an operator, each with the exit code it ends with.

An error says what was expected, what was found, where, and what to do next. Exit codes are an
interface: scripts and timers read them.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    REFUSED = 3
    LOCKED = 4
    HOSTS_FAILED = 5
    FINDINGS = 99


class ChapelleError(Exception):
    """The program could not do what was asked (exit 1), and the base of all our errors.

    Arguments:
        message: one line: what went wrong.
        expected: what should have been there.
        found: what was there instead.
        where: the file, object or host concerned.
        remedy: what the reader should do next.
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str,
        *,
        expected: str | None = None,
        found: str | None = None,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.found = found
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        details = {
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "to do": self.remedy,
        }
        lines = [self.message]
        lines += [f"  {name + ':':<10}{text}" for name, text in details.items() if text]
        return "\n".join(lines)


class InputError(ChapelleError):
    """Arguments, design files or NetBox content are wrong (exit 2)."""

    exit_code = ExitCode.BAD_INPUT


class RefusedError(ChapelleError):
    """Refused for safety; nothing was changed (exit 3)."""

    exit_code = ExitCode.REFUSED


class LockedError(ChapelleError):
    """Somebody else holds the lock (exit 4)."""

    exit_code = ExitCode.LOCKED


class HostsFailedError(ChapelleError):
    """Some hosts or devices failed; the report names them (exit 5)."""

    exit_code = ExitCode.HOSTS_FAILED


class FindingsError(ChapelleError):
    """A check found drift or findings, which have been printed (exit 99)."""

    exit_code = ExitCode.FINDINGS
