"""What makes the new system start: its initramfs, and boot loaders on both disks, BIOS and UEFI."""

from pathlib import Path

from chapelle.installer import partition, programs
from chapelle.installer.identity import write
from chapelle.installer.machine import SeenDisk
from chapelle.installer.order import Disk, Order
from chapelle.installer.partition import TARGET

_API = ("proc", "sys", "dev", "run")


def bind_api() -> None:
    """Show the kernel's file systems inside the new root, for programs that run there.

    Raises:
        Failed: mount failed.
    """
    for name in _API:
        programs.run("mount", "--rbind", "--make-rslave", f"/{name}", f"{TARGET}/{name}")


def make_initramfs() -> None:
    """Make the initramfs of each kernel in the image.

    Raises:
        Failed: it cannot be made.
    """
    for kernel in sorted(Path(f"{TARGET}/usr/lib/modules").iterdir()):
        programs.run("update-initramfs", "-c", "-k", kernel.name, root=TARGET)


def install_boot_loader(order: Order, chosen: list[tuple[Disk, SeenDisk]]) -> None:
    """Write GRUB to both disks, for either firmware, so that each starts without the other.

    For UEFI it lies where firmware looks when it has been told nothing (UEFI 2.10, 3.5.1.1).

    Raises:
        Failed: it cannot be written.
    """
    write("/etc/default/grub", _defaults(order.console))
    for _, seen in chosen:
        programs.run("grub-install", "--target=i386-pc", "--no-floppy", seen.path, root=TARGET)
    for path in partition.esp_paths():
        programs.run(
            "grub-install", "--target=x86_64-efi", f"--efi-directory=/{path}", "--removable",
            "--no-nvram", root=TARGET,
        )  # fmt: skip
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
