"""What a machine with firmware and disks is made of, taken from the model."""

import re

import msgspec

from chapelle.lab.ports import wrong
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

DISK_ROLE = "disk"
# What virtio-blk gives as serial number (virtio 1.2, 5.2.6: 20 bytes), and nothing for QEMU to read
# as an option.
SERIAL = re.compile(r"[A-Za-z0-9._-]{1,20}")
TEXT = re.compile(r"[^,=\x00-\x1f]{1,64}")


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk: its serial, its size (10^9 bytes), and what NetBox says that it is for."""

    serial: str
    size_gb: int
    purpose: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine: what its firmware tells of it, and its disks in NetBox's order of names."""

    manufacturer: str
    model: str
    serial: str
    disks: tuple[Disk, ...]


def of_server(dc: Datacentre, device: r.Device) -> Machine:
    """The machine that stands for a server.

    Raises:
        InputError: NetBox does not say enough of it, or something that no machine can have.
    """
    where = f"device {device.name}"
    kind = dc.device_types.get(device.device_type)
    maker = dc.manufacturers.get(kind.manufacturer) if kind else None
    if kind is None or maker is None:
        raise wrong("device type", where, "a model and its manufacturer", "none")
    if not SERIAL.fullmatch(device.serial):
        raise wrong("serial number", where, "20 letters, digits, . _ - at most", device.serial)
    for what, text in (("manufacturer", maker.name), ("model", kind.model)):
        if not TEXT.fullmatch(text.replace(",", "")):
            raise wrong(what, where, "64 characters at most, without =", text)
    items = [
        item
        for item in dc.inventory_by_device.get(device.id, ())
        if (role := dc.inventory_item_roles.get(item.role or 0)) and role.slug == DISK_ROLE
    ]
    disks = tuple(_disk(item, where) for item in sorted(items, key=lambda item: item.name))
    serials = [disk.serial for disk in disks]
    if len(set(serials)) != len(serials):
        raise wrong("disk", where, "a serial number of its own for each disk", ", ".join(serials))
    return Machine(
        manufacturer=maker.name, model=kind.model, serial=device.serial, disks=_os_first(disks)
    )


def _os_first(disks: tuple[Disk, ...]) -> tuple[Disk, ...]:
    return tuple(sorted(disks, key=lambda disk: disk.purpose != "os"))


def _disk(item: r.InventoryItem, where: str) -> Disk:
    size = item.custom_fields.get("disk_size_gb")
    purpose = item.custom_fields.get("disk_purpose")
    place = f"{where} {item.name}"
    if not SERIAL.fullmatch(item.serial):
        raise wrong("serial number", place, "20 letters, digits, . _ - at most", item.serial)
    if not isinstance(size, int) or size < 1:
        raise wrong("size", place, "custom field disk_size_gb, a whole number", repr(size))
    return Disk(serial=item.serial, size_gb=size, purpose=str(purpose or ""))
