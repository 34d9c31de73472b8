"""The text of a device's configuration in sections, and what differs between two texts.

A section is a line at the left margin and the indented lines below it. Which lines end a section,
separate two, or only tell when a text was written, is the platform's (see `platforms`). Text that
a person may have written freely, such as a banner, is one section whatever it looks like.
"""

import re
from collections.abc import Iterable

import msgspec

from chapelle.fabric.platforms import Platform


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One section: its first line, the lines below it as they are, and the line that ends it."""

    header: str
    lines: tuple[str, ...] = ()
    closing: str = ""


class Tree(msgspec.Struct):
    """Lines by their text, each as it is shown and with the lines that belong to it."""

    lines: dict[str, tuple[str, "Tree"]] = {}


def parse(platform: Platform, text: str) -> list[Section]:
    """The sections of a text in their order; what only separates them is left out."""
    found: list[Section] = []
    lines = iter(text.splitlines())
    for raw in lines:
        line = raw.rstrip()
        if line[:1] == " ":
            if found:
                last = found[-1]
                found[-1] = msgspec.structs.replace(last, lines=(*last.lines, line))
        elif re.fullmatch(platform.closing, line):
            if found and line not in ("", "end", platform.separator):
                found[-1] = msgspec.structs.replace(found[-1], closing=line)
        elif end := _end_of_free_text(platform, line):
            found.append(_free_text(raw, end, lines))
        elif not re.fullmatch(platform.volatile, line):
            found.append(Section(header=line))
    return found


def _end_of_free_text(platform: Platform, line: str) -> str | None:
    """The pattern of the last line of free text that begins with this one; None for others."""
    if platform.free_text is None or not (match := re.fullmatch(platform.free_text, line)):
        return None
    mark = match.groupdict().get("mark")
    if mark is None:
        return "EOF"
    if mark in match["rest"]:
        return None  # it ends where it begins
    return rf".*{re.escape(mark)}.*"


def _free_text(header: str, end: str, lines: Iterable[str]) -> Section:
    body = []
    for line in lines:
        body.append(line)
        if re.fullmatch(end, line):
            break
    return Section(header=header, lines=tuple(body))


def text(platform: Platform, sections: Iterable[Section]) -> str:
    """The sections as one text; single lines stand together, anything longer stands apart."""
    parts: list[str] = []
    alone = True
    for section in sections:
        longer = bool(section.lines or section.closing)
        if parts and (longer or not alone):
            parts.append(platform.separator)
        alone = not longer
        parts += [section.header, *section.lines]
        if section.closing:
            parts.append(section.closing)
    if parts and not alone and platform.separator:
        parts.append(platform.separator)
    return "".join(f"{line}\n" for line in parts)


def tree(platform: Platform, sections: Iterable[Section]) -> Tree:
    """The lines of all sections by what they belong to, without those that mean nothing."""
    root = Tree()
    for section in sections:
        if not section.lines and re.fullmatch(platform.idle, section.header):
            continue
        top = root.lines.setdefault(section.header, (section.header, Tree()))[1]
        parents = [(0, top)]
        for line in section.lines:
            plain = line.strip()
            if not plain or re.fullmatch(platform.closing, plain):
                continue
            indent = len(line) - len(line.lstrip())
            while len(parents) > 1 and parents[-1][0] >= indent:
                parents.pop()
            child = parents[-1][1].lines.setdefault(plain, (line, Tree()))[1]
            parents.append((indent, child))
    return root


def changes(before: Tree, after: Tree) -> list[str]:
    """What differs, in lines that begin with `-`, with `+`, or with a blank for their context."""
    found: list[str] = []
    for key, (line, below) in before.lines.items():
        if key not in after.lines:
            found += _whole("-", line, below)
    for key, (line, below) in after.lines.items():
        if key not in before.lines:
            found += _whole("+", line, below)
        elif inner := changes(before.lines[key][1], below):
            found += [f" {line}", *inner]
    return found


def _whole(sign: str, line: str, below: Tree) -> list[str]:
    found = [f"{sign}{line}"]
    for inner, deeper in below.lines.values():
        found += _whole(sign, inner, deeper)
    return found
