"""What counts as broken by a change, what as not as intended, and what LLDP says of the cables."""

from typing import Any

import msgspec
import pytest
import reference

from chapelle.checks.cabling import cabling
from chapelle.checks.fabric import Expected, Peer, after_change, as_intended
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.snapshot import Snapshot
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour, Port, Vni

SPINE = Neighbour(interface="swp49", system="spine-a1", port="swp1")
SERVER = Neighbour(interface="swp1", system="compute-a1-01", port="eno1")
EXPECTED = Expected(
    serial="S1",
    peers=(
        Peer(vrf="default", family="evpn", peer="swp49"),
        Peer(vrf="default", family="ipv4", peer="swp49"),
    ),
    vnis={4001: "L3", 10101: "L2"},
    ports={"swp1": True, "swp2": False, "swp49": True},
    cables={"swp49": SPINE, "swp1": SERVER},
    fabric=frozenset({"swp49"}),
)
GOOD = Facts(
    identity=Identity(serial="S1", hostname="leaf-a1-1a"),
    neighbours=(SERVER, SPINE),
    bgp=(
        BgpPeer(vrf="default", family="evpn", peer="swp49", established=True, prefixes=9),
        BgpPeer(vrf="default", family="ipv4", peer="swp49", established=True, prefixes=9),
    ),
    vnis=(Vni(vni=4001, kind="L3", up=True), Vni(vni=10101, kind="L2", up=True)),
    ports=(
        Port(name="swp1", enabled=True, up=True),
        Port(name="swp2", enabled=False, up=False),
        Port(name="swp49", enabled=True, up=True),
    ),
    routes={"default": 50, "ville": 1000},
)
NOTHING = Facts(identity=GOOD.identity)


def but(**changed: Any) -> Facts:
    return msgspec.structs.replace(GOOD, **changed)


def down(facts: Facts) -> tuple[BgpPeer, ...]:
    return tuple(msgspec.structs.replace(peer, established=False) for peer in facts.bgp)


def areas(before: Facts, after: Facts, expected: Expected = EXPECTED) -> list[str]:
    return [f"{d.area} {d.item}" for d in after_change(expected, before, after)]


def test_nothing_is_found_where_all_is_well() -> None:
    assert after_change(EXPECTED, GOOD, GOOD) == []
    assert after_change(EXPECTED, NOTHING, GOOD) == []
    assert as_intended(EXPECTED, GOOD) == []


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (but(identity=Identity(serial="S2", hostname="leaf-a1-1a")), "identity serial number"),
        (but(bgp=GOOD.bgp[:1]), "bgp swp49 (ipv4, VRF default)"),
        (but(vnis=GOOD.vnis[:1]), "evpn VNI 10101"),
        (but(routes={"default": 39, "ville": 1000}), "routes VRF default"),
        (but(routes={"default": 50, "ville": 2001}), "routes VRF ville"),
        (but(ports=(Port(name="swp1", enabled=True, up=False), *GOOD.ports[1:])), "ports swp1"),
        (but(ports=(GOOD.ports[0], Port(name="swp2", enabled=True, up=True))), "ports swp2"),
        (but(neighbours=(SERVER,)), "lldp swp49"),
        (
            but(neighbours=(msgspec.structs.replace(SERVER, port="eno2"), SPINE)),
            "lldp swp1",
        ),
    ],
)
def test_what_a_change_broke_is_found(after: Facts, found: str) -> None:
    assert found in areas(GOOD, after)


def test_sessions_that_never_come_up_count_when_the_change_adds_them() -> None:
    after = but(bgp=down(GOOD))
    assert areas(NOTHING, after) == [
        "bgp swp49 (evpn, VRF default)",
        "bgp swp49 (ipv4, VRF default)",
    ]
    waiting = msgspec.structs.replace(EXPECTED, waiting=frozenset({"swp49"}))
    assert areas(NOTHING, after, waiting) == [], "its far end is not in service yet"


def test_what_was_broken_before_is_no_fault_of_the_change() -> None:
    broken = but(bgp=down(GOOD), vnis=(Vni(vni=4001, kind="L3", up=False), *GOOD.vnis[1:]))
    assert areas(broken, broken) == []
    assert [d.area for d in as_intended(EXPECTED, broken)] == ["bgp", "bgp", "evpn"]


def test_a_session_that_the_change_takes_away_is_not_lost() -> None:
    none = msgspec.structs.replace(EXPECTED, peers=(), fabric=frozenset())
    assert areas(GOOD, but(bgp=()), none) == []
    foreign = but(bgp=down(GOOD))
    assert len(areas(GOOD, foreign, none)) == 2, "still configured by somebody, and now down"


