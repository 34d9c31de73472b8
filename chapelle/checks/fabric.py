"""What a switch does, against what it did before a change and what it is meant to do: pure.

`after_change` judges a change: only what the change did or failed to do counts, so that a server
that was down before does not keep anybody from changing a switch. `as_intended` judges the state
alone and lets nothing pass.
"""

from collections.abc import Iterator, Mapping

import msgspec

from chapelle.model.outcome import Difference
from chapelle.model.switch import BgpPeer, Facts, Neighbour, Vni

# Routes of a VRF after a change, as a share of those before it. Fewer mean that something was cut
# off, far more that something leaks. Small tables grow by a tenant's few routes without alarm.
LEAST_ROUTES = 0.8
MOST_ROUTES = 2.0
ROUTES_OF_A_TENANT = 200

ESTABLISHED = "established"
GONE = "not there"


class Peer(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A BGP session in one address family, as `BgpPeer` names it."""

    vrf: str
    family: str
    peer: str

    def __str__(self) -> str:
        return f"{self.peer} ({self.family}, VRF {self.vrf})"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a switch is meant to do.

    Arguments:
        serial: its serial number; empty when NetBox has none.
        peers: the BGP sessions with other switches that it is configured for.
        handoffs: those with tenants' own equipment, and its name. The far side is not ours, so a
            change need not bring such a session up; it may not lose one that was up.
        vnis: VXLAN network identifiers and their kind, `L2` or `L3`.
        ports: interfaces, and whether they are meant to be enabled.
        cables: what LLDP has to show on cabled ports, by interface.
        fabric: the interfaces that lead to other switches.
        waiting: the interfaces whose far end is not in service yet: nothing is required there.
        absent: the tenants' equipment that is not in service yet.
        routes_bounded: whether the number of routes may only change within bounds; not so where a
            change is taken back that brought them all.
    """

    serial: str = ""
    peers: tuple[Peer, ...] = ()
    handoffs: dict[Peer, str] = {}
    vnis: dict[int, str] = {}
    ports: dict[str, bool] = {}
    cables: dict[str, Neighbour] = {}
    fabric: frozenset[str] = frozenset()
    waiting: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    routes_bounded: bool = True


def after_change(expected: Expected, before: Facts, after: Facts) -> list[Difference]:
    """What a change has broken, or has failed to bring about.

    Arguments:
        expected: what the switch is meant to do after the change.
        before: read before it.
        after: read after it over another session, which proves that it can be managed.
    """
    found = [
        *_same_machine(before.identity.serial, after),
        *_sessions_after(expected, before, after),
        *_vnis_after(expected, before, after),
        *(_routes(before.routes, after.routes) if expected.routes_bounded else ()),
        *_ports_after(expected, before, after),
        *_neighbours_after(expected, before, after),
    ]
    return sorted(found, key=lambda difference: (difference.area, difference.item))


def as_intended(expected: Expected, facts: Facts) -> list[Difference]:
    """Everything in which the switch does not do what it is meant to."""
    peers = _peers(facts)
    vnis = {vni.vni: vni for vni in facts.vnis}
    seen = {neighbour.interface: neighbour for neighbour in facts.neighbours}
    found = [
        *_same_machine(expected.serial, facts),
        *(
            _session(p, peers.get(p))
            for p in (*_due(expected), *_handed_off(expected))
            if not _is_up(peers.get(p))
        ),
        *(_vni(n, vnis.get(n)) for n in expected.vnis if not _vni_is_up(vnis.get(n))),
        *_ports_disabled(expected, facts),
        *(
            _neighbour(interface, cabled, seen.get(interface))
            for interface, cabled in expected.cables.items()
            if not same_neighbour(cabled, seen.get(interface))
            and not (interface in expected.waiting and interface not in seen)
        ),
    ]
    return sorted(found, key=lambda difference: (difference.area, difference.item))


def same_neighbour(cabled: Neighbour, seen: Neighbour | None) -> bool:
    """Whether LLDP shows what is cabled. Systems may call themselves by their full DNS name."""
    return seen is not None and seen.port == cabled.port and is_named(seen.system, cabled.system)


def is_named(system: str, name: str) -> bool:
    """Whether a system that calls itself `system` is the device of that name."""
    return system == name or system.startswith(f"{name}.")


# -- the parts ------------------------------------------------------------------------------------


def _same_machine(serial: str, facts: Facts) -> Iterator[Difference]:
    if serial and facts.identity.serial != serial:
        yield Difference(
            area="identity",
            item="serial number",
            expected=serial,
            found=facts.identity.serial or GONE,
        )


def _peers(facts: Facts) -> dict[Peer, BgpPeer]:
    return {Peer(vrf=p.vrf, family=p.family, peer=p.peer): p for p in facts.bgp}


def _is_up(peer: BgpPeer | None) -> bool:
    return peer is not None and peer.established


def _due(expected: Expected) -> list[Peer]:
    return [peer for peer in expected.peers if peer.peer not in expected.waiting]


def _handed_off(expected: Expected) -> list[Peer]:
    """The sessions with tenants whose equipment is in service."""
    return [peer for peer, edge in expected.handoffs.items() if edge not in expected.absent]


def _sessions_after(expected: Expected, before: Facts, after: Facts) -> Iterator[Difference]:
    """Of those established before, all that are still configured; of our own new ones, all."""
    old, new = _peers(before), _peers(after)
    meant = {*new, *expected.peers, *expected.handoffs}
    kept = {p for p in old if _is_up(old[p]) and p in meant}
    added = {p for p in _due(expected) if p not in old}
    for peer in sorted(kept | added):
        if not _is_up(new.get(peer)):
            yield _session(peer, new.get(peer))


def _session(peer: Peer, found: BgpPeer | None) -> Difference:
    state = "down" if found else GONE
    return Difference(area="bgp", item=str(peer), expected=ESTABLISHED, found=state)


def _vni_is_up(vni: Vni | None) -> bool:
    return vni is not None and vni.up


def _vnis_after(expected: Expected, before: Facts, after: Facts) -> Iterator[Difference]:
    """All that are intended, but for those that were there and down before."""
    old = {vni.vni: vni for vni in before.vnis}
    new = {vni.vni: vni for vni in after.vnis}
    for number in expected.vnis:
        broken = number in old and not old[number].up
        if not broken and not _vni_is_up(new.get(number)):
            yield _vni(number, new.get(number))


def _vni(number: int, found: Vni | None) -> Difference:
    return Difference(
        area="evpn", item=f"VNI {number}", expected="up", found="down" if found else GONE
    )


def _routes(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[Difference]:
    """A VRF that is gone altogether was taken away by the change that was approved."""
    for vrf in sorted(before.keys() & after.keys()):
        least = int(before[vrf] * LEAST_ROUTES)
        most = max(int(before[vrf] * MOST_ROUTES), before[vrf] + ROUTES_OF_A_TENANT)
        if not least <= after[vrf] <= most:
            yield Difference(
                area="routes",
                item=f"VRF {vrf}",
                expected=f"{least} to {most} routes ({before[vrf]} before)",
                found=str(after[vrf]),
            )


def _ports_disabled(expected: Expected, facts: Facts) -> Iterator[Difference]:
    """Ports that are shut down and should not be, or the other way; many are one difference."""
    words = {True: "enabled", False: "shut down"}
    known = {port.name: port for port in facts.ports}
    for enabled in (True, False):
        wrong = [
            name
            for name, wanted in expected.ports.items()
            if wanted is enabled and name in known and known[name].enabled is not enabled
        ]
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            yield Difference(
                area="ports",
                item=f"{wrong[0]}{more}",
                expected=words[enabled],
                found=words[not enabled],
            )


def _ports_after(expected: Expected, before: Facts, after: Facts) -> Iterator[Difference]:
    yield from _ports_disabled(expected, after)
    up = {port.name for port in after.ports if port.up}
    for port in before.ports:
        if port.up and expected.ports.get(port.name) and port.name not in up:
            yield Difference(area="ports", item=port.name, expected="up as before", found="down")


def _neighbours_after(expected: Expected, before: Facts, after: Facts) -> Iterator[Difference]:
    """A wrong cable towards a switch always counts, one towards a server only when it is news."""
    old = {neighbour.interface: neighbour for neighbour in before.neighbours}
    new = {neighbour.interface: neighbour for neighbour in after.neighbours}
    for interface, cabled in sorted(expected.cables.items()):
        if same_neighbour(cabled, new.get(interface)):
            continue
        news = old.get(interface) != new.get(interface)
        wrong = interface in new and (news or interface in expected.fabric)
        lost = interface not in new and interface in old
        if wrong or (lost and expected.ports.get(interface, True)):
            yield _neighbour(interface, cabled, new.get(interface))


def _neighbour(interface: str, cabled: Neighbour, seen: Neighbour | None) -> Difference:
    return Difference(
        area="lldp",
        item=interface,
        expected=f"{cabled.system} {cabled.port}",
        found=f"{seen.system} {seen.port}" if seen else "no neighbour",
    )
