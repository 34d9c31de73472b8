"""Ports of switches that say `switchport`, as Arista EOS and Cisco NX-OS both do."""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from chapelle.checks.tenancy.isolation.running.words import EVERY_VID, matching, numbers, values
from chapelle.fabric.sections import Tree
from chapelle.model.isolation import GLOBAL, Door


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """In what the platforms differ: the name of a group, and patterns of lines below a port.

    `group` comes before a group's number; the first group of `member` is that number, and of `vrf`
    the name of the VRF that the port is in.
    """

    group: str
    member: str
    vrf: str


def doors(tree: Tree, dialect: Dialect) -> Iterator[Door]:
    """Ports and groups that are up; a port with no word about it is in VLAN 1."""
    members: dict[str, list[str]] = defaultdict(list)
    alone: list[tuple[str, Tree]] = []
    for match, below in matching(tree, r"interface (Ethernet\S+)"):
        if "shutdown" in below.lines:
            continue
        groups = values(below, dialect.member)
        if groups:
            members[f"{dialect.group}{groups[0]}"].append(match[1])
        elif "." not in match[1]:
            alone.append((match[1], below))
    for name, below in alone:
        yield from _door(tree, dialect, name, (name,), below)
    for match, below in matching(tree, rf"interface ({dialect.group}\d+)"):
        if "shutdown" not in below.lines and members[match[1]]:
            yield from _door(tree, dialect, match[1], tuple(members[match[1]]), below)


def _door(
    tree: Tree, dialect: Dialect, name: str, ports: tuple[str, ...], below: Tree
) -> Iterator[Door]:
    if "no switchport" in below.lines:
        yield Door(ports=ports, table=table_of(below, dialect))
        for _, part in matching(tree, rf"interface {name}\.\d+"):
            yield Door(ports=ports, table=table_of(part, dialect))
        return
    if "switchport mode trunk" in below.lines:
        native = int(next(iter(values(below, r"switchport trunk native vlan (\d+)")), 1))
        allowed = [
            numbers(each) for each in values(below, r"switchport trunk allowed vlan (?:add )?(\S+)")
        ]
        vids = frozenset().union(*allowed) if allowed else EVERY_VID
        untagged = native if native in vids else None
        yield Door(ports=ports, untagged=untagged, tagged=vids - {native})
        return
    access = next(iter(values(below, r"switchport access vlan (\d+)")), "1")
    yield Door(ports=ports, untagged=int(access))


def table_of(below: Tree, dialect: Dialect) -> str:
    """The table that an interface is in."""
    return [GLOBAL, *values(below, dialect.vrf)][-1]
