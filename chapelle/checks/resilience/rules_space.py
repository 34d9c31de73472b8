"""Rules about space and weight."""

from collections import defaultdict
from collections.abc import Iterator

from chapelle.checks.resilience.subject import Subject
from chapelle.checks.rules import placement
from chapelle.checks.rules.scene import Fault
from chapelle.model import records as r
from chapelle.model.finding import ObjectRef
from chapelle.model.status import OUT_OF_SERVICE

# Kilograms. Source: NetBox 4.7, dcim.choices, WeightUnitChoices.
KILOGRAMS = {"kg": 1.0, "g": 0.001, "lb": 0.45359237, "oz": 0.028349523125}


def overlaps(subject: Subject) -> Iterator[Fault]:
    """No two devices fill the same units of a rack."""
    yield from placement.overlaps(subject.scene)


def weights(subject: Subject) -> Iterator[Fault]:
    """A rack bears what stands in it."""
    heavy: dict[int, float] = defaultdict(float)
    for device in subject.dc.content.devices:
        kind = subject.dc.device_types.get(device.device_type)
        if device.rack and kind and kind.weight and device.status not in OUT_OF_SERVICE:
            heavy[device.rack] += kind.weight * KILOGRAMS.get(kind.weight_unit or "kg", 1.0)
    for rack in subject.dc.content.racks:
        most = (rack.max_weight or 0) * KILOGRAMS.get(rack.weight_unit or "kg", 1.0)
        if most and heavy[rack.id] > most:
            yield Fault(
                objects=(_rack_ref(rack),),
                expected=f"at most {most:.0f} kg",
                found=f"{heavy[rack.id]:.0f} kg",
                remedy="move devices to another rack",
            )


def reserved_units(subject: Subject) -> Iterator[Fault]:
    """What one tenant has reserved, no other's device fills."""
    dc = subject.dc
    reserved = {
        (reservation.rack, float(unit)): reservation
        for reservation in dc.content.rack_reservations
        for unit in reservation.units
    }
    for device in dc.content.devices:
        if device.status in OUT_OF_SERVICE or not reserved:
            continue
        units = sorted(placement.units(subject.scene, device))
        found = (reserved.get((device.rack or 0, unit // 1)) for unit in units)
        strange = [s for s in found if s and s.tenant is not None and s.tenant != device.tenant]
        if strange:
            rack = dc.racks.get(device.rack or 0)
            yield Fault(
                objects=(dc.ref(device), *([_rack_ref(rack)] if rack else [])),
                expected=f"units that are free, or reserved for {_tenant(subject, device.tenant)}",
                found=f"U{units[0]:g} is reserved for {_tenant(subject, strange[0].tenant)}",
                remedy="move the device, or end the reservation in NetBox",
            )


def foreign_racks(subject: Subject) -> Iterator[Fault]:
    """In a rack that is let, whatever fills units is its tenant's."""
    dc = subject.dc
    for device in dc.content.devices:
        rack = dc.racks.get(device.rack or 0)
        if rack is None or rack.tenant is None or device.position is None:
            continue
        if device.status not in OUT_OF_SERVICE and device.tenant not in (None, rack.tenant):
            yield Fault(
                objects=(dc.ref(device), _rack_ref(rack)),
                expected=f"devices of {_tenant(subject, rack.tenant)} in {rack.name}",
                found=f"one of {_tenant(subject, device.tenant)}",
                remedy="move the device, or correct its tenant or the rack's in NetBox",
            )


def _tenant(subject: Subject, tenant: int | None) -> str:
    found = subject.dc.tenants.get(tenant or 0)
    return found.name if found else "nobody"


def _rack_ref(rack: r.Rack) -> ObjectRef:
    return ObjectRef(endpoint="dcim/racks", id=rack.id, name=rack.name)
