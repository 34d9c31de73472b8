"""Groups and users, read from the files in /etc, changed by Debian's own programs."""

from collections.abc import Mapping
from typing import Any

from . import changes as c
from .system import NodeError, System

Desired = Mapping[str, Any]


class Plan:
    """Commands to run, in order, each with the change that it makes."""

    def __init__(self) -> None:
        self.steps: list[tuple[list[str], c.Change]] = []

    @property
    def changes(self) -> list[c.Change]:
        return [change for _, change in self.steps]


def plan(system: System, roles: Mapping[str, Desired]) -> Plan:
    """Compare accounts: groups first, then users, then who is in the groups that are ours."""
    found = Plan()
    groups = _table(system, "/etc/group")
    users = _table(system, "/etc/passwd")
    for role, state in roles.items():
        for group in state.get("groups", ()):
            if group["name"] not in groups:
                words = ["--system"] if group.get("system") else []
                change = c.change(role, "group", group["name"], before="absent", after="present")
                found.steps.append((["groupadd", *words, group["name"]], change))
    for role, state in roles.items():
        for user in state.get("users", ()):
            _plan_user(found, role, user, users.get(user["name"]))
    for role, state in roles.items():
        for group in state.get("groups", ()):
            _plan_members(found, role, group, groups.get(group["name"]))
    return found


def _table(system: System, path: str) -> dict[str, list[str]]:
    rows = (line.split(":") for line in (system.read(path) or "").splitlines() if ":" in line)
    return {row[0]: row for row in rows}


def _plan_user(found: Plan, role: str, user: Desired, row: list[str] | None) -> None:
    name = user["name"]
    shell = user.get("shell", "/bin/bash")
    comment = user.get("comment", "")
    after = f"{comment} {shell}".strip()
    words = ["--comment", comment, "--shell", shell]
    if row is None:
        words += ["--system"] if user.get("system") else ["--create-home", "--user-group"]
        change = c.change(role, "user", name, before="absent", after=after)
        found.steps.append((["useradd", *words, name], change))
        return
    if row[4] != comment or row[6] != shell:
        before = f"{row[4]} {row[6]}".strip()
        change = c.change(role, "user", name, before=before, after=after)
        found.steps.append((["usermod", *words, name], change))


def _plan_members(found: Plan, role: str, group: Desired, row: list[str] | None) -> None:
    """Members of a group are ours only where the role lists them; then the list is the whole."""
    if "members" not in group:
        return
    wanted = sorted(group["members"])
    current = sorted(row[3].split(",")) if row and len(row) > 3 and row[3] else []
    if wanted != current:
        change = c.change(
            role,
            "group",
            group["name"],
            before="members: " + (", ".join(current) or "none"),
            after="members: " + (", ".join(wanted) or "none"),
        )
        found.steps.append((["gpasswd", "--members", ",".join(wanted), group["name"]], change))


def apply(system: System, planned: Plan) -> None:
    """Run the commands.

    Raises:
        NodeError: one fails.
    """
    for command, change in planned.steps:
        words = list(command)
        if not system.live:
            words[1:1] = ["--root" if words[0] == "gpasswd" else "--prefix", system.root]
        ran = system.run(words)
        if ran.status != 0:
            raise NodeError(
                "An account could not be brought to its state.",
                phase="accounts",
                role=change["role"],
                item=change["item"],
                expected=f"{command[0]} succeeds",
                found=ran.said(),
            )
