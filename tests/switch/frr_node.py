"""A real FRR switch for tests: a node of the lab with FRRouting, made by hand.

`started` yields what tests need and takes everything away again. Whoever has switches in a lab of
their own gives tests the same `Node`, and nothing else of this module is used.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from chapelle.drivers.switch.contract import Target
from chapelle.lab import boot, ca, cabling, cgroup, files, image, node, spec, wires
from chapelle.settings import Settings

PREFIX = "chapelle-switch-"
NAME = "leaf1"
ADDRESS = "192.0.2.10"
SERIAL = "FRR0TEST1"

DAEMONS = """\
bgpd=yes
bfdd=yes
vtysh_enable=yes
zebra_options="-A 127.0.0.1 -s 90000000"
bgpd_options="-A 127.0.0.1"
bfdd_options="-A 127.0.0.1"
staticd_options="-A 127.0.0.1"
"""

# A switch's first configuration, as FRR shows it. The version in the first line says which defaults
# it takes for granted, and does not show.
_FIRST = """\
frr version {version}
frr defaults datacenter
hostname leaf1
no ip forwarding
no ipv6 forwarding
service integrated-vtysh-config
!
interface swp1
 description spine1
exit
!
router bgp 65001
 bgp router-id 10.0.0.1
 neighbor FABRIC peer-group
 neighbor FABRIC remote-as external
 neighbor swp1 interface peer-group FABRIC
 !
 address-family l2vpn evpn
  neighbor FABRIC activate
  advertise-all-vni
 exit-address-family
exit
!
end
"""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A running switch: how it is reached, its serial number, its init's process id out here.

    `first` is its first configuration, as it shows it.
    """

    target: Target
    serial: str
    pid: int
    first: str

    def run(self, command: str) -> str:
        """Run a command on it as root, beside any SSH session; what it prints."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-a", "/bin/sh", "-ec", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


@contextlib.contextmanager
def started() -> Iterator[Node]:
    """Start a switch named leaf1 with ports swp1 and swp2; end it afterwards."""
    state = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    settings = Settings.load({"CHAPELLE_STATE": str(state), **kept})
    groups = cgroup.Tree(settings)
    try:
        yield _start(settings, groups)
    finally:
        groups.remove()
        wires.remove_hub(ca.namespace_path(settings))
        shutil.rmtree(state, ignore_errors=True)


def _start(settings: Settings, groups: cgroup.Tree) -> Node:
    root = image.ensure(settings, print)
    ca.ensure(settings)
    one = spec.Node(
        name=NAME,
        fqdn=f"{NAME}.test",
        address=f"{ADDRESS}/24",
        gateway="192.0.2.1",
        ports=tuple(spec.Port(name=port, mac=None) for port in ("eth0", "swp1", "swp2")),
        aisle="aisle-1",
        rack="R01",
    )
    groups.make()
    node.prepare(settings, one, root, ca.HostSigner(ca.folder(settings)))
    first = _FIRST.format(version=_version(root))
    _install(node.folder(settings) / NAME / "layer", first)
    with wires.Hub(ca.namespace_path(settings)) as hub:
        hub.prepare([one], spec.Services(time=()))
        boots = boot.Boot(
            settings,
            hub=hub,
            groups=groups,
            notify=settings.state / "notify",
            source="",
            progress=lambda _done, _total: None,
        )
        namespaces = cabling.Cabling(hub, {NAME: one}, (), {}).connect([one])
        assert boots.run([one], [], namespaces) == []
    return Node(target=_target(settings), serial=SERIAL, pid=groups.running()[NAME], first=first)


def _version(root: Path) -> str:
    """The version of FRRouting in an image, such as 8.4.4."""
    said = subprocess.run(
        ["chroot", str(root), "/usr/lib/frr/zebra", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return said.stdout.split()[2]


def _install(layer: Path, first: str) -> None:
    """What makes a server a switch: FRR's configuration and daemons, lldpd, a serial number."""
    for name, text, mode in (
        ("etc/frr/frr.conf", first, 0o640),
        ("etc/frr/daemons", DAEMONS, 0o640),
        ("etc/frr/vtysh.conf", "service integrated-vtysh-config\n", 0o640),
        ("etc/chapelle/serial", f"{SERIAL}\n", 0o644),
        ("etc/systemd/system/lldpd.service.d/05-test.conf", "[Service]\nExecStartPre=\n", 0o644),
    ):
        path = layer / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        files.write(path, text, mode)
    wants = layer / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in ("frr.service", "lldpd.service"):
        (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")


def _target(settings: Settings) -> Target:
    """The host's key itself, since Paramiko knows no authority for host keys."""
    home = ca.folder(settings)
    public = node.folder(settings) / NAME / "layer/etc/ssh/ssh_host_ed25519_key.pub"
    known_hosts = home / "known_hosts.switches"
    files.write(known_hosts, f"{ADDRESS} {public.read_text()}", 0o644)
    return Target(
        name=NAME,
        platform="frr",
        address=ADDRESS,
        user=ca.PRINCIPAL,
        key=str(home / "id_ed25519"),
        known_hosts=str(known_hosts),
        namespace=str(ca.namespace_path(settings)),
    )
