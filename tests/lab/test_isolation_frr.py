"""What somebody puts on a switch, as FRRouting itself shows it: the ways out of a VRF are read."""

import os
from pathlib import Path

import pytest
from routing_namespace import Router
from tenants import datacentre

from chapelle.checks.tenancy.isolation import prove_running
from chapelle.checks.tenancy.isolation.running.read import read
from chapelle.fabric import intent, render
from chapelle.lab import image
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab]

LEAF = "leaf-a2-ta"  # with VRFs of two tenants

LINES = """
vrf ap-hp
 ip route 10.99.0.0/24 192.0.2.9 nexthop-vrf eau-de-paris
 ipv6 route ::/0 2001:db8::1 nexthop-vrf eau-de-paris
exit-vrf
ip route 10.98.0.0/24 192.0.2.9 nexthop-vrf ap-hp
"""
BGP = """
router bgp {asn} vrf ap-hp
 address-family ipv4 unicast
  import vrf eau-de-paris
  redistribute table {vni}
 exit-address-family
exit
"""
VPN = """
router bgp {asn} vrf ap-hp
 address-family ipv4 unicast
  rd vpn export 10.67.0.9:8
  rt vpn import 65000:9
  import vpn
 exit-address-family
exit
router bgp {asn} vrf eau-de-paris
 address-family ipv4 unicast
  rd vpn export 10.67.0.9:9
  rt vpn export 65000:9
  export vpn
 exit-address-family
exit
"""


@pytest.fixture(scope="module")
def root() -> Path:
    """The root of the lab's image."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    return image.ensure(Settings.load(kept), print)


def test_what_frrouting_shows_is_read(root: Path) -> None:
    dc = datacentre()
    device = dc.device(LEAF)
    switch = intent.intent(dc, device)
    assert switch.router is not None
    vnis = {vrf.name: vrf.overlay.vni for vrf in switch.vrfs}
    more = {"asn": switch.router.asn, "vni": vnis["eau-de-paris"]}
    rendered = render.render(switch)
    with Router(root, [f"swp{number}" for number in range(49, 53)]) as frr:
        frr.write("/tmp/first.conf", rendered)  # noqa: S108 - in memory, in the namespace
        frr.run("vtysh", "-f", "/tmp/first.conf")  # noqa: S108
        plain = read(dc, device, frr.running())
        assert prove_running(dc, {LEAF: plain}).leaks == ()

        frr.write("/tmp/more.conf", (LINES + BGP).format(**more))  # noqa: S108
        assert frr.run("vtysh", "-f", "/tmp/more.conf").returncode == 0  # noqa: S108
        leaks = prove_running(dc, {LEAF: read(dc, device, frr.running())}).leaks
        assert {leak.remedy.rpartition(": ")[2]: leak.rule for leak in leaks} == {
            "ip route 10.99.0.0/24 192.0.2.9 nexthop-vrf eau-de-paris": "route-leak",
            "ipv6 route ::/0 2001:db8::1 nexthop-vrf eau-de-paris": "default-route",
            "ip route 10.98.0.0/24 192.0.2.9 nexthop-vrf ap-hp": "route-leak",
            "import vrf eau-de-paris": "route-leak",
            f"redistribute table {more['vni']}": "route-leak",
        }

        frr.write("/tmp/less.conf", BGP.format(**more).replace("  ", "  no "))  # noqa: S108
        frr.run("vtysh", "-f", "/tmp/less.conf")  # noqa: S108
        frr.write("/tmp/vpn.conf", VPN.format(**more))  # noqa: S108
        assert frr.run("vtysh", "-f", "/tmp/vpn.conf").returncode == 0  # noqa: S108
        found = prove_running(dc, {LEAF: read(dc, device, frr.running())}).leaks
        vpn = [leak for leak in found if leak.rule == "foreign-target"]
        assert ["AP-HP reaches Eau de Paris" in leak.found for leak in vpn] == [True]
