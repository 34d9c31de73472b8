"""What Ansible is told of a server, and the files of its links."""

import msgspec
import pytest
import reference

from chapelle.errors import InputError
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot
from chapelle.plan import networkd
from chapelle.plan.hostvars import hostvars, intended_links

FULL = {"bonding": True, "vlan": True}
SLIM = {"bonding": False, "vlan": False, "clock": False}


@pytest.fixture(scope="module")
def dc() -> Datacentre:
    return reference.datacentre()


def altered(dc: Datacentre, interface: str, /, **changes: object) -> Datacentre:
    """The datacentre with one interface of compute-a2-01 changed."""
    device = dc.device("compute-a2-01")
    interfaces = tuple(
        msgspec.structs.replace(i, **changes) if (i.device, i.name) == (device.id, interface) else i
        for i in dc.content.interfaces
    )
    return Datacentre(Snapshot(msgspec.structs.replace(dc.content, interfaces=interfaces)))


def test_a_server_on_a_whole_kernel(dc: Datacentre) -> None:
    found = hostvars(dc, dc.device("compute-a2-01"), FULL)
    assert {link["name"]: link["kind"] for link in found["network_links"]} == {
        "eno1": "physical",
        "eno2": "physical",
        "bond0": "bond",
        "bond0.202": "vlan",
    }
    bond = found["network_links"][2]
    assert (bond["addresses"], bond["gateway"], bond["mtu"]) == (
        ["10.64.2.11/24"],
        "10.64.2.1",
        9000,
    )
    vlan = found["network_links"][3]
    assert (vlan["vid"], vlan["parent"], vlan["gateway"]) == (202, "bond0", None)
    assert found["network_not_exercised"] == []
    assert found["time_servers"] == ["10.64.0.11", "10.64.0.12"]
    assert found["base_resolvers"] == ["10.64.0.21", "10.64.0.22"]
    assert found["base_fqdn"] == "compute-a2-01.chapelle.internal"
    assert found["firewall_management"] == ["10.64.0.0/24"]
    assert found["time_not_exercised"] == []


def test_a_slim_kernel_keeps_the_primary_address_and_names_what_is_left_out(dc: Datacentre) -> None:
    found = hostvars(dc, dc.device("compute-a2-01"), SLIM)
    eno1, eno2 = found["network_links"]
    assert (eno1["name"], eno1["addresses"], eno1["gateway"], eno1["mtu"]) == (
        "eno1",
        ["10.64.2.11/24"],
        "10.64.2.1",
        9000,
    )
    assert (eno2["addresses"], eno2["gateway"], eno2["bond"]) == ([], None, None)
    assert [line.split(":")[0] for line in found["network_not_exercised"]] == ["bond0", "bond0.202"]
    assert "no 8021q" in found["network_not_exercised"][1]
    assert found["time_not_exercised"]


def test_vlans_without_bonding_stand_on_the_first_port(dc: Datacentre) -> None:
    found = hostvars(dc, dc.device("compute-a2-01"), {"bonding": False})
    vlan = found["network_links"][-1]
    assert (vlan["name"], vlan["parent"]) == ("bond0.202", "eno1")


def test_every_server_has_its_own_plain_deterministic_variables(dc: Datacentre) -> None:
    seen = set()
    for device in dc.servers:
        found = hostvars(dc, device, FULL)
        assert found == hostvars(dc, device, FULL)
        assert msgspec.json.decode(msgspec.json.encode(found)) == found
        assert all(
            name.split("_")[0] in {"base", "access", "time", "network", "firewall"}
            for name in found
        )
        seen.add(found["base_address"])
        assert len([link for link in found["network_links"] if link["gateway"]]) == 1
    assert len(seen) == len(dc.servers) == 300


def test_the_bmc_is_not_the_systems(dc: Datacentre) -> None:
    names = {link["name"] for link in intended_links(dc, dc.device("storage-a2-01"))}
    assert "bmc" not in names


def test_a_server_without_primary_address_is_an_error_that_names_it(dc: Datacentre) -> None:
    device = msgspec.structs.replace(dc.device("compute-a2-01"), primary_ip4=None)
    with pytest.raises(InputError, match="compute-a2-01"):
        hostvars(dc, device, FULL)


def test_a_vlan_that_cannot_be_known_is_an_error(dc: Datacentre) -> None:
    other = altered(dc, "bond0.202", name="storage", untagged_vlan=None)
    with pytest.raises(InputError, match="interface storage"):
        hostvars(other, other.device("compute-a2-01"), FULL)
    orphan = altered(dc, "bond0.202", parent=None)
    with pytest.raises(InputError, match="parent"):
        hostvars(orphan, orphan.device("compute-a2-01"), FULL)


def test_a_disabled_interface_is_not_built(dc: Datacentre) -> None:
    other = altered(dc, "bond0.202", enabled=False)
    names = [link["name"] for link in intended_links(other, other.device("compute-a2-01"))]
    assert names == ["eno1", "eno2", "bond0"]


GOLDEN = {
    "10-chapelle-eno1.network": """\
[Match]
Name=eno1

[Link]
RequiredForOnline=enslaved

[Network]
LinkLocalAddressing=no
IPv6AcceptRA=no
Bond=bond0
""",
    "10-chapelle-bond0.netdev": """\
[NetDev]
Name=bond0
Kind=bond
MTUBytes=9000

[Bond]
Mode=802.3ad
MIIMonitorSec=100ms
LACPTransmitRate=fast
TransmitHashPolicy=layer3+4
MinLinks=1
""",
    "10-chapelle-bond0.network": """\
[Match]
Name=bond0

[Link]
MTUBytes=9000

[Network]
LinkLocalAddressing=no
IPv6AcceptRA=no
VLAN=bond0.202
Address=10.64.2.11/24
Gateway=10.64.2.1
""",
    "10-chapelle-bond0.202.netdev": """\
[NetDev]
Name=bond0.202
Kind=vlan
MTUBytes=9000

[VLAN]
Id=202
""",
    "10-chapelle-bond0.202.network": """\
[Match]
Name=bond0.202

[Link]
MTUBytes=9000

[Network]
LinkLocalAddressing=no
IPv6AcceptRA=no
Address=10.65.2.11/24
""",
}


def test_the_files_of_systemd_networkd(dc: Datacentre) -> None:
    links = intended_links(dc, dc.device("compute-a2-01"))
    found = {
        entry["path"].rpartition("/")[2]: entry["content"].removeprefix(networkd.HEADER + "\n")
        for entry in networkd.files(links)
    }
    assert {name: found[name] for name in GOLDEN} == GOLDEN
    assert set(found) == {*GOLDEN, "10-chapelle-eno2.network"}
