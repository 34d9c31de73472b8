"""Plans as files: a plan and its hash, so that one that somebody has altered is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from chapelle.errors import InputError, RefusedError


class Sealable(Protocol):
    """A plan that a file can hold: it is named by its hash, and says what format it has."""

    @property
    def format(self) -> int:
        """The format of its fields."""

    @property
    def hash(self) -> str:
        """SHA-256 of its canonical form, as hex digits."""


def encode(plan: Sealable) -> bytes:
    """The plan as the bytes of a file, for people to read too."""
    return msgspec.json.format(msgspec.json.encode({"hash": plan.hash, "plan": plan})) + b"\n"


def read[P: Sealable](
    path: Path,
    kind: type[P],
    expected: int,
    stranger: Callable[[Path, str], InputError],
    again: str,
) -> P:
    """Read a plan from its file.

    Arguments:
        path: the file.
        kind: of the plan.
        expected: its format.
        stranger: makes the error for a file that holds no such plan, of what was found.
        again: how to make the plan again.

    Raises:
        InputError: the file cannot be read, or is no plan of this format.
        RefusedError: the content is not what the plan's hash was made of.
    """
    shape: Any = msgspec.defstruct("File", [("hash", str), ("plan", kind)])
    try:
        file = msgspec.json.decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise stranger(path, error.strerror or str(error)) from error
    except msgspec.DecodeError as error:
        raise stranger(path, str(error)) from error
    plan: P = file.plan
    if plan.format != expected:
        raise stranger(path, f"format {plan.format}")
    if plan.hash != file.hash:
        raise RefusedError(
            "The plan was altered after it was made.",
            where=str(path),
            expected=f"content with hash {file.hash}",
            found=f"content with hash {plan.hash}",
            remedy=f"make the plan again, with {again}",
        )
    return plan
