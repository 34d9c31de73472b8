"""Commit-confirm: what could cut the host off goes back by itself unless somebody confirms it.

Before a guarded file is replaced, the old ones are saved on the host, with a script that puts them
back, and a systemd timer is armed to run it. Whoever made the change must then reach the host over
a new connection and confirm, which disarms the timer. If the controller dies, the host goes back.
"""

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from .changes import Change
from .system import STATE, NodeError, System

UNIT = "chapelle-rollback"
FOLDER = f"{STATE}/rollback"
SCRIPT = f"{FOLDER}/restore.sh"
TOKEN = f"{FOLDER}/token"
REVERTED = f"{STATE}/reverted"

Desired = Mapping[str, Any]


def guarded_paths(roles: Mapping[str, Desired], changes: Iterable[Change]) -> list[str]:
    """The paths that roles with a guard change, in a fixed order."""
    return sorted(
        {
            change["item"]
            for change in changes
            if change["kind"] in ("file", "link") and roles[change["role"]].get("guard")
        }
    )


def arm(system: System, roles: Mapping[str, Desired], paths: list[str], token: str) -> None:
    """Save `paths` as they are now and arm the timer that restores them.

    Arguments:
        roles: their `guard` says how many seconds to wait and what to run after restoring.
        paths: files that are about to change.
        token: names this change; `confirm` must give the same.

    Raises:
        NodeError: the timer cannot be armed; then nothing must be replaced.
    """
    if not system.live:
        return
    disarm(system)
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER, mode=0o700)
    lines = ["#!/bin/sh", "# Puts back what was before an unconfirmed change."]
    for number, path in enumerate(paths):
        place, saved = shlex.quote(path), f"{FOLDER}/{number}"
        if os.path.lexists(path):
            shutil.copy2(path, saved, follow_symlinks=False)
            if not os.path.islink(path):
                owner = os.stat(path)
                os.chown(saved, owner.st_uid, owner.st_gid)
            lines.append(
                f"cp -a {saved} {place}.chapelle-old && mv -fT {place}.chapelle-old {place}"
            )
        else:
            lines.append(f"rm -f {place}")
    guards = [state["guard"] for state in roles.values() if state.get("guard")]
    lines += [shlex.join(command) for guard in guards for command in guard.get("undo", ())]
    lines += [f"mv -f {TOKEN} {REVERTED}", f"rm -rf {FOLDER}"]
    # The token last: where there is one, the script is whole.
    for path, text in ((SCRIPT, "\n".join(lines) + "\n"), (TOKEN, token)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    seconds = max(guard["seconds"] for guard in guards)
    command = ["systemd-run", "--quiet", f"--unit={UNIT}", f"--on-active={seconds}s"]
    command += ["--timer-property=AccuracySec=100ms", "/bin/sh", SCRIPT]
    ran = system.run(command)
    if ran.status != 0:
        raise NodeError(
            "The way back could not be prepared, so nothing was replaced.",
            phase="network",
            item=UNIT,
            expected="systemd-run arms a timer",
            found=ran.said(),
        )


def finish_interrupted(system: System) -> bool:
    """Undo at once what a run that died has left unconfirmed; a new one begins where it did.

    Returns:
        Whether there is, or was, such a change; in check mode it is only looked at.
    """
    if not system.live or system.read(TOKEN) is None:
        return False
    if not system.check:
        disarm(system)
        system.run(["/bin/sh", SCRIPT])
    return True


def disarm(system: System) -> None:
    """Stop a timer that is armed; nothing if none is."""
    system.run(["systemctl", "--quiet", "stop", f"{UNIT}.timer"])


def confirm(system: System, token: str) -> dict[str, Any]:
    """Keep the change named by `token`.

    Raises:
        NodeError: the host has gone back already.
    """
    if system.read(TOKEN) != token:
        reverted = system.read(REVERTED) == token
        raise NodeError(
            "The host went back to its former configuration."
            if reverted
            else "There is nothing to confirm on this host.",
            phase="network",
            item=UNIT,
            expected="a confirmation before the time was over",
            found="none" if reverted else "another change, or none",
            remedy="see which address, gateway, firewall rule or sshd option cut the host off",
        )
    disarm(system)
    shutil.rmtree(FOLDER, ignore_errors=True)
    return {"changed": False, "confirmed": True}


def describe(roles: Mapping[str, Desired], paths: list[str], token: str) -> dict[str, Any]:
    """What the controller has to know to confirm, and to tell what went back if it cannot."""
    guarded = [role for role, state in roles.items() if state.get("guard")]
    seconds = max(roles[role]["guard"]["seconds"] for role in guarded)
    return {"token": token, "seconds": seconds, "paths": paths, "roles": guarded}
