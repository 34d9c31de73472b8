"""What people read of the capacity of a datacentre: lines, JSON, and a page with all racks."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from chapelle.model.capacity import (
    USES,
    AisleCapacity,
    Capacity,
    Ending,
    Load,
    RackCapacity,
)
from chapelle.report import pages
from chapelle.report.text import clean, host_names, plural, table

# What a rack's use is called, its sign in a row of racks, and its class of colour on the page.
WORDS = {
    "own": "the operator's own",
    "let": "let",
    "reserved": "reserved",
    "free": "free to let",
    "unused": "not in use",
}
SIGNS = {"own": "#", "reserved": "?", "free": ".", "unused": "-"}
TONES = {
    "own": "pending",
    "let": "changed",
    "reserved": "reverted",
    "free": "unchanged",
    "unused": "skipped",
}
# The signs of tenants in a row of racks, in the order in which they are met.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def lines(capacity: Capacity) -> list[str]:
    """All of it for a terminal."""
    letters = _letters(capacity)
    return [
        *_head(capacity),
        "",
        *_rows(capacity, letters),
        "",
        *table(
            ["aisle", *USES, "U free", "kW free", "kW stranded", "ports", "oob"], _aisles(capacity)
        ),
        "",
        *table(
            ["carries", "now", "one out", "may", "", "when this is out"],
            [_load(load) for load in _loads(capacity)],
        ),
        "",
        *table(
            ["racks", "use", "tenant", "U", "filled", "draws", "promised", "one side", "kg",
             "of", "until"],
            [_run(run) for aisle in capacity.aisles for run in runs(aisle.racks)],
        ),
        *_stranded(capacity),
        *_endings(capacity),
    ]  # fmt: skip


def _head(capacity: Capacity) -> list[str]:
    counts = capacity.share.racks
    told = ", ".join(f"{counts[use]} {WORDS[use]}" for use in USES if counts[use])
    return [f"{capacity.day}: {plural(sum(counts.values()), 'rack')}: {told}", share(capacity)]


def share(capacity: Capacity) -> str:
    """What is let against what is to be, in words."""
    of = capacity.share
    target = f"; {of.target} % are to be let" if of.target is not None else ""
    reserved = f", {of.reserved:.0f} % reserved" if of.reserved else ""
    return f"{of.let:.0f} % of the racks in service are let{reserved}{target}"


def _letters(capacity: Capacity) -> dict[str, str]:
    tenants = [
        rack.tenant for aisle in capacity.aisles for rack in aisle.racks if rack.use == "let"
    ]
    names = list(dict.fromkeys(tenants))
    return {name: _LETTERS[number % len(_LETTERS)] for number, name in enumerate(names)}


def _rows(capacity: Capacity, letters: dict[str, str]) -> list[str]:
    """A sign for each rack, an aisle in a line."""
    found = []
    for aisle in capacity.aisles:
        signs = "".join(SIGNS.get(rack.use) or letters[rack.tenant] for rack in aisle.racks)
        ends = f"{aisle.racks[0].name} to {aisle.racks[-1].name}" if aisle.racks else "no racks"
        found.append(clean(f"{aisle.name:<10} {signs}  {ends}"))
    keys = [f"{sign} {WORDS[use]}" for use, sign in SIGNS.items() if capacity.share.racks[use]]
    keys += [f"{letter} {name}" for name, letter in letters.items()]
    return [*found, clean(f"{'':<10} {', '.join(keys)}")]


def _aisles(capacity: Capacity) -> list[list[str]]:
    return [
        [
            aisle.number,
            *(str(sum(rack.use == use for rack in aisle.racks)) for use in USES),
            str(sum(rack.units.free for rack in aisle.racks)),
            f"{aisle.left:.0f}",
            f"{aisle.stranded:.0f}",
            f"{aisle.ports.free}/{aisle.ports.total}",
            str(aisle.ports.out_of_band),
        ]
        for aisle in capacity.aisles
    ]


def _loads(capacity: Capacity) -> list[Load]:
    panels = (load for aisle in capacity.aisles for load in aisle.panels)
    return [*(load for load in capacity.sources if load.limit), *panels]


def _load(load: Load) -> list[str]:
    return [
        f"{load.kind} {load.name}",
        f"{load.normal:.1f} kW",
        f"{load.worst:.1f} kW",
        f"{load.limit:.1f} kW" if load.limit else "?",
        f"{load.share:.0%}" if load.share is not None else "",
        load.loss,
    ]


def runs(racks: Sequence[RackCapacity]) -> list[tuple[RackCapacity, ...]]:
    """Racks that follow each other and differ in nothing but their name."""
    return [
        tuple(run)
        for _, run in groupby(racks, key=lambda rack: msgspec.structs.replace(rack, name=""))
    ]


def _run(run: tuple[RackCapacity, ...]) -> list[str]:
    rack = run[0]
    return [
        host_names([each.name for each in run]),
        WORDS[rack.use],
        rack.tenant,
        str(rack.units.total),
        str(rack.units.filled),
        f"{rack.power.draw:.1f} kW",
        f"{rack.power.contracted:.1f} kW" if rack.power.contracted else "",
        f"{rack.power.alone:.1f} kW",
        f"{rack.kilograms:.0f}",
        f"{rack.most_kilograms:.0f}" if rack.most_kilograms else "?",
        str(rack.until or ""),
    ]


def stranded(capacity: Capacity) -> dict[str, list[str]]:
    """The racks that are free and cannot be used, by the reason."""
    found: dict[str, list[str]] = {}
    for aisle in capacity.aisles:
        for rack in aisle.racks:
            for why in rack.stranded:
                found.setdefault(why, []).append(rack.name)
    return found


def _stranded(capacity: Capacity) -> list[str]:
    found = stranded(capacity)
    if not found:
        return []
    told = [clean(f"  {host_names(names, 8)}: {why}") for why, names in found.items()]
    return ["", "stranded, though free:", *told]


def ending_words(ending: Ending) -> str:
    """`in 12 days`, `12 days ago`."""
    if ending.days < 0:
        return f"{plural(-ending.days, 'day')} ago"
    return f"in {plural(ending.days, 'day')}" if ending.days else "today"


def _endings(capacity: Capacity) -> list[str]:
    if not capacity.ending:
        return ["", "no reservation and no lease ends within 30 days"]
    rows = [
        [
            ending.kind,
            host_names(ending.racks),
            ending.tenant,
            ending.reference,
            str(ending.until),
            ending_words(ending) + (" EXPIRED" if ending.days < 0 else ""),
        ]
        for ending in capacity.ending
    ]
    return ["", *table(["ends", "racks", "tenant", "request", "on", ""], rows)]


def document(capacity: Capacity, snapshot: str) -> dict[str, Any]:
    """The same as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(capacity)
    return {"snapshot": snapshot, **plain}


