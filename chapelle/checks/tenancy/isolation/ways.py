"""What parties share, and why they may; and all that each of them has and reaches."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from chapelle.checks.tenancy.isolation.doors import Doors
from chapelle.checks.tenancy.isolation.graph import Crossing, Graph, Thing
from chapelle.checks.tenancy.isolation.intended import Seen
from chapelle.checks.tenancy.isolation.parties import Parties
from chapelle.checks.tenancy.isolation.stated import end_of
from chapelle.model import records as r
from chapelle.model.isolation import Reach, Way
from chapelle.model.paths import FRONT, REAR

_BORDER = "its VRF ends there, by policy: nothing is imported from or exported to another party"
_OVERLAY = "its VRF is there for its ports: route targets that it alone imports and exports"
_LEAKING = "its VRF is there; it is not apart from others, as the leaks say"
_HANDOFF = "hand-off ports of its own equipment"
_OUT_OF_BAND = "out-of-band ports of its own equipment"
_PORTS = "ports of its own equipment"
_POWER = "power only: no data passes through a PDU"
_PANEL = "a passive patch panel: what is joined through it is judged as one cable"


def ways(parties: Parties, doors: Doors, seen: Sequence[Seen], leaking: Set[str]) -> Iterator[Way]:
    """All that tenants share with somebody, by tenant: switches, PDUs, and patch panels.

    Arguments:
        parties: who is who.
        doors: the ports of switches.
        seen: the switches.
        leaking: the parties that reach others, or are reached.
    """
    found = [*_tables(parties, seen, leaking), *_ports(parties, doors), *_cables(parties)]
    grouped: dict[tuple[str, str, str], list[Thing]] = defaultdict(list)
    for party, other, reason, thing in found:
        grouped[party, other, reason].append(thing)
    for (party, other, reason), things in sorted(grouped.items()):
        refs = {parties.names.ref(*thing) for thing in things}
        name = parties.party(party).name
        yield Way(party=name, other=other, reason=reason, objects=tuple(sorted(refs)))


type _Found = tuple[str, str, str, Thing]


def _tables(parties: Parties, seen: Iterable[Seen], leaking: Set[str]) -> Iterator[_Found]:
    """The switches with a tenant's VRF."""
    for one in seen:
        border = parties.dc.role_of(one.device) == "border"
        for table in one.reading.tables:
            vrf = one.vrfs.get(table.name)
            party = parties.of_vrf(vrf) if vrf else None
            if party is not None and parties.is_rented(party):
                reason = _BORDER if border else _OVERLAY
                reason = _LEAKING if party in leaking else reason
                yield party, _owner(parties, one.device), reason, ("devices", one.device.id)


def _ports(parties: Parties, doors: Doors) -> Iterator[_Found]:
    """The ports of switches that tenants' devices are plugged into."""
    reasons = {"tenant-leaf": _HANDOFF, "oob": _OUT_OF_BAND}
    for one in doors.openings:
        for far, _ in doors.far(one):
            party = parties.of_device(parties.dc.devices[far.device])
            if one.port and party is not None and parties.is_rented(party):
                device = one.seen.device
                reason = reasons.get(parties.dc.role_of(device), _PORTS)
                yield party, _owner(parties, device), reason, ("interfaces", one.port.id)


def _cables(parties: Parties) -> Iterator[_Found]:
    """The outlets and patch panels that tenants' devices are plugged into."""
    for cable in parties.dc.content.cables:
        for near in (*cable.a_terminations, *cable.b_terminations):
            for far in (*cable.a_terminations, *cable.b_terminations):
                one, other = end_of(parties, near), end_of(parties, far)
                party = parties.of_device(one.device) if one else None
                if one is None or other is None or one.device.id == other.device.id:
                    continue
                if party is None or not parties.is_rented(party):
                    continue
                if other.kind == "dcim.poweroutlet":
                    yield party, _owner(parties, other.device), _POWER, other.thing
                elif other.kind in (FRONT, REAR):
                    yield party, _owner(parties, other.device), _PANEL, other.thing


def _owner(parties: Parties, device: r.Device) -> str:
    return parties.party(parties.of_device(device) or "nobody").name


def reaches(graph: Graph, parties: Parties, crossings: Iterable[Crossing]) -> Iterator[Reach]:
    """All that each party has, and whom it reaches without the help of others, by name."""
    others: dict[str, set[str]] = defaultdict(set)
    for crossing in crossings:
        others[crossing.source].add(crossing.target)
    for party, nodes in sorted(graph.nodes_of().items()):
        names: dict[str, set[str]] = defaultdict(set)
        for node in nodes:
            for list_name, number in graph.things[node]:
                kind = _KINDS.get((str(node[0]), list_name))
                if kind:
                    names[kind].add(parties.names.name(list_name, number))
        yield Reach(
            party=parties.party(party).name,
            **{kind: tuple(sorted(names[kind])) for kind in sorted({*_KINDS.values()})},
            others=tuple(sorted(parties.party(other).name for other in others.get(party, ()))),
        )


# What is told of the parts of a party, by kind of part and kind of object.
_KINDS: Mapping[tuple[str, str], str] = {
    ("lan", "devices"): "switches",
    ("table", "devices"): "switches",
    ("vlan", "vlans"): "vlans",
    ("vrf", "vrfs"): "vrfs",
    ("host", "devices"): "devices",
}
