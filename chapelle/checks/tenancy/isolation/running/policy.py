"""What is taken from BGP neighbours in a VRF, by the route maps and prefix lists of all platforms.

A route map that is not followed to its prefix lists lets everything pass: what is not known to be
refused is taken for accepted.
"""

import re
from collections.abc import Iterator

from chapelle.checks.tenancy.isolation.running.words import matching, values
from chapelle.fabric.platforms import FRR, NXOS, Platform
from chapelle.fabric.sections import Tree
from chapelle.model.isolation import Accepted

_MATCH = r"match (?:ip|ipv6) address prefix-list (\S+)"
_ENTRY = r"(?:seq \d+ )?permit (\S+)(?: .*)?"


def accepted(platform: Platform, tree: Tree, below: Tree) -> Iterator[Accepted]:
    """What each neighbour of a VRF's instance of BGP may tell.

    Arguments:
        platform: whose words the configuration is in.
        tree: the whole configuration.
        below: the lines of the instance.
    """
    for peer, lines in _neighbours(platform, below).items():
        maps = [name for line in lines for name in re.findall(r"^route-map (\S+) in$", line)]
        lists = [name for line in lines for name in re.findall(r"^prefix-list (\S+) in$", line)]
        found = [_of_map(tree, name) for name in maps] + [_of_list(tree, name) for name in lists]
        # Of several filters each is in force: the first is enough to know that no more is taken.
        told = next((prefixes for prefixes in found if prefixes is not None), None)
        yield Accepted(peer=peer, prefixes=told)


def _neighbours(platform: Platform, below: Tree) -> dict[str, list[str]]:
    """The lines about each neighbour that BGP speaks with, without its name."""
    found: dict[str, list[str]] = {}
    if platform.slug == NXOS.slug:
        for match, inner in matching(below, r"neighbor (\S+)(?: remote-as .*)?"):
            families = [tree for _, tree in matching(inner, r"address-family .*")]
            found[match[1]] = [line for tree in families for line in tree.lines]
        return found
    families = [below, *(tree for _, tree in matching(below, r"address-family .*"))]
    for tree in families:
        for match, _ in matching(tree, r"neighbor (\S+) (.*)"):
            found.setdefault(match[1], []).append(match[2])
    spoken = {peer: lines for peer, lines in found.items() if "activate" in lines}
    return spoken if platform.slug == FRR.slug else found


def _of_map(tree: Tree, name: str) -> tuple[str, ...] | None:
    """The networks that a route map lets pass, or None where that is anything."""
    found: list[str] = []
    for match, below in matching(tree, rf"route-map {re.escape(name)} (permit|deny) \d+"):
        if match[1] == "deny":
            continue
        lists = values(below, _MATCH)
        entries = [_of_list(tree, each) for each in lists]
        if not lists or any(each is None for each in entries):
            return None
        found += [prefix for each in entries for prefix in each or ()]
    return tuple(sorted(set(found)))


def _of_list(tree: Tree, name: str) -> tuple[str, ...] | None:
    """The networks of a prefix list; one that is not there lets everything pass."""
    head = rf"(?:ip|ipv6) prefix-list {re.escape(name)}"
    found = values(tree, rf"{head} {_ENTRY}")
    blocks = [below for _, below in matching(tree, head)]
    found += [prefix for below in blocks for prefix in values(below, _ENTRY)]
    there = blocks or any(True for _ in matching(tree, rf"{head} .*"))
    return tuple(sorted(set(found))) if there else None
