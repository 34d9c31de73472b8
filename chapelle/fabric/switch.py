"""What a switch shall do, whatever its platform: plain, typed, complete.

Interface names are the device's own, which NetBox has too. Addresses are text; those with a prefix
length say so. Route targets are text such as `4200000000:101` (RFC 4360). VNIs have 16 bits, since
a route distinguisher is a loopback address and a VNI (RFC 4364, 4.2, type 1).
"""

import msgspec


class FabricPort(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A routed port to another switch: BGP runs over it, unnumbered (RFC 5549)."""

    name: str
    peer: str
    peer_port: str
    peer_asn: int


class Segment(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An Ethernet segment (RFC 7432, 5): one group of links to several switches.

    `number` and `system_mac` are the same on all of them, and unlike those of any other segment;
    the MAC is the LACP system of the group too, so that the far side takes them for one switch.
    """

    number: int
    system_mac: str


class Attachment(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that hangs on the switch: one port, or a group of ports (LACP).

    Arguments:
        ports: its ports on this switch.
        number: the number of the first of them; unique on the switch.
        group: the name of the link aggregation group, empty for a plain port.
        peer: the name of what hangs there; `peer_port` is its port, or its group.
        untagged: the VLAN of untagged frames; `tagged` those of tagged ones.
        mtu: bytes of the longest IP packet, None for the default of the switch.
        segment: set when the group reaches other switches too.
    """

    ports: tuple[str, ...]
    number: int
    group: str = ""
    peer: str
    peer_port: str
    untagged: int | None = None
    tagged: tuple[int, ...] = ()
    mtu: int | None = None
    segment: Segment | None = None

    @property
    def vids(self) -> tuple[int, ...]:
        """All its VLANs, in order."""
        untagged = () if self.untagged is None else (self.untagged,)
        return tuple(sorted({*self.tagged, *untagged}))


class Session(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A BGP session with a tenant: our address with its length, and the tenant's without."""

    local: str
    peer: str


class Handoff(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A routed port to a tenant's own equipment, which speaks BGP with us in the tenant's VRF.

    Arguments:
        number: the number of the port.
        name: its name.
        vrf: the tenant's VRF, as the switch calls it.
        peer: the device at the other end; `peer_port` is its port, `peer_asn` its AS number.
        sessions: one over IPv4, and one over IPv6 where the port has such an address.
        announced: the networks that the tenant may announce in this VRF.
        maximum_prefixes: how many prefixes, parts of these networks, we take over a session.
        mtu: bytes of the longest IP packet, None for the default of the switch.
    """

    number: int
    name: str
    vrf: str
    peer: str
    peer_port: str
    peer_asn: int
    sessions: tuple[Session, ...]
    announced: tuple[str, ...] = ()
    maximum_prefixes: int
    mtu: int | None = None


class Overlay(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """How EVPN carries a VLAN or a VRF (RFC 8365): its VNI, distinguisher and targets."""

    vni: int
    rd: str
    import_targets: tuple[str, ...]
    export_targets: tuple[str, ...]


class Vlan(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A VLAN of the switch.

    `overlay` is None where the switch only bridges it. `gateways` (with prefix length) are the
    addresses that every switch with this VLAN has in it, in `vrf`; none where it is not routed.
    `mtu` is the largest of what hangs in it, in bytes; None for the default of the switch.
    """

    vid: int
    name: str
    overlay: Overlay | None = None
    vrf: str | None = None
    gateways: tuple[str, ...] = ()
    mtu: int | None = None


class Vrf(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A routing table of a tenant, and how the switches route it among each other."""

    name: str
    overlay: Overlay


class Router(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a switch that routes is known by.

    `loopback` has no prefix length; `loopbacks` are the prefixes that all loopbacks are from.
    `router_mac` is the MAC address that its routed VXLAN traffic comes from (RFC 9135).
    """

    asn: int
    loopback: str
    loopbacks: tuple[str, ...]
    router_mac: str


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """All that a switch shall do. Tuples are in order, so that equal intent is equal text.

    `router` is None on a switch that only bridges. `gateway_mac` is shared by all gateways of all
    switches. `unused` are the ports that are shut down. `management` are the interfaces by which
    the switch itself is reached: they are not ours to configure. `drained` asks its neighbours to
    prefer other ways (RFC 8326); nothing in NetBox says so, a rollout does.
    """

    name: str
    platform: str
    role: str
    router: Router | None
    gateway_mac: str
    fabric: tuple[FabricPort, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    handoffs: tuple[Handoff, ...] = ()
    unused: tuple[str, ...] = ()
    vlans: tuple[Vlan, ...] = ()
    vrfs: tuple[Vrf, ...] = ()
    management: tuple[str, ...] = ()
    drained: bool = False
