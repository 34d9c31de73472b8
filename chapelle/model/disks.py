"""Disks: what NetBox says of them, what a machine shows, and how they are laid out.

A disk is known by its serial number and by nothing else: names such as `sda` change from one start
to the next, and slots are what people take disks out of. Sizes are in units of 10^9 bytes (GB),
partitions in units of 2^20 bytes (MiB), as people order the first and tools write the second.
"""

from typing import Annotated, Literal

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

# The inventory items that are disks have this role. Source: inventory/design/hardware.yml.
ROLE = "disk"

# What a disk may be for: the values of NetBox's custom field `disk_purpose`.
PURPOSES = ("os", "data", "keep")

_Mebibytes = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]
_Terabytes = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as NetBox has it; `purpose` and `size_gb` are what stands there, or nothing.

    `status` is that of the inventory item; `item` its id.
    """

    item: int
    name: str
    serial: str
    purpose: str
    size_gb: int | None
    status: str = "active"


class OsLayout(msgspec.Struct, frozen=True, kw_only=True):
    """The disks of the operating system, all alike, each with a GPT of four partitions.

    In this order: the boot loader's own (`bios_grub`), the EFI system partition, `/boot` as a
    mirror of md over all of them, and LUKS2 over another such mirror, with `/`, in the rest.
    """

    disks: _Count
    bios_grub_mib: _Mebibytes
    esp_mib: _Mebibytes
    boot_mib: _Mebibytes
    filesystem: Literal["ext4", "xfs"]


class DataLayout(msgspec.Struct, frozen=True, kw_only=True):
    """The data disks of a role: LUKS2 on the whole disk, a file system in it, mounted by its label.

    `{role}` and `{number}` are filled in; the number is the last one in the disk's name in NetBox,
    so that a disk that replaces another has its label and its place.
    """

    filesystem: Literal["xfs"]
    label: str
    mount: str


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What the servers of a role hold together: so much data, in so many copies, kept apart.

    Data can be read while `read` copies of it are there, and written while `write` are.
    """

    role: str
    need_tb: _Terabytes
    copies: _Count
    apart: Literal["aisle", "rack", "server"]
    fill_percent: _Percent
    read: _Count
    write: _Count


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of `inventory/storage.yml`."""

    os: OsLayout
    data: dict[str, DataLayout]
    holding: Holding


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a data disk belongs in its server: its file system's label, and where it is mounted."""

    serial: str
    label: str
    mount: str
    filesystem: str


def disks_of(dc: Datacentre, device: r.Device) -> tuple[Disk, ...]:
    """The disks of a device, in order of their names."""
    found = []
    for item in dc.inventory_by_device.get(device.id, ()):
        role = dc.inventory_item_roles.get(item.role or 0)
        if role is None or role.slug != ROLE:
            continue
        size = item.custom_fields.get("disk_size_gb")
        purpose = item.custom_fields.get("disk_purpose")
        found.append(
            Disk(
                item=item.id,
                name=item.name,
                serial=item.serial.strip(),
                purpose=purpose if isinstance(purpose, str) else "",
                size_gb=size if isinstance(size, int) and size > 0 else None,
                status=item.status or "active",
            )
        )
    return tuple(sorted(found, key=lambda disk: (disk.name, disk.item)))
