"""Telling a process that still runs from another that was given the same number since."""

import os
from pathlib import Path

_PROC = Path("/proc")


def identity(pid: int) -> str:
    """What names a process of this machine for good: boot, pid and time of start.

    Returns:
        `<boot id>:<pid>:<clock ticks after boot>`; the empty string when there is no such process,
        or only a zombie. Source: proc(5), /proc/pid/stat, fields 3 and 22.
    """
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else f"{boot}:{pid}:{fields[19]}"


def own() -> str:
    """The identity of this process."""
    return identity(os.getpid())


def alive(name: str) -> bool:
    """Whether the process with that identity still runs."""
    return bool(name) and identity(pid_of(name)) == name


def pid_of(name: str) -> int:
    """The process number in an identity."""
    return int(name.split(":")[1])