def page(capacity: Capacity, snapshot: str) -> str:
    """The same as one HTML page that needs nothing but itself."""
    initials = {name: _initials(name) for name in _letters(capacity)}
    return (
        pages.environment()
        .get_template("capacity.html")
        .render(
            capacity=capacity,
            share=share(capacity),
            words=WORDS,
            tones=TONES,
            initials=initials,
            loads=_loads(capacity),
            runs=runs,
            run_names=lambda run: host_names([rack.name for rack in run]),
            names=host_names,
            stranded=stranded(capacity),
            ending_words=ending_words,
            label=rack_label,
            power=power_share,
            free=_free,
            snapshot=snapshot,
        )
    )


def _initials(name: str) -> str:
    """`AP`, `PH`, `EP`: the capitals of a name, two at most."""
    return "".join(letter for letter in name if letter.isupper())[:2] or name[:2]


def rack_label(rack: RackCapacity) -> str:
    """What a pointer over a rack says."""
    parts = [rack.name, WORDS[rack.use] + (f" to {rack.tenant}" if rack.use == "let" else "")]
    parts.append(f"{rack.units.filled} of {rack.units.total} units filled")
    promised = f", {rack.power.contracted:.1f} promised" if rack.power.contracted else ""
    power = rack.power
    parts.append(f"{power.draw:.1f} kW drawn{promised}, {power.alone:.1f} from one side alone")
    return "; ".join([*parts, *rack.stranded])


def power_share(rack: RackCapacity) -> float:
    """What is promised, or drawn where that is more, of what one side alone gives; 1 at most."""
    promised = max(rack.power.contracted, rack.power.draw)
    return min(promised / rack.power.alone, 1.0) if rack.power.alone else 0.0


def _free(aisle: AisleCapacity) -> int:
    return sum(rack.units.free for rack in aisle.racks)
