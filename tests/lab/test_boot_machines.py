"""Machines with firmware that boot over the network through the real service, in the lab."""

import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
import pytest
import reference
import tiny_ramdisk
from boot_rig import until
from test_lab import states, traces

from chapelle import lab
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import Override, Target
from chapelle.drivers.boot import BootService
from chapelle.drivers.boot.script import PAUSE, TRIES
from chapelle.lab import ca, faults, power, qemu, qmp, tang
from chapelle.model.boot import BootEvent, BootFile, BootWindow, Firmware
from chapelle.netbox import changes
from chapelle.plan import boot
from chapelle.run import bmc as running
from chapelle.run.boot import place
from chapelle.run.prepare import Scene
from chapelle.settings import ROOT, Settings

HOST, OTHER = "compute-a2-01", "compute-a2-02"
# Emulated, and slowly where much else runs.
BOOT_SECONDS = 300

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(qemu.missing() or tang.missing()) or not shutil.which("cpio"),
        reason="needs qemu-system-x86, ovmf, swtpm, tang-common, jose, cpio",
    ),
]


@pytest.fixture(scope="module")
def site(new_lab) -> Settings:
    settings: Settings = new_lab()
    lab.up(
        settings, reference.datacentre(), [HOST, OTHER], kinds=dict.fromkeys([HOST, OTHER], "qemu")
    )
    return settings


@pytest.fixture(scope="module")
def files(site) -> tuple[BootFile, BootFile]:
    return tiny_ramdisk.made(site)


class Booting:
    """The boot service of a lab, what it told, and how long ago it began."""

    def __init__(self, settings: Settings, files: tuple[BootFile, BootFile]) -> None:
        dc = reference.datacentre()
        self.settings = settings
        self.files = files
        self.power = power.Power(settings)
        self.events: list[BootEvent] = []
        self.reports: list[dict[str, str]] = []
        self.service = BootService(place(settings, dc), boot.names(dc), self.events.append)

    def window(self, firmware: Firmware) -> BootWindow:
        return boot.window(
            reference.datacentre(),
            HOST,
            kernel=self.files[0],
            initrd=self.files[1],
            files={},
            expires=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
            firmware=firmware,
            command_line="console=ttyS0,115200",
        )

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events if event.host == HOST]

    def report(self, text: bytes) -> bool:
        self.reports.append(json.loads(text))
        return True

    def console(self) -> str:
        return power.console(self.settings, HOST).read_text(errors="replace")[-3000:]


@pytest.fixture
def booting(site, files) -> Iterator[Booting]:
    found = Booting(site, files)
    with found.service:
        yield found
    found.power.power(HOST, "off")


@pytest.mark.parametrize(
    ("firmware", "source"), [("bios", "network"), ("uefi", "network"), ("uefi", "http")]
)
def test_a_machine_boots_over_the_network_once_and_then_from_its_disks(
    booting, firmware, source
) -> None:
    node = lab.read(booting.settings).hosts[HOST].node
    booting.power.firmware(HOST, firmware)
    booting.power.boot_source(HOST, source)
    began = time.monotonic()
    with booting.service.window(
        booting.window(firmware), order=lambda: b"the order", on_report=booting.report
    ):
        booting.power.power(HOST, "on")
        assert booting.power.state(HOST) == "on"
        assert until(lambda: bool(booting.reports), BOOT_SECONDS), booting.console()
        print(f"{firmware} {source}: {time.monotonic() - began:.0f} s from power on to report")
        (report,) = booting.reports
        assert report["order"] == "the order"
        assert report["firmware"] == firmware
        assert report["serial"] == node.machine.serial
        assert report["model"] == node.machine.model
        assert report["disks"].split() == sorted(disk.serial for disk in node.machine.disks)
        assert report["tpm"] == "tpm0"
        assert report["mac"] == node.ports[0].mac.lower()
        # It restarts, and the override has counted once: its disks come first. They are empty, so
        # it comes to the network after all, where nobody answers it any more.
        assert until(lambda: "closed" in booting.kinds(), BOOT_SECONDS), booting.console()
    assert [k for k in booting.kinds() if k in {"script", "order", "finished", "closed"}] == [
        "script", "order", "finished", "closed",
    ]  # fmt: skip
    assert len(booting.reports) == 1


