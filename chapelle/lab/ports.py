"""The ports of a node, taken from the model: what each is called, and where it leads.

Interfaces that software makes are none: whoever configures the node makes them.
"""

import ipaddress
import re
from collections.abc import Collection

import msgspec

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import EDGE

# The bridges of a switch that stand for its data plane, and their ports to the hub.
BRIDGE = "br-lab"
UPLINK = "lab"

# Linux' IFNAMSIZ, less the final zero.
INTERFACE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,15}")


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


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A device of which the ports are asked for.

    Arguments:
        dc: the datacentre.
        device: the server or switch.
        full: None for a container; for a node with a kernel of its own the names of all such nodes,
            to which it has cables.
    """

    dc: Datacentre
    device: r.Device
    full: Collection[str] | None = None

    @property
    def where(self) -> str:
        """How errors name it."""
        return f"device {self.device.name}"

    @property
    def interfaces(self) -> tuple[r.Interface, ...]:
        """All its interfaces."""
        return self.dc.interfaces_by_device.get(self.device.id, ())

    @property
    def data_ports(self) -> list[r.Interface]:
        """Its interfaces that are sockets, and not for management only.

        Raises:
            InputError: Linux takes no interface of such a name.
        """
        found = [i for i in self.interfaces if not i.mgmt_only and i.type not in r.VIRTUAL_TYPES]
        for interface in found:
            _require_name(interface, self.where)
        return found


def of_server(machine: Machine) -> tuple[Port, ...]:
    """A server's data ports, by name.

    Raises:
        InputError: it has none.
    """
    found = [Port(name=each.name, mac=each.mac_address) for each in machine.data_ports]
    if not found:
        raise wrong("interfaces", machine.where, "a port that is not for management only", "none")
    return tuple(sorted(found, key=lambda port: port.name))


def with_bare_ports(machine: Machine, management: r.Interface) -> tuple[Port, ...]:
    """A management port, and bare data ports: of a server's full kernel, and of a tenant's edge."""
    by_id = {each.id: each for each in machine.interfaces}
    found = [Port(name=management.name, mac=management.mac_address)]
    for each in machine.data_ports:
        lag = by_id.get(each.lag or 0)
        mtu = each.mtu or (lag.mtu if lag else None) or 0
        far = _far_end(machine, each)
        found.append(Port(name=each.name, mac=each.mac_address, dark=True, mtu=mtu, far=far))
    return tuple(found)


def of_switch(
    machine: Machine, management: r.Interface, network: ipaddress.IPv4Network
) -> tuple[Port, ...]:
    """A switch's ports, and an uplink to the hub for each prefix that servers behind it have.

    Where neither VLANs nor VXLAN can be had, the ports that lead to servers of one prefix are one
    plain bridge with one uplink, so that what leads from there to the rest of the world is the hub.

    Arguments:
        machine: the switch.
        management: the interface that carries its address.
        network: the prefix of that.
    """
    found = [Port(name=management.name, mac=management.mac_address)]
    bridges: dict[str, str] = {}
    for each in machine.data_ports:
        if each.id == management.id:
            continue
        prefix = _prefix_behind(machine, each, network)
        bridge = bridges.setdefault(prefix, f"{BRIDGE}{len(bridges)}") if prefix else ""
        far = _far_end(machine, each)
        found.append(Port(name=each.name, mac=each.mac_address, dark=True, bridge=bridge, far=far))
    for prefix, bridge in bridges.items():
        uplink = bridge.replace(BRIDGE, UPLINK)
        found.append(Port(name=uplink, mac=None, hub=prefix, bridge=bridge))
    return tuple(found)


def management(machine: Machine, address: r.IPAddress | None) -> r.Interface:
    """The interface that carries the address by which we manage a device.

    Raises:
        InputError: it is on no interface that is for management only.
    """
    for interface in machine.interfaces:
        carried = machine.dc.addresses_by_interface.get(interface.id, ())
        if interface.mgmt_only and address in carried:
            _require_name(interface, machine.where)
            return interface
    expected = "an address of a port that is for management only"
    raise wrong("address for management", machine.where, expected, "one elsewhere")


def network_address(address: r.IPAddress | None, where: str) -> ipaddress.IPv4Interface:
    """An address with its prefix.

    Raises:
        InputError: there is none, or its prefix has no room for a gateway.
    """
    if address is None:
        raise wrong("primary IPv4 address", where, "an address of one of its interfaces", "none")
    try:
        interface = ipaddress.IPv4Interface(address.address)
    except ValueError as error:
        raise wrong("primary IPv4 address", where, "an IPv4 address", str(error)) from error
    first = interface.network.network_address + 1
    if interface.network.prefixlen > 30 or interface.ip == first:
        expected = "one inside a prefix whose first address is the gateway"
        raise wrong("primary IPv4 address", where, expected, address.address)
    return interface


def _prefix_behind(machine: Machine, interface: r.Interface, network: ipaddress.IPv4Network) -> str:
    """The prefix of what a switch's port leads to, if that is a server or a management port.

    The ports of a full kernel need no stand-in for their data plane.
    """
    dc = machine.dc
    peer = dc.peer_interface(interface)
    device = dc.devices.get(peer.device) if peer else None
    if peer is None or device is None:
        return ""
    if peer.mgmt_only and dc.role_of(device) == EDGE:
        # A tenant's is in a network of the tenant's, and not in ours.
        managed = dc.ip_addresses.get(device.oob_ip or 0)
        return str(network_address(managed, f"device {device.name}").network) if managed else ""
    if peer.mgmt_only:
        return str(network)
    primary = dc.primary_ip4(device)
    if primary is None or not dc.is_server(device) or machine.full is not None:
        return ""
    return str(network_address(primary, f"device {device.name}").network)


def _far_end(machine: Machine, interface: r.Interface) -> End | None:
    """Where the cable of a full kernel's port leads, if that is another one's data port."""
    peer = machine.dc.peer_interface(interface)
    device = machine.dc.devices.get(peer.device) if peer else None
    if peer is None or peer.mgmt_only or device is None:
        return None
    if device.name is None or device.name not in (machine.full or ()):
        return None
    return End(node=device.name, port=peer.name)


def _require_name(interface: r.Interface, where: str) -> None:
    if not INTERFACE_NAME.fullmatch(interface.name):
        raise wrong("interface name", where, "a name that Linux takes", interface.name)


def wrong(what: str, where: str, expected: str, found: str) -> InputError:
    """The error that NetBox's content, or what a person typed, is of no use for the lab."""
    return InputError(
        f"The lab cannot use this {what}.", where=where, expected=expected, found=repr(found)
    )
