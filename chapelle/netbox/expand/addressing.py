"""Expand addressing.yml: VRFs, VLANs and their L2VPNs, prefixes, gateways, service addresses."""

import ipaddress
import re
from typing import Any

from chapelle.netbox.design.patterns import uses
from chapelle.netbox.design.schema import Evpn, Prefix, Vlan
from chapelle.netbox.expand.context import Context, Network
from chapelle.netbox.expand.desired import Ref
from chapelle.netbox.expand.places import location, named, tenant


def expand(context: Context) -> None:
    """Add the items of addressing.yml and fill `context.networks`."""
    file = context.design.addressing
    named(context, "roles", file.roles, "addressing.yml: roles")
    _vrfs(context)
    _vlan_groups(context)
    for i, spec in enumerate(file.prefixes):
        origin = f"addressing.yml: prefixes[{i}]"
        for aisle in context.aisles if uses(spec.prefix, "aisle") else [0]:
            if (spec.key, aisle) in context.networks:
                context.problem(f"{origin}.key", "each key once", f"{spec.key!r} again")
                continue
            _prefix(context, spec, aisle, origin)


def _vrfs(context: Context) -> None:
    for i, vrf in enumerate(context.design.addressing.vrfs):
        origin = f"addressing.yml: vrfs[{i}]"
        for target in dict.fromkeys([*vrf.import_targets, *vrf.export_targets]):
            _route_target(context, target, vrf.tenant, origin)
        fields: dict[str, Any] = {
            "name": vrf.name,
            "rd": vrf.rd,
            "tenant": tenant(vrf.tenant),
            "enforce_unique": True,
            "import_targets": [Ref("route_targets", (t,)) for t in vrf.import_targets],
            "export_targets": [Ref("route_targets", (t,)) for t in vrf.export_targets],
            "custom_fields": {"l3vni": vrf.l3vni} if vrf.l3vni else None,
            "description": vrf.description,
        }
        context.add("vrfs", (vrf.name,), fields, origin)


def _route_target(context: Context, target: str, owner: str | None, origin: str) -> Ref:
    ref = Ref("route_targets", (target,))
    if not context.desired.has(ref):
        context.add("route_targets", ref.key, {"name": target, "tenant": tenant(owner)}, origin)
    return ref


def _vlan_groups(context: Context) -> None:
    for i, group in enumerate(context.design.addressing.vlan_groups):
        origin = f"addressing.yml: vlan_groups[{i}]"
        vids = context.numbers(group.vids, "addressing.yml", f"vlan_groups[{i}].vids")
        fields = {
            "name": group.name,
            "slug": group.slug,
            "scope_type": "dcim.site",
            "scope_id": context.site,
            "vid_ranges": _ranges(vids),
            "tenant": tenant(group.tenant),
            "description": group.description,
        }
        if any(not 1 <= vid <= 4094 for vid in vids):
            context.problem(f"{origin}.vids", "VLAN numbers from 1 to 4094", repr(group.vids))
        context.add("vlan_groups", (group.slug,), fields, origin)


