"""Cisco NX-OS's configuration, whoever wrote it, as far as it decides who reaches whom.

Sources: Cisco Nexus 9000 Series NX-OS, release 10.6: Interfaces, VXLAN, and Unicast Routing
Configuration Guides (VRF route leaking, policy-based routing).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

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
from chapelle.fabric.platforms import NXOS
from chapelle.fabric.sections import Tree
from chapelle.model.isolation import GLOBAL, RUNNING, Lan, Leak, Reading, Table

_EVPN = r"route-target (import|export|both) (\d\S*:\S+) evpn"
_VPN = r"route-target (import|export|both) (\d\S*:\S+)"
_AUTOMATIC = r"route-target (import|export|both) auto(?: evpn)?"

_PORTS = Dialect(
    group="port-channel", member=r"channel-group (\d+)(?: .*)?", vrf=r"vrf member (\S+)"
)


def read(name: str, configuration: str, known: Mapping[int, int]) -> Reading:
    """What a switch does; `known` is not needed: its VLANs are in its configuration."""
    del known
    tree = tree_of(NXOS, configuration)
    asn = next(iter(values(tree, r"router bgp (\S+)")), "")
    return Reading(
        switch=name,
        source=RUNNING,
        doors=tuple(doors(tree, _PORTS)),
        lans=tuple(_lans(tree, asn)),
        tables=tuple(_tables(tree, asn)),
    )


# -- VLANs and VRFs -------------------------------------------------------------------------------


def _lans(tree: Tree, asn: str) -> Iterator[Lan]:
    vids = {1}
    vnis: dict[int, int] = {}
    for match, below in matching(tree, r"vlan (\d[\d,-]*)"):
        found = numbers(match[1])
        vids |= found
        for vni in values(below, r"vn-segment (\d+)"):
            vnis |= dict.fromkeys(found, int(vni))
    tables: dict[int, list[str]] = defaultdict(list)
    for match, below in matching(tree, r"interface Vlan(\d+)"):
        if "shutdown" not in below.lines and "no shutdown" in below.lines:
            tables[int(match[1])].append(table_of(below, _PORTS))
    for vid in sorted(vids | set(tables)):
        number = vnis.get(vid)
        parts = [
            part
            for _, below in matching(tree, r"evpn")
            for _, part in matching(below, rf"vni {number} l2")
        ]
        yield Lan(
            vid=vid,
            vni=number,
            imports=_targets(parts, "import", _VPN, asn, number),
            exports=_targets(parts, "export", _VPN, asn, number),
            tables=tuple(tables[vid]),
        )


def _targets(
    parts: list[Tree], verb: str, pattern: str, asn: str, vni: int | None
) -> tuple[str, ...]:
    found = [target for part in parts for target in targets(part, verb, pattern)]
    made = {match[1] for part in parts for match, _ in matching(part, _AUTOMATIC)}
    also = automatic(asn, vni, verb) if {verb, "both"} & made else ()
    return tuple(dict.fromkeys((*found, *also)))


def _tables(tree: Tree, asn: str) -> Iterator[Table]:
    contexts = {match[1]: below for match, below in matching(tree, r"vrf context (\S+)")}
    bgp = {
        match[1]: part
        for _, below in matching(tree, r"router bgp \S+")
        for match, part in matching(below, r"vrf (\S+)")
    }
    leaks = _leaks(tree, contexts)
    for name in sorted({*contexts, *bgp, *leaks, GLOBAL}):
        context = contexts.get(name, Tree())
        families = [part for _, part in matching(context, r"address-family .*")]
        vni = next(iter(values(context, r"vni (\d+)(?: l3)?")), None)
        number = int(vni) if vni else None
        yield Table(
            name=name,
            vni=number,
            imports=(
                *_targets(families, "import", _EVPN, asn, number),
                *_vpn(families, "import"),
            ),
            exports=(
                *_targets(families, "export", _EVPN, asn, number),
                *_vpn(families, "export"),
            ),
            leaks=unique(leaks.get(name, ())),
            accepted=tuple(accepted(NXOS, tree, bgp.get(name, Tree()))),
        )


def _vpn(families: list[Tree], verb: str) -> list[str]:
    """Targets by which VRFs of one switch learn from each other, too."""
    found = [target for part in families for target in targets(part, verb, _VPN)]
    return [f"vpn {target}" for target in dict.fromkeys(found)]


def _leaks(tree: Tree, contexts: Mapping[str, Tree]) -> dict[str, list[Leak]]:
    """Static routes whose next hop is in another VRF, imports of VRFs, and policies of ports."""
    found: dict[str, list[Leak]] = defaultdict(list)
    for source, below in ((GLOBAL, tree), *contexts.items()):
        for match, _ in matching(below, r"ip(?:v6)? route .* vrf (\S+)(?: .*)?"):
            found[source].append(leak(match[1], match[0]))
        for _, part in matching(below, r"address-family .*"):
            for match, _ in matching(part, r"import vrf default(?: .*)?"):
                found[source].append(leak(GLOBAL, match[0]))
            for match, _ in matching(part, r"export vrf default(?: .*)?"):
                found[GLOBAL].append(leak(source, match[0]))
    for _, below in matching(tree, r"interface \S+"):
        for name in values(below, r"ip(?:v6)? policy route-map (\S+)"):
            found[table_of(below, _PORTS)] += _policy(tree, name)
    return {source: [one for one in leaks if one.into != source] for source, leaks in found.items()}


def _policy(tree: Tree, name: str) -> list[Leak]:
    """What a policy of a port looks up elsewhere."""
    return [
        leak(line[1], f"route-map {name}: {line[0]}")
        for _, below in matching(tree, rf"route-map {name} permit \d+")
        for line, _ in matching(below, r"set (?:vrf|ip(?:v6)? next-hop .*vrf) (\S+)")
    ]
