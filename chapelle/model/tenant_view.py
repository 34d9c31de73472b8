"""What one tenant may see of the datacentre: plain types, with nothing of any neighbour.

`chapelle.checks.tenancy.view` fills them in, field by field; what is not a field here cannot be
shown. Powers in watts, volts, amperes, shares in per cent, rack units from the foot of the rack,
lengths and weights in the unit that is named.
"""

import datetime
from typing import Literal

import msgspec

from chapelle.model.acceptance import Acceptance


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all parts."""


class Slot(_View, frozen=True, kw_only=True):
    """A device of the tenant's in one of its racks. `bottom` is the lowest unit that it fills."""

    name: str
    bottom: float
    height: float
    face: str


class Rack(_View, frozen=True, kw_only=True):
    """A rack in which the tenant has all units, or those in `let`.

    `descending`: units are numbered from the top. `contracted_watts`: what may be drawn, also from
    one side alone.
    """

    name: str
    aisle: str
    units: int
    let: tuple[int, ...]
    descending: bool
    contracted_watts: int | None
    max_weight: int | None
    weight_unit: str
    request: str
    held_until: datetime.date | None
    let_until: datetime.date | None
    slots: tuple[Slot, ...] = ()


class Device(_View, frozen=True, kw_only=True):
    """A device of the tenant's; `rack` is empty where it stands in none of its own."""

    name: str
    role: str
    manufacturer: str
    model: str
    rack: str
    unit: float | None
    face: str
    status: str
    serial: str
    asset_tag: str


class Feed(_View, frozen=True, kw_only=True):
    """A power feed of one of its racks. `watts`: what it may carry, power factor included."""

    name: str
    rack: str
    panel: str
    kind: str
    supply: str
    phase: str
    volts: int | None
    amperes: int | None
    max_utilization: int | None
    watts: int | None
    pdus: tuple[str, ...]


class Outlet(_View, frozen=True, kw_only=True):
    """An outlet of a PDU in one of its racks, and which port of the tenant's is plugged in."""

    rack: str
    pdu: str
    name: str
    type: str
    feeds: tuple[str, ...]
    used: bool
    device: str
    port: str


class Cable(_View, frozen=True, kw_only=True):
    """A cable; `color` as six hexadecimal digits."""

    label: str
    type: str
    color: str
    length: str


class Port(_View, frozen=True, kw_only=True):
    """A port of a device of the tenant's that is cabled to equipment of the operator's.

    Arguments:
        use: `network` to a switch, `out-of-band` to one for management, `cross-connect` to a panel.
        first_device: what the port's own cable is plugged into, with `first_port`: a switch, or a
            patch panel on the way to it.
        to_device: the switch that it reaches, with `to_port`; empty where it reaches none.
    """

    use: Literal["network", "out-of-band", "cross-connect"]
    device: str
    name: str
    label: str
    type: str
    rack: str
    first_device: str
    first_port: str
    to_device: str
    to_port: str
    cables: tuple[Cable, ...]


class Group(_View, frozen=True, kw_only=True):
    """Ports of a device that are one link, by LACP; VLANs by number, `mtu` in bytes."""

    device: str
    name: str
    members: tuple[str, ...]
    switches: tuple[str, ...]
    mtu: int
    mode: str
    untagged: int | None
    tagged: tuple[int, ...]


class Session(_View, frozen=True, kw_only=True):
    """A BGP session on a routed port; addresses with their length, `mtu` in bytes."""

    device: str
    port: str
    address: str
    asn: int | None
    switch: str
    switch_port: str
    switch_address: str
    switch_asn: int | None
    mtu: int


class Network(_View, frozen=True, kw_only=True):
    """A prefix of the tenant's, or a VLAN that has none.

    `use`: `network` behind the switches' gateway, `announced` by the tenant, `link` to a switch,
    `out-of-band`, or `other`. `vid` is the VLAN's number.
    """

    use: Literal["network", "announced", "link", "out-of-band", "other"]
    name: str
    vid: int | None
    prefix: str
    gateways: tuple[str, ...]


class Bgp(_View, frozen=True, kw_only=True):
    """What holds for all sessions of the tenant."""

    asns: tuple[int, ...]
    allowed: tuple[str, ...]
    maximum_prefixes: int | None
    sessions: tuple[Session, ...]


class Person(_View, frozen=True, kw_only=True):
    """Whom to call; `role` is the slug of the contact's role, `role_name` its name."""

    name: str
    role: str
    role_name: str
    title: str
    email: str
    phone: str


class TenantView(_View, frozen=True, kw_only=True):
    """All that one tenant may see.

    `snapshot` is the hash of the NetBox content that it is from; `acceptance` the latest one.
    """

    tenant: str
    slug: str
    site: str
    operator: str
    references: tuple[str, ...]
    vrfs: tuple[str, ...]
    snapshot: str
    racks: tuple[Rack, ...]
    devices: tuple[Device, ...]
    feeds: tuple[Feed, ...]
    outlets: tuple[Outlet, ...]
    ports: tuple[Port, ...]
    groups: tuple[Group, ...]
    networks: tuple[Network, ...]
    bgp: Bgp | None
    contacts: tuple[Person, ...]
    operator_contacts: tuple[Person, ...]
    acceptance: Acceptance | None = None
