"""What the lab takes from the model, and what it refuses."""

import sys
from pathlib import Path

import msgspec
import pytest

from chapelle.errors import InputError
from chapelle.lab import spec
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot

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
