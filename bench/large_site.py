"""Fills an empty NetBox with a large site, straight through NetBox's own models.

Runs in NetBox's Python (bench/snapshot.py starts it): `large_site.py DEVICES`. The REST API would
take an hour for what bulk inserts do in a minute. Every device has what a server of the reference
datacentre has: five interfaces, MAC addresses, three IP addresses, a rack, a tenant, a platform.
"""
# mypy: ignore-errors

import itertools
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netbox.settings")
django.setup()

from dcim.models import (  # noqa: E402 - Django must be set up first
    Device,
    DeviceRole,
    DeviceType,
    Interface,
    Location,
    MACAddress,
    Manufacturer,
    Platform,
    Rack,
    Site,
)
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.db import transaction  # noqa: E402
from ipam.models import VRF, IPAddress, Prefix  # noqa: E402
from tenancy.models import Tenant  # noqa: E402

PER_RACK = 20
PER_AISLE = 75
PORTS = (
    ("eno1", "25gbase-x-sfp28", False),
    ("eno2", "25gbase-x-sfp28", False),
    ("bond0", "lag", False),
    ("bond0.200", "virtual", False),
    ("bmc", "1000base-t", True),
)
# The interface that an address is on, and the second byte of its network.
ADDRESSES = (("bond0", 64), ("bond0.200", 65), ("bmc", 66))


def fill(count: int) -> None:
    """Make `count` devices and what belongs to them."""
    site = Site.objects.create(name="Large", slug="large", status="active")
    tenant = Tenant.objects.create(name="Ville de Paris", slug="ville-de-paris")
    vrf = VRF.objects.create(name="large", tenant=tenant)
    Prefix.objects.create(prefix="10.64.0.0/10", vrf=vrf, status="active")
    common = {
        "site": site,
        "tenant": tenant,
        "status": "planned",
        "role": DeviceRole.objects.create(name="Compute", slug="compute"),
        "platform": Platform.objects.create(name="Debian 12", slug="debian-12"),
        "device_type": DeviceType.objects.create(
            manufacturer=Manufacturer.objects.create(name="Bench", slug="bench"),
            model="Server",
            slug="server",
        ),
    }
    places = _places(site, count)
    devices = Device.objects.bulk_create(
        Device(
            name=f"server-{number + 1:05d}",
            serial=f"BENCH{number:06d}",
            location=places[number].location,
            rack=places[number],
            position=number % PER_RACK * 2 + 1,
            face="front",
            **common,
        )
        for number in range(count)
    )
    _addresses(devices, _interfaces(devices), vrf, tenant)


def _places(site: Site, count: int) -> list[Rack]:
    """A rack for each device."""
    places: list[Rack] = []
    for aisle in range(1, -(-count // PER_AISLE) + 1):
        location = Location(name=f"Aisle {aisle}", slug=f"aisle-{aisle}", site=site)
        location.save()  # its place in the tree is worked out on saving
        for number in range(1, -(-PER_AISLE // PER_RACK) + 1):
            rack = Rack(name=f"A{aisle}-R{number:02d}", site=site, location=location, u_height=42)
            rack.save()
            places += [rack] * PER_RACK
    return places


def _interfaces(devices: list[Device]) -> dict[tuple[int, str], Interface]:
    made = Interface.objects.bulk_create(
        (
            Interface(
                device=device, name=name, type=kind, mgmt_only=mgmt_only, enabled=True,
                _site=device.site, _location=device.location, _rack=device.rack,
            )
            for device, (name, kind, mgmt_only) in itertools.product(devices, PORTS)
        ),
        batch_size=2000,
    )  # fmt: skip
    interfaces = {(interface.device_id, interface.name): interface for interface in made}
    kind = ContentType.objects.get_for_model(Interface)
    ports = [i for i in made if i.type not in {"lag", "virtual"}]
    macs = MACAddress.objects.bulk_create(
        (
            MACAddress(
                mac_address=f"02:00:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:"
                f"{number & 255:02x}",
                assigned_object_type=kind,
                assigned_object_id=port.pk,
            )
            for number, port in enumerate(ports)
        ),
        batch_size=2000,
    )
    for port, mac in zip(ports, macs, strict=True):
        port.primary_mac_address = mac
    for device in devices:
        bond = interfaces[device.pk, "bond0"]
        for name in ("eno1", "eno2"):
            interfaces[device.pk, name].lag = bond
        interfaces[device.pk, "bond0.200"].parent = bond
    Interface.objects.bulk_update(made, ["primary_mac_address", "lag", "parent"], batch_size=1000)
    return interfaces


def _addresses(
    devices: list[Device],
    interfaces: dict[tuple[int, str], Interface],
    vrf: VRF,
    tenant: Tenant,
) -> None:
    kind = ContentType.objects.get_for_model(Interface)
    made = IPAddress.objects.bulk_create(
        (
            IPAddress(
                address=f"10.{second}.{number // 250}.{number % 250 + 1}/16",
                vrf=vrf, tenant=tenant, status="active",
                dns_name=f"{device.name}.example.internal" if name == "bond0" else "",
                assigned_object_type=kind, assigned_object_id=interfaces[device.pk, name].pk,
            )
            for number, device in enumerate(devices)
            for name, second in ADDRESSES
        ),
        batch_size=2000,
    )  # fmt: skip
    for device, (primary, _storage, bmc) in zip(
        devices, itertools.batched(made, len(ADDRESSES)), strict=True
    ):
        device.primary_ip4, device.oob_ip = primary, bmc
    Device.objects.bulk_update(devices, ["primary_ip4", "oob_ip"], batch_size=500)


if __name__ == "__main__":
    with transaction.atomic():
        fill(int(sys.argv[1]))
