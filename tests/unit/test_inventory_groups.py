"""Groups, filters and variables of hosts, on the reference datacentre."""

from pathlib import Path

import msgspec
import pytest
import reference

from chapelle.errors import InputError
from chapelle.model.datacentre import Datacentre
from chapelle.plan.groups import group_name, groups, pair_name
from chapelle.plan.inventory import Filter, Reach, connection, host, select
from chapelle.run.reach import socket_directory
from chapelle.settings import Settings

REACH = Reach(sockets=Path("/run/sockets"))


@pytest.fixture(scope="module")
def dc() -> Datacentre:
    return reference.datacentre()


def test_a_server_is_in_the_groups_of_everything_it_depends_on(dc: Datacentre) -> None:
    assert groups(dc, dc.device("compute-a2-01")) == [
        "aisle_2",
        "rack_a2_r01",
        "role_compute",
        "tenant_ville_de_paris",
        "platform_debian_12",
        "platform_debian",
        "status_planned",
        "leafs_leaf_a2_1",
        "feed_a2_r01_a",
        "feed_a2_r01_b",
    ]


def test_what_is_not_known_makes_no_group(dc: Datacentre) -> None:
    bare = msgspec.structs.replace(
        dc.device("compute-a2-01"), id=10**6, rack=None, location=None, tenant=None, platform=None
    )
    assert groups(dc, bare) == ["role_compute", "status_planned"]


@pytest.mark.parametrize(
    ("kind", "name", "group"),
    [
        ("rack", "A2-R01", "rack_a2_r01"),
        ("tenant", "ville-de-paris", "tenant_ville_de_paris"),
        ("feed", "Panneau n°2 / A", "feed_panneau_n_2_a"),
        ("role", "{{ evil }}", "role_evil"),
    ],
)
def test_group_names_are_what_ansible_takes(kind: str, name: str, group: str) -> None:
    assert group_name(kind, name) == group


@pytest.mark.parametrize(
    ("switches", "name"),
    [
        (["leaf-a2-1a", "leaf-a2-1b"], "leaf-a2-1"),
        (["leaf-a2-1a"], "leaf-a2-1a"),
        (["sw1", "core"], "sw1-core"),
        (["leaf-1a", "leaf-2a"], "leaf-1a-leaf-2a"),
    ],
)
def test_switches_that_work_together_have_one_name(switches: list[str], name: str) -> None:
    assert pair_name(switches) == name


def names(dc: Datacentre, **filters: object) -> list[str]:
    return [device.name or "" for device in select(dc, Filter(**filters))]  # type: ignore[arg-type]


def test_without_a_filter_all_servers_are_hosts(dc: Datacentre) -> None:
    assert len(names(dc)) == 300


def test_filters_restrict_together(dc: Datacentre) -> None:
    assert len(names(dc, aisles=("1", "3"))) == 150
    assert len(names(dc, racks=("A2-R01", "A2-R06"))) == 23
    assert names(dc, aisles=("2",), hosts=("infra-*",)) == [
        "infra-a2-01",
        "infra-a2-02",
        "infra-a2-03",
    ]
    assert names(dc, racks=("A2-R01",), aisles=("3",)) == []
    assert names(dc, statuses=("active",)) == []
    assert len(names(dc, statuses=("active", "planned"))) == 300


def test_switches_are_hosts_when_asked_for(dc: Datacentre) -> None:
    with_switches = names(dc, aisles=("1",), switches=True)
    assert len(with_switches) == 75 + 13
    assert {"leaf-a1-ta", "spine-a1", "oob-a1-3", "border-a1"} <= set(with_switches)
    assert "pdu-a1-r01-a" not in with_switches


@pytest.mark.parametrize(
    "wrong", [{"aisles": ("9",)}, {"racks": ("A9-R01",)}, {"hosts": ("web-*",)}]
)
def test_a_filter_that_names_nothing_is_an_error(
    dc: Datacentre, wrong: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(InputError):
        names(dc, **wrong)


def test_a_lab_host_is_reached_through_the_lab(dc: Datacentre) -> None:
    way = Reach(sockets=Path("/state/ssh/cp"), ssh=Path("/state/ssh/ssh"))
    assert connection(dc, dc.device("compute-a2-01"), way) == {
        "ansible_host": "10.64.2.11",
        "ansible_control_path_dir": "/state/ssh/cp",
        "ansible_ssh_executable": "/state/ssh/ssh",
    }


def test_a_site_host_is_reached_by_the_sites_configuration(dc: Datacentre) -> None:
    way = Reach(sockets=Path("/cp"), ssh_config=Path("/etc/my ssh/config"))
    assert connection(dc, dc.device("compute-a2-01"), way) == {
        "ansible_host": "10.64.2.11",
        "ansible_control_path_dir": "/cp",
        "ansible_ssh_common_args": "-F '/etc/my ssh/config'",
    }


def test_a_host_without_address_is_an_error_that_names_it(dc: Datacentre) -> None:
    device = msgspec.structs.replace(dc.device("compute-a2-01"), primary_ip4=None)
    with pytest.raises(InputError, match="compute-a2-01"):
        host(dc, device, REACH)


def test_all_variables_are_plain_json(dc: Datacentre) -> None:
    made = host(dc, dc.device("storage-a2-01"), REACH)
    assert msgspec.json.decode(msgspec.json.encode(made.variables)) == made.variables
    assert made.variables["base_hostname"] == "storage-a2-01"
    assert made.variables["netbox_rack"] == "A2-R01"


def test_a_switch_gets_no_variables_of_servers(dc: Datacentre) -> None:
    made = host(dc, dc.device("leaf-a2-1a"), REACH)
    assert not [name for name in made.variables if name.startswith(("base_", "network_"))]
    assert made.variables["ansible_host"].startswith("10.66.2.")


def test_two_labs_never_share_a_socket() -> None:
    short = [Settings.load({"CHAPELLE_STATE": f"/s/{name}"}) for name in "ab"]
    long = [Settings.load({"CHAPELLE_STATE": f"/s/{name * 90}"}) for name in "ab"]
    found = [socket_directory(settings) for settings in short + long]
    assert len(set(found)) == 4
    assert all(len(str(path)) <= 80 for path in found)
