"""What somebody tells the kernel of a switch, and FRRouting never hears of, is found as well."""

import shutil
from collections.abc import Iterator

import pytest
from fabric_site import A, datacentre

from chapelle import lab
from chapelle.lab import faults, uml
from chapelle.plan import scope
from chapelle.run.tenancy import isolation
from chapelle.run.tenancy.isolation import Proven
from chapelle.settings import Settings

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(uml.PROGRAM), reason=f"needs {uml.PACKAGE}"),
]

# The city's VLAN and VRF as they are intended, and the VRF of management beside them.
LINKS = """
set -e
ip link add ville-de-paris type vrf table 50101
ip link add management type vrf table 50100
ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0
ip link add link br0 name vlan102 type vlan id 102
ip link set vlan102 master ville-de-paris
ip link add link br0 name vlan302 type vlan id 302
ip link set vlan302 master management
for link in ville-de-paris management br0 vlan102 vlan302; do ip link set $link up; done
bridge vlan add dev br0 vid 102 self
bridge vlan add dev br0 vid 302 self
"""
ROUTE = "ip route {} 10.66.2.0/24 dev vlan302 table 50101"
RULE = "ip rule {} iif vlan102 lookup 50100 priority 500"
GATEWAY = "ip link set vlan102 master {}"


@pytest.fixture(scope="module")
def site(new_lab) -> Iterator[Settings]:
    settings = new_lab()
    lab.up(settings, datacentre(), [A], kinds={A: "uml"})
    faults.run(settings, A, LINKS)
    return settings


def live(site: Settings) -> Proven:
    return isolation.live(site, datacentre(), scope.parse(limit=A), print, forks=1)


def test_links_as_intended_are_no_leak(site: Settings) -> None:
    found = live(site)
    assert found.proofs[1].unread == {}
    assert found.leaks == ()
    assert found.not_exercised == {}


@pytest.mark.parametrize(
    ("there", "back", "rule", "words"),
    [
        (ROUTE.format("add"), ROUTE.format("del"), "route-leak", "10.66.2.0/24 dev vlan302"),
        (RULE.format("add"), RULE.format("del"), "route-leak", "iif vlan102 lookup 50100"),
        (
            GATEWAY.format("management"), GATEWAY.format("ville-de-paris"), "foreign-vlan-vrf",
            f"VRF management on {A}",
        ),
    ],
)  # fmt: skip
def test_what_is_told_the_kernel_by_hand_is_found(
    site: Settings, there: str, back: str, rule: str, words: str
) -> None:
    faults.run(site, A, there)
    found = live(site).leaks
    faults.run(site, A, back)
    assert [leak.rule for leak in found] == [rule]
    assert "Ville de Paris" in found[0].found
    assert "the management of machines" in found[0].found
    assert words in found[0].found
    assert live(site).leaks == ()
