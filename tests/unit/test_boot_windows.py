"""Boot windows and whom the boot service knows, from the model; what dnsmasq is told; its words."""

import datetime
from pathlib import Path

import msgspec
import pytest
import reference
from edits import edited, port

from chapelle.drivers.boot import media
from chapelle.drivers.boot.configuration import Place, dhcp_file, hosts_file, options_file
from chapelle.drivers.boot.heard import Listener
from chapelle.errors import InputError
from chapelle.model.boot import BootEvent, BootFile, BootWindow
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.plan import boot
from chapelle.run.boot import place
from chapelle.settings import Settings

HOST = "compute-a2-01"
FILE = BootFile(path=Path("/f"), sha256="0" * 64)
LATER = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)


def window(content: Content | None = None) -> BootWindow:
    dc = Datacentre(Snapshot(content)) if content else reference.datacentre()
    return boot.window(dc, HOST, kernel=FILE, initrd=FILE, files={}, expires=LATER, firmware="uefi")


def test_a_window_has_the_data_ports_and_no_other() -> None:
    dc = reference.datacentre()
    ports = {p.name: p for p in dc.interfaces_by_device[dc.device(HOST).id] if p.mac_address}
    made = window()
    assert made.macs == tuple(str(ports[name].mac_address).lower() for name in ("eno1", "eno2"))
    assert str(ports["bmc"].mac_address).lower() not in made.macs
    assert (made.address, made.gateway) == ("10.64.2.11/24", "10.64.2.1")


def test_every_address_of_netbox_is_known_and_two_of_one_are_an_error() -> None:
    known = boot.names(reference.datacentre())
    assert {HOST, "leaf-a2-1a"} & set(known.values()) >= {HOST}
    assert len([name for name in known.values() if name == HOST]) == 3
    content = reference.content()
    twice = edited(
        content,
        "interfaces",
        port(content, "compute-a2-02", "eno1"),
        mac_address=window().macs[0].upper(),
    )
    with pytest.raises(InputError) as caught:
        boot.names(Datacentre(Snapshot(twice)))
    assert "compute-a2-02" in str(caught.value)
    assert HOST in str(caught.value)


def test_a_port_without_an_address_is_named() -> None:
    content = reference.content()
    without = edited(content, "interfaces", port(content, HOST, "eno2"), mac_address=None)
    with pytest.raises(InputError, match="boot it over the network") as caught:
        window(without)
    assert "eno2" in str(caught.value.expected)


def test_a_medium_needs_the_address_of_the_bmc_that_fetches_it() -> None:
    made = msgspec.structs.replace(window(), medium=FILE, bmc="10.65.2.11")
    made.validate()
    assert made.all_files.count(FILE) == 3
    for wrong in ("", "10.65.2.11/24", "bmc.example.org"):
        with pytest.raises(InputError, match="address of its BMC"):
            msgspec.structs.replace(made, bmc=wrong).validate()


def test_a_medium_of_another_run_is_known_for_ours_and_one_of_somebody_is_named() -> None:
    ours = f"http://10.64.2.1:8080/{'0a' * 24}/boot.iso"
    others = "https://root:secret@images.example.org/rescue.iso?signature=secret"
    assert media.is_ours(ours)
    assert not media.is_ours(others)
    assert not media.is_ours("http://10.64.2.1:8080/boot.iso")
    assert media.shown(others) == "https://images.example.org/rescue.iso"
    assert media.shown("rescue.iso") == "rescue.iso"


def test_the_networks_are_those_of_servers() -> None:
    expected = tuple(f"10.64.{aisle}.0/24" for aisle in (1, 2, 3, 4))
    assert boot.networks(reference.datacentre()) == expected


