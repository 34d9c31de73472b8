"""What a transaction is told, what it may take, what it says in the end, and why it refuses."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from chapelle.checks.fabric import Expected
from chapelle.drivers.switch.contract import Switch, SwitchError, Target
from chapelle.errors import RefusedError
from chapelle.model.outcome import Change, Difference
from chapelle.model.switch import Identity
from chapelle.run.fabric.management import Path

Connect = Callable[[Target], AbstractContextManager[Switch]]

# What may become of a switch; what each means to people is in docs/fabric.md.
UNCHANGED = "unchanged"
APPLIED = "applied"
REVERTED = "reverted"
FAILED = "failed"
UNKNOWN = "unknown"

# What to do about what others changed in our own sections.
STOP = "stop"
ADOPT = "adopt"
OVERWRITE = "overwrite"


class Log(Protocol):
    """Where the steps of one device are written down."""

    def begin(self, step: str) -> None:
        """A step is about to begin."""

    def end(
        self,
        step: str,
        outcome: str,
        message: str,
        *,
        changes: Sequence[Change] = (),
        differences: Sequence[Difference] = (),
        not_exercised: Sequence[str] = (),
    ) -> None:
        """The step has ended; outcomes as in `model.outcome`."""

    def note(self, message: str) -> None:
        """Something that people should know about the device."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in seconds.

    Arguments:
        before: from the first word with the switch until it is armed; after that it is untouched.
        revert: until the switch takes an unconfirmed change back by itself.
        management: the same, for a change that touches the path that we reach it by.
        settle: until all post-checks hold.
        steady: how long they must hold on end. BFD misses a neighbour within one second.
        drain: what a spine's neighbours get to move their traffic away.
    """

    before: float = 300.0
    revert: int = 120
    management: int = 300
    settle: float = 90.0
    steady: float = 2.5
    drain: float = 5.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to one switch.

    Arguments:
        target: the switch.
        device_id: its id in NetBox.
        run: the run's id; the checkpoint on the device is named after it.
        sections: our own sections as they shall be.
        expected: what the switch shall do then.
        approved: SHA-256 of the diff that was approved; None: whatever the diff is.
        drift: what to do about changes of others: STOP, ADOPT, or OVERWRITE.
        path: how we reach it, if NetBox says so.
        drain: whether its traffic is moved away before the change.
        not_exercised: what post-checks cannot try on it, one line each.
    """

    target: Target
    device_id: int
    run: str
    sections: str
    expected: Expected
    approved: str | None = None
    drift: str = STOP
    path: Path | None = None
    drain: bool = False
    not_exercised: tuple[str, ...] = ()

    @property
    def checkpoint(self) -> str:
        """The checkpoint's name on the device."""
        return f"chapelle-{self.run}"


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a switch, and in words why. `identity` is None when it was never read."""

    outcome: str
    message: str = ""
    identity: Identity | None = None


class DriftError(RefusedError):
    """Somebody else changed our sections since we last did; nothing was touched."""


class NotApprovedError(RefusedError):
    """What would change is not what was approved; nothing was touched."""


class PostCheckError(SwitchError):
    """The switch runs the new configuration, and does not do what it should."""

    def __init__(self, name: str, differences: Sequence[Difference]) -> None:
        first = differences[0]
        more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
        super().__init__(
            f"{name} does not do what it should with the new configuration.",
            where=f"{first.area} {first.item}",
            expected=first.expected,
            found=f"{first.found}{more}",
        )
