"""Words that configurations of all platforms have in common."""

import re
from collections.abc import Iterable, Iterator

import msgspec

from chapelle.fabric.platforms import Platform
from chapelle.fabric.sections import Tree, parse, tree
from chapelle.model.isolation import GLOBAL, Leak

EVERY_VID = frozenset(range(1, 4095))

_NOTHING = r"(?!)"
_DEFAULT = re.compile(r"(?:0\.0\.0\.0/0|0\.0\.0\.0 0\.0\.0\.0|::/0)(?= |$)")


def tree_of(platform: Platform, configuration: str) -> Tree:
    """A configuration by its lines and what belongs to each; a port without any is there too."""
    whole = msgspec.structs.replace(platform, idle=_NOTHING)
    return tree(whole, parse(whole, configuration))


def matching(below: Tree, pattern: str) -> Iterator[tuple[re.Match[str], Tree]]:
    """The lines that a pattern matches as a whole, with what belongs to them."""
    for line, (_, inner) in below.lines.items():
        if match := re.fullmatch(pattern, line):
            yield match, inner


def values(below: Tree, pattern: str) -> list[str]:
    """What the first group of a pattern matches, of every line that it matches as a whole."""
    return [match[1] for match, _ in matching(below, pattern)]


def numbers(text: str) -> frozenset[int]:
    """The numbers of `101,201-203`, of `all`, and of `none`."""
    if text in ("all", "none"):
        return EVERY_VID if text == "all" else frozenset()
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def leak(into: str | None, line: str) -> Leak:
    """A way into another table that a line makes."""
    return Leak(into=into or GLOBAL, words=line, default=bool(_DEFAULT.search(line)))


def targets(below: Tree, verb: str, pattern: str) -> list[str]:
    """The route targets that are imported, or exported, by lines of that pattern.

    Arguments:
        below: where the lines are.
        verb: import or export.
        pattern: what a line matches as a whole; its groups are the verb and the targets.
    """
    found: list[str] = []
    for match, _ in matching(below, pattern):
        if match[1] in (verb, "both"):
            found += match[2].split()
    return list(dict.fromkeys(found))


def automatic(asn: str, vni: int | None, verb: str) -> tuple[str, ...]:
    """The targets that a switch makes itself: of its AS number and the VNI (RFC 8365, 5.1.2.1).

    It imports those of any AS number.
    """
    if vni is None:
        return ()
    return (f"*:{vni}",) if verb == "import" else (f"{int(asn or 0) & 0xFFFF}:{vni}",)


def unique(leaks: Iterable[Leak]) -> tuple[Leak, ...]:
    """The leaks, each once and in order."""
    return tuple(sorted(set(leaks)))
