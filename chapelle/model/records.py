"""What NetBox says, as frozen records: one class for each NetBox model that we read.

Field names are NetBox's. A reference is the other record's NetBox id, a choice is its value, tags
are slugs. A record can hold any value that NetBox can hold, a wrong one included: judging is the
business of `chapelle.checks`. Units are NetBox's: watts, volts, amperes, units of 44.45 mm.
Source: NetBox 4.7 documentation, "Data model".
"""

from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """The base of all records."""

    id: int


class Named(Record, frozen=True, kw_only=True):
    """A record with a name and a slug."""

    name: str
    slug: str


class Tag(Named, frozen=True, kw_only=True):
    """`extras.tag`."""


class Region(Named, frozen=True, kw_only=True):
    """`dcim.region`."""

    parent: int | None = None


class TenantGroup(Named, frozen=True, kw_only=True):
    """`tenancy.tenantgroup`."""


class Tenant(Named, frozen=True, kw_only=True):
    """`tenancy.tenant`."""

    group: int | None = None
    tags: tuple[str, ...] = ()
    custom_fields: dict[str, Any] = {}


class Contact(Record, frozen=True, kw_only=True):
    """`tenancy.contact`."""

    name: str
    title: str = ""
    phone: str = ""
    email: str = ""


class ContactRole(Named, frozen=True, kw_only=True):
    """`tenancy.contactrole`."""


class ContactAssignment(Record, frozen=True, kw_only=True):
    """`tenancy.contactassignment`: whom to call about an object."""

    object_type: str
    object_id: int
    contact: int
    role: int | None = None
    priority: str | None = None


class Site(Named, frozen=True, kw_only=True):
    """`dcim.site`."""

    status: str
    region: int | None = None
    tenant: int | None = None
    custom_fields: dict[str, Any] = {}


class Location(Named, frozen=True, kw_only=True):
    """`dcim.location`; an aisle is one."""

    site: int
    status: str
    parent: int | None = None
    tenant: int | None = None
    custom_fields: dict[str, Any] = {}


class RackRole(Named, frozen=True, kw_only=True):
    """`dcim.rackrole`."""


class Rack(Record, frozen=True, kw_only=True):
    """`dcim.rack`; `u_height` in rack units, `max_weight` in `weight_unit`."""

    name: str
    site: int
    status: str
    location: int | None = None
    tenant: int | None = None
    role: int | None = None
    facility_id: str | None = None
    serial: str = ""
    asset_tag: str | None = None
    u_height: int = 42
    desc_units: bool = False
    max_weight: int | None = None
    weight: float | None = None
    weight_unit: str | None = None
    tags: tuple[str, ...] = ()
    custom_fields: dict[str, Any] = {}


class RackReservation(Record, frozen=True, kw_only=True):
    """`dcim.rackreservation`."""

    rack: int
    units: tuple[int, ...]
    tenant: int | None = None
    status: str | None = None
    description: str = ""
    custom_fields: dict[str, Any] = {}


class Manufacturer(Named, frozen=True, kw_only=True):
    """`dcim.manufacturer`."""


class DeviceType(Record, frozen=True, kw_only=True):
    """`dcim.devicetype`; `weight` in `weight_unit`."""

    manufacturer: int
    model: str
    slug: str
    part_number: str = ""
    u_height: float = 1.0
    is_full_depth: bool = True
    weight: float | None = None
    weight_unit: str | None = None
    airflow: str | None = None


class DeviceRole(Named, frozen=True, kw_only=True):
    """`dcim.devicerole`."""


class Platform(Named, frozen=True, kw_only=True):
    """`dcim.platform`."""

    manufacturer: int | None = None


class Device(Record, frozen=True, kw_only=True):
    """`dcim.device`; `position` is the lowest unit occupied."""

    name: str | None
    device_type: int
    role: int
    site: int
    status: str
    location: int | None = None
    rack: int | None = None
    position: float | None = None
    face: str | None = None
    tenant: int | None = None
    platform: int | None = None
    serial: str = ""
    asset_tag: str | None = None
    primary_ip4: int | None = None
    primary_ip6: int | None = None
    oob_ip: int | None = None
    tags: tuple[str, ...] = ()
    custom_fields: dict[str, Any] = {}


class InventoryItemRole(Named, frozen=True, kw_only=True):
    """`dcim.inventoryitemrole`."""


class InventoryItem(Record, frozen=True, kw_only=True):
    """`dcim.inventoryitem`; a disk is one, its purpose in custom field `disk_purpose`."""

    device: int
    name: str
    role: int | None = None
    manufacturer: int | None = None
    label: str = ""
    part_id: str = ""
    serial: str = ""
    asset_tag: str | None = None
    status: str | None = None
    custom_fields: dict[str, Any] = {}


# Interfaces of these types are made by software: there is no port to plug a cable into, and the MAC
# address is another interface's. Source: NetBox 4.7, dcim.choices, InterfaceTypeChoices.
VIRTUAL_TYPES = frozenset({"virtual", "bridge", "lag"})


