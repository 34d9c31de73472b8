"""Installs a server by this project and by Debian's installer, and compares: power-on to SSH.

    .venv/bin/python bench/install.py [--only ours,disk,peer]

One virtual machine of tests/lab/installer_bench.py each, of the same make: processors, memory,
disks, cache, emulation. Ours boots our ramdisk and installs our image; both come from the cache,
and are made first if they are not there. The peer boots Debian's netboot installer with a preseed
file, and installs the packages that inventory/image.yml names, from the archive that our image was
made from. Both end when a user with a certificate gets in by SSH, through an account with sudo, at
a host whose key was signed. A stage begins when this machine hears of it.

Archives need not carry the installer's components; a script does what they would do
(bench/install/peer.sh). What it leaves out is printed, and all of it favours the peer.

The image's throughput is compared with dd, which writes what no disk can leave out past the cache
to a new disk of such a machine.

Needs root, and the programs of tests/lab/test_installer.py; without KVM the peer takes 40 minutes.
The exit status is 1 when ours is less than three times as fast. It leaves nothing but the cache.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "lab"), str(Path(__file__).with_suffix(""))]

import components  # noqa: E402 - found by the path above
import installer_bench as rig  # noqa: E402
import peer  # noqa: E402
from components import Kernel  # noqa: E402
from installer_bench import MACS, Machine, Service, Tang  # noqa: E402
from mirror import Mirror  # noqa: E402

from chapelle.drivers import image  # noqa: E402
from chapelle.drivers.image import ramdisk, root  # noqa: E402
from chapelle.errors import ChapelleError, RefusedError  # noqa: E402
from chapelle.installer import cpio  # noqa: E402
from chapelle.lab import ca  # noqa: E402
from chapelle.model import deploy  # noqa: E402
from chapelle.settings import Settings  # noqa: E402

GOAL = 3.0
PARTS = ("ours", "disk", "peer")

# Seconds until we give up: ours, a start from disks, the peer.
INSTALL, START, PEER = 1800, 900, 4 * 3600

START_RAMDISK, START_STAGE = "kernel, ramdisk", "start from disks"

# What dd does, as the first and only program of our ramdisk: a block of chance, again and again; to
# a disk, and to the mirror of two under encryption that an installation writes to.
BLOCK_MIB, BLOCKS = 64, 12
PLAIN, SECRET = "PLAIN", "SECRET"
DD = f"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /tmp
modprobe -a virtio_pci virtio_blk raid1 dm_crypt
exec >/dev/console 2>&1
until [ -b /dev/vda ] && [ -b /dev/vdb ]; do sleep 0.2; done
dd if=/dev/urandom of=/tmp/block bs=1M count={BLOCK_MIB}
write() {{
  n=0
  while [ $n -lt {BLOCKS} ]; do
    dd if=/tmp/block of=$2 bs=4M oflag=direct seek=$(($3 + n * {BLOCK_MIB // 4})) 2>&1 |
      sed -n "s/.* copied, \\([^ ]*\\) s.*/$1 \\1 s/p"
    n=$((n + 1))
  done
}}
write {PLAIN} /dev/vda 0
mdadm --create /dev/md0 --run --quiet --level=1 --raid-devices=2 --assume-clean /dev/vda /dev/vdb
printf secret >/tmp/key
cryptsetup luksFormat --batch-mode --type=luks2 --pbkdf=pbkdf2 --pbkdf-force-iterations=1000 \
  --key-file=/tmp/key /dev/md0
cryptsetup open --key-file=/tmp/key /dev/md0 secret
write {SECRET} /dev/mapper/secret {BLOCKS * BLOCK_MIB // 4}
busybox reboot -f
"""

LESS = (
    "none of the installer's components is loaded, no hardware looked for, no question asked",
    "one disk without a mirror, LUKS, Tang, TPM or data disk; a boot loader for BIOS on one disk",
    "nothing is compared with what was ordered before it writes, and nothing is escrowed",
)


class Site(NamedTuple):
    """What all measurements share."""

    folder: Path
    settings: Settings
    job: image.Job
    ramdisk: image.Built
    image: image.Built


class Taken(NamedTuple):
    """Seconds of each stage, and the packages of the new system, with versions."""

    stages: dict[str, float]
    packages: dict[str, str]

    @property
    def total(self) -> float:
        """Power-on to SSH, in seconds."""
        return sum(self.stages.values())


