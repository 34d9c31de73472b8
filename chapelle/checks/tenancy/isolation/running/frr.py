"""FRRouting's configuration, whoever wrote it, as far as it decides who reaches whom.

Source: FRRouting user guide 8.4, "BGP" (VRF route leaking, EVPN), "Static", "PBR", "Zebra".
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise

from chapelle.checks.tenancy.isolation.running.links import Links
from chapelle.checks.tenancy.isolation.running.policy import accepted
from chapelle.checks.tenancy.isolation.running.words import (
    automatic,
    leak,
    matching,
    targets,
    tree_of,
    unique,
    values,
)
from chapelle.fabric.platforms import FRR
from chapelle.fabric.sections import Tree
from chapelle.model.isolation import GLOBAL, RUNNING, Door, Lan, Leak, Reading, Table

_TARGETS = r"route-target (import|export|both) (.+)"
_VPN = r"rt vpn (import|export|both) (.+)"
_ROUTE = r"ip(?:v6)? route .*"
_ROUTER = r"router bgp (\d+)(?: (?:vrf|view) (\S+))?"


class _Bgp:
    """One instance of BGP: that of a VRF."""

    def __init__(self, asn: str, below: Tree) -> None:
        self.asn, self.below = asn, below
        families = [tree for _, tree in matching(below, r"address-family (?:ipv4|ipv6) unicast")]
        self.unicast = families
        self.evpn = [tree for _, tree in matching(below, r"address-family l2vpn evpn")]

    def evpn_targets(self, verb: str, vni: int | None) -> tuple[str, ...]:
        """The targets of the VRF itself; where none are configured, they follow from the VNI."""
        found = [target for tree in self.evpn for target in targets(tree, verb, _TARGETS)]
        return tuple(t for t in found if t != "auto") or automatic(self.asn, vni, verb)

    def vpn_targets(self, verb: str) -> list[str]:
        """The targets by which VRFs of one switch learn from each other."""
        trees = [tree for tree in self.unicast if values(tree, f"({verb} vpn)")]
        return [target for tree in trees for target in targets(tree, verb, _VPN)]

    def vni_targets(self, vni: int, verb: str) -> tuple[str, ...]:
        """The targets of a VLAN's VNI."""
        parts = [part for tree in self.evpn for _, part in matching(tree, f"vni {vni}")]
        found = [target for part in parts for target in targets(part, verb, _TARGETS)]
        return tuple(found) or automatic(self.asn, vni, verb)


def read(name: str, configuration: str, known: Mapping[int, int]) -> Reading:
    """What a switch does.

    Arguments:
        name: the switch.
        configuration: all that it runs.
        known: the VLAN of each VNI, for a switch whose links are not in its configuration.
    """
    tree = tree_of(FRR, configuration)
    links = Links(tree)
    routers = {
        match[2] or GLOBAL: _Bgp(match[1], below) for match, below in matching(tree, _ROUTER)
    }
    leaks = _leaks(tree, links, routers)
    return Reading(
        switch=name,
        source=RUNNING,
        doors=tuple(_open(tree, links)),
        lans=tuple(_lans(links, routers.get(GLOBAL), known)),
        tables=tuple(_tables(tree, links, routers, leaks)),
    )


def _open(tree: Tree, links: Links) -> Iterator[Door]:
    """The doors that are not shut down."""
    for door in links.doors():
        ports = [_interface(tree, port) for port in door.ports]
        if not all("shutdown" in below.lines for below in ports):
            yield door


def _interface(tree: Tree, name: str) -> Tree:
    merged = Tree()
    for _, below in matching(tree, rf"interface {name}(?: vrf \S+)?"):
        merged.lines |= below.lines
    return merged


def _lans(links: Links, bgp: _Bgp | None, known: Mapping[int, int]) -> Iterator[Lan]:
    vnis, tables = links.vnis(), links.tables()
    vids = set(vnis) | set(tables)
    for door in links.doors():
        vids |= door.tagged | ({door.untagged} if door.untagged else set())
    told = {int(vni) for tree in (bgp.evpn if bgp else ()) for vni in values(tree, r"vni (\d+)")}
    for vni in sorted(told - set(vnis.values())):
        if vni in known:
            vnis.setdefault(known[vni], vni)
            vids.add(known[vni])
    for vid in sorted(vids):
        number = vnis.get(vid)
        yield Lan(
            vid=vid,
            vni=number,
            imports=bgp.vni_targets(number, "import") if bgp and number else (),
            exports=bgp.vni_targets(number, "export") if bgp and number else (),
            tables=tuple(sorted(tables.get(vid, ()))),
        )


