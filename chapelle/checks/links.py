"""Can a server's links be built as they are meant? Asked before any file of them is written.

systemd-networkd takes nearly every file and leaves out, with a line in its journal, what it does
not understand; the host is then cut off and goes back a minute later. So what it would stumble over
is refused here, by name.

Sources: Linux, `dev_valid_name` (net/core/dev.c) and `register_vlan_dev`; systemd 252,
`ifname_valid_full`; IEEE 802.1Q, VLAN identifiers.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from chapelle.errors import InputError

# 15 bytes; none that a file's name or a pattern of [Match] would read in another way.
NAME = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
RESERVED = frozenset({"all", "default", "lo"})

MTU = range(68, 65536)  # RFC 791: IPv4 needs 68
DEFAULT_MTU = 1500
VLAN_IDS = range(1, 4095)

Link = Mapping[str, Any]


class Fault(NamedTuple):
    """What is wrong with one link."""

    link: str
    expected: str
    found: str


def refuse(links: Sequence[Link], owner: str) -> None:
    """Stop at links that cannot be built.

    Arguments:
        links: as `chapelle.plan.hostvars.intended_links` gives them.
        owner: whose they are, for the message: `device compute-a2-01`.

    Raises:
        InputError: one of them cannot; the first is named, the others are counted.
    """
    found = list(faults(links))
    if not found:
        return
    first, others = found[0], len(found) - 1
    raise InputError(
        "A link cannot be built as it is described.",
        where=f"{owner}, interface {first.link}",
        expected=first.expected,
        found=first.found + (f" (and {others} more faults of its links)" if others else ""),
        remedy="correct the interface or its address in NetBox",
    )


def faults(links: Sequence[Link]) -> Iterator[Fault]:
    """Everything that is wrong with a server's links: what is there twice, then link by link."""
    yield from _twice(links)
    by_name = {link["name"]: link for link in links}
    for link in links:
        yield from _name(link)
        yield from _mtu(link, by_name)
        yield from _bond(link, links, by_name)
        yield from _vlan(link, by_name)
        yield from _addresses(link)


def _name(link: Link) -> Iterator[Fault]:
    name = str(link["name"])
    if not NAME.fullmatch(name) or name in RESERVED:
        expected = "a name of at most 15 letters, digits and . - _, and not only digits"
        yield Fault(name, expected, repr(name))


def _mtu(link: Link, by_name: Mapping[str, Link]) -> Iterator[Fault]:
    mtu = link["mtu"]
    if mtu is None:
        return
    if mtu not in MTU:
        yield Fault(link["name"], f"an MTU from {MTU[0]} to {MTU[-1]}", f"{mtu}")
    parent = by_name.get(link["parent"] or "")
    if parent and mtu > (most := parent["mtu"] or DEFAULT_MTU):
        yield Fault(link["name"], f"an MTU of at most {most}, that of {parent['name']}", f"{mtu}")


def _bond(link: Link, links: Sequence[Link], by_name: Mapping[str, Link]) -> Iterator[Fault]:
    name, bond = link["name"], link["bond"]
    if link["kind"] == "bond" and not any(each["bond"] == name for each in links):
        yield Fault(name, "at least one enabled port that belongs to the bond", "none")
    if bond is None:
        return
    owner = by_name.get(bond)
    if owner is None or owner["kind"] != "bond":
        found = f"{bond}, which is " + (f"a {owner['kind']} link" if owner else "none of its links")
        yield Fault(name, "an enabled bond of this server to belong to", found)
    if link["kind"] != "physical":
        yield Fault(name, f"ports as members of {bond}", f"a {link['kind']} link")
    if link["addresses"]:
        yield Fault(name, f"no address: it is a member of {bond}", ", ".join(link["addresses"]))


def _vlan(link: Link, by_name: Mapping[str, Link]) -> Iterator[Fault]:
    if link["kind"] != "vlan":
        return
    name, parent = link["name"], by_name.get(link["parent"] or "")
    if parent is None:
        yield Fault(name, "a parent that is one of its links", f"{link['parent'] or 'none'}")
    elif parent["kind"] == "vlan" or parent["bond"]:
        kind = "a VLAN itself" if parent["kind"] == "vlan" else f"a member of {parent['bond']}"
        yield Fault(name, "a bond, or a port of no bond, as parent", f"{parent['name']}, {kind}")
    if link["vid"] not in VLAN_IDS:
        yield Fault(name, f"a VLAN from {VLAN_IDS[0]} to {VLAN_IDS[-1]}", f"{link['vid']}")


def _addresses(link: Link) -> Iterator[Fault]:
    name = link["name"]
    networks = []
    for text in link["addresses"]:
        try:
            address = ipaddress.ip_interface(text)
        except ValueError:
            yield Fault(name, "an address with the length of its prefix", repr(text))
            continue
        network = address.network
        networks.append(network)
        ends = (network.network_address, network.broadcast_address)
        if address.version == 4 and network.prefixlen < 31 and address.ip in ends:
            yield Fault(name, f"an address of a host in {network}", f"{address}")
    gateway = link["gateway"]
    if gateway is None:
        return
    try:
        reached = any(ipaddress.ip_address(gateway) in network for network in networks)
    except ValueError:
        reached = False
    if not reached:
        within = ", ".join(str(network) for network in networks) or "none: the link has no address"
        yield Fault(name, f"a gateway in a prefix of the link ({within})", f"{gateway}")


def _twice(links: Sequence[Link]) -> Iterator[Fault]:
    """What may be there once only: names, addresses, a VLAN on its parent, the default gateway."""
    seen: dict[tuple[str, Any], str] = {}
    for link in links:
        name = link["name"]
        marks = [("the interface", name)]
        marks += [("the address", text.partition("/")[0]) for text in link["addresses"]]
        if link["kind"] == "vlan":
            marks.append(("the VLAN", f"{link['vid']} on {link['parent']}"))
        if link["gateway"]:
            marks.append(("a", "default gateway"))
        for mark in marks:
            if mark in seen:
                yield Fault(name, f"{' '.join(mark)} once", f"it is that of {seen[mark]} too")
            seen.setdefault(mark, name)
