"""What all tasks share: how an error becomes one clear message and the right exit code."""

import functools
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from invoke import task

from chapelle.errors import ChapelleError, ExitCode


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
                print("\nStopped by Ctrl-C.", file=sys.stderr)
                sys.exit(130)
            if code:
                sys.exit(int(code))

        return task(run, help=help or {}, name=name)

    return decorate


def fail(error: ChapelleError) -> NoReturn:
    """Print the error on standard error and end with its exit code."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(int(error.exit_code))
