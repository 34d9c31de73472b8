"""A control group for each node: systemd inside wants one to itself, and we know it by that.

Whatever a node starts stays in its group, so the group says whether the node runs, and the kernel
ends all of it at once. Nothing else that was written down is needed to find a node.

Where the machine's own systemd rules the groups, it is asked for a scope that is delegated to us;
elsewhere they are made at the top of the hierarchy. Source: systemd, "Control Group APIs and
Delegation".
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path

from chapelle.errors import ChapelleError
from chapelle.settings import Settings

# The group beside the nodes' for what the lab itself runs; no server has such a name.
HOLDER = "_lab"
SCOPE_SECONDS = 10.0
END_SECONDS = 30.0


def _unit(settings: Settings) -> str:
    name = f"chapelle-{settings.instance}"
    return f"{name}.scope" if _systemd() else name


def _systemd() -> bool:
    """Whether systemd is the machine's init (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def hierarchies() -> list[Path]:
    """Where the hierarchies are mounted that systemd keeps its units in.

    Raises:
        ChapelleError: there is no cgroup v2 hierarchy.
    """
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        place = Path(before.split()[4])
        if kind == "cgroup2":
            found.setdefault("unified", place)
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found.setdefault("named", place)
    if "unified" not in found:
        raise ChapelleError(
            "The machine has no unified control groups.",
            where="/proc/self/mountinfo",
            expected="a cgroup2 file system, as Debian 12 and later mount it",
            found="none",
            remedy="mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
        )
    return [found[key] for key in ("unified", "named") if key in found]


class Tree:
    """The control groups of one lab, as they are; `bases` are where the nodes' groups are."""

    def __init__(self, settings: Settings) -> None:
        if _systemd():
            scope = _scope_path(_unit(settings))
            self.bases = [scope] if scope else []
        else:
            self.bases = [place / _unit(settings) for place in hierarchies()]
        self._settings = settings

    def make(self) -> None:
        """See that there is a place for the nodes' groups.

        Raises:
            ChapelleError: systemd gives us none.
        """
        if _systemd():
            self.bases = [_scope(_unit(self._settings))]
        for base in self.bases:
            base.mkdir(exist_ok=True)

    def entering(self, host: str) -> Callable[[], None]:
        """Make a node's group; what is returned moves the process that calls it there."""
        groups = self.group(host)

        def enter() -> None:
            for group in groups:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        return enter

    def group(self, host: str) -> list[Path]:
        """Make a node's group, in each hierarchy."""
        groups = [base / host for base in self.bases]
        for group in groups:
            group.mkdir(exist_ok=True)
        return groups

    def running(self) -> dict[str, int]:
        """The nodes that run: the process id of each one's init by host name; 0 before it has one.

        The ids are those that the machine sees.
        """
        hosts = {}
        for group in self._groups():
            if _populated(group):
                init = _read(group / "payload" / "init.scope" / "cgroup.procs").split()
                hosts[group.name] = int(init[0]) if init else 0
        return hosts

    def processes(self) -> dict[str, int]:
        """A process of each node that runs, by host name: its init, or one before it has one."""
        found = {}
        for group in self._groups():
            files = [group / "payload" / "init.scope" / "cgroup.procs", group / "cgroup.procs"]
            for file in (*files, *group.rglob("cgroup.procs")):
                if members := _read(file).split():
                    found[group.name] = int(members[0])
                    break
        return found

    def kill(self, hosts: Collection[str]) -> None:
        """End nodes at once, as when their power is cut, and wait until nothing of them is left.

        Raises:
            ChapelleError: something of them does not end.
        """
        if not self.bases:
            return
        groups = [self.bases[0] / host for host in hosts]
        for group in groups:
            with contextlib.suppress(FileNotFoundError):
                (group / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + END_SECONDS
        while left := [group.name for group in groups if _populated(group)]:
            if time.monotonic() > deadline:
                raise ChapelleError(
                    "Processes of the lab do not end.",
                    where=", ".join(left),
                    expected="none left after SIGKILL",
                    found="at least one that waits for the kernel",
                    remedy="try again in a while; if that fails, restart the machine",
                )
            time.sleep(0.02)
        for host in hosts:
            for base in self.bases:
                _remove(base / host)

    def freeze(self, host: str, *, frozen: bool) -> None:
        """Stop every process of a node where it is, or let them go on; returns when it is so.

        Raises:
            ChapelleError: the node does not run, or the kernel does not do it in time.
        """
        if host not in self.running():
            raise ChapelleError(f"Node {host} is down.", remedy="invoke lab.up")
        group = self.bases[0] / host
        (group / "cgroup.freeze").write_text(f"{frozen:d}")
        wanted = f"frozen {frozen:d}"
        deadline = time.monotonic() + END_SECONDS
        while wanted not in _read(group / "cgroup.events"):
            if time.monotonic() > deadline:
                raise ChapelleError(
                    "The kernel does not freeze or thaw a node.",
                    where=str(group / "cgroup.events"),
                    expected=wanted,
                    found=_read(group / "cgroup.events").strip(),
                )
            time.sleep(0.02)

    def remove(self) -> None:
        """Take the groups away after everything in them has been ended."""
        self.kill([HOLDER, *(group.name for group in self._groups())])
        if _systemd():
            _systemctl("stop", "--quiet", _unit(self._settings))
            return
        for base in self.bases:
            _remove(base)

    def _groups(self) -> list[Path]:
        """The nodes' groups in the unified hierarchy, which is the first."""
        if not self.bases or not self.bases[0].is_dir():
            return []
        return [each for each in self.bases[0].iterdir() if each.is_dir() and each.name != HOLDER]


def nodes_on_machine() -> int:
    """How many nodes all labs of the machine have, ours and those of other clones."""
    unified = hierarchies()[0]
    patterns = ("chapelle-*/*/payload", "*.slice/chapelle-*.scope/*/payload")
    return sum(1 for pattern in patterns for _ in unified.glob(pattern))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _populated(group: Path) -> bool:
    return "populated 1" in _read(group / "cgroup.events")


def _remove(group: Path) -> None:
    """Remove a group and those below it, if nothing is in them."""
    for directory, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def _scope(unit: str) -> Path:
    """The scope of this lab under the machine's systemd, asked for if there is none."""
    place = _scope_path(unit)
    if place is None:
        # A scope lasts as long as a process is in it; this one is, in a group beside the nodes'.
        hold = (
            f'd=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/{HOLDER}; mkdir "$d"; '
            'echo $$ >"$d/cgroup.procs"; exec sleep infinity'
        )
        command = ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={unit}"]
        command += ["--property=Delegate=yes", "--property=TasksMax=infinity"]
        subprocess.Popen(
            [*command, "--", "/bin/sh", "-c", hold],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    deadline = time.monotonic() + SCOPE_SECONDS
    while place is None or not (place / HOLDER).is_dir():
        if time.monotonic() > deadline:
            raise ChapelleError(
                "systemd gives the lab no scope.",
                where=unit,
                expected="an active scope unit with a control group",
                found="none",
                remedy=f"systemctl status {unit}",
            )
        time.sleep(0.05)
        place = _scope_path(unit)
    return place


def _scope_path(unit: str) -> Path | None:
    group = _systemctl("show", "--property=ControlGroup", "--value", unit)
    place = Path("/sys/fs/cgroup") / group.lstrip("/")
    return place if group and place.is_dir() else None


def _systemctl(*arguments: str) -> str:
    result = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""
