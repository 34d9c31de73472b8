"""A snapshot with its objects joined: the questions that every reader asks, answered once."""

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from math import ceil, floor

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.finding import ObjectRef
from chapelle.model.paths import Paths
from chapelle.model.snapshot import Snapshot

SERVER_ROLES = ("compute", "storage", "database", "infra")
SWITCH_ROLES = ("leaf", "tenant-leaf", "spine", "border", "oob")
# The switches that route, hence those with a loopback and an AS number; the first three are VTEPs.
ROUTING_ROLES = ("leaf", "tenant-leaf", "border", "spine")
VTEP_ROLES = ROUTING_ROLES[:3]
POWER_ROLES = ("pdu",)

# The IPAM role of the prefixes that the switches' loopbacks are from.
LOOPBACKS = "loopbacks"


def _by_id[T: r.Record](items: Iterable[T]) -> dict[int, T]:
    return {item.id: item for item in items}


class Datacentre:
    """The content of one snapshot, indexed.

    Look-ups by id return None for a reference that leads nowhere (NetBox content can be wrong, and
    `chapelle.checks` reports it); look-ups by a name that a person typed raise InputError.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        content = snapshot.content
        self.content = content
        self.sites = _by_id(content.sites)
        self.locations = _by_id(content.locations)
        self.racks = _by_id(content.racks)
        self.tenants = _by_id(content.tenants)
        self.device_types = _by_id(content.device_types)
        self.device_roles = _by_id(content.device_roles)
        self.manufacturers = _by_id(content.manufacturers)
        self.platforms = _by_id(content.platforms)
        self.devices = _by_id(content.devices)
        self.interfaces = _by_id(content.interfaces)
        self.power_ports = _by_id(content.power_ports)
        self.power_outlets = _by_id(content.power_outlets)
        self.power_feeds = _by_id(content.power_feeds)
        self.power_panels = _by_id(content.power_panels)
        self.cables = _by_id(content.cables)
        self.vrfs = _by_id(content.vrfs)
        self.vlans = _by_id(content.vlans)
        self.route_targets = _by_id(content.route_targets)
        self.ip_addresses = _by_id(content.ip_addresses)
        self.inventory_item_roles = _by_id(content.inventory_item_roles)

    # -- things by name ---------------------------------------------------------------------------

    @cached_property
    def devices_by_name(self) -> dict[str, r.Device]:
        """Named devices. Of two with one name the lower id stays; a check reports the other."""
        named: dict[str, r.Device] = {}
        for device in self.content.devices:
            if device.name:
                named.setdefault(device.name, device)
        return named

    def device(self, name: str) -> r.Device:
        """The device of that name.

        Raises:
            InputError: there is none.
        """
        found = self.devices_by_name.get(name)
        if found is None:
            raise InputError(
                f"There is no device {name!r}.",
                where="the snapshot of NetBox",
                expected="the name of a device",
                found=repr(name),
                remedy="list the names with: ansible-inventory --graph",
            )
        return found

    @cached_property
    def aisles(self) -> dict[str, r.Location]:
        """Aisles by their number: the locations whose slug is `aisle-<number>`."""
        found = {}
        for location in self.content.locations:
            if match := re.fullmatch(r"aisle-(\d+)", location.slug):
                found[match[1]] = location
        return dict(sorted(found.items(), key=lambda item: int(item[0])))

    def aisle(self, number: str) -> r.Location:
        """The aisle of that number.

        Raises:
            InputError: there is none.
        """
        location = self.aisles.get(number)
        if location is None:
            raise InputError(
                f"There is no aisle {number!r}.",
                where="the snapshot of NetBox",
                expected=f"one of {', '.join(self.aisles) or '(NetBox has no aisles)'}",
                found=repr(number),
            )
        return location

    def rack(self, name: str) -> r.Rack:
        """The rack of that name.

        Raises:
            InputError: there is none.
        """
        for rack in self.content.racks:
            if rack.name == name:
                return rack
        raise InputError(
            f"There is no rack {name!r}.",
            where="the snapshot of NetBox",
            expected="the name of a rack, such as A2-R01",
            found=repr(name),
        )

    # -- what belongs to what ---------------------------------------------------------------------

    def role_of(self, device: r.Device) -> str:
        """The slug of the device's role, or the empty string."""
        role = self.device_roles.get(device.role)
        return role.slug if role else ""

    def is_server(self, device: r.Device) -> bool:
        """Whether the device is one of our servers, by its role."""
        return self.role_of(device) in SERVER_ROLES

    @cached_property
    def servers(self) -> tuple[r.Device, ...]:
        """All named servers, by name."""
        servers = [d for d in self.devices_by_name.values() if self.is_server(d)]
        return tuple(sorted(servers, key=lambda d: d.name or ""))

    def aisle_number(self, device: r.Device) -> str | None:
        """The number of the aisle that the device stands in."""
        for number, location in self.aisles.items():
            if self.is_within(device.location, location.id):
                return number
        return None

    def is_within(self, location_id: int | None, ancestor: int) -> bool:
        """Whether a location is the other one or lies in it."""
        seen: set[int] = set()
        while location_id is not None and location_id not in seen:
            if location_id == ancestor:
                return True
            seen.add(location_id)
            location = self.locations.get(location_id)
            location_id = location.parent if location else None
        return False

    @cached_property
    def interfaces_by_device(self) -> dict[int, tuple[r.Interface, ...]]:
        """Interfaces of each device, in NetBox's order of ids."""
        return _grouped(self.content.interfaces)

    @cached_property
    def power_ports_by_device(self) -> dict[int, tuple[r.PowerPort, ...]]:
        """Power ports of each device."""
        return _grouped(self.content.power_ports)

    @cached_property
    def inventory_by_device(self) -> dict[int, tuple[r.InventoryItem, ...]]:
        """Inventory items of each device."""
        return _grouped(self.content.inventory_items)

    @cached_property
    def addresses_by_interface(self) -> dict[int, tuple[r.IPAddress, ...]]:
        """IP addresses of each interface."""
        grouped: dict[int, list[r.IPAddress]] = defaultdict(list)
        for address in self.content.ip_addresses:
            if address.assigned_object_type == "dcim.interface" and address.assigned_object_id:
                grouped[address.assigned_object_id].append(address)
        return {key: tuple(values) for key, values in grouped.items()}

    def units(self, device: r.Device) -> range:
        """The whole units of its rack that a device takes, also in part."""
        kind = self.device_types.get(device.device_type)
        if device.position is None or kind is None:
            return range(0)
        return range(floor(device.position), ceil(device.position + kind.u_height))

    def primary_ip4(self, device: r.Device) -> r.IPAddress | None:
        """The device's primary IPv4 address."""
        return self.ip_addresses.get(device.primary_ip4) if device.primary_ip4 else None

    # -- what the switches carry ------------------------------------------------------------------

    @cached_property
    def prefixes_by_vlan(self) -> dict[int, tuple[r.Prefix, ...]]:
        """The prefixes of each VLAN, in the order of their text."""
        grouped: dict[int, list[r.Prefix]] = defaultdict(list)
        for prefix in sorted(self.content.prefixes, key=lambda prefix: prefix.prefix):
            if prefix.vlan is not None:
                grouped[prefix.vlan].append(prefix)
        return {key: tuple(values) for key, values in grouped.items()}

    @cached_property
    def prefixes_by_network(self) -> dict[tuple[int | None, str], r.Prefix]:
        """The prefix of each VRF and network."""
        return {(prefix.vrf, prefix.prefix): prefix for prefix in self.content.prefixes}

    @cached_property
    def gateways_by_network(self) -> dict[tuple[int | None, str], tuple[r.IPAddress, ...]]:
        """The addresses of role `anycast`, which all switches share, by VRF and network."""
        grouped: dict[tuple[int | None, str], list[r.IPAddress]] = defaultdict(list)
        for address in self.content.ip_addresses:
            if address.role == "anycast":
                network = str(ipaddress.ip_interface(address.address).network)
                grouped[address.vrf, network].append(address)
        return {key: tuple(values) for key, values in grouped.items()}

    @cached_property
    def l2vpns_by_vlan(self) -> dict[int, tuple[r.L2VPN, ...]]:
        """The L2VPNs of type `vxlan-evpn` that each VLAN is carried by; one is right."""
        l2vpns = _by_id(self.content.l2vpns)
        grouped: dict[int, list[r.L2VPN]] = defaultdict(list)
        for end in self.content.l2vpn_terminations:
            l2vpn = l2vpns.get(end.l2vpn)
            if end.assigned_object_type == "ipam.vlan" and l2vpn and l2vpn.type == "vxlan-evpn":
                grouped[end.assigned_object_id].append(l2vpn)
        return {key: tuple(values) for key, values in grouped.items()}

    @cached_property
    def tenants_by_location(self) -> dict[int | None, frozenset[int]]:
        """The tenants that have a rack in each location."""
        grouped: dict[int | None, set[int]] = defaultdict(set)
        for rack in self.content.racks:
            if rack.tenant is not None:
                grouped[rack.location].add(rack.tenant)
        return {key: frozenset(values) for key, values in grouped.items()}

    @cached_property
    def loopbacks_by_device(self) -> dict[int, tuple[str, ...]]:
        """The IPv4 addresses of role `loopback` on each device's interfaces, with their length."""
        grouped: dict[int, list[str]] = defaultdict(list)
        for address in self.content.ip_addresses:
            if address.role == "loopback" and address.assigned_object_type == "dcim.interface":
                interface = self.interfaces.get(address.assigned_object_id or 0)
                if interface and ":" not in address.address:
                    grouped[interface.device].append(address.address)
        return {key: tuple(values) for key, values in grouped.items()}

    @cached_property
    def loopback_pools(self) -> tuple[str, ...]:
        """The IPv4 prefixes of the global table that loopbacks are from, in order."""
        roles = {role.id for role in self.content.roles if role.slug == LOOPBACKS}
        found = {
            ipaddress.ip_network(prefix.prefix)
            for prefix in self.content.prefixes
            if prefix.role in roles and prefix.vrf is None
        }
        networks = [network for network in found if isinstance(network, ipaddress.IPv4Network)]
        return tuple(str(network) for network in sorted(networks))

    @cached_property
    def borders(self) -> tuple[r.Device, ...]:
        """The named border leafs, by name."""
        found = [d for d in self.devices_by_name.values() if self.role_of(d) == "border"]
        return tuple(sorted(found, key=lambda device: device.name or ""))

    def partners(self, device: r.Device) -> tuple[r.Device, ...]:
        """The switches that stand in for this one: servers hang on it and on one of these.

        The partner of a leaf has the same role and the same name but for the last letter, `a` or
        `b`; the partners of a border leaf are all the other ones. Others have none.
        """
        role, name = self.role_of(device), device.name or ""
        if role == "border":
            return tuple(other for other in self.borders if other.id != device.id)
        if role not in VTEP_ROLES or name[-1:] not in ("a", "b"):
            return ()
        other = self.devices_by_name.get(name[:-1] + ("b" if name[-1] == "a" else "a"))
        return (other,) if other and self.role_of(other) == role else ()

    # -- along the cables -------------------------------------------------------------------------

    @cached_property
    def paths(self) -> Paths:
        """The ways along the cables."""
        return Paths(self.content, self.cables)

    def peers(self, object_type: str, cable_id: int | None, own_id: int) -> list[r.Termination]:
        """What a port reaches along its cable and through patch panels; empty without a cable."""
        return [far.end for far in self.paths.far(object_type, cable_id, own_id)]

    def peer_interface(self, interface: r.Interface) -> r.Interface | None:
        """The interface that the interface reaches along its cable."""
        for end in self.peers("dcim.interface", interface.cable, interface.id):
            if end.object_type == "dcim.interface":
                return self.interfaces.get(end.object_id)
        return None

    def is_spare(self, port: r.Interface) -> bool:
        """Whether nothing is plugged into a switch's port and nothing is said of it.

        A port that somebody has disabled is none: it may be broken.
        """
        said = port.mode or port.lag or port.vrf or port.untagged_vlan or port.tagged_vlans
        unused = port.cable is None and not said and port.id not in self.addresses_by_interface
        return unused and port.enabled and not port.mgmt_only

    def leaf_pair(self, device: r.Device) -> tuple[str, ...]:
        """The names of the switches that the device's data ports reach, in order of name."""
        names = set()
        for interface in self.interfaces_by_device.get(device.id, ()):
            peer = None if interface.mgmt_only else self.peer_interface(interface)
            switch = self.devices.get(peer.device) if peer else None
            if switch and switch.name and not self.is_server(switch):
                names.add(switch.name)
        return tuple(sorted(names))

    def feeds(self, device: r.Device) -> tuple[r.PowerFeed, ...]:
        """The power feeds that the device's cords reach through PDU outlets, by name."""
        found: dict[int, r.PowerFeed] = {}
        pending = [
            ("dcim.powerport", p.cable, p.id) for p in self.power_ports_by_device.get(device.id, ())
        ]
        seen: set[tuple[str, int]] = set()
        while pending:
            object_type, cable, own_id = pending.pop()
            if (object_type, own_id) in seen:
                continue
            seen.add((object_type, own_id))
            for end in self.peers(object_type, cable, own_id):
                if end.object_type == "dcim.powerfeed":
                    if feed := self.power_feeds.get(end.object_id):
                        found[feed.id] = feed
                elif end.object_type == "dcim.poweroutlet":
                    outlet = self.power_outlets.get(end.object_id)
                    port = self.power_ports.get(outlet.power_port or 0) if outlet else None
                    if port:
                        pending.append(("dcim.powerport", port.cable, port.id))
        return tuple(sorted(found.values(), key=lambda feed: feed.name))

    # -- naming in messages -----------------------------------------------------------------------

    def ref(self, device: r.Device) -> ObjectRef:
        """How findings and reports name a device."""
        return ObjectRef(endpoint="dcim/devices", id=device.id, name=device.name or "(no name)")


def _grouped[T: (r.Interface, r.PowerPort, r.InventoryItem)](
    items: Iterable[T],
) -> dict[int, tuple[T, ...]]:
    grouped: dict[int, list[T]] = defaultdict(list)
    for item in items:
        grouped[item.device].append(item)
    return {key: tuple(values) for key, values in grouped.items()}