def say(line: str) -> None:
    """Tell on standard error what is going on; figures alone go to standard output."""
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def machine(site: Site, name: str) -> Iterator[Machine]:
    """A new machine, that is switched off and thrown away at the end."""
    folder = site.folder / name
    folder.mkdir()
    made = Machine(folder)
    try:
        yield made
    finally:
        made.cut()
        shutil.rmtree(folder)


def between(marks: list[tuple[str, float]], end: float) -> dict[str, float]:
    """Seconds of each stage, from when it began; one that is told of again goes on."""
    stages: dict[str, float] = {}
    times = [*(at for _, at in marks[1:]), end]
    for (name, began), ended in zip(marks, times, strict=True):
        stages[name] = stages.get(name, 0.0) + ended - began
    return stages


def ours(site: Site) -> Taken:
    """Install by this project."""
    heard: list[float] = []

    def note(path: str) -> bool:
        if path == "report":
            heard.append(time.monotonic())
        return True

    with contextlib.ExitStack() as stack:
        tangs = [Tang(site.folder / f"tang{number}") for number in (1, 2)]
        for tang in tangs:
            stack.callback(tang.stop)
        service = Service(site.folder, site.image.file(root.TAR))
        stack.callback(service.close)
        server = stack.enter_context(machine(site, "ours"))
        service.begin(rig.order(site.settings, site.image, tangs))
        service.interfere = note
        line = deploy.command_line(service.url, service.authority, MACS["eno1"])
        on = time.monotonic()
        server.start(site.ramdisk, f"{line} no_timer_check")
        server.wait_off(INSTALL)
        off = time.monotonic()
        reports = list(service.reports)
        if not reports or reports[-1].outcome != "done":
            raise ChapelleError(
                "Our installer did not get to its end.",
                expected="a report that all is done",
                found=repr(reports[-1]) if reports else server.said()[-2000:],
            )
        marks = [(START_RAMDISK, on)]
        marks += [(each.stage, at) for each, at in zip(reports, heard, strict=True)]
        return first_start(site, server, between(marks, off))


def first_start(site: Site, server: Machine, stages: dict[str, float]) -> Taken:
    """Start the machine from its disks, until it lets us in; what it is then."""
    on = time.monotonic()
    server.start()
    server.wait_for_ssh(site.settings, START)
    stages = {**stages, START_STAGE: time.monotonic() - on}
    listed = server.ssh(site.settings, "dpkg-query -W").stdout.splitlines()
    return Taken(stages, dict(line.split("\t", 1) for line in listed))


def disk(site: Site) -> tuple[float, float]:
    """Bytes a second that dd writes to a new disk of such a machine, and to two through LUKS."""
    folder = site.folder / "dd"
    folder.mkdir()
    (folder / ramdisk.KERNEL).symlink_to(site.ramdisk.file(ramdisk.KERNEL))
    with (folder / ramdisk.INITRAMFS).open("wb") as out:
        out.write(site.ramdisk.file(ramdisk.INITRAMFS).read_bytes())
        out.write(bytes(-out.tell() % 4) + cpio.archive({"dd.sh": DD.encode()}))
    with machine(site, "disk") as server:
        server.start(
            Kernel(folder), "console=ttyS0,115200 quiet no_timer_check rdinit=/bin/sh -- /dd.sh"
        )
        server.wait_off(START)
        said = server.said()
    plain, secret = (re.findall(rf"{word} ([\d.e-]+) s", said) for word in (PLAIN, SECRET))
    if len(plain) != BLOCKS or len(secret) != BLOCKS:
        raise ChapelleError(
            "dd did not get to its end.", expected=f"{BLOCKS} times each", found=said[-2000:]
        )
    amount = BLOCKS * (BLOCK_MIB << 20)
    return amount / sum(map(float, plain)), amount / sum(map(float, secret))


def debian(site: Site, mirror: Mirror, kernel: Kernel) -> Taken:
    """Install by Debian's installer."""
    ca.ensure(site.settings)
    tools = components.tools(mirror, site.job.source.release, kernel.release)
    peer.prepare(mirror, site.job, tools)
    mirror.fetched, mirror.seconds, mirror.served = 0, 0.0, 0
    with machine(site, "peer") as server:
        on = time.monotonic()
        peer.start(server, kernel, mirror)
        server.wait_off(PEER)
        off = time.monotonic()
        heard = [(name, mirror.at[path]) for name, path in peer.STAGES.items() if path in mirror.at]
        if len(heard) != len(peer.STAGES):
            raise ChapelleError(
                "Debian's installer did not get to its end.",
                expected=", ".join(peer.STAGES),
                found=f"{', '.join(name for name, _ in heard) or 'none'}:\n{server.said()[-3000:]}",
            )
        return first_start(site, server, between([(START_RAMDISK, on), *heard], off))


