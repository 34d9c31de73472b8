"""What the lab needs to know of a server or switch and of its network, taken from the model."""

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import SERVER_ROLES, SWITCH_ROLES, Datacentre

# Interfaces of these types are made by software; every other one is a socket with a cable in it.
VIRTUAL_TYPES = frozenset({"virtual", "bridge", "lag"})

# The bridges of a switch that stand for its data plane, and their ports to the hub.
BRIDGE = "br-lab"
UPLINK = "lab"

TIME_SERVER = re.compile(r"time\d+\.")

# RFC 1123, and what Linux takes for a host name.
HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# Linux' IFNAMSIZ, less the final zero.
INTERFACE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")


# The platform of switches that there are nodes of, and the role that stands for all of servers.
SWITCH_PLATFORM = "frr"
SERVER = "server"
SPINE = "spine"

Kind = Literal["nspawn", "uml"]
KINDS: tuple[Kind, ...] = ("nspawn", "uml")


class End(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One end of a cable: a port of a node."""

    node: str
    port: str


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A network port of a node.

    `mac` is None for a random one. Without a cable to another node the port is plugged into the
    hub's bridge of the prefix `hub` (the node's own if that is empty), or, if it is `dark`, into
    nothing. `bridge` names the bridge inside the node that the port belongs to until somebody
    configures it, or is empty. `mtu` is in bytes, 0 for what the kernel takes. The ports of a full
    kernel are made with it, so it has to know the `far` end of each cable from the start.
    """

    name: str
    mac: str | None
    hub: str = ""
    dark: bool = False
    bridge: str = ""
    mtu: int = 0
    far: End | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A server or switch as the lab builds it.

    `address` has its prefix length, `gateway` has none; both are of the port `management`, which is
    the first one if that is empty. `role` is `server`, or a switch's role in NetBox.
    """

    name: str
    fqdn: str
    address: str
    gateway: str
    ports: tuple[Port, ...]
    aisle: str
    rack: str
    role: str = SERVER
    serial: str = ""
    management: str = ""
    kind: Kind = "nspawn"

    @property
    def is_switch(self) -> bool:
        """Whether it is a switch."""
        return self.role != SERVER

    @property
    def management_port(self) -> str:
        """The name of the port that carries the address."""
        return self.management or self.ports[0].name

    @property
    def ip(self) -> str:
        """The bare address."""
        return self.address.partition("/")[0]

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The prefix that the address is in."""
        return ipaddress.IPv4Interface(self.address).network


class Cable(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A cable between two nodes; `a` sorts before `b`."""

    a: End
    b: End


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's own addresses, with prefix lengths: those of the time servers."""

    time: tuple[str, ...]


def kind(text: str) -> Kind:
    """A kind of node as a person typed it.

    Raises:
        InputError: there is no such kind.
    """
    for known in KINDS:
        if text == known:
            return known
    raise _wrong("kind of node", "--kind", " or ".join(KINDS), text)


def node(dc: Datacentre, name: str, kind: Kind = "nspawn", full: Collection[str] = ()) -> Node:
    """The node for the server or switch of that name.

    Arguments:
        dc: the datacentre.
        name: of a device.
        kind: of the node.
        full: the names of all nodes with a kernel of their own, to which such a node has cables.

    Raises:
        InputError: NetBox does not say enough of it, or it is neither: the message says what is
            missing.
    """
    device = dc.device(name)
    where = f"device {name}"
    if not HOSTNAME.fullmatch(name):
        raise _wrong("name", where, "lower-case letters, digits and hyphens, 63 at most", name)
    role = _role(dc, device, where)
    primary = dc.primary_ip4(device)
    if role == SERVER and kind == "uml":
        return _full_server(dc, device, full, where)
    interface = _address(primary, where)
    rack = dc.racks.get(device.rack or 0)
    server = Node(
        name=name,
        fqdn=(primary.dns_name if primary else "") or name,
        address=str(interface),
        gateway=str(interface.network.network_address + 1),
        ports=_ports(dc, device, where) if role == SERVER else (),
        aisle=dc.aisle_number(device) or "",
        rack=rack.name if rack else "",
        kind=kind,
    )
    if role == SERVER:
        return server
    management = _management(dc, device, primary, where)
    return msgspec.structs.replace(
        server,
        ports=_switch_ports(
            dc, device, management, interface.network, kind=kind, full=full, where=where
        ),
        role=role,
        serial=device.serial,
        management=management.name,
    )


def _full_server(dc: Datacentre, device: r.Device, full: Collection[str], where: str) -> Node:
    """A server with a kernel of its own: all of its data ports are what is tried out.

    It is reached by its management port, as if its management controller were the machine itself.
    """
    address = dc.ip_addresses.get(device.oob_ip or 0)
    interface = _address(address, where)
    management = _management(dc, device, address, where)
    lags = {each.id: each for each in dc.interfaces_by_device.get(device.id, ())}
    ports = [Port(name=management.name, mac=management.mac_address)]
    for each in lags.values():
        if not each.mgmt_only and each.type not in VIRTUAL_TYPES:
            _require_name(each, where)
            lag = lags.get(each.lag or 0)
            mtu = each.mtu or (lag.mtu if lag else None) or 0
            port = Port(name=each.name, mac=each.mac_address, dark=True, mtu=mtu)
            ports.append(msgspec.structs.replace(port, far=_far_end(dc, each, full)))
    primary = dc.primary_ip4(device)
    rack = dc.racks.get(device.rack or 0)
    return Node(
        name=device.name or "",
        fqdn=(primary.dns_name if primary else "") or device.name or "",
        address=str(interface),
        gateway=str(interface.network.network_address + 1),
        ports=tuple(ports),
        aisle=dc.aisle_number(device) or "",
        rack=rack.name if rack else "",
        serial=device.serial,
        management=management.name,
        kind="uml",
    )


def _role(dc: Datacentre, device: r.Device, where: str) -> str:
    if dc.is_server(device):
        return SERVER
    role = dc.role_of(device)
    if role not in SWITCH_ROLES:
        raise _wrong("role", where, "one of a server or of a switch", role)
    platform = dc.platforms.get(device.platform or 0)
    if platform is None or platform.slug != SWITCH_PLATFORM:
        found = platform.slug if platform else "none"
        raise _wrong("platform of a switch", where, SWITCH_PLATFORM, found)
    return role


def _address(primary: r.IPAddress | None, where: str) -> ipaddress.IPv4Interface:
    if primary is None:
        raise _wrong("primary IPv4 address", where, "an address of one of its interfaces", "none")
    try:
        interface = ipaddress.IPv4Interface(primary.address)
    except ValueError as error:
        raise _wrong("primary IPv4 address", where, "an IPv4 address", str(error)) from error
    first = interface.network.network_address + 1
    if interface.network.prefixlen > 30 or interface.ip == first:
        expected = "one inside a prefix whose first address is the gateway"
        raise _wrong("primary IPv4 address", where, expected, primary.address)
    return interface


def _ports(dc: Datacentre, device: r.Device, where: str) -> tuple[Port, ...]:
    ports = []
    for interface in dc.interfaces_by_device.get(device.id, ()):
        if interface.mgmt_only or interface.type in VIRTUAL_TYPES:
            continue
        _require_name(interface, where)
        ports.append(Port(name=interface.name, mac=interface.mac_address))
    if not ports:
        raise _wrong("interfaces", where, "a port that is not for management only", "none")
    return tuple(sorted(ports, key=lambda port: port.name))


def _management(
    dc: Datacentre, device: r.Device, primary: r.IPAddress | None, where: str
) -> r.Interface:
    """The interface that carries the address that we manage a device by."""
    for interface in dc.interfaces_by_device.get(device.id, ()):
        if primary in dc.addresses_by_interface.get(interface.id, ()) and interface.mgmt_only:
            return interface
    expected = "an address of a port that is for management only"
    raise _wrong("address for management", where, expected, "one elsewhere")


def _switch_ports(
    dc: Datacentre,
    device: r.Device,
    management: r.Interface,
    network: ipaddress.IPv4Network,
    *,
    kind: Kind,
    full: Collection[str],
    where: str,
) -> tuple[Port, ...]:
    """A switch's ports, and an uplink to the hub for each prefix that servers behind it have.

    Where neither VLANs nor VXLAN can be had, the ports that lead to servers of one prefix are one
    plain bridge with one uplink, so that what leads from there to the rest of the world is the hub.
    """
    _require_name(management, where)
    found = [Port(name=management.name, mac=management.mac_address)]
    bridges: dict[str, str] = {}
    for interface in dc.interfaces_by_device.get(device.id, ()):
        if interface.id == management.id or interface.type in VIRTUAL_TYPES or interface.mgmt_only:
            continue
        _require_name(interface, where)
        prefix = _prefix_behind(dc, interface, network, kind)
        bridge = bridges.setdefault(prefix, f"{BRIDGE}{len(bridges)}") if prefix else ""
        far = _far_end(dc, interface, full) if kind == "uml" else None
        mac = interface.mac_address
        found.append(Port(name=interface.name, mac=mac, dark=True, bridge=bridge, far=far))
    for prefix, bridge in bridges.items():
        uplink = bridge.replace(BRIDGE, UPLINK)
        found.append(Port(name=uplink, mac=None, hub=prefix, bridge=bridge))
    return tuple(found)


def _prefix_behind(
    dc: Datacentre, interface: r.Interface, management: ipaddress.IPv4Network, kind: Kind
) -> str:
    """The prefix of what a switch's port leads to, if that is a server or a management port.

    The ports of a full kernel need no stand-in for their data plane.
    """
    peer = dc.peer_interface(interface)
    device = dc.devices.get(peer.device) if peer else None
    if peer is None or device is None:
        return ""
    if peer.mgmt_only:
        return str(management)
    primary = dc.primary_ip4(device) if dc.is_server(device) and kind == "nspawn" else None
    return str(_address(primary, f"device {device.name}").network) if primary else ""


def _far_end(dc: Datacentre, interface: r.Interface, full: Collection[str]) -> End | None:
    """Where the cable of a full kernel's port leads, if that is another one's data port."""
    peer = dc.peer_interface(interface)
    device = dc.devices.get(peer.device) if peer else None
    if peer is None or peer.mgmt_only or device is None or device.name not in full:
        return None
    return End(node=device.name or "", port=peer.name)


def _require_name(interface: r.Interface, where: str) -> None:
    if not INTERFACE_NAME.fullmatch(interface.name):
        raise _wrong("interface name", where, "a name that Linux takes", interface.name)


def nodes(
    dc: Datacentre,
    hosts: Sequence[str],
    kinds: Mapping[str, Kind] | None = None,
    full: Collection[str] = (),
) -> list[Node]:
    """The nodes for all of `hosts`, each once, in order.

    Arguments:
        dc: the datacentre.
        hosts: names of servers and switches.
        kinds: what kind of node each is to be, by name; `nspawn` if it is not there.
        full: the names of other nodes with a kernel of their own.

    Raises:
        InputError: as `node`, or two of them have one address.
    """
    chosen: dict[str, Kind] = {name: (kinds or {}).get(name, "nspawn") for name in hosts}
    full = {*full, *(name for name, kind in chosen.items() if kind == "uml")}
    found = [node(dc, name, kind, full) for name, kind in chosen.items()]
    by_ip: dict[str, Node] = {}
    for each in found:
        other = by_ip.setdefault(each.ip, each)
        if other is not each:
            raise _wrong("address", f"device {each.name}", "an address of its own", f"{each.ip}, "
                         f"which {other.name} has too")  # fmt: skip
    return found


def cables(dc: Datacentre, nodes: Iterable[Node]) -> list[Cable]:
    """NetBox's cables of which both ends are ports of these nodes, and of one kind of node.

    The management ports of full kernels always lead to the hub.
    """
    ports: dict[int, End] = {}
    kinds = {}
    for each in nodes:
        kinds[each.name] = each.kind
        names = {port.name for port in each.ports if port.dark or each.kind == "nspawn"}
        for interface in dc.interfaces_by_device.get(dc.device(each.name).id, ()):
            if interface.name in names:
                ports[interface.id] = End(node=each.name, port=interface.name)
    found = set()
    for number, end in ports.items():
        peer = dc.peer_interface(dc.interfaces[number])
        other = ports.get(peer.id) if peer else None
        if other is not None and other != end and kinds[other.node] == kinds[end.node]:
            a, b = sorted([end, other])
            found.add(Cable(a=a, b=b))
    return sorted(found)


def names(dc: Datacentre) -> set[str]:
    """The names of all that there can be nodes of: servers and switches."""
    roles = {*SERVER_ROLES, *SWITCH_ROLES}
    return {name for name, device in dc.devices_by_name.items() if dc.role_of(device) in roles}


def services(dc: Datacentre) -> Services:
    """The addresses that the hub itself has: those of no device whose DNS name is time<n>."""
    time = {
        address.address
        for address in dc.content.ip_addresses
        if address.assigned_object_id is None
        and TIME_SERVER.match(address.dns_name)
        and ipaddress.ip_interface(address.address).version == 4
    }
    return Services(time=tuple(sorted(time)))


def scope(
    dc: Datacentre, *, aisle: str | None = None, rack: str | None = None, hosts: str | None = None
) -> list[str]:
    """The names of the servers that a person asked for; all without any restriction.

    Arguments:
        dc: the datacentre.
        aisle: the number of an aisle.
        rack: the name of a rack.
        hosts: how many at most, of those in the aisle or rack.

    Raises:
        InputError: there is no such aisle or rack, it has no servers, or `hosts` is no number.
    """
    servers = list(dc.servers)
    if aisle is not None:
        dc.aisle(aisle)
        servers = [server for server in servers if dc.aisle_number(server) == aisle]
    if rack is not None:
        wanted = dc.rack(rack).id
        servers = [server for server in servers if server.rack == wanted]
    if hosts is not None:
        if not (hosts.isascii() and hosts.isdecimal()) or int(hosts) < 1:
            raise _wrong("number of hosts", "--hosts", "a whole number from 1 up", hosts)
        servers = servers[: int(hosts)]
    if not servers:
        raise _wrong("scope", "the snapshot of NetBox", "one server at least", "none")
    return [server.name for server in servers if server.name]


def switches(dc: Datacentre, *, aisle: str | None = None, rack: str | None = None) -> list[str]:
    """The names of the switches that belong to a scope as `scope` has it; spines always do.

    Of an aisle they are those that stand in it, of a rack the leafs that its servers are cabled to:
    each leaf has a cable to every spine.

    Raises:
        InputError: there is no such aisle or rack.
    """
    named = [d for d in dc.devices_by_name.values() if dc.role_of(d) in SWITCH_ROLES]
    chosen = {device.name or "" for device in named}
    if aisle is not None:
        dc.aisle(aisle)
        chosen = {device.name or "" for device in named if dc.aisle_number(device) == aisle}
    if rack is not None:
        wanted = dc.rack(rack).id
        chosen &= {
            name for each in dc.servers if each.rack == wanted for name in dc.leaf_pair(each)
        }
    spines = {device.name or "" for device in named if dc.role_of(device) == SPINE}
    return sorted(chosen | spines)


def _wrong(what: str, where: str, expected: str, found: str) -> InputError:
    return InputError(
        f"The lab cannot use this {what}.", where=where, expected=expected, found=repr(found)
    )
