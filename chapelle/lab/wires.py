"""The lab's network: a hub namespace with a bridge for each prefix, and veth pairs to the nodes.

Everything is asked of the kernel over netlink, in the namespaces where it is to be; the machine's
own namespace gets neither a link nor a route. The hub is a network namespace with a name, so that
clients can enter it. Those of the nodes have none: each lives exactly as long as its node.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import ipaddress
import os
import signal
import struct
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from chapelle import lazy
from chapelle.lab.ports import End, Port
from chapelle.lab.spec import Node, Services

if TYPE_CHECKING:
    import pyroute2
else:
    pyroute2 = lazy.library("pyroute2")

# Bridges and the hub's ends of cables carry whatever a node may send: jumbo frames and VLAN tags.
HUB_MTU = 9216
IFF_UP = 1
IFF_NOARP = 0x80

# From <linux/if_tun.h>.
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000

# The cables between full kernels are tunnels inside the hub, between addresses that nobody has.
TUNNELS = ipaddress.IPv4Network("240.0.0.0/4")
SINK = "sink"
# Routing tables, the kernel's own and ours, and the priorities of rules.
LOCAL = 255
LOST = 100
CUTS = 10
AFTER_CUTS = 20

MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MNT_DETACH = 2

# What a slim kernel may lack; the keys of lab.json's `kernel`.
LINK_KINDS: dict[str, dict[str, Any]] = {
    "bonding": {"kind": "bond"},
    "bridge": {"kind": "bridge"},
    "dummy": {"kind": "dummy"},
    "vlan": {"kind": "vlan", "vlan_id": 2},
}

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """Mount a file system; arguments are those of the system call.

    Raises:
        OSError: the kernel refuses.
    """
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() if kind else None, flags, data.encode()
    )
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount: {os.strerror(code)}", target)


def unmount(target: str) -> None:
    """Detach what is mounted at a path; nothing there is no error.

    Raises:
        OSError: the kernel refuses.
    """
    if _libc.umount2(target.encode(), MNT_DETACH) != 0:
        code = ctypes.get_errno()
        if code not in {errno.EINVAL, errno.ENOENT}:
            raise OSError(code, f"umount: {os.strerror(code)}", target)


def own_mounts(hubs: Iterable[Path]) -> None:
    """Give this process a table of mounts of its own, in which no hub is held.

    A copy of the mount would keep the network of a lab alive after its `down`.

    Raises:
        OSError: the kernel refuses.
    """
    os.unshare(os.CLONE_NEWNS)
    mount("none", "/", None, MS_REC | MS_SLAVE)
    for hub in hubs:
        unmount(str(hub))


def own_namespace() -> int:
    """A descriptor of the network namespace that this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def entered(namespace: int) -> Iterator[None]:
    """Be in a network namespace; sockets that are made meanwhile stay in it.

    pyroute2 is loaded before: what it opens while it is loaded would keep the namespace, and with
    it the wires and bridges of a dead node, for as long as this process runs (seen with 0.9.7).
    """
    import_module("pyroute2")
    home = own_namespace()
    try:
        os.setns(namespace, os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home, os.CLONE_NEWNET)
    finally:
        os.close(home)


def new_namespace() -> int:
    """A descriptor of a new network namespace, which lasts until nothing refers to it."""
    home = own_namespace()
    try:
        os.unshare(os.CLONE_NEWNET)
        try:
            return own_namespace()
        finally:
            os.setns(home, os.CLONE_NEWNET)
    finally:
        os.close(home)


def kernel_support() -> dict[str, bool]:
    """Which kinds of link the kernel makes, found by making one of each out of the way."""
    namespace = new_namespace()
    try:
        with entered(namespace):
            ipr = pyroute2.IPRoute()
        with ipr:
            # A VLAN needs something that can carry it, which the loopback interface cannot.
            ipr.link("add", ifname="carrier", kind="veth", peer="far")
            carrier = {"link": ipr.link_lookup(ifname="carrier")[0]}
            return {
                name: _makes(ipr, arguments | (carrier if name == "vlan" else {}))
                for name, arguments in LINK_KINDS.items()
            }
    finally:
        os.close(namespace)


def _makes(ipr: Any, arguments: dict[str, Any]) -> bool:
    try:
        ipr.link("add", ifname="probe", **arguments)
        ipr.link("del", index=ipr.link_lookup(ifname="probe")[0])
    except pyroute2.NetlinkError as error:
        if error.code in {errno.EOPNOTSUPP, errno.ENODEV}:
            return False
        raise
    return True


