"""The identity gate: a server is the machine that NetBox means, or it is told what is not."""

from collections.abc import Callable
from typing import Any

import bmc_rig
import edits
import msgspec
import pytest
import reference

from chapelle.checks import hardware
from chapelle.lab import bmc
from chapelle.model.datacentre import Datacentre
from chapelle.model.hardware import Disk, Hardware, NetworkPort
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot

HOST = "storage-a1-01"


def seen(dc: Datacentre, host: str, source: Any = "bmc") -> Hardware:
    """The hardware that NetBox describes, as one would see it."""
    machine = bmc.machine(dc, host)
    return Hardware(
        source=source,
        serial=machine.serial,
        manufacturer=machine.manufacturer,
        model=machine.model,
        ports=tuple(
            NetworkPort(name=f"eno{n}", mac=mac) for n, mac in enumerate(machine.ports, start=1)
        ),
        disks=tuple(
            Disk(serial=disk.serial, name=f"Bay {n}", size=disk.size)
            for n, disk in enumerate(machine.disks, start=1)
        ),
    )


def judged(dc: Datacentre, host: str, looked: Hardware, **quirks: Any) -> list[tuple[str, ...]]:
    device = dc.device(host)
    kind = dc.device_types[device.device_type]
    model = bmc_rig.QUIRKS.of(dc.manufacturers[kind.manufacturer].name, kind.model)
    model = msgspec.structs.replace(model, **quirks)
    findings = hardware.judge(dc, device, looked, model)
    assert all(f.severity == "error" and f.objects[0].name == host for f in findings)
    return [(f.rule, f.expected, f.found) for f in findings]


@pytest.mark.parametrize("source", ["bmc", "host"])
def test_every_server_of_the_reference_is_the_one_that_is_meant(source: str) -> None:
    dc = reference.datacentre()
    for device in dc.servers:
        assert judged(dc, device.name or "", seen(dc, device.name or "", source)) == []


REAL = Disk(serial="", name="Bay 1", size=480_103_981_056)

type Change = Callable[[Hardware], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: {"serial": "XYZ"}, ("hardware-serial", "serial number {serial}", "XYZ")),
        (lambda _: {"serial": ""}, ("hardware-serial", "serial number {serial}", "nothing")),
        (
            lambda _: {"model": "Compute server 1U"},
            ("hardware-model", "model Storage server 2U, 12 bays", "Compute server 1U"),
        ),
        (
            lambda _: {"manufacturer": ""},
            ("hardware-model", "manufacturer Chapelle sizing", "nothing"),
        ),
        (
            lambda h: {"ports": h.ports[:1]},
            ("hardware-port", "eno2 with {mac2}", "eno2 with nothing"),
        ),
        (
            lambda h: {"disks": h.disks[:-1]},
            ("hardware-disk", "disk-data-12 with serial number {last}", "nothing"),
        ),
        (
            lambda h: {"disks": (*h.disks, Disk(serial="FOREIGN", name="Bay 15"))},
            ("hardware-disk", "no disk that NetBox does not know", "FOREIGN in Bay 15"),
        ),
        (
            lambda h: {"disks": (*h.disks, Disk(serial="", name="Bay 15"))},
            ("hardware-disk", "a serial number of the disk in Bay 15", "nothing"),
        ),
        (
            lambda h: {"disks": (*h.disks, h.disks[0])},
            ("hardware-disk", "the disk {first} once", "several times"),
        ),
        (
            lambda h: {
                "disks": (msgspec.structs.replace(h.disks[0], size=960 * 10**9), *h.disks[1:])
            },
            ("hardware-disk", "disk-os-1 ({first}) of 480 GB", "960 GB"),
        ),
        (
            lambda h: {"disks": (msgspec.structs.replace(h.disks[0], size=0), *h.disks[1:])},
            ("hardware-disk", "disk-os-1 ({first}) of 480 GB", "nothing"),
        ),
    ],
)
def test_what_differs_is_told_with_both_values(change: Change, told: tuple[str, ...]) -> None:
    dc = reference.datacentre()
    right = seen(dc, HOST)
    words = {
        "serial": right.serial,
        "mac2": right.ports[1].mac,
        "first": right.disks[0].serial,
        "last": right.disks[-1].serial,
    }
    looked = msgspec.structs.replace(right, **change(right))
    assert judged(dc, HOST, looked) == [tuple(text.format(**words) for text in told)]


def test_ports_that_are_swapped_are_told_as_such() -> None:
    dc = reference.datacentre()
    right = seen(dc, HOST)
    one, two = right.ports
    swapped = (NetworkPort(name="eno1", mac=two.mac), NetworkPort(name="eno2", mac=one.mac))
    looked = msgspec.structs.replace(right, ports=swapped)
    assert judged(dc, HOST, looked) == [
        ("hardware-port", f"{one.mac} at eno1", f"{one.mac} at eno2"),
        ("hardware-port", f"{two.mac} at eno2", f"{two.mac} at eno1"),
    ]


def test_a_disk_is_as_large_as_its_label_says_though_its_bytes_are_more() -> None:
    dc = reference.datacentre()
    right = seen(dc, HOST)
    looked = msgspec.structs.replace(
        right,
        disks=(msgspec.structs.replace(right.disks[0], size=REAL.size), *right.disks[1:]),
    )
    assert judged(dc, HOST, looked) == []


@pytest.mark.parametrize(
    ("field", "looked"),
    [("model", {"model": "To be filled by O.E.M."}), ("disk-size", {"disks": None})],
)
def test_a_field_of_a_bmc_that_lies_is_not_judged_but_the_host_s_own_is(
    field: str, looked: dict[str, Any]
) -> None:
    dc = reference.datacentre()
    for source, wrong in (("bmc", 0), ("host", 1)):
        right = seen(dc, HOST, source)
        smaller = tuple(msgspec.structs.replace(disk, size=1) for disk in right.disks[:1])
        change = {"disks": smaller + right.disks[1:]} if "disks" in looked else looked
        found = judged(dc, HOST, msgspec.structs.replace(right, **change), unreliable=(field,))
        assert len(found) == wrong


def test_hardware_that_calls_itself_otherwise_than_netbox_does() -> None:
    dc = reference.datacentre()
    looked = msgspec.structs.replace(seen(dc, HOST), manufacturer="Chapelle", model="ST-2U12")
    says = {"manufacturer": "Chapelle", "model": "ST-2U12"}
    assert judged(dc, HOST, looked, says=says) == []
    assert len(judged(dc, HOST, looked)) == 2


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda c: edits.edited(c, "devices", edits.named(HOST), serial=""), "hardware-serial"),
        (
            lambda c: edits.edited(c, "interfaces", edits.port(c, HOST, "eno1"), mac_address=None),
            "hardware-port",
        ),
        (
            lambda c: edits.edited(
                c, "inventory_items", edits.port(c, HOST, "disk-os-1"), serial=""
            ),
            "hardware-disk",
        ),
    ],
)
def test_what_netbox_does_not_say_stops_a_server_too(
    edit: Callable[[Content], Content], rule: str
) -> None:
    right = seen(reference.datacentre(), HOST)
    found = judged(Datacentre(Snapshot(edit(reference.content()))), HOST, right)
    assert rule in {each[0] for each in found}
