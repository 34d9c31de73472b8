"""Tenants who rent space: what they ask for, what may be handed out, and what NetBox holds of it.

A request is a file (`inventory/tenants/*.yml`). What may be handed out (pools), and what was handed
back and may not be handed out again yet (quarantine), stand in custom fields of the site as JSON,
so that a snapshot holds them. Powers in kilowatts or watts as named, weights in kilograms, dates as
ISO 8601 days, the last of which counts.
"""

import datetime
import ipaddress
from typing import Annotated, Literal

import msgspec

from chapelle.errors import InputError

# Custom fields: of sites; of all that belongs to a request; of racks; of reservations; of VRFs.
POOLS = "tenant_pools"
QUARANTINE = "quarantine"
REQUEST = "request"
CONTRACTED = "contracted_watts"
HELD_UNTIL = "held_until"
LET_UNTIL = "let_until"
MAXIMUM_PREFIXES = "maximum_prefixes"

# The role of a tenant's own equipment that the hand-off ports lead to, its type, and its ports: the
# odd ones lead to the first switch of the tenant pair, the even ones to the second.
EDGE = "tenant-edge"
EDGE_PORT = "et{}"
EDGE_GROUP = "handoff"
EDGE_MANAGEMENT = "mgmt"

# The rack role of what is to be let, and the status of a rack that nobody has.
TO_LET = "to-let"
AVAILABLE = "available"

# IPAM roles of a tenant's prefixes: behind the switches' gateway, announced by the tenant itself,
# and between its equipment and a switch.
NETWORK = "tenant-network"
ANNOUNCED = "tenant-announced"
LINK = "tenant-link"

# The longest part of a network that a tenant may announce, by version of IP.
LONGEST_PART = {4: 28, 6: 64}

# Lengths of a network between a tenant and a switch, by version of IP (RFC 3021, RFC 6164).
LINK_LENGTHS = {4: (31, 30), 6: (127, 126, 64)}

