"""What the lab needs to know of a server and of its network, taken from the model."""

import ipaddress
import re
from collections.abc import Sequence

import msgspec

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

TIME_SERVER = re.compile(r"time\d+\.")

# RFC 1123, and what Linux takes for a host name.
HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# Linux' IFNAMSIZ, less the final zero.
INTERFACE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A network port of a node: name, MAC address or None for a random one."""

    name: str
    mac: str | None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A server as the lab builds it. `address` has its prefix length, `gateway` has none."""

    name: str
    fqdn: str
    address: str
    gateway: str
    ports: tuple[Port, ...]
    aisle: str
    rack: str

    @property
    def ip(self) -> str:
        """The bare address."""
        return self.address.partition("/")[0]

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The prefix that the address is in."""
        return ipaddress.IPv4Interface(self.address).network


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The hub's own addresses, with prefix lengths: those of the time servers."""

    time: tuple[str, ...]


def node(dc: Datacentre, name: str) -> Node:
    """The node for the server of that name.

    Raises:
        InputError: NetBox does not say enough of it: the message says what is missing.
    """
    device = dc.device(name)
    where = f"device {name}"
    if not HOSTNAME.fullmatch(name):
        raise _wrong("name", where, "lower-case letters, digits and hyphens, 63 at most", name)
    primary = dc.primary_ip4(device)
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
    rack = dc.racks.get(device.rack or 0)
    return Node(
        name=name,
        fqdn=primary.dns_name or name,
        address=str(interface),
        gateway=str(first),
        ports=_ports(dc, device, where),
        aisle=dc.aisle_number(device) or "",
        rack=rack.name if rack else "",
    )


def _ports(dc: Datacentre, device: r.Device, where: str) -> tuple[Port, ...]:
    ports = []
    for interface in dc.interfaces_by_device.get(device.id, ()):
        if interface.mgmt_only or interface.type in r.VIRTUAL_TYPES:
            continue
        if not INTERFACE_NAME.fullmatch(interface.name):
            raise _wrong("interface name", where, "a name that Linux takes", interface.name)
        ports.append(Port(name=interface.name, mac=interface.mac_address))
    if not ports:
        raise _wrong("interfaces", where, "a port that is not for management only", "none")
    return tuple(sorted(ports, key=lambda port: port.name))


def nodes(dc: Datacentre, hosts: Sequence[str]) -> list[Node]:
    """The nodes for all of `hosts`, each once, in order.

    Raises:
        InputError: as `node`, or two of them have one address.
    """
    found = [node(dc, name) for name in dict.fromkeys(hosts)]
    by_ip: dict[str, Node] = {}
    for each in found:
        other = by_ip.setdefault(each.ip, each)
        if other is not each:
            raise _wrong("address", f"device {each.name}", "an address of its own", f"{each.ip}, "
                         f"which {other.name} has too")  # fmt: skip
    return found


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


def _wrong(what: str, where: str, expected: str, found: str) -> InputError:
    return InputError(
        f"The lab cannot use this {what}.", where=where, expected=expected, found=repr(found)
    )
