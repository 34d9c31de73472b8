"""Tenants' edges as containers, for real: what a slim kernel can show of a tenant's equipment."""

import json

import pytest
import tenant_site
from fabric_datacentre import datacentre, edited
from test_lab import states, traces
from test_lab_switches import neighbours, until

from chapelle import lab
from chapelle.lab import faults, spec, tenant

pytestmark = pytest.mark.lab

LEAFS = tenant_site.PAIRS[1]
HOSPITAL, HOUSING, WATER = tenant_site.HOSPITALS[1], tenant_site.HOUSING[1], tenant_site.WATER
EDGES = [HOSPITAL, HOUSING, WATER]


@pytest.fixture(scope="module")
def aisle(new_lab):
    settings = new_lab()
    lab.up(settings, tenant_site.datacentre(), [*LEAFS, *EDGES])
    return settings


def test_the_edges_of_an_aisle_are_those_that_can_be_reached(aisle) -> None:
    dc = tenant_site.datacentre()
    assert spec.edges(dc, aisle="2") == sorted(EDGES)
    assert spec.edges(dc, rack="A2-R07") == [HOSPITAL]


def test_edges_boot_whole_and_are_reached_by_their_management_port(aisle, ssh_in) -> None:
    assert set(states(aisle).values()) == {"up"}
    dc = tenant_site.datacentre()
    for host in EDGES:
        assert faults.run(aisle, host, "systemctl is-system-running").strip() == "running", host
        said = ssh_in(aisle)(host, "hostname; ip -br -4 addr show mgmt")
        managed = dc.ip_addresses[dc.device(host).oob_ip or 0].address
        assert said.stdout.split()[0] == host
        assert managed in said.stdout


def test_what_comes_by_management_goes_by_management_and_nothing_else_does(aisle) -> None:
    for host in EDGES:
        assert "dev mgmt" not in faults.run(aisle, host, "ip route show table main"), host
        assert "default via" in faults.run(aisle, host, "ip route show table 100"), host
        said = faults.run(aisle, host, "ping -c1 -W1 10.64.0.11 2>&1 || :")
        assert "1 received" not in said, "the city is reached by the tenant's own port"


def test_leafs_and_edges_see_each_other_on_the_ports_of_netbox(aisle) -> None:
    known = lab.read(aisle)
    assert known is not None
    for leaf in LEAFS:
        ends = [pair for c in known.cables for pair in ((c.a, c.b), (c.b, c.a))]
        wanted = {(near.port, far.node, far.port) for near, far in ends if near.node == leaf}
        assert {system for _, system, _ in wanted} == set(EDGES), wanted
        assert until(60, lambda one=leaf, all_=wanted: neighbours(aisle, one) >= all_), leaf


def test_a_tenant_that_routes_speaks_bgp_with_its_own_number(aisle) -> None:
    dc = tenant_site.datacentre()
    text = faults.run(aisle, HOUSING, "vtysh -c 'show bgp ipv4 unicast summary json'")
    summary = json.loads(text)
    assert summary["as"] == dc.device(HOUSING).custom_fields["bgp_asn"]
    assert sorted(each["remoteAs"] for each in summary["peers"].values()) == [
        dc.device(leaf).custom_fields["bgp_asn"] for leaf in LEAFS
    ]
    announced = json.loads(faults.run(aisle, HOUSING, "vtysh -c 'show bgp ipv4 unicast json'"))
    handoff = tenant.handoff(dc, dc.device(HOUSING))
    assert set(announced["routes"]) == set(handoff.announced)
    carried = faults.run(aisle, HOUSING, "ip -br addr show lo")
    assert all(f"{own}/32" in carried for own in handoff.owned)
    assert not faults.run(aisle, HOSPITAL, "pgrep bgpd || :").strip()


def test_what_edges_cannot_do_here_is_said(aisle) -> None:
    known = lab.read(aisle)
    assert known is not None
    said = lab.not_exercised(known)
    assert any("3 tenants' edges are containers" in line for line in said), said


def test_an_edge_of_which_netbox_says_something_else_is_made_anew(aisle) -> None:
    content = tenant_site.datacentre().content
    (vlan,) = (v for v in content.vlans if v.name == "eau-de-paris-telemetry")
    content = edited(content, "vlans", vlan, vid=3999)
    said: list[str] = []
    lab.up(aisle, datacentre(content), EDGES, said.append)
    assert f"rebuilding {WATER}: it has other handoff now" in said
    assert set(states(aisle).values()) == {"up"}


def test_down_leaves_nothing(aisle) -> None:
    assert lab.down(aisle) == len(LEAFS) + len(EDGES)
    assert traces(aisle) == []
