"""In which order hosts are worked on, and how many at a time.

First one canary: what is wrong with the plan itself then breaks one host. After it batches that
each lie inside one failure domain, so that whatever a batch breaks, the hosts behind another leaf
pair, another rack and other power feeds still stand.
"""

import itertools
import re
from collections.abc import Iterable

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

# Hosts in one batch. A rack of 42 single-unit servers makes two.
MAX_BATCH = 24

# The canary is one of the hosts whose loss hurts least: there are many compute servers, and three
# that give the others their infrastructure.
CANARY_ROLES = ("compute", "storage", "database", "infra")


class Domain(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a group of hosts loses together: its rack, its leaf switches, its power feeds."""

    rack: str
    leafs: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()

    def __str__(self) -> str:
        behind = "+".join(self.leafs) or "no leaf"
        power = "+".join(self.feeds) or "no feed"
        return f"{self.rack} ({behind}, {power})"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One host as the planner sees it."""

    name: str
    role: str
    domain: Domain


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts that are worked on at the same time. Batches are numbered from 1."""

    number: int
    domain: str
    hosts: tuple[str, ...]
    canary: bool = False


def domain_of(dc: Datacentre, device: r.Device) -> Domain:
    """The failure domain that a server stands in, by rack, cables and power."""
    rack = dc.racks.get(device.rack or 0)
    return Domain(
        rack=rack.name if rack else "(no rack)",
        leafs=dc.leaf_pair(device),
        feeds=tuple(feed.name for feed in dc.feeds(device)),
    )


def batches(members: Iterable[Member], max_size: int = MAX_BATCH) -> tuple[Batch, ...]:
    """Order the hosts: one canary, then domain by domain in order of rack.

    Arguments:
        members: hosts with different names.
        max_size: most hosts in one batch; a larger domain is cut into batches of equal size.
    """
    ordered = sorted(members, key=lambda m: (natural(m.domain.rack), m.domain, natural(m.name)))
    if not ordered:
        return ()
    canary = min(ordered, key=expendable)
    groups: list[tuple[Domain, tuple[str, ...], bool]] = [(canary.domain, (canary.name,), True)]
    for domain in dict.fromkeys(m.domain for m in ordered):
        names = [m.name for m in ordered if m.domain == domain and m is not canary]
        groups += [(domain, part, False) for part in _evenly(names, max_size)]
    return tuple(
        Batch(number=number, domain=str(domain), hosts=hosts, canary=is_canary)
        for number, (domain, hosts, is_canary) in enumerate(groups, start=1)
    )


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """A sort key by which A2-R2 comes before A2-R10."""
    parts = re.findall(r"(\D*)(\d*)", name)
    return tuple((text, int(number or -1)) for text, number in parts)


def expendable(member: Member) -> tuple[int, tuple[tuple[str, int], ...]]:
    """A sort key by which the host comes first whose loss hurts least."""
    known = member.role in CANARY_ROLES
    rank = CANARY_ROLES.index(member.role) if known else len(CANARY_ROLES)
    return rank, natural(member.name)


def _evenly(names: list[str], max_size: int) -> list[tuple[str, ...]]:
    count = -(-len(names) // max_size)
    cuts = [i * len(names) // count for i in range(count + 1)] if count else []
    return [tuple(names[a:b]) for a, b in itertools.pairwise(cuts)]
