"""systemd units: one question for all of them, then only the calls that are needed.

A restart that is due is written to disk before the file that asks for it is replaced, so that a run
which is killed in between does not lose it.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import changes as c
from .system import STATE, NodeError, System

PENDING = f"{STATE}/pending.json"
PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,RemainAfterExit,"
    "ConditionResult,ConditionTimestampMonotonic,ActiveEnterTimestampMonotonic"
)
# How `systemctl status` names each condition that does not hold; `show` cannot print them.
_REFUSING = re.compile(r"(Condition\w+=.*) was not met")
_CONDITION = re.compile(r"^Condition\w+=.*$", re.MULTILINE)
_UNNAMED = "a condition that systemd does not name"
_ENABLED = {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated"}

Desired = Mapping[str, Any]
Properties = dict[str, str]


def show(system: System, names: Iterable[str]) -> dict[str, Properties]:
    """Properties of units by the name that was asked for; empty where systemd does not run."""
    asked = list(dict.fromkeys(names))
    if not asked or not system.live:
        return {}
    ran = system.run(["systemctl", "show", "--property", PROPERTIES, "--", *asked])
    if ran.status != 0:
        raise NodeError("systemd does not answer.", phase="units", found=ran.said())
    blocks = ran.out.strip("\n").split("\n\n")
    found = {}
    for name, block in zip(asked, blocks, strict=True):
        found[name] = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if condition_failed(found[name]):
            found[name]["Refusing"] = "\n".join(_conditions(system, name)) or _UNNAMED
    return found


def _conditions(system: System, name: str) -> list[str]:
    """Those that do not hold. After a daemon-reload systemd knows only that one did not: then all
    that the unit has."""
    status = system.run(["systemctl", "status", "--lines=0", "--no-pager", "--", name])
    if refusing := _REFUSING.findall(status.out):
        return refusing
    conditions: list[str] = []
    for line in _CONDITION.findall(system.run(["systemctl", "cat", "--", name]).out):
        if line.endswith("="):  # takes back all that were set before (systemd.unit(5))
            conditions.clear()
        else:
            conditions.append(line)
    return conditions


def condition_failed(properties: Properties) -> bool:
    """Whether systemd has looked at the unit's conditions and will not start it here."""
    return (
        properties.get("ConditionResult") == "no"
        and properties.get("ConditionTimestampMonotonic", "0") != "0"
        and properties.get("ActiveState") == "inactive"
    )


def refused_by(properties: Properties) -> list[str]:
    """The conditions, such as `ConditionVirtualization=no`, that keep the unit from starting."""
    return properties.get("Refusing", _UNNAMED).split("\n") if condition_failed(properties) else []


class Plan:
    """What has to be done to units. `excuses` are the conditions of a unit that may fail."""

    def __init__(self) -> None:
        self.daemon_reload = False
        self.calls: dict[str, list[str]] = {}
        self.commands: list[list[str]] = []
        self.changes: list[c.Change] = []
        self.conditions: list[str] = []
        self.excuses: dict[str, set[str]] = {}
        self._roles: dict[str, str] = {}

    def call(self, verb: str, role: str, unit: str, before: str, after: str) -> None:
        self.calls.setdefault(verb, []).append(unit)
        self._roles[unit] = role
        self.changes.append(c.change(role, "unit", unit, before=before, after=after))

    def role_of(self, unit: str) -> str:
        return self._roles.get(unit, "")


def plan(system: System, roles: Mapping[str, Desired], changed: set[str]) -> Plan:
    """Compare units with what the roles want, given the paths that change or have changed."""
    found = Plan()
    due = changed | _pending(system)
    found.daemon_reload = any(path.startswith("/etc/systemd/system/") for path in due)
    wanted = [(role, unit) for role, state in roles.items() for unit in state.get("units", ())]
    shown = show(system, (unit["name"] for _, unit in wanted))
    for role, unit in wanted:
        _plan_unit(found, role, unit, shown.get(unit["name"], {}), due)
    for role, state in roles.items():
        for command in state.get("commands", ()):
            if touches(due, command["on"]):
                found.commands.append(command["run"])
                item = " ".join(command["run"])
                found.changes.append(c.change(role, "command", item, after="run"))
    return found


