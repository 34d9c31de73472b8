"""Runs a command and says how long it took and what it cost: `timed.py FILE COMMAND...`.

The CPU time is that of the command and of all that it started, daemons included (Ansible's shared
SSH connections are such): they become children of this process, which ends them once the command
has ended. So the next command logs in anew. Source: prctl(2), PR_SET_CHILD_SUBREAPER.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 5.0


def main(out: str, *command: str) -> None:
    """Run the command, write `status`, `seconds` and `cpu` (seconds) as JSON to a file."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    started = time.monotonic()
    status = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    seconds = time.monotonic() - started
    end_children()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {"status": status, "seconds": seconds, "cpu": used.ru_utime + used.ru_stime}
    Path(out).write_text(json.dumps(result))


def end_children() -> None:
    """End what the command left behind, and wait for all of it."""
    deadline = time.monotonic() + PATIENCE
    for child in children():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
    while left := children():
        if time.monotonic() > deadline:
            for child in left:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def children() -> list[int]:
    """The processes whose parent this process is (proc(5), /proc/pid/stat, field 4)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
