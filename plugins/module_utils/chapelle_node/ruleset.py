"""nftables: is the table that runs the one that the file says?

nft prints rules in its own normal form, so a file's text cannot be compared with a running table.
The file is loaded into a network namespace made for the purpose and thrown away, and both are
listed. It needs no record of earlier runs, and a file that cannot be loaded is found at the same
time, before it is used.
"""

from collections.abc import Mapping
from typing import Any

from . import changes as c
from .system import NodeError, System

Desired = Mapping[str, Any]


def normal_form(system: System, text: str, table: str, role: str) -> str:
    """The table that a file's text makes, as nft lists it, without counters and handles.

    Raises:
        NodeError: the text cannot be loaded.
    """
    script = 'nft -f - && exec nft --stateless list table "$@"'
    ran = system.run(
        ["unshare", "--net", "--", "sh", "-ec", script, "sh", *table.split()], given=text
    )
    if ran.status != 0:
        raise NodeError(
            "The firewall's new rules cannot be loaded; nothing was replaced.",
            phase="validate",
            role=role,
            item=f"table {table}",
            expected="nft loads them into an empty network namespace",
            found=ran.said(),
            remedy=f"correct the variables or the template of role {role}",
        )
    return ran.out


def running(system: System, table: str) -> str | None:
    """The table as it runs, or None when there is none."""
    ran = system.run(["nft", "--stateless", "list", "table", *table.split()])
    return ran.out if ran.status == 0 else None


class Plan:
    """Whether the table has to be loaded again."""

    def __init__(self, role: str, wanted: Desired, change: c.Change | None) -> None:
        self.role = role
        self.wanted = wanted
        self.change = change

    @property
    def changes(self) -> list[c.Change]:
        return [self.change] if self.change else []


def plan(system: System, roles: Mapping[str, Desired]) -> tuple[list[Plan], list[str]]:
    """Compare running tables with the files that roles want.

    Returns:
        The plans, and a note for each table that cannot be compared yet.
    """
    plans: list[Plan] = []
    notes: list[str] = []
    for role, state in roles.items():
        wanted = state.get("ruleset")
        if not wanted or not system.live:
            continue
        item = f"table {wanted['table']}"
        if not system.has("nft"):
            notes.append(f"{item}: not compared, nft is not installed")
            plans.append(Plan(role, wanted, c.change(role, "ruleset", item, after="loaded")))
            continue
        texts = [f["content"] for f in state.get("files", ()) if f["path"] == wanted["path"]]
        text = texts[0] if texts else system.read(wanted["path"]) or ""
        intended = normal_form(system, text, wanted["table"], role)
        now = running(system, wanted["table"])
        change = None
        if now != intended:
            change = c.change(
                role,
                "ruleset",
                item,
                before="not loaded" if now is None else "other rules run",
                after="loaded",
                diff=c.text_diff(item, now or "", intended),
            )
        plans.append(Plan(role, wanted, change))
    return plans, notes


def apply(system: System, plans: list[Plan]) -> None:
    """Load what differs, each table in one transaction.

    Raises:
        NodeError: nft refuses.
    """
    for planned in plans:
        if planned.change is None:
            continue
        ran = system.run(["nft", "-f", planned.wanted["path"]])
        if ran.status != 0:
            raise NodeError(
                "The firewall could not be loaded.",
                phase="firewall",
                role=planned.role,
                item=planned.change["item"],
                expected=f"nft -f {planned.wanted['path']} succeeds",
                found=ran.said(),
            )
