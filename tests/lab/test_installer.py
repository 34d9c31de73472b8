"""A machine installs itself from the ramdisk, and starts from its encrypted disks without a person.

Real: QEMU, the ramdisk and the image, two Tang servers, a TPM (swtpm), SSH. One machine goes from
test to test, as a server does: refused, interrupted, installed, restarted, rebuilt, erased.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import installer_bench as bench
import msgspec
import pytest
from installer_bench import MACS, Machine, Service, Tang

from chapelle.drivers import image
from chapelle.drivers.image import Built, ramdisk, root
from chapelle.model import deploy, erasure
from chapelle.plan import erasure as plan
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# Seconds; without KVM a machine is some ten times slower.
INSTALL = 1500
START = 600
WAITING = 120


class Site(NamedTuple):
    """All that the tests share."""

    settings: Settings
    machine: Machine
    service: Service
    tangs: list[Tang]
    ramdisk: Built
    image: Built

    def order(self, **changes: Any) -> deploy.Order:
        mode = changes.pop("mode", "build")
        return msgspec.structs.replace(
            bench.order(self.settings, self.image, self.tangs, mode=mode), **changes
        )

    def retirement(self) -> deploy.Order:
        """The order that erases all disks, by what any disk offers."""
        order = self.order(mode="erase")
        disks = tuple(msgspec.structs.replace(disk, action="erase") for disk in order.disks)
        ordered = [
            msgspec.structs.replace(
                plan.order(order.run, order.host, disk.serial, parts=20), methods=("discard",)
            )
            for disk in disks
        ]
        return msgspec.structs.replace(
            order,
            disks=disks,
            erasures=tuple(
                deploy.Erasure(serial=each.serial, order=msgspec.to_builtins(each))
                for each in ordered
            ),
        )

    def switch_on(self, order: deploy.Order) -> None:
        self.service.begin(order)
        self.machine.start(self.ramdisk, self.command_line())

    def command_line(self) -> str:
        """The kernel's, without a check that fails where emulation is given too little time."""
        line = deploy.command_line(self.service.url, self.service.authority, MACS["eno1"])
        return f"{line} no_timer_check"

    def carry_out(self, order: deploy.Order) -> deploy.Report:
        """Boot the ramdisk with this order, and wait for the end; the last report."""
        self.switch_on(order)
        self.machine.wait_off(INSTALL)
        assert self.service.reports, self.machine.said()[-3000:]
        return self.service.last()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("making an image needs root")
    if lacking := bench.missing():
        pytest.skip(f"not on this machine: {lacking}")
    folder = tmp_path_factory.mktemp("installer")
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    settings = Settings.load({"CHAPELLE_STATE": str(folder / "state"), **kept})
    job = image.job(settings, print)
    made, built = ramdisk.ensure(job), root.ensure(job)
    tangs = [Tang(folder / "tang1"), Tang(folder / "tang2")]
    service = Service(folder, built.file(root.TAR))
    machine = Machine(folder)
    yield Site(settings, machine, service, tangs, made, built)
    machine.cut()
    service.close()
    for tang in tangs:
        tang.stop()
    shutil.rmtree(folder, ignore_errors=True)


def digests(machine: Machine) -> dict[str, str]:
    """What is on the machine's disks."""
    return {
        name: subprocess.run(
            ["qemu-img", "map", "--output=json", path], capture_output=True, text=True, check=True
        ).stdout
        for name, path in machine.disks.items()
    }


def test_another_machine_is_left_as_it_is(site: Site) -> None:
    before = digests(site.machine)
    machine = msgspec.structs.replace(site.order().machine, serial="SN-OTHER")
    report = site.carry_out(site.order(machine=machine))
    assert (report.outcome, report.stage) == ("refused", "hardware")
    assert (report.expected, report.found) == ("SN-OTHER", bench.SERIAL)
    assert digests(site.machine) == before
    seen = next(report.seen for report in site.service.reports if report.seen)
    assert {port.mac for port in seen.ports} == set(MACS.values())
    assert {disk.serial for disk in seen.disks} == set(bench.DISKS.values())
    assert seen.tpm2


def test_a_disk_with_foreign_data_is_left_as_it_is(site: Site) -> None:
    path = site.machine.disks["data-1"]
    raw = path.with_suffix(".raw")
    with raw.open("wb") as file:
        file.truncate(bench.DISK_GB * 10**9)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "theirs", raw], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, path], check=True)
    raw.unlink()
    before = digests(site.machine)
    report = site.carry_out(site.order())
    assert (report.outcome, report.stage) == ("refused", "guard")
    assert "data-1" in report.message
    assert "ext4" in report.found
    assert digests(site.machine) == before
    bench.new_image(path)


def test_a_corrupted_image_starts_nothing(site: Site) -> None:
    order = site.order()
    wrong = msgspec.structs.replace(order.image, sha256="0" * 64)
    report = site.carry_out(msgspec.structs.replace(order, image=wrong))
    assert (report.outcome, report.stage) == ("failed", "unpack")
    assert report.found == f"SHA-256 {order.image.sha256}"
    stages = {each.stage for each in site.service.reports}
    assert "boot-loader" not in stages
    site.machine.start()
    with pytest.raises(AssertionError):
        site.machine.wait_for_ssh(site.settings, WAITING)
    site.machine.cut()
    assert "Linux version" not in site.machine.said()


