"""Debian packages: what is installed is read from dpkg's own file, changes are one transaction."""

import glob
import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from . import changes as c
from .restart import due
from .system import STATE, NodeError, System

STATUS = "/var/lib/dpkg/status"
LISTS = "/var/lib/apt/lists"
LISTS_TOO_OLD = 24 * 3600.0  # seconds
LOCK_TIMEOUT = 120  # seconds to wait for another apt or dpkg
TRANSACTION_TIMEOUT = 1800.0

# What the packages were when a run began to upgrade them: a run that is killed loses no change.
BEFORE = f"{STATE}/patch.json"

# What is upgraded, with packages that it newly needs (as a kernel does), and nothing removed.
_UPGRADE = ("--with-new-pkgs", "upgrade")
_SIMULATED = re.compile(r"^Inst (\S+)(?: \[(\S+)\])? \((\S+) ", re.MULTILINE)

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


# -- upgrades -------------------------------------------------------------------------------------


def refresh(system: System) -> None:
    """Have apt know what there is to install now.

    Raises:
        NodeError: apt or dpkg fails.
    """
    _finish_interrupted(system, "patch")
    _update(system, "patch")


def upgradable(system: System) -> list[c.Change]:
    """What an upgrade would change, by the lists that apt has.

    Raises:
        NodeError: apt fails.
    """
    ran = _apt(system, "--simulate", *_UPGRADE)
    if ran.status != 0:
        raise _failed("patch", "what can be upgraded", ran.said(), "apt-get --simulate upgrade")
    return simulated(ran.out)


def simulated(text: str) -> list[c.Change]:
    """The changes that `apt-get --simulate` tells of."""
    return [
        c.change("patch", "package", name, before=before or "absent", after=after)
        for name, before, after in _SIMULATED.findall(text)
    ]


def upgrade(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    """Upgrade everything that is installed; configuration files stay as they are.

    Not by unattended-upgrade: that one takes security updates only, every day and without us; this
    is for all the others, and for what needs a restart.

    Arguments:
        request: `run`, the run's id: gone on with, it still tells of all that it changed.

    Raises:
        NodeError: apt or dpkg fails; `done` on the error holds what was upgraded before.
    """
    if system.check:
        wanted = upgradable(system)
        now = "a restart is due now" if due(system) else "no restart is due now"
        return {
            "changed": bool(wanted),
            "changes": wanted,
            "message": f"{len(wanted)} packages; {now}",
        }
    before = _versions_before(system, request["run"])
    _finish_interrupted(system, "patch")
    ran = _apt(system, *_UPGRADE)
    done = _moved(before, _versions(system))
    if ran.status != 0:
        error = _failed("patch", "upgrade", ran.said(), "apt-get upgrade")
        error.done = done
        raise error
    return {"changed": bool(done), "changes": done}


def _versions(system: System) -> dict[str, str]:
    """The version of each package that is installed, by name."""
    shown = "${binary:Package} ${Version} ${db:Status-Abbrev}\n"
    ran = system.run(["dpkg-query", "--show", f"--showformat={shown}"])
    if ran.status != 0:
        raise _failed("patch", "packages", ran.said(), "dpkg-query --show")
    lines = [line.split() for line in ran.out.splitlines()]
    return {line[0]: line[1] for line in lines if line[-1].startswith("i")}


def _versions_before(system: System, run: str) -> dict[str, str]:
    """The versions at the time when this run first came here."""
    kept = json.loads(system.read(BEFORE) or "{}")
    if kept.get("run") != run:
        kept = {"run": run, "versions": _versions(system)}
        os.makedirs(system.path(STATE), mode=0o700, exist_ok=True)
        path = system.path(BEFORE)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.replace(f"{path}.new", path)
    versions: dict[str, str] = kept["versions"]
    return versions


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[c.Change]:
    return [
        c.change(
            "patch",
            "package",
            name,
            before=before.get(name, "absent"),
            after=after.get(name, "absent"),
        )
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


# -- apt ------------------------------------------------------------------------------------------


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
