"""The two OS disks: partitions, mirrors, LUKS2 over one of them, and new file systems.

All of it is made anew each time, so that it does not matter where an earlier attempt was cut off.
The boot loader's places are emptied first: a disk that is half written starts nothing.
"""

import contextlib
import time
from pathlib import Path

from chapelle.installer import programs
from chapelle.installer.machine import SeenDisk
from chapelle.installer.order import Disk, Encryption, Layout
from chapelle.installer.stop import Failed, Stop

TARGET = "/target"
BOOT_ARRAY = "/dev/md/boot"
ROOT_ARRAY = "/dev/md/root"
ROOT_NAME = "root"
ROOT = f"/dev/mapper/{ROOT_NAME}"

# GPT partition types (UEFI 2.10; GRUB's manual, "BIOS installation"; Linux RAID).
_BIOS_BOOT, _ESP, _RAID = "ef02", "ef00", "fd00"

# Partition numbers on each of the two disks.
_ESP_NUMBER, _BOOT_NUMBER, _ROOT_NUMBER = 2, 3, 4

# How a secret becomes a key. Ours are drawn by chance, with 128 bits at least: nothing is won by
# making them slow to try, as clevis does not either (PBKDF2 at its least, RFC 8018).
DERIVATION = ("--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000")

# What clevis says of how the root opens lies in the header's metadata. The usual 16 KiB hold that
# once, and while keys are replaced it is there twice: for the old ones, and for those that follow.
_METADATA = "--luks2-metadata-size=64k"

# KiB a second for md's first copy of one disk to the other while we write: it goes on after that.
_RESYNC_KIB = "1000"


def part(disk: SeenDisk, number: int) -> str:
    """The device of a partition."""
    return f"{disk.path}{'p' if disk.path[-1].isdigit() else ''}{number}"


def divide(chosen: list[tuple[Disk, SeenDisk]], layout: Layout) -> None:
    """Give both disks our partition table; what was on them is gone.

    Raises:
        Failed: a program failed, or the kernel does not show the partitions.
    """
    for _, seen in chosen:
        _empty(seen)
    for disk, seen in chosen:
        programs.run(
            "sgdisk", "--clear", f"--disk-guid={disk.mark}",
            "--new=1:0:+1M", f"--typecode=1:{_BIOS_BOOT}",
            f"--new={_ESP_NUMBER}:0:+{layout.esp_mib}M", f"--typecode={_ESP_NUMBER}:{_ESP}",
            f"--new={_BOOT_NUMBER}:0:+{layout.boot_mib}M", f"--typecode={_BOOT_NUMBER}:{_RAID}",
            # A spare of the same make may have some sectors less.
            f"--new={_ROOT_NUMBER}:0:-8M", f"--typecode={_ROOT_NUMBER}:{_RAID}",
            seen.path,
        )  # fmt: skip
    programs.run("udevadm", "settle", "--timeout=30")
    for _, seen in chosen:
        for number in (_ESP_NUMBER, _BOOT_NUMBER, _ROOT_NUMBER):
            _wait_for(part(seen, number))
            programs.run("wipefs", "--all", "--quiet", part(seen, number))


def _empty(seen: SeenDisk) -> None:
    programs.run("wipefs", "--all", "--force", "--quiet", seen.path)
    # The boot loader lies in the first MiB, and the second copy of a GPT in the last.
    with Path(seen.path).open("r+b") as disk:
        disk.write(bytes(2 << 20))
        disk.seek(seen.size_bytes - (1 << 20))
        disk.write(bytes(1 << 20))
    programs.run("blockdev", "--flushbufs", seen.path)
    programs.run("blockdev", "--rereadpt", seen.path)


def mirror(host: str, chosen: list[tuple[Disk, SeenDisk]]) -> None:
    """Make the two arrays, of both disks each.

    Raises:
        Failed: mdadm failed.
    """
    Path("/proc/sys/dev/raid/speed_limit_max").write_text(_RESYNC_KIB)
    for name, number in ((BOOT_ARRAY, _BOOT_NUMBER), (ROOT_ARRAY, _ROOT_NUMBER)):
        programs.run(
            "mdadm", "--create", name, "--run", "--quiet", "--metadata=1.2", "--level=1",
            "--raid-devices=2", "--bitmap=internal", f"--homehost={host}",
            f"--name={name.rpartition('/')[2]}", *(part(seen, number) for _, seen in chosen),
        )  # fmt: skip
        _wait_for(name)
        programs.run("wipefs", "--all", "--quiet", name)


def encrypt(encryption: Encryption) -> None:
    """Make LUKS2 over the larger array, and open it.

    Raises:
        Failed: cryptsetup failed.
    """
    programs.run(
        "cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", "--key-slot=0",
        "--label=root", _METADATA, *DERIVATION, "--key-file=-", ROOT_ARRAY,
        secret=encryption.passphrase,
    )  # fmt: skip
    programs.run(
        "cryptsetup", "open", "--type=luks2", "--key-file=-", ROOT_ARRAY, ROOT_NAME,
        secret=encryption.passphrase,
    )  # fmt: skip


def make_filesystems(chosen: list[tuple[Disk, SeenDisk]], layout: Layout) -> None:
    """Make the file systems, and mount them below `TARGET`.

    Raises:
        Failed: a program failed.
    """
    if layout.root_filesystem == "xfs":
        programs.run("mkfs.xfs", "-q", "-f", "-L", "root", ROOT)
    else:
        programs.run("mkfs.ext4", "-q", "-F", "-L", "root", ROOT)
    programs.run("mkfs.ext4", "-q", "-F", "-L", "boot", BOOT_ARRAY)
    for number, (_, seen) in enumerate(chosen, 1):
        programs.run("mkfs.vfat", "-F", "32", "-n", f"ESP{number}", part(seen, _ESP_NUMBER))
    mount(ROOT, "")
    mount(BOOT_ARRAY, "boot")
    for path, (_, seen) in zip(esp_paths(), chosen, strict=True):
        mount(part(seen, _ESP_NUMBER), path)


def esp_paths() -> tuple[str, str]:
    """Where the EFI system partitions of the two disks are mounted, below the root."""
    return ("boot/efi", "boot/efi2")


def mount(device: str, path: str) -> None:
    """Mount something below `TARGET`.

    Raises:
        Failed: mount failed.
    """
    target = Path(TARGET) / path
    target.mkdir(parents=True, exist_ok=True)
    programs.run("mount", device, str(target))


def uuid_of(device: str) -> str:
    """The UUID of a file system or LUKS header.

    Raises:
        Failed: there is none.
    """
    return programs.run("blkid", "--probe", "-s", "UUID", "-o", "value", device).strip()


def leave() -> None:
    """Unmount and close everything, so that all of it is on the disks.

    Raises:
        Failed: the root cannot be unmounted.
    """
    programs.run("sync")
    if Path(TARGET).is_mount():
        programs.run("umount", "--recursive", TARGET)
    for name in sorted(path.name for path in Path("/dev/mapper").iterdir()):
        if name != "control":
            programs.run("cryptsetup", "close", name)
    for array in (BOOT_ARRAY, ROOT_ARRAY):
        if Path(array).exists():
            programs.run("mdadm", "--stop", "--quiet", array)


def abandon() -> None:
    """As `leave`, as far as it goes: the installation has failed already."""
    with contextlib.suppress(Stop):
        leave()


def _wait_for(path: str) -> None:
    end = time.monotonic() + 30
    while not Path(path).exists():
        if time.monotonic() > end:
            raise Failed("the kernel does not show a device that was just made", expected=path)
        time.sleep(0.1)
