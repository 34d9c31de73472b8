"""The installer's own rules: which machine, which cables, which disks; how it reads orders."""

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from chapelle.installer import gates
from chapelle.installer import order as orders
from chapelle.installer.machine import Seen, SeenDisk, SeenPort
from chapelle.installer.order import OrderError
from chapelle.installer.stop import Refused
from chapelle.model import deploy

HOST = "a2-r01-compute-01"
MACS = {"eno1": "52:54:00:00:00:01", "eno2": "52:54:00:00:00:02"}
SERIALS = {"os-1": "OS-A", "os-2": "OS-B", "data-1": "DATA-A", "keep-1": "KEEP-A"}
PURPOSES: dict[str, deploy.Purpose] = {"os": "os", "data": "data", "keep": "keep"}
BUILD: dict[str, deploy.Action] = {"os": "write", "data": "format", "keep": "keep"}
GB = 10**9


def ordered(**changes: Any) -> deploy.Order:
    """What the controller sends."""
    disks = tuple(
        deploy.Disk(
            name=name,
            serial=serial,
            size_gb=480,
            purpose=PURPOSES[name.partition("-")[0]],
            action=BUILD[name.partition("-")[0]],
            mark=deploy.mark(HOST, serial),
            label=name,
            mount=f"/srv/{name}",
        )
        for name, serial in SERIALS.items()
    )
    key = deploy.HostKey(private="PRIVATE", public="ssh-ed25519 AAAA", certificate="cert")
    order = deploy.Order(
        host=HOST,
        run="run-1",
        mode="build",
        machine=deploy.Machine(
            serial="SN-1",
            manufacturer="Example",
            model="Server 1000",
            ports=tuple(
                deploy.Port(name=name, mac=mac, switch=f"leaf-{name}", switch_port="Ethernet1")
                for name, mac in MACS.items()
            ),
        ),
        disks=disks,
        image=deploy.Image(path="root.tar.zst", sha256="00" * 32, size=1000),
        identity=deploy.Identity(
            hostname=HOST,
            fqdn=f"{HOST}.example",
            machine_id="0" * 32,
            host_keys=(key,),
            user_authority="ssh-ed25519 BBBB",
            files=(deploy.File(path="/etc/motd", content="hello"),),
        ),
        network=deploy.BootNetwork(mac=MACS["eno1"], address="10.0.0.5/24", vlan=202),
        encryption=deploy.Encryption(
            passphrase="a secret of twenty and more",
            tang=(deploy.Tang(url="http://10.0.0.1", thumbprint="x"),),
        ),
    )
    return msgspec.structs.replace(order, **changes)


def received(order: deploy.Order) -> orders.Order:
    """The same as the installer reads it."""
    return orders.read(msgspec.json.encode(order))


def seen() -> Seen:
    """The machine that the order is for, new."""
    return Seen(
        serial="SN-1",
        manufacturer="Example",
        model="Server 1000",
        firmware="uefi",
        tpm2=True,
        cpus=2,
        memory_mib=2048,
        ports=tuple(
            SeenPort(name=f"enp{n}", mac=mac, carrier=True, switch="", switch_port="")
            for n, mac in enumerate(MACS.values())
        ),
        disks=tuple(
            SeenDisk(
                path=f"/dev/vd{letter}",
                serial=serial,
                size_bytes=480 * GB,
                model="",
                rotational=False,
                signatures=(),
                mark="",
            )
            for letter, serial in zip("abcd", SERIALS.values(), strict=True)
        ),
    )


def with_disk(chosen: str, **changes: Any) -> tuple[SeenDisk, ...]:
    """The machine's disks, one of them changed."""
    return tuple(
        dataclasses.replace(disk, **changes) if disk.serial == chosen else disk
        for disk in seen().disks
    )


def rebuild(order: deploy.Order) -> deploy.Order:
    disks = tuple(
        msgspec.structs.replace(disk, action="mount") if disk.purpose == "data" else disk
        for disk in order.disks
    )
    return msgspec.structs.replace(order, mode="rebuild", disks=disks)


def test_the_installer_reads_all_that_the_controller_writes() -> None:
    order = ordered()
    read = received(order)
    text = msgspec.json.encode(dataclasses.asdict(read))
    assert msgspec.json.decode(text) == msgspec.json.decode(msgspec.json.encode(order))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v.pop("host"), "missing: host"),
        (lambda v: v.update(surprise=1), "not understood: surprise"),
        (lambda v: v.update(host=5), "order.host: str expected"),
        (lambda v: v["disks"][0].update(size_gb="many"), r"order.disks\[0\].size_gb: int expected"),
        (lambda v: v.update(mode="wipe"), "no such mode"),
        (lambda v: v.update(image=None), "are needed"),
    ],
)
def test_an_order_is_never_half_understood(
    change: Callable[[dict[str, Any]], Any], named: str
) -> None:
    value = msgspec.json.decode(msgspec.json.encode(ordered()))
    change(value)
    with pytest.raises(OrderError, match=named):
        orders.read(msgspec.json.encode(value))


