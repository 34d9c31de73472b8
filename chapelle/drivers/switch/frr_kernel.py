"""What the kernel of an FRR switch does with VLANs and routes, whoever told it so. Pure.

Shapes of the answers: `ip -json` and `bridge -json` of iproute2 6.1, as Debian 12 has it. A route
that has no `table` is in the main one; a VRF's table is called by its number.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chapelle.model.switch import Bridged, Kernel, Route

# Their answers, in this order, are what `kernel` takes after the links.
COMMANDS = (
    "bridge -json vlan show",
    "ip -json route show table all",
    "ip -6 -json route show table all",
    "ip -json rule show",
    "ip -6 -json rule show",
)

_DEFAULT = "default"

# Routes of these types lead nowhere else.
_AT_HOME = frozenset(
    {"local", "broadcast", "anycast", "multicast", "unreachable", "blackhole", "prohibit", "throw"}
)

# Tables that every table is looked up before or after (ip-rule(8)).
_USUAL = frozenset({"local", "main", "default"})


def kernel(links: Sequence[dict[str, Any]], *answers: Sequence[dict[str, Any]]) -> Kernel:
    """What the kernel does.

    Arguments:
        links: of `ip -details -json link show`.
        answers: those to COMMANDS; what printed nothing is empty.
    """
    vlans, routes, rules = answers[0], [*answers[1], *answers[2]], [*answers[3], *answers[4]]
    by_name = {link["ifname"]: link for link in links}
    tables = {name: _table(name, by_name) for name in by_name}
    numbers = {
        str(_data(link).get("table")): name
        for name, link in by_name.items()
        if _kind(link) == "vrf"
    }
    members: dict[str, list[str]] = {}
    for name, link in by_name.items():
        if _kind(by_name.get(link.get("master", ""), {})) == "bond":
            members.setdefault(link["master"], []).append(name)
    crossing = {*_routes(routes, tables, numbers), *_rules(rules, tables, numbers)}
    return Kernel(
        bridged=tuple(sorted(_bridged(vlans))),
        bridges=frozenset(name for name, link in by_name.items() if _kind(link) == "bridge"),
        members={name: tuple(sorted(ports)) for name, ports in sorted(members.items())},
        vnis={
            name: int(_data(link).get("id", 0))
            for name, link in sorted(by_name.items())
            if _kind(link) == "vxlan"
        },
        gateways=tuple(sorted(_gateways(by_name, tables))),
        routes=tuple(sorted(crossing)),
    )


def _kind(link: Mapping[str, Any]) -> str:
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def _data(link: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = link.get("linkinfo", {}).get("info_data", {})
    return found


def _table(name: str, links: Mapping[str, dict[str, Any]]) -> str:
    """The VRF that a link is in, by way of what it is a port of."""
    seen: set[str] = set()
    while name in links and name not in seen:
        seen.add(name)
        if _kind(links[name]) == "vrf":
            return name
        name = links[name].get("master", "")
    return _DEFAULT


def _bridged(vlans: Sequence[dict[str, Any]]) -> Iterator[Bridged]:
    for port in vlans:
        for each in port.get("vlans", ()):
            untagged = "PVID" in each.get("flags", ())
            for vid in range(each["vlan"], each.get("vlanEnd", each["vlan"]) + 1):
                yield Bridged(port=port["ifname"], vid=vid, untagged=untagged)


def _gateways(
    links: Mapping[str, dict[str, Any]], tables: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    """Links of the switch's own in a VLAN of a bridge, and those on top of such ones."""
    vids = {
        name: int(_data(link)["id"])
        for name, link in links.items()
        if _kind(link) == "vlan" and _kind(links.get(link.get("link", ""), {})) == "bridge"
    }
    for name, link in links.items():
        vid = vids.get(name, vids.get(link.get("link", "")) if _kind(link) == "macvlan" else None)
        if vid is not None:
            yield vid, tables[name]


def _routes(
    routes: Sequence[dict[str, Any]], tables: Mapping[str, str], numbers: Mapping[str, str]
) -> Iterator[Route]:
    """Routes of a table over a link of another one."""
    for route in routes:
        number = str(route.get("table", "main"))
        if route.get("type") in _AT_HOME or number in ("local", "default"):
            continue
        table = _DEFAULT if number == "main" else numbers.get(number, f"table {number}")
        for hop in route.get("nexthops") or [route]:
            device = hop.get("dev", "")
            into = tables.get(device)
            if into is not None and into != table and device != "lo":
                destination = "0.0.0.0/0" if route["dst"] == "default" else route["dst"]
                words = f"kernel route {destination} dev {device}"
                yield Route(table=table, into=into, words=words)


def _rules(
    rules: Sequence[dict[str, Any]], tables: Mapping[str, str], numbers: Mapping[str, str]
) -> Iterator[Route]:
    """Rules that look up a table for what comes in elsewhere: on a link, or anywhere."""
    for rule in rules:
        number = str(rule.get("table", ""))
        if number in (*_USUAL, "") or "l3mdev" in rule:
            continue
        into = numbers.get(number, f"table {number}")
        incoming = str(rule.get("iif", ""))
        sources = {tables[incoming]} if incoming in tables else {*numbers.values(), _DEFAULT}
        said = f"from {rule.get('src', 'all')}" + (f" iif {incoming}" if incoming else "")
        for source in sources - {into}:
            yield Route(table=source, into=into, words=f"kernel rule {said} lookup {number}")
