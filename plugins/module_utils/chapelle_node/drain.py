"""Takes a server out of service before work on it, and back into it: what its roles left hooks for.

Hooks are executables in `/etc/chapelle/drain.d`, found and ordered as run-parts(8) does, and are
run one after the other with the argument `drain` or `restore`. Each may be run again at any time,
because a run that was cut short is gone on with: it then has nothing left to do.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from typing import Any

from . import packages, restart
from .system import DRAINED, ENVIRONMENT, STATE, NodeError, Ran, System

FOLDER = "/etc/chapelle/drain.d"

_NAME = re.compile(r"[A-Za-z0-9_-]+")  # as run-parts(8) has it


def hooks(system: System) -> tuple[list[str], list[str]]:
    """The names of the hooks in order, and those of files that are left out: not executable."""
    folder = system.path(FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    there = [n for n in names if _NAME.fullmatch(n) and os.path.isfile(os.path.join(folder, n))]
    able = [name for name in there if os.access(os.path.join(folder, name), os.X_OK)]
    return able, [name for name in there if name not in able]


def drain(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    """Have every hook drain. When one fails, those that were run are told to restore.

    Arguments:
        request: `run` (the run's id), `seconds` (that each hook may take), and `patch`: whether it
            is done for an upgrade, and so not at all when nothing is to be upgraded.

    Raises:
        NodeError: a hook failed or took too long.
    """
    names, unable = hooks(system)
    if request.get("patch") and not packages.upgradable(system) and not restart.due(system):
        return {"message": "not needed"}
    told = _told(names, unable)
    if not names or system.check:
        return {"message": told}
    os.makedirs(system.path(STATE), mode=0o700, exist_ok=True)
    with open(system.path(DRAINED), "w", encoding="utf-8") as mark:
        mark.write(f"{request['run']}\n")
    for number, name in enumerate(names, start=1):
        ran = _run(system, name, "drain", request)
        if ran.status != 0:
            back = _restore(system, names[:number], request)
            raise _failed(name, "drain", ran, back)
    return {"message": told}


def _told(names: list[str], unable: list[str]) -> str:
    text = f"hooks: {', '.join(names)}" if names else "no hooks"
    return f"{text}; not executable: {', '.join(unable)}" if unable else text


def restore(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    """Have every hook restore, if they were told to drain. All are told, also when one fails.

    Raises:
        NodeError: a hook failed or took too long.
    """
    names, unable = hooks(system)
    if system.read(DRAINED) is None:
        return {"message": "was not drained"}
    if system.check:
        return {"message": _told(names, unable)}
    failures = _restore(system, names, request)
    for name, ran in failures.items():
        raise _failed(name, "restore", ran, {})
    return {"message": _told(names, unable)}


def _restore(system: System, names: list[str], request: Mapping[str, Any]) -> dict[str, Ran]:
    """Tell hooks to restore; those that failed. The mark is gone when none has."""
    failures = {}
    for name in names:
        ran = _run(system, name, "restore", request)
        if ran.status != 0:
            failures[name] = ran
    if not failures:
        os.unlink(system.path(DRAINED))
    return failures


def _run(system: System, name: str, word: str, request: Mapping[str, Any]) -> Ran:
    """Run a hook; when its time is over it is ended with all that it started."""
    seconds = request["seconds"]
    try:
        with subprocess.Popen(
            [system.path(f"{FOLDER}/{name}"), word],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, "CHAPELLE_RUN": request["run"]},
            cwd="/",
            start_new_session=True,
        ) as hook:
            try:
                out, _ = hook.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(hook.pid, signal.SIGKILL)
                return Ran(124, "", f"it did not end within {seconds} s")
    except OSError as error:
        return Ran(127, "", f"it cannot be run: {error.strerror or error}")
    return Ran(hook.returncode, out.decode(errors="replace"), "")


def _failed(name: str, word: str, ran: Ran, back: Mapping[str, Ran]) -> NodeError:
    found = ran.said() or "it said nothing"
    if ran.status not in {124, 127}:
        found = f"exit status {ran.status}: {found}"
    for other, second in back.items():
        found += f"; then {other} restore: {second.said() or f'exit status {second.status}'}"
    return NodeError(
        f"A hook did not {word}.",
        phase=word,
        item=f"{FOLDER}/{name}",
        expected=f"{name} {word} ends with 0",
        found=found,
        remedy=f"try on the host: sudo {FOLDER}/{name} {word}",
    )