def test_what_the_installer_sees_is_what_the_controller_reads_in_a_report() -> None:
    report = {"host": HOST, "run": "r", "stage": "hardware", "seen": seen().plain()}
    read = msgspec.convert(report, deploy.Report)
    assert read.seen is not None
    assert [disk.serial for disk in read.seen.disks] == list(SERIALS.values())


def test_secrets_are_not_in_what_is_shown_of_an_order() -> None:
    for shown in (repr(ordered()), repr(received(ordered()))):
        assert "a secret" not in shown
        assert "PRIVATE" not in shown


def test_the_machine_that_netbox_says_is_let_through() -> None:
    gates.hardware(received(ordered()), seen())


@pytest.mark.parametrize("field", ["serial", "manufacturer", "model"])
@pytest.mark.parametrize("found", ["another", ""])
def test_another_machine_is_refused_with_both_values(field: str, found: str) -> None:
    with pytest.raises(Refused) as caught:
        gates.hardware(received(ordered()), dataclasses.replace(seen(), **{field: found}))
    assert caught.value.expected == getattr(seen(), field)
    assert caught.value.found == (found or "none")


def test_a_machine_without_serial_is_refused_even_if_netbox_has_none_either() -> None:
    order = ordered(machine=msgspec.structs.replace(ordered().machine, serial=""))
    with pytest.raises(Refused):
        gates.hardware(received(order), dataclasses.replace(seen(), serial=""))


def test_a_card_in_place_of_another_is_refused() -> None:
    ports = seen().ports
    other = dataclasses.replace(ports[0], mac="52:54:00:00:00:99")
    with pytest.raises(Refused, match="ports"):
        gates.hardware(received(ordered()), dataclasses.replace(seen(), ports=(other, ports[1])))


def test_a_missing_tpm_is_refused_if_the_order_wants_one() -> None:
    encryption = msgspec.structs.replace(ordered().encryption, tpm2=True)
    order = received(ordered(encryption=encryption))
    gates.hardware(order, seen())
    with pytest.raises(Refused, match="TPM"):
        gates.hardware(order, dataclasses.replace(seen(), tpm2=False))


def plugged(*where: tuple[str, str]) -> tuple[SeenPort, ...]:
    return tuple(
        dataclasses.replace(port, switch=switch, switch_port=name)
        for port, (switch, name) in zip(seen().ports, where, strict=True)
    )


def test_cables_where_netbox_says_are_let_through_and_silence_is_told() -> None:
    machine = received(ordered()).machine
    right = plugged(("leaf-eno1.example", "Ethernet1"), ("leaf-eno2", "Ethernet1"))
    assert gates.cabling(machine, right) == []
    assert gates.cabling(machine, plugged(("leaf-eno1", "Ethernet1"), ("", ""))) == ["eno2"]


def test_a_cable_elsewhere_is_refused_and_a_swapped_pair_is_named() -> None:
    machine = received(ordered()).machine
    with pytest.raises(Refused) as caught:
        gates.cabling(machine, plugged(("leaf-eno1", "Ethernet2"), ("leaf-eno2", "Ethernet1")))
    assert "swapped" not in caught.value.message
    assert caught.value.found == "eno1 at leaf-eno1 Ethernet2"
    with pytest.raises(Refused, match="two cables are swapped"):
        gates.cabling(machine, plugged(("leaf-eno2", "Ethernet1"), ("leaf-eno1", "Ethernet1")))


def test_new_disks_are_let_through() -> None:
    found = gates.guard(received(ordered()), seen().disks)
    assert {serial: disk.path for serial, disk in found.items()}["OS-B"] == "/dev/vdb"


@pytest.mark.parametrize("serial", ["OS-A", "DATA-A"])
@pytest.mark.parametrize("held", [("ext4",), ("gpt",), ("linux_raid_member",), ("crypto_LUKS",)])
def test_data_that_the_plan_does_not_name_is_a_stop(serial: str, held: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="holds data") as caught:
        gates.guard(received(ordered()), with_disk(serial, signatures=held, mark="0000"))
    assert held[0] in caught.value.found
    assert serial in caught.value.message


def test_data_that_the_plan_names_is_written_over() -> None:
    disks = tuple(msgspec.structs.replace(disk, may_hold=("ext4",)) for disk in ordered().disks)
    order = received(ordered(disks=disks))
    gates.guard(order, with_disk("OS-A", signatures=("ext4",)))
    with pytest.raises(Refused):
        gates.guard(order, with_disk("OS-A", signatures=("ext4", "zfs_member")))


