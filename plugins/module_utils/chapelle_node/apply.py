"""Brings the host to the state that roles declare, all of them at once.

The order: preflight, packages, accounts; then every file of every role is staged and validated, and
only then are files replaced, commands run and units, firewall and network brought up to date. Check
mode validates too, from copies, so that it promises nothing that the real run would refuse.
"""

import socket
from collections.abc import Mapping
from typing import Any

from . import accounts, files, guard, packages, preflight, ruleset, units, validators
from . import changes as c
from .system import NodeError, System

Desired = Mapping[str, Any]
Result = dict[str, Any]


def apply(system: System, request: Mapping[str, Any]) -> Result:
    """Apply, or in check mode say what would be applied.

    Arguments:
        request: `roles` (state by role), `identity` (see `preflight`), `token` (names this
            execution), `partial` (restarts that become due are left to a later, whole one).

    Returns:
        `changed`, `changes`, `notes`, `not_exercised`, and `confirm` when the controller must
        confirm over a new connection.

    Raises:
        NodeError: it stopped; `done` on the error holds the changes that were made before.
    """
    done: list[c.Change] = []
    if "identity" in request:
        preflight.check(system, request["identity"])
    try:
        return _apply(system, request, done)
    except NodeError as error:
        error.done = done
        raise


def _apply(system: System, request: Mapping[str, Any], done: list[c.Change]) -> Result:
    roles: Mapping[str, Desired] = request["roles"]
    unconfirmed = guard.finish_interrupted(system)
    wanted_packages = packages.plan(system, roles)
    if not system.check:
        packages.apply(system, wanted_packages)
    done += wanted_packages
    wanted_accounts = accounts.plan(system, roles)
    if not system.check:
        accounts.apply(system, wanted_accounts)
    done += wanted_accounts.changes
    planned = files.plan(system, roles)
    rules, notes = ruleset.plan(system, roles)
    if unconfirmed:
        notes.append("a change that an earlier run did not confirm is taken back first")
    confirm = None
    if system.check:
        notes += validators.rehearse(system, planned)
    elif planned.changes:
        with files.Stage(system) as stage:
            stage.add(planned)
            notes += validators.validate(system, planned, stage.staged)
            units.remember(system, planned.paths)
            confirm = _arm(system, roles, planned, request.get("token", ""))
            stage.commit(planned)
    done += planned.changes
    done += _hostname(system, roles)
    wanted_units = units.plan(system, roles, planned.paths)
    if not system.check:
        units.apply(system, wanted_units)
        ruleset.apply(system, rules)
        if not request.get("partial"):
            units.forget(system)
    done += wanted_units.changes
    done += [change for each in rules for change in each.changes]
    result: Result = {
        "changed": bool(done),
        "changes": done,
        "notes": notes,
        "not_exercised": wanted_units.conditions,
    }
    if confirm:
        result["confirm"] = confirm
    return result


def _arm(
    system: System, roles: Mapping[str, Desired], planned: files.Plan, token: str
) -> dict[str, Any] | None:
    paths = guard.guarded_paths(roles, planned.changes)
    if not paths or not token:
        return None
    guard.arm(system, roles, paths, token)
    return guard.describe(roles, paths, token)


def _hostname(system: System, roles: Mapping[str, Desired]) -> list[c.Change]:
    found = []
    for role, state in roles.items():
        wanted = state.get("hostname")
        if not wanted or not system.live or socket.gethostname() == wanted:
            continue
        before = socket.gethostname()
        found.append(c.change(role, "hostname", wanted, before=before, after=wanted))
        if not system.check:
            socket.sethostname(wanted)
    return found