def _tables(
    tree: Tree, links: Links, routers: Mapping[str, _Bgp], leaks: Mapping[str, list[Leak]]
) -> Iterator[Table]:
    sections = {match[1]: below for match, below in matching(tree, r"vrf (\S+)")}
    made = {name for name, link in links.links.items() if link.kind == "vrf"}
    for name in sorted({GLOBAL, *sections, *made, *routers, *leaks}):
        said = values(sections.get(name, Tree()), r"vni (\d+)(?: prefix-routes-only)?")
        number = int(said[0]) if said else None
        bgp, own = routers.get(name, _Bgp("", Tree())), name != GLOBAL
        yield Table(
            name=name,
            vni=number,
            imports=(*bgp.evpn_targets("import", number), *_vpn(bgp, "import")),
            exports=(*bgp.evpn_targets("export", number), *_vpn(bgp, "export")),
            leaks=unique(leaks.get(name, ())),
            accepted=tuple(accepted(FRR, tree, bgp.below)) if own else (),
        )


def _vpn(bgp: _Bgp, verb: str) -> list[str]:
    """Targets of VPN routes, which are others than those of EVPN."""
    return [f"vpn {target}" for target in bgp.vpn_targets(verb)]


def _leaks(tree: Tree, links: Links, routers: Mapping[str, _Bgp]) -> dict[str, list[Leak]]:
    """The ways from one table into another, by the table that they lead out of."""
    found: dict[str, list[Leak]] = defaultdict(list)
    for table, one in (*links.leaks(), *_static(tree), *_policy(tree, links)):
        found[table].append(one)
    # Where the links are not in the configuration: a VRF's table has the number of its VNI.
    vnis = {vni: m[1] for m, t in matching(tree, r"vrf (\S+)") for vni in values(t, r"vni (\d+)")}
    numbers = {**vnis, **links.numbers}
    for number in values(tree, r"ip import-table (\d+)(?: .*)?"):
        into = numbers.get(number, f"table {number}")
        found[GLOBAL].append(leak(into, f"ip import-table {number}"))
    for table, bgp in routers.items():
        for unicast in bgp.unicast:
            for match, _ in matching(unicast, r"import vrf (?!route-map )(\S+)"):
                found[table].append(leak(match[1], match[0]))
            for match, _ in matching(unicast, r"redistribute table(?:-direct)? (\d+)(?: .*)?"):
                into = numbers.get(match[1], f"table {match[1]}")
                found[table].append(leak(into, match[0]))
    return {table: [one for one in leaks if one.into != table] for table, leaks in found.items()}


def _static(tree: Tree) -> Iterator[tuple[str, Leak]]:
    """Static routes whose next hop is in another table."""
    tables = [(GLOBAL, tree), *((m[1], below) for m, below in matching(tree, r"vrf (\S+)"))]
    for table, below in tables:
        for match, _ in matching(below, _ROUTE):
            words = match[0].split()
            said = dict(pairwise(words))
            source = said.get("vrf", table)
            if "nexthop-vrf" in said:
                yield source, leak(said["nexthop-vrf"], match[0])
            elif "table" in said:
                yield f"table {said['table']}", leak(source, match[0])


def _policy(tree: Tree, links: Links) -> Iterator[tuple[str, Leak]]:
    """Policies of ports that look up another table (PBR)."""
    into: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for match, below in matching(tree, r"pbr-map (\S+) seq \d+"):
        for line, _ in matching(below, r"set (?:vrf (\S+)|nexthop .*nexthop-vrf (\S+))"):
            into[match[1]].append((line[1] or line[2], f"pbr-map {match[1]}: {line[0]}"))
    for match, below in matching(tree, r"interface (\S+)(?: vrf (\S+))?"):
        link = links.links.get(match[1])
        table = match[2] or (link.table if link else GLOBAL)
        for name in values(below, r"pbr-policy (\S+)"):
            for other, words in into[name]:
                yield table, leak(other, words)
