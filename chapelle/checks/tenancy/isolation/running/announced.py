"""Prefixes that a switch takes from a tenant's equipment and that are not the tenant's."""

import ipaddress
from collections.abc import Iterable, Iterator

from chapelle.checks.tenancy.isolation.graph import Why
from chapelle.checks.tenancy.isolation.intended import Seen
from chapelle.checks.tenancy.isolation.leaks import Fault
from chapelle.checks.tenancy.isolation.parties import Parties
from chapelle.model import records as r
from chapelle.model.isolation import RUNNING, Accepted, Table


def faults(parties: Parties, seen: Iterable[Seen]) -> Iterator[Fault]:
    """What neighbours in the VRFs of tenants may say and is not theirs."""
    for one in seen:
        for table in one.reading.tables if one.reading.source == RUNNING else ():
            vrf = one.vrfs.get(table.name)
            for each in table.accepted if vrf else ():
                if vrf:
                    yield from _accepted(parties, one, table, vrf, each)


def _accepted(
    parties: Parties, one: Seen, table: Table, vrf: r.VRF, each: Accepted
) -> Iterator[Fault]:
    party = parties.of_vrf(vrf)
    if party is None:
        return
    own = [
        ipaddress.ip_network(prefix.prefix, strict=False)
        for prefix in parties.dc.content.prefixes
        if prefix.vrf == vrf.id and parties.of_prefix(prefix) == party
    ]
    for text in each.prefixes if each.prefixes is not None else ("anything",):
        other = parties.unknown("whoever it is")
        if each.prefixes is not None:
            network = ipaddress.ip_network(text, strict=False)
            if any(_within(network, mine) for mine in own):
                continue
            other = _owner(parties, network, party)
        yield Fault(
            why=Why(
                rule="foreign-announcement",
                cause=("said", vrf.id, each.peer, text),
                remedy=f"let {one.device.name} take from {each.peer} only what NetBox has in VRF "
                f"{vrf.name}, or enter the prefix there",
            ),
            parties=(party, other),
            things=(("vrfs", vrf.id), ("devices", one.device.id)),
            words=f"{each.peer} in VRF {table.name} on {one.device.name} may announce {text}, "
            f"which is not {parties.party(party).name}'s",
        )


type _Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _within(network: _Network, other: _Network) -> bool:
    return (
        network.version == other.version
        and network.prefixlen >= other.prefixlen
        and int(other.network_address) <= int(network.network_address)
        and int(network.broadcast_address) <= int(other.broadcast_address)
    )


def _owner(parties: Parties, network: _Network, party: str) -> str:
    """Whose such a prefix is: somebody else's who has it, or else nobody knows."""
    for prefix in parties.dc.content.prefixes:
        owner = parties.of_prefix(prefix)
        other = ipaddress.ip_network(prefix.prefix, strict=False)
        if owner not in (None, party) and owner and _within(network, other):
            return owner
    return parties.unknown(f"whoever has {network}")