def test_our_own_earlier_attempt_is_written_over_but_not_another_hosts() -> None:
    ours = deploy.mark(HOST, "OS-A")
    gates.guard(received(ordered()), with_disk("OS-A", signatures=("gpt",), mark=ours))
    theirs = deploy.mark("another", "OS-A")
    with pytest.raises(Refused):
        gates.guard(received(ordered()), with_disk("OS-A", signatures=("gpt",), mark=theirs))


def test_what_lies_beside_our_mark_is_not_ours() -> None:
    ours = deploy.mark(HOST, "OS-A")
    with pytest.raises(Refused, match="holds data"):
        gates.guard(
            received(ordered()), with_disk("OS-A", signatures=("gpt", "zfs_member"), mark=ours)
        )


def erasing(order: deploy.Order) -> deploy.Order:
    disks = tuple(
        msgspec.structs.replace(disk, action="erase")
        for disk in order.disks
        if disk.purpose != "keep"
    )
    return msgspec.structs.replace(order, mode="erase", disks=disks)


def test_what_is_erased_is_this_hosts_or_nothing() -> None:
    disks = tuple(disk for disk in seen().disks if disk.serial != "KEEP-A")
    order = received(erasing(ordered()))
    gates.guard(order, disks)
    for held, mark, fits in (
        ("crypto_LUKS", deploy.mark(HOST, "DATA-A"), True),
        ("crypto_LUKS", deploy.mark("another", "DATA-A"), False),
        ("ext4", "", False),
    ):
        changed = tuple(
            dataclasses.replace(disk, signatures=(held,), mark=mark)
            if disk.serial == "DATA-A"
            else disk
            for disk in disks
        )
        if fits:
            gates.guard(order, changed)
        else:
            with pytest.raises(Refused, match="holds data"):
                gates.guard(order, changed)


def test_a_machine_with_a_disk_to_keep_is_not_erased() -> None:
    with pytest.raises(Refused, match="may not be treated so"):
        gates.guard(received(msgspec.structs.replace(ordered(), mode="erase")), seen().disks)


def test_a_rebuild_needs_the_data_disk_that_the_host_had() -> None:
    order = received(rebuild(ordered()))
    mark = deploy.mark(HOST, "DATA-A")
    gates.guard(order, with_disk("DATA-A", signatures=("crypto_LUKS",), mark=mark))
    for changes in ({}, {"signatures": ("crypto_LUKS",), "mark": "another"}):
        with pytest.raises(Refused, match="not the data disk"):
            gates.guard(order, with_disk("DATA-A", **changes))


def test_a_disk_to_keep_may_hold_anything() -> None:
    gates.guard(received(ordered()), with_disk("KEEP-A", signatures=("xfs",), size_bytes=7))


@pytest.mark.parametrize(
    ("disks", "message"),
    [
        (seen().disks[1:], "missing"),
        (with_disk("DATA-A", serial="STRANGE"), "does not know"),
        (with_disk("DATA-A", serial=""), "no serial"),
        (with_disk("DATA-A", serial="OS-A"), "two disks"),
        (with_disk("OS-A", size_bytes=960 * GB), "another size"),
        (with_disk("OS-A", busy=True), "in use"),
    ],
)
def test_disks_that_are_not_netboxs_are_a_stop(disks: tuple[SeenDisk, ...], message: str) -> None:
    with pytest.raises(Refused, match=message):
        gates.guard(received(ordered()), disks)


@pytest.mark.parametrize(
    ("mode", "name", "action"),
    [
        ("build", "keep-1", "write"),
        ("build", "keep-1", "format"),
        ("build", "data-1", "write"),
        ("rebuild", "data-1", "format"),
        ("rebuild", "keep-1", "mount"),
        ("build", "os-1", "erase"),
        ("build", "os-1", "keep"),
    ],
)
def test_an_order_for_what_is_never_done_is_refused(
    mode: deploy.Mode, name: str, action: deploy.Action
) -> None:
    disks = tuple(
        msgspec.structs.replace(disk, action=action) if disk.name == name else disk
        for disk in (rebuild(ordered()) if mode == "rebuild" else ordered()).disks
    )
    order = received(ordered(mode=mode, disks=disks))
    mark = deploy.mark(HOST, "DATA-A")
    with pytest.raises(Refused):
        gates.guard(order, with_disk("DATA-A", signatures=("crypto_LUKS",), mark=mark))


def test_a_passphrase_that_a_person_could_have_thought_of_is_refused() -> None:
    encryption = msgspec.structs.replace(ordered().encryption, passphrase="Paris2026")
    with pytest.raises(Refused, match="too short"):
        gates.guard(received(ordered(encryption=encryption)), seen().disks)
