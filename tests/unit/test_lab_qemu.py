"""What a machine with firmware and disks is made of, and started with."""

import itertools

import msgspec
import pytest
import reference
from edits import edited, named

from chapelle.errors import InputError
from chapelle.lab import qemu, spec, wires
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot

HOST = "storage-a2-01"


@pytest.fixture(scope="module")
def node() -> spec.Node:
    return spec.node(reference.datacentre(), HOST, "qemu")


def after(arguments: list[str], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(arguments) if name == option]


def test_a_machine_is_what_netbox_says(node) -> None:
    dc = reference.datacentre()
    device = dc.device(HOST)
    assert node.machine is not None
    assert node.machine.serial == device.serial
    assert node.machine.model == "Storage server 2U, 12 bays"
    items = {item.serial: item for item in dc.inventory_by_device[device.id]}
    assert {disk.serial for disk in node.machine.disks} == items.keys()
    for disk in node.machine.disks:
        assert disk.size_gb == items[disk.serial].custom_fields["disk_size_gb"]
    assert [disk.purpose for disk in node.machine.disks] == ["os"] * 2 + ["data"] * 12
    assert [(port.name, port.dark) for port in node.ports] == [("eno1", False), ("eno2", False)]


def test_its_ports_and_disks_are_told_apart_as_netbox_tells_them(node) -> None:
    arguments = qemu.arguments(node, "uefi", "disk")
    taps = [net.split(",")[2] for net in after(arguments, "-netdev")]
    assert taps == [f"ifname={wires.port_name(HOST, port)}" for port in ("eno1", "eno2")]
    devices = after(arguments, "-device")
    assert [f"mac={port.mac.lower()}" in " ".join(devices) for port in node.ports] == [True, True]
    serials = {disk.serial for disk in node.machine.disks}
    found = {d.split("serial=")[1].split(",")[0] for d in devices if "serial=" in d}
    assert found == serials
    (smbios,) = after(arguments, "-smbios")
    assert "product=Storage server 2U,, 12 bays,serial=" in smbios


def order(arguments: list[str]) -> list[str]:
    places = [d for d in after(arguments, "-device") if "bootindex=" in d]
    places.sort(key=lambda d: int(d.split("bootindex=")[1].split(",")[0]))
    return [d.split(",")[0].removesuffix("-pci") for d in places]


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_network_and_cd_drive_come_first_or_last_and_data_disks_never(node, firmware) -> None:
    disks, network, drive = ["virtio-blk"] * 2, ["virtio-net"] * 2, ["ide-cd"]
    assert order(qemu.arguments(node, firmware, "disk")) == disks + network + drive
    assert order(qemu.arguments(node, firmware, "network")) == network + disks + drive
    assert order(qemu.arguments(node, firmware, "cd")) == drive + disks + network


def test_a_medium_is_a_disk_that_nobody_can_write(node) -> None:
    without, with_it = (qemu.arguments(node, "bios", "cd", medium=each) for each in (False, True))
    assert "medium.iso" not in " ".join(without)
    (medium,) = set(after(with_it, "-drive")) - set(after(without, "-drive"))
    assert "media=cdrom,readonly=on" in medium


def test_http_boot_is_boot_without_pxe(node) -> None:
    def switches(source: qemu.Source) -> list[str]:
        return after(qemu.arguments(node, "uefi", source), "-fw_cfg")

    assert switches("network") == []
    assert all("PXESupport,string=n" in each for each in switches("http"))
    assert len(switches("http")) == 2


@pytest.mark.parametrize(
    ("list_name", "find", "fields", "expected"),
    [
        ("devices", named(HOST), {"serial": ""}, "20 letters"),
        ("devices", named(HOST), {"serial": "A,id=b"}, "20 letters"),
        ("inventory_items", None, {"serial": "X" * 21}, "20 letters"),
        ("inventory_items", None, {"serial": ""}, "20 letters"),
        ("inventory_items", None, {"custom_fields": {"disk_purpose": "os"}}, "disk_size_gb"),
    ],
)
def test_what_no_machine_can_have_is_named(list_name, find, fields, expected) -> None:
    content: Content = reference.content()
    number = Datacentre(Snapshot(content)).device(HOST).id
    find = find or (lambda item: item.device == number)
    dc = Datacentre(Snapshot(edited(content, list_name, find, **fields)))
    with pytest.raises(InputError) as caught:
        spec.node(dc, HOST, "qemu")
    assert expected in str(caught.value.expected)


def test_two_disks_are_never_one() -> None:
    content = reference.content()
    dc = Datacentre(Snapshot(content))
    first, second = dc.inventory_by_device[dc.device(HOST).id][:2]
    items = tuple(
        msgspec.structs.replace(item, serial=first.serial) if item.id == second.id else item
        for item in content.inventory_items
    )
    with pytest.raises(InputError, match="disk"):
        spec.node(
            Datacentre(Snapshot(msgspec.structs.replace(content, inventory_items=items))),
            HOST, "qemu",
        )  # fmt: skip


def test_only_servers_are_machines() -> None:
    with pytest.raises(InputError, match="kind of node"):
        spec.node(reference.datacentre(), "leaf-a2-1a", "qemu")


def test_tang_servers_are_those_of_netbox() -> None:
    services = spec.services(reference.datacentre())
    assert services.tang == ("10.64.0.31/24", "10.64.0.32/24")
    assert services.time == ("10.64.0.11/24", "10.64.0.12/24")
