"""The kernel's side of a switch: what is in a VLAN, in a VRF, and what all switches share."""

import configparser
import re
from collections import defaultdict
from functools import cache
from ipaddress import ip_interface

import fabric_datacentre as fabric
import pytest

from chapelle.fabric.intent import intent
from chapelle.fabric.links import PREFIX, SYSCTL, links
from chapelle.fabric.switch import Switch

NAMES = (
    "leaf-a1-1a",
    "leaf-a1-1b",
    "leaf-a1-ta",
    "leaf-a2-ta",
    "border-a1",
    "spine-a1",
    "oob-a1-1",
)


@cache
def switch(name: str) -> Switch:
    dc = fabric.datacentre(fabric.tenants())
    return intent(dc, dc.device(name))


class File:
    """A file of systemd-networkd: lists of (key, value) by section, sections may repeat."""

    def __init__(self, text: str) -> None:
        self.sections: list[tuple[str, dict[str, list[str]]]] = []
        for line in text.splitlines():
            if match := re.fullmatch(r"\[(\w+)\]", line):
                self.sections.append((match[1], defaultdict(list)))
            elif line and line[0] != "#":
                key, _, value = line.partition("=")
                self.sections[-1][1][key].append(value)

    def all(self, section: str, key: str) -> list[str]:
        return [v for name, keys in self.sections if name == section for v in keys.get(key, [])]

    def one(self, section: str, key: str) -> str:
        (value,) = self.all(section, key)
        return value


def files(name: str) -> dict[str, File]:
    found = {}
    for file in links(switch(name)):
        if file["path"] != SYSCTL:
            assert file["path"].startswith(PREFIX)
            found[file["path"].removeprefix(PREFIX)] = File(file["content"])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_files_are_in_order_once_and_every_link_that_is_made_is_configured(name: str) -> None:
    paths = [file["path"] for file in links(switch(name))]
    assert paths == sorted(set(paths))
    known = files(name)
    made = {path.removesuffix(".netdev") for path in known if path.endswith(".netdev")}
    for link in made:
        assert known[f"{link}.netdev"].one("NetDev", "Name") == link
        assert len(link) <= 15  # IFNAMSIZ
    configured = {path.removesuffix(".network") for path in known if path.endswith(".network")}
    assert made <= configured
    for file in known.values():
        for key in ("Bridge", "Bond", "VRF", "VLAN", "MACVLAN"):
            assert set(file.all("Network", key)) <= made
    shut = set(switch(name).unused) | set(switch(name).management)
    assert not configured & shut


def test_a_spine_has_its_ports_and_no_bridge() -> None:
    known = files("spine-a1")
    assert set(known) == {f"{port.name}.network" for port in switch("spine-a1").fabric}
    for file in known.values():
        assert file.one("Network", "LinkLocalAddressing") == "ipv6"
        assert file.one("Link", "MTUBytes") == "9216"


def test_a_server_s_group_has_the_segment_as_its_system_on_both_leafs() -> None:
    systems = {
        files(name)["bond37.netdev"].one("Bond", "AdActorSystem")
        for name in ("leaf-a1-1a", "leaf-a1-1b")
    }
    assert systems == {"02:02:0a:43:00:01"}
    known = files("leaf-a1-1a")
    assert known["bond37.netdev"].one("Bond", "Mode") == "802.3ad"
    assert known["swp37.network"].one("Network", "Bond") == "bond37"
    bond = known["bond37.network"]
    assert bond.one("Network", "Bridge") == "br0"
    assert bond.all("BridgeVLAN", "VLAN") == ["101", "201"]
    assert bond.all("BridgeVLAN", "PVID") == bond.all("BridgeVLAN", "EgressUntagged") == ["101"]


def test_a_group_on_one_switch_only_has_a_system_of_its_own() -> None:
    known = files("leaf-a1-ta")
    assert known["bond3.netdev"].all("Bond", "AdActorSystem") == []
    assert {known[f"swp{n}.network"].one("Network", "Bond") for n in (3, 4)} == {"bond3"}
    single = known["swp2.network"]
    assert single.one("Network", "Bridge") == "br0"
    assert single.all("BridgeVLAN", "PVID") == ["1000"]


def test_vxlan_devices_learn_nothing_and_leave_room_for_their_headers() -> None:
    known = files("leaf-a1-ta")
    for vni, bridge in ((11000, "br0"), (11002, "br0"), (50102, "l3vni50102")):
        made, network = known[f"vni{vni}.netdev"], known[f"vni{vni}.network"]
        assert made.one("VXLAN", "VNI") == str(vni)
        assert made.one("VXLAN", "Local") == "10.67.0.7"
        assert made.one("VXLAN", "MacLearning") == "no"
        assert network.one("Bridge", "Learning") == "no"
        assert network.one("Network", "Bridge") == bridge
        assert int(made.one("NetDev", "MTUBytes")) + 50 == 9216
    assert known["vni11000.network"].one("Bridge", "NeighborSuppression") == "yes"
    assert known["vni11000.network"].one("BridgeVLAN", "PVID") == "1000"