def unpacked(path: Path) -> int:
    """Bytes of the root image when it is unpacked."""
    with subprocess.Popen(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        return sum(len(piece) for piece in iter(lambda: process.stdout.read(1 << 20), b""))


def show(title: str, taken: Taken) -> None:
    """Print the stages of one."""
    print(f"{title}: power-on to SSH {taken.total:.0f} s, {len(taken.packages)} packages")
    for name, seconds in taken.stages.items():
        print(f"  {name:<20}{seconds:8.1f}")


def compare(own: Taken, other: Taken, mirror: Mirror) -> bool:
    """Print what the peer does less of and how long both took; whether the goal is met."""
    print("the peer does less:")
    for line in LESS:
        print(f"  {line}")
    print("it fetches package by package, "
          f"{mirror.served / 1e6:.0f} MB over loopback; {mirror.fetched / 1e6:.0f} MB of that, and "
          f"{mirror.seconds:.0f} s, from the archive")  # fmt: skip
    more, fewer = other.packages.keys() - own.packages.keys(), own.packages.keys() - other.packages
    print(f"packages that the peer alone has: {', '.join(sorted(more)) or 'none'}")
    print(f"packages that ours alone has: {', '.join(sorted(fewer)) or 'none'}")
    both = own.packages.keys() & other.packages.keys()
    differ = sorted(name for name in both if own.packages[name] != other.packages[name])
    print(f"packages of another version: {', '.join(differ) or 'none'}")
    ratio = other.total / own.total
    met = ratio >= GOAL
    print(f"the peer / ours: {ratio:.1f} (goal {GOAL:g}: {'met' if met else 'MISSED'})")
    return met


def measure(site: Site, only: set[str]) -> bool:
    """Measure and print; whether the goal is met, as far as it was measured."""
    print(f"2 processors, emulated by {os.cpu_count()}; load before {os.getloadavg()[0]:.1f}")
    own = other = None
    if "ours" in only:
        say("ours")
        own = ours(site)
        show("ours", own)
    if "disk" in only:
        say("dd")
        most, under = disk(site)
        print(f"dd: {most / 1e6:.0f} MB/s to a disk, {under / 1e6:.0f} MB/s to two through LUKS")
        if own:
            size = unpacked(site.image.file(root.TAR))
            rate = size / own.stages["unpack"]
            print(f"image: {size / 1e6:.0f} MB unpacked, {rate / 1e6:.0f} MB/s to two disks "
                  f"through LUKS: {rate / most:.0%} of dd to a disk, "
                  f"{rate / under:.0%} of dd to the same")  # fmt: skip
    if "peer" in only:
        say("the peer; this takes long")
        kernel = components.kernel(site.settings, say)
        cache = site.settings.cache / "bench" / "mirror"
        mirror = Mirror(site.job.source.sources, rig.HERE, cache)
        try:
            other = debian(site, mirror, kernel)
            mirror.prune()
            show("Debian's installer without its components", other)
            if own:
                return compare(own, other, mirror)
        finally:
            mirror.close()
    return True


def main() -> int:
    """Measure, print, and say by the exit status whether the goal is met."""
    parser = argparse.ArgumentParser(description="power-on to SSH, against Debian's installer")
    parser.add_argument("--only", default=",".join(PARTS), help="some of %(default)s")
    only = set(parser.parse_args().only.split(","))
    if not only <= set(PARTS):
        parser.error(f"--only: expected some of {', '.join(PARTS)}")
    if os.geteuid() != 0 or rig.missing():
        raise RefusedError(
            "Not everything is here that a machine is installed with.",
            expected="root, and the programs of docs/development.md",
            found=f"not there: {rig.missing()}" if rig.missing() else "another user",
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.stdout.reconfigure(line_buffering=True)
    with tempfile.TemporaryDirectory(prefix="chapelle-bench-") as name:
        folder = Path(name)
        settings = Settings.load({**os.environ, "CHAPELLE_STATE": str(folder / "state")})
        job = image.job(settings, say)
        site = Site(folder, settings, job, ramdisk.ensure(job), root.ensure(job))
        return 0 if measure(site, only) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ChapelleError, AssertionError) as problem:  # the rig's own errors are assertions
        sys.exit(str(problem))
