"""What a tenant's edge does on its ports, taken from the model: the tenant's part, which we play.

In production this is the tenant's own equipment, which nobody of us configures. In the lab somebody
has to speak LACP or BGP from the other side, with addresses that the tenant would have chosen. They
follow one rule (`edge_address`): the edge in aisle N has host 10 + N of each of its networks.
"""

import ipaddress
from collections.abc import Iterator

import msgspec

from chapelle.lab.ports import wrong
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import ANNOUNCED, EDGE_GROUP, LONGEST_PART, edge_address

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Vlan(msgspec.Struct, frozen=True, kw_only=True):
    """A VLAN of the group: the edge's addresses in it, with prefix length, and their gateways."""

    vid: int
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A routed port: its address with prefix length, and the switch that it speaks BGP with."""

    port: str
    address: str
    peer: str
    peer_asn: int


class Handoff(msgspec.Struct, frozen=True, kw_only=True):
    """Which way an edge is handed its lines.

    Arguments:
        members: the ports of the group `handoff`; none where the tenant routes.
        vlans: those of the group.
        asn: the tenant's AS number, 0 where it does not route.
        sessions: its routed ports.
        announced: what it announces: whole networks, as the edges in other aisles do, and of each
            the part of its own aisle.
        owned: its own address in each network, without length.
    """

    members: tuple[str, ...] = ()
    vlans: tuple[Vlan, ...] = ()
    asn: int = 0
    sessions: tuple[Session, ...] = ()
    announced: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()


def handoff(dc: Datacentre, device: r.Device) -> Handoff:
    """What NetBox says of an edge's lines.

    Raises:
        InputError: it stands in no aisle, or a number that BGP needs is missing.
    """
    where = f"device {device.name}"
    aisle = dc.aisle_number(device)
    if aisle is None:
        raise wrong("place", where, "a place in an aisle", "none")
    interfaces = dc.interfaces_by_device.get(device.id, ())
    group = next((i for i in interfaces if i.type == "lag" and i.name == EDGE_GROUP), None)
    members = [i.name for i in interfaces if group and i.lag == group.id]
    vlans = [dc.vlans[i] for i in (group.tagged_vlans if group else ()) if i in dc.vlans]
    sessions = tuple(_sessions(dc, interfaces, where))
    networks = _announced(dc, device, interfaces) if sessions else ()
    parts = [_part(network, int(aisle), len(dc.aisles)) for network in networks]
    return Handoff(
        members=tuple(sorted(members)),
        vlans=tuple(_vlan(dc, v, int(aisle), where) for v in sorted(vlans, key=lambda v: v.vid)),
        asn=_asn(device, where) if sessions else 0,
        sessions=sessions,
        announced=tuple(dict.fromkeys((*networks, *parts))),
        owned=tuple(edge_address(part, int(aisle), where).partition("/")[0] for part in parts),
    )


def _part(prefix: str, aisle: int, aisles: int) -> str:
    """The part of a network that is in an aisle; all of it where it is too small to be parted."""
    network = ipaddress.ip_network(prefix)
    bits = (aisles - 1).bit_length()
    if network.prefixlen + bits > LONGEST_PART[network.version] or not 1 <= aisle <= aisles:
        return prefix
    size = 1 << (network.max_prefixlen - network.prefixlen - bits)
    first = network.network_address + (aisle - 1) * size
    return f"{first}/{network.prefixlen + bits}"


def _vlan(dc: Datacentre, vlan: r.VLAN, aisle: int, where: str) -> Vlan:
    prefixes = dc.prefixes_by_vlan.get(vlan.id, ())
    return Vlan(
        vid=vlan.vid,
        addresses=tuple(edge_address(prefix.prefix, aisle, where) for prefix in prefixes),
        gateways=tuple(
            gateway.address.partition("/")[0]
            for prefix in prefixes
            for gateway in dc.gateways_by_network.get((prefix.vrf, prefix.prefix), ())
        ),
    )


def _sessions(dc: Datacentre, interfaces: tuple[r.Interface, ...], where: str) -> Iterator[Session]:
    for interface in interfaces:
        peer = None if interface.mgmt_only else dc.peer_interface(interface)
        switch = dc.devices.get(peer.device) if peer else None
        if peer is None or switch is None:
            continue
        facing = dc.addresses_by_interface.get(peer.id, ())
        for address in dc.addresses_by_interface.get(interface.id, ()):
            own = ipaddress.ip_interface(address.address)
            others = [ipaddress.ip_interface(each.address) for each in facing]
            peers = [each.ip for each in others if each.network == own.network]
            if len(peers) != 1:
                expected = f"an address of {switch.name} {peer.name} in the same network"
                raise wrong("address", f"{where} {interface.name}", expected, str(own))
            yield Session(
                port=interface.name,
                address=str(own),
                peer=str(peers[0]),
                peer_asn=_asn(switch, f"device {switch.name}"),
            )


def _asn(device: r.Device, where: str) -> int:
    found = device.custom_fields.get("bgp_asn")
    if not isinstance(found, int):
        raise wrong("AS number", where, "custom field bgp_asn", repr(found))
    return found


def _announced(
    dc: Datacentre, device: r.Device, interfaces: tuple[r.Interface, ...]
) -> tuple[str, ...]:
    """The networks of the VRF that the edge's lines are in, of those that tenants announce."""
    lines = [
        address
        for interface in interfaces
        if not interface.mgmt_only
        for address in dc.addresses_by_interface.get(interface.id, ())
    ]
    vrfs = {address.vrf for address in lines}
    roles = {role.id for role in dc.content.roles if role.slug == ANNOUNCED}
    found = {
        ipaddress.ip_network(prefix.prefix)
        for prefix in dc.content.prefixes
        if prefix.role in roles and prefix.vrf in vrfs and prefix.tenant == device.tenant
    }
    return tuple(str(each) for each in sorted(found, key=lambda n: (n.version, n)))