def _ranges(numbers: list[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges


def _prefix(context: Context, spec: Prefix, aisle: int, origin: str) -> None:
    text = context.render(spec.prefix, f"{origin}.prefix", aisle=aisle)
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        context.problem(f"{origin}.prefix", "an IPv4 prefix such as 10.64.0.0/24", str(error))
        return
    vlan, vid = _vlan(context, spec, spec.vlan, aisle, f"{origin}.vlan")
    entry = Network(spec=spec, network=network, vlan=vlan, vid=vid, origin=origin)
    context.networks[spec.key, aisle] = entry
    fields = {
        "prefix": str(network),
        "vrf": vrf_ref(spec),
        "vlan": vlan,
        "role": Ref("roles", (spec.role,)),
        "tenant": tenant(spec.tenant),
        "status": spec.status,
        "is_pool": spec.is_pool,
        "scope_type": "dcim.location" if aisle else "dcim.site",
        "scope_id": location(context, aisle) if aisle else context.site,
        "description": spec.description,
    }
    context.add("prefixes", (spec.vrf or "", str(network)), fields, origin, lane=aisle)
    if spec.gateway is not None and (
        address := context.host(entry, spec.gateway, f"{origin}.gateway")
    ):
        values = {"role": "anycast", "description": "Gateway, on every leaf"}
        ip_address(context, entry, address, values, f"{origin}.gateway", aisle=aisle)
    for j, service in enumerate(spec.addresses):
        where = f"{origin}.addresses[{j}]"
        if address := context.host(entry, service.host, where):
            values = {
                "dns_name": f"{service.name}.{context.design.site.site.domain}",
                "description": service.description,
            }
            ip_address(context, entry, address, values, where, aisle=aisle)


def _vlan(
    context: Context, prefix: Prefix, spec: Vlan | None, aisle: int, origin: str
) -> tuple[Ref | None, int | None]:
    if spec is None:
        return None, None
    text = context.render(str(spec.vid), f"{origin}.vid", aisle=aisle)
    if not text.isdecimal() or not 1 <= int(text) <= 4094:
        context.problem(f"{origin}.vid", "a VLAN number from 1 to 4094", repr(text))
        return None, None
    group = Ref("vlan_groups", (spec.group,))
    known = context.desired.of("vlan_groups").get(group.key)
    if known and not any(a <= int(text) <= b for a, b in known.fields["vid_ranges"]):
        context.problem(f"{origin}.vid", f"a VLAN number of group {spec.group}", text)
    fields = {
        "vid": int(text),
        "name": context.render(spec.name, f"{origin}.name", aisle=aisle),
        "group": group,
        "role": Ref("roles", (prefix.role,)),
        "tenant": tenant(prefix.tenant),
        "status": "active",
    }
    key = (spec.group, text)
    ref = context.add("vlans", key, fields, origin, initial=("status",), lane=aisle)
    if spec.evpn:
        _l2vpn(context, prefix, spec.evpn, f"{origin}.evpn", vlan=ref, aisle=aisle)
    return ref, int(text)


def _l2vpn(
    context: Context, prefix: Prefix, spec: Evpn, origin: str, *, vlan: Ref, aisle: int
) -> None:
    """What carries the VLAN between switches, under the VLAN's own name."""
    text = context.render(str(spec.vni), f"{origin}.vni", aisle=aisle)
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        context.problem(f"{origin}.vni", "a VNI from 1 to 65535", repr(text))
        return
    name = context.desired.of("vlans")[vlan.key].fields["name"]
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower())
    target = context.render(spec.target, f"{origin}.target", vni=int(text))
    targets = [_route_target(context, target, prefix.tenant, origin)]
    fields = {
        "name": name,
        "slug": slug,
        "type": "vxlan-evpn",
        "status": "active",
        "identifier": int(text),
        "tenant": tenant(prefix.tenant),
        "import_targets": targets,
        "export_targets": targets,
    }
    l2vpn = context.add("l2vpns", (slug,), fields, origin, initial=("status",), lane=aisle)
    ends = {"l2vpn": l2vpn, "assigned_object_type": "ipam.vlan", "assigned_object_id": vlan}
    context.add("l2vpn_terminations", (slug, vlan.key[1], name), ends, origin, lane=aisle)


def vrf_ref(prefix: Prefix) -> Ref | None:
    """The VRF of a prefix; None is the global table."""
    return Ref("vrfs", (prefix.vrf,)) if prefix.vrf else None


def ip_address(
    context: Context,
    network: Network,
    address: str,
    values: dict[str, Any],
    origin: str,
    *,
    aisle: int,
    interface: Ref | None = None,
) -> Ref:
    """Add an address of a prefix, on an interface or on none. `address` has a prefix length."""
    fields = {
        "address": address,
        "vrf": vrf_ref(network.spec),
        "tenant": tenant(network.spec.tenant),
        "status": "active",
        "assigned_object_type": "dcim.interface" if interface else None,
        "assigned_object_id": interface,
        **values,
    }
    key = (network.spec.vrf or "", address.partition("/")[0])
    return context.add("ip_addresses", key, fields, origin, initial=("status",), lane=aisle)