def test_gateways_are_the_same_on_every_switch_and_in_their_vrf() -> None:
    macs = set()
    for name in ("leaf-a1-1a", "leaf-a1-ta", "border-a1"):
        known = files(name)
        for vlan in switch(name).vlans:
            if not vlan.gateways:
                assert f"vlan{vlan.vid}.network" not in known
                continue
            made, network = known[f"gw{vlan.vid}.netdev"], known[f"gw{vlan.vid}.network"]
            macs.add(made.one("NetDev", "MACAddress"))
            assert tuple(network.all("Address", "Address")) == vlan.gateways
            assert set(network.all("Address", "AddPrefixRoute")) == {"no"}
            below = known[f"vlan{vlan.vid}.network"]
            assert below.one("Network", "VRF") == network.one("Network", "VRF") == vlan.vrf
            assert below.one("Network", "MACVLAN") == f"gw{vlan.vid}"
            networks = [str(ip_interface(address).network) for address in vlan.gateways]
            assert below.all("Route", "Destination") == networks
            bridge = known["br0.network"]
            assert f"vlan{vlan.vid}" in bridge.all("Network", "VLAN")
            assert str(vlan.vid) in bridge.all("BridgeVLAN", "VLAN")
            assert str(vlan.vid) in bridge.all("BridgeFDB", "VLANId")
        assert set(known["br0.network"].all("BridgeFDB", "MACAddress")) == {"02:03:00:00:00:01"}
    assert macs == {"02:03:00:00:00:01"}
    six = files("leaf-a1-ta")["gw1001.network"]
    assert six.one("Network", "IPv6DuplicateAddressDetection") == "0"
    assert six.one("Network", "LinkLocalAddressing") == "ipv6"


def test_a_switch_asks_where_servers_are_with_an_address_of_its_own() -> None:
    """What is answered to the gateway may arrive at a server's other switch, and end there."""
    seen = set()
    for name, mac in (("leaf-a1-1a", "02:01:0a:43:00:01"), ("leaf-a1-1b", "02:01:0a:43:00:02")):
        known = files(name)
        for link in ("br0", "vlan101"):
            assert known[f"{link}.netdev"].one("NetDev", "MACAddress") == mac
        seen.add(known["vlan101.network"].one("Network", "Address"))
    assert seen == {"10.67.0.1/32", "10.67.0.2/32"}


def test_all_vrfs_of_a_switch_have_one_router_mac_and_refuse_what_they_do_not_know() -> None:
    known = files("border-a1")
    vrfs = switch("border-a1").vrfs
    assert len(vrfs) == 3
    bridges = [known[f"l3vni{vrf.overlay.vni}.netdev"] for vrf in vrfs]
    assert {file.one("NetDev", "MACAddress") for file in bridges} == {"02:01:0a:43:00:0d"}
    for vrf in vrfs:
        table = known[f"{vrf.name}.netdev"].one("VRF", "Table")
        assert table == str(vrf.overlay.vni)
        network = known[f"{vrf.name}.network"]
        assert network.all("Route", "Type") == ["unreachable"] * 2
        assert network.all("Route", "Table") == [table] * 2
        assert known[f"l3vni{vrf.overlay.vni}.network"].one("Network", "VRF") == vrf.name


def test_an_out_of_band_switch_bridges_and_no_more() -> None:
    known = files("oob-a1-1")
    made = {path for path in known if path.endswith(".netdev")}
    assert made == {"br0.netdev", "uplink.netdev"}
    assert known["swp1.network"].one("BridgeVLAN", "PVID") == "301"
    assert known["uplink.network"].all("BridgeVLAN", "PVID") == []
    assert known["uplink.network"].all("BridgeVLAN", "VLAN") == ["301"]
    assert SYSCTL not in {file["path"] for file in links(switch("oob-a1-1"))}


def test_the_settings_of_the_kernel_are_a_file_of_sysctl() -> None:
    (content,) = [f["content"] for f in links(switch("spine-a1")) if f["path"] == SYSCTL]
    parser = configparser.ConfigParser()
    parser.read_string("[sysctl]\n" + content)
    assert parser["sysctl"]["net.ipv4.ip_forward"] == "1"
    # Both or neither: a question with the gateway's address would turn servers to one switch only.
    assert parser["sysctl"]["net.ipv4.conf.all.arp_ignore"] == "1"
    assert parser["sysctl"]["net.ipv4.conf.all.arp_announce"] == "2"
