"""Runs in NetBox's own Python: judges cables with other settings, and counts the queries.

Everything happens in a transaction that is rolled back. Prints one JSON object.
"""

import json
import os
import sys

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "netbox.settings"
django.setup()

from chapelle_netbox_validators import (  # noqa: E402
    addresses,
    common,
    power,
    reservations,
    serials,
    tenants,
)
from dcim import models as dcim  # noqa: E402
from django.core.exceptions import ValidationError  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402
from ipam.models import IPAddress  # noqa: E402
from tenancy.models import Tenant  # noqa: E402


class Room:
    """A site with a rack of two PDUs and a number of servers, all cords plugged in."""

    def __init__(self, name, servers):
        self.name = name
        self.operator = Tenant.objects.create(name=f"{name} op", slug=f"{name}-op")
        self.north = Tenant.objects.create(name=f"{name} north", slug=f"{name}-north")
        self.site = dcim.Site.objects.create(name=name, slug=name, tenant=self.operator)
        maker = dcim.Manufacturer.objects.create(name=name, slug=name)
        self.kind = dcim.DeviceType.objects.create(manufacturer=maker, model=name, slug=name)
        self.rack = dcim.Rack.objects.create(site=self.site, name=name)
        panel = dcim.PowerPanel.objects.create(site=self.site, name=name)
        self.feeds = [
            dcim.PowerFeed.objects.create(power_panel=panel, name=f"{name}-{side}") for side in "ab"
        ]
        self.inlets, self.outlets = [], []
        for side in "ab":
            pdu = self.device(f"{name}-pdu-{side}", self.operator, "pdu")
            inlet = dcim.PowerPort.objects.create(device=pdu, name="inlet")
            self.inlets.append(inlet)
            self.outlets.append(
                [
                    dcim.PowerOutlet.objects.create(device=pdu, name=f"o{i}", power_port=inlet)
                    for i in range(servers + 1)
                ]
            )
        cable(self.inlets[0], self.feeds[0]).save()
        for number in range(servers):
            ports = self.server(number)
            for port, outlets in zip(ports, self.outlets, strict=True):
                cable(port, outlets[number]).save()

    def device(self, name, tenant, role):
        role, _ = dcim.DeviceRole.objects.get_or_create(
            slug=f"{self.name}-{role}", defaults={"name": f"{self.name} {role}"}
        )
        made = dcim.Device.objects.create(
            name=name, site=self.site, device_type=self.kind, role=role, tenant=tenant
        )
        return fresh(made)

    def server(self, number):
        server = self.device(f"{self.name}-server-{number}", self.north, "server")
        return [dcim.PowerPort.objects.create(device=server, name=f"PSU{i}") for i in (1, 2)]


def fresh(thing):
    """As the database has it, with what its triggers have counted."""
    return type(thing).objects.get(pk=thing.pk)


def cable(a, b):
    return dcim.Cable(a_terminations=[fresh(a)], b_terminations=[fresh(b)])


def queries(validator, instance):
    with CaptureQueriesContext(connection) as captured:
        validator()(instance, None)
    return len(captured)


def counted(room):
    """The queries of each validator for something that is right, on its most costly way."""
    one, two = room.server(1000)
    first = queries(power.DiverseFeeds, cable(one, room.outlets[0][-1]))
    cable(one, room.outlets[0][-1]).save()
    device = fresh(two.device)
    device.rack, device.position, device.face, device.serial = room.rack, 1, "front", room.name
    reservation = dcim.RackReservation(rack=room.rack, units=[5], tenant=room.north)
    return {
        "first cord": first,
        "second cord": queries(power.DiverseFeeds, cable(two, room.outlets[1][-1])),
        "inlet": queries(power.DiverseFeeds, cable(room.inlets[1], room.feeds[1])),
        "tenants": queries(tenants.OneTenant, cable(two, room.outlets[1][-1])),
        "device": queries(reservations.DeviceInReservedUnits, device),
        "reservation": queries(reservations.ReservationOverDevices, reservation),
        "serial": queries(serials.UniqueSerial, device),
        "address": queries(addresses.UniqueAddress, IPAddress(address="203.0.113.1/24")),
    }


def said(validator, instance, **settings):
    """What a validator says with these settings; nothing when it accepts."""
    with override_settings(PLUGINS_CONFIG={common.NAME: settings}):
        try:
            validator()(instance, None)
        except ValidationError as error:
            return " ".join(error.messages)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def judged(room):
    server = room.device("judged-server", room.north, "server")
    port = dcim.Interface.objects.create(device=server, name="eno1", type="1000base-t")
    found = {}
    for role in ("leaf", "other"):
        switch = room.device(f"judged-{role}", room.operator, role)
        far = dcim.Interface.objects.create(device=switch, name="swp1", type="1000base-t")
        for case, settings in {
            "default": {},
            "roles": {"handoff_roles": [f"{room.name}-leaf"]},
            "none": {"handoff_roles": []},
            "operators": {"operators": [room.operator.slug], "handoff_roles": None},
            "no operator": {"operators": []},
        }.items():
            found[f"{role}, {case}"] = said(tenants.OneTenant, cable(port, far), **settings)
        if role == "other":
            stored = cable(port, far)
            stored.save()
            stored = fresh(stored)
            for refuse in (False, True):
                found[f"existing cable, {refuse}"] = said(
                    tenants.OneTenant, stored, operators=[], refuse_existing=refuse
                )
    outlet = cable(room.server(2000)[0], room.outlets[0][-1])
    found["power and roles"] = said(tenants.OneTenant, outlet, handoff_roles=[])
    serial_settings(room, found)
    found["unknown setting"] = said(tenants.OneTenant, cable(port, far), operator="x")
    return found


def serial_settings(room, found):
    other = Room("elsewhere", 0)
    one = room.device("serial-1", None, "server")
    two = other.device("serial-2", None, "server")
    for device in (one, two):
        type(device).objects.filter(pk=device.pk).update(serial="SAME")
    two = fresh(two)
    for refuse in (False, True):
        found[f"existing serial, {refuse}"] = said(
            serials.UniqueSerial, two, refuse_existing=refuse
        )
    changed = fresh(two)
    changed.serial = "same"
    found["serial anywhere"] = said(serials.UniqueSerial, changed)
    found["serial per manufacturer"] = said(
        serials.UniqueSerial, changed, serials_per_manufacturer=True
    )
    changed.device_type = one.device_type
    found["serial of one manufacturer"] = said(
        serials.UniqueSerial, changed, serials_per_manufacturer=True
    )


with transaction.atomic():
    small, large = Room("small", 2), Room("large", 20)
    json.dump(
        {
            "small": counted(small),
            "large": counted(large),
            "judged": judged(small),
        },
        sys.stdout,
    )
    transaction.set_rollback(True)
