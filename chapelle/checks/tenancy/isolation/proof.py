"""The proof that nobody reaches anybody, from what NetBox says and what switches are to do."""

from collections.abc import Iterable

import msgspec

from chapelle.checks.tenancy.isolation import places
from chapelle.checks.tenancy.isolation.carried import Carriers
from chapelle.checks.tenancy.isolation.doors import Doors
from chapelle.checks.tenancy.isolation.graph import Graph, Why
from chapelle.checks.tenancy.isolation.intended import Seen, Unplanned, see, switches
from chapelle.checks.tenancy.isolation.leaks import RULES, Fault, Leaks
from chapelle.checks.tenancy.isolation.parties import Parties
from chapelle.checks.tenancy.isolation.stated import state
from chapelle.checks.tenancy.isolation.ways import reaches, ways
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.isolation import INTENT, Proof

# Rules that say why nothing can be said of a switch.
_TELLING = frozenset({"shared-vid", "vrf-on-foreign-port"})


def prove(dc: Datacentre) -> Proof:
    """Prove from intent who reaches whom.

    Returns:
        The proof; it holds where it has no leaks. Nothing is raised for content that is wrong:
        a switch of which nothing can be said is a finding.
    """
    parties, graph = Parties(dc), Graph()
    looked = [see(dc, device) for device in switches(dc)]
    seen = [one for one in looked if isinstance(one, Seen)]
    unplanned = [one for one in looked if isinstance(one, Unplanned)]
    state(graph, parties)
    carriers = Carriers(graph, parties, seen)
    carriers.add()
    doors = Doors(carriers)
    doors.add()
    faults = [*places.faults(parties), *_shared_vids(parties, unplanned)]
    crossings = list(graph.crossings())
    leaks = Leaks(graph, parties).findings(crossings, faults)
    leaking = {key for each in crossings for key in (each.source, each.target)}
    return Proof(
        source=INTENT,
        leaks=_with_unproven(parties, leaks, unplanned),
        paths=tuple(ways(parties, doors, seen, leaking)),
        reaches=tuple(reaches(graph, parties, crossings)),
        switches=len(looked),
    )


def _shared_vids(parties: Parties, unplanned: Iterable[Unplanned]) -> list[Fault]:
    """Two VLANs of a switch with one number, of two parties: they would be one there."""
    found = []
    for one in unplanned:
        for vid, vlans in one.vlans.items():
            owners = [parties.of_vlan(vlan) or "nobody" for vlan in vlans]
            if len(set(owners)) > 1:
                names = " and ".join(vlan.name for vlan in vlans)
                found.append(
                    Fault(
                        why=Why(
                            rule="shared-vid",
                            cause=("vlans", *(vlan.id for vlan in vlans)),
                            remedy=f"give one of {names} another number in NetBox, or take it off "
                            f"the ports of {one.device.name}",
                        ),
                        parties=(owners[0], next(o for o in owners if o != owners[0])),
                        things=(
                            *(("vlans", vlan.id) for vlan in vlans),
                            ("devices", one.device.id),
                        ),
                        words=f"{names} both have number {vid} on {one.device.name}",
                    )
                )
    return found


def _with_unproven(
    parties: Parties, leaks: Iterable[Finding], unplanned: Iterable[Unplanned]
) -> tuple[Finding, ...]:
    """The leaks, and the switches of which nothing can be said.

    Where a leak says why, it says so too; the others stand together where for one reason.
    """
    found = list(leaks)
    grouped: dict[tuple[str, str], list[Unplanned]] = {}
    for one in unplanned:
        ref = parties.dc.ref(one.device)
        why = [n for n, leak in enumerate(found) if leak.rule in _TELLING and ref in leak.objects]
        for number in why:
            told = f"{found[number].found}; nothing else can be said of {ref.name} until then"
            found[number] = msgspec.structs.replace(found[number], found=told)
        if not why:
            grouped.setdefault((one.error.message, one.error.where or ""), []).append(one)
    return (*found, *(_unproven(parties, why, same) for why, same in grouped.items()))


def _unproven(parties: Parties, why: tuple[str, str], same: Iterable[Unplanned]) -> Finding:
    message, where = why
    devices = list(same)
    return Finding(
        rule="unproven",
        severity="error",
        objects=tuple(parties.dc.ref(one.device) for one in devices),
        expected=RULES["unproven"],
        found=f"{where}: {message}" if where else message,
        remedy=devices[0].error.remedy or "correct it in NetBox",
    )
