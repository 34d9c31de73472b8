"""Routed ports at which a tenant's own equipment speaks BGP with us, by what NetBox says of them.

A port of a leaf, tenant leaf or border leaf that is in a VRF leads to a device of role
`tenant-edge`. Both ends have an IPv4 address of one network of two in that VRF, and may have an
IPv6 address each. All in the VRF is one tenant's, so what is handed out here is that tenant's only.
"""

import ipaddress

from chapelle.errors import InputError
from chapelle.fabric import attachments
from chapelle.fabric.platforms import Platform
from chapelle.fabric.switch import Handoff, Session
from chapelle.model import records as r
from chapelle.model.datacentre import VTEP_ROLES, Datacentre
from chapelle.model.tenancy import ANNOUNCED, EDGE, LINK_LENGTHS, MAXIMUM_PREFIXES

# Statuses of a prefix that the tenant has, or will have: its switches know it beforehand.
_ALLOWED = frozenset({"active", "reserved"})

# Where NetBox sets no maximum: a tenant announces a network whole, or a part from each of the four
# aisles. More than that comes from a mistake, such as its own routing table let out.
_PARTS = 4


def handoff(
    dc: Datacentre, device: r.Device, platform: Platform, near: r.Interface, far: r.Interface
) -> Handoff:
    """What a port that is in a VRF does.

    Arguments:
        dc: the datacentre.
        device: the switch.
        platform: its platform.
        near: its port, whose `vrf` is set.
        far: the port at the other end of the cable.

    Raises:
        InputError: the cable leads where no tenant is, two tenants would meet, or NetBox lacks
            something; the message names it.
    """
    edge = dc.devices[far.device]
    where = f"{device.name} {near.name} - {edge.name} {far.name}"
    vrf = _vrf(dc, device, near, far, where)
    announced = _announced(dc, vrf)
    maximum = vrf.custom_fields.get(MAXIMUM_PREFIXES)
    return Handoff(
        number=attachments.port_number(near.name),
        name=near.name,
        vrf=platform.vrf(vrf.name),
        peer=edge.name or "",
        peer_port=far.name,
        peer_asn=_asn(edge, device),
        sessions=_sessions(dc, near, far, where),
        announced=announced,
        maximum_prefixes=maximum if isinstance(maximum, int) else _PARTS * max(1, len(announced)),
        mtu=far.mtu,
    )


def _vrf(
    dc: Datacentre, device: r.Device, near: r.Interface, far: r.Interface, where: str
) -> r.VRF:
    """The VRF of the port, in which nobody but the tenant of the device at the other end is."""
    edge = dc.devices[far.device]
    roles = dc.role_of(device), dc.role_of(edge)
    if roles[0] not in VTEP_ROLES or roles[1] != EDGE or far.mgmt_only:
        raise InputError(
            "A port of a switch is in a VRF, and leads to nothing that is handed a VRF.",
            where=where,
            expected=f"a leaf, tenant-leaf or border, and a port of a device of role {EDGE}",
            found=" and ".join(roles) + (", its management port" if far.mgmt_only else ""),
            remedy="correct the cable in NetBox, or take the VRF from the switch's port",
        )
    if near.lag or near.untagged_vlan or near.tagged_vlans:
        raise InputError(
            "A port of a switch is in a VRF, and in a group or in VLANs too.",
            where=where,
            expected="a routed port, or one that carries VLANs",
            found="both",
            remedy="in NetBox take the VRF from the switch's port, or the group and the VLANs",
        )
    vrf = dc.vrfs.get(near.vrf or 0)
    if vrf is None or vrf.tenant is None or vrf.tenant != edge.tenant:
        raise InputError(
            "A tenant's equipment is cabled to a port in a VRF that is not this tenant's.",
            where=where,
            expected=f"a VRF of {_tenant(dc, edge.tenant)}, whose {edge.name} is",
            found=f"{vrf.name}, of {_tenant(dc, vrf.tenant)}" if vrf else "none that is known",
            remedy="correct the VRF of the switch's port, the cable, or the tenant in NetBox",
        )
    return vrf


def _tenant(dc: Datacentre, tenant: int | None) -> str:
    found = dc.tenants.get(tenant or 0)
    return found.name if found else "no tenant"


def _asn(edge: r.Device, device: r.Device) -> int:
    found = edge.custom_fields.get("bgp_asn")
    if not isinstance(found, int) or found == device.custom_fields.get("bgp_asn"):
        raise InputError(
            "A tenant's equipment has no AS number of its own.",
            where=f"device {edge.name} in NetBox",
            expected=f"custom field bgp_asn, and another number than {device.name} has",
            found=repr(found),
            remedy="enter the tenant's AS number in NetBox",
        )
    return found


def _announced(dc: Datacentre, vrf: r.VRF) -> tuple[str, ...]:
    """The networks that the tenant may announce: IPv4 first, in order."""
    roles = {role.id for role in dc.content.roles if role.slug == ANNOUNCED}
    found = {
        ipaddress.ip_network(prefix.prefix)
        for prefix in dc.content.prefixes
        if prefix.vrf == vrf.id and prefix.role in roles and prefix.status in _ALLOWED
    }
    return tuple(str(network) for network in sorted(found, key=ipaddress.get_mixed_type_key))


# -- addresses ------------------------------------------------------------------------------------


def _sessions(
    dc: Datacentre, near: r.Interface, far: r.Interface, where: str
) -> tuple[Session, ...]:
    ours, theirs = (
        [ipaddress.ip_interface(each.address) for each in addresses if each.vrf == near.vrf]
        for addresses in (dc.addresses_by_interface.get(end.id, ()) for end in (near, far))
    )
    found = []
    for local in sorted(ours, key=lambda one: one.version):
        peers = [one for one in theirs if one.network == local.network and one.ip != local.ip]
        if len(peers) == 1 and local.network.prefixlen in LINK_LENGTHS[local.version]:
            found.append(Session(local=str(local), peer=str(peers[0].ip)))
    versions = [one.version for one in ours]
    if versions.count(4) != 1 or versions.count(6) > 1 or len(found) != len(versions):
        raise InputError(
            "The ends of a cable to a tenant have not each an address of one network.",
            where=where,
            expected="in the VRF of the switch's port, on each end, one IPv4 address of a /31 or "
            "/30, and one IPv6 address of a /127, /126 or /64 or none",
            found=" - ".join(", ".join(map(str, end)) or "none" for end in (ours, theirs)),
            remedy="enter the addresses, with their VRF, on both interfaces in NetBox",
        )
    return tuple(found)
