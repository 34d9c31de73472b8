"""Start a program that cannot outlive the process that started it.

Run as a script: `python tether.py PIDFILE PARENT PROGRAM ARGUMENT...`. It asks the kernel to send
SIGTERM when the parent ends, a kill -9 included, writes its own process number, and becomes the
program. Ansible ends its workers and their SSH sessions on SIGTERM.
Source: prctl(2), PR_SET_PDEATHSIG: kept over execve(2) of a program without set-user-ID.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def main(pidfile: str, parent: str, *command: str) -> None:
    """Become `command`; end instead if the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):  # it ended before the kernel was asked
        sys.exit("the controller is gone")
    Path(pidfile).write_text(f"{os.getpid()}\n")
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(*sys.argv[1:])
