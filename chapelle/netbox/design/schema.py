"""The schema of the design files: what may stand in `inventory/design/`, one class a file.

A pattern is a format string (see `patterns`), a reference is the slug or name of a thing that
another file declares. Units are in the names of the fields; watts, volts and amperes as in NetBox.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from chapelle.model.tenancy import Pools
from chapelle.netbox.design.patterns import NUMBERS

Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Pattern = Annotated[str, Meta(min_length=1, max_length=100)]
Numbers = int | Annotated[str, Meta(pattern=NUMBERS)]
Colour = Annotated[str, Meta(pattern=r"^[0-9a-f]{6}$")]
Count = Annotated[int, Meta(ge=0, le=100_000)]
Positive = Annotated[int, Meta(ge=1, le=100_000)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Mtu = Annotated[int, Meta(ge=576, le=65_536)]
Vni = Annotated[int, Meta(ge=1, le=65_535)]
Asn = Annotated[int, Meta(ge=1, le=4_294_967_295)]
CustomValues = dict[str, str | int | float | bool | None]


class Part(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The base of all parts of a design: a field that nobody declared is an error."""


class Named(Part, frozen=True, kw_only=True):
    """A thing with a name and a slug."""

    name: Text
    slug: Slug
    description: str = ""


class Coloured(Named, frozen=True, kw_only=True):
    """A role, which NetBox shows in a colour (RRGGBB)."""

    color: Colour = "9e9e9e"


# -- site.yml -------------------------------------------------------------------------------------