def port_name(node: str, port: str) -> str:
    """The name of the hub's end of a node's cable: always the same for the same port."""
    return "v" + hashlib.sha256(f"{node}/{port}".encode()).hexdigest()[:12]


def side(port: Port, namespace: int) -> dict[str, Any]:
    """A node's end of a veth pair as netlink wants it."""
    found: dict[str, Any] = {"ifname": port.name, "net_ns_fd": namespace}
    if port.mac:
        found["address"] = port.mac.lower()
    if port.dark or port.bridge:
        found["mtu"] = HUB_MTU
    return found


def make_tap(name: str) -> None:
    """Make a tap device in the namespace that this thread is in; it stays without being held.

    Source: Linux, Documentation/networking/tuntap.rst.
    """
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH14x", name.encode(), IFF_TAP | IFF_NO_PI))
        fcntl.ioctl(tap, TUNSETPERSIST, 1)
    finally:
        os.close(tap)


def tunnel_end(end: End) -> tuple[str, int]:
    """Where in the hub a full kernel's end of a cable is: address and UDP port, always the same."""
    digest = hashlib.sha256(f"{end.node}/{end.port}".encode()).digest()
    address = int(TUNNELS.network_address) + int.from_bytes(digest[:4]) % (
        TUNNELS.num_addresses - 2
    )
    return str(ipaddress.IPv4Address(address + 1)), 1024 + int.from_bytes(digest[4:6]) % 60000


