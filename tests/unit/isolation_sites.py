"""The reference datacentre with three tenants in it, as an onboarding leaves them in NetBox."""

from typing import Any

import fabric_datacentre as f
import msgspec
import reference

from chapelle.model import records as r
from chapelle.model.records import Content
from chapelle.model.references import MODELS

replace = msgspec.structs.replace


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant: where, and with which numbers. `port` is its port on both leafs of each pair."""

    slug: str
    number: int
    aisles: tuple[int, ...]
    rack: int
    port: int
    oob_port: int
    networks: tuple[str, ...] = ("lan", "dmz")


TENANTS = (
    Tenant(slug="ap-hp", number=0, aisles=(1, 2), rack=7, port=1, oob_port=14),
    Tenant(slug="paris-habitat", number=1, aisles=(1,), rack=9, port=2, oob_port=15),
    Tenant(slug="eau-de-paris", number=2, aisles=(3,), rack=7, port=1, oob_port=14),
)


class Site:
    """A content that is being added to."""

    def __init__(self, content: Content) -> None:
        self.lists: dict[str, dict[int, Any]] = {
            name: {record.id: record for record in getattr(content, name)}
            for name in content.__struct_fields__
        }

    def content(self) -> Content:
        return Content(**{name: tuple(records.values()) for name, records in self.lists.items()})

    def add(self, name: str, kind: type[r.Record], /, **fields: Any) -> Any:
        number = max(self.lists[name], default=0) + 1
        self.lists[name][number] = made = kind(id=number, **fields)
        return made

    def change(self, name: str, record: r.Record, /, **fields: Any) -> Any:
        self.lists[name][record.id] = made = replace(self.lists[name][record.id], **fields)
        return made

    def find(self, name: str, /, **wanted: Any) -> Any:
        for record in self.lists[name].values():
            if all(getattr(record, field) == value for field, value in wanted.items()):
                return record
        raise LookupError((name, wanted))

    def port(self, device: str, name: str, kind: str = "interfaces") -> Any:
        return self.find(kind, device=self.find("devices", name=device).id, name=name)

    def cable(self, a: Any, b: Any, kinds: tuple[str, str] = ("interfaces", "interfaces")) -> Any:
        for end, kind in zip((a, b), kinds, strict=True):
            self.uncable(self.lists[kind][end.id].cable)
        ends = [
            (r.Termination(object_type=MODELS[kind], object_id=end.id),)
            for end, kind in zip((a, b), kinds, strict=True)
        ]
        cable = self.add(
            "cables", r.Cable, status="connected", a_terminations=ends[0], b_terminations=ends[1]
        )
        for end, kind in zip((a, b), kinds, strict=True):
            self.change(kind, end, cable=cable.id)
        return cable

    def uncable(self, number: int | None) -> None:
        if number is None:
            return
        del self.lists["cables"][number]
        for name in (
            "interfaces", "power_ports", "power_outlets", "power_feeds", "front_ports",
            "rear_ports",
        ):  # fmt: skip
            for record in list(self.lists[name].values()):
                if record.cable == number:
                    self.change(name, record, cable=None)


def site() -> Site:
    """Three tenants: AP-HP in two aisles, Paris Habitat beside it, Eau de Paris elsewhere."""
    made = Site(reference.content())
    for tenant in TENANTS:
        _tenant(made, tenant)
    return made


def content() -> Content:
    return site().content()


def _tenant(made: Site, tenant: Tenant) -> None:
    owner = made.find("tenants", slug=tenant.slug).id
    l3vni = 50_200 + tenant.number
    target = made.add("route_targets", r.RouteTarget, name=f"4200000000:{l3vni}", tenant=owner)
    vrf = made.add(
        "vrfs", r.VRF, name=tenant.slug, rd=target.name, tenant=owner,
        import_targets=(target.id,), export_targets=(target.id,),
        custom_fields={"l3vni": l3vni, "request": tenant.slug},
    )  # fmt: skip
    vlans = [_network(made, tenant, vrf, place, name) for place, name in enumerate(tenant.networks)]
    oob = _network(made, tenant, vrf, 9, "oob")
    for aisle in tenant.aisles:
        _aisle(made, tenant, aisle, [vlan.id for vlan in vlans], oob)


def _network(made: Site, tenant: Tenant, vrf: r.VRF, place: int, name: str) -> r.VLAN:
    owner = vrf.tenant
    vid, l2vni = 1000 + 10 * tenant.number + place, 20_000 + 10 * tenant.number + place
    title = f"{tenant.slug}-{name}"
    vlan: r.VLAN = made.add(
        "vlans", r.VLAN, vid=vid, name=title, status="active", site=1, tenant=owner
    )
    target = made.add("route_targets", r.RouteTarget, name=f"4200000000:{l2vni}", tenant=owner)
    l2vpn = made.add(
        "l2vpns", r.L2VPN, name=title, slug=title, type="vxlan-evpn", identifier=l2vni,
        tenant=owner, import_targets=(target.id,), export_targets=(target.id,),
    )  # fmt: skip
    made.add(
        "l2vpn_terminations", r.L2VPNTermination, l2vpn=l2vpn.id,
        assigned_object_type="ipam.vlan", assigned_object_id=vlan.id,
    )  # fmt: skip
    network = f"10.8{tenant.number}.{place}"
    role = made.find("roles", slug="tenant-network").id
    made.add(
        "prefixes", r.Prefix, prefix=f"{network}.0/24", status="active", vrf=vrf.id, vlan=vlan.id,
        tenant=owner, role=role,
    )  # fmt: skip
    made.add(
        "ip_addresses", r.IPAddress, address=f"{network}.1/24", status="active", vrf=vrf.id,
        tenant=owner, role="anycast",
    )  # fmt: skip
    return vlan


def _aisle(made: Site, tenant: Tenant, aisle: int, vlans: list[int], oob: r.VLAN) -> None:
    owner = oob.tenant
    name = f"edge-{tenant.slug}-a{aisle}"
    place = f"A{aisle}-R{tenant.rack:02d}"
    rack = made.find("racks", name=place)
    made.change("racks", rack, tenant=owner, status="active")
    made.add(
        "rack_reservations", r.RackReservation, rack=rack.id, tenant=owner, status="active",
        units=tuple(range(1, rack.u_height + 1)),
    )  # fmt: skip
    device = made.add(
        "devices", r.Device, name=name, status="active", tenant=owner, site=rack.site,
        device_type=made.find("device_types", slug="tenant-edge").id,
        role=made.find("device_roles", slug="tenant-edge").id,
        location=rack.location, rack=rack.id, position=42.0, face="front",
    )  # fmt: skip
    group = made.add(
        "interfaces", r.Interface, device=device.id, name="handoff", type="lag", mode="tagged",
        tagged_vlans=tuple(vlans),
    )  # fmt: skip
    ports = {}
    for port in ("et1", "et2", "et3", "et4", "xc1", "xc2", "mgmt"):
        ports[port] = made.add(
            "interfaces", r.Interface, device=device.id, name=port, type="25gbase-x-sfp28",
            mgmt_only=port == "mgmt", lag=group.id if port in ("et1", "et2") else None,
        )  # fmt: skip
    made.cable(ports["et1"], made.port(f"leaf-a{aisle}-ta", f"swp{tenant.port}"))
    made.cable(ports["et2"], made.port(f"leaf-a{aisle}-tb", f"swp{tenant.port}"))
    for number, side in enumerate("ab", start=1):
        cord = made.add("power_ports", r.PowerPort, device=device.id, name=f"PSU{number}")
        outlet = made.port(f"pdu-a{aisle}-r{tenant.rack:02d}-{side}", "outlet-01", "power_outlets")
        made.cable(cord, outlet, ("power_ports", "power_outlets"))
    _out_of_band(made, tenant, aisle, ports["mgmt"], oob)


def _out_of_band(made: Site, tenant: Tenant, aisle: int, mgmt: r.Interface, oob: r.VLAN) -> None:
    """The port says its VLAN, and so does the uplink of its switch."""
    switch = f"oob-a{aisle}-3"
    port = made.port(switch, f"swp{tenant.oob_port}")
    assert port.cable is None
    made.cable(mgmt, port)
    made.change("interfaces", port, mode="access", untagged_vlan=oob.id)
    uplink = made.port(switch, "uplink")
    made.change("interfaces", uplink, tagged_vlans=(*uplink.tagged_vlans, oob.id))


KEPT = (
    "leaf-a1-ta", "leaf-a1-tb", "leaf-a1-3a", "leaf-a1-3b", "leaf-a3-ta", "leaf-a3-tb",
    "oob-a1-3", "oob-a3-3", "spine-a1", "border-a1", "border-a4",
)  # fmt: skip


def small() -> Site:
    """The same with a few switches and servers only."""
    made = site()
    servers = sorted(
        device.name
        for device in made.lists["devices"].values()
        if device.rack == made.find("racks", name="A1-R05").id
        and (device.name or "").startswith(("compute", "storage"))
    )
    kept = {
        device.id
        for device in made.lists["devices"].values()
        if device.name in {*KEPT, *servers[:3]} or (device.name or "").startswith("edge-")
    }
    for name in ("interfaces", "power_ports", "power_outlets"):
        for record in list(made.lists[name].values()):
            if record.device not in kept:
                made.uncable(made.lists[name][record.id].cable)
                del made.lists[name][record.id]
    for record in list(made.lists["ip_addresses"].values()):
        if record.assigned_object_id and record.assigned_object_id not in made.lists["interfaces"]:
            del made.lists["ip_addresses"][record.id]
    made.lists["devices"] = {i: d for i, d in made.lists["devices"].items() if i in kept}
    for name in ("power_feeds", "inventory_items"):
        made.lists[name] = {}
    return made


def datacentre(made: Site) -> Any:
    return f.datacentre(made.content())