class Site(Named, frozen=True, kw_only=True):
    """The site; `domain` is that of all names in it."""

    domain: Annotated[str, Meta(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]
    tenant: Slug | None = None
    time_zone: str = "Europe/Paris"
    physical_address: str = ""


class Aisles(Part, frozen=True, kw_only=True):
    """The aisles. Patterns over {aisle}."""

    numbers: Numbers
    name: Pattern
    slug: Pattern


class Sizing(Part, frozen=True, kw_only=True):
    """What the rest of the design must add up to; a slip in a range is found by it."""

    aisles: Count
    racks_per_aisle: Count
    units_per_rack: Count
    servers_per_aisle: dict[str, Count]
    raw_data_tb: Count
    copies: Positive
    fill_percent: Percent
    data_to_hold_tb: Count


class SiteFile(Part, frozen=True, kw_only=True):
    """`site.yml`."""

    region: Named
    site: Site
    aisles: Aisles
    sizing: Sizing | None = None


# -- racks.yml ------------------------------------------------------------------------------------


class Racks(Part, frozen=True, kw_only=True):
    """Racks of every aisle that are alike. `name` is a pattern over {aisle} and {rack}."""

    numbers: Numbers
    name: Pattern
    role: Slug
    tenant: Slug | None = None
    status: Literal["reserved", "available", "planned", "active", "deprecated"] = "active"
    u_height: Annotated[int, Meta(ge=1, le=100)]
    max_weight_kg: Positive | None = None


class RacksFile(Part, frozen=True, kw_only=True):
    """`racks.yml`."""

    roles: list[Coloured]
    racks: list[Racks]


# -- hardware.yml ---------------------------------------------------------------------------------


class InterfaceTemplate(Part, frozen=True, kw_only=True):
    """Interfaces of a device type; `name` may hold a range."""

    name: Pattern
    type: Text
    mgmt_only: bool = False


class PowerPortTemplate(Part, frozen=True, kw_only=True):
    """Power inlets of a device type; `name` may hold a range.

    `maximum_draw` is what one cord carries when it has to carry the device alone, `allocated_draw`
    its share when all cords live.
    """

    name: Pattern
    type: Text
    maximum_draw: Positive | None = None
    allocated_draw: Positive | None = None


class PowerOutletTemplate(Part, frozen=True, kw_only=True):
    """Outlets of a device type and the inlet that feeds them; `name` may hold a range."""

    name: Pattern
    type: Text
    power_port: Text


class Disk(Part, frozen=True, kw_only=True):
    """Disks in every device of a type; `name` may hold a range."""

    name: Pattern
    purpose: Literal["os", "data", "keep"]
    size_gb: Positive
    manufacturer: Slug
    part_id: str = ""


class DeviceType(Part, frozen=True, kw_only=True):
    """A device type and its components."""

    manufacturer: Slug
    model: Text
    slug: Slug
    part_number: str = ""
    u_height: Annotated[float, Meta(ge=0, le=50)] = 1
    is_full_depth: bool = True
    weight_kg: Annotated[float, Meta(gt=0)] | None = None
    airflow: str | None = None
    interfaces: list[InterfaceTemplate] = []
    power_ports: list[PowerPortTemplate] = []
    power_outlets: list[PowerOutletTemplate] = []
    disks: list[Disk] = []


class HardwareFile(Part, frozen=True, kw_only=True):
    """`hardware.yml`."""

    manufacturers: list[Named]
    platforms: list[Named]
    device_roles: list[Coloured]
    disk_role: Coloured
    device_types: list[DeviceType]


# -- servers.yml ----------------------------------------------------------------------------------


class ServerRole(Part, frozen=True, kw_only=True):
    """What the servers of a role are made of, and the tagged networks that they use."""

    role: Slug
    device_type: Slug
    networks: list[str] = []


class ServerRack(Part, frozen=True, kw_only=True):
    """How many servers of which role stand in a rack of every aisle, from the bottom up."""

    rack: Count
    servers: dict[str, Positive]


class Bond(Part, frozen=True, kw_only=True):
    """The bond of every server: it carries `untagged` (the primary address) and `tagged`."""

    name: Text
    members: list[str]
    mtu: Mtu
    untagged: str
    tagged: list[str] = []


class Bmc(Part, frozen=True, kw_only=True):
    """The management controller of every server: its interface and its network."""

    interface: Text
    network: str


class ServersFile(Part, frozen=True, kw_only=True):
    """`servers.yml`. `name` is a pattern over {role}, {aisle} and {number} (within the aisle).

    Numbers and addresses follow the order of `roles`; a server has the same host number
    (`first_host` and up) in every network of its aisle.
    """

    name: Pattern
    status: Literal["planned", "staged", "active", "offline", "inventory"] = "planned"
    platform: Slug
    tenant: Slug | None = None
    first_unit: Positive = 1
    first_host: Positive
    roles: list[ServerRole]
    racks: list[ServerRack]
    bond: Bond
    bmc: Bmc
    serials: dict[str, Text] = {}


# -- network.yml ----------------------------------------------------------------------------------


class Management(Part, frozen=True, kw_only=True):
    """A switch's management port, and the switch and port number that it is cabled to."""

    interface: Text
    switch: Pattern | None = None
    port: Positive | None = None


class Switch(Part, frozen=True, kw_only=True):
    """One switch of every aisle, or of `aisles`. Patterns over {aisle}."""

    name: Pattern
    role: Slug
    device_type: Slug
    rack: Count
    unit: Positive
    management: Management
    aisles: Numbers | None = None


class HostNumbers(Part, frozen=True, kw_only=True):
    """How switches get host numbers in a network: by their place in the list of an aisle."""

    network: str
    first: Positive
    aisle_step: Count = 0


class Loopback(HostNumbers, frozen=True, kw_only=True):
    """Loopback addresses: the interface that carries them and the roles that have one."""

    interface: Text
    roles: list[str]


class SharedAsn(Part, frozen=True, kw_only=True):
    """An AS number that all switches of a role share."""

    role: Slug
    asn: Asn


class Asns(Part, frozen=True, kw_only=True):
    """AS numbers: shared ones, and one each for the switches of `roles`, in their order."""

    rir: Named
    shared: list[SharedAsn]
    roles: list[str]
    first: Asn
    aisle_step: Positive


class Attachment(Part, frozen=True, kw_only=True):
    """Where the servers of a rack are plugged in: interface to switch (pattern over {aisle}).

    The n-th server from the bottom uses port number `first_port + n - 1` of each.
    """

    rack: Count
    first_port: Positive
    ports: dict[str, Pattern]


class Uplink(Part, frozen=True, kw_only=True):
    """The link aggregation group of every switch of a role, over its ports of those numbers.

    It carries the VLANs of the networks `tagged`.
    """

    role: Slug
    name: Text
    ports: list[Positive]
    tagged: list[str]


class Mesh(Part, frozen=True, kw_only=True):
    """Every switch of the roles `lower` is cabled to every switch of the roles `upper`.

    A lower switch uses `lower_port` and up, one for each upper switch. An upper switch uses
    `upper_port + aisle_step * (aisle - 1)` and up, one for each lower switch of that aisle.
    """

    lower: list[str]
    lower_port: Positive
    upper: list[str]
    upper_port: Positive
    aisle_step: Count


class CableKind(Part, frozen=True, kw_only=True):
    """How one kind of cable is recorded."""

    type: Text
    color: Colour


class CableKinds(Part, frozen=True, kw_only=True):
    """The kinds of cable by where they run."""

    server: CableKind
    management: CableKind
    fabric: CableKind
    power: CableKind


class NetworkFile(Part, frozen=True, kw_only=True):
    """`network.yml`. `port` is a pattern over {port}: how a switch names its ports."""

    platform: Slug
    tenant: Slug | None = None
    status: Literal["planned", "staged", "active", "offline", "inventory"] = "planned"
    port: Pattern
    switches: list[Switch]
    management: HostNumbers
    loopback: Loopback
    asns: Asns
    attachments: list[Attachment]
    uplinks: list[Uplink] = []
    meshes: list[Mesh]
    cables: CableKinds


# -- power.yml ------------------------------------------------------------------------------------


class PowerSource(Part, frozen=True, kw_only=True):
    """Something above the panels, and by which others it is fed, the first that lives."""

    name: Text
    kind: Text
    fed_by: list[Text] = []
    capacity_kva: Positive | None = None


class Panel(Part, frozen=True, kw_only=True):
    """A power panel of every aisle (pattern over {aisle}); `side` is one lower-case letter.

    `ups` is the name of a source.
    """

    side: Annotated[str, Meta(pattern=r"^[a-z]$")]
    name: Pattern
    ups: Text
    feed_type: Literal["primary", "redundant"]
    capacity_kva: Positive | None = None


class Feeds(Part, frozen=True, kw_only=True):
    """The feed from each panel to each rack. Pattern over {aisle}, {rack} and {SIDE}."""

    name: Pattern
    voltage: Positive
    amperage: Positive
    max_utilization: Percent
    phase: Literal["single-phase", "three-phase"] = "single-phase"
    supply: Literal["ac", "dc"] = "ac"


class OutletBank(Part, frozen=True, kw_only=True):
    """Outlets (names with a range, such as `outlet-[01-12]`) behind one breaker of a PDU."""

    name: Text
    amperage: Positive
    outlets: Text


class Pdus(Part, frozen=True, kw_only=True):
    """The PDU at the end of each feed. Pattern over {aisle}, {rack} and {side}."""

    name: Pattern
    role: Slug
    device_type: Slug
    inlet: Text
    status: Literal["planned", "staged", "active", "offline", "inventory"] = "active"
    banks: list[OutletBank] = []


class Outlets(Part, frozen=True, kw_only=True):
    """Which outlet a cord uses: servers from the bottom up, switches in their order.

    `name` is a pattern over {outlet}.
    """

    name: Pattern
    servers_from: Positive
    switches_from: Positive


class PowerFile(Part, frozen=True, kw_only=True):
    """`power.yml`. `cords`: the side that each power port of a device goes to.

    `power_factor`: watts that a volt-ampere gives.
    """

    power_factor: Annotated[float, Meta(gt=0, le=1)] = 0.95
    sources: list[PowerSource] = []
    panels: list[Panel]
    feeds: Feeds
    pdus: Pdus
    outlets: Outlets
    cords: dict[str, Annotated[str, Meta(pattern=r"^[a-z]$")]]


# -- addressing.yml -------------------------------------------------------------------------------


class Vrf(Part, frozen=True, kw_only=True):
    """A VRF, its route distinguisher and the route targets that it imports and exports.

    `l3vni` is the VXLAN network identifier by which the switches route it among each other; one of
    16 bits, since it is the second half of a route distinguisher too.
    """

    name: Text
    rd: Annotated[str, Meta(max_length=21)]
    tenant: Slug | None = None
    import_targets: list[Annotated[str, Meta(max_length=21)]] = []
    export_targets: list[Annotated[str, Meta(max_length=21)]] = []
    l3vni: Vni | None = None
    description: str = ""


class VlanGroup(Named, frozen=True, kw_only=True):
    """A VLAN group of the site: a pool of VLAN numbers, possibly a tenant's."""

    vids: Numbers
    tenant: Slug | None = None


class Evpn(Part, frozen=True, kw_only=True):
    """The L2VPN (`vxlan-evpn`) that carries a VLAN between switches.

    Patterns over {aisle}; `vni` is a number of 16 bits when filled in. `target` is the one route
    target that it imports and exports, a pattern over {vni}.
    """

    vni: Pattern | int
    target: Pattern


class Vlan(Part, frozen=True, kw_only=True):
    """The VLAN of a prefix. Patterns over {aisle}; `vid` is a number when filled in."""

    vid: Pattern | int
    name: Pattern
    group: Slug
    evpn: Evpn | None = None


class Address(Part, frozen=True, kw_only=True):
    """A service address of a prefix: its host number and its name below the site's domain."""

    host: Positive
    name: Annotated[str, Meta(pattern=r"^[a-z0-9-]+$")]
    description: str = ""


class Prefix(Part, frozen=True, kw_only=True):
    """A prefix; one an aisle when its pattern uses {aisle}. Other parts refer to it by `key`.

    `gateway` is the host number of the gateway on the switches, None where there is none.
    """

    key: Text
    prefix: Pattern
    vrf: str | None
    role: Slug
    tenant: Slug | None = None
    status: Literal["container", "active", "reserved", "deprecated"] = "active"
    is_pool: bool = False
    vlan: Vlan | None = None
    gateway: Positive | None = None
    addresses: list[Address] = []
    description: str = ""


class AddressingFile(Part, frozen=True, kw_only=True):
    """`addressing.yml`."""

    roles: list[Named]
    vrfs: list[Vrf]
    vlan_groups: list[VlanGroup]
    prefixes: list[Prefix]


# -- tenancy.yml ----------------------------------------------------------------------------------


class Contact(Part, frozen=True, kw_only=True):
    """Whom to call."""

    name: Text
    title: str = ""
    email: str = ""
    phone: str = ""


class TenantContact(Part, frozen=True, kw_only=True):
    """In which role a contact answers for a tenant."""

    contact: Text
    role: Slug
    priority: Literal["primary", "secondary", "tertiary", "inactive"] = "primary"


class Tenant(Named, frozen=True, kw_only=True):
    """A tenant."""

    group: Slug
    contacts: list[TenantContact]


class TenancyFile(Part, frozen=True, kw_only=True):
    """`tenancy.yml`."""

    pools: Pools = Pools()
    groups: list[Named]
    contact_roles: list[Named]
    contacts: list[Contact]
    tenants: list[Tenant]


# -- customization.yml ----------------------------------------------------------------------------


class ChoiceSet(Part, frozen=True, kw_only=True):
    """The choices of a select field: value and label."""

    name: Text
    choices: dict[str, str]
    description: str = ""


class CustomField(Part, frozen=True, kw_only=True):
    """A custom field; `editable` says whether people may change it in NetBox's pages."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$", max_length=50)]
    label: Text
    type: Literal["text", "longtext", "integer", "boolean", "date", "json", "select"]
    object_types: list[Annotated[str, Meta(pattern=r"^[a-z]+\.[a-z][a-z0-9]*$")]]
    choice_set: str | None = None
    editable: bool = True
    minimum: int | None = None
    maximum: int | None = None
    description: str = ""


class CustomizationFile(Part, frozen=True, kw_only=True):
    """`customization.yml`. `managed_tag` is on every object that is seeded from the design."""

    managed_tag: Coloured
    choice_sets: list[ChoiceSet]
    custom_fields: list[CustomField]


# -- resilience.yml -------------------------------------------------------------------------------


class Waiver(Part, frozen=True, kw_only=True):
    """A finding that somebody has accepted; `object` is the first that it names.

    `expires` is the last day on which it counts.
    """

    rule: Slug
    object: Text
    owner: Text
    reason: Text
    expires: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class ResilienceFile(Part, frozen=True, kw_only=True):
    """`resilience.yml`."""

    waivers: list[Waiver] = []


class Design(Struct, frozen=True, kw_only=True):
    """A whole design: a field for each file, named as the file is."""

    site: SiteFile
    racks: RacksFile
    hardware: HardwareFile
    servers: ServersFile
    network: NetworkFile
    power: PowerFile
    addressing: AddressingFile
    tenancy: TenancyFile
    customization: CustomizationFile
    resilience: ResilienceFile
