"""The proof from what switches run: the same graph, made of what was read off them."""

from collections.abc import Mapping

from chapelle.checks.tenancy.isolation.carried import Carriers
from chapelle.checks.tenancy.isolation.doors import Doors
from chapelle.checks.tenancy.isolation.graph import Graph
from chapelle.checks.tenancy.isolation.intended import Seen, Unplanned, see, switches, vrfs_by_name
from chapelle.checks.tenancy.isolation.leaks import Leaks
from chapelle.checks.tenancy.isolation.parties import UNDERLAY, Parties
from chapelle.checks.tenancy.isolation.running import announced
from chapelle.checks.tenancy.isolation.stated import GLOBAL_TABLE, hosts, records
from chapelle.checks.tenancy.isolation.ways import reaches, ways
from chapelle.fabric.platforms import platform
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.isolation import RUNNING, Proof, Reading


def prove_running(
    dc: Datacentre, readings: Mapping[str, Reading], unread: Mapping[str, str] | None = None
) -> Proof:
    """Prove who reaches whom by what switches run.

    Whose a VLAN, a VRF, a VNI or a device is, and what is cabled to a port, is as NetBox says.
    What NetBox does not know is somebody whom nobody may reach. A switch that was not read is taken
    to do what it is intended to: what the others import from it is found all the same.

    Arguments:
        dc: the datacentre.
        readings: what switches do, by name.
        unread: why others could not be read, by name.
    """
    parties, graph = Parties(dc), Graph()
    seen = [one for device in switches(dc) if (one := _seen(parties, device, readings))]
    graph.add(GLOBAL_TABLE, UNDERLAY)
    hosts(graph, parties)
    records(graph, parties)
    carriers = Carriers(graph, parties, seen)
    carriers.add()
    doors = Doors(carriers)
    doors.add()
    crossings = list(graph.crossings())
    leaks = Leaks(graph, parties).findings(crossings, announced.faults(parties, seen))
    leaking = {key for each in crossings for key in (each.source, each.target)}
    return Proof(
        source=RUNNING,
        leaks=tuple(leaks),
        paths=tuple(ways(parties, doors, seen, leaking)),
        reaches=tuple(reaches(graph, parties, crossings)),
        switches=len(readings),
        unread=dict(unread or {}),
    )


def _seen(parties: Parties, device: r.Device, readings: Mapping[str, Reading]) -> Seen | None:
    """What a switch does; None where it was not read and nothing can be said of it either."""
    dc, intended = parties.dc, see(parties.dc, device)
    planned = None if isinstance(intended, Unplanned) else intended
    reading = readings.get(device.name or "")
    if reading is None:
        return planned
    found = dc.platforms.get(device.platform or 0)
    kind = platform(found.slug if found else "", where=f"device {device.name} in NetBox")
    vlans = dict(planned.vlans) if planned else {}
    for lan in reading.lans:
        if lan.vid not in vlans and (vlan := _vlan(parties, lan.vid, lan.vni)):
            vlans[lan.vid] = vlan
    vrfs = vrfs_by_name(dc, kind.slug)
    return Seen(device=device, reading=reading, vlans=vlans, vrfs=vrfs)


def _vlan(parties: Parties, vid: int, vni: int | None) -> r.VLAN | None:
    """NetBox's VLAN of that number: the one that the VNI is of, or else the only one's there is."""
    dc = parties.dc
    numbered = [vlan for vlan in dc.content.vlans if vlan.vid == vid]
    for vlan in numbered:
        if any(l2vpn.identifier == vni for l2vpn in dc.l2vpns_by_vlan.get(vlan.id, ())):
            return vlan
    return numbered[0] if len({parties.of_vlan(vlan) for vlan in numbered}) == 1 else None