@pytest.fixture(scope="module")
def bmc(site) -> Target:
    """How the machine's BMC is reached."""
    dc = reference.datacentre()
    mark = changes.Mark(ids=frozenset(), lowest=0, newest="")
    scene = Scene(dc=dc, netbox_url="", commit="", mark=mark)
    return running.on_stand(site, scene, {HOST: dc.device(HOST)}, print).targets[HOST]


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_machine_boots_by_virtual_media_once_and_then_from_its_disks(
    booting, bmc, firmware
) -> None:
    wanted = msgspec.structs.replace(
        booting.window(firmware), medium=booting.service.medium(firmware), bmc=bmc.address
    )
    began = time.monotonic()
    with (
        booting.service.window(
            wanted, order=lambda: b"the order", on_report=booting.report
        ) as opened,
        Bmc(bmc) as each,
    ):
        assert each.insert(opened.medium_url) == ""
        each.boot_next(Override(source="cd", mode=firmware, once=True))
        each.switch("on")
        assert until(lambda: bool(booting.reports), BOOT_SECONDS), booting.console()
        print(f"{firmware} cd: {time.monotonic() - began:.0f} s from power on to report")
        assert each.eject() == opened.medium_url
        (report,) = booting.reports
        node = lab.read(booting.settings).hosts[HOST].node
        assert (report["order"], report["firmware"]) == ("the order", firmware)
        assert report["serial"] == node.machine.serial
        assert report["disks"].split() == sorted(disk.serial for disk in node.machine.disks)
        # The override has counted once, as with every other way to boot.
        assert until(lambda: "closed" in booting.kinds(), BOOT_SECONDS), booting.console()
    told = {"medium", "script", "order", "finished", "closed"}
    assert [k for k in booting.kinds() if k in told] == [
        "medium", "script", "order", "finished", "closed",
    ]  # fmt: skip
    assert len(booting.reports) == 1


def test_a_medium_goes_in_and_out_while_the_machine_runs(site, tmp_path) -> None:
    switch, home = power.Power(site), site.state / "lab/nodes" / OTHER
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))

    def inside() -> str | None:
        drives = {each.get("qdev"): each for each in qmp.ask(home, ("query-block", {}))[0]}
        found = drives[qemu.CD].get("inserted")
        return found and found["file"]

    switch.power(OTHER, "on")
    assert inside() is None
    for _ in range(2):
        switch.medium(OTHER, image)
        assert inside() == str(home / qemu.MEDIUM)
    switch.power(OTHER, "off")
    switch.power(OTHER, "on")
    assert inside() == qemu.MEDIUM
    for _ in range(2):
        switch.medium(OTHER, None)
        assert inside() is None
    switch.power(OTHER, "off")


def test_a_firmware_that_lost_its_mode_is_told_of_and_boots_nothing(booting) -> None:
    booting.power.firmware(HOST, "uefi")
    booting.power.boot_source(HOST, "network")
    with booting.service.window(
        booting.window("bios"), order=lambda: b"", on_report=booting.report
    ):
        booting.power.power(HOST, "on")
        assert until(lambda: "mode" in booting.kinds(), BOOT_SECONDS), booting.console()
        time.sleep(5)
        assert "script" not in booting.kinds()


def test_a_machine_gives_up_on_a_kernel_that_is_not_what_it_has_to_be(booting, tmp_path) -> None:
    kernel = tmp_path / "kernel"
    shutil.copy(booting.files[0].path, kernel)
    wanted = booting.window("bios")
    wanted = msgspec.structs.replace(
        wanted, kernel=msgspec.structs.replace(wanted.kernel, path=kernel)
    )
    booting.power.firmware(HOST, "bios")
    booting.power.boot_source(HOST, "network")
    with booting.service.window(wanted, order=lambda: b"", on_report=booting.report):
        with kernel.open("r+b") as stream:
            stream.seek(5_000_000)
            stream.write(b"damaged")
        booting.power.power(HOST, "on")
        assert until(lambda: booting.kinds().count("corrupt") == TRIES, BOOT_SECONDS)
        time.sleep(2 * PAUSE)
        assert booting.kinds().count("corrupt") == TRIES
        assert not {"order", "finished"} & set(booting.kinds())


