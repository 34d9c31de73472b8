"""Arista EOS's configuration, whoever wrote it, as far as it decides who reaches whom.

Source: Arista EOS User Manual, "VLANs", "VXLAN", "EVPN", "IPv4" (`egress-vrf`), and "Inter-VRF
Local Route Leaking".
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise

from chapelle.checks.tenancy.isolation.running.policy import accepted
from chapelle.checks.tenancy.isolation.running.switchports import Dialect, doors, table_of
from chapelle.checks.tenancy.isolation.running.words import (
    automatic,
    leak,
    matching,
    numbers,
    targets,
    tree_of,
    unique,
    values,
)
from chapelle.fabric.platforms import EOS
from chapelle.fabric.sections import Tree
from chapelle.model.isolation import GLOBAL, RUNNING, Lan, Leak, Reading, Table

_TARGETS = r"route-target (import|export|both)(?: evpn)? (\d\S*:\S+)"
_VPN = r"route-target (import|export|both) (?:vpn-ipv4|vpn-ipv6) (\d\S*:\S+)"
_AUTOMATIC = r"route-target (import|export|both)(?: evpn)? auto(?: .*)?"

_PORTS = Dialect(
    group="Port-Channel", member=r"channel-group (\d+) mode \S+", vrf=r"vrf (?:forwarding )?(\S+)"
)


def read(name: str, configuration: str, known: Mapping[int, int]) -> Reading:
    """What a switch does; `known` is not needed: its VLANs are in its configuration."""
    del known
    tree = tree_of(EOS, configuration)
    return Reading(
        switch=name,
        source=RUNNING,
        doors=tuple(doors(tree, _PORTS)),
        lans=tuple(_lans(tree)),
        tables=tuple(_tables(tree)),
    )


# -- VLANs and VRFs -------------------------------------------------------------------------------


def _lans(tree: Tree) -> Iterator[Lan]:
    vids = {1}
    for each in values(tree, r"vlan (\d[\d,-]*)"):
        vids |= numbers(each)
    tables: dict[int, list[str]] = defaultdict(list)
    for match, below in matching(tree, r"interface Vlan(\d+)"):
        if "shutdown" not in below.lines:
            tables[int(match[1])].append(table_of(below, _PORTS))
    vnis = _vnis(tree)
    for vid in sorted(vids | set(tables)):
        yield _lan(tree, vid, vnis.get(vid), tuple(tables[vid]))


def _vnis(tree: Tree) -> dict[int, int]:
    found: dict[int, int] = {}
    for _, below in matching(tree, r"interface Vxlan\d+"):
        for match, _ in matching(below, r"vxlan vlan (?:add )?(\S+) vni (\S+)"):
            found |= dict(zip(sorted(numbers(match[1])), sorted(numbers(match[2])), strict=False))
    return found


def _lan(tree: Tree, vid: int, vni: int | None, tables: tuple[str, ...]) -> Lan:
    """A VLAN with its targets: its own, or those of a bundle that it is in."""
    imports: list[str] = []
    exports: list[str] = []
    tag = 0
    for router, below in matching(tree, r"router bgp (\S+)"):
        for match, part in matching(below, r"vlan(?:-aware-bundle)? (\S+)"):
            bundle = match[0].startswith("vlan-aware-bundle")
            inside = values(part, r"vlan (\S+)") if bundle else [match[1]]
            if not any(vid in numbers(each) for each in inside):
                continue
            tag = (vni or vid) if bundle else 0
            imports += _evpn(part, "import", router[1], vni)
            exports += _evpn(part, "export", router[1], vni)
    return Lan(
        vid=vid, vni=vni, imports=tuple(imports), exports=tuple(exports), tag=tag, tables=tables
    )


def _evpn(below: Tree, verb: str, asn: str, vni: int | None) -> tuple[str, ...]:
    found = targets(below, verb, _TARGETS)
    made = [match[1] for match, _ in matching(below, _AUTOMATIC)]
    also = automatic(asn, vni, verb) if {verb, "both"} & set(made) else ()
    return (*found, *also)


def _tables(tree: Tree) -> Iterator[Table]:
    vnis = {
        match[1]: int(match[2])
        for _, below in matching(tree, r"interface Vxlan\d+")
        for match, _ in matching(below, r"vxlan vrf (\S+) vni (\d+)")
    }
    bgp = {
        match[1]: (router[1], part)
        for router, below in matching(tree, r"router bgp (\S+)")
        for match, part in matching(below, r"vrf (\S+)")
    }
    leaks = _leaks(tree)
    names = {*values(tree, r"vrf instance (\S+)"), *vnis, *bgp, *leaks, GLOBAL}
    for name in sorted(names):
        asn, part = bgp.get(name, ("", Tree()))
        vni = vnis.get(name)
        yield Table(
            name=name,
            vni=vni,
            imports=(*_evpn(part, "import", asn, vni), *_vpn(part, "import")),
            exports=(*_evpn(part, "export", asn, vni), *_vpn(part, "export")),
            leaks=unique(leaks.get(name, ())),
            accepted=tuple(accepted(EOS, tree, part)),
        )


def _vpn(below: Tree, verb: str) -> list[str]:
    return [f"vpn {target}" for target in targets(below, verb, _VPN)]


def _leaks(tree: Tree) -> dict[str, list[Leak]]:
    """Static routes whose next hop is in another VRF, and routes that are leaked."""
    found: dict[str, list[Leak]] = defaultdict(list)
    for match, _ in matching(tree, r"ip(?:v6)? route(?: vrf (\S+))? (.*)"):
        words = match[2].split()
        said = dict(pairwise(words))
        into, source = said.get("egress-vrf", said.get("vrf")), match[1] or GLOBAL
        if into is not None and into != source:
            found[source].append(leak(into, match[0]))
    for _, below in matching(tree, r"router general"):
        for vrf, part in matching(below, r"vrf (\S+)"):
            for match, _ in matching(part, r"leak routes source-vrf (\S+) .*"):
                found[vrf[1]].append(leak(match[1], match[0]))
    for match, below in matching(tree, r"interface (\S+)"):
        del match
        for name in values(below, r"(?:service-policy type pbr|ip policy pbr) input (\S+)"):
            found[table_of(below, _PORTS)] += _policy(tree, name)
    return found


def _policy(tree: Tree, name: str) -> list[Leak]:
    """What a policy of a port looks up elsewhere."""
    return [
        leak(line[1], f"policy-map {name}: {line[0]}")
        for _, below in matching(tree, rf"policy-map type pbr {name}")
        for _, part in matching(below, r".*class .*")
        for line, _ in matching(part, r"set nexthop .*vrf (\S+)")
    ]
