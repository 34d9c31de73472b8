"""Which driver a switch has: by the slug of its platform in NetBox."""

from collections.abc import Callable
from pathlib import Path

from chapelle.drivers.switch.arista_eos import AristaEos
from chapelle.drivers.switch.cisco_nxos import CiscoNxos
from chapelle.drivers.switch.contract import Switch, Target
from chapelle.drivers.switch.frr import Frr
from chapelle.errors import InputError

DRIVERS: dict[str, Callable[[Target, Path | None], Switch]] = {
    "arista_eos": AristaEos,
    "cisco_nxos": CiscoNxos,
    "frr": Frr,
}


def open_switch(target: Target, transcripts: Path | None = None) -> Switch:
    """Open a session with a switch.

    Arguments:
        target: which switch, and how it is reached.
        transcripts: a directory for what is said, or None; `<name>.log` there is appended to, and
            only we can read it.

    Raises:
        InputError: no driver has that platform, or our key or the host keys cannot be read.
        UnreachableError: nobody answers.
        StrangerError: the host key is not the one that is known, or the login is refused.
        SwitchError: the device is not what its platform says.
    """
    driver = DRIVERS.get(target.platform)
    if driver is None:
        raise InputError(
            f"No driver knows the platform of {target.name}.",
            where=f"device {target.name}, platform",
            expected=" or ".join(sorted(DRIVERS)),
            found=repr(target.platform),
            remedy="correct it in NetBox; docs/switch-platforms.md says how to add a platform",
        )
    return driver(target, transcripts)