class Hub:
    """The hub of one lab: made if it is not there, and wired up node by node.

    Use as a context manager; leaving it closes its netlink socket and leaves the network in place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.namespace = self._open()
        with entered(self.namespace):
            self._ipr: Any = pyroute2.IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ipr.close()
        os.close(self.namespace)

    def _open(self) -> int:
        """Open the namespace; make it as `ip netns add` does if it does not exist."""
        if is_namespace(self._path):
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._path.touch(mode=0o400)
        namespace = new_namespace()
        mount(f"/proc/self/fd/{namespace}", str(self._path), None, MS_BIND)
        with entered(namespace):
            _sysctl("net/ipv4/ip_forward", "1")
            # Ask a node that has just started for its address more often than once a second.
            _sysctl("net/ipv4/neigh/default/retrans_time_ms", "100")
            _sysctl("net/ipv6/conf/all/disable_ipv6", "1")
            _sysctl("net/ipv6/conf/default/disable_ipv6", "1")
        return namespace

    def prepare(self, nodes: Sequence[Node], services: Services) -> None:
        """See that there is a bridge with the gateway for each prefix, and the services."""
        self._ipr.link("set", index=1, state="up")
        wanted: dict[ipaddress.IPv4Network, set[str]] = {}
        for node in nodes:
            for prefix in {str(node.network), *(port.hub for port in node.ports if port.hub)}:
                network = ipaddress.IPv4Network(prefix)
                gateway = f"{network.network_address + 1}/{network.prefixlen}"
                wanted.setdefault(network, set()).add(gateway)
        for address in (*services.time, *services.tang, *services.bmc):
            network = ipaddress.IPv4Interface(address).network
            wanted.setdefault(network, set()).add(address)
        if any(node.kind == "uml" for node in nodes):
            self.prepare_tunnels()
        for network, addresses in wanted.items():
            self._bridge(network, addresses)

    def _bridge(self, network: ipaddress.IPv4Network, addresses: set[str]) -> None:
        name = bridge_name(network)
        index = self._index(name)
        if index is None:
            self._ipr.link(
                "add", ifname=name, kind="bridge", mtu=HUB_MTU, address=bridge_mac(network),
                br_stp_state=0, br_forward_delay=0, br_mcast_snooping=0,
            )  # fmt: skip
            index = self._index(name)
        for address in sorted(addresses):
            ip, _, length = address.partition("/")
            self._ipr.addr("replace", index=index, address=ip, prefixlen=int(length))
        self._ipr.link("set", index=index, state="up")

    def plug(self, node: Node, port: Port, namespace: int) -> None:
        """Make a node's port, in its namespace, and plug it into the bridge of its prefix."""
        prefix = ipaddress.IPv4Network(port.hub) if port.hub else node.network
        near: dict[str, Any] = {
            "ifname": port_name(node.name, port.name), "mtu": HUB_MTU,
            "master": self._index(bridge_name(prefix)), "flags": IFF_UP, "change": IFF_UP,
        }  # fmt: skip
        self.pair(near, side(port, namespace))

    def plug_tap(self, node: Node, port: Port) -> None:
        """Plug a tap device into the bridge of a port's prefix, for a process in the hub."""
        prefix = ipaddress.IPv4Network(port.hub) if port.hub else node.network
        name = port_name(node.name, port.name)
        with entered(self.namespace):
            make_tap(name)
        self._ipr.link(
            "set", index=self._index(name), master=self._index(bridge_name(prefix)),
            mtu=HUB_MTU, state="up",
        )  # fmt: skip

    def plug_taps(self, node: Node) -> None:
        """Plug a tap device for each port of a node that leads to the hub and has none yet."""
        for port in node.ports:
            if not port.dark and not self.has(node.name, port.name):
                self.plug_tap(node, port)

    def pair(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        """Make a veth pair; what a node that has just died left of it is taken away first."""
        try:
            self._ipr.link("add", kind="veth", **one, peer=other)
        except pyroute2.NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
            # The kernel takes its time with the ends of those.
            for name in (one["ifname"], other["ifname"]):
                if (index := self._index(name)) is not None:
                    self._ipr.link("del", index=index)
            self._ipr.link("add", kind="veth", **one, peer=other)

    def has(self, node: str, port: str) -> bool:
        """Whether a port of a node is plugged into the hub."""
        return self._index(port_name(node, port)) is not None

    def unwire(self, node: Node) -> None:
        """Take all that is in the hub of a node's cables out for good; both ends vanish."""
        for port in node.ports:
            if (index := self._index(port_name(node.name, port.name))) is not None:
                with contextlib.suppress(pyroute2.NetlinkError):
                    self._ipr.link("del", index=index)

    def set_link(self, name: str, *, up: bool) -> None:
        """Set a link of the hub up or down: what it is cabled to gets or loses its carrier."""
        index = self._index(name)
        if index is not None:
            self._ipr.link("set", index=index, state="up" if up else "down")

    def prepare_tunnels(self) -> None:
        """Let the hub be all addresses that cables of full kernels end at.

        What a cut cable's end sends is routed into a bridge without ports, where it is lost without
        an error: a full kernel gives a port up when it meets one. So rules have to come before the
        table of our own addresses, which is moved back.
        """
        if self._index(SINK) is not None:
            return
        self._ipr.route("replace", dst=str(TUNNELS), oif=1, type="local", table=LOCAL, scope="host")
        self._ipr.rule("add", priority=AFTER_CUTS, table=LOCAL)
        self._ipr.rule("del", priority=0, table=LOCAL)
        self._ipr.link("add", ifname=SINK, kind="bridge")
        index = self._index(SINK)
        self._ipr.link("set", index=index, flags=IFF_UP | IFF_NOARP, change=IFF_UP | IFF_NOARP)
        self._ipr.route("replace", dst="0.0.0.0/0", oif=index, table=LOST)

    def set_tunnel(self, end: End, *, up: bool) -> None:
        """Let through what one end of a full kernel's cable sends, or lose it."""
        rule = {"src": tunnel_end(end)[0], "src_len": 32, "table": LOST, "priority": CUTS}
        with contextlib.suppress(pyroute2.NetlinkError):
            self._ipr.rule("del", **rule)
        if not up:
            self._ipr.rule("add", **rule)

    def _index(self, name: str) -> int | None:
        found = self._ipr.link_lookup(ifname=name)
        return found[0] if found else None


def bridge_name(network: ipaddress.IPv4Network) -> str:
    """The name of the bridge of a prefix: `br` and its address in hexadecimal."""
    return f"br{int(network.network_address):08x}"


def bridge_mac(network: ipaddress.IPv4Network) -> str:
    """The gateway's MAC address: a bridge without one of its own changes it with its ports."""
    return "02:00:" + network.network_address.packed.hex(":")


def is_namespace(path: Path) -> bool:
    """Whether a file is a network namespace that is bound there, and not what one left behind."""
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def remove_hub(path: Path) -> None:
    """End whoever is in the hub, such as clients that keep a connection, and take it away."""
    if is_namespace(path):
        identity = path.stat().st_ino
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and process.name != str(os.getpid()):
                with contextlib.suppress(OSError):
                    if (process / "ns/net").stat().st_ino == identity:
                        os.kill(int(process.name), signal.SIGKILL)
        unmount(str(path))
    path.unlink(missing_ok=True)


def _sysctl(name: str, value: str) -> None:
    """Set a sysctl of the network namespace that this thread is in, where the kernel has it."""
    with contextlib.suppress(FileNotFoundError):
        Path("/proc/sys", name).write_text(value)
