"""A tenant's racks, equipment and power, as the tenant may see them."""

import datetime

import msgspec

from chapelle.checks.resilience.power import Power
from chapelle.checks.resilience.stated import Stated
from chapelle.checks.tenancy.own import Own
from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model import tenant_view as v
from chapelle.model.datacentre import POWER_ROLES
from chapelle.model.tenancy import CONTRACTED, HELD_UNTIL, LET_UNTIL, REQUEST


def racks(own: Own) -> tuple[v.Rack, ...]:
    """The tenant's racks, by aisle and name, with its own devices in them."""
    found = [_rack(own, rack) for rack in own.racks.values()]
    return tuple(sorted(found, key=lambda rack: (rack.aisle, rack.name)))


def _rack(own: Own, rack: r.Rack) -> v.Rack:
    held = own.reservations.get(rack.id, ())
    until = [day for each in held if (day := _day(each.custom_fields, HELD_UNTIL, rack))]
    watts = rack.custom_fields.get(CONTRACTED)
    requests = [rack.custom_fields.get(REQUEST), *(e.custom_fields.get(REQUEST) for e in held)]
    return v.Rack(
        name=rack.name,
        aisle=own.aisle(rack),
        units=rack.u_height,
        let=own.let_units(rack),
        descending=rack.desc_units,
        contracted_watts=watts if isinstance(watts, int) else None,
        max_weight=rack.max_weight,
        weight_unit=rack.weight_unit or "kg",
        request=next((str(each) for each in requests if each), ""),
        held_until=max(until, default=None),
        let_until=_day(rack.custom_fields, LET_UNTIL, rack),
        slots=_slots(own, rack),
    )


def _day(fields: dict[str, object], name: str, rack: r.Rack) -> datetime.date | None:
    try:
        return msgspec.convert(fields.get(name), datetime.date | None)
    except msgspec.ValidationError as error:
        raise InputError(
            "A custom field holds no day.",
            where=f"rack {rack.name} or its reservation in NetBox, custom field {name}",
            expected="a day such as 2027-12-31",
            found=repr(fields.get(name)),
        ) from error


def _slots(own: Own, rack: r.Rack) -> tuple[v.Slot, ...]:
    found = []
    for device in own.devices.values():
        kind = own.dc.device_types.get(device.device_type)
        height = kind.u_height if kind else 1.0
        if device.rack == rack.id and device.position is not None and height:
            found.append(
                v.Slot(
                    name=own.dc.ref(device).name,
                    bottom=device.position,
                    height=height,
                    face=device.face or "",
                )
            )
    return tuple(sorted(found, key=lambda slot: (slot.bottom, slot.face, slot.name)))


def devices(own: Own) -> tuple[v.Device, ...]:
    """The tenant's devices, by rack, unit and name."""
    dc = own.dc
    found = []
    for device in own.devices.values():
        kind = dc.device_types.get(device.device_type)
        maker = dc.manufacturers.get(kind.manufacturer) if kind else None
        role = dc.device_roles.get(device.role)
        rack = own.racks.get(device.rack or 0)
        found.append(
            v.Device(
                name=dc.ref(device).name,
                role=role.name if role else "",
                manufacturer=maker.name if maker else "",
                model=kind.model if kind else "",
                rack=rack.name if rack else "",
                unit=device.position if rack else None,
                face=(device.face or "") if rack else "",
                status=device.status,
                serial=device.serial,
                asset_tag=device.asset_tag or "",
            )
        )
    return tuple(sorted(found, key=lambda each: (each.rack, each.unit or 0, each.name)))


class Supply:
    """The feeds, PDUs and outlets of the tenant's racks."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._power = Power(own.dc, Stated(own.dc))
        self._pdus = {
            device.id: device
            for device in own.dc.content.devices
            if device.rack in own.racks
            and own.dc.role_of(device) in POWER_ROLES
            and own.shared(device.tenant)
        }
        self._feeds_of = {
            pdu.id: tuple(feed.name for feed in own.dc.feeds(pdu) if self._shown(feed))
            for pdu in self._pdus.values()
        }

    def _shown(self, feed: r.PowerFeed) -> bool:
        return feed.rack in self._own.racks and self._own.shared(feed.tenant)

    def feeds(self) -> tuple[v.Feed, ...]:
        """The feeds, by rack and name."""
        found = [self._feed(f) for f in self._own.dc.content.power_feeds if self._shown(f)]
        return tuple(sorted(found, key=lambda feed: (feed.rack, feed.name)))

    def _feed(self, feed: r.PowerFeed) -> v.Feed:
        panel = self._own.dc.power_panels.get(feed.power_panel)
        limit = self._power.limits[self._power.numbers["feed", feed.id]]
        names = [self._own.dc.ref(self._pdus[n]).name for n, feeds in self._feeds_of.items()
                 if feed.name in feeds]  # fmt: skip
        return v.Feed(
            name=feed.name,
            rack=self._own.racks[feed.rack or 0].name,
            panel=panel.name if panel else "",
            kind=feed.type or "",
            supply=feed.supply or "",
            phase=feed.phase or "",
            volts=feed.voltage,
            amperes=feed.amperage,
            max_utilization=feed.max_utilization,
            watts=None if limit is None else int(limit),
            pdus=tuple(sorted(names)),
        )

    def outlets(self) -> tuple[v.Outlet, ...]:
        """The outlets, by rack, PDU and name."""
        outlets = self._own.dc.content.power_outlets
        found = [self._outlet(each) for each in outlets if each.device in self._pdus]
        return tuple(sorted(found, key=lambda each: (each.rack, each.pdu, each.name)))

    def _outlet(self, outlet: r.PowerOutlet) -> v.Outlet:
        dc, pdu = self._own.dc, self._pdus[outlet.device]
        device = port = None
        for end in dc.peers("dcim.poweroutlet", outlet.cable, outlet.id):
            if end.object_type == "dcim.powerport":
                port = dc.power_ports.get(end.object_id)
                device = self._own.devices.get(port.device) if port else None
        return v.Outlet(
            rack=self._own.racks[pdu.rack or 0].name,
            pdu=dc.ref(pdu).name,
            name=outlet.name,
            type=outlet.type or "",
            feeds=self._feeds_of[pdu.id],
            used=outlet.cable is not None,
            device=dc.ref(device).name if device else "",
            port=port.name if device and port else "",
        )
