"""What a switch says of itself, whatever its platform: plain data that drivers read off.

Times are seconds; addresses are text without prefix length; interface names are the device's own,
which NetBox has too.
"""

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which machine answers: more than its prompt says, since prompts can be set to anything."""

    serial: str
    hostname: str
    model: str = ""
    version: str = ""


class Neighbour(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What LLDP (IEEE 802.1AB) saw on a local port: the far system's name and its port."""

    interface: str
    system: str
    port: str


class BgpPeer(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One BGP session in one address family.

    `vrf` is `default` or a VRF's name, `family` is `ipv4`, `ipv6` or `evpn`, `peer` the neighbour
    as configured (an interface when unnumbered), `prefixes` those accepted from it.
    """

    vrf: str
    family: str
    peer: str
    established: bool
    prefixes: int = 0


class Vni(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One VXLAN network identifier as the device runs it; `kind` is `L2` or `L3`."""

    vni: int
    kind: str
    up: bool
    vrf: str = ""


class Port(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One interface: whether it is meant to be up, and whether it is."""

    name: str
    enabled: bool
    up: bool


class Bridged(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A VLAN on a port of a bridge; `untagged`: frames without a tag are in it."""

    port: str
    vid: int
    untagged: bool = False


class Route(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A route or rule of a table (a VRF, or `default`) that leads into another one."""

    table: str
    into: str
    words: str


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """What a switch's kernel does, whoever told it so; each tuple is sorted.

    Arguments:
        bridged: the VLANs of ports.
        bridges: the bridges themselves, which are among the ports.
        members: the ports of each group.
        vnis: the VXLAN network identifier of each port that is a VXLAN device.
        gateways: the table of each link of the switch's own in a VLAN, with the VLAN's number.
        routes: those that lead from one table into another.
    """

    bridged: tuple[Bridged, ...] = ()
    bridges: frozenset[str] = frozenset()
    members: dict[str, tuple[str, ...]] = {}
    vnis: dict[str, int] = {}
    gateways: tuple[tuple[int, str], ...] = ()
    routes: tuple[Route, ...] = ()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a switch at one moment; each tuple is sorted.

    `routes` maps a VRF to the number of its IPv4 unicast routes. A protocol that the device does
    not run gives an empty tuple; one that should run and does not answer is an error of the driver.
    """

    identity: Identity
    neighbours: tuple[Neighbour, ...] = ()
    bgp: tuple[BgpPeer, ...] = ()
    vnis: tuple[Vni, ...] = ()
    ports: tuple[Port, ...] = ()
    routes: dict[str, int] = {}
    kernel: Kernel | None = None
