"""A small fabric for nodes with kernels of their own, cut out of the reference design.

Two spines, two leaf pairs, one border leaf, and two servers on each pair: one of the city's, and
one that another tenant has in a VRF of its own. All is the design's, but for the second tenant's
VLAN and prefix, which are those of another aisle's servers.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import reference
from fabric_datacentre import tenant_vrf

from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content, Interface
from chapelle.model.snapshot import Snapshot

SPINES = ("spine-a1", "spine-a2")
PAIRS = (("leaf-a2-1a", "leaf-a2-1b"), ("leaf-a2-2a", "leaf-a2-2b"))
LEAFS = tuple(leaf for pair in PAIRS for leaf in pair)
BORDER = "border-a1"
SWITCHES = (*SPINES, *LEAFS, BORDER)

# One on each pair.
CITY = ("compute-a2-01", "compute-a2-17")
TENANT = ("compute-a2-02", "compute-a2-18")
SERVERS = (*CITY, *TENANT)

TENANT_SLUG = "ap-hp"
TENANT_VLAN = "servers-a3"
TENANT_PREFIX = "10.64.3.0/24"
TENANT_ADDRESSES = ("10.64.3.11/24", "10.64.3.12/24")

replace = msgspec.structs.replace


def datacentre() -> Datacentre:
    """The fabric as a snapshot would show it."""
    content = only(reference.content(), {*SWITCHES, *SERVERS})
    content = tenant_vrf(content, TENANT_SLUG, 102)
    tenant = next(each.id for each in content.tenants if each.slug == TENANT_SLUG)
    vrf = next(each.id for each in content.vrfs if each.name == TENANT_SLUG)
    vlan = next(each.id for each in content.vlans if each.name == TENANT_VLAN)
    content = _changed(content, "vlans", lambda v: v.id == vlan, tenant=tenant)
    content = _changed(
        content, "prefixes", lambda p: p.prefix == TENANT_PREFIX, tenant=tenant, vrf=vrf
    )
    gateway = TENANT_PREFIX.replace(".0/", ".1/")
    content = _changed(
        content, "ip_addresses", lambda a: a.address == gateway, tenant=tenant, vrf=vrf
    )
    for name, address in zip(TENANT, TENANT_ADDRESSES, strict=True):
        content = _move(content, name, address, tenant=tenant, vrf=vrf, vlan=vlan)
    return Datacentre(Snapshot(content))


def only(content: Content, names: set[str]) -> Content:
    """The content with these devices only, and the cables between them."""
    devices = {device.id for device in content.devices if device.name in names}
    ports = {each.id for each in content.interfaces if each.device in devices}
    cables = {
        cable.id
        for cable in content.cables
        if all(
            end.object_type == "dcim.interface" and end.object_id in ports
            for end in (*cable.a_terminations, *cable.b_terminations)
        )
    }

    def kept(interface: Interface) -> Interface:
        if interface.cable in cables:
            return interface
        return replace(interface, cable=None, cable_end=None)

    return replace(
        content,
        devices=tuple(d for d in content.devices if d.id in devices),
        interfaces=tuple(kept(i) for i in content.interfaces if i.id in ports),
        cables=tuple(c for c in content.cables if c.id in cables),
        ip_addresses=tuple(
            a
            for a in content.ip_addresses
            if a.assigned_object_id is None or a.assigned_object_id in ports
        ),
        power_ports=tuple(
            replace(p, cable=None) for p in content.power_ports if p.device in devices
        ),
        power_outlets=(),
        inventory_items=tuple(i for i in content.inventory_items if i.device in devices),
    )


def _changed(
    content: Content, list_name: str, chosen: Callable[[Any], bool], **changes: Any
) -> Content:
    records = tuple(
        replace(each, **changes) if chosen(each) else each for each in getattr(content, list_name)
    )
    return replace(content, **{list_name: records})


def _move(
    content: Content, name: str, address: str, *, tenant: int, vrf: int, vlan: int
) -> Content:
    """Give a server to a tenant: an address in its VRF, its VLAN on the bond, no storage VLAN."""
    device = next(each for each in content.devices if each.name == name)
    content = _changed(content, "devices", lambda d: d.id == device.id, tenant=tenant)
    content = _changed(
        content,
        "ip_addresses",
        lambda a: a.id == device.primary_ip4,
        address=address,
        tenant=tenant,
        vrf=vrf,
    )
    own = [each for each in content.interfaces if each.device == device.id]
    virtual = {each.id for each in own if each.type == "virtual"}
    content = replace(
        content,
        interfaces=tuple(i for i in content.interfaces if i.id not in virtual),
        ip_addresses=tuple(a for a in content.ip_addresses if a.assigned_object_id not in virtual),
    )
    return _changed(
        content,
        "interfaces",
        lambda i: i.device == device.id and i.type == "lag",
        untagged_vlan=vlan,
        tagged_vlans=(),
    )
