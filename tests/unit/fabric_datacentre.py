"""The reference datacentre with tenants in it, and on other platforms."""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_interface
from typing import Any

import msgspec
import reference

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot

replace = msgspec.structs.replace

# How the ports of our switches are called on other platforms.
PORTS = {
    "arista_eos": (("swp", "Ethernet"), ("lo", "Loopback0"), ("eth0", "Management1")),
    "cisco_nxos": (("swp", "Ethernet1/"), ("lo", "loopback0"), ("eth0", "mgmt0")),
}


def datacentre(content: Content) -> Datacentre:
    return Datacentre(Snapshot(content))


def find(content: Content, list_name: str, **wanted: Any) -> Any:
    """The one record of a list with these values."""
    (found,) = [
        record
        for record in getattr(content, list_name)
        if all(getattr(record, name) == value for name, value in wanted.items())
    ]
    return found


def edited(content: Content, list_name: str, record: r.Record, **changes: Any) -> Content:
    """The content with a record changed."""
    records = [
        replace(each, **changes) if each.id == record.id else each
        for each in getattr(content, list_name)
    ]
    return replace(content, **{list_name: tuple(records)})


def added(content: Content, list_name: str, *records: r.Record) -> Content:
    return replace(content, **{list_name: (*getattr(content, list_name), *records)})


def next_id(content: Content, list_name: str) -> int:
    return max(record.id for record in getattr(content, list_name)) + 1


def changed(content: Content, list_name: str, change: Callable[[Any], Any]) -> Content:
    """The content with every record of a list as `change` makes it."""
    return replace(content, **{list_name: tuple(map(change, getattr(content, list_name)))})


def port(content: Content, device: str, name: str) -> r.Interface:
    owner = find(content, "devices", name=device)
    found: r.Interface = find(content, "interfaces", device=owner.id, name=name)
    return found


def without(content: Content, names: Iterable[str]) -> Content:
    """The content without these devices, their ports and what is plugged into them."""
    gone = {device.id for device in content.devices if device.name in set(names)}
    ports = {i.id for i in content.interfaces if i.device in gone}
    cables = {i.cable for i in content.interfaces if i.id in ports and i.cable}
    return replace(
        content,
        devices=tuple(d for d in content.devices if d.id not in gone),
        interfaces=tuple(
            replace(i, cable=None, cable_end=None) if i.cable in cables else i
            for i in content.interfaces
            if i.device not in gone
        ),
        cables=tuple(c for c in content.cables if c.id not in cables),
        ip_addresses=tuple(a for a in content.ip_addresses if a.assigned_object_id not in ports),
    )


def cabled(content: Content, a: r.Interface, b: r.Interface) -> Content:
    """The content with a cable between two interfaces."""
    number = next_id(content, "cables")
    ends = [(r.Termination(object_type="dcim.interface", object_id=end.id),) for end in (a, b)]
    cable = r.Cable(id=number, status="connected", a_terminations=ends[0], b_terminations=ends[1])
    content = edited(content, "interfaces", a, cable=number, cable_end="A")
    content = edited(content, "interfaces", b, cable=number, cable_end="B")
    return added(content, "cables", cable)


def machine(content: Content, name: str, ports: Iterable[str], **group: Any) -> Content:
    """The content with a tenant's machine of those ports; in a group with those fields, if any."""
    like = find(content, "devices", name="compute-a1-01")
    device = replace(
        like, id=next_id(content, "devices"), name=name, primary_ip4=None, oob_ip=None, serial=name
    )
    content = added(content, "devices", device)
    number = next_id(content, "interfaces")
    lag = number if group else None
    if group:
        bond = r.Interface(id=number, device=device.id, name="bond0", type="lag", **group)
        content = added(content, "interfaces", bond)
    made = [
        r.Interface(id=number + i, device=device.id, name=each, type="25gbase-x-sfp28", lag=lag)
        for i, each in enumerate(ports, start=1)
    ]
    return added(content, "interfaces", *made)


def tenant_vrf(content: Content, slug: str, number: int) -> Content:
    """The content with a VRF of a tenant's, which has the tenant's slug as its name."""
    tenant = find(content, "tenants", slug=slug)
    target = r.RouteTarget(
        id=next_id(content, "route_targets"), name=f"4200000000:{number}", tenant=tenant.id
    )
    vrf = r.VRF(
        id=next_id(content, "vrfs"), name=slug, rd=target.name, tenant=tenant.id,
        import_targets=(target.id,), export_targets=(target.id,),
        custom_fields={"l3vni": 50_000 + number},
    )  # fmt: skip
    return added(added(content, "route_targets", target), "vrfs", vrf)


