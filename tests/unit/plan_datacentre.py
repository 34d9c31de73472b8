"""A small datacentre made in memory, cabled like the real one: for tests of the planner."""

from collections.abc import Mapping
from typing import Any

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import SERVER_ROLES, Datacentre
from chapelle.model.snapshot import Snapshot

LEAF_ROLE, PDU_ROLE = 90, 91


class Builder:
    """Collects records; each rack has two leafs, two feeds and two PDUs of its own."""

    def __init__(self) -> None:
        self.made: dict[str, list[Any]] = {name: [] for name in r.Content.__struct_fields__}
        self.next_id = 1000
        self.add("sites", r.Site, name="Site", slug="site", status="active", id=1)
        for number, role in enumerate(SERVER_ROLES, start=1):
            self.add("device_roles", r.DeviceRole, name=role, slug=role, id=number)
        self.add("device_roles", r.DeviceRole, name="leaf", slug="leaf", id=LEAF_ROLE)
        self.add("device_roles", r.DeviceRole, name="pdu", slug="pdu", id=PDU_ROLE)
        self.type = self.add(
            "device_types", r.DeviceType, manufacturer=1, model="M", slug="m", u_height=2.0
        )
        self.vrf = self.add("vrfs", r.VRF, name="servers")
        self.services()

    def add(self, kind: str, record: type, **fields: Any) -> int:
        self.next_id += 1
        made = record(**{"id": self.next_id, **fields})
        self.made[kind].append(made)
        return int(made.id)

    def services(self) -> None:
        """Who tells servers names and the time, and from where they are managed."""
        here = {"status": "active", "vrf": self.vrf}
        role = self.add("roles", r.Role, name="Services", slug="services")
        self.add("prefixes", r.Prefix, prefix="192.0.2.0/24", role=role, **here)
        for name, address in (("dns1", "192.0.2.1/24"), ("time1", "192.0.2.2/24")):
            self.add("ip_addresses", r.IPAddress, address=address, dns_name=name, **here)

    def cable(self, kind: str, a: int, other_kind: str, b: int) -> int:
        ends = [
            (r.Termination(object_type=t, object_id=i),) for t, i in ((kind, a), (other_kind, b))
        ]
        return self.add(
            "cables", r.Cable, status="connected", a_terminations=ends[0], b_terminations=ends[1]
        )

    def aisle(self, number: int) -> int:
        slug = f"aisle-{number}"
        return self.add(
            "locations", r.Location, name=f"Aisle {number}", slug=slug, site=1, status="active"
        )

    def rack(self, aisle: int, name: str, servers: Mapping[str, tuple[str, str]]) -> None:
        """A rack of `servers`: name -> (role, status)."""
        rack = self.add("racks", r.Rack, name=name, site=1, status="active", location=aisle)
        place = {"site": 1, "location": aisle, "rack": rack, "device_type": self.type}
        ports = []
        for side in "ab":
            leaf = self.add(
                "devices", r.Device, name=f"leaf-{name}{side}", role=LEAF_ROLE, status="active",
                **place,
            )  # fmt: skip
            pdu = self.add(
                "devices", r.Device, name=f"pdu-{name}{side}", role=PDU_ROLE, status="active",
                **place,
            )  # fmt: skip
            feed = self.next_id + 2
            cable = self.cable("dcim.powerfeed", feed, "dcim.powerport", feed + 1)
            self.add(
                "power_feeds", r.PowerFeed, id=feed, name=f"{name}-{side}", power_panel=1,
                status="active", cable=cable,
            )  # fmt: skip
            inlet = self.add(
                "power_ports", r.PowerPort, id=feed + 1, device=pdu, name="in", cable=cable
            )
            self.next_id = max(self.next_id, feed + 1)
            ports.append((leaf, pdu, inlet))
        for number, (server, (role, status)) in enumerate(servers.items(), start=1):
            role_id = SERVER_ROLES.index(role) + 1
            self._server(server, number, ports, role=role_id, status=status, **place)

    def _server(
        self,
        name: str,
        number: int,
        ports: list[tuple[int, int, int]],
        **place: Any,
    ) -> None:
        device = self.next_id + 1
        primary = device + 1
        self.next_id = primary
        for index, (leaf, pdu, inlet) in enumerate(ports):
            own, far = self.next_id + 1, self.next_id + 2
            plug, outlet = self.next_id + 3, self.next_id + 4
            self.next_id = outlet
            data = self.cable("dcim.interface", own, "dcim.interface", far)
            power = self.cable("dcim.powerport", plug, "dcim.poweroutlet", outlet)
            kind = {"type": "25gbase-x-sfp28", "cable": data}
            self.add(
                "interfaces", r.Interface, id=own, device=device, name=f"eno{index + 1}", **kind
            )
            self.add("interfaces", r.Interface, id=far, device=leaf, name=f"swp{number}", **kind)
            self.add(
                "power_ports", r.PowerPort, id=plug, device=device, name=f"PSU{index + 1}",
                cable=power,
            )  # fmt: skip
            self.add(
                "power_outlets", r.PowerOutlet, id=outlet, device=pdu, name=str(number),
                power_port=inlet, cable=power,
            )  # fmt: skip
            if index == 0:
                self.add(
                    "ip_addresses", r.IPAddress, id=primary, status="active", vrf=self.vrf,
                    address=f"10.0.{primary // 250 % 250}.{primary % 250 + 2}/16",
                    dns_name=f"{name}.example.internal",
                    assigned_object_type="dcim.interface", assigned_object_id=own,
                )  # fmt: skip
        self.add(
            "devices", r.Device, id=device, name=name, position=number, primary_ip4=primary,
            **place,
        )  # fmt: skip

    def datacentre(self) -> Datacentre:
        return Datacentre(
            Snapshot(r.Content(**{name: tuple(items) for name, items in self.made.items()}))
        )


def two_aisles() -> Datacentre:
    """Aisle 1: two racks of three servers; aisle 2: two servers, one offline; aisle 3: none."""
    builder = Builder()
    one, two = builder.aisle(1), builder.aisle(2)
    builder.aisle(3)
    for rack in ("A1-R01", "A1-R02"):
        number = rack[-1]
        builder.rack(
            one,
            rack,
            {
                f"compute-a1-0{number}": ("compute", "planned"),
                f"storage-a1-0{number}": ("storage", "active"),
                f"infra-a1-0{number}": ("infra", "failed"),
            },
        )
    builder.rack(
        two,
        "A2-R01",
        {"compute-a2-01": ("compute", "planned"), "infra-a2-01": ("infra", "offline")},
    )
    return builder.datacentre()


def edited(dc: Datacentre, kind: str, record_id: int, **changes: Any) -> Datacentre:
    """The same datacentre with one record changed; a change of `id` to 0 removes it."""
    records = [
        msgspec.structs.replace(record, **changes) if record.id == record_id else record
        for record in getattr(dc.content, kind)
    ]
    kept = tuple(record for record in records if record.id)
    return Datacentre(Snapshot(msgspec.structs.replace(dc.content, **{kind: kept})))
