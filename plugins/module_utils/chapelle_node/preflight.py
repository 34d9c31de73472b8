"""Is this the machine that is meant, and can it be worked on? Asked before anything is changed."""

import os
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from .system import NodeError, System

SERIAL = "/sys/class/dmi/id/product_serial"
PYTHON = (3, 11)
_NO_SERIAL = {"", "none", "not specified", "default string", "to be filled by o.e.m.", "0"}


def in_container(system: System) -> bool:
    """Whether this is a container: then DMI tells of the machine around it."""
    return os.path.exists(system.path("/run/systemd/container"))


def serial(system: System) -> str:
    """The machine's serial number by its firmware, or the empty string where it says none."""
    if in_container(system):
        return ""
    found = (system.read(SERIAL) or "").strip()
    return "" if found.lower() in _NO_SERIAL else found


def check(system: System, identity: Mapping[str, Any]) -> None:
    """Refuse a wrong machine, an old Python, a full disk, a clock that is far off.

    Arguments:
        identity: `name` and `serial` (by NetBox, may be empty), `free` (MiB that must be free
            where files are written), `now` (seconds since the epoch by the controller) and `skew`
            (seconds that the clocks may differ).

    Raises:
        NodeError: in phase preflight.
    """
    _check_serial(system, identity)
    if sys.version_info < PYTHON:
        raise NodeError(
            "The host's Python is too old.",
            phase="preflight",
            item=sys.executable,
            expected=".".join(map(str, PYTHON)) + " or later",
            found=sys.version.split()[0],
        )
    _check_space(system, identity["free"])
    skew = time.time() - identity["now"]
    if abs(skew) > identity["skew"]:
        raise NodeError(
            "The host's clock is far off; certificates and logs cannot be trusted.",
            phase="preflight",
            item="clock",
            expected=f"within {identity['skew']:.0f} s of the controller's",
            found=f"{skew:+.0f} s",
            remedy="set the host's clock, or look at the controller's",
        )


def look(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    """The same before the machine is taken out of service; which boot it is.

    Arguments:
        request: `identity`, and `patch`: whether apt shall know what there is to install now. In
            check mode it goes by the lists that it has.

    Raises:
        NodeError: it is not fit; nothing was done to it.
    """
    from . import packages, restart

    check(system, request["identity"])
    if request.get("patch") and not system.check:
        packages.refresh(system)
    return {"boot_id": restart.boot_id(system)}


def _check_serial(system: System, identity: Mapping[str, Any]) -> None:
    wanted, found = identity.get("serial") or "", serial(system)
    if wanted and found and wanted != found:
        raise NodeError(
            "This is another machine than the one that NetBox means.",
            phase="preflight",
            item=f"{identity['name']} ({socket.gethostname()})",
            expected=f"serial number {wanted}",
            found=found,
            remedy="see which machine stands in the rack, and correct NetBox or its address",
        )


def _check_space(system: System, wanted: float) -> None:
    for folder in ("/etc", "/var/lib"):
        usage = os.statvfs(system.path(folder))
        free = usage.f_bavail * usage.f_frsize / 2**20
        if free < wanted:
            raise NodeError(
                "The disk is full.",
                phase="preflight",
                item=folder,
                expected=f"{wanted:.0f} MiB free",
                found=f"{free:.0f} MiB free",
                remedy="free space on the host, then run again",
            )
