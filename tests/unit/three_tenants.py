"""The reference datacentre with three tenants in it, side by side in every aisle.

AP-HP (24 racks, LACP on two ports a leaf, a cross-connect), Paris Habitat (12 racks, BGP) and Eau
de Paris (8 racks, LACP), as `inventory/design` and the onboarding of a request leave them. Names
are long, and have accents and apostrophes, where NetBox allows them.
"""

import ipaddress
from functools import cache
from typing import Any

import msgspec
import reference

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.references import record_type
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import edge_name, vrf_name

AISLES = ("1", "2", "3", "4")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's request as it was answered; `networks`: name, VLAN number, prefix."""

    slug: str
    reference: str
    racks: range
    watts: int
    number: int
    networks: tuple[tuple[str, int, str], ...]
    oob: tuple[int, str]
    ports: int = 1
    asn: int | None = None
    machine: str
    serial: str
    contact: tuple[str, str, str]


SPECS = (
    Spec(
        slug="ap-hp", reference="CONV-2026-031", racks=range(7, 13), watts=4000, number=50211,
        networks=(("imagerie", 1811, "10.80.16.0/22"), ("dossier-patient", 1812, "10.80.20.0/24"),
                  ("laboratoire", 1813, "10.80.21.0/24"), ("sauvegarde", 1814, "10.80.24.0/23")),
        oob=(1819, "10.80.31.0/24"), ports=2,
        machine="imagerie-hôpital-de-la-pitié-salpêtrière-l'étage-{}", serial="APH{}",
        contact=("Éloïse d'Aubigné-Lefèvre", "eloise.daubigne@aphp.example", "+33 1 40 27 30 00"),
    ),
    Spec(
        slug="paris-habitat", reference="CONV-2026-044", racks=range(13, 16), watts=3000,
        number=50322, networks=(("siege", 0, "10.83.64.0/22"), ("gardiens", 0, "10.83.72.0/24")),
        oob=(2729, "10.83.95.0/24"), asn=4210007722, machine="quittances-{}", serial="PHB{}",
        contact=("Gaëtan L'Hénoret", "gaetan.lhenoret@parishabitat.example", "+33 1 71 37 00 00"),
    ),
    Spec(
        slug="eau-de-paris", reference="CONV-2026-052", racks=range(16, 18), watts=2500,
        number=50433, networks=(("telegestion", 3631, "10.86.128.0/24"),),
        oob=(3639, "10.86.159.0/24"), machine="captage-dhuis-{}", serial="EDP{}",
        contact=("Zoé Œuvrard", "zoe.oeuvrard@eaudeparis.example", "+33 1 58 06 34 00"),
    ),
)  # fmt: skip
SLUGS = tuple(spec.slug for spec in SPECS)


@cache
def content() -> Content:
    """The reference datacentre with all three."""
    draft = Draft(reference.content())
    panel = _panel(draft)
    for place, spec in enumerate(SPECS):
        _Onboarding(draft, spec, place).run(panel if spec.slug == "ap-hp" else None)
    return draft.content()


def datacentre() -> Datacentre:
    return Datacentre(Snapshot(content()))


class Draft:
    """A content that can be written to, a record at a time."""

    def __init__(self, content: Content) -> None:
        names = Content.__struct_fields__
        self.lists: dict[str, dict[int, Any]] = {
            name: {record.id: record for record in getattr(content, name)} for name in names
        }

    def content(self) -> Content:
        return Content(**{name: tuple(records.values()) for name, records in self.lists.items()})

    def add(self, list_name: str, **fields: Any) -> int:
        number = max(self.lists[list_name], default=0) + 1
        self.lists[list_name][number] = record_type(list_name)(id=number, **fields)
        return number

    def set(self, list_name: str, number: int, **fields: Any) -> None:
        old = self.lists[list_name][number]
        self.lists[list_name][number] = msgspec.structs.replace(old, **fields)

    def find(self, list_name: str, **wanted: Any) -> Any:
        """The first record with these values."""
        return next(
            record
            for record in self.lists[list_name].values()
            if all(getattr(record, name) == value for name, value in wanted.items())
        )

    def cable(self, a: tuple[str, int], b: tuple[str, int], **fields: Any) -> int:
        """A cable between two ports, each a list and an id."""
        types = {"interfaces": "dcim.interface", "power_ports": "dcim.powerport",
                 "power_outlets": "dcim.poweroutlet", "front_ports": "dcim.frontport"}  # fmt: skip
        ends = [(r.Termination(object_type=types[kind], object_id=n),) for kind, n in (a, b)]
        cable = self.add(
            "cables", status="connected", a_terminations=ends[0], b_terminations=ends[1], **fields
        )
        for side, (kind, number) in (("A", a), ("B", b)):
            end = {"cable_end": side} if kind == "interfaces" else {}
            self.set(kind, number, cable=cable, **end)
        return cable


