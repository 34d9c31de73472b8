# mypy: ignore-errors
"""Runs in NetBox's own Python: units that are reserved for a tenant hold no other tenant's device.

What has no tenant is nobody's: such a device, and such a reservation, is let through.
"""

from math import ceil, floor

from dcim.choices import RackReservationStatusChoices
from dcim.models import Device, RackReservation
from extras.validators import CustomValidator

from chapelle_netbox_validators.common import refuse, unchanged

STALE = RackReservationStatusChoices.STATUS_STALE


class DeviceInReservedUnits(CustomValidator):
    """For dcim.device: it stands in no unit that is reserved for another tenant."""

    def validate(self, instance, _request):
        """Refuse a device in another tenant's units."""
        kind = getattr(instance, "device_type", None)
        if not (kind and instance.rack_id and instance.position and instance.tenant_id):
            return
        units = _units(instance.position, kind.u_height)
        reserved = (
            RackReservation.objects.filter(rack=instance.rack_id, units__overlap=units)
            .exclude(tenant=None)
            .exclude(tenant=instance.tenant_id)
            .exclude(status=STALE)
            .select_related("tenant")
            .first()
        )
        if reserved is None:
            return
        clash = sorted(set(units) & set(reserved.units))
        refuse(
            f"{_named(clash)} of rack {instance.rack} is reserved for {reserved.tenant} "
            f"(reservation {reserved.pk}: {reserved.description}): expected no device of another "
            f"tenant, found {instance.name or 'this one'} of {instance.tenant}. Choose other "
            "units, or have the reservation changed.",
            field="position",
            existing=unchanged(instance, ["rack_id", "position", "tenant_id", "device_type_id"]),
        )


class ReservationOverDevices(CustomValidator):
    """For dcim.rackreservation: no device of another tenant stands in its units."""

    def validate(self, instance, _request):
        """Refuse a reservation for one tenant over units that hold another's device."""
        if not (instance.rack_id and instance.tenant_id and instance.units):
            return
        if instance.status == STALE:
            return
        standing = (
            Device.objects.filter(rack=instance.rack_id, position__isnull=False)
            .exclude(tenant=None)
            .exclude(tenant=instance.tenant_id)
            .select_related("tenant", "device_type")
        )
        wanted = set(instance.units)
        clashes = [
            (device, clash)
            for device in standing
            if (clash := wanted.intersection(_units(device.position, device.device_type.u_height)))
        ]
        if not clashes:
            return
        found = ", ".join(
            f"{device} of {device.tenant} in {_named(u)}" for device, u in clashes[:3]
        )
        more = f" and {len(clashes) - 3} more" if len(clashes) > 3 else ""
        refuse(
            f"Units reserved for {instance.tenant} in rack {instance.rack} hold another tenant's "
            f"device: found {found}{more}, expected none. Leave these units out, or move the "
            "device first.",
            field="units",
            existing=unchanged(instance, ["rack_id", "units", "tenant_id", "status"]),
        )


def _units(position, height):
    """The whole units that a device takes, also in part."""
    return list(range(floor(position), ceil(position + height)))


def _named(units):
    return ", ".join(f"U{unit}" for unit in sorted(units))
