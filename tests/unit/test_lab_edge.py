"""What the lab plays on a tenant's edge: addresses by one rule, and files for either hand-off."""

import pytest
import tenants
from fabric_datacentre import added, datacentre, edited, find, machine, port
from reference import content

from chapelle.errors import InputError
from chapelle.lab import edge, spec, tenant
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import ANNOUNCED, EDGE, EDGE_GROUP, edge_address

NAME = "edge-ap-hp-a1"


def with_edge(**more: object) -> Datacentre:
    """An edge with a management address, and a group of two ports with one VLAN."""
    found = machine(content(), NAME, ["et1", "et2"], mode="tagged")
    device = find(found, "devices", name=NAME)
    role = find(found, "device_roles", slug=EDGE)
    group = port(found, NAME, "bond0")
    vlan = find(found, "vlans", name="servers-a1")
    found = edited(found, "interfaces", group, name=EDGE_GROUP, tagged_vlans=(vlan.id,))
    number = max(each.id for each in found.interfaces) + 1
    found = added(found, "interfaces", r.Interface(
        id=number, device=device.id, name="mgmt", type="1000base-t", mgmt_only=True
    ))  # fmt: skip
    address = r.IPAddress(
        id=max(a.id for a in found.ip_addresses) + 1, address="10.80.8.11/24", status="active",
        assigned_object_type="dcim.interface", assigned_object_id=number,
    )  # fmt: skip
    found = added(found, "ip_addresses", address)
    changes = {"role": role.id, "oob_ip": address.id, **more}
    return datacentre(edited(found, "devices", device, **changes))


@pytest.mark.parametrize(
    ("prefix", "aisle", "address"),
    [
        ("10.80.0.0/24", 1, "10.80.0.11/24"),
        ("10.80.0.0/24", 4, "10.80.0.14/24"),
        ("10.80.0.0/28", 4, "10.80.0.14/28"),
        ("10.80.0.0/29", 1, "10.80.0.6/29"),
        ("10.80.0.0/29", 2, "10.80.0.5/29"),
        ("2001:db8::/64", 2, "2001:db8::c/64"),
    ],
)
def test_each_aisle_has_an_address_of_its_own(prefix: str, aisle: int, address: str) -> None:
    assert edge_address(prefix, aisle, "here") == address


def test_a_network_without_room_is_said() -> None:
    with pytest.raises(InputError, match="network of a tenant") as error:
        edge_address("10.80.0.0/30", 2, "device edge-ap-hp-a2")
    assert error.value.where == "device edge-ap-hp-a2"


def test_a_group_has_a_link_a_vlan_and_management_is_apart() -> None:
    node = spec.node(with_edge(), NAME, "uml")
    assert (node.role, node.ip, node.management_port) == (EDGE, "10.80.8.11", "mgmt")
    assert not node.is_switch
    assert node.handoff
    assert node.handoff.members == ("et1", "et2")
    files = {path.rpartition("/")[2]: file.content for path, file in edge.files(node).items()}
    assert "Mode=802.3ad" in str(files["30-group.netdev"])
    assert "Id=101" in str(files["40-handoff.101.netdev"])
    assert "Address=10.64.1.11/24" in str(files["40-handoff.101.network"])
    assert "Gateway=10.64.1.1" in str(files["40-handoff.101.network"])
    assert "AddPrefixRoute=no" in str(files["05-install.network"])
    assert "frr.conf" not in files
    assert [name.rpartition("/")[2] for name in edge.units(node)] == ["lldpd.service"]


def test_a_container_has_no_group() -> None:
    node = spec.node(with_edge(), NAME)
    files = {path.rpartition("/")[2] for path in edge.files(node)}
    assert not any(name.startswith(("30-", "40-")) for name in files)
    assert all(port.dark for port in node.ports if port.name != "mgmt")


def test_an_edge_that_nobody_can_log_in_to_is_no_node() -> None:
    dc = with_edge(oob_ip=None)
    assert spec.edges(dc) == []
    with pytest.raises(InputError, match="address"):
        spec.node(dc, NAME)
    assert spec.edges(with_edge()) == [NAME]


def test_a_tenant_that_routes_announces_its_networks_and_the_part_of_each_aisle() -> None:
    dc = tenants.datacentre("paris-habitat")
    handoff = tenant.handoff(dc, dc.device("edge-paris-habitat-a3"))
    whole = [p.prefix for p in dc.content.prefixes if p.role == _announced(dc)]
    assert len(whole) == 2
    assert handoff.announced[:2] == tuple(whole)
    assert all(each.endswith(".128/26") for each in handoff.announced[2:])
    assert [each.rpartition(".")[2] for each in handoff.owned] == ["141", "141"]
    assert {session.port for session in handoff.sessions} == {"et1", "et2"}


def _announced(dc: Datacentre) -> int:
    return next(role.id for role in dc.content.roles if role.slug == ANNOUNCED)
