"""Rules about addresses, prefixes, VLANs and MAC addresses."""

import ipaddress
from collections.abc import Iterator

from chapelle.checks.rules.scene import Fault, Rule, Scene, grouped
from chapelle.model import records as r
from chapelle.model.finding import ObjectRef

# Roles of addresses that several interfaces hold on purpose. Source: NetBox, ipam.choices,
# IPAddressRoleChoices; ipam.constants, IPADDRESS_ROLES_NONUNIQUE.
_SHARED_ROLES = frozenset({"anycast", "vip", "vrrp", "hsrp", "glbp", "carp"})

type _Networks = dict[int | None, dict[tuple[int, int], dict[int, r.Prefix]]]


def duplicate_addresses(scene: Scene) -> Iterator[Fault]:
    """An address is one interface's in its routing table, whatever the prefix lengths say."""
    single = (a for a in scene.content.ip_addresses if a.role not in _SHARED_ROLES)
    alike = grouped(single, lambda address: (address.vrf, address.address.partition("/")[0]))
    for (vrf, bare), addresses in alike.items():
        if len(addresses) > 1:
            yield Fault(
                objects=tuple(
                    ref for address in addresses for ref in _address_refs(scene, address)
                ),
                expected=f"{bare} once in {_vrf(scene, vrf)}",
                found=f"{len(addresses)} times",
                remedy="give all but one another address in NetBox",
            )


def duplicate_macs(scene: Scene) -> Iterator[Fault]:
    """A MAC address is one port's: configuration and boot find a port by it."""
    ports = (i for i in scene.content.interfaces if i.type not in r.VIRTUAL_TYPES)
    for mac, alike in grouped(ports, lambda port: (port.mac_address or "").lower()).items():
        if len(alike) > 1:
            devices = dict.fromkeys(scene.device_ref(port.device) for port in alike)
            yield Fault(
                objects=(*(scene.ref("interfaces", port) for port in alike), *devices),
                expected=f"{mac} on one interface",
                found=f"on {len(alike)}",
                remedy="read the addresses from the machines and correct NetBox",
            )


def missing_macs(scene: Scene) -> Iterator[Fault]:
    """A server's ports are found by their MAC addresses, so these are known."""
    for server in scene.servers:
        without = [
            port.name
            for port in scene.dc.interfaces_by_device.get(server.id, ())
            if port.enabled and port.type not in r.VIRTUAL_TYPES and not port.mac_address
        ]
        if without:
            yield Fault(
                objects=(scene.ref("devices", server),),
                expected="a MAC address on each port",
                found=f"none on {', '.join(without)}",
                remedy="enter the MAC addresses in NetBox",
            )


def primary_addresses(scene: Scene) -> Iterator[Fault]:
    """A server is reached at its primary IPv4 address: it has one, on its own interface."""
    for device in scene.placed:
        named = (("primary IPv4 address", device.primary_ip4), ("out-of-band", device.oob_ip))
        if scene.dc.is_server(device) and device.primary_ip4 is None:
            yield _no_own_address(scene, device, "none chosen", "primary IPv4 address")
        for what, address_id in named:
            address = scene.dc.ip_addresses.get(address_id or 0)
            if address and scene.owner(address) != device.id:
                found = f"{address.address} is {_place(scene, address)}"
                yield _no_own_address(scene, device, found, what)


def _no_own_address(scene: Scene, device: r.Device, found: str, what: str) -> Fault:
    return Fault(
        objects=(scene.ref("devices", device),),
        expected=f"a {what} that is on an interface of its own",
        found=found,
        remedy="assign the address to the right interface in NetBox, then choose it",
    )


def outside_prefixes(scene: Scene) -> Iterator[Fault]:
    """An address lies in a prefix of its routing table."""
    networks = _networks(scene)
    for address in scene.content.ip_addresses:
        if _prefix_of(networks, address) is None:
            yield Fault(
                objects=_address_refs(scene, address),
                expected=f"a prefix of {_vrf(scene, address.vrf)} that contains it",
                found="none",
                remedy="enter the prefix, or correct the address or its VRF, in NetBox",
            )


