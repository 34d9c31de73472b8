"""Reads a tenant's request: `inventory/tenants/*.yml`, and says all that is wrong with it at once.

What only a datacentre can tell (no such aisle, no such rack), and what only a day can (it is past),
is for `chapelle.checks.tenancy.feasibility`.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from chapelle import strict
from chapelle.model.tenancy import Bgp, Network, Request
from chapelle.strict.problems import Problem, ProblemsError

type Mistake = tuple[str, str, str]  # path, expected, found
type IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# How many ports for cross-connects an edge has.
_CROSS_CONNECTS = 2
# From the longest to the shortest length of a tenant's own prefix, for IPv4 and IPv6.
_LENGTHS = {4: (8, 30), 6: (16, 126)}


class RequestError(ProblemsError):
    """A request is wrong (exit 2). `problems` are all that were found."""

    def __init__(self, problems: list[Problem]) -> None:
        remedy = "correct the file, then run the command again; nothing was changed"
        super().__init__("The request", problems, remedy)


def read(path: Path) -> Request:
    """The request in that file.

    Raises:
        RequestError: the file cannot be read, is not what `chapelle.model.tenancy.Request` says, or
            contradicts itself.
    """
    request, problems = strict.read(path, Request, dates=True)
    if problems:
        raise RequestError(problems)
    assert isinstance(request, Request)  # noqa: S101 - what strict.read promises
    if mistakes := list(_mistakes(request)):
        raise RequestError([Problem(path.name, *mistake) for mistake in mistakes])
    return request


def _mistakes(request: Request) -> Iterator[Mistake]:
    """Everything in it that contradicts itself."""
    space = request.space
    if (space.racks is None) == (space.units is None):
        found = "neither" if space.racks is None else "both"
        yield "space", "either racks, or units of one rack", found
    if request.tenant.slug in space.apart_from:
        yield "space.apart_from", "other tenants", f"{request.tenant.slug}, the tenant itself"
    if request.starts and request.ends and request.ends < request.starts:
        yield "ends", f"a day from {request.starts} on, when it starts", str(request.ends)
    if request.handoff.kind != "bgp" and request.handoff.bgp != Bgp():
        found = f"handoff.kind {request.handoff.kind}"
        yield "handoff.bgp", "handoff.kind bgp, which this is for", found
    yield from _networks(request)
    yield from _cross_connects(request)


def _networks(request: Request) -> Iterator[Mistake]:
    names = Counter(network.name for network in request.networks)
    for name in (name for name, count in names.items() if count > 1):
        yield "networks", "networks with names of their own", f"{name} twice"
    prefixes: dict[str, IPNetwork] = {}
    for index, network in enumerate(request.networks):
        path = f"networks[{index}]"
        if request.handoff.kind == "bgp" and not network.routed:
            found = "handoff.kind bgp: the tenant announces its networks"
            yield f"{path}.routed", "true, or handoff.kind lacp", found
        if network.prefix is not None:
            try:
                prefixes[path] = _prefix(network)
            except ValueError as error:
                expected = "a network of the tenant's, such as 10.80.4.0/24"
                yield f"{path}.prefix", expected, f"{network.prefix!r}: {error}"
    for (_, one), (path, other) in combinations(prefixes.items(), 2):
        if one.version == other.version and one.overlaps(other):
            yield f"{path}.prefix", "prefixes that do not overlap", f"{other} and {one}"


def _prefix(network: Network) -> IPNetwork:
    """The prefix of a network.

    Raises:
        ValueError: it is none that machines can have addresses from.
    """
    prefix = ipaddress.ip_network(network.prefix or "")
    shortest, longest = _LENGTHS[prefix.version]
    if not shortest <= prefix.prefixlen <= longest:
        raise ValueError(f"its length is not between {shortest} and {longest}")
    if prefix.is_multicast or prefix.is_loopback or prefix.is_link_local or prefix.is_unspecified:
        raise ValueError("no machine of another network can have an address of it")
    return prefix


def _cross_connects(request: Request) -> Iterator[Mistake]:
    ports = Counter((each.panel, each.port) for each in request.cross_connects)
    for (panel, port), count in ports.items():
        if count > 1:
            yield "cross_connects", "a port for each cable", f"port {port} of {panel} {count} times"
    aisles = Counter(each.aisle for each in request.cross_connects)
    for aisle, count in aisles.items():
        if count > _CROSS_CONNECTS:
            expected = f"at most {_CROSS_CONNECTS} in one aisle"
            yield "cross_connects", expected, f"{count} in aisle {aisle}"
