"""Lets the BMCs of the lab switch its machines: Redfish's words in, what QEMU nodes do out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from chapelle.lab.power import Power
from chapelle.lab.qemu import Firmware, Source
from chapelle.settings import Settings

QEMU = "qemu"

# Where the fleet's process is: it runs in the hub, and has no other path to it.
_OWN_NETWORK = Path("/proc/self/ns/net")

_SOURCES: Mapping[str, Source] = {"Pxe": "network", "UefiHttp": "http", "Cd": "cd"}
_FIRMWARES: Mapping[str, Firmware] = {"UEFI": "uefi", "Legacy": "bios"}
_ACTIONS: Mapping[str, Literal["on", "off", "shutdown"]] = {
    "on": "on",
    "off": "off",
    "shutdown": "shutdown",
}


class Machines:
    """The lab's machines with firmware and disks, as a backend of its BMCs.

    Arguments:
        folder: the fleet's directory, below the state directory of the lab.
    """

    def __init__(self, folder: Path) -> None:
        state = str(folder.parent.parent)
        settings = Settings.load({**os.environ, "CHAPELLE_STATE": state})
        self._power = Power(settings, _OWN_NETWORK)

    def state(self, host: str) -> str:
        """`On` or `Off`."""
        return "On" if self._power.state(host) == "on" else "Off"

    def power(self, host: str, action: str) -> None:
        """`on`, `off` or `shutdown`."""
        self._power.power(host, _ACTIONS[action])

    def boot_source(self, host: str, source: str, mode: str) -> None:
        """What the next start is to boot from; whatever it does not know is the machine's disks."""
        self._power.firmware(host, _FIRMWARES[mode])
        self._power.boot_source(host, _SOURCES.get(source, "disk"))

    def medium(self, host: str, image: Path | None) -> None:
        """Put an image into its CD drive, or take out what is there."""
        self._power.medium(host, image)
