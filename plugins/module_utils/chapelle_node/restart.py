"""Restarts the machine, once: the boot id tells whether it has been (random(4))."""

import os
from collections.abc import Mapping
from typing import Any

from . import changes as c
from .system import NodeError, System

BOOT_ID = "/proc/sys/kernel/random/boot_id"
REQUIRED = ("/run/reboot-required", "/var/run/reboot-required")
UNIT = "chapelle-restart"


def boot_id(system: System) -> str:
    """What names the time since the machine, or the container, was started."""
    return (system.read(BOOT_ID) or "").strip()


def due(system: System) -> bool:
    """Whether a package that was upgraded asks for a restart."""
    return any(os.path.exists(system.path(path)) for path in REQUIRED)


def restart(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    """Restart in a second, unless it was done already or needs not be done.

    Arguments:
        request: `before`, the boot id that the machine had when the run began with it, and `patch`:
            whether it is restarted only if a package asks for it.

    Returns:
        `ordered` when it is going to restart; otherwise the step is at its end.

    Raises:
        NodeError: systemd does not take the order.
    """
    before, now = request["before"], boot_id(system)
    if before != now:
        return done(before, now, "it had restarted already")
    if request.get("patch") and not due(system):
        return {"message": "not needed", "boot_id": now}
    if system.check:
        return {**done(before, "", "it would be restarted"), "boot_id": now}
    if not _under_way(system):
        command = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--on-active=1s"]
        command += ["--timer-property=AccuracySec=100ms", "systemctl", "--no-wall", "reboot"]
        ran = system.run(command)
        if ran.status != 0:
            raise NodeError(
                "The restart could not be ordered.",
                phase="reboot",
                item=UNIT,
                expected="systemd-run arms a timer",
                found=ran.said(),
            )
    return {"ordered": True, "boot_id": now}


def _under_way(system: System) -> bool:
    """Whether an earlier request has ordered it already."""
    if system.run(["systemctl", "is-active", "--quiet", f"{UNIT}.timer"]).status == 0:
        return True
    return system.run(["systemctl", "is-system-running"]).out.strip() == "stopping"


def done(before: str, now: str, message: str = "") -> dict[str, Any]:
    """The result of a restart: the change that it was."""
    change = c.change("reboot", "boot", "id", before=before, after=now)
    return {"changed": True, "changes": [change], "boot_id": now, "message": message}


def booted(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until all that starts with the machine has, at most `seconds`; which boot it is."""
    ran = system.run(["systemctl", "is-system-running", "--wait"], timeout=request["seconds"])
    return {"boot_id": boot_id(system), "state": ran.out.strip() or "starting"}
