"""Rules about what things are and how they are called."""

import re
from collections.abc import Iterator

from chapelle.checks.rules.scene import Fault, Rule, Scene, grouped
from chapelle.model.datacentre import POWER_ROLES, SERVER_ROLES, SWITCH_ROLES
from chapelle.model.references import MODELS, references
from chapelle.model.status import TRANSITIONS
from chapelle.model.tenancy import EDGE

ROLES = (*SERVER_ROLES, *SWITCH_ROLES, *POWER_ROLES, EDGE)

# What we do not configure: it has no platform, or one that is none of our business.
_NOT_CONFIGURED = (*POWER_ROLES, EDGE)

# The platforms that the roles, and the switch driver, know how to configure.
SERVER_PLATFORMS = ("debian-12", "debian-13", "ubuntu-24-04")
SWITCH_PLATFORMS = ("frr", "arista_eos", "cisco_nxos")

# RFC 1123, 2.1: letters, digits and hyphens, no hyphen at either end, at most 63. Capitals are
# legal there, but a name is also a file, a certificate's principal and an inventory host, where
# two spellings would be two hosts.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def dangling_references(scene: Scene) -> Iterator[Fault]:
    """What an object refers to must be there, and visible to the token that read it."""
    tags = {tag.slug for tag in scene.content.tags}
    for list_name in MODELS:
        for record in getattr(scene.content, list_name):
            lost = [
                f"{field} {target_id} ({target})"
                for field, target, target_id in references(list_name, record)
                if target_id not in scene.names.records(target)
            ]
            lost += [f"tag {slug}" for slug in getattr(record, "tags", ()) if slug not in tags]
            if lost:
                yield Fault(
                    objects=(
                        scene.ref(list_name, record),
                        *scene.devices_of(list_name, record),
                    ),
                    expected="every object that it refers to is in NetBox",
                    found=f"nothing there: {', '.join(lost)}",
                    remedy="mend the reference, or let the read-only token see all objects",
                )


def duplicate_names(scene: Scene) -> Iterator[Fault]:
    """A device's name is how everybody calls it: inventory, certificates, reports."""
    for name, devices in grouped(scene.content.devices, lambda device: device.name).items():
        if len(devices) > 1:
            yield Fault(
                objects=tuple(scene.ref("devices", device) for device in devices),
                expected=f"one device called {name}",
                found=f"{len(devices)} devices",
                remedy="rename all but one in NetBox",
            )


def duplicate_serials(scene: Scene) -> Iterator[Fault]:
    """A serial number tells two boxes apart when everything else is alike."""
    for list_name in ("devices", "inventory_items"):
        items = getattr(scene.content, list_name)
        for serial, alike in grouped(items, lambda item: item.serial.strip()).items():
            if len(alike) > 1:
                yield Fault(
                    objects=tuple(scene.ref(list_name, item) for item in alike),
                    expected=f"serial number {serial} on one object",
                    found=f"on {len(alike)}",
                    remedy="read the numbers from the machines and correct NetBox",
                )


def hostnames(scene: Scene) -> Iterator[Fault]:
    """A device has a name that can be a host's."""
    for device in scene.placed:
        if device.name and _LABEL.fullmatch(device.name):
            continue
        yield Fault(
            objects=(scene.ref("devices", device),),
            expected="a host name (RFC 1123): small letters, digits, inner hyphens, at most 63",
            found=repr(device.name) if device.name else "no name",
            remedy="rename the device in NetBox",
        )


def unknown_statuses(scene: Scene) -> Iterator[Fault]:
    """A device's status is one that the table of transitions knows."""
    for device in scene.content.devices:
        if device.status not in TRANSITIONS:
            yield Fault(
                objects=(scene.ref("devices", device),),
                expected=f"one of {', '.join(TRANSITIONS)}",
                found=device.status or "none",
                remedy="set a status that the table of transitions knows",
            )


def unknown_roles(scene: Scene) -> Iterator[Fault]:
    """A device's role decides what is done with it, so it is one that we know."""
    for device in scene.placed:
        role = scene.dc.role_of(device)
        if role not in ROLES:
            yield Fault(
                objects=(scene.ref("devices", device),),
                expected=f"one of the roles {', '.join(ROLES)}",
                found=role or "a role that NetBox does not show",
                remedy="choose another role in NetBox, or teach chapelle this one",
            )


def unknown_platforms(scene: Scene) -> Iterator[Fault]:
    """What runs on a server or switch is something that we know how to configure."""
    for device in scene.placed:
        role = scene.dc.role_of(device)
        known = SERVER_PLATFORMS if role in SERVER_ROLES else SWITCH_PLATFORMS
        platform = scene.dc.platforms.get(device.platform or 0)
        if role in _NOT_CONFIGURED or role not in ROLES or (platform and platform.slug in known):
            continue
        yield Fault(
            objects=(scene.ref("devices", device),),
            expected=f"one of the platforms {', '.join(known)}",
            found=platform.slug if platform else "none",
            remedy="choose the platform in NetBox",
        )


RULES: dict[str, tuple[str, Rule]] = {
    "dangling-reference": ("error", dangling_references),
    "duplicate-name": ("error", duplicate_names),
    "duplicate-serial": ("error", duplicate_serials),
    "illegal-hostname": ("error", hostnames),
    "unknown-status": ("error", unknown_statuses),
    "unknown-role": ("error", unknown_roles),
    "unknown-platform": ("error", unknown_platforms),
}
