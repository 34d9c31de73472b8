"""Rules about the routed ports at which tenants' own equipment speaks BGP with the switches."""

import ipaddress
from collections.abc import Iterator

import msgspec

from chapelle.checks.rules.fabric import ASN
from chapelle.checks.rules.scene import Fault, Rule, Scene, grouped
from chapelle.model import records as r
from chapelle.model.datacentre import ROUTING_ROLES, SWITCH_ROLES, VTEP_ROLES
from chapelle.model.finding import ObjectRef
from chapelle.model.status import OUT_OF_SERVICE
from chapelle.model.tenancy import EDGE, LINK_LENGTHS


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A cable from a switch's port to a tenant's, over which they route."""

    switch: r.Device
    near: r.Interface
    edge: r.Device
    far: r.Interface


def _links(scene: Scene) -> Iterator[Link]:
    """The cables from leafs to tenants' equipment at whose near end is a VRF or an address."""
    for edge in scene.placed:
        if scene.dc.role_of(edge) != EDGE:
            continue
        for far in scene.dc.interfaces_by_device.get(edge.id, ()):
            near = None if far.mgmt_only else scene.dc.peer_interface(far)
            switch = scene.dc.devices.get(near.device) if near else None
            if near is None or switch is None or scene.dc.role_of(switch) not in VTEP_ROLES:
                continue
            if near.vrf is not None or scene.dc.addresses_by_interface.get(near.id):
                yield Link(switch=switch, near=near, edge=edge, far=far)


def _objects(scene: Scene, link: Link) -> tuple[ObjectRef, ...]:
    return (
        scene.ref("interfaces", link.near),
        scene.ref("interfaces", link.far),
        scene.device_ref(link.switch.id),
        scene.device_ref(link.edge.id),
    )


def _tenant(scene: Scene, tenant: int | None) -> str:
    return scene.names.name("tenants", tenant) if tenant is not None else "no tenant"


def foreign_vrfs(scene: Scene) -> Iterator[Fault]:
    """A port that leads to a tenant's equipment is in no VRF but the tenant's."""
    for link in _links(scene):
        vrf = scene.dc.vrfs.get(link.near.vrf or 0)
        owner = vrf.tenant if vrf else None
        if owner is not None and owner == link.edge.tenant:
            continue
        yield Fault(
            objects=_objects(scene, link),
            expected=f"{link.switch.name} {link.near.name} in a VRF of "
            f"{_tenant(scene, link.edge.tenant)}, whose {link.edge.name} is",
            found=f"VRF {vrf.name} of {_tenant(scene, owner)}" if vrf else "no VRF",
            remedy="correct the VRF of the switch's port, the cable, or the tenant in NetBox",
        )


def astray(scene: Scene) -> Iterator[Fault]:
    """A port is in a VRF only where a leaf routes to a tenant, and does nothing else."""
    known = {link.near.id for link in _links(scene)}
    for device in scene.placed:
        if scene.dc.role_of(device) not in SWITCH_ROLES:
            continue
        for near in scene.dc.interfaces_by_device.get(device.id, ()):
            peer = None if near.mgmt_only or near.vrf is None else scene.dc.peer_interface(near)
            far = scene.dc.devices.get(peer.device) if peer else None
            if peer is None or far is None or far.status in OUT_OF_SERVICE:
                continue
            bridged = near.lag or near.untagged_vlan or near.tagged_vlans
            if near.id in known and not bridged:
                continue
            yield Fault(
                objects=(scene.ref("interfaces", near), scene.device_ref(device.id)),
                expected=f"a leaf's port that leads to a device of role {EDGE}, in no group and no "
                "VLAN; or no VRF",
                found=f"a port of a switch of role {scene.dc.role_of(device)} that leads to "
                f"{far.name} {peer.name}" + (", in a group or VLANs" if bridged else ""),
                remedy="correct the cable, or take the VRF from the port, in NetBox",
            )


def addresses(scene: Scene) -> Iterator[Fault]:
    """Both ends of such a cable have an address of one network, once for each version of IP."""
    for link in _links(scene):
        near, far = (
            {
                ipaddress.ip_interface(each.address).network
                for each in scene.dc.addresses_by_interface.get(end.id, ())
                if each.vrf == link.near.vrf
            }
            for end in (link.near, link.far)
        )
        versions = sorted(network.version for network in near)
        short = all(network.prefixlen in LINK_LENGTHS[network.version] for network in near)
        if near == far and short and versions in ([4], [4, 6]):
            continue
        yield Fault(
            objects=_objects(scene, link),
            expected="on both ends, in the VRF of the switch's port, an IPv4 address of one /31 or "
            "/30, and an IPv6 address of one /127, /126 or /64 or none",
            found=" - ".join(
                ", ".join(sorted(map(str, networks))) or "none" for networks in (near, far)
            ),
            remedy="enter the addresses, with their VRF, on both interfaces in NetBox",
        )


def as_numbers(scene: Scene) -> Iterator[Fault]:
    """Tenants' equipment that routes has an AS number that no switch and no other tenant has."""
    dc = scene.dc
    ours = {d.custom_fields.get(ASN) for d in scene.placed if dc.role_of(d) in ROUTING_ROLES}
    edges = {link.edge.id: link.edge for link in _links(scene)}
    users = grouped(edges.values(), lambda edge: edge.custom_fields.get(ASN))
    for edge in edges.values():
        asn = edge.custom_fields.get(ASN)
        others = {other.tenant for other in users.get(asn, ())} - {edge.tenant}
        if isinstance(asn, int) and asn not in ours and not others:
            continue
        switches = {link.switch.id for link in _links(scene) if link.edge.id == edge.id}
        found = "none"
        if asn in ours and asn is not None:
            found = f"{asn}, which a switch has"
        elif others:
            found = f"{asn}, as {' and '.join(sorted(_tenant(scene, each) for each in others))} has"
        yield Fault(
            objects=tuple(scene.device_ref(number) for number in (edge.id, *sorted(switches))),
            expected=f"custom field {ASN} with the AS number of {_tenant(scene, edge.tenant)}",
            found=found,
            remedy="enter the tenant's own AS number in NetBox",
        )


RULES: dict[str, tuple[str, Rule]] = {
    "handoff-vrf": ("error", foreign_vrfs),
    "handoff-astray": ("error", astray),
    "handoff-address": ("error", addresses),
    "handoff-asn": ("error", as_numbers),
}
