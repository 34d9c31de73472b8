r"""Files of systemd-networkd and sysctl as sections of a switch's configuration. Pure.

A switch with FRRouting has its links in files beside FRRouting's configuration. So that one
difference, one approval and one way back cover both, they are sections of the same text, a line for
each part of a file:

    file /etc/systemd/network/20-chapelle-vlan102.netdev
     [NetDev] Name=vlan102 Kind=vlan MTUBytes=9000
     [VLAN] Id=102

Comments and blank lines mean nothing and are left out. A blank or a backslash in a value is written
as systemd writes it (`\x20`, `\x5c`), so that what somebody else put there comes back as it was.
Sources: systemd.syntax(7), sysctl.d(5).
"""

import re
from collections.abc import Mapping

# All files whose path begins so are ours, and one of sysctl; one that is not wanted any more goes.
PREFIX = "/etc/systemd/network/20-chapelle-"
SYSCTL = "/etc/sysctl.d/20-chapelle-fabric.conf"
HEADER = "# Managed by chapelle (fabric.push), which undoes changes that are made here.\n"

# The first line of a section that is a file, and that of one that is ours.
ANY = re.compile(r"file (?P<path>\S+)")
OURS = rf"file (?:{re.escape(PREFIX)}[\w.-]+\.(?:netdev|network)|{re.escape(SYSCTL)})"

_SECTION = re.compile(r"^file \S+\n(?: .*\n)*", re.MULTILINE)


def section(path: str, content: str) -> str:
    """One file as a section; it ends with the line that separates it from the next."""
    parts: list[str] = []
    for raw in content.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        word = f"{key.strip()}{equals}{_written(value.strip())}"
        if parts and parts[-1].startswith("[") and not line.startswith("["):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return f"file {path}\n{''.join(f' {part}\n' for part in parts)}!\n"


def sections(files: Mapping[str, str]) -> str:
    """All these files, by path, as sections."""
    return "".join(section(path, files[path]) for path in sorted(files))


def split(configuration: str) -> tuple[dict[str, str], str]:
    """The files of a configuration by path, and its other lines.

    Each line of a file leaves a `!` behind, so that the others keep their numbers.
    """
    files = {}
    for match in _SECTION.finditer(configuration):
        header, *lines = match[0].splitlines()
        path = header.removeprefix("file ")
        files[path] = HEADER + "".join(_content(line.strip()) for line in lines)
    return files, _SECTION.sub(lambda match: "!\n" * match[0].count("\n"), configuration)


def _content(line: str) -> str:
    """What a line of a section is in the file."""
    words = [_read(word) for word in line.split(" ")]
    return "".join(f"{word}\n" for word in (["", *words] if line.startswith("[") else words))


def _written(value: str) -> str:
    return value.replace("\\", r"\x5c").replace(" ", r"\x20")


def _read(word: str) -> str:
    return word.replace(r"\x20", " ").replace(r"\x5c", "\\")
