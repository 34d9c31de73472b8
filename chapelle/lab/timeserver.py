"""The lab's time servers: one real chronyd in the hub, on the addresses that NetBox gives them.

It is the root image's own program. It serves the machine's clock and never sets it (`-x`).
"""

import contextlib
import os
import subprocess
from pathlib import Path

from chapelle.errors import ChapelleError
from chapelle.lab import ca, cgroup, files, wires
from chapelle.settings import Settings

CONFIGURATION = """# The lab's time servers.
local stratum 3
allow
cmdport 0
bindcmdaddress /
user root
pidfile /var/lib/chrony/chronyd.pid
"""


def is_running(namespace: int) -> bool:
    """Whether a chronyd is at work in the hub."""
    identity = os.fstat(namespace).st_ino
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):
                is_chronyd = (process / "comm").read_text() == "chronyd\n"
                if is_chronyd and (process / "ns/net").stat().st_ino == identity:
                    return True
    return False


def start(settings: Settings, image: Path, namespace: int, groups: cgroup.Tree) -> None:
    """Start the time servers if they are not at work.

    Raises:
        ChapelleError: chronyd does not start.
    """
    if is_running(namespace):
        return
    home = files.directory(settings.state / "lab" / "time")
    files.write(home / "chrony.conf", CONFIGURATION, 0o644)

    hubs = ca.all_namespaces()
    enter_group = groups.entering(cgroup.HOLDER)

    def enter() -> None:
        enter_group()
        os.setns(namespace, os.CLONE_NEWNET)
        wires.own_mounts(hubs)
        for directory in ("dev", "proc"):
            wires.mount(f"/{directory}", f"{image}/{directory}", None, wires.MS_BIND | wires.MS_REC)
        # At chrony's own places: where AppArmor rules the machine, it may use no others.
        for directory in ("etc/chrony", "var/lib/chrony"):
            wires.mount(str(home), f"{image}/{directory}", None, wires.MS_BIND)
        os.chroot(image)
        os.chdir("/")

    try:
        # It goes to the background when it is ready, and only then does this return.
        result = subprocess.run(
            ["/usr/sbin/chronyd", "-x", "-f", "/etc/chrony/chrony.conf"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            start_new_session=True,
            preexec_fn=enter,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _failed(settings, str(error)) from error
    if result.returncode != 0:
        raise _failed(settings, result.stderr.strip() or f"exit status {result.returncode}")


def _failed(settings: Settings, found: str) -> ChapelleError:
    return ChapelleError(
        "The lab's time servers do not start.",
        where=str(settings.state / "lab" / "time"),
        expected="chronyd serving in the hub",
        found=found,
    )