def wrong_masks(scene: Scene) -> Iterator[Fault]:
    """An address on a port has the length of the prefix that it lies in; host routes have none."""
    networks = _networks(scene)
    for address in scene.content.ip_addresses:
        prefix = _prefix_of(networks, address)
        own = ipaddress.ip_interface(address.address).network
        if prefix is None or prefix.status == "container" or own.prefixlen == own.max_prefixlen:
            continue
        if str(own) != prefix.prefix:
            yield Fault(
                objects=_address_refs(scene, address),
                expected=f"the length of {prefix.prefix}",
                found=address.address,
                remedy="correct the prefix length of the address in NetBox",
            )


def vlans(scene: Scene) -> Iterator[Fault]:
    """The VLAN of an address' prefix arrives at the interface that has the address."""
    networks = _networks(scene)
    for interface in scene.content.interfaces:
        carried = _carried(scene, interface)
        if not carried:
            continue
        for address in scene.dc.addresses_by_interface.get(interface.id, ()):
            prefix = _prefix_of(networks, address)
            if prefix is None or prefix.vlan is None or prefix.vlan in carried:
                continue
            yield Fault(
                objects=(*_address_refs(scene, address), scene.ref("interfaces", interface)),
                expected=f"VLAN {scene.names.name('vlans', prefix.vlan)}, that of {prefix.prefix}",
                found=", ".join(scene.names.name("vlans", vlan) for vlan in sorted(carried)),
                remedy="correct the interface's VLANs, or the address, in NetBox",
            )


def _carried(scene: Scene, interface: r.Interface) -> set[int]:
    """The VLANs that an interface carries, by its own mode or as a child of its parent."""
    carried = set(interface.tagged_vlans) | {interface.untagged_vlan}
    parent = scene.dc.interfaces.get(interface.parent or 0)
    if parent and carried == {None}:
        carried = {*parent.tagged_vlans, parent.untagged_vlan}
    return {vlan for vlan in carried if vlan is not None}


def modes(scene: Scene) -> Iterator[Fault]:
    """An interface that says how it carries VLANs says which; one that has VLANs says how."""
    for interface in scene.content.interfaces:
        has = bool(interface.tagged_vlans) or interface.untagged_vlan is not None
        if bool(interface.mode) == has or interface.mode in ("tagged-all", "q-in-q"):
            continue
        if interface.type == "virtual" and has:
            continue  # a VLAN interface: its one VLAN needs no mode
        yield Fault(
            objects=(scene.ref("interfaces", interface), scene.device_ref(interface.device)),
            expected="a mode and VLANs, or neither",
            found=f"mode {interface.mode}, no VLAN" if interface.mode else "VLANs, no mode",
            remedy="complete the interface in NetBox",
        )


def _networks(scene: Scene) -> _Networks:
    """Prefixes by VRF, by (IP version, length), by network number."""
    found: _Networks = {}
    for prefix in scene.content.prefixes:
        network = ipaddress.ip_network(prefix.prefix)
        lengths = found.setdefault(prefix.vrf, {})
        by_number = lengths.setdefault((network.version, network.prefixlen), {})
        by_number[int(network.network_address)] = prefix
    return found


def _prefix_of(networks: _Networks, address: r.IPAddress) -> r.Prefix | None:
    """The longest prefix of the address' VRF that contains it."""
    ip = ipaddress.ip_interface(address.address).ip
    for (version, length), prefixes in sorted(networks.get(address.vrf, {}).items(), reverse=True):
        host_bits = ip.max_prefixlen - length
        if version == ip.version and (found := prefixes.get(int(ip) >> host_bits << host_bits)):
            return found
    return None


def _place(scene: Scene, address: r.IPAddress) -> str:
    where = scene.names.of_type(address.assigned_object_type, address.assigned_object_id)
    return f"on {where}" if where else "assigned to nothing"


def _address_refs(scene: Scene, address: r.IPAddress) -> tuple[ObjectRef, ...]:
    """The address, and the device that has it."""
    return (scene.ref("ip_addresses", address), *scene.devices_of("ip_addresses", address))


def _vrf(scene: Scene, vrf: int | None) -> str:
    return f"VRF {scene.names.name('vrfs', vrf)}" if vrf else "the global table"


RULES: dict[str, tuple[str, Rule]] = {
    "duplicate-address": ("error", duplicate_addresses),
    "duplicate-mac": ("error", duplicate_macs),
    "no-mac": ("error", missing_macs),
    "primary-address": ("error", primary_addresses),
    "address-outside-prefix": ("error", outside_prefixes),
    "address-mask": ("error", wrong_masks),
    "vlan-mismatch": ("error", vlans),
    "vlan-mode": ("error", modes),
}
