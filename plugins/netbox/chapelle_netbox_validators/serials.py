# mypy: ignore-errors
"""Runs in NetBox's own Python: a serial number is one device's."""

from dcim.models import Device
from django.db.models.functions import Trim
from extras.validators import CustomValidator

from chapelle_netbox_validators.common import option, refuse, unchanged


class UniqueSerial(CustomValidator):
    """For dcim.device: no other device has this serial number, in whatever case."""

    def validate(self, instance, _request):
        """Refuse a device with the serial number of another."""
        serial = (instance.serial or "").strip()
        if not serial:
            return
        others = Device.objects.annotate(bare=Trim("serial")).filter(bare__iexact=serial)
        if instance.pk:
            others = others.exclude(pk=instance.pk)
        if option("serials_per_manufacturer"):
            kind = getattr(instance, "device_type", None)
            others = others.filter(device_type__manufacturer=kind and kind.manufacturer_id)
        other = others.first()
        if other is None:
            return
        refuse(
            f"Serial number {serial} is that of {other} (device {other.pk}) already: expected each "
            "on one device. Read it from both machines; leave it empty while it is not known.",
            field="serial",
            existing=unchanged(instance, ["serial"]),
        )
