"""What the handover file's template is given: cells of tables, pictures of racks, settings."""

import re
from collections.abc import Iterator

import msgspec

from chapelle.model import tenant_view as v
from chapelle.report.handover_words import Words
from chapelle.report.tenant_export import ranges

# Every how many units a number stands beside a rack's picture, and how many characters of a name
# fit in a line of it.
_NUMBERED = 5
_WIDE = 22


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A device in a rack's picture. `top` and `height` in units, from the rack's head.

    `side`: all of the width, or the left half for the front and the right one for the rear, where
    two devices are in the same units. `lines`: the name as far as it fits.
    """

    name: str
    lines: tuple[str, ...]
    unit: float
    top: float
    height: float
    side: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A rack's front. `numbers` and `not_let`: units, and how far below the head they begin."""

    name: str
    units: int
    descending: bool
    boxes: tuple[Box, ...]
    numbers: tuple[tuple[int, int], ...]
    not_let: tuple[tuple[int, int], ...]


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A block of settings: what it is of, and lines of a name and a value."""

    title: str
    lines: tuple[tuple[str, str], ...]


def aisles(view: v.TenantView) -> list[tuple[str, list[v.Rack]]]:
    """The tenant's racks by the number of their aisle."""
    found: dict[str, list[v.Rack]] = {}
    for rack in view.racks:
        found.setdefault(rack.aisle, []).append(rack)
    return list(found.items())


def picture(rack: v.Rack) -> Picture:
    """A rack as it is drawn."""
    everywhere = range(1, rack.units + 1)
    let = frozenset(rack.let)
    shown = [n for n in everywhere if n in (1, rack.units) or n % _NUMBERED == 0]
    if rack.units % _NUMBERED in (1, _NUMBERED - 1):  # two numbers side by side run into another
        shown = [n for n in shown if n == rack.units or rack.units - n > 1]
    return Picture(
        name=rack.name,
        units=rack.units,
        descending=rack.descending,
        boxes=tuple(_box(rack, slot) for slot in rack.slots),
        numbers=tuple((n, int(_top(rack, n, 1))) for n in shown),
        not_let=tuple((n, int(_top(rack, n, 1))) for n in everywhere if n not in let),
    )


