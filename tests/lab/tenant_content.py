"""The reference datacentre with three tenants on the tenant leafs, as onboarding leaves NetBox."""

import msgspec
import reference
from fabric_datacentre import added, cabled, edited, find, next_id, port

from chapelle.model import records as r
from chapelle.model.records import Content
from chapelle.model.tenancy import ANNOUNCED, EDGE, EDGE_GROUP, LINK, NETWORK, edge_name, vrf_name


class Guest(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant: its racks by aisle, and its networks with their prefixes."""

    slug: str
    l3vni: int
    racks: dict[str, str]
    networks: dict[str, str]
    unrouted: tuple[str, ...] = ()
    oob: str
    asn: int | None = None
    links: tuple[str, ...] = ()
    port: int
    vid: int


GUESTS = (
    Guest(
        slug="ap-hp", l3vni=50_200, racks={"1": "A1-R07", "2": "A2-R07"},
        networks={"wards": "10.80.0.0/24", "imaging": "10.80.1.0/24"}, unrouted=("imaging",),
        oob="10.80.8.0/24", port=1, vid=1000,
    ),
    Guest(
        slug="paris-habitat", l3vni=50_201, racks={"1": "A1-R13", "2": "A2-R13"},
        networks={"public": "10.80.2.0/24"}, oob="10.80.9.0/24", asn=4_210_000_000,
        links=("10.79.0.0/31", "10.79.0.2/31", "10.79.0.4/31", "10.79.0.6/31"), port=2, vid=1010,
    ),
    Guest(
        slug="eau-de-paris", l3vni=50_202, racks={"2": "A2-R19"},
        networks={"telemetry": "10.80.3.0/24"}, oob="10.80.10.0/24", port=3, vid=1020,
    ),
)  # fmt: skip


def content() -> Content:
    """All three."""
    found = reference.content()
    for guest in GUESTS:
        found = _onboarded(found, guest)
    return found


def _onboarded(content: Content, guest: Guest) -> Content:
    tenant = find(content, "tenants", slug=guest.slug).id
    content, target = _target(content, guest.l3vni, tenant)
    fields = {"l3vni": guest.l3vni, "request": f"REQ-{guest.slug}", "maximum_prefixes": 5}
    vrf = r.VRF(
        id=next_id(content, "vrfs"), name=vrf_name(guest.slug, guest.l3vni), tenant=tenant,
        rd=f"4200000000:{guest.l3vni}", import_targets=(target,), export_targets=(target,),
        custom_fields=fields,
    )  # fmt: skip
    content = added(content, "vrfs", vrf)
    vlans = []
    for place, (name, prefix) in enumerate(guest.networks.items()):
        if guest.asn:
            content = _prefix(content, prefix, tenant, vrf.id, ANNOUNCED)
        else:
            content = _network(content, guest, guest.vid + place, name, prefix, tenant, vrf.id)
            vlans.append(content.vlans[-1].id)
    content = _network(content, guest, guest.vid + 9, "oob", guest.oob, tenant, vrf.id)
    links = list(guest.links)
    for aisle, rack in guest.racks.items():
        racked = find(content, "racks", name=rack)
        content = edited(content, "racks", racked, tenant=tenant, status="active")
        content = _edge(content, guest, aisle, rack, tenant, vrf.id, vlans, links)
    return content


def _target(content: Content, number: int, tenant: int) -> tuple[Content, int]:
    target = r.RouteTarget(
        id=next_id(content, "route_targets"), name=f"4200000000:{number}", tenant=tenant
    )
    return added(content, "route_targets", target), target.id


def _prefix(  # noqa: PLR0917
    content: Content, prefix: str, tenant: int, vrf: int, role: str, vlan: int | None = None
) -> Content:
    return added(content, "prefixes", r.Prefix(
        id=next_id(content, "prefixes"), prefix=prefix, status="active", vrf=vrf, tenant=tenant,
        role=find(content, "roles", slug=role).id, vlan=vlan,
    ))  # fmt: skip


def _network(  # noqa: PLR0917
    content: Content, guest: Guest, vid: int, name: str, prefix: str, tenant: int, vrf: int
) -> Content:
    full = f"{guest.slug}-{name}"
    content, target = _target(content, 19_000 + vid, tenant)
    vlan = r.VLAN(id=next_id(content, "vlans"), vid=vid, name=full, status="active", tenant=tenant)
    l2vpn = r.L2VPN(
        id=next_id(content, "l2vpns"), name=full, slug=full, type="vxlan-evpn",
        identifier=19_000 + vid, tenant=tenant, import_targets=(target,), export_targets=(target,),
    )  # fmt: skip
    end = r.L2VPNTermination(
        id=next_id(content, "l2vpn_terminations"), l2vpn=l2vpn.id,
        assigned_object_type="ipam.vlan", assigned_object_id=vlan.id,
    )  # fmt: skip
    content = added(content, "vlans", vlan)
    content = added(content, "l2vpns", l2vpn)
    content = added(content, "l2vpn_terminations", end)
    content = _prefix(content, prefix, tenant, vrf, NETWORK, vlan.id)
    if name in guest.unrouted:
        return content
    return _address(content, prefix.replace(".0/", ".1/"), tenant, vrf, role="anycast")


def _address(
    content: Content, address: str, tenant: int, vrf: int, *, role: str | None = None,
    interface: int | None = None,
) -> Content:  # fmt: skip
    return added(content, "ip_addresses", r.IPAddress(
        id=next_id(content, "ip_addresses"), address=address, status="active", vrf=vrf,
        tenant=tenant, role=role, assigned_object_id=interface,
        assigned_object_type="dcim.interface" if interface else None,
    ))  # fmt: skip


def _edge(  # noqa: PLR0917
    content: Content, guest: Guest, aisle: str, rack: str, tenant: int, vrf: int,
    vlans: list[int], links: list[str],
) -> Content:  # fmt: skip
    racked = find(content, "racks", name=rack)
    device = r.Device(
        id=next_id(content, "devices"), name=edge_name(guest.slug, aisle), status="planned",
        device_type=find(content, "device_types", slug="tenant-edge").id, tenant=tenant,
        role=find(content, "device_roles", slug=EDGE).id, site=racked.site, rack=racked.id,
        location=racked.location, position=42.0, face="front",
        custom_fields={"request": f"REQ-{guest.slug}", "bgp_asn": guest.asn},
    )  # fmt: skip
    content = added(content, "devices", device)
    number = next_id(content, "interfaces")
    group = None
    if not guest.asn:
        group = number
        content = added(content, "interfaces", r.Interface(
            id=number, device=device.id, name=EDGE_GROUP, type="lag", mode="tagged",
            tagged_vlans=tuple(vlans),
        ))  # fmt: skip
    fast = [*(f"et{n}" for n in range(1, 5)), "xc1", "xc2"]
    content = added(content, "interfaces", *(
        r.Interface(id=number + n, device=device.id, name=name, type="25gbase-x-sfp28",
                    lag=group if name in {"et1", "et2"} else None)
        for n, name in enumerate(fast, start=1)
    ))  # fmt: skip
    content = added(
        content,
        "interfaces",
        r.Interface(
            id=number + 9, device=device.id, name="mgmt", type="1000base-t", mgmt_only=True
        ),
    )
    host = guest.oob.replace(".0/", f".{10 + int(aisle)}/")
    content = _address(content, host, tenant, vrf, interface=number + 9)
    managed = content.ip_addresses[-1].id
    content = edited(content, "devices", device, oob_ip=managed)
    oob = port(content, f"oob-a{aisle}-1", f"swp{guest.port + 30}")
    content = edited(
        content, "interfaces", oob, mode="access", untagged_vlan=find(
            content, "vlans", name=f"{guest.slug}-oob").id,
    )  # fmt: skip
    content = cabled(
        content, port(content, device.name, "mgmt"), port(content, f"oob-a{aisle}-1", oob.name)
    )
    for name, leaf in (("et1", "ta"), ("et2", "tb")):
        near, far = port(content, device.name, name), f"leaf-a{aisle}-{leaf}"
        content = cabled(content, near, port(content, far, f"swp{guest.port}"))
        if guest.asn:
            prefix = links.pop(0)
            switch = port(content, far, f"swp{guest.port}")
            content = edited(content, "interfaces", switch, vrf=vrf)
            content = _prefix(content, prefix, tenant, vrf, LINK)
            content = _address(content, prefix, tenant, vrf, interface=switch.id)
            last = int(prefix.partition("/")[0].rpartition(".")[2]) + 1
            odd = f"{prefix.partition('/')[0].rpartition('.')[0]}.{last}/31"
            content = _address(content, odd, tenant, vrf, interface=near.id)
    return content