def touches(changed: set[str], watched: Iterable[str]) -> bool:
    """Whether one of the watched paths, or something below it, is among the changed ones."""
    return any(
        path == watch or path.startswith(watch.rstrip("/") + "/")
        for watch in watched
        for path in changed
    )


def _plan_unit(found: Plan, role: str, unit: Desired, now: Properties, due: set[str]) -> None:
    name = unit["name"]
    found.excuses[name] = set(unit.get("conditions", ()))
    found.daemon_reload |= now.get("NeedDaemonReload") == "yes"
    enabled = now.get("UnitFileState", "") in _ENABLED
    if "enabled" in unit and unit["enabled"] != enabled:
        before = now.get("UnitFileState") or "not installed"
        if unit["enabled"]:
            found.call("enable", role, name, before, "enabled")
        elif now.get("LoadState") == "loaded":
            found.call("disable", role, name, before, "disabled")
    active = now.get("ActiveState") in ("active", "activating", "reloading")
    state = unit.get("state")
    before = now.get("ActiveState") or "not installed"
    if state == "stopped":
        if active:
            found.call("stop", role, name, before, "inactive")
        return
    if state != "started":
        return
    restart = touches(due, unit.get("restart_on", ()))
    refused = refused_by(now)
    if refused and not restart and found.excuses[name].issuperset(refused):
        found.conditions.append(f"{name}: {', '.join(refused)} does not hold on this host")
    elif not active:
        found.call("start", role, name, before, "active")
    elif restart:
        found.call("restart", role, name, before, "restarted")
    elif touches(due, unit.get("reload_on", ())):
        found.call("reload", role, name, before, "reloaded")


def remember(system: System, changed: set[str]) -> None:
    """Write down the paths that change, until `forget`."""
    due = changed | _pending(system)
    if not due:
        return
    path = system.path(PENDING)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(sorted(due), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def forget(system: System) -> None:
    """Everything that was due has been done."""
    if os.path.exists(system.path(PENDING)):
        os.unlink(system.path(PENDING))


def _pending(system: System) -> set[str]:
    text = system.read(PENDING)
    return set(json.loads(text)) if text else set()


def apply(system: System, planned: Plan) -> None:
    """Make the calls.

    Raises:
        NodeError: a unit cannot be enabled, started, restarted or reloaded; its last words, or the
            condition that keeps it from starting, are in the message.
    """
    if not system.live:
        return
    if planned.daemon_reload:
        _checked(system, ["systemctl", "daemon-reload"], planned, [])
    for command in planned.commands:
        _checked(system, command, planned, [])
    for verb in ("disable", "enable", "stop", "restart", "reload", "start"):
        units = planned.calls.get(verb)
        if units:
            _checked(system, ["systemctl", "--quiet", verb, *units], planned, units)
    _see_them_start(system, planned)


def _see_them_start(system: System, planned: Plan) -> None:
    """systemctl calls it a success when a condition kept a unit from starting."""
    started = [*planned.calls.get("start", ()), *planned.calls.get("restart", ())]
    for name, now in show(system, started).items():
        refused = refused_by(now)
        if refused and not planned.excuses.get(name, set()).issuperset(refused):
            raise NodeError(
                "A condition of a unit keeps it from starting.",
                phase="units",
                role=planned.role_of(name),
                item=name,
                expected="it starts; the role does not say that this condition may fail",
                found=f"{', '.join(refused)} does not hold",
                remedy=f"see who set the condition: systemctl cat {name}",
            )


def _checked(system: System, command: list[str], planned: Plan, units: list[str]) -> None:
    ran = system.run(command, timeout=120)
    if ran.status == 0:
        return
    failed = [
        name for name, now in show(system, units).items() if now.get("ActiveState") == "failed"
    ]
    unit = (failed or units or [""])[0]
    journal = system.run(["journalctl", "-u", unit, "-n", "5", "-o", "cat"]).said() if unit else ""
    raise NodeError(
        "A unit could not be brought to its state." if unit else "A command failed.",
        phase="units",
        role=planned.role_of(unit),
        item=unit or " ".join(command),
        expected=f"{' '.join(command)} succeeds",
        found=" | ".join(text for text in (ran.said(), journal) if text),
        remedy=f"look on the host: systemctl status {unit}" if unit else "",
    )
