"""What all tasks share: how an error becomes one clear message and the right exit code."""

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from invoke import task

from chapelle.errors import ChapelleError, ExitCode, RefusedError

# True of every command: each finds out what is done already.
_STOPPED = "error: stopped by Ctrl-C before the end; the same command again does what is left"


def command(help: dict[str, str] | None = None, name: str | None = None) -> Any:  # noqa: A002
    """Declare an Invoke task: keyword arguments with help, errors as messages and exit codes.

    The function may return an ExitCode; None means OK.
    """

    def decorate(function: Callable[..., ExitCode | None]) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                code = function(*args, **kwargs)
            except ChapelleError as error:
                fail(error)
            except KeyboardInterrupt:
                print(f"\n{_STOPPED}", file=sys.stderr)
                sys.exit(int(ExitCode.FAILED))
            if code:
                sys.exit(int(code))

        return task(run, help=help or {}, name=name)

    return decorate


def confirm(question: str) -> None:
    """Ask on the terminal, and go on only after a yes.

    Raises:
        RefusedError: the answer is another, or there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise _not_confirmed("nobody to ask: standard input is not a terminal")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip()
    if answer.lower() not in {"y", "yes"}:
        raise _not_confirmed(repr(answer))


def _not_confirmed(found: str) -> RefusedError:
    return RefusedError(
        "Nothing was done: nobody said yes.",
        expected="the answer y, or the argument --yes",
        found=found,
    )


def fail(error: ChapelleError) -> NoReturn:
    """Print the error on standard error and end with its exit code."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(int(error.exit_code))
