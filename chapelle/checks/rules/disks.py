"""Rules about disks: what the disk guard would stop a host for, said before anybody boots it.

Whoever only configures a server does not touch its disks, so none of these makes it unfit for that.
"""

from collections.abc import Iterator

from chapelle.checks.rules.scene import Fault, Rule, Scene
from chapelle.model.disks import PURPOSES, Disk, disks_of
from chapelle.model.finding import ObjectRef
from chapelle.model.records import ENDPOINTS


def _objects(scene: Scene, disk: Disk, device: int) -> tuple[ObjectRef, ...]:
    ref = ObjectRef(endpoint=ENDPOINTS["inventory_items"], id=disk.item, name=disk.name)
    return (ref, scene.device_ref(device))


def purposes(scene: Scene) -> Iterator[Fault]:
    """What a disk is for decides whether it may be written to."""
    for device in scene.servers:
        for disk in disks_of(scene.dc, device):
            if disk.purpose not in PURPOSES:
                yield Fault(
                    objects=_objects(scene, disk, device.id),
                    expected=f"a purpose (disk_purpose): one of {', '.join(PURPOSES)}",
                    found=disk.purpose or "none",
                    remedy="say in NetBox what the disk is for; if in doubt: keep",
                )


def serials(scene: Scene) -> Iterator[Fault]:
    """A disk is known by its serial number alone."""
    for device in scene.servers:
        for disk in disks_of(scene.dc, device):
            if not disk.serial:
                yield Fault(
                    objects=_objects(scene, disk, device.id),
                    expected="a serial number",
                    found="none",
                    remedy="read it from the disk, and enter it in NetBox",
                )


RULES: dict[str, tuple[str, Rule]] = {
    "disk-purpose": ("warning", purposes),
    "disk-serial": ("warning", serials),
}
