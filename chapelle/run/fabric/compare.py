"""What must be so before a switch is touched: it is the right one, and as we left it."""

from chapelle.drivers.switch.contract import StrangerError, Target
from chapelle.fabric import ownership
from chapelle.model.switch import Identity
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.order import DriftError, NotApprovedError


def require_serial(target: Target, serial: str, found: Identity) -> None:
    """Make sure that who answers is who is meant, as far as its serial number is known.

    Raises:
        StrangerError: it is another machine.
    """
    if serial and found.serial != serial:
        raise StrangerError(
            f"Who answers at the address of {target.name} is another machine.",
            where=f"device {target.name} at {target.address}",
            expected=f"serial number {serial}",
            found=found.serial or "none",
            remedy="correct the serial number in NetBox if the switch was replaced",
        )


def drift(platform: str, store: Store, device: str, own: str) -> str:
    """What others changed in our sections since a run last left them, as a diff; empty if nothing.

    Arguments:
        platform: the platform's slug.
        store: what is known of switches.
        device: the switch's name.
        own: our sections as they run now.

    Raises:
        ChapelleError: what is known cannot be read.
    """
    known = store.read(device)
    if known is None or (known.attempt and not ownership.diff(platform, known.attempt, own)):
        return ""
    return ownership.diff(platform, known.sections, own)


def drifted(name: str, lines: str) -> DriftError:
    """The error for a switch that others have changed; `lines` are what."""
    return DriftError(
        f"Somebody else changed {name} since we last did.",
        where=f"device {name}",
        expected="our sections as the last run left them",
        found="\n            ".join(lines.splitlines()),
        remedy="--overwrite puts NetBox's intention in force; --adopt leaves the switch as it is "
        "and takes the change as known",
    )


def not_approved(name: str, diff: str) -> NotApprovedError:
    """The error for a diff that is not the one that was approved."""
    return NotApprovedError(
        f"What would change on {name} is not what was approved.",
        where=f"device {name}",
        expected="the diff of the plan",
        found="\n            ".join(diff.splitlines()) or "nothing to change",
        remedy="something moved on the switch: plan again, read the diff, and push that plan",
    )
