"""What a node with a kernel of its own is started with."""

import re
import sys
from pathlib import Path

import msgspec
import pytest

from chapelle.errors import InputError
from chapelle.lab import spec, uml, wires
from chapelle.lab.ports import End

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
import full_site

NAMES = [*full_site.SWITCHES, *full_site.SERVERS]
KINDS: dict[str, spec.Kind] = dict.fromkeys(NAMES, "uml")


@pytest.fixture(scope="module")
def nodes() -> dict[str, spec.Node]:
    return {each.name: each for each in spec.nodes(full_site.datacentre(), NAMES, KINDS)}


def devices(node: spec.Node) -> dict[str, dict[str, str]]:
    """The options of each vector device."""
    found = {}
    for argument in uml.arguments(node, Path("/home")):
        if match := re.fullmatch(r"(vec\d+):(.*)", argument):
            found[match[1]] = dict(option.split("=") for option in match[2].split(","))
    return found


def test_the_small_fabric_is_cabled_as_designed(nodes) -> None:
    dc = full_site.datacentre()
    assert len(spec.cables(dc, nodes.values())) == 4 * 2 + 2 + 4 * 2
    for city, tenant in zip(full_site.CITY, full_site.TENANT, strict=True):
        assert dc.leaf_pair(dc.device(city)) == dc.leaf_pair(dc.device(tenant))
        assert dc.leaf_pair(dc.device(city)) in full_site.PAIRS
    prefixes = {p.prefix: dc.vrfs[p.vrf].name for p in dc.content.prefixes if p.vrf}
    assert prefixes[full_site.TENANT_PREFIX] == full_site.TENANT_SLUG
    assert prefixes["10.64.2.0/24"] == "ville-de-paris"


def test_both_ends_of_a_cable_name_each_other(nodes) -> None:
    leaf, spine = devices(nodes["leaf-a2-1a"]), devices(nodes["spine-a1"])
    here = wires.tunnel_end(End(node="leaf-a2-1a", port="swp49"))
    (near,) = [d for d in leaf.values() if d.get("src") == here[0]]
    (far,) = [d for d in spine.values() if d.get("dst") == here[0]]
    assert (near["src"], near["srcport"]) == (far["dst"], far["dstport"])
    assert (near["dst"], near["dstport"]) == (far["src"], far["srcport"])
    assert near["rx_session"] == far["tx_session"]


def test_every_end_has_a_place_of_its_own(nodes) -> None:
    ends = [
        wires.tunnel_end(End(node=node.name, port=port.name))
        for node in nodes.values()
        for port in node.ports
    ]
    assert len({address for address, _ in ends}) == len(ends)
    assert all(address.split(".")[0] >= "240" for address, _ in ends)


def test_a_server_is_reached_by_its_management_port(nodes) -> None:
    node = nodes["compute-a2-01"]
    assert (node.management_port, node.address) == ("bmc", "10.66.2.11/24")
    assert not node.is_switch
    (tap,) = [d for d in devices(node).values() if d["transport"] == "tap"]
    assert tap["ifname"] == wires.port_name("compute-a2-01", "bmc")
    assert [(port.name, port.mtu) for port in node.ports if port.far] == [
        ("eno1", 9000),
        ("eno2", 9000),
    ]


def test_ports_without_a_cable_exist(nodes) -> None:
    text = str(uml.files(nodes["leaf-a2-1a"])[uml.INIT].content)
    assert "link add swp40 type dummy\nlink set swp40 carrier off\n" in text
    assert re.search(r"^link add swp49 address \S+ mtu 9216 type veth", text, re.MULTILINE)
    assert "link set vec0 address 02:69:D2:01:B3:A6 name eth0\n" in text
    assert text.endswith("exec /sbin/init\n")


def test_too_many_cables_are_refused(nodes) -> None:
    node = nodes["leaf-a2-1a"]
    far = End(node="spine-a1", port="swp1")
    ports = tuple(msgspec.structs.replace(p, far=far) if p.dark else p for p in node.ports)
    with pytest.raises(InputError, match="too many cables"):
        uml.arguments(msgspec.structs.replace(node, ports=ports), Path("/home"))


def test_a_kind_is_one_of_those_there_are() -> None:
    assert spec.kind("uml") == "uml"
    with pytest.raises(InputError, match="kind of node"):
        spec.kind("qemu")