Slug = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,49}\Z")]
# What NetBox takes as a name, on one line.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Reference = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Count = Annotated[int, msgspec.Meta(ge=1, le=200)]
Asn = Annotated[int, msgspec.Meta(ge=1, le=4_294_967_294)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all parts: a field that nobody declared is an error."""


# -- a request ------------------------------------------------------------------------------------


class Contact(Part, frozen=True, kw_only=True):
    """A person or a desk of the tenant's; `role` is a contact role's slug in NetBox."""

    name: Name
    role: Slug
    email: Text = ""
    phone: Annotated[str, msgspec.Meta(max_length=50, pattern=r"^[^\x00-\x1f\x7f]*\Z")] = ""
    title: Name | None = None


class Tenant(Part, frozen=True, kw_only=True):
    """Who asks."""

    name: Name
    slug: Slug
    contacts: tuple[Contact, ...] = ()


class Space(Part, frozen=True, kw_only=True):
    """Where, and how much: whole racks, or units of one rack.

    Arguments:
        racks: how many; or `units`, in one rack, that nobody else has a device in.
        kw_per_rack: what the tenant may draw in each, at any time, also from one side alone.
        kg_per_rack: what the equipment in each weighs at most.
        aisles: only in these (numbers); any, where none is named.
        at_most_per_aisle: no more racks than this in one aisle.
        contiguous: the racks of an aisle stand side by side.
        near: as near as can be to this rack, by its name.
        apart_from: in no aisle where one of these tenants (slugs) has a rack.
    """

    racks: Count | None = None
    units: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    kw_per_rack: Annotated[float, msgspec.Meta(gt=0, le=100)]
    kg_per_rack: Annotated[float, msgspec.Meta(gt=0, le=5000)] = 500.0
    aisles: tuple[Annotated[int, msgspec.Meta(ge=1)], ...] = ()
    at_most_per_aisle: Count | None = None
    contiguous: bool = False
    near: Text | None = None
    apart_from: tuple[Slug, ...] = ()


class Network(Part, frozen=True, kw_only=True):
    """A network of the tenant's: `prefix` of its own, or one of that length from the pool.

    With hand-off `lacp` it is a VLAN with a gateway on the switches, unless `routed` is false; with
    `bgp` the tenant announces it.
    """

    name: Slug
    prefix_length: Annotated[int, msgspec.Meta(ge=8, le=30)] = 24
    prefix: str | None = None
    routed: bool = True


class Bgp(Part, frozen=True, kw_only=True):
    """The tenant's side of the sessions: its AS number, or none for one from the pool."""

    asn: Asn | None = None
    maximum_prefixes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class Handoff(Part, frozen=True, kw_only=True):
    """How the tenant is connected in each aisle where it has racks, on both leafs of the pair.

    Arguments:
        kind: `lacp`, one group of ports over both leafs; or `bgp`, routed ports.
        ports: how many on each leaf.
        bgp: for kind `bgp`.
    """

    kind: Literal["lacp", "bgp"] = "lacp"
    ports: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    bgp: Bgp = Bgp()


class CrossConnect(Part, frozen=True, kw_only=True):
    """A cable from the tenant's edge in an aisle to a port of a patch panel that nobody uses."""

    aisle: Annotated[int, msgspec.Meta(ge=1)]
    panel: Name
    port: Name


class Request(Part, frozen=True, kw_only=True):
    """What a tenant asks for; `reference` is that of the convention, and nobody else's.

    `held_until` is the day until which the racks are held for the tenant while nothing is signed;
    `starts` and `ends` are those of the lease.
    """

    reference: Reference
    tenant: Tenant
    space: Space
    held_until: datetime.date
    starts: datetime.date | None = None
    ends: datetime.date | None = None
    networks: tuple[Network, ...] = ()
    handoff: Handoff = Handoff()
    out_of_band: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1
    cross_connects: tuple[CrossConnect, ...] = ()


# -- what may be handed out -----------------------------------------------------------------------

Range = tuple[int, int]


class Pools(Part, frozen=True, kw_only=True):
    """What tenants are given from; each pair is a first and a last number, both included.

    Arguments:
        vids: VLAN numbers.
        l2vnis: VXLAN network identifiers of VLANs; `l3vnis` of VRFs.
        asns: AS numbers of tenants.
        prefixes: networks of tenants; `links` those between a tenant and a switch.
        quarantine_days: how long what was handed back is not handed out again.
        share_to_let: the share of the racks that is to be let, in per cent.
    """

    vids: Range = (1000, 3999)
    l2vnis: Range = (20_000, 29_999)
    l3vnis: Range = (50_200, 50_999)
    asns: Range = (4_210_000_000, 4_210_009_999)
    prefixes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    quarantine_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 90
    share_to_let: Annotated[int, msgspec.Meta(ge=0, le=100)] = 75


class Quarantined(Part, frozen=True, kw_only=True):
    """Something that was handed back: not to be handed out up to and on that day.

    `kind` is a field of Pools (`vids`, `l2vnis`, `l3vnis`, `asns`, `prefixes`, `links`), `value` as
    NetBox writes it. `tenant` had it.
    """

    kind: Literal["vids", "l2vnis", "l3vnis", "asns", "prefixes", "links"]
    value: str
    until: datetime.date
    tenant: str


# -- names that follow from a request -------------------------------------------------------------

# What a VRF may be called on every platform: the kernel's limit for a switch with FRRouting.
_LONGEST_VRF = 15


def vrf_name(slug: str, l3vni: int) -> str:
    """The VRF of a tenant: its slug, or where that is too long for a switch, by its VNI."""
    return slug if len(slug) <= _LONGEST_VRF else f"tenant-{l3vni}"


def edge_name(slug: str, aisle: str) -> str:
    """The device of role `tenant-edge` in an aisle."""
    return f"edge-{slug}-a{aisle}"


# An edge's address in a network of its tenant's: this, and the number of its aisle.
_FIRST_HOST = 10


def edge_address(prefix: str, aisle: int, where: str) -> str:
    """The address, with prefix length, of the edge in an aisle: host 10 + its number.

    In a network that is too small for that, hosts are counted from the end.

    Raises:
        InputError: there is no room beside the gateway, which is the first host.
    """
    network = ipaddress.ip_network(prefix)
    number = _FIRST_HOST + aisle
    if number >= network.num_addresses - 1:
        number = network.num_addresses - 1 - aisle
    if number < 2:
        raise InputError(
            "A network of a tenant has no room for an address an aisle.",
            where=where,
            expected="a network with an address for the edge in each aisle",
            found=prefix,
            remedy="give the tenant a larger network in NetBox",
        )
    return f"{network[number]}/{network.prefixlen}"


# -- what can be offered --------------------------------------------------------------------------


class Option(Part, frozen=True, kw_only=True):
    """One way to give a tenant what it asks for: racks by name, and units where it asks for those.

    The units do not hold its edge: that has the highest free one besides.

    `remarks` say what speaks for it and against it, the weightiest first.
    """

    racks: tuple[str, ...]
    units: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()


class Refused(Part, frozen=True, kw_only=True):
    """Why something cannot be offered: `subject` is a rack, an aisle, or the request.

    Where several racks have one reason, they are named in `racks`, and `subject` counts them.
    """

    subject: str
    reason: str
    racks: tuple[str, ...] = ()


class Answer(Part, frozen=True, kw_only=True):
    """All that can be offered, best first, and the reason for each "no".

    Where nothing can be, `changes` are what would make it possible, each by itself.
    """

    options: tuple[Option, ...]
    refused: tuple[Refused, ...] = ()
    changes: tuple[str, ...] = ()
