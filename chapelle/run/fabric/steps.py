"""One step of a transaction: in the journal before it begins and after it ends, however it ends."""

import contextlib
from collections.abc import Iterator

import msgspec

from chapelle.drivers.switch.contract import UnreachableError
from chapelle.errors import ChapelleError
from chapelle.model.outcome import Change, Difference
from chapelle.run.fabric.order import Log
from chapelle.run.steps import one_line


class Step(msgspec.Struct, kw_only=True):
    """What is to be said of a step when it has ended well."""

    outcome: str = "ok"
    message: str = ""
    changes: tuple[Change, ...] = ()
    differences: tuple[Difference, ...] = ()
    not_exercised: tuple[str, ...] = ()

    def end(self, log: Log, name: str, outcome: str, message: str) -> None:
        """Write down how the step ended, and all that was noted of it."""
        log.end(
            name,
            outcome,
            message,
            changes=self.changes,
            differences=self.differences,
            not_exercised=self.not_exercised,
        )


@contextlib.contextmanager
def step(log: Log, name: str) -> Iterator[Step]:
    """Write a step down around what is done in it; errors pass through."""
    log.begin(name)
    noted = Step()
    try:
        yield noted
    except Exception as error:
        outcome = "unreachable" if isinstance(error, UnreachableError) else "failed"
        noted.end(log, name, outcome, words(error))
        raise
    noted.end(log, name, noted.outcome, noted.message)


def words(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, ChapelleError):
        parts = [error.message]
        parts += [f"expected {error.expected}"] if error.expected else []
        parts += [f"found {error.found}"] if error.found else []
        return one_line("; ".join(part.rstrip(".") for part in parts))
    return one_line(f"{type(error).__name__}: {error}")
