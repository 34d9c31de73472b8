"""From the model to what one switch shall do. Pure.

Every role of a switch has the parts that it needs and no others:

| role | routes | VLANs | VRFs |
|---|---|---|---|
| leaf | yes | those of its ports | those of its VLANs and routed ports |
| tenant-leaf | yes | those of its ports | those, and of tenants that rent a rack in its aisle |
| border | yes | those of its ports | all that have a VNI |
| spine | yes | none | none |
| oob | no | those of its ports, bridged only | none |
"""

import ipaddress
from collections.abc import Set

import msgspec

from chapelle.errors import InputError
from chapelle.fabric import allocation, attachments
from chapelle.fabric.handoff import handoff
from chapelle.fabric.platforms import Platform, platform
from chapelle.fabric.switch import Overlay, Router, Switch, Vlan, Vrf
from chapelle.model import records as r
from chapelle.model.datacentre import (
    LOOPBACKS,
    ROUTING_ROLES,
    SWITCH_ROLES,
    VTEP_ROLES,
    Datacentre,
)

_LARGEST_VNI = 65_535


def intent(dc: Datacentre, device: r.Device) -> Switch:
    """What a switch shall do.

    Raises:
        InputError: the device is no switch, its platform is unknown, or NetBox lacks what it needs;
            the message names it.
    """
    role = dc.role_of(device)
    where = f"device {device.name or device.id} in NetBox"
    if role not in SWITCH_ROLES or not device.name:
        raise InputError(
            "This is not a switch that we can configure.",
            where=where,
            expected=f"a name, and one of the roles {', '.join(SWITCH_ROLES)}",
            found=f"name {device.name!r}, role {role or 'none'!r}",
        )
    slug = dc.platforms[device.platform].slug if device.platform in dc.platforms else ""
    kind = platform(slug, where=where)
    ports = attachments.ports(dc, device, kind)
    router = _router(dc, device) if role in ROUTING_ROLES else None
    loopback = router.loopback if router and role in VTEP_ROLES else None
    vlans = _vlans(dc, ports, loopback, where, kind)
    handoffs = tuple(handoff(dc, device, kind, near, far) for near, far in ports.routed)
    used = {vlan.vrf for vlan in vlans if vlan.vrf} | {one.vrf for one in handoffs}
    vrfs = _vrfs(dc, device, used, kind, loopback) if loopback else ()
    return Switch(
        name=device.name,
        platform=slug,
        role=role,
        router=router,
        gateway_mac=allocation.GATEWAY_MAC,
        fabric=ports.fabric,
        attachments=ports.attachments,
        handoffs=handoffs,
        unused=ports.unused,
        vlans=vlans,
        vrfs=vrfs,
        management=ports.management,
    )


def _router(dc: Datacentre, device: r.Device) -> Router:
    loopback = attachments.loopback(dc, device)
    pools = dc.loopback_pools
    if not any(ipaddress.ip_address(loopback) in ipaddress.ip_network(pool) for pool in pools):
        raise InputError(
            "A loopback address is from no prefix that loopbacks are from.",
            where=f"device {device.name} in NetBox",
            expected=f"an address from {', '.join(pools) or f'a prefix of role {LOOPBACKS}'}",
            found=loopback,
            remedy=f"give the prefix the role {LOOPBACKS} in NetBox, or correct the address",
        )
    return Router(
        asn=attachments.asn(device),
        loopback=loopback,
        loopbacks=pools,
        router_mac=allocation.router_mac(loopback),
    )


# -- VLANs ----------------------------------------------------------------------------------------


def _vlans(
    dc: Datacentre, ports: attachments.Ports, loopback: str | None, where: str, kind: Platform
) -> tuple[Vlan, ...]:
    found: dict[int, Vlan] = {}
    known = [dc.vlans[i] for i in ports.vlans if i in dc.vlans]
    for vlan in sorted(known, key=lambda vlan: vlan.vid):
        if vlan.vid in found:
            raise InputError(
                "Two VLANs of one switch have the same number.",
                where=where,
                expected=f"VLAN {vlan.vid} once",
                found=f"{found[vlan.vid].name} and {vlan.name}",
                remedy="renumber one of them in NetBox",
            )
        sizes = [one.mtu for one in ports.attachments if one.mtu and vlan.vid in one.vids]
        made = _vlan(dc, vlan, loopback, kind)
        found[vlan.vid] = msgspec.structs.replace(made, mtu=max(sizes, default=None))
    return tuple(found.values())


