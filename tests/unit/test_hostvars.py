"""What Ansible is told of a server, and the files of its links."""

import msgspec
import pytest
import reference

from chapelle.checks.links import faults
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


@pytest.mark.parametrize(
    ("kind", "field", "what"),
    [
        ("ip_addresses", "dns_name", "dns1"),
        ("ip_addresses", "dns_name", "time1"),
        ("prefixes", "role", "services"),
    ],
)
def test_a_server_that_could_not_work_is_refused(
    dc: Datacentre, kind: str, field: str, what: str
) -> None:
    """Without resolvers, time servers, or anybody who may manage it."""
    wanted = what.rstrip("1")
    records = tuple(
        msgspec.structs.replace(each, status="deprecated")
        if field == "role" or str(getattr(each, field)).startswith(wanted)
        else each
        for each in getattr(dc.content, kind)
    )
    without = Datacentre(Snapshot(msgspec.structs.replace(dc.content, **{kind: records})))
    with pytest.raises(InputError, match=f"VRF .* lack an active .*{what}"):
        hostvars(without, without.device("compute-a2-01"), FULL)


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


def test_all_links_of_the_reference_datacentre_can_be_built(dc: Datacentre) -> None:
    for device in dc.servers:
        assert list(faults(intended_links(dc, device))) == [], device.name


IMPOSSIBLE = [
    ("a-name-of-sixteen", "bond0.202", {"name": "storage-network0"}, "15 letters"),
    ("a-name-with-a-slash", "bond0.202", {"name": "a/b.202"}, "15 letters"),
    ("a-name-that-is-a-pattern", "bond0.202", {"name": "eno*.202"}, "15 letters"),
    ("a-name-twice", "bond0.202", {"name": "bond0"}, "the interface bond0 once"),
    ("no-mtu-for-ipv4", "bond0", {"mtu": 60}, "an MTU from 68 to 65535"),
    ("more-than-the-parents-mtu", "bond0.202", {"mtu": 9100}, "at most 9000, that of bond0"),
    ("vlan-4095", "bond0.202", {"name": "bond0.4095", "untagged_vlan": None}, "from 1 to 4094"),
    ("bond-without-ports", "eno1", {"lag": None}, None),
    ("bond-that-is-disabled", "bond0", {"enabled": False}, "enabled bond of this server"),
    ("bond-that-is-a-port", "bond0", {"type": "1000base-t"}, "enabled bond of this server"),
]


@pytest.mark.parametrize(
    ("interface", "changes", "expected"),
    [case[1:] for case in IMPOSSIBLE],
    ids=[case[0] for case in IMPOSSIBLE],
)
def test_a_link_that_cannot_be_built_is_refused_by_name(
    dc: Datacentre, interface: str, changes: dict[str, object], expected: str | None
) -> None:
    other = altered(dc, interface, **changes)
    if expected is None:  # one port of two is enough
        assert hostvars(other, other.device("compute-a2-01"), FULL)
        other = altered(other, "eno2", **changes)
        expected = "at least one enabled port"
    with pytest.raises(InputError) as caught:
        hostvars(other, other.device("compute-a2-01"), FULL)
    assert str(caught.value.where).startswith("device compute-a2-01, interface ")
    assert expected in str(caught.value.expected)
    assert caught.value.found
    assert caught.value.remedy


LINK = {
    "name": "eno1", "kind": "physical", "mac": None, "mtu": None, "bond": None,
    "addresses": ["10.0.0.2/24"], "gateway": "10.0.0.1", "parent": None, "vid": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gateway": "10.0.1.1"}, "a gateway in a prefix of the link (10.0.0.0/24)"),
        ({"addresses": []}, "a gateway in a prefix of the link (none"),
        ({"gateway": "nowhere"}, "a gateway in a prefix"),
        ({"addresses": ["10.0.0.255/24"]}, "an address of a host in 10.0.0.0/24"),
        ({"addresses": ["10.0.0.2/24", "10.0.0.2/25"]}, "the address 10.0.0.2 once"),
        ({"addresses": ["10.0.0.300/24"], "gateway": None}, "the length of its prefix"),
        ({"bond": "bond9"}, "an enabled bond"),
        ({"name": "4711"}, "not only digits"),
        ({"kind": "vlan", "parent": "eno9", "vid": 5}, "a parent that is one of its links"),
    ],
)
def test_links_set_by_hand_are_refused_before_they_become_files(
    changes: dict[str, object], expected: str
) -> None:
    assert networkd.files([LINK])
    with pytest.raises(InputError) as caught:
        networkd.files([{**LINK, **changes}])
    assert str(caught.value.where).startswith("variable network_links, interface ")
    assert expected in str(caught.value.expected)


def test_one_default_gateway_and_one_vlan_of_a_number_on_a_parent() -> None:
    second = {**LINK, "name": "eno2", "addresses": ["10.0.1.2/24"], "gateway": "10.0.1.1"}
    vlan = {**LINK, "kind": "vlan", "parent": "eno1", "vid": 7, "addresses": [], "gateway": None}
    links = [LINK, second, {**vlan, "name": "eno1.7"}, {**vlan, "name": "again"}]
    assert [(fault.link, fault.expected) for fault in faults(links)] == [
        ("eno2", "a default gateway once"),
        ("again", "the VLAN 7 on eno1 once"),
    ]
    assert list(faults([{**LINK, "addresses": ["10.0.0.2/31"], "gateway": "10.0.0.3"}])) == []