def test_a_wrong_cable_to_a_switch_counts_even_if_it_is_old() -> None:
    wrong = but(neighbours=(SERVER, msgspec.structs.replace(SPINE, system="spine-a2")))
    assert areas(wrong, wrong) == ["lldp swp49"]
    old = but(neighbours=(msgspec.structs.replace(SERVER, port="eno2"), SPINE))
    assert areas(old, old) == []
    assert [d.item for d in as_intended(EXPECTED, old)] == ["swp1"]


def test_systems_may_call_themselves_by_their_full_name() -> None:
    full = msgspec.structs.replace(SERVER, system="compute-a1-01.chapelle.internal")
    assert as_intended(EXPECTED, but(neighbours=(full, SPINE))) == []


# -- cabling --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dc() -> Datacentre:
    dc = reference.datacentre()
    devices = tuple(msgspec.structs.replace(d, status="active") for d in dc.content.devices)
    content = msgspec.structs.replace(dc.content, devices=devices)
    return Datacentre(Snapshot(content))


def neighbours(dc: Datacentre, name: str) -> dict[str, Neighbour]:
    """What LLDP shows when all is cabled as NetBox says; controllers do not speak it."""
    device = dc.device(name)
    found = {}
    for port in dc.interfaces_by_device[device.id]:
        peer = dc.peer_interface(port)
        far = dc.devices[peer.device] if peer else None
        if peer and far and not (dc.is_server(far) and peer.mgmt_only):
            found[port.name] = Neighbour(interface=port.name, system=far.name or "", port=peer.name)
    return found


def seen(name: str, found: dict[str, Neighbour]) -> dict[str, Facts]:
    identity = Identity(serial=name, hostname=name)
    return {name: Facts(identity=identity, neighbours=tuple(sorted(found.values())))}


def judged(dc: Datacentre, name: str, found: dict[str, Neighbour]) -> list[Finding]:
    return cabling(dc, seen(name, found))


def moved(neighbour: Neighbour, interface: str) -> Neighbour:
    return msgspec.structs.replace(neighbour, interface=interface)


@pytest.mark.parametrize("name", ["leaf-a2-1a", "spine-a1", "oob-a3-2", "border-a1"])
def test_what_is_cabled_as_netbox_says_gives_no_finding(dc: Datacentre, name: str) -> None:
    assert judged(dc, name, neighbours(dc, name)) == []


def test_two_cables_swapped_at_the_switch_are_one_finding(dc: Datacentre) -> None:
    found = neighbours(dc, "leaf-a2-1a")
    one, two = found["swp1"], found["swp2"]
    found |= {"swp1": moved(two, "swp1"), "swp2": moved(one, "swp2")}
    (finding,) = judged(dc, "leaf-a2-1a", found)
    assert finding.rule == "cable-swapped"
    assert [reference.endpoint for reference in finding.objects] == ["dcim/cables"] * 2
    assert "leaf-a2-1a swp1 to storage-a2-02 eno1" in finding.found
    for reference_ in finding.objects:
        assert f"cable {reference_.id}" in finding.remedy


def test_two_ports_swapped_at_the_server_are_one_finding_across_the_pair(dc: Datacentre) -> None:
    a, b = neighbours(dc, "leaf-a2-1a"), neighbours(dc, "leaf-a2-1b")
    one, two = a["swp3"], b["swp3"]
    a["swp3"], b["swp3"] = two, one
    (finding,) = cabling(dc, seen("leaf-a2-1a", a) | seen("leaf-a2-1b", b))
    assert finding.rule == "cable-swapped"
    assert {"leaf-a2-1a", "leaf-a2-1b"} <= {
        word for word in finding.expected.replace(",", "").split() if word.startswith("leaf")
    }


def test_a_missing_cable_is_told_unless_its_far_end_is_not_in_service(dc: Datacentre) -> None:
    found = neighbours(dc, "leaf-a2-1a")
    del found["swp4"]
    (finding,) = judged(dc, "leaf-a2-1a", found)
    assert finding.rule == "cable-missing"
    assert finding.severity == "warning"
    planned = reference.datacentre()
    assert judged(planned, "leaf-a2-1a", found) == []


def test_wrong_and_unknown_cables_are_told(dc: Datacentre) -> None:
    found = neighbours(dc, "leaf-a2-1a")
    stranger = Neighbour(interface="swp1", system="laptop", port="eth0")
    found |= {"swp1": stranger, "swp47": moved(stranger, "swp47")}
    found["swp47"] = msgspec.structs.replace(found["swp47"], port="eth1")
    rules = [finding.rule for finding in judged(dc, "leaf-a2-1a", found)]
    assert rules == ["cable-wrong", "cable-unknown"]