def _box(rack: v.Rack, slot: v.Slot) -> Box:
    shared = any(
        other is not slot
        and other.bottom < slot.bottom + slot.height
        and slot.bottom < other.bottom + other.height
        for other in rack.slots
    )
    half = "right" if slot.face == "rear" else "left"
    return Box(
        name=slot.name,
        lines=_lines(slot.name, _WIDE // 2 if shared else _WIDE, max(int(slot.height), 1)),
        unit=slot.bottom,
        top=_top(rack, slot.bottom, slot.height),
        height=slot.height,
        side=half if shared else "whole",
    )


def _lines(name: str, wide: int, high: int) -> tuple[str, ...]:
    """A name in lines; what does not fit is left out of its middle, for names differ at the end."""
    room = wide * high
    if len(name) > room:
        name = f"{name[: room // 2]}…{name[len(name) - (room - room // 2) + 1 :]}"
    return tuple(name[at : at + wide] for at in range(0, len(name), wide))


def _top(rack: v.Rack, lowest: float, height: float) -> float:
    """How far below the rack's head something begins; in some racks unit 1 is at the head."""
    return lowest - 1 if rack.descending else rack.units - (lowest - 1) - height


def outlets(view: v.TenantView, rack: str, pdu: str) -> list[v.Outlet]:
    """The outlets of a PDU."""
    return [each for each in view.outlets if (each.rack, each.pdu) == (rack, pdu)]


def outlet_count(view: v.TenantView, feed: v.Feed, said: Words) -> str:
    """How many outlets of which type the PDUs of a feed have, and how many are free."""
    found = [each for pdu in feed.pdus for each in outlets(view, feed.rack, pdu)]
    counts: dict[str, int] = {}
    for outlet in found:
        name = kind(outlet.type)
        counts[name] = counts.get(name, 0) + 1
    free = sum(not outlet.used for outlet in found)
    told = [f"{number} {name}".strip() for name, number in counts.items()]
    return ", ".join([*told, f"{free} {said.free}"]) if told else ""


def kind(netbox_type: str) -> str:
    """NetBox's type of an outlet as it is printed on it: `iec-60320-c13` is C13."""
    return netbox_type.removeprefix("iec-60320-").upper()


def rating(feed: v.Feed, said: Words) -> str:
    """Volts, amperes and phases of a feed."""
    space = "\N{NO-BREAK SPACE}"
    parts = [
        f"{said.number(feed.volts)}{space}V" if feed.volts else "",
        f"{said.number(feed.amperes)}{space}A" if feed.amperes else "",
        said.phases.get(feed.phase, feed.phase),
    ]
    return ", ".join(part for part in parts if part)


def limit(feed: v.Feed, said: Words) -> str:
    """What a feed may carry, and which share of its rating that is."""
    share = "" if feed.max_utilization is None else f" ({feed.max_utilization}{said.space}%)"
    return f"{said.kilowatts(feed.watts)}{share}".strip()


def color(cable: v.Cable) -> str:
    """A cable's colour; the empty string for what is none, which has no place in a style."""
    return cable.color if re.fullmatch(r"[0-9a-fA-F]{6}", cable.color) else ""


def unit(number: float | None) -> str:
    """A rack unit; the empty string for none."""
    return "" if number is None else f"{number:g}"


def units(rack: v.Rack) -> str:
    """The units of a rack that are let, as ranges."""
    return ranges(rack.let)


# -- settings -------------------------------------------------------------------------------------


def settings(view: v.TenantView, said: Words) -> Iterator[Setting]:
    """What the tenant has to set on its equipment, a block for each group or session."""
    for group in view.groups:
        yield Setting(title=f"{group.device} {group.name}", lines=tuple(_lacp(view, group, said)))
    if view.bgp:
        number = len(view.bgp.sessions)
        for place, session in enumerate(view.bgp.sessions, start=1):
            title = f"{said.settings['session']} {place}/{number}"
            yield Setting(title=title, lines=tuple(_bgp(view.bgp, session, said)))


def _lacp(view: v.TenantView, group: v.Group, said: Words) -> Iterator[tuple[str, str]]:
    words, nothing = said.settings, said.none
    ends: dict[str, list[str]] = {}
    for port in view.ports:
        if port.device == group.device and port.name in group.members:
            ends.setdefault(port.to_device, []).append(port.to_port)
    yield words["device"], group.device
    yield words["group"], f"{group.name}: {', '.join(group.members)}"
    yield words["protocol"], words["lacp"]
    yield words["hashing"], words["hash"]
    yield words["mtu"], words["bytes"].format(mtu=said.number(group.mtu))
    yield words["untagged"], nothing if group.untagged is None else str(group.untagged)
    yield words["tagged"], ", ".join(map(str, group.tagged)) or nothing
    yield words["ends"], "; ".join(f"{name} {', '.join(ports)}" for name, ports in ends.items())


def _bgp(bgp: v.Bgp, session: v.Session, said: Words) -> Iterator[tuple[str, str]]:
    words, nothing = said.settings, said.none
    yield words["port"], f"{session.device} {session.port}"
    yield words["address"], session.address
    yield words["asn"], nothing if session.asn is None else str(session.asn)
    yield words["switch_port"], f"{session.switch} {session.switch_port}"
    yield words["switch_address"], session.switch_address
    yield words["switch_asn"], nothing if session.switch_asn is None else str(session.switch_asn)
    yield words["timers"], words["times"]
    yield words["bfd"], words["no_bfd"]
    yield words["mtu"], words["bytes"].format(mtu=said.number(session.mtu))
    yield words["allowed"], ", ".join(bgp.allowed) or nothing
    if bgp.maximum_prefixes is not None:
        yield words["maximum"], words["maximum_more"].format(count=bgp.maximum_prefixes)
