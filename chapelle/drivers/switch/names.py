"""Names of checkpoints, and the errors that several platforms have in common."""

import re

from chapelle.drivers.switch.contract import (
    BusyError,
    CandidateError,
    Pending,
    SwitchError,
    Target,
)

NAME = re.compile(r"chapelle-[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def checked(name: str) -> str:
    """The name, if it is one that every platform takes.

    Raises:
        SwitchError: it is not.
    """
    if not NAME.fullmatch(name):
        raise SwitchError(
            "That is no name of a checkpoint.",
            expected="chapelle-<transaction>, of letters, digits, points and hyphens",
            found=repr(name),
        )
    return name


def told(pending: Pending | None) -> str:
    """A pending revert in words."""
    return f"{pending.checkpoint} is armed" if pending else "nothing is armed"


def refused(target: Target, number: int, line: str, said: str) -> CandidateError:
    """The device does not know a line of the candidate."""
    return CandidateError(
        f"{target.name} does not accept the candidate.",
        where=f"line {number}: {line}",
        expected="a line that it knows",
        found=said,
        remedy="correct it in NetBox, or the template; nothing was changed",
    )


def busy(target: Target, found: str) -> BusyError:
    """Somebody else is at work."""
    return BusyError(
        f"Somebody else is configuring {target.name}.",
        where=target.name,
        expected="nobody",
        found=found,
        remedy="wait, or ask them; nothing was changed. That of a run whose link was cut ends by"
        " itself when the switch notices",
    )


def not_armed(target: Target, found: str) -> SwitchError:
    """What only an armed revert allows."""
    return SwitchError(
        f"The revert of {target.name} is not armed.",
        where=target.name,
        expected="an armed revert, which has not fired",
        found=found,
        remedy="read the running configuration: it is the checkpoint's, or a mixture",
    )


def armed_already(target: Target, pending: Pending | None) -> SwitchError:
    """One revert at a time."""
    return SwitchError(
        f"The revert of {target.name} is armed already.",
        where=target.name,
        expected="nothing armed",
        found=told(pending) if pending else "one that was not applied yet",
        remedy="confirm or revert that first",
    )


def no_such_time(target: Target, seconds: int, least: int, most: int) -> SwitchError:
    """The platform's timer does not take so many seconds."""
    return SwitchError(
        f"{target.name} cannot be armed for that time.",
        where=target.name,
        expected=f"{least} to {most} seconds",
        found=f"{seconds} seconds",
    )


def not_back(target: Target, name: str) -> SwitchError:
    """A revert that did not bring the checkpoint back."""
    return SwitchError(
        f"{target.name} does not run its checkpoint after the revert.",
        where=f"{target.name}, checkpoint {name}",
        expected="what ran when the checkpoint was made",
        found="another configuration",
        remedy="compare the two, and mend it by hand",
    )


def partly(target: Target, found: str) -> SwitchError:
    """A candidate of which only a part runs."""
    return SwitchError(
        f"{target.name} took only part of the candidate; its revert is armed.",
        where=target.name,
        expected="no difference from the candidate",
        found=found[:600],
        remedy="revert; then correct what it refused",
    )


def not_confirmed(target: Target) -> SwitchError:
    """Nothing is persisted that may still go back."""
    return SwitchError(
        f"{target.name} may still go back to its checkpoint.",
        where=target.name,
        expected="a confirmed change",
        found="an armed revert",
        remedy="confirm first",
    )


def not_persisted(target: Target) -> SwitchError:
    """What starts next is not what runs."""
    return SwitchError(
        f"The startup configuration of {target.name} is not what runs.",
        where=target.name,
        expected="the running configuration",
        found="another one: somebody else changed it meanwhile, or not all was written",
        remedy="look at the drift, then decide which is right",
    )
