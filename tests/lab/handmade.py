"""A small datacentre made by hand: two racks of one aisle, and the time servers' addresses."""

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot

DOMAIN = "chapelle.internal"


def datacentre(servers: int = 4, *, aisle: int = 2) -> Datacentre:
    """`servers` servers named compute-a<aisle>-01 and on, two ports each, addresses from .11."""
    devices, interfaces, addresses = [], [], []
    for number in range(1, servers + 1):
        name = f"compute-a{aisle}-{number:02d}"
        ids = [number * 10 + offset for offset in range(4)]
        addresses.append(
            r.IPAddress(
                id=number,
                address=f"10.64.{aisle}.{number + 10}/24"
                if number <= 240
                else f"10.64.{aisle + 100}.{number - 230}/24",
                status="active",
                dns_name=f"{name}.{DOMAIN}",
                assigned_object_type="dcim.interface",
                assigned_object_id=ids[2],
            )
        )
        devices.append(
            r.Device(
                id=number,
                name=name,
                device_type=1,
                role=1,
                site=1,
                status="planned",
                location=aisle,
                rack=1 + number % 2,
                primary_ip4=number,
            )
        )
        mac = f"02:c4:{aisle:02x}:{number >> 8:02x}:{number & 255:02x}"
        interfaces += [
            r.Interface(
                id=ids[0],
                device=number,
                name="eno1",
                type="25gbase-x-sfp28",
                lag=ids[2],
                mac_address=f"{mac}:01".upper(),
            ),
            r.Interface(
                id=ids[1],
                device=number,
                name="eno2",
                type="25gbase-x-sfp28",
                lag=ids[2],
                mac_address=f"{mac}:02".upper(),
            ),
            r.Interface(id=ids[2], device=number, name="bond0", type="lag", mtu=9000),
            r.Interface(id=ids[3], device=number, name="bmc", type="1000base-t", mgmt_only=True),
        ]
    addresses += [
        r.IPAddress(
            id=10_000 + number,
            address=f"10.64.0.{10 + number}/24",
            status="active",
            dns_name=f"time{number}.{DOMAIN}",
        )
        for number in (1, 2)
    ]
    content = r.Content(
        sites=(r.Site(id=1, name="Porte de la Chapelle", slug="chapelle", status="active"),),
        locations=(
            r.Location(
                id=aisle, name=f"Aisle {aisle}", slug=f"aisle-{aisle}", site=1, status="active"
            ),
        ),
        racks=tuple(
            r.Rack(id=n, name=f"A{aisle}-R{n:02d}", site=1, location=aisle, status="active")
            for n in (1, 2)
        ),
        device_roles=(r.DeviceRole(id=1, name="Compute", slug="compute"),),
        devices=tuple(devices),
        interfaces=tuple(interfaces),
        ip_addresses=tuple(addresses),
    )
    return Datacentre(Snapshot(content))
