"""Validators: each new file is judged by the program that will read it, before it is in its place.

A real run judges the staged files. Check mode judges copies, so that it promises nothing that the
real run would refuse.
"""

import os
from collections.abc import Mapping
from typing import Any

from . import files
from .system import NodeError, Ran, System

Desired = Mapping[str, Any]

_NOT_LAID_OVER = 125
_LAY_OVER = f'mount --bind "$1" "$2" || exit {_NOT_LAID_OVER}; shift 2; exec "$@"'


def validate(system: System, planned: files.Plan, staged: Mapping[str, str]) -> list[str]:
    """Run each new file's validator on its staged copy.

    Arguments:
        staged: where the new file of a path is.

    Returns:
        A line for each file whose validator is not installed.

    Raises:
        NodeError: a validator says no.
    """
    notes: list[str] = []
    for role, entry in planned.files:
        if _has_validator(system, entry, notes):
            copy = staged[entry["path"]]
            _judge(system.run(_command(entry, copy)), role, entry, copy)
    return notes


def rehearse(system: System, planned: files.Plan) -> list[str]:
    """What `validate` would say, from copies in a private folder: for check mode.

    Where the file exists, the copy is laid over it in a mount namespace that ends with the
    validator: AppArmor lets chronyd read its configuration in no other place.

    Returns:
        A line for each file that could not be validated.

    Raises:
        NodeError: a validator says no.
    """
    notes: list[str] = []
    wanted = [each for each in planned.files if _has_validator(system, each[1], notes)]
    if not wanted:
        return notes
    import shutil  # only here
    import tempfile

    folder = tempfile.mkdtemp(
        prefix="chapelle-check-", dir="/run" if os.access("/run", os.W_OK) else None
    )
    try:
        for number, (role, entry) in enumerate(wanted):
            copy = os.path.join(folder, f"{number}-{os.path.basename(entry['path'])}")
            with files.reported(role, entry["path"]):
                files.write_new(copy, entry["content"])
                os.chmod(copy, int(entry.get("mode", "0644"), 8))
            ran = _run_over(system, entry, copy)
            if ran.status == _NOT_LAID_OVER:
                notes.append(f"{entry['path']}: not validated, {ran.said()}")
            else:
                _judge(ran, role, entry, copy)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return notes


def _run_over(system: System, entry: Desired, copy: str) -> Ran:
    path, here = entry["path"], system.path(entry["path"])
    if not os.path.isfile(here) or os.path.islink(here):
        return system.run(_command(entry, copy))
    apart = ["unshare", "--mount", "--propagation", "private", "--", "sh", "-c", _LAY_OVER, "sh"]
    return system.run([*apart, copy, here, *_command(entry, path)])


def _command(entry: Desired, copy: str) -> list[str]:
    return [word.replace("%s", copy) for word in entry["validate"]]


def _has_validator(system: System, entry: Desired, notes: list[str]) -> bool:
    """Whether a file can be validated here; a note where its validator is not installed."""
    command = entry.get("validate")
    if not command or not system.live:
        return False
    if system.has(command[0]):
        return True
    notes.append(f"{entry['path']}: not validated, {command[0]} is not installed")
    return False


def _judge(ran: Ran, role: str, entry: Desired, copy: str) -> None:
    if ran.status != 0:
        raise NodeError(
            "A new file is not valid; nothing was replaced.",
            phase="validate",
            role=role,
            item=entry["path"],
            expected=f"{entry['validate'][0]} accepts it",
            found=ran.said().replace(copy, entry["path"]),
            remedy=f"correct the variables or the template of role {role}",
        )
