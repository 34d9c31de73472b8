"""Devices in racks and units of others', and addresses of others' in a VRF."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterator

from chapelle.checks.rules import placement
from chapelle.checks.rules.scene import Scene
from chapelle.checks.tenancy.isolation.graph import Why
from chapelle.checks.tenancy.isolation.leaks import Fault
from chapelle.checks.tenancy.isolation.parties import Parties
from chapelle.checks.tenancy.isolation.stated import HANDOFF_ROLES
from chapelle.model import records as r
from chapelle.model.status import OUT_OF_SERVICE

type _Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def faults(parties: Parties) -> Iterator[Fault]:
    """Everything that stands or lies in what is another's."""
    yield from _racks(parties)
    yield from _units(parties)
    yield from _overlaps(parties)


def _placed(parties: Parties) -> Iterator[tuple[r.Device, r.Rack, str]]:
    """Devices in racks, with their party; what the operator has there for tenants is left out."""
    dc = parties.dc
    panels = {port.device for port in dc.content.front_ports}
    panels |= {port.device for port in dc.content.rear_ports}
    for device in dc.content.devices:
        rack, own = dc.racks.get(device.rack or 0), parties.of_device(device)
        if rack is None or own is None or device.status in OUT_OF_SERVICE:
            continue
        for_tenants = device.id in panels or dc.role_of(device) in HANDOFF_ROLES
        if parties.is_rented(own) or not for_tenants:
            yield device, rack, own


def _racks(parties: Parties) -> Iterator[Fault]:
    for device, rack, own in _placed(parties):
        party = parties.tenant(rack.tenant)
        if party is not None and party != own:
            names = parties.party(own).name, parties.party(party).name
            yield Fault(
                why=_misplaced("foreign-rack", device),
                parties=(own, party),
                things=(("devices", device.id), ("racks", rack.id)),
                words=f"{device.name} of {names[0]} in {rack.name} of {names[1]}",
            )


def _units(parties: Parties) -> Iterator[Fault]:
    reserved: dict[int, list[r.RackReservation]] = defaultdict(list)
    for reservation in parties.dc.content.rack_reservations:
        reserved[reservation.rack].append(reservation)
    scene = Scene(parties.dc)
    for device, rack, own in _placed(parties) if reserved else ():
        units = {int(unit) for unit in placement.units(scene, device)}
        for reservation in reserved.get(rack.id, ()):
            party = parties.tenant(reservation.tenant)
            if party is not None and party != own and units & set(reservation.units):
                names = parties.party(own).name, parties.party(party).name
                yield Fault(
                    why=_misplaced("foreign-units", device),
                    parties=(own, party),
                    things=(
                        ("devices", device.id),
                        ("racks", rack.id),
                        ("rack_reservations", reservation.id),
                    ),
                    words=f"{device.name} of {names[0]} in U{min(units)} of {rack.name}, "
                    f"which is reserved for {names[1]}",
                )


def _misplaced(rule: str, device: r.Device) -> Why:
    return Why(
        rule=rule,
        cause=("devices", device.id, "place"),
        remedy=f"move {device.name}, or correct its tenant, the rack's or the reservation's",
    )


# -- addresses ------------------------------------------------------------------------------------


def _overlaps(parties: Parties) -> Iterator[Fault]:
    """Prefixes of two parties in one VRF of which one lies in the other."""
    by_vrf: dict[int, list[r.Prefix]] = defaultdict(list)
    for prefix in parties.dc.content.prefixes:
        if prefix.vrf is not None and parties.of_prefix(prefix) is not None:
            by_vrf[prefix.vrf].append(prefix)
    for vrf, prefixes in by_vrf.items():
        if len({parties.of_prefix(prefix) for prefix in prefixes}) > 1:
            yield from _nested(parties, vrf, prefixes)


def _nested(parties: Parties, vrf: int, prefixes: list[r.Prefix]) -> Iterator[Fault]:
    """Two prefixes overlap only where one holds the other, which is before it in this order."""
    networks = {prefix.id: ipaddress.ip_network(prefix.prefix, False) for prefix in prefixes}
    ordered = sorted(prefixes, key=lambda prefix: _place(networks[prefix.id]))
    around: list[r.Prefix] = []
    for prefix in ordered:
        network = networks[prefix.id]
        while around and not _holds(networks[around[-1].id], network):
            around.pop()
        for outer in around:
            yield from _overlap(parties, vrf, outer, prefix)
        around.append(prefix)


def _place(network: _Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _holds(outer: _Network, inner: _Network) -> bool:
    return outer.version == inner.version and int(inner.network_address) <= int(
        outer.broadcast_address
    )


def _overlap(parties: Parties, vrf: int, outer: r.Prefix, inner: r.Prefix) -> Iterator[Fault]:
    one, other = parties.of_prefix(outer), parties.of_prefix(inner)
    record = parties.dc.vrfs.get(vrf)
    if one is None or other is None or one == other or record is None:
        return
    owner = parties.of_vrf(record)
    wrong = inner if one == owner else outer
    cause = ("prefixes", wrong.id) if owner is not None else ("vrfs", vrf)
    names = parties.party(one).name, parties.party(other).name
    yield Fault(
        why=Why(
            rule="address-overlap",
            cause=cause,
            remedy=f"take prefix {wrong.prefix} out of VRF {record.name} in NetBox",
        ),
        parties=(one, other),
        things=(("prefixes", outer.id), ("prefixes", inner.id), ("vrfs", vrf)),
        words=f"{inner.prefix} of {names[1]} lies in {outer.prefix} of {names[0]}, "
        f"both in VRF {record.name}",
    )