def test_it_is_installed_after_a_power_cut_and_a_broken_download(site: Site) -> None:
    site.switch_on(site.order())
    site.service.wait_for("identity", INSTALL)  # in the middle, with everything half written
    site.machine.cut()
    broken = []

    def interfere(name: str) -> bool:
        """Break the download once, in the middle."""
        if name.startswith("at ") and int(name[3:]) > 50 << 20 and not broken:
            broken.append(name)
            return False
        return True

    order = site.order()
    site.service.begin(order)
    site.service.interfere = interfere
    site.machine.start(site.ramdisk, site.command_line())
    site.machine.wait_off(INSTALL)
    assert broken
    assert site.service.last().outcome == "done", site.machine.said()[-3000:]
    assert set(site.service.headers) == {"root", bench.DISKS["data-1"]}
    assert all(data.startswith(b"LUKS") for data in site.service.headers.values())
    told = b"".join(site.service.raw).decode() + site.machine.said()
    assert not [secret for secret in bench.SECRETS if secret in told]


def test_it_starts_without_a_person_with_the_key_that_we_signed(site: Site) -> None:
    site.machine.start()
    site.machine.wait_for_ssh(site.settings, START)
    ssh = site.machine.ssh
    assert ssh(site.settings, "hostname").stdout.strip() == bench.HOST
    assert ssh(site.settings, "cat /etc/machine-id").stdout.strip() == "0123456789abcdef" * 2
    arrays = ssh(site.settings, "cat /proc/mdstat").stdout
    assert arrays.count("active raid1") == 2
    assert "/dev/mapper/root" in ssh(site.settings, "findmnt -no SOURCE /").stdout
    started = "timeout 50 systemctl is-system-running --wait || systemctl --failed --no-legend"
    assert ssh(site.settings, started).stdout.strip() == "running"
    mounted = ssh(site.settings, "findmnt -rno SOURCE,FSTYPE /srv/data-01").stdout
    assert mounted == "/dev/mapper/data-01 xfs\n"
    assert {"eno1", "eno2"} <= set(ssh(site.settings, "ls /sys/class/net").stdout.split())
    ssh(site.settings, "echo precious > /srv/data-01/file; sync; umount /srv/data-01")
    instead = ssh(site.settings, "echo lost > /srv/data-01/file", check=False)
    assert "Operation not permitted" in instead.stderr
    site.machine.cut()


def stays_shut(site: Site, why: str) -> None:
    """The machine says twice for what it waits, and lets nobody in."""
    site.machine.wait_said(why, START)
    site.machine.wait_said(why, WAITING, times=2)
    assert site.machine.ssh(site.settings, "true", check=False).returncode != 0


def test_one_tang_server_is_enough_and_without_any_it_waits_and_says_so(site: Site) -> None:
    for tang in site.tangs:
        tang.stop()
    site.machine.start()
    stays_shut(site, "waiting for Tang servers")
    site.tangs[1].start()
    site.machine.wait_for_ssh(site.settings, START)
    site.machine.cut()
    site.tangs[0].start()


def test_it_starts_with_one_disk(site: Site) -> None:
    site.machine.absent = {"os-1"}
    site.machine.start()
    site.machine.wait_for_ssh(site.settings, START)
    site.machine.cut()
    site.machine.absent = set()


def test_the_same_disks_start_by_uefi_whose_other_measurements_the_tpm_sees(site: Site) -> None:
    site.machine.uefi = True
    site.machine.start()
    stays_shut(site, "waiting for the TPM")
    site.machine.cut()
    site.machine.uefi = False


def test_disks_alone_do_not_open_in_another_machine(site: Site) -> None:
    """Tang answers, but the TPM is another machine's."""
    tpm = site.machine.folder / "tpm"
    kept = tpm.rename(tpm.with_name("tpm.kept"))
    site.machine.start()
    stays_shut(site, "waiting for the TPM")
    site.machine.cut()
    shutil.rmtree(tpm)
    kept.rename(tpm)


def test_a_rebuild_keeps_the_data_disk(site: Site) -> None:
    report = site.carry_out(site.order(mode="rebuild"))
    assert report.outcome == "done", report
    site.machine.start()
    site.machine.wait_for_ssh(site.settings, START)
    assert site.machine.ssh(site.settings, "cat /srv/data-01/file").stdout == "precious\n"
    disk = next(disk for disk in site.order().disks if disk.label == "data-01")
    slots = site.machine.ssh(
        site.settings, f"cryptsetup luksDump /dev/disk/by-uuid/{disk.mark}"
    ).stdout
    assert slots.count("Key:        512 bits") == 2
    site.machine.cut()


def test_a_data_disk_that_does_not_open_stops_a_rebuild_before_anything_is_written(
    site: Site,
) -> None:
    order = site.order(mode="rebuild")
    other = msgspec.structs.replace(order.encryption, passphrase="another passphrase than that")
    report = site.carry_out(msgspec.structs.replace(order, encryption=other))
    assert (report.outcome, report.stage) == ("failed", "data")
    site.machine.start()
    site.machine.wait_for_ssh(site.settings, START)
    site.machine.cut()


def test_a_retired_machine_holds_nothing(site: Site) -> None:
    report = site.carry_out(site.retirement())
    assert report.outcome == "done", report
    told = [each.erased for each in site.service.reports if each.erased]
    results = [msgspec.convert(result, erasure.Result) for each in told for result in each]
    assert sorted(result.serial for result in results) == sorted(bench.DISKS.values())
    for result in results:
        assert [(step.method, step.outcome) for step in result.steps] == [
            ("luks-header", "done"),
            ("discard", "done"),
        ]
        assert result.verification is not None
        assert result.verification.signatures == ()
        assert result.verification.witnesses.blank == result.verification.witnesses.count
    for extents in digests(site.machine).values():
        assert not [each for each in json.loads(extents) if each["data"] and not each["zero"]]
