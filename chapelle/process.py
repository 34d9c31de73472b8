"""Processes of this machine: which one it is, whether it still runs, whose it is, what it is given.

A process number is given out again after a while. What is kept of a process is therefore its
identity, which never matches another one.
"""

import getpass
import os
import socket
from pathlib import Path

_PROC = Path("/proc")

# What of our environment any program needs. All else stays behind: the operator's tokens, and what
# would make a program speak to another server, or load other code, than the one that is meant.
_COMMON = ("HOME", "USER", "LOGNAME", "PATH", "TZ")


def identity(pid: int) -> str:
    """What names a process of this machine for good: boot, pid and time of start.

    Returns:
        `<boot id>:<pid>:<clock ticks after boot>`; the empty string when there is no such process,
        or only a zombie. Source: proc(5), /proc/pid/stat, fields 3 and 22; random(4), boot_id.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else f"{boot}:{pid}:{fields[19]}"


def parent(pid: int) -> int:
    """The number of a process's parent; 0 when there is no such process (proc(5), field 4)."""
    try:
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def own() -> str:
    """The identity of this process."""
    return identity(os.getpid())


def alive(name: str) -> bool:
    """Whether the process with that identity still runs."""
    return bool(name) and identity(pid_of(name)) == name


def pid_of(name: str) -> int:
    """The process number in an identity."""
    return int(name.split(":")[1])


def owner() -> str:
    """Who runs this, for journals and locks: user@machine."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()}"


def environment(*more: str) -> dict[str, str]:
    """What a program is given of our environment: what any needs, and the variables of `more`."""
    names = (*_COMMON, *more)
    given = {name: os.environ[name] for name in names if name in os.environ}
    return {**given, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
