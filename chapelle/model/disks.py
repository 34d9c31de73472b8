"""Disks: what NetBox says of them, what a machine shows, and how they are laid out.

A disk is known by its serial number and by nothing else: names such as `sda` change from one start
to the next, and slots are what people take disks out of. Sizes are in units of 10^9 bytes (GB),
partitions in units of 2^20 bytes (MiB), as people order the first and tools write the second.
"""

from typing import Annotated, Literal

import msgspec

from chapelle.errors import RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

# The inventory items that are disks have this role. Source: inventory/design/hardware.yml.
ROLE = "disk"

GB_PER_TB = 1000

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

    @property
    def need_gb(self) -> int:
        """How much data, in units of 10^9 bytes."""
        return self.need_tb * GB_PER_TB


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


# What a machine is booted into the installer for.
type Mode = Literal["build", "rebuild", "retire"]
MODES: tuple[Mode, ...] = ("build", "rebuild", "retire")

# What may be done to a disk. `write`: what is on it goes. `format`: it is made ready once, and left
# alone if that was done. `mount`: what is on it is used and stays. `keep`: it is not opened.
# `erase`: what is on it goes for good.
type Action = Literal["write", "format", "mount", "keep", "erase"]
DESTRUCTIVE: frozenset[Action] = frozenset({"write", "format", "erase"})

# What is on a disk that we have written to, as blkid(8) and wipefs(8) name it. Anything else on it
# is somebody else's, even beside our mark.
OURS: dict[str, frozenset[str]] = {
    "os": frozenset({"gpt", "PMBR", "vfat", "linux_raid_member", "crypto_LUKS", "ext4", "xfs"}),
    "data": frozenset({"crypto_LUKS"}),
}


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as a machine shows it.

    Arguments:
        path: the kernel's name for it, which changes from one start to the next.
        serial: empty if it has none.
        size_bytes: of the whole disk.
        model: as it says itself.
        rotational: it has platters.
        signatures: what is on it and on its partitions, as blkid(8) names it, such as `gpt`,
            `ext4`, `crypto_LUKS` or `linux_raid_member`.
        mark: the UUID of its partition table, or of its LUKS header; empty if it has neither.
        mounted: where it or a part of it is mounted.
    """

    path: str
    serial: str
    size_bytes: int = 0
    model: str = ""
    rotational: bool = False
    signatures: tuple[str, ...] = ()
    mark: str = ""
    mounted: tuple[str, ...] = ()


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan says that may be found on a disk.

    `mark` is what we write onto it ourselves; `may_hold` are signatures that somebody has seen
    there, and said that they may go.
    """

    mark: str = ""
    may_hold: tuple[str, ...] = ()


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done to one disk, and why."""

    serial: str
    name: str
    purpose: str
    action: Action
    why: str


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing at all is done to the disks of a host; `disk` is its name, serial or path."""

    disk: str
    expected: str
    found: str
    remedy: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done to the disks of one host. While there is a stop, nothing may."""

    host: str
    mode: Mode
    grants: tuple[Grant, ...]
    stops: tuple[Stop, ...]

    @property
    def may_change(self) -> frozenset[str]:
        """The serial numbers of the disks that may be changed: none while there is a stop."""
        if self.stops:
            return frozenset()
        return frozenset(g.serial for g in self.grants if g.action in DESTRUCTIVE)

    def require(self) -> None:
        """Make sure that there is no stop.

        Raises:
            RefusedError: there is; all of them are named.
        """
        if not self.stops:
            return
        first, *others = self.stops
        more = "".join(
            f"\n{'':12}{stop.disk}: expected {stop.expected}, found {stop.found}" for stop in others
        )
        raise RefusedError(
            f"Nothing is done to the disks of {self.host} ({self.mode}).",
            where=f"{self.host}, disk {first.disk}" + (f", and {len(others)} more" if more else ""),
            expected=first.expected,
            found=first.found + more,
            remedy=first.remedy,
        )


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
