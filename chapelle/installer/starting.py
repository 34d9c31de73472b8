"""What makes the new system start: its initramfs, and boot loaders on both disks, BIOS and UEFI."""

import shutil
from pathlib import Path

from chapelle.installer import cpio, partition, programs
from chapelle.installer.identity import write
from chapelle.installer.machine import SeenDisk
from chapelle.installer.order import Disk, Order
from chapelle.installer.partition import TARGET
from chapelle.installer.stop import Failed

_API = ("proc", "sys", "dev", "run")


def bind_api() -> None:
    """Show the kernel's file systems inside the new root, for programs that run there.

    Raises:
        Failed: mount failed.
    """
    for name in _API:
        programs.run("mount", "--rbind", "--make-rslave", f"/{name}", f"{TARGET}/{name}")


def complete_initramfs(network: str) -> None:
    """Add what is this host's only to the initramfs in the image: which disks, which network.

    The kernel unpacks one archive after another, and the later one counts (Linux,
    Documentation/driver-api/early-userspace/buffer-format.rst). A newer kernel's initramfs is made
    on the host, by the hooks that are there.

    Arguments:
        network: the file that says how the Tang servers are reached; empty without any.

    Raises:
        Failed: the image has no initramfs.
    """
    root = Path(TARGET)
    found = sorted((root / "boot").glob("initrd.img-*"))
    if not found:
        raise Failed("the image has no initramfs", expected="boot/initrd.img-VERSION")
    crypttab = (root / "etc/crypttab").read_text().splitlines()
    own = [line.removesuffix(",initramfs") for line in crypttab if line.endswith(",initramfs")]
    files = {"cryptroot/crypttab": "".join(f"{line}\n" for line in own).encode()}
    links = (root / "etc/systemd/network").glob("*.link")
    for path in (
        root / "etc/mdadm/mdadm.conf",
        *([root / network.lstrip("/")] if network else []),
        *links,
    ):
        files[str(path.relative_to(root))] = path.read_bytes()
    for path in found:
        with path.open("ab") as file:
            file.write(bytes(-file.tell() % 4))
            file.write(cpio.archive(files))


def install_boot_loader(order: Order, chosen: list[tuple[Disk, SeenDisk]]) -> None:
    """Write GRUB to both disks, for either firmware, so that each starts without the other.

    For UEFI it lies where firmware looks when it has been told nothing (UEFI 2.10, 3.5.1.1).

    Raises:
        Failed: it cannot be written.
    """
    write("/etc/default/grub", _defaults(order.console))
    for _, seen in chosen:
        programs.run("grub-install", "--target=i386-pc", "--no-floppy", seen.path, root=TARGET)
    first, second = partition.esp_paths()
    programs.run(
        "grub-install", "--target=x86_64-efi", f"--efi-directory=/{first}", "--removable",
        "--no-nvram", root=TARGET,
    )  # fmt: skip
    shutil.copytree(f"{TARGET}/{first}", f"{TARGET}/{second}", dirs_exist_ok=True)
    programs.run("update-grub", root=TARGET)


def _defaults(console: str) -> str:
    port, _, speed = console.partition(",")
    unit = port.removeprefix("ttyS")
    return (
        "# Written by the installer.\n"
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=2\nGRUB_RECORDFAIL_TIMEOUT=2\nGRUB_DISTRIBUTOR=Debian\n"
        "GRUB_DISABLE_OS_PROBER=true\nGRUB_DISABLE_RECOVERY=true\n"
        f'GRUB_CMDLINE_LINUX="console=tty0 console={console}"\nGRUB_CMDLINE_LINUX_DEFAULT=""\n'
        'GRUB_TERMINAL="console serial"\n'
        f'GRUB_SERIAL_COMMAND="serial --unit={unit} --speed={speed or "115200"}"\n'
    )
