"""What the lab takes from the model, and what it refuses."""

import sys
from pathlib import Path

import msgspec
import pytest
import reference

from chapelle.errors import ChapelleError, InputError
from chapelle.lab import notes, spec
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot
from chapelle.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))
import handmade


def changed(list_name: str, index: int, **fields: object) -> Datacentre:
    """The handmade datacentre of two servers with one record changed."""
    content = handmade.datacentre(2).content
    items = list(getattr(content, list_name))
    items[index] = msgspec.structs.replace(items[index], **fields)
    return Datacentre(Snapshot(msgspec.structs.replace(content, **{list_name: tuple(items)})))


def test_a_node_has_the_primary_address_and_the_ports_with_cables() -> None:
    node = spec.node(handmade.datacentre(2), "compute-a2-02")
    assert (node.address, node.gateway, node.ip) == ("10.64.2.12/24", "10.64.2.1", "10.64.2.12")
    assert [(port.name, port.mac) for port in node.ports] == [
        ("eno1", "02:C4:02:00:02:01"),
        ("eno2", "02:C4:02:00:02:02"),
    ]
    assert (node.fqdn, node.aisle, node.rack) == ("compute-a2-02.chapelle.internal", "2", "A2-R01")


@pytest.mark.parametrize(
    ("list_name", "index", "fields", "expected"),
    [
        ("devices", 0, {"primary_ip4": None}, "an address of one of its interfaces"),
        ("devices", 0, {"name": "Compute_A2"}, "lower-case letters"),
        ("devices", 0, {"name": "x" * 64}, "63 at most"),
        ("ip_addresses", 0, {"address": "10.64.2.1/24"}, "whose first address is the gateway"),
        ("ip_addresses", 0, {"address": "2001:db8::2/64"}, "an IPv4 address"),
        ("ip_addresses", 0, {"address": "10.64.2.12/24"}, "an address of its own"),
        ("interfaces", 0, {"name": "eno1; rm -rf /"}, "a name that Linux takes"),
    ],
)
def test_what_cannot_be_built_is_named(list_name, index, fields, expected) -> None:
    dc = changed(list_name, index, **fields)
    names = [str(device.name) for device in dc.content.devices]
    with pytest.raises(InputError) as caught:
        spec.nodes(dc, names)
    assert expected in str(caught.value.expected)


def test_time_servers_are_the_addresses_of_no_device() -> None:
    assert spec.services(handmade.datacentre(1)).time == ("10.64.0.11/24", "10.64.0.12/24")


def test_scopes() -> None:
    dc = handmade.datacentre(5)
    everything = [f"compute-a2-0{number}" for number in range(1, 6)]
    assert spec.scope(dc) == everything
    assert spec.scope(dc, aisle="2") == everything
    assert spec.scope(dc, rack="A2-R02", hosts="2") == ["compute-a2-01", "compute-a2-03"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"aisle": "9"},
        {"aisle": "2; rm -rf /"},
        {"aisle": "02"},
        {"rack": "A9-R01"},
        {"hosts": "0"},
        {"hosts": "-1"},
        {"hosts": "two"},
        {"hosts": "²"},
    ],
)
def test_a_scope_that_names_nothing_is_bad_input(wrong) -> None:
    with pytest.raises(InputError):
        spec.scope(handmade.datacentre(3), **wrong)


def test_an_empty_aisle_is_bad_input() -> None:
    content = handmade.datacentre(1).content
    empty = Datacentre(Snapshot(msgspec.structs.replace(content, devices=())))
    with pytest.raises(InputError):
        spec.scope(empty, aisle="2")


def test_an_aisle_has_its_switches_and_every_spine() -> None:
    names = spec.switches(reference.datacentre(), aisle="2")
    assert len(names) == 8 + 3 + 4
    assert {"spine-a1", "spine-a2", "spine-a3", "spine-a4"} <= set(names)
    assert "border-a1" in spec.switches(reference.datacentre(), aisle="1")


def test_a_rack_has_its_leaf_pair_and_every_spine() -> None:
    names = spec.switches(reference.datacentre(), rack="A2-R03")
    assert names == ["leaf-a2-2a", "leaf-a2-2b", "spine-a1", "spine-a2", "spine-a3", "spine-a4"]


def test_a_leaf_has_all_its_ports_and_an_uplink_for_its_servers() -> None:
    node = spec.node(reference.datacentre(), "leaf-a2-1a")
    assert (node.role, node.management_port, node.address) == ("leaf", "eth0", "10.66.2.201/24")
    assert node.serial
    ports = {port.name: port for port in node.ports}
    assert ports.keys() == {"eth0", "lab0", *(f"swp{number}" for number in range(1, 57))}
    assert (ports["swp1"].bridge, ports["swp14"].bridge, ports["swp49"].bridge) == (
        "br-lab0",
        "",
        "",
    )
    assert (ports["lab0"].hub, ports["lab0"].dark) == ("10.64.2.0/24", False)
    assert {port.name for port in node.ports if not port.dark} == {"eth0", "lab0"}


def test_an_out_of_band_switch_is_managed_on_its_own_interface() -> None:
    node = spec.node(reference.datacentre(), "oob-a2-1")
    ports = {port.name: port for port in node.ports}
    assert node.management_port == "mgmt"
    assert (ports["lab0"].hub, ports["swp21"].bridge) == ("10.66.2.0/24", "br-lab0")
    assert ports["swp49"].bridge == ""  # to a border leaf


def test_cables_are_those_between_the_nodes() -> None:
    dc = reference.datacentre()
    nodes = spec.nodes(dc, ["spine-a1", "leaf-a2-1a", "compute-a2-01"])
    found = {(c.a.node, c.a.port, c.b.node, c.b.port) for c in spec.cables(dc, nodes)}
    assert found == {
        ("compute-a2-01", "eno1", "leaf-a2-1a", "swp6"),
        ("leaf-a2-1a", "swp49", "spine-a1", "swp9"),
    }


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"platform": None}, "platform of a switch"),
        ({"platform": 1}, "platform of a switch"),
        ({"primary_ip4": None}, "primary IPv4 address"),
        ({"role": 10}, "role"),
    ],
)
def test_a_switch_that_cannot_be_built_is_named(fields, what) -> None:
    content = reference.content()
    devices = tuple(
        msgspec.structs.replace(each, **fields) if each.name == "leaf-a2-1a" else each
        for each in content.devices
    )
    dc = Datacentre(Snapshot(msgspec.structs.replace(content, devices=devices)))
    with pytest.raises(InputError, match=what):
        spec.node(dc, "leaf-a2-1a")


@pytest.mark.parametrize("spoil", [Path.mkdir, Path.touch])
def test_notes_that_cannot_be_read_are_named(spoil, tmp_path: Path) -> None:
    settings = Settings.load({"CHAPELLE_STATE": str(tmp_path)})
    assert notes.read(settings) is None
    notes.path(settings).parent.mkdir()
    spoil(notes.path(settings))
    with pytest.raises(ChapelleError, match="notes cannot be read") as caught:
        notes.read(settings)
    assert caught.value.where == str(notes.path(settings))