def test_without_a_window_no_host_is_in_what_dnsmasq_reads() -> None:
    place = Place(
        run=Path("/run/x"), address="10.64.2.1", networks=("10.64.2.0/24",), interfaces=("br0",)
    )
    assert "dhcp-ignore=tag:!known\n" in dhcp_file(place)
    assert hosts_file([]) == options_file([]) == ""
    made = window()
    assert hosts_file([made]) == f"{made.macs[0]},{made.macs[1]},set:{HOST},10.64.2.11,1h\n"
    told = options_file([(made, "http://10.64.2.1:8080/token")])
    assert all(line.startswith(f"tag:{HOST},") for line in told.splitlines())


def heard(*lines: str) -> list[BootEvent]:
    events: list[BootEvent] = []
    listener = Listener(
        {"02:00:00:00:00:01": HOST},
        lambda mac: (HOST, "uefi") if mac == "02:00:00:00:00:02" else None,
        events.append,
    )
    for line in lines:
        listener.hear(line)
    return events


def test_what_is_said_twice_is_told_once() -> None:
    line = "dnsmasq-dhcp[2]: 12 DHCPDISCOVER(br0) 02:00:00:00:00:01 ignored"
    (event,) = heard(line, line)
    assert (event.kind, event.host) == ("closed", HOST)


def test_an_old_address_of_a_stranger_does_not_hide_it() -> None:
    (event,) = heard("dnsmasq-dhcp: 9 DHCPREQUEST(br0) 10.64.2.9 02:00:00:00:00:09 ignored")
    assert (event.kind, event.mac) == ("stranger", "02:00:00:00:00:09")


@pytest.mark.parametrize(
    ("architecture", "kinds"),
    [("00007", []), ("00009", []), ("00016", []), ("00000", ["mode"]), ("00011", ["mode"])],
)
def test_the_kind_of_firmware_is_judged(architecture, kinds) -> None:
    events = heard(
        f"dnsmasq-dhcp[2]: 12 vendor class: PXEClient:Arch:{architecture}:UNDI:002001",
        "dnsmasq-dhcp[2]: 12 DHCPDISCOVER(br0) 02:00:00:00:00:02 ",
    )
    assert [event.kind for event in events] == kinds


def test_what_one_client_says_is_never_taken_for_anothers() -> None:
    events = heard(
        "dnsmasq-dhcp[2]: 12 vendor class: PXEClient:Arch:00000:UNDI:002001",
        "dnsmasq-dhcp[2]: 13 vendor class: PXEClient:Arch:00007:UNDI:003016",
        "dnsmasq-dhcp[2]: 13 DHCPDISCOVER(br0) 02:00:00:00:00:02 ",
        "dnsmasq-dhcp[2]: 12 DHCPDISCOVER(br0) 02:00:00:00:00:03 ignored",
        "dnsmasq-dhcp[2]: 14 DHCPREQUEST(br0) 10.64.2.11 02:00:00:00:00:02 ",
    )
    assert [event.kind for event in events] == ["stranger"]


def test_other_words_say_nothing() -> None:
    assert (
        heard("dnsmasq[2]: started, version 2.90 DNS disabled", "", "dnsmasq-tftp[2]: sent x") == []
    )


def test_on_the_site_somebody_has_to_say_where_the_service_works() -> None:
    environment = {"CHAPELLE_TARGET": "site", "CHAPELLE_STATE": "/nowhere"}
    dc = reference.datacentre()
    with pytest.raises(InputError, match="Nobody said"):
        place(Settings.load(environment), dc)
    environment |= {"CHAPELLE_BOOT_ADDRESS": "10.64.0.5", "CHAPELLE_BOOT_LINKS": "eth1,eth2"}
    found = place(Settings.load(environment), dc)
    assert (found.address, found.interfaces) == ("10.64.0.5", ("eth1", "eth2"))
    assert found.networks == boot.networks(dc)
    assert found.namespace is None
    with pytest.raises(InputError, match="Nobody said"):
        place(Settings.load({**environment, "CHAPELLE_BOOT_ADDRESS": "here"}), dc)


def test_without_a_lab_there_is_no_place_in_it(tmp_path) -> None:
    with pytest.raises(InputError, match="no machine"):
        place(Settings.load({"CHAPELLE_STATE": str(tmp_path)}), reference.datacentre())