def in_the_hub(site: Settings, call: str) -> None:
    """Switch in Redfish's words from where BMCs are: in the hub, which they do not see mounted."""
    code = (
        "from chapelle.lab.power import RedfishPower; from chapelle.settings import Settings; "
        f"RedfishPower(Settings.load()).{call}"
    )
    hub = str(ca.namespace_path(site))
    inside = f'umount --lazy {hub}; exec {sys.executable} -c "$1"'
    done = subprocess.run(
        ["nsenter", f"--net={hub}", "unshare", "--mount", "sh", "-c", inside, "sh", code],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "CHAPELLE_STATE": str(site.state)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_machines_are_switched_and_reset_and_keep_their_disks(site) -> None:
    switch = power.Power(site)
    assert states(site) == {HOST: "off", OTHER: "off"}
    disk = next((site.state / "lab/nodes" / OTHER).glob("disk-*.img"))
    with disk.open("r+b") as stream:
        stream.write(b"kept")
    switch.power(OTHER, "on")
    switch.power(OTHER, "on")
    assert (switch.state(OTHER), switch.state(HOST)) == ("on", "off")
    assert until(lambda: power.console(site, OTHER).stat().st_size > 0, 60)
    switch.boot_source(OTHER, "network", once=False)
    switch.power(OTHER, "reset")
    assert switch.state(OTHER) == "on"
    assert switch.setup(OTHER) == power.Setup(source="network")
    switch.power(OTHER, "off")
    in_the_hub(site, "boot_source('compute-a2-02', 'Pxe', 'Legacy')")
    assert switch.setup(OTHER) == power.Setup(firmware="bios", source="network", once="network")
    in_the_hub(site, "power('compute-a2-02', 'on')")
    assert (switch.state(OTHER), switch.setup(OTHER).once) == ("on", None)
    with pytest.raises(AssertionError, match="cannot do this"):
        in_the_hub(site, "boot_source('compute-a2-02', 'Usb', 'UEFI')")
    faults.kill(site, OTHER)
    assert switch.state(OTHER) == "off"
    lab.up(site, reference.datacentre(), [HOST, OTHER])
    assert states(site)[OTHER] == "off"
    with disk.open("rb") as stream:
        assert stream.read(4) == b"kept"


def test_tang_servers_answer_with_keys_of_their_own_and_can_be_stopped(site) -> None:
    hub = str(ca.namespace_path(site))

    def advertised(address: str) -> str:
        code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        url = f"{tang.url(address)}/adv"
        command = ["nsenter", f"--net={hub}", "python3", "-c", code, url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout

    first, second = "10.64.0.31/24", "10.64.0.32/24"
    assert tang.thumbprints(site, first) != tang.thumbprints(site, second)
    for address in (first, second):
        keys = subprocess.run(
            ["jose", "fmt", "-j-", "-Og", "payload", "-y", "-o-"],
            input=advertised(address), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        signing = subprocess.run(
            ["jose", "jwk", "use", "-i-", "-r", "-u", "verify", "-o-"],
            input=keys, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        thumbprint = subprocess.run(
            ["jose", "jwk", "thp", "-a", "S256", "-i-"],
            input=signing, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        assert tang.thumbprints(site, address) == (thumbprint,)
    before = tang.thumbprints(site, first)
    tang.stop(site, first)
    assert advertised(first) == ""
    assert advertised(second) != ""
    lab.up(site, reference.datacentre(), [HOST, OTHER])
    assert advertised(first) != ""
    assert tang.thumbprints(site, first) == before


def test_down_leaves_nothing(site) -> None:
    power.Power(site).power(OTHER, "on")
    assert lab.down(site) == 1
    assert traces(site) == []
