"""From the places where a party's traffic comes to be another's to findings that people can mend.

All crossings with one cause, between the same two parties, are one finding: what is wrong on one
port of a group is wrong on all of them, and one change mends it.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

import msgspec

from chapelle.checks.tenancy.isolation.graph import Crossing, Edge, Graph, Node, Thing, Why
from chapelle.checks.tenancy.isolation.parties import UNDERLAY, Parties
from chapelle.model.finding import Finding

# What each rule expects. Where one cause breaks several, the first of them names the finding.
RULES: dict[str, str] = {
    "default-route": "no default route that leads to another party",
    "address-overlap": "no addresses of two parties that overlap in one VRF",
    "foreign-vlan-vrf": "the gateway of a VLAN in a VRF of the same party",
    "global-table": "no VLAN of anybody's in the fabric's own table",
    "foreign-cable": "no cable between what belongs to two parties, but to switches for tenants, "
    "out-of-band switches, PDUs, and patch panels",
    "cross-connect": "a cross-connect that ends at what belongs to the same party",
    "out-of-band": "out-of-band ports in a VLAN of whose machine is plugged in",
    "vlan-on-foreign-port": "on a port only VLANs of whose machine is plugged in",
    "vrf-on-foreign-port": "a routed port in a VRF of whose machine is plugged in",
    "vlan-between-switches": "one VLAN at both ends of a cable between switches",
    "foreign-target": "a route target that one party alone exports and imports",
    "route-leak": "no route from the table of one party into that of another",
    "shared-vni": "a VNI that one VLAN or VRF alone has",
    "shared-vid": "a VLAN number that one VLAN of the switch alone has",
    "shared-vrf": "a name of a VRF that one party alone has",
    "foreign-l2vpn": "an L2VPN that ends at VLANs of the same party",
    "foreign-prefix": "prefixes in the VRF, and on the VLAN, of the same party",
    "foreign-address": "addresses in the VRF of the same party",
    "foreign-announcement": "from a tenant's port only prefixes of its own",
    "shared-object": "everything that parties have in common to have a tenant of its own",
    "foreign-rack": "in a rack only devices of whose rack it is",
    "foreign-units": "in reserved units only devices of whom they are reserved for",
    "unproven": "a switch of which NetBox says enough to know what it will do",
}
_ORDER = {rule: place for place, rule in enumerate(RULES)}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something between two parties that is wrong whether or not anything reaches anything by it.

    `words` say what was found.
    """

    why: Why
    parties: tuple[str, str]
    things: tuple[Thing, ...]
    words: str


type _Key = tuple[Node, frozenset[str]]


