"""What NetBox sends becomes the records that the model has."""

from typing import Any

import msgspec
import pytest

from chapelle.model import records as r
from chapelle.model.references import MODELS
from chapelle.netbox.decoding import CABLE_ENDS, decode_page, wanted_fields, with_ends

DEVICE: dict[str, Any] = {
    "id": 5,
    "name": "compute-a2-01",
    "device_type": {"id": 3, "url": "http://n/3/", "manufacturer": {"id": 9, "name": "M"}},
    "role": {"id": 4, "slug": "compute"},
    "site": {"id": 1},
    "status": {"value": "planned", "label": "Planned"},
    "location": {"id": 2},
    "rack": {"id": 7},
    "position": 12.5,
    "face": {"value": "front", "label": "Front"},
    "tenant": None,
    "platform": None,
    "serial": "S1",
    "asset_tag": None,
    "primary_ip4": {"id": 11, "address": "10.64.2.11/24"},
    "primary_ip6": None,
    "oob_ip": None,
    "tags": [{"id": 2, "slug": "web"}, {"id": 1, "slug": "chapelle"}],
    "custom_fields": {},
}


def decoded(list_name: str, record: dict[str, Any]) -> Any:
    page = decode_page(list_name, msgspec.json.encode({"count": 1, "results": [record]}))
    assert page.count == 1
    return page.results[0]


def test_a_device_as_netbox_sends_it() -> None:
    assert decoded("devices", DEVICE) == r.Device(
        id=5, name="compute-a2-01", device_type=3, role=4, site=1, status="planned", location=2,
        rack=7, position=12.5, face="front", serial="S1", primary_ip4=11,
        tags=("chapelle", "web"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "field", "value"),
    [
        ({"name": None}, "name", None),
        ({"position": None}, "position", None),
        ({"position": "12.50"}, "position", 12.5),
        ({"face": None}, "face", None),
        ({"status": None}, "status", ""),
        ({"serial": ""}, "serial", ""),
        ({"tags": []}, "tags", ()),
    ],
)
def test_empty_values_keep_the_records_types(
    sent: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(decoded("devices", DEVICE | sent), field) == value


def test_custom_fields_are_plain_values_and_none_of_our_own_notes() -> None:
    fields = {
        "disk_purpose": {"value": "os", "label": "Operating system"},
        "several": [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}],
        "contact": {"id": 8, "url": "http://n/8/", "display": "Somebody"},
        "free": {"any": ["json", 1]},
        "none": None,
        "chapelle_run": "run-1",
        "chapelle_facts": {"kernel": "6.1"},
        "chapelle_lock": {"owner": "me"},
    }
    assert decoded("devices", DEVICE | {"custom_fields": fields}).custom_fields == {
        "disk_purpose": "os",
        "several": ["a", "b"],
        "contact": 8,
        "free": {"any": ["json", 1]},
        "none": None,
    }


def test_cables_get_their_ends_in_one_order_and_ports_their_cables() -> None:
    cable = {
        "id": 1, "status": {"value": "connected"}, "type": "dac-passive", "label": "",
        "color": "", "length": "1.50", "length_unit": {"value": "m"}, "tenant": None,
        "bundle": None, "custom_fields": {},
    }  # fmt: skip
    bare = decoded("cables", cable)
    assert (bare.type, bare.length, bare.length_unit) == ("dac-passive", 1.5, "m")
    ends = [
        decoded(
            CABLE_ENDS,
            {
                "id": i, "cable": 1, "cable_end": side, "termination_type": "dcim.interface",
                "termination_id": port,
            },
        )
        for i, (side, port) in enumerate([("A", 4), ("B", 9), ("A", 3)])
    ]  # fmt: skip
    ports = tuple(r.Interface(id=i, device=5, name=f"eth{i}", type="lag") for i in (3, 4, 5, 9))
    lists = dict.fromkeys(MODELS, ()) | {"cables": (bare,), "interfaces": ports}
    whole = with_ends(lists, ends)
    (cable,) = whole["cables"]
    assert [end.object_id for end in cable.a_terminations] == [3, 4]
    assert [end.object_id for end in cable.b_terminations] == [9]
    held = [(port.cable, port.cable_end) for port in whole["interfaces"]]
    assert held == [(1, "A"), (1, "A"), (None, None), (1, "B")]
    assert with_ends(lists, reversed(ends)) == whole
    assert with_ends(lists, []) == lists


def test_ranges_and_units_come_as_netbox_sends_them() -> None:
    group = {
        "id": 1, "name": "G", "slug": "g", "scope_type": "dcim.site", "scope_id": 4,
        "vid_ranges": [[1, 99], [200, 4094]],
    }  # fmt: skip
    assert decoded("vlan_groups", group).vid_ranges == ((1, 99), (200, 4094))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"role": None}, "role"),
        ({"role": "compute"}, "role"),
        ({"id": None}, "id"),
        ({"tags": {"slug": "x"}}, "tags"),
    ],
)
def test_what_netbox_should_never_send_is_an_error_that_names_the_field(
    change: dict[str, Any], names: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=names):
        decoded("devices", DEVICE | change)


def test_a_field_that_netbox_does_not_know_is_an_error() -> None:
    without = {name: value for name, value in DEVICE.items() if name != "oob_ip"}
    with pytest.raises(msgspec.ValidationError, match="oob_ip"):
        decoded("devices", without)


@pytest.mark.parametrize("list_name", MODELS)
def test_every_list_can_be_decoded(list_name: str) -> None:
    assert decode_page(list_name, b'{"count": 0, "results": []}').results == []
    assert wanted_fields(list_name).startswith("id,")
