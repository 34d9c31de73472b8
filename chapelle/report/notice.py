"""Notices of maintenance to tenants, as text and as HTML, in French and in English.

A notice shows what `model.maintenance.Notice` holds, all of which its reader may see.
"""

import datetime
from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from chapelle.model.maintenance import Notice, OwnRack, Person
from chapelle.report import pages
from chapelle.report.notice_words import LANGUAGES, Words, words
from chapelle.report.text import host_names, wrap

_NAMES = 40  # of devices in a line of the text, as ranges
_STOPS = frozenset({"off", "lost"})
_RACK_STOPS = frozenset({"dark", "off"})


def html(notice: Notice, language: str) -> str:
    """The notice as one HTML page that needs nothing but itself; `language`: fr or en."""
    return _render("notice.html", notice, language)


def text(notice: Notice, language: str) -> str:
    """The notice as plain text in lines of at most 80 columns; `language`: fr or en."""
    lines = _render("notice.txt", notice, language).splitlines()
    wrapped = [part for line in lines for part in _wrapped(line)]
    return "\n".join(wrapped).strip() + "\n"


def files(notice: Notice) -> Iterator[tuple[str, str]]:
    """The names of the notice's four files, and what is in them."""
    for language in LANGUAGES:
        stem = f"{notice.window}-{notice.slug}-{language}"
        yield f"{stem}.txt", text(notice, language)
        yield f"{stem}.html", html(notice, language)


def _wrapped(line: str) -> list[str]:
    return wrap(line, "  " if line.startswith("- ") else "")


def _render(template: str, notice: Notice, language: str) -> str:
    environment = pages.environment()
    said = words(language)
    return environment.get_template(template).render(
        notice=notice, w=said, language=language, **_content(notice, said)
    )


def _content(notice: Notice, said: Words) -> dict[str, Any]:
    stops = any(device.effect in _STOPS for device in notice.devices)
    stops = stops or any(rack.effect in _RACK_STOPS for rack in notice.racks)
    halves = any(rack.effect == "feeds" for rack in notice.racks)
    # Of what stands in racks and is not in NetBox, nobody can say that it keeps working.
    calm = [said.nothing_to_do] if notice.devices or not halves else []
    return {
        "title": said.title.format(site=notice.site),
        "greeting": said.greeting.format(tenant=notice.tenant),
        "intro": said.intro.format(site=notice.site),
        "when": times(notice, said),
        "works": [
            f"{said.works.get(work.kind, said.other_work)} {work.name}".strip()
            for work in notice.works
        ],
        "advice": [*([said.to_do] if stops else calm), *([said.racks_advice] if halves else [])],
        "stops": stops,
        "groups": list(_groups(notice)),
        "racks": [(rack.name, _rack(rack, said)) for rack in notice.racks],
        "people": _lines(notice.sender) or [said.no_contact],
        "to": _lines(notice.to),
    }


def _rack(rack: OwnRack, said: Words) -> str:
    words_of = {
        "feeds": said.rack_feeds,
        "pdu": said.rack_pdu,
        "dark": said.rack_dark,
        "off": said.rack_off,
    }
    return words_of[rack.effect].format(feeds=", ".join(rack.feeds))


def _lines(people: Iterable[Person]) -> list[str]:
    """Each person on one line: name, title, mail address and number."""
    return [", ".join(part for part in (p.name, p.title, p.email, p.phone) if part) for p in people]


def _groups(notice: Notice) -> Iterator[tuple[str, str, str, str]]:
    """The devices to which the same happens in one rack: effect, rack, names, ports.

    PDUs come last and all together: what they feed is said elsewhere.
    """
    order = ("off", "lost", "cord", "link", "management", "dark")
    groups: dict[tuple[int, str, tuple[str, ...]], list[str]] = {}
    for device in notice.devices:
        rack = "" if device.effect == "dark" else device.rack
        key = (order.index(device.effect), rack, device.parts)
        groups.setdefault(key, []).append(device.name)
    for (effect, rack, parts), names in sorted(groups.items()):
        yield order[effect], rack, host_names(names, _NAMES), ", ".join(parts)


def times(notice: Notice, said: Words) -> str:
    """When, in the notice's zone, with the zone's name and its offset."""
    zone = ZoneInfo(notice.zone)
    starts, ends = notice.starts.astimezone(zone), notice.ends.astimezone(zone)
    place = notice.zone.rpartition("/")[2].replace("_", " ")
    first, last = _day(starts, said), _day(ends, said)
    if first == last:
        told = said.same_day.format(day=first, starts=f"{starts:%H:%M}", ends=f"{ends:%H:%M}")
    else:
        told = said.times.format(starts=f"{first} {starts:%H:%M}", ends=f"{last} {ends:%H:%M}")
    # Both, when clocks are changed in between.
    offset = ", ".join(dict.fromkeys((_offset(starts), _offset(ends))))
    return f"{told} ({place}, {offset})"


def _day(time: datetime.datetime, said: Words) -> str:
    return said.date.format(
        day=said.days[time.weekday()],
        number=time.day,
        month=said.months[time.month - 1],
        year=time.year,
    )


def _offset(time: datetime.datetime) -> str:
    text = f"{time:%z}"
    return f"UTC{text[:3]}:{text[3:]}"
