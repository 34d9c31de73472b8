"""What the lab needs to know of a server, switch or edge and of its network, from the model."""

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from chapelle.lab import machine as machines
from chapelle.lab import ports, tenant
from chapelle.lab.ports import End, Port, wrong
from chapelle.model import records as r
from chapelle.model.datacentre import SERVER_ROLES, SWITCH_ROLES, Datacentre
from chapelle.model.tenancy import EDGE

SERVICE = re.compile(r"(time|tang)\d+\.")

# RFC 1123, and what Linux takes for a host name.
HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# The platform of switches that there are nodes of, and the role that stands for all of servers.
SWITCH_PLATFORM = "frr"
SERVER = "server"
SPINE = "spine"

Kind = Literal["nspawn", "uml", "qemu"]
# Those that all nodes of a lab can be; a machine with disks is made of a server by its name.
KINDS: tuple[Kind, ...] = ("nspawn", "uml")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A server, switch or tenant's edge as the lab builds it.

    `address` has its prefix length, `gateway` has none; both are of the port `management`, which is
    the first one if that is empty. `role` is `server`, or that of a switch or edge in NetBox;
    `handoff` is what an edge does on its lines, `machine` what a node of kind `qemu` is made of.
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
    handoff: tenant.Handoff | None = None
    machine: machines.Machine | None = None

    @property
    def is_switch(self) -> bool:
        """Whether it is a switch."""
        return self.role not in {SERVER, EDGE}

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
    """The hub's own addresses, with prefix lengths: of time and Tang servers, and of BMCs."""

    time: tuple[str, ...]
    tang: tuple[str, ...] = ()
    bmc: tuple[str, ...] = ()


def kind(text: str) -> Kind:
    """A kind of node as a person typed it.

    Raises:
        InputError: there is no such kind.
    """
    for known in KINDS:
        if text == known:
            return known
    raise wrong("kind of node", "--kind", " or ".join(KINDS), text)


def node(dc: Datacentre, name: str, kind: Kind = "nspawn", full: Collection[str] = ()) -> Node:
    """The node for the server, switch or edge of that name.

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
        raise wrong("name", where, "lower-case letters, digits and hyphens, 63 at most", name)
    role = _role(dc, device, where)
    if kind == "qemu" and role != SERVER:
        raise wrong("kind of node", where, "nspawn or uml for what is no server", kind)
    primary = address = dc.primary_ip4(device)
    machine = ports.Machine(dc=dc, device=device, full=full if kind == "uml" else None)
    bare = role == EDGE or (role == SERVER and kind == "uml")
    if bare:
        # All of its data ports are what is tried out: it is reached as if its management controller
        # were the machine itself.
        address = dc.ip_addresses.get(device.oob_ip or 0)
    interface = ports.network_address(address, where)
    management = None
    if role != SERVER or kind == "uml":
        management = ports.management(machine, address)
    if management is None:
        found = ports.of_server(machine)
    elif bare:
        found = ports.with_bare_ports(machine, management)
    else:
        found = ports.of_switch(machine, management, interface.network)
    rack = dc.racks.get(device.rack or 0)
    return Node(
        name=name,
        fqdn=(primary.dns_name if primary else "") or name,
        address=str(interface),
        gateway=str(interface.network.network_address + 1),
        ports=found,
        aisle=dc.aisle_number(device) or "",
        rack=rack.name if rack else "",
        role=role,
        serial="" if management is None else device.serial,
        management="" if management is None else management.name,
        kind=kind,
        handoff=tenant.handoff(dc, device) if role == EDGE else None,
        machine=machines.of_server(dc, device) if kind == "qemu" else None,
    )


def _role(dc: Datacentre, device: r.Device, where: str) -> str:
    if dc.is_server(device):
        return SERVER
    role = dc.role_of(device)
    if role == EDGE:
        return EDGE
    if role not in SWITCH_ROLES:
        raise wrong("role", where, "one of a server, switch or tenant's edge", role)
    platform = dc.platforms.get(device.platform or 0)
    if platform is None or platform.slug != SWITCH_PLATFORM:
        found = platform.slug if platform else "none"
        raise wrong("platform of a switch", where, SWITCH_PLATFORM, found)
    return role


def nodes(
    dc: Datacentre,
    hosts: Sequence[str],
    kinds: Mapping[str, Kind] | None = None,
    full: Collection[str] = (),
) -> list[Node]:
    """The nodes for all of `hosts`, each once, in order.

    Arguments:
        dc: the datacentre.
        hosts: names of servers, switches and edges.
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
            raise wrong("address", f"device {each.name}", "an address of its own", f"{each.ip}, "
                         f"which {other.name} has too")  # fmt: skip
    return found


def cables(dc: Datacentre, nodes: Iterable[Node]) -> list[Cable]:
    """NetBox's cables of which both ends are ports of these nodes, and of one kind of node.

    The management ports of full kernels always lead to the hub.
    """
    ends: dict[int, End] = {}
    kinds = {}
    for each in nodes:
        kinds[each.name] = each.kind
        names = {port.name for port in each.ports if port.dark or each.kind == "nspawn"}
        for interface in dc.interfaces_by_device.get(dc.device(each.name).id, ()):
            if interface.name in names:
                ends[interface.id] = End(node=each.name, port=interface.name)
    found = set()
    for number, end in ends.items():
        peer = dc.peer_interface(dc.interfaces[number])
        other = ends.get(peer.id) if peer else None
        if other is not None and other != end and kinds[other.node] == kinds[end.node]:
            a, b = sorted([end, other])
            found.add(Cable(a=a, b=b))
    return sorted(found)


def names(dc: Datacentre) -> set[str]:
    """The names of all that there can be nodes of: servers, switches and tenants' edges."""
    roles = {*SERVER_ROLES, *SWITCH_ROLES, EDGE}
    return {name for name, device in dc.devices_by_name.items() if dc.role_of(device) in roles}


def services(dc: Datacentre) -> Services:
    """The addresses that the hub itself has: those of no device named time<n> or tang<n>."""
    found: dict[str, set[str]] = {"time": set(), "tang": set()}
    for address in dc.content.ip_addresses:
        name = SERVICE.match(address.dns_name)
        if (
            name is not None
            and address.assigned_object_id is None
            and ipaddress.ip_interface(address.address).version == 4
        ):
            found[name[1]].add(address.address)
    return Services(time=tuple(sorted(found["time"])), tang=tuple(sorted(found["tang"])))


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
            raise wrong("number of hosts", "--hosts", "a whole number from 1 up", hosts)
        servers = servers[: int(hosts)]
    if not servers:
        raise wrong("scope", "the snapshot of NetBox", "one server at least", "none")
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


def edges(dc: Datacentre, *, aisle: str | None = None, rack: str | None = None) -> list[str]:
    """The names of the tenants' edges that stand in an aisle or rack; of all, without either.

    One that has no address for management cannot be logged in to, and is left out.

    Raises:
        InputError: there is no such aisle or rack.
    """
    found = [d for d in dc.devices_by_name.values() if dc.role_of(d) == EDGE and d.oob_ip]
    if aisle is not None:
        dc.aisle(aisle)
        found = [device for device in found if dc.aisle_number(device) == aisle]
    if rack is not None:
        wanted = dc.rack(rack).id
        found = [device for device in found if device.rack == wanted]
    return sorted(device.name for device in found if device.name)
