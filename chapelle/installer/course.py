"""The installation from beginning to end, stage by stage, in the order of the model's `STAGES`."""

import time
from pathlib import Path

from chapelle import __version__
from chapelle.installer import (
    binding,
    data,
    gates,
    identity,
    machine,
    partition,
    programs,
    starting,
)
from chapelle.installer.erase import Erasing
from chapelle.installer.link import Link
from chapelle.installer.machine import Seen, SeenDisk
from chapelle.installer.order import Disk, Order
from chapelle.installer.reporter import Reporter
from chapelle.installer.stop import Stop
from chapelle.installer.unpack import unpack


class Course:
    """One order being carried out: gates first, which write nothing, then the disks.

    Arguments:
        order: what is to be done.
        link: to the boot service.
        reporter: told of each stage.
    """

    def __init__(self, order: Order, link: Link, reporter: Reporter) -> None:
        self._order = order
        self._link = link
        self._reporter = reporter
        self._begun = time.monotonic()

    def run(self) -> None:
        """Carry the order out.

        Raises:
            Refused: it is not this machine, or not these disks; nothing has been written.
            Failed: something did not work.
        """
        report = self._reporter
        report.stage("hello", f"{self._order.mode} of {self._order.host}")
        seen = machine.look()
        report.stage("hardware", seen=seen.plain())
        gates.hardware(self._order, seen)
        self._cabling()
        report.stage("guard", f"{len(seen.disks)} disks")
        found = gates.guard(self._order, seen.disks)
        if self._order.mode == "erase":
            self._erase(found)
            return
        try:
            self._install(seen, found)
        except Stop:
            partition.abandon()
            raise

    def _cabling(self) -> None:
        wanted = [port for port in self._order.machine.ports if port.switch]
        self._reporter.stage("cabling", f"{len(wanted)} cables")
        end = self._begun + self._order.lldp_seconds
        silent = gates.cabling(self._order.machine, machine.ports())
        while silent and time.monotonic() < end:
            time.sleep(1)
            silent = gates.cabling(self._order.machine, machine.ports())
        if silent:
            self._reporter.stage("cabling", f"no switch was heard at {', '.join(silent)}")

    def _install(self, seen: Seen, found: dict[str, SeenDisk]) -> None:
        order, report = self._order, self._reporter
        assert order.image is not None  # noqa: S101 - the order was read so
        assert order.identity is not None  # noqa: S101
        assert order.encryption is not None  # noqa: S101
        chosen = [(disk, found[disk.serial]) for disk in order.of("write")]
        kept = [(disk, found[disk.serial]) for disk in order.of("format", "mount")]
        # Data disks come first: one that does not open stops us before anything is written.
        report.stage("data", f"{len(kept)} disks")
        done = [data.bring_up(disk, each, order.encryption) for disk, each in kept]
        report.stage("partition", f"data disks: {', '.join(done)}" if done else "")
        partition.divide(chosen, order.layout)
        partition.mirror(order.host, chosen)
        report.stage("encrypt")
        partition.encrypt(order.encryption)
        report.stage("format")
        partition.make_filesystems(chosen, order.layout)
        report.stage("unpack", f"{order.image.size >> 20} MiB")
        unpack(self._link, order.image, report.progress)
        report.stage("identity")
        identity.give(order, order.identity)
        for disk, each in kept:
            data.give_key(disk, each, order.encryption)
        identity.mounts(order, chosen)
        starting.bind_api()
        report.stage("initramfs")
        starting.complete_initramfs(identity.EARLY_NETWORK if order.network else "")
        report.stage("bind", f"{len(order.encryption.tang)} Tang servers")
        if order.encryption.tpm2 and not binding.outlast_power_cuts():
            report.stage("bind", "the TPM's lockout is not ours: power cuts may make it wait")
        binding.bind(order.encryption)
        report.stage("escrow")
        self._escrow(kept)
        report.stage("boot-loader", seen.firmware)
        starting.install_boot_loader(order, chosen)
        partition.leave()
        report.stage("reboot")
        report.done("installed")

    def _erase(self, found: dict[str, SeenDisk]) -> None:
        """Erase disk by disk; each result is handed over before the next disk is begun."""
        report = self._reporter
        for disk, erasure in gates.erasures(self._order):
            seen = found[disk.serial]
            report.stage("erase", f"{disk.name} {disk.serial}")
            result = Erasing(seen, erasure.order, __version__, report.progress).run()
            tried = [f"{step['method']} {step['outcome']}" for step in result["steps"]]
            report.stage("erase", f"{disk.name}: {', '.join(tried)}", erased=[result])
        report.done("erased")

    def _escrow(self, kept: list[tuple[Disk, SeenDisk]]) -> None:
        headers = [("root", partition.ROOT_ARRAY)] + [
            (disk.serial, seen.path) for disk, seen in kept
        ]
        for name, device in headers:
            copy = Path("/run/header")
            copy.unlink(missing_ok=True)
            programs.run("cryptsetup", "luksHeaderBackup", device, f"--header-backup-file={copy}")
            self._link.post(f"header/{name}", copy.read_bytes())
            copy.unlink()
