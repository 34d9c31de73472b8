"""Which sections of a device's configuration are ours, and what changing only those means.

A section is ours when its first line matches a pattern of `platforms`; then all its lines are, and
those that intent does not have are removed. All other sections are somebody else's: they stay as
they are, line by line, and where they are.
"""

import re

from chapelle.errors import ChapelleError
from chapelle.fabric.platforms import Platform, platform
from chapelle.fabric.sections import Section, changes, parse, text, tree

_WHERE = "a configuration"


def merge(slug: str, running: str, intended: str) -> str:
    """What the device shall run: its running configuration with our sections replaced.

    Arguments:
        slug: the platform.
        running: the running configuration, as the device shows it.
        intended: our sections, as `render` gives them.

    Returns:
        The candidate, in the device's own order: sections that it has keep their place, new ones
        come where the device would show them.

    Raises:
        InputError: the platform is unknown.
        ChapelleError: `intended` has a section that is not ours.
    """
    kind = platform(slug, where=_WHERE)
    wanted = {section.header: section for section in parse(kind, intended)}
    for header in wanted:
        if kind.rank(header) is None:
            raise ChapelleError(
                "A section that was rendered is not one that we own.",
                where=f"platform {slug}",
                expected="a section that platforms.py lists as ours",
                found=header,
                remedy="add its pattern to the platform, or take it out of the template",
            )
    merged: list[Section] = []
    gone: list[Section] = []
    missing = dict(wanted)
    for section in parse(kind, running):
        if kind.rank(section.header) is not None and section.header not in missing:
            gone.append(section)
        merged.append(missing.pop(section.header, section))
    for section in missing.values():
        merged.insert(_place(kind, merged, section), section)
    return text(kind, [section for section in merged if not any(section is one for one in gone)])


def diff(slug: str, running: str, candidate: str) -> str:
    """What a candidate changes, for people to read; empty when it changes nothing.

    Lines begin with `-` (goes), `+` (comes) or a blank (what these belong to). The order of lines
    within a section, and of sections, is the device's business: it makes no difference here.

    Raises:
        InputError: the platform is unknown.
    """
    kind = platform(slug, where=_WHERE)
    before, after = (tree(kind, parse(kind, each)) for each in (running, candidate))
    return "".join(f"{line}\n" for line in changes(before, after))


def owned(slug: str, configuration: str) -> str:
    """Only our sections of a configuration, in their order.

    Raises:
        InputError: the platform is unknown.
    """
    kind = platform(slug, where=_WHERE)
    return text(kind, [s for s in parse(kind, configuration) if kind.rank(s.header) is not None])


def _place(kind: Platform, sections: list[Section], new: Section) -> int:
    """Where a new section of ours goes: before the first of ours that comes after it."""
    key = _order(kind, new.header)
    last = len(sections)
    for place, section in enumerate(sections):
        if kind.rank(section.header) is None:
            continue
        if _order(kind, section.header) > key:
            return place
        last = place + 1
    return last


def _order(kind: Platform, header: str) -> tuple[int, list[tuple[int, str]]]:
    """By kind of section, then by name with numbers as numbers."""
    rank = kind.rank(header)
    parts = re.findall(r"\d+|\D+", header)
    return (
        len(kind.owned) if rank is None else rank,
        [(int(part), "") if part.isdecimal() else (-1, part) for part in parts],
    )