def with_tenants(content: Content) -> Content:
    """AP-HP rents a rack of aisle 1 and has machines on the tenant leafs there.

    One machine on both leafs, with two tagged VLANs; one on a single port with a tagged and an
    untagged VLAN; one on two ports of one leaf. Its prefixes have one IPv4 gateway, one each of
    IPv4 and IPv6, and none. It imports what a second target marks as well.
    """
    tenant = find(content, "tenants", slug="ap-hp")
    content = tenant_vrf(content, "ap-hp", 102)
    vrf = find(content, "vrfs", name="ap-hp")
    content = edited(content, "racks", find(content, "racks", name="A1-R07"), tenant=tenant.id)
    more = r.RouteTarget(id=next_id(content, "route_targets"), name="4200000000:2102",
                         tenant=tenant.id)  # fmt: skip
    content = added(content, "route_targets", more)
    content = edited(content, "vrfs", vrf, import_targets=(*vrf.import_targets, more.id))
    gateways = (("10.80.1.1/24",), ("10.80.2.1/24", "2001:db8:80:2::1/64"), ())
    for place, addresses in enumerate(gateways):
        content = tenant_vlan(content, 1000 + place, tenant.id, vrf.id, addresses)
    vlans = {vlan.vid: vlan.id for vlan in content.vlans}
    tagged = (vlans[1001], vlans[1002])
    content = machine(content, "ap-hp-1", ["eno1", "eno2"], mode="tagged", mtu=9000,
                      untagged_vlan=vlans[1000], tagged_vlans=())  # fmt: skip
    bond = port(content, "ap-hp-1", "bond0")
    number = next_id(content, "interfaces")
    content = added(content, "interfaces", *(
        r.Interface(id=number + i, device=bond.device, name=f"bond0.{1001 + i}", type="virtual",
                    parent=bond.id, untagged_vlan=vlan)
        for i, vlan in enumerate(tagged)
    ))  # fmt: skip
    content = edited(content, "interfaces", bond, tagged_vlans=tagged)
    content = machine(content, "ap-hp-2", ["eno1"])
    single = port(content, "ap-hp-2", "eno1")
    # An appliance whose ports NetBox says nothing of: the switch's own port does.
    content = edited(
        content, "interfaces", port(content, "leaf-a1-ta", "swp2"), mode="tagged",
        untagged_vlan=vlans[1000], tagged_vlans=(vlans[1001],),
    )  # fmt: skip
    content = machine(content, "ap-hp-3", ["eno1", "eno2"], mode="access",
                      untagged_vlan=vlans[1000])  # fmt: skip
    for near, (switch, far) in (
        (port(content, "ap-hp-1", "eno1"), ("leaf-a1-ta", "swp1")),
        (port(content, "ap-hp-1", "eno2"), ("leaf-a1-tb", "swp1")),
        (single, ("leaf-a1-ta", "swp2")),
        (port(content, "ap-hp-3", "eno1"), ("leaf-a1-ta", "swp3")),
        (port(content, "ap-hp-3", "eno2"), ("leaf-a1-ta", "swp4")),
    ):
        content = cabled(content, near, port(content, switch, far))
    return content


def tenant_vlan(
    content: Content, vid: int, tenant: int, vrf: int, gateways: Iterable[str]
) -> Content:
    """The content with a VLAN of AP-HP's that is routed in that VRF by these gateways."""
    target = r.RouteTarget(
        id=next_id(content, "route_targets"), name=f"4200000000:1{vid}", tenant=tenant
    )
    vlan = r.VLAN(
        id=next_id(content, "vlans"), vid=vid, name=f"ap-hp-{vid}", status="active", tenant=tenant
    )
    l2vpn = r.L2VPN(
        id=next_id(content, "l2vpns"), name=vlan.name, slug=vlan.name, type="vxlan-evpn",
        identifier=10_000 + vid, tenant=tenant, import_targets=(target.id,),
        export_targets=(target.id,),
    )  # fmt: skip
    end = r.L2VPNTermination(
        id=next_id(content, "l2vpn_terminations"), l2vpn=l2vpn.id,
        assigned_object_type="ipam.vlan", assigned_object_id=vlan.id,
    )  # fmt: skip
    content = added(content, "route_targets", target)
    content = added(content, "vlans", vlan)
    content = added(content, "l2vpns", l2vpn)
    content = added(content, "l2vpn_terminations", end)
    for address in gateways:
        bits = re.sub(r"(.*\D)1/(\d+)", r"\g<1>0/\2" if "." in address else r"\1/\2", address)
        prefix = r.Prefix(
            id=next_id(content, "prefixes"), prefix=bits, status="active", vrf=vrf, vlan=vlan.id,
            tenant=tenant,
        )  # fmt: skip
        gateway = r.IPAddress(
            id=next_id(content, "ip_addresses"), address=address, status="active", vrf=vrf,
            role="anycast",
        )  # fmt: skip
        content = added(content, "prefixes", prefix)
        content = added(content, "ip_addresses", gateway)
    return content


