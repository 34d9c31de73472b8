"""Writes a set of changes, or undoes it, and is killed at a line of its journal (see `main`)."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from chapelle.model.change import decode
from chapelle.netbox import changeset
from chapelle.netbox.access import Session, access
from chapelle.netbox.changeset import journal
from chapelle.settings import Settings


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(line: int, when: str) -> None:
    """Kill this process at that line: `before` or `after` it is on the disk, or ms after that."""
    write = journal._write
    seen = 0

    def counted(descriptor: int, written: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == line and when == "before":
            die()
        write(descriptor, written)
        if seen == line and when == "after":
            die()
        elif seen == line:
            threading.Timer(float(when) / 1000, die).start()

    journal._write = counted


def main(*arguments: str) -> None:
    """The arguments: state directory, `write` or `undo`, journal, changes, line, and when."""
    state, action, file, plan, line, when = arguments
    session = Session(access(Settings.load({"CHAPELLE_STATE": state}), "tenancy"))
    kill_at(int(line), when)
    if action == "write":
        changes = decode(Path(plan).read_bytes(), where=plan)
        changeset.write(session, changes, Path(file), print)
    else:
        changeset.undo(session, Path(file), print)


if __name__ == "__main__":
    main(*sys.argv[1:])