class Interface(Record, frozen=True, kw_only=True):
    """`dcim.interface`; `mac_address` is that of the primary MAC object, `mtu` in bytes."""

    device: int
    name: str
    type: str
    enabled: bool = True
    mgmt_only: bool = False
    lag: int | None = None
    parent: int | None = None
    bridge: int | None = None
    mtu: int | None = None
    mac_address: str | None = None
    mode: str | None = None
    untagged_vlan: int | None = None
    tagged_vlans: tuple[int, ...] = ()
    vrf: int | None = None
    label: str = ""
    description: str = ""
    cable: int | None = None
    cable_end: str | None = None
    custom_fields: dict[str, Any] = {}


class PowerPanel(Record, frozen=True, kw_only=True):
    """`dcim.powerpanel`."""

    name: str
    site: int
    location: int | None = None
    custom_fields: dict[str, Any] = {}


class PowerFeed(Record, frozen=True, kw_only=True):
    """`dcim.powerfeed`; volts, amperes, and the share of its rating that may be used (per cent)."""

    name: str
    power_panel: int
    status: str
    rack: int | None = None
    type: str | None = None
    supply: str | None = None
    phase: str | None = None
    voltage: int | None = None
    amperage: int | None = None
    max_utilization: int | None = None
    tenant: int | None = None
    cable: int | None = None
    custom_fields: dict[str, Any] = {}


class PowerPort(Record, frozen=True, kw_only=True):
    """`dcim.powerport`; draws in watts."""

    device: int
    name: str
    type: str | None = None
    maximum_draw: int | None = None
    allocated_draw: int | None = None
    cable: int | None = None


class PowerOutlet(Record, frozen=True, kw_only=True):
    """`dcim.poweroutlet`."""

    device: int
    name: str
    type: str | None = None
    power_port: int | None = None
    feed_leg: str | None = None
    cable: int | None = None