def _panel(draft: Draft) -> int:
    """A patch panel of the operator's, where the lines of carriers end; its front port."""
    like = draft.find("devices", name="oob-a1-1")
    role = draft.add("device_roles", name="Patch panel", slug="patch-panel")
    device = draft.add(
        "devices", name="panneau-opérateurs-a1", role=role, device_type=like.device_type,
        site=like.site, status="active", rack=like.rack, tenant=like.tenant,
    )  # fmt: skip
    rear = draft.add("rear_ports", device=device, name="arrière-1", positions=2)
    mapping = r.PortMapping(position=1, rear_port=rear, rear_port_position=1)
    return draft.add("front_ports", device=device, name="avant-1", rear_ports=(mapping,))


class _Onboarding:
    def __init__(self, draft: Draft, spec: Spec, place: int) -> None:
        self.draft = draft
        self.spec = spec
        self.place = place
        self.tenant = draft.find("tenants", slug=spec.slug).id
        self.fields = {"request": spec.reference}
        self.site = draft.find("sites", slug="chapelle").id
        self.roles = {role.slug: role.id for role in draft.lists["roles"].values()}
        self.links = iter(ipaddress.ip_network("10.79.8.0/24").subnets(new_prefix=31))

    def run(self, panel: int | None) -> None:
        self.contact()
        self.vrf = self.make_vrf()
        lacp = self.spec.asn is None
        self.vlans = [self.make_vlan(*network) for network in self.spec.networks if lacp]
        self.oob = self.make_vlan("oob", *self.spec.oob)
        if self.spec.asn:
            self.draft.add("asns", asn=self.spec.asn, tenant=self.tenant, custom_fields=self.fields)
            for _, _, prefix in self.spec.networks:
                self.prefix(prefix, "tenant-announced")
        for aisle in AISLES:
            self.aisle(aisle)
        if panel is not None:
            edge = self.draft.find("devices", name=edge_name(self.spec.slug, "1"))
            port = self.draft.find("interfaces", device=edge.id, name="xc1")
            self.draft.cable(
                ("interfaces", port.id), ("front_ports", panel), type="smf-os2",
                label="XC AP-HP / opérateur", tenant=self.tenant, length=12.5, length_unit="m",
            )  # fmt: skip

    def contact(self) -> None:
        name, email, phone = self.spec.contact
        contact = self.draft.add(
            "contacts", name=name, title="Signataire", email=email, phone=phone
        )
        self.draft.add(
            "contact_assignments", object_type="tenancy.tenant", object_id=self.tenant,
            contact=contact, role=self.draft.find("contact_roles", slug="signatory").id,
        )  # fmt: skip

    def make_vrf(self) -> int:
        target = self.target(self.spec.number)
        return self.draft.add(
            "vrfs", name=vrf_name(self.spec.slug, self.spec.number),
            rd=f"4200000000:{self.spec.number}", tenant=self.tenant, import_targets=(target,),
            export_targets=(target,), custom_fields={
                **self.fields, "l3vni": self.spec.number,
                "maximum_prefixes": 40 if self.spec.asn else None,
            },
        )  # fmt: skip

    def target(self, number: int) -> int:
        return self.draft.add(
            "route_targets", name=f"4200000000:{number}", tenant=self.tenant,
            custom_fields=self.fields,
        )  # fmt: skip

    def prefix(self, prefix: str, role: str, vlan: int | None = None) -> None:
        self.draft.add(
            "prefixes", prefix=prefix, status="active", vrf=self.vrf, tenant=self.tenant,
            role=self.roles[role], vlan=vlan, custom_fields=self.fields,
        )  # fmt: skip

    def make_vlan(self, name: str, vid: int, prefix: str) -> int:
        name = f"{self.spec.slug}-{name}"
        vni = 20_000 + vid
        vlan = self.draft.add(
            "vlans", vid=vid, name=name, status="active", site=self.site, tenant=self.tenant,
            custom_fields=self.fields,
        )  # fmt: skip
        target = self.target(vni)
        l2vpn = self.draft.add(
            "l2vpns", name=name, slug=name, type="vxlan-evpn", identifier=vni, tenant=self.tenant,
            import_targets=(target,), export_targets=(target,), custom_fields=self.fields,
        )  # fmt: skip
        self.draft.add(
            "l2vpn_terminations", l2vpn=l2vpn, assigned_object_type="ipam.vlan",
            assigned_object_id=vlan,
        )  # fmt: skip
        self.prefix(prefix, "tenant-network", vlan)
        network = ipaddress.ip_network(prefix)
        self.address(f"{network[1]}/{network.prefixlen}", role="anycast")
        return vlan

    def address(self, address: str, **fields: Any) -> None:
        self.draft.add(
            "ip_addresses", address=address, status="active", vrf=self.vrf, tenant=self.tenant,
            **fields,
        )  # fmt: skip

    # -- in an aisle ------------------------------------------------------------------------------

    def aisle(self, aisle: str) -> None:
        names = [f"A{aisle}-R{number:02d}" for number in self.spec.racks]
        racks = [self.draft.find("racks", name=name) for name in names]
        for rack in racks:
            self.let(rack)
        edge = self.device(edge_name(self.spec.slug, aisle), "tenant-edge", racks[0], 42, "planned")
        if self.spec.asn:
            self.draft.set("devices", edge, custom_fields={"bgp_asn": self.spec.asn, **self.fields})
        self.power(edge, racks[0])
        self.network(edge, aisle)
        self.out_of_band(edge, aisle)
        for number, rack in enumerate(racks):
            name = self.spec.machine.format(f"{aisle}{number:02d}")
            self.device(name, "storage-2u", rack, 20 + number, "active")

    def let(self, rack: r.Rack) -> None:
        self.draft.set(
            "racks", rack.id, tenant=self.tenant, status="active", custom_fields={
                **self.fields, "contracted_watts": self.spec.watts, "let_until": "2031-03-31",
            },
        )  # fmt: skip
        self.draft.add(
            "rack_reservations", rack=rack.id, units=tuple(range(1, rack.u_height + 1)),
            tenant=self.tenant, status="active", description=self.spec.reference,
            custom_fields={**self.fields, "held_until": "2026-12-31"},
        )  # fmt: skip
        for feed in [f for f in self.draft.lists["power_feeds"].values() if f.rack == rack.id]:
            self.draft.set("power_feeds", feed.id, tenant=self.tenant)

    def device(self, name: str, kind: str, rack: r.Rack, position: int, status: str) -> int:
        """A device with the ports of its type; as large as a device of the design."""
        device_type = self.draft.find("device_types", slug=kind).id
        role = "tenant-edge" if kind == "tenant-edge" else "storage"
        device = self.draft.add(
            "devices", name=name, device_type=device_type, site=self.site, status=status,
            role=self.draft.find("device_roles", slug=role).id, location=rack.location,
            rack=rack.id, position=float(position), face="front", tenant=self.tenant,
            serial=self.spec.serial.format(f"{len(self.draft.lists['devices']):05d}"),
            custom_fields=self.fields,
        )  # fmt: skip
        if kind == "tenant-edge":
            for port in ("et1", "et2", "et3", "et4", "xc1", "xc2", "mgmt"):
                self.draft.add(
                    "interfaces", device=device, name=port, mgmt_only=port == "mgmt",
                    type="1000base-t" if port == "mgmt" else "25gbase-x-sfp28",
                )  # fmt: skip
            for port in ("PSU1", "PSU2"):
                self.draft.add("power_ports", device=device, name=port, type="iec-60320-c14")
        return device

    def power(self, edge: int, rack: r.Rack) -> None:
        aisle, number = rack.name[1], rack.name[-2:]
        for port, side in (("PSU1", "a"), ("PSU2", "b")):
            pdu = self.draft.find("devices", name=f"pdu-a{aisle}-r{number}-{side}")
            outlet = self.draft.find("power_outlets", device=pdu.id, cable=None)
            cord = self.draft.find("power_ports", device=edge, name=port)
            self.draft.cable(("power_ports", cord.id), ("power_outlets", outlet.id))

    def network(self, edge: int, aisle: str) -> None:
        members = []
        for index in range(2 * self.spec.ports):
            near = self.draft.find("interfaces", device=edge, name=f"et{index + 1}")
            switch = self.draft.find("devices", name=f"leaf-a{aisle}-t{'ab'[index % 2]}")
            number = 1 + 2 * self.place + index // 2
            far = self.draft.find("interfaces", device=switch.id, name=f"swp{number}")
            self.draft.cable(
                ("interfaces", near.id), ("interfaces", far.id), type="mmf-om4", color="00bcd4",
                label=f"{self.spec.reference}-A{aisle}-{index + 1:02d}", tenant=self.tenant,
            )  # fmt: skip
            members.append(near.id)
            if self.spec.asn:
                self.link(near.id, far.id)
        if self.spec.asn is None:
            group = self.draft.add(
                "interfaces", device=edge, name="handoff", type="lag", mode="tagged", mtu=9000,
                tagged_vlans=tuple(self.vlans),
            )  # fmt: skip
            for member in members:
                self.draft.set("interfaces", member, lag=group)

    def link(self, near: int, far: int) -> None:
        network = next(self.links)
        self.prefix(str(network), "tenant-link")
        for interface, address in ((far, network[0]), (near, network[1])):
            self.draft.set("interfaces", interface, vrf=self.vrf)
            self.address(
                f"{address}/31", assigned_object_type="dcim.interface", assigned_object_id=interface
            )

    def out_of_band(self, edge: int, aisle: str) -> None:
        switch = self.draft.find("devices", name=f"oob-a{aisle}-1")
        far = next(
            i for i in self.draft.lists["interfaces"].values()
            if i.device == switch.id and i.cable is None and i.type == "1000base-t"
        )  # fmt: skip
        near = self.draft.find("interfaces", device=edge, name="mgmt")
        self.draft.cable(
            ("interfaces", near.id), ("interfaces", far.id), type="cat6a", tenant=self.tenant,
            label=f"{self.spec.reference}-A{aisle}-OOB",
        )  # fmt: skip
        self.draft.set("interfaces", far.id, mode="access", untagged_vlan=self.oob)
        uplink = self.draft.find("interfaces", device=switch.id, name="uplink")
        tagged = tuple(sorted({*uplink.tagged_vlans, self.oob}))
        self.draft.set("interfaces", uplink.id, tagged_vlans=tagged)