class Leaks:
    """Makes findings of crossings and faults.

    Arguments:
        graph: the graph that the crossings are of.
        parties: who is who.
    """

    def __init__(self, graph: Graph, parties: Parties) -> None:
        self._graph = graph
        self._parties = parties

    def findings(self, crossings: Iterable[Crossing], faults: Iterable[Fault]) -> list[Finding]:
        """One finding for each cause and two parties, in order of rule and object."""
        crossed: dict[_Key, list[tuple[Why, Crossing]]] = defaultdict(list)
        stated: dict[_Key, list[Fault]] = defaultdict(list)
        for each in crossings:
            why = self._culprit(each.edges)
            crossed[why.cause, frozenset((each.source, each.target))].append((why, each))
        for fault in faults:
            stated[fault.why.cause, frozenset(fault.parties)].append(fault)
        found = [
            self._finding(crossed.get(key, ()), stated.get(key, ()))
            for key in dict.fromkeys((*crossed, *stated))
        ]
        return sorted(found, key=lambda finding: (_ORDER[finding.rule], finding))

    # -- what is wrong ----------------------------------------------------------------------------

    def _culprit(self, edges: Sequence[Edge]) -> Why:
        """What is to be changed: the one edge, or else what is nobody's between the two."""
        if len(edges) == 1:
            return edges[0].why
        between = edges[0].target
        things = self._graph.things[between]
        # Of a number on the wire, or a route target, nobody is the owner: its first user is.
        if between[0] == "vni" or not things:
            return edges[0].why
        name = self._label(between)
        return Why(
            rule="shared-object",
            cause=(*things, between[0]) if between[0] == "table" else things[0],
            remedy=f"enter in NetBox whose {name} is, and take everybody else off it",
        )

    def _finding(self, crossed: Sequence[tuple[Why, Crossing]], faults: Sequence[Fault]) -> Finding:
        whys = [*(why for why, _ in crossed), *(fault.why for fault in faults)]
        first = min(whys, key=lambda why: _ORDER[why.rule])
        if faults and not crossed:
            things = tuple(thing for fault in faults for thing in fault.things)
            words = "; ".join(dict.fromkeys(fault.words for fault in faults))
        else:
            ways = [self._whole(one) for why, one in crossed if why.rule == first.rule] or [
                self._whole(one) for _, one in crossed
            ]
            edges = min(ways, key=lambda way: (len(way), [str(edge.source) for edge in way]))
            things = tuple(self._things(edges))
            words = f"{self._direction([one for _, one in crossed])}: {self._words(edges)}"
            words += "".join(f"; {fault.words}" for fault in faults)
        return Finding(
            rule=first.rule,
            severity="error",
            objects=tuple(self._parties.names.ref(*thing) for thing in dict.fromkeys(things)),
            expected=RULES[first.rule],
            found=words,
            remedy=first.remedy,
        )

    def _direction(self, crossings: Sequence[Crossing]) -> str:
        pairs = {(each.source, each.target) for each in crossings}
        one, other = sorted(pairs)[0]
        first, second = self._parties.party(one).name, self._parties.party(other).name
        if len(pairs) > 1:
            return f"{first} and {second} reach each other"
        return f"{first} reaches {second}"

    # -- the whole way ----------------------------------------------------------------------------

    def _whole(self, crossing: Crossing) -> tuple[Edge, ...]:
        """From a device of the one's to a device of the other's, as far as there are any."""
        before = self._graph.nearest(crossing.edges[0].source, _is_device, back=True)
        after = self._graph.nearest(crossing.edges[-1].target, _is_device)
        return (*before, *crossing.edges, *after)

    def _things(self, edges: Sequence[Edge]) -> Iterator[Thing]:
        yield from self._graph.things[edges[0].source]
        for edge in edges:
            yield from edge.why.via
            yield from self._graph.things[edge.target]

    def _words(self, edges: Sequence[Edge]) -> str:
        words = [self._label(edges[0].source)]
        for edge in edges:
            words += [f"({edge.why.said})"] if edge.why.said else []
            words += [
                self._parties.names.name(*thing) for thing in edge.why.via if thing[0] != "cables"
            ]
            words.append(self._label(edge.target))
        return " -> ".join(dict.fromkeys(word for word in words if word))

    def _label(self, node: Node) -> str:
        """What a part is called; the parts that only stand for targets have no name."""
        names = [self._parties.names.name(*thing) for thing in self._graph.things.get(node, ())]
        first, last = (names[0], names[-1]) if names else ("", "")
        match node:
            case ("lan", _, vid):
                label = f"VLAN {first if len(names) > 1 else vid} on {last}"
            case ("table", _, name):
                label = f"VRF {name} on {last}"
            case ("vni", number):
                label = f"VNI {number}"
            case ("underlay",):
                label = UNDERLAY
            case ("plug", _, port):
                label = f"{last} {port}"
            case ("host", _, True):
                label = f"{first} (management)"
            case (kind, *_):
                label = f"{_KINDS.get(kind, '')}{first}"
            case _:
                label = first
        return label


# What is said before the name of an object that is a part by itself.
_KINDS: dict[Hashable, str] = {
    "vlan": "VLAN ",
    "vrf": "VRF ",
    "l2vpn": "L2VPN ",
}


def _is_device(node: Node) -> bool:
    return node[0] in ("host", "plug", "underlay")
