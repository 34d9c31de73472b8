"""What people read of a host's disks: what each is for, and what would be done to it when."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chapelle.model.disks import MODES, Disk, Mode, Place, Verdict
from chapelle.report.text import clean, table

# What is said where a disk has no rule.
_STOP = "STOP"


def lines(
    host: str, disks: Sequence[Disk], places: Sequence[Place], verdicts: Mapping[Mode, Verdict]
) -> list[str]:
    """A table of the disks, and what stops the host.

    Arguments:
        host: its name.
        disks: its disks.
        places: where its data disks belong.
        verdicts: of each mode.
    """
    place_of = {place.serial: f"{place.label} on {place.mount}" for place in places}
    grants = {mode: {(g.serial, g.name): g.action for g in verdicts[mode].grants} for mode in MODES}
    rows = [
        [
            disk.name,
            disk.serial or "(none)",
            f"{disk.size_gb} GB" if disk.size_gb else "?",
            disk.purpose or "(none)",
            *(grants[mode].get((disk.serial, disk.name), _STOP) for mode in MODES),
            place_of.get(disk.serial, ""),
        ]
        for disk in disks
    ]
    found = [
        clean(f"{host}: by NetBox; nobody has looked at the machine"),
        "",
        *table(["disk", "serial", "size", "for", *MODES, "place"], rows),
    ]
    for mode in MODES:
        for stop in verdicts[mode].stops:
            found.append("")
            found.append(clean(f"{mode} is refused: {stop.disk}"))
            found.append(clean(f"    expected: {stop.expected}"))
            found.append(clean(f"    found:    {stop.found}"))
            found.append(clean(f"    to do:    {stop.remedy}"))
    return found


def document(
    host: str, disks: Sequence[Disk], places: Sequence[Place], verdicts: Mapping[Mode, Verdict]
) -> dict[str, Any]:
    """The same as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(
        {"host": host, "disks": disks, "places": places, "verdicts": verdicts}
    )
    return plain