class PortMapping(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Which position of which rear port a position of a front port leads to."""

    position: int
    rear_port: int
    rear_port_position: int


class FrontPort(Record, frozen=True, kw_only=True):
    """`dcim.frontport`: the front of a patch panel's port."""

    device: int
    name: str
    rear_ports: tuple[PortMapping, ...] = ()
    cable: int | None = None


class RearPort(Record, frozen=True, kw_only=True):
    """`dcim.rearport`: the back of a patch panel, which may hold several positions (a trunk)."""

    device: int
    name: str
    positions: int = 1
    cable: int | None = None


class CableBundle(Record, frozen=True, kw_only=True):
    """`dcim.cablebundle`: cables that run together, and are cut together."""

    name: str


class Termination(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One end of a cable: content type (such as `dcim.interface`) and id."""

    object_type: str
    object_id: int


class Cable(Record, frozen=True, kw_only=True):
    """`dcim.cable`."""

    status: str
    type: str | None = None
    label: str = ""
    color: str = ""
    length: float | None = None
    length_unit: str | None = None
    tenant: int | None = None
    bundle: int | None = None
    a_terminations: tuple[Termination, ...] = ()
    b_terminations: tuple[Termination, ...] = ()
    custom_fields: dict[str, Any] = {}


class RouteTarget(Record, frozen=True, kw_only=True):
    """`ipam.routetarget`."""

    name: str
    tenant: int | None = None
    custom_fields: dict[str, Any] = {}


class VRF(Record, frozen=True, kw_only=True):
    """`ipam.vrf`."""

    name: str
    rd: str | None = None
    tenant: int | None = None
    enforce_unique: bool = True
    import_targets: tuple[int, ...] = ()
    export_targets: tuple[int, ...] = ()
    custom_fields: dict[str, Any] = {}


class Role(Named, frozen=True, kw_only=True):
    """`ipam.role`, of prefixes and VLANs."""


class VLANGroup(Named, frozen=True, kw_only=True):
    """`ipam.vlangroup`; `vid_ranges` as pairs of first and last, both included."""

    scope_type: str | None = None
    scope_id: int | None = None
    vid_ranges: tuple[tuple[int, int], ...] = ()


class VLAN(Record, frozen=True, kw_only=True):
    """`ipam.vlan`."""

    vid: int
    name: str
    status: str
    site: int | None = None
    group: int | None = None
    tenant: int | None = None
    role: int | None = None
    custom_fields: dict[str, Any] = {}


class Prefix(Record, frozen=True, kw_only=True):
    """`ipam.prefix`."""

    prefix: str
    status: str
    vrf: int | None = None
    vlan: int | None = None
    tenant: int | None = None
    role: int | None = None
    is_pool: bool = False
    scope_type: str | None = None
    scope_id: int | None = None
    description: str = ""
    custom_fields: dict[str, Any] = {}


class IPAddress(Record, frozen=True, kw_only=True):
    """`ipam.ipaddress`; `address` with its prefix length."""

    address: str
    status: str
    vrf: int | None = None
    tenant: int | None = None
    role: str | None = None
    dns_name: str = ""
    assigned_object_type: str | None = None
    assigned_object_id: int | None = None
    description: str = ""
    custom_fields: dict[str, Any] = {}


class RIR(Named, frozen=True, kw_only=True):
    """`ipam.rir`."""

    is_private: bool = False


class ASN(Record, frozen=True, kw_only=True):
    """`ipam.asn`."""

    asn: int
    rir: int | None = None
    tenant: int | None = None
    description: str = ""
    custom_fields: dict[str, Any] = {}


class L2VPN(Named, frozen=True, kw_only=True):
    """`vpn.l2vpn`; for type `vxlan-evpn` the `identifier` is the VXLAN network identifier."""

    type: str
    status: str = "active"
    identifier: int | None = None
    tenant: int | None = None
    import_targets: tuple[int, ...] = ()
    export_targets: tuple[int, ...] = ()
    custom_fields: dict[str, Any] = {}


class L2VPNTermination(Record, frozen=True, kw_only=True):
    """`vpn.l2vpntermination`: what an L2VPN ends at, such as a VLAN (`ipam.vlan`)."""

    l2vpn: int
    assigned_object_type: str
    assigned_object_id: int


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read from one NetBox; each list ordered by id.

    A field's name is the plural of NetBox's model with underscores, and `ENDPOINTS` gives the
    place of each below NetBox's `/api/`.
    """

    tags: tuple[Tag, ...] = ()
    regions: tuple[Region, ...] = ()
    tenant_groups: tuple[TenantGroup, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    contacts: tuple[Contact, ...] = ()
    contact_roles: tuple[ContactRole, ...] = ()
    contact_assignments: tuple[ContactAssignment, ...] = ()
    sites: tuple[Site, ...] = ()
    locations: tuple[Location, ...] = ()
    rack_roles: tuple[RackRole, ...] = ()
    racks: tuple[Rack, ...] = ()
    rack_reservations: tuple[RackReservation, ...] = ()
    manufacturers: tuple[Manufacturer, ...] = ()
    device_types: tuple[DeviceType, ...] = ()
    device_roles: tuple[DeviceRole, ...] = ()
    platforms: tuple[Platform, ...] = ()
    devices: tuple[Device, ...] = ()
    inventory_item_roles: tuple[InventoryItemRole, ...] = ()
    inventory_items: tuple[InventoryItem, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    power_panels: tuple[PowerPanel, ...] = ()
    power_feeds: tuple[PowerFeed, ...] = ()
    power_ports: tuple[PowerPort, ...] = ()
    power_outlets: tuple[PowerOutlet, ...] = ()
    front_ports: tuple[FrontPort, ...] = ()
    rear_ports: tuple[RearPort, ...] = ()
    cable_bundles: tuple[CableBundle, ...] = ()
    cables: tuple[Cable, ...] = ()
    route_targets: tuple[RouteTarget, ...] = ()
    vrfs: tuple[VRF, ...] = ()
    roles: tuple[Role, ...] = ()
    vlan_groups: tuple[VLANGroup, ...] = ()
    vlans: tuple[VLAN, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    ip_addresses: tuple[IPAddress, ...] = ()
    rirs: tuple[RIR, ...] = ()
    asns: tuple[ASN, ...] = ()
    l2vpns: tuple[L2VPN, ...] = ()
    l2vpn_terminations: tuple[L2VPNTermination, ...] = ()


ENDPOINTS: dict[str, str] = {
    "tags": "extras/tags",
    "regions": "dcim/regions",
    "tenant_groups": "tenancy/tenant-groups",
    "tenants": "tenancy/tenants",
    "contacts": "tenancy/contacts",
    "contact_roles": "tenancy/contact-roles",
    "contact_assignments": "tenancy/contact-assignments",
    "sites": "dcim/sites",
    "locations": "dcim/locations",
    "rack_roles": "dcim/rack-roles",
    "racks": "dcim/racks",
    "rack_reservations": "dcim/rack-reservations",
    "manufacturers": "dcim/manufacturers",
    "device_types": "dcim/device-types",
    "device_roles": "dcim/device-roles",
    "platforms": "dcim/platforms",
    "devices": "dcim/devices",
    "inventory_item_roles": "dcim/inventory-item-roles",
    "inventory_items": "dcim/inventory-items",
    "interfaces": "dcim/interfaces",
    "power_panels": "dcim/power-panels",
    "power_feeds": "dcim/power-feeds",
    "power_ports": "dcim/power-ports",
    "power_outlets": "dcim/power-outlets",
    "front_ports": "dcim/front-ports",
    "rear_ports": "dcim/rear-ports",
    "cable_bundles": "dcim/cable-bundles",
    "cables": "dcim/cables",
    "route_targets": "ipam/route-targets",
    "vrfs": "ipam/vrfs",
    "roles": "ipam/roles",
    "vlan_groups": "ipam/vlan-groups",
    "vlans": "ipam/vlans",
    "prefixes": "ipam/prefixes",
    "ip_addresses": "ipam/ip-addresses",
    "rirs": "ipam/rirs",
    "asns": "ipam/asns",
    "l2vpns": "vpn/l2vpns",
    "l2vpn_terminations": "vpn/l2vpn-terminations",
}
