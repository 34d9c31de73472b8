"""Debian packages: what is installed is read from dpkg's own file, changes are one transaction."""

import glob
import os
import time
from collections.abc import Mapping
from typing import Any

from . import changes as c
from .system import NodeError, System

STATUS = "/var/lib/dpkg/status"
LISTS = "/var/lib/apt/lists"
LISTS_TOO_OLD = 24 * 3600.0  # seconds
LOCK_TIMEOUT = 120  # seconds to wait for another apt or dpkg
TRANSACTION_TIMEOUT = 1800.0

# States in which dpkg left a package when something stopped it in the middle (dpkg(1)).
_UNFINISHED = {"half-installed", "unpacked", "half-configured", "triggers-awaited"}


def states(system: System) -> dict[str, str]:
    """The state of every package that dpkg knows, such as `installed`, by name."""
    found = {}
    name = ""
    for line in (system.read(STATUS) or "").splitlines():
        if line.startswith("Package: "):
            name = line[9:]
        elif line.startswith("Status: "):
            found[name] = line.rsplit(" ", 1)[1]
    return found


def plan(system: System, roles: Mapping[str, Mapping[str, Any]]) -> list[c.Change]:
    """What would be installed or removed."""
    known = states(system)
    found = []
    for role, state in roles.items():
        wanted = [(name, "installed") for name in state.get("packages", ())]
        wanted += [(name, "absent") for name in state.get("packages_absent", ())]
        for name, after in wanted:
            before = known.get(name, "absent")
            if (before == "installed") != (after == "installed"):
                found.append(c.change(role, "package", name, before=before, after=after))
    return found


def apply(system: System, planned: list[c.Change]) -> None:
    """Install and remove, in one transaction.

    Raises:
        NodeError: apt or dpkg fails; what it said is in the message.
    """
    if not planned:
        return
    role = ", ".join(dict.fromkeys(change["role"] for change in planned))
    _finish_interrupted(system, role)
    if _lists_age(system) > LISTS_TOO_OLD:
        _update(system, role)
    words = [change["item"] + ("-" if change["after"] == "absent" else "") for change in planned]
    ran = _apt(system, "--no-install-recommends", "install", *words)
    if ran.status == 100 and ("Unable to locate" in ran.err or "404" in ran.err):
        _update(system, role)
        ran = _apt(system, "--no-install-recommends", "install", *words)
    if ran.status != 0:
        raise _failed(role, " ".join(words), ran.said(), "apt-get install")


def _finish_interrupted(system: System, role: str) -> None:
    unfinished = _UNFINISHED & set(states(system).values())
    if not unfinished and not glob.glob(system.path("/var/lib/dpkg/updates/*")):
        return
    ran = system.run(
        ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"],
        timeout=TRANSACTION_TIMEOUT,
    )
    if ran.status != 0:
        raise _failed(role, "dpkg", ran.said(), "dpkg --configure -a")


def _lists_age(system: System) -> float:
    times = [
        os.stat(path).st_mtime
        for path in glob.glob(system.path(LISTS) + "/*")
        if os.path.isfile(path) and os.path.basename(path) != "lock"
    ]
    return time.time() - max(times, default=0.0)


def _update(system: System, role: str) -> None:
    ran = _apt(system, "-o", "APT::Update::Error-Mode=any", "update")
    if ran.status != 0:
        raise _failed(role, "package lists", ran.said(), "apt-get update")


def _apt(system: System, *words: str) -> Any:
    return system.run(
        [
            "apt-get",
            "-y",
            "-q",
            "-o",
            f"DPkg::Lock::Timeout={LOCK_TIMEOUT}",
            "-o",
            "Dpkg::Options::=--force-confdef",
            "-o",
            "Dpkg::Options::=--force-confold",
            *words,
        ],
        timeout=TRANSACTION_TIMEOUT,
    )


def _failed(role: str, item: str, said: str, command: str) -> NodeError:
    return NodeError(
        "Packages could not be brought to their state.",
        phase="packages",
        role=role,
        item=item,
        expected=f"{command} succeeds",
        found=said,
        remedy=f"mend apt on the host (try there: sudo {command}), then run again",
    )
