"""Nodes with kernels of their own, for real: what a slim kernel lacks, between machines."""

import platform
import re
import shutil

import full_site
import pytest
from test_lab import states, traces
from test_lab_switches import cabled, neighbours, until

from chapelle import lab
from chapelle.lab import cgroup, faults, uml

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(uml.PROGRAM), reason=f"needs {uml.PACKAGE}"),
]

NAMES = [*full_site.SWITCHES, *full_site.SERVERS]
KINDS = dict.fromkeys(NAMES, "uml")
LEFT, RIGHT = full_site.PAIRS[0]
SPINE = full_site.SPINES[0]
SERVER, OTHER = full_site.CITY[0], full_site.TENANT[0]


@pytest.fixture(scope="module")
def site(new_lab):
    settings = new_lab()
    lab.up(settings, full_site.datacentre(), NAMES, kinds=KINDS)
    return settings


def test_they_boot_whole(site) -> None:
    assert set(states(site).values()) == {"up"}
    for host in NAMES:
        assert faults.run(site, host, "systemctl is-system-running").strip() == "running", host
    assert faults.run(site, LEFT, "uname -r").strip() != platform.release()
    daemons = faults.run(site, LEFT, "vtysh -c 'show daemons'").split()
    assert {"zebra", "staticd", "bgpd", "bfdd"} <= set(daemons)


def test_ports_are_those_of_netbox_and_carry_jumbo_frames(site) -> None:
    links = faults.run(site, LEFT, "ip -o link show")
    names = {line.split(": ")[1].partition("@")[0] for line in links.splitlines()}
    assert {"eth0", *(f"swp{number}" for number in range(1, 57))} <= names
    assert re.search(r" swp6@\S+: .* mtu 9216 ", links)
    assert re.search(r" swp40: <NO-CARRIER,", links)
    assert re.search(r" eno1@\S+: .* mtu 9000 ", faults.run(site, SERVER, "ip -o link show"))


def test_neighbours_are_those_of_the_cables(site) -> None:
    for host in full_site.SWITCHES:
        assert cabled(site, host)
        assert until(60, lambda h=host: neighbours(site, h) >= cabled(site, h)), host
        assert neighbours(site, host) == cabled(site, host)


# What the design wants of a pair, by hand: both leafs are one system to a server's bond.
LEAF = """
for port in swp6 swp7; do
  ip link set $port down
  ip link add bond-$port type bond mode 802.3ad miimon 100 lacp_rate fast ad_actor_system %(mac)s
  ip link set bond-$port mtu 9216
  ip link set $port master bond-$port
  ip link set $port up
  ip link set bond-$port up
done
ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0
ip link set br0 up
for port in bond-swp6 bond-swp7; do
  ip link set $port master br0
  bridge vlan add dev $port vid 102 pvid untagged
  bridge vlan add dev $port vid 202
done
bridge vlan add dev br0 vid 102 self
ip link add tenant type vrf table 10
ip link set tenant up
ip link add link br0 name vlan102 type vlan id 102
ip link set vlan102 master tenant
ip addr add 10.64.2.1/24 dev vlan102
ip link set vlan102 up
"""
BOND = """
for port in eno1 eno2; do ip link set $port down; done
ip link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast
ip link set bond0 mtu 9000
for port in eno1 eno2; do ip link set $port master bond0; ip link set $port up; done
ip addr add %(address)s/24 dev bond0
ip link set bond0 up
ip link add link bond0 name bond0.202 type vlan id 202
ip addr add %(tagged)s/24 dev bond0.202
ip link set bond0.202 up
"""


def test_bonds_vlans_and_vrfs_work_between_them(site) -> None:
    for leaf in (LEFT, RIGHT):
        faults.run(site, leaf, LEAF % {"mac": "02:00:00:00:00:01"})
    for host, number in ((SERVER, 11), (OTHER, 12)):
        addresses = {"address": f"10.64.2.{number}", "tagged": f"10.65.2.{number}"}
        faults.run(site, host, BOND % addresses)

    def bundled() -> bool:
        """Whether LACP has put both ports of the server into one aggregate."""
        text = faults.run(site, SERVER, "cat /proc/net/bonding/bond0")
        return "Number of ports: 2" in text and "Partner Mac Address: 02:00:00:00:00:01" in text

    assert until(20, bundled), faults.run(site, SERVER, "cat /proc/net/bonding/bond0")
    # Where the leaf has the gateway in a VRF: no way from there to what is in no VRF.
    faults.run(site, LEFT, "ping -c3 -W2 -I tenant 10.64.2.11")
    faults.run(site, LEFT, "! ping -c1 -W1 10.64.2.11")
    # One leaf is out of the way: both servers hash to the other.
    faults.unplug(site, SERVER, "eno2")
    faults.unplug(site, OTHER, "eno2")
    assert until(20, lambda: "Number of ports: 1" in faults.run(
        site, SERVER, "cat /proc/net/bonding/bond0"))  # fmt: skip
    assert until(20, lambda: "Number of ports: 1" in faults.run(
        site, OTHER, "cat /proc/net/bonding/bond0"))  # fmt: skip
    faults.run(site, SERVER, "ping -c3 -W2 -s 8900 -M do 10.64.2.12")
    faults.run(site, SERVER, "ping -c3 -W2 10.65.2.12")  # tagged
    faults.plug(site, SERVER, "eno2")
    faults.plug(site, OTHER, "eno2")
    # A side that has lost its partner speaks every 30 s (IEEE 802.1AX, 6.4.13).
    assert until(60, bundled)


def test_vxlan_works_between_them(site) -> None:
    ends = ((LEFT, "swp49", 1, 2), (SPINE, "swp9", 2, 1))
    for host, port, own, other in ends:
        faults.run(
            site,
            host,
            f"ip addr add 192.0.2.{own}/30 dev {port}; "
            f"ip link add vx type vxlan id 10102 dstport 4789 local 192.0.2.{own} "
            f"remote 192.0.2.{other} dev {port}; ip addr add 198.51.100.{own}/30 dev vx; "
            "ip link set vx up",
        )
    faults.run(site, LEFT, "ping -c3 -W2 198.51.100.2")


def test_a_killed_node_comes_back_to_its_cables(site) -> None:
    before = cgroup.Tree(site).running().keys()
    faults.kill(site, RIGHT)
    assert states(site)[RIGHT] == "down"
    assert cgroup.Tree(site).running().keys() == before - {RIGHT}
    said: list[str] = []
    lab.up(site, full_site.datacentre(), NAMES, said.append)
    assert said == ["starting 1 nodes"]
    assert set(states(site).values()) == {"up"}
    assert until(60, lambda: neighbours(site, RIGHT) == cabled(site, RIGHT))


def test_all_is_exercised_and_down_leaves_nothing(site) -> None:
    known = lab.read(site)
    assert known is not None
    assert lab.not_exercised(known) == []
    assert lab.down(site) == len(NAMES)
    assert traces(site) == []
