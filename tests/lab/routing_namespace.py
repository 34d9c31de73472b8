"""FRRouting's own daemons in a network namespace, over the root of the lab's image, for one test.

Nothing of the image is changed: what the daemons write goes to file systems in memory, which vanish
with the namespaces. No systemd is needed, and no node.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from chapelle.drivers.switch import frr as frr_driver

# From FRR 10 on mgmtd has the interfaces' and the VRFs' part of the configuration.
DAEMONS = ("mgmtd", "zebra", "bgpd", "bfdd", "staticd")

# What the driver does to a configuration before it is loaded.
SECTIONS = Path(frr_driver.__file__).with_name("frr_sections.sh")

# Mount points that are in memory, and those that show the namespace's own kernel.
_PREPARE = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
for place in etc/frr etc/systemd/network run tmp var/log var/tmp; do
  mkdir -p "$1/$place" 2>/dev/null || true
  mount -t tmpfs tmpfs "$1/$place"
done
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount --rbind /dev "$1/dev"
ip link set lo up
ip -batch - <<END
$2
END
mkdir -p "$1/run/frr" "$1/run/systemd" "$1/var/log/frr"
touch "$1/etc/frr/frr.conf"
echo "service integrated-vtysh-config" > "$1/etc/frr/vtysh.conf"
chroot "$1" chown -R frr:frr /run/frr /etc/frr /var/log/frr
echo ready
exec sleep infinity
"""


class Namespace:
    """A namespace with `ports`, whose far ends are up too, and with `chroot` into the image."""

    def __init__(self, root: Path, ports: Iterable[str]) -> None:
        self.root = root
        made = (
            f"link add {port} type veth peer name far{number}\n"
            f"link set {port} up\nlink set far{number} up"
            for number, port in enumerate(ports)
        )
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
             "sh", "-c", _PREPARE, "sh", str(root), "\n".join(made)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said == "ready\n", said + self.process.stdout.read()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    @cached_property
    def pid(self) -> str:
        """A process inside."""
        inside = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return inside.stdout.split()[0]

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of the image in the namespaces."""
        return subprocess.run(
            ["nsenter", "-t", self.pid, "-n", "-m", "-p", "chroot", str(self.root), *command],
            input=text, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def ip(self, *command: str) -> None:
        """Change the namespace's links."""
        subprocess.run(["nsenter", "-t", self.pid, "-n", "ip", *command], check=True)

    def cable(self, port: str, other: "Namespace", far: str) -> None:
        """A cable between a port here and one there."""
        self.ip("link", "add", port, "type", "veth", "peer", "name", far, "netns", other.pid)
        self.ip("link", "set", port, "up")
        other.ip("link", "set", far, "up")

    def vxlan(self, vni: int, local: str) -> None:
        """A VXLAN device in a bridge."""
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("link", "add", f"vni{vni}", "type", "vxlan", "id", str(vni), "local", local,
                "dstport", "4789", "nolearning")  # fmt: skip
        self.ip("link", "set", f"vni{vni}", "master", "br0")
        for link in ("br0", f"vni{vni}"):
            self.ip("link", "set", link, "up")

    def write(self, path: str, text: str) -> None:
        """Write a file below one of the places in memory."""
        self.write_all({path: text})

    def write_all(self, files: Mapping[str, str]) -> None:
        """Write files below the places in memory."""
        script = "import json, pathlib, sys\n" + (
            "for path, text in json.load(sys.stdin).items(): pathlib.Path(path).write_text(text)"
        )
        done = self.run("python3", "-c", script, text=json.dumps(files))
        assert done.returncode == 0, done.stderr


class Router(Namespace):
    """One in which FRRouting runs."""

    def __enter__(self) -> Self:
        super().__enter__()
        daemons = [name for name in DAEMONS if (self.root / "usr/lib/frr" / name).exists()]
        for daemon in daemons:
            # By way of a shell: a daemon of FRR 10 keeps what it was given to write to.
            started = self.run("sh", "-c", f"/usr/lib/frr/{daemon} -d -A 127.0.0.1 >/tmp/said 2>&1")
            assert started.returncode == 0, self.run("cat", "/tmp/said").stdout  # noqa: S108
        ready = time.monotonic() + 20
        while sorted(self.vtysh("show daemons").split()) != sorted(daemons):
            assert time.monotonic() < ready, self.vtysh("show daemons")
            time.sleep(0.1)
        return self

    def vtysh(self, command: str) -> str:
        """What vtysh answers."""
        done = self.run("vtysh", "-c", command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wait(self, command: str, pattern: str, seconds: float = 45) -> None:
        """Until vtysh's answer to a command has what the pattern matches."""
        end = time.monotonic() + seconds
        while not re.search(pattern, said := self.vtysh(command)):
            assert time.monotonic() < end, said
            time.sleep(0.3)

    def running(self) -> str:
        """The running configuration."""
        return self.vtysh("show running-config no-header")

    def check(self, text: str) -> subprocess.CompletedProcess[str]:
        """Let vtysh judge a configuration without applying it."""
        self.write("/tmp/candidate.conf", text)  # noqa: S108 - in memory, in the namespace
        return self.run("vtysh", "-C", "-f", "/tmp/candidate.conf")  # noqa: S108

    def reload(self, text: str, how: str = "--reload") -> subprocess.CompletedProcess[str]:
        """Make a configuration the running one, or with `--test` say what that would change."""
        self.write("/tmp/candidate.conf", text)  # noqa: S108
        self.run("sh", "-c", SECTIONS.read_text(), "sh", "/tmp/candidate.conf")  # noqa: S108
        return self.run("/usr/lib/frr/frr-reload.py", how, "/tmp/candidate.conf")  # noqa: S108
