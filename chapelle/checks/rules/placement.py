"""Rules about where things stand."""

from collections.abc import Iterator
from itertools import combinations

from chapelle.checks.rules.scene import Fault, Rule, Scene, grouped
from chapelle.model import records as r


def without_rack(scene: Scene) -> Iterator[Fault]:
    """A device in service stands in a rack: it is part of a failure domain, and can be found."""
    for device in scene.placed:
        if device.rack is None:
            yield Fault(
                objects=(scene.ref("devices", device),),
                expected="a rack",
                found="none",
                remedy="enter the rack (and the position) in NetBox",
            )


def outside_aisles(scene: Scene) -> Iterator[Fault]:
    """A server stands in an aisle, by the location that its rack is in."""
    for device in scene.servers:
        if scene.dc.aisle_number(device) is None:
            location = scene.dc.locations.get(device.location or 0)
            yield Fault(
                objects=(scene.ref("devices", device),),
                expected=f"a location that is, or lies in, an aisle: {_aisles(scene)}",
                found=location.slug if location else "no location",
                remedy="set the location of its rack in NetBox",
            )


def _aisles(scene: Scene) -> str:
    return ", ".join(aisle.slug for aisle in scene.dc.aisles.values()) or "none is in NetBox"


def overlaps(scene: Scene) -> Iterator[Fault]:
    """No two devices fill the same units of a rack."""
    devices = (d for d in scene.content.devices if d.position is not None)
    for standing in grouped(devices, lambda device: device.rack).values():
        for one, other in combinations(standing, 2):
            shared = sorted(units(scene, one) & units(scene, other))
            if shared and _same_space(scene, one, other):
                yield Fault(
                    objects=(scene.ref("devices", one), scene.ref("devices", other)),
                    expected="each unit of a rack is one device's",
                    found=f"both fill U{', U'.join(f'{unit:g}' for unit in shared)}",
                    remedy="look at the rack and correct a position in NetBox",
                )


def beyond_rack(scene: Scene) -> Iterator[Fault]:
    """A device ends where its rack does."""
    for device in scene.content.devices:
        rack = scene.dc.racks.get(device.rack or 0)
        filled = units(scene, device)
        if rack and filled and (min(filled) < 1 or max(filled) >= rack.u_height + 1):
            yield Fault(
                objects=(scene.ref("devices", device), scene.ref("racks", rack)),
                expected=f"units 1 to {rack.u_height}",
                found=f"U{min(filled):g} to U{max(filled):g}",
                remedy="correct the position, or the height of the rack, in NetBox",
            )


def units(scene: Scene, device: r.Device) -> set[float]:
    """The units that a device fills, in halves, as NetBox has half units."""
    device_type = scene.dc.device_types.get(device.device_type)
    if device.position is None or device_type is None:
        return set()
    halves = int(device_type.u_height * 2)
    return {device.position + half / 2 for half in range(halves)}


def _same_space(scene: Scene, one: r.Device, other: r.Device) -> bool:
    """Whether they would touch: on one face, or one of them goes through to the other face."""
    deep = any(
        device_type.is_full_depth
        for device in (one, other)
        if (device_type := scene.dc.device_types.get(device.device_type))
    )
    return deep or one.face == other.face


RULES: dict[str, tuple[str, Rule]] = {
    "no-rack": ("error", without_rack),
    "no-aisle": ("error", outside_aisles),
    "rack-overlap": ("error", overlaps),
    "beyond-rack": ("error", beyond_rack),
}