def edge(content: Content, name: str, tenant: str, asn: int | None) -> Content:
    """The content with a tenant's own equipment, of role tenant-edge, in A1-R07."""
    role = find(content, "device_roles", slug="tenant-edge").id
    device = r.Device(
        id=next_id(content, "devices"), name=name, status="planned",
        device_type=find(content, "device_types", slug="tenant-edge").id,
        role=role, tenant=find(content, "tenants", slug=tenant).id, site=1,
        rack=find(content, "racks", name="A1-R07").id, face="front",
        position=42.0 - sum(each.role == role for each in content.devices),
        location=find(content, "locations", slug="aisle-1").id,
        custom_fields={"bgp_asn": asn} if asn else {},
    )  # fmt: skip
    content = added(content, "devices", device)
    number = next_id(content, "interfaces")
    kinds = {f"et{n}": "25gbase-x-sfp28" for n in (1, 2, 3, 4)} | {"mgmt": "1000base-t"}
    return added(content, "interfaces", *(
        r.Interface(id=number + i, device=device.id, name=each, type=kind, mgmt_only=each == "mgmt")
        for i, (each, kind) in enumerate(kinds.items())
    ))  # fmt: skip


def handed_off(
    content: Content, near: tuple[str, str], far: tuple[str, str], vrf: str, *links: tuple[str, str]
) -> Content:
    """The content with a cable from a switch's port in that VRF to a tenant's, both addressed."""
    number = find(content, "vrfs", name=vrf).id
    for place, end in enumerate((near, far)):
        content = edited(content, "interfaces", port(content, *end), vrf=None if place else number)
        for link in links:
            address = r.IPAddress(
                id=next_id(content, "ip_addresses"), address=link[place], status="active",
                vrf=number, assigned_object_type="dcim.interface",
                assigned_object_id=port(content, *end).id,
            )  # fmt: skip
            content = added(content, "ip_addresses", address)
    for link in links:
        content = _prefix(content, str(ip_interface(link[0]).network), "tenant-link", vrf)
    return cabled(content, port(content, *near), port(content, *far))


def _prefix(content: Content, prefix: str, role: str, vrf: str, status: str = "active") -> Content:
    owner = find(content, "vrfs", name=vrf)
    return added(content, "prefixes", r.Prefix(
        id=next_id(content, "prefixes"), prefix=prefix, status=status, vrf=owner.id,
        role=find(content, "roles", slug=role).id, tenant=owner.tenant,
    ))  # fmt: skip


def with_handoffs(content: Content) -> Content:
    """AP-HP routes in aisle 1 too: over IPv4 on both leafs, over IPv6 and with jumbo frames on one.

    Of its networks one may be announced in parts and one only whole; a third is not its any more.
    """
    content = edge(content, "edge-ap-hp-a1", "ap-hp", 4_210_000_000)
    content = handed_off(
        content, ("leaf-a1-ta", "swp5"), ("edge-ap-hp-a1", "et1"), "ap-hp",
        ("10.79.0.0/31", "10.79.0.1/31"), ("2001:db8:79::/127", "2001:db8:79::1/127"),
    )  # fmt: skip
    content = handed_off(
        content, ("leaf-a1-tb", "swp5"), ("edge-ap-hp-a1", "et2"), "ap-hp",
        ("10.79.0.2/31", "10.79.0.3/31"),
    )  # fmt: skip
    jumbo = port(content, "edge-ap-hp-a1", "et1")
    content = edited(content, "interfaces", jumbo, mtu=9000)
    for prefix, status in (
        ("10.96.0.0/20", "active"), ("10.96.16.0/29", "reserved"), ("10.96.17.0/24", "deprecated"),
    ):  # fmt: skip
        content = _prefix(content, prefix, "tenant-announced", "ap-hp", status)
    return content


def on_platform(content: Content, slug: str) -> Content:
    """The content with every switch of that platform, and its ports called as it calls them."""
    platform = find(content, "platforms", slug=slug)
    switches = {d.id for d in content.devices if d.platform == _frr(content)}
    names = PORTS.get(slug, ())

    def renamed(interface: r.Interface) -> r.Interface:
        for old, new in names:
            if interface.device in switches and re.fullmatch(rf"{old}\d*", interface.name):
                return replace(interface, name=interface.name.replace(old, new, 1))
        if interface.device in switches and interface.type == "lag":
            return replace(interface, name=_GROUPS.get(slug, interface.name))
        return interface

    content = changed(content, "interfaces", renamed)
    return changed(
        content, "devices", lambda d: replace(d, platform=platform.id) if d.id in switches else d
    )


# The group of an out-of-band switch's ports 49 and 50.
_GROUPS = {"arista_eos": "Port-Channel49", "cisco_nxos": "port-channel49"}


def _frr(content: Content) -> int:
    number: int = find(content, "platforms", slug="frr").id
    return number


def tenants() -> Content:
    return with_handoffs(with_tenants(reference.content()))