def _vlan(dc: Datacentre, vlan: r.VLAN, loopback: str | None, kind: Platform) -> Vlan:
    if loopback is None:
        return Vlan(vid=vlan.vid, name=vlan.name)
    l2vpns = dc.l2vpns_by_vlan.get(vlan.id, ())
    if len(l2vpns) != 1:
        raise InputError(
            "A VLAN that a leaf carries has no L2VPN, or several.",
            where=f"VLAN {vlan.vid} ({vlan.name}) in NetBox",
            expected="one L2VPN of type vxlan-evpn that ends at it",
            found=", ".join(l2vpn.name for l2vpn in l2vpns) or "none",
            remedy="enter the L2VPN and its termination in NetBox",
        )
    l2vpn = l2vpns[0]
    gateways = [
        (prefix.vrf, address.address)
        for prefix in dc.prefixes_by_vlan.get(vlan.id, ())
        for address in dc.gateways_by_network.get((prefix.vrf, prefix.prefix), ())
    ]
    vrfs = {vrf for vrf, _ in gateways}
    vrf = dc.vrfs.get(next(iter(vrfs)) or 0) if len(vrfs) == 1 else None
    if gateways and vrf is None:
        raise InputError(
            "The gateways of a VLAN are not in one VRF.",
            where=f"VLAN {vlan.vid} ({vlan.name}) in NetBox",
            expected="prefixes of one VRF",
            found=", ".join(address for _, address in gateways),
            remedy="correct the VRF of the prefixes in NetBox",
        )
    return Vlan(
        vid=vlan.vid,
        name=vlan.name,
        overlay=_overlay(dc, l2vpn, l2vpn.identifier, loopback, f"L2VPN {l2vpn.name} in NetBox"),
        vrf=kind.vrf(vrf.name) if vrf else None,
        gateways=tuple(sorted(address for _, address in gateways)),
    )


def _overlay(
    dc: Datacentre, thing: r.L2VPN | r.VRF, vni: object, loopback: str, where: str
) -> Overlay:
    if not isinstance(vni, int) or not 1 <= vni <= _LARGEST_VNI:
        raise InputError(
            "There is no VNI, or one that cannot be part of a route distinguisher.",
            where=where,
            expected=f"a number from 1 to {_LARGEST_VNI} (an L2VPN's identifier, a VRF's l3vni)",
            found=repr(vni),
            remedy="enter it in NetBox; no two L2VPNs or VRFs share one",
        )
    targets = [
        tuple(sorted(dc.route_targets[i].name for i in ids if i in dc.route_targets))
        for ids in (thing.import_targets, thing.export_targets)
    ]
    if not all(targets):
        raise InputError(
            "There are no route targets, so nothing would be learnt or told.",
            where=where,
            expected="at least one target to import and one to export",
            found=f"import {', '.join(targets[0]) or 'none'}; "
            f"export {', '.join(targets[1]) or 'none'}",
            remedy="enter them in NetBox",
        )
    return Overlay(
        vni=vni,
        rd=allocation.distinguisher(loopback, vni),
        import_targets=targets[0],
        export_targets=targets[1],
    )


# -- VRFs -----------------------------------------------------------------------------------------


def _vrfs(
    dc: Datacentre, device: r.Device, used: Set[str], kind: Platform, loopback: str
) -> tuple[Vrf, ...]:
    wanted = set(used)
    role = dc.role_of(device)
    if role == "border":
        wanted |= {kind.vrf(v.name) for v in dc.content.vrfs if v.custom_fields.get("l3vni")}
    elif role == "tenant-leaf":
        renting = dc.tenants_by_location.get(device.location, frozenset()) - {device.tenant}
        wanted |= {kind.vrf(vrf.name) for vrf in dc.content.vrfs if vrf.tenant in renting}
    found = []
    for vrf in sorted(dc.content.vrfs, key=lambda vrf: vrf.name):
        name = kind.vrf(vrf.name)
        if name not in wanted:
            continue
        where = f"VRF {vrf.name} in NetBox"
        if len(name) > kind.longest_vrf or not name.isascii() or " " in name:
            raise InputError(
                "A VRF's name cannot be one on this switch.",
                where=f"{where}, on {device.name} ({kind.slug})",
                expected=f"at most {kind.longest_vrf} ASCII characters without blanks",
                found=f"{name!r}, {len(name)} characters",
                remedy="rename the VRF in NetBox",
            )
        overlay = _overlay(dc, vrf, vrf.custom_fields.get("l3vni"), loopback, where)
        found.append(Vrf(name=name, overlay=overlay))
    return tuple(sorted(found))
