"""What a BMC puts into the virtual CD drive of a host: iPXE alone, as Debian builds it.

It asks DHCP, as iPXE that came by PXE does, and is told its window's script. So nothing in it is a
host's own, and who may go on is decided where it is for every other way to boot.
Sources: El Torito 1.0; UEFI 2.10, 13.3.2.1 (a CD's EFI system partition) and 3.5.1.1 (BOOTX64.EFI).
"""

import contextlib
import hashlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

from chapelle import process
from chapelle.drivers.boot.opened import MEDIUM, TOKEN_BYTES
from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.boot import BootFile, Firmware

# For BIOS there is a medium in Debian's package. For UEFI it has iPXE only: with drivers of its
# own, for the smaller one of PXE drives no card but the one that it was loaded by.
BIOS_MEDIUM = Path("/usr/lib/ipxe/ipxe.iso")
UEFI_LOADER = Path("/usr/lib/ipxe/ipxe.efi")
PACKAGES = {"mformat": "mtools", "mcopy": "mtools", "mmd": "mtools", "xorriso": "xorriso"}
# A floppy of 2.88 MB, which the firmware takes for the EFI system partition.
FLOPPY_SECTORS = "2880"
SECONDS = 60

_OURS = re.compile(rf"/[0-9a-f]{{{2 * TOKEN_BYTES}}}/{re.escape(MEDIUM)}$")


def made(firmware: Firmware, place: Path) -> BootFile:
    """The medium for that firmware; one that has to be made is in `place`.

    Raises:
        RefusedError: something that it is made of or with is missing.
        ChapelleError: it cannot be made.
    """
    _require(firmware)
    path = BIOS_MEDIUM if firmware == "bios" else _uefi(place)
    return BootFile(path=path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def is_ours(url: str) -> bool:
    """Whether it is the URL of a boot window's medium, of this run or of one before."""
    return bool(_OURS.search(url))


def shown(url: str) -> str:
    """A URL without what may be secret in it: who logs in, and what is asked."""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path
    return "something that is no URL"


def _uefi(place: Path) -> Path:
    made = place / MEDIUM
    with tempfile.TemporaryDirectory(dir=place) as folder:
        partition = Path(folder) / "esp.img"
        for command in (
            ["mformat", "-C", "-i", str(partition), "-f", FLOPPY_SECTORS, "::"],
            ["mmd", "-i", str(partition), "::EFI", "::EFI/BOOT"],
            ["mcopy", "-i", str(partition), str(UEFI_LOADER), "::EFI/BOOT/BOOTX64.EFI"],
            ["xorriso", "-as", "mkisofs", "-quiet", "-V", "CHAPELLE", "-o", str(made),
             "-e", partition.name, "-no-emul-boot", folder],
        ):  # fmt: skip
            _run(command)
    return made


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        env=process.environment(),
        check=False,
    )
    if done.returncode:
        raise ChapelleError(
            "The medium for a boot by virtual media cannot be made.",
            where=command[0],
            expected="exit status 0",
            found=f"{done.returncode}: {' '.join(done.stderr.split())[-300:]}",
        )


def _require(firmware: Firmware) -> None:
    needed = BIOS_MEDIUM if firmware == "bios" else UEFI_LOADER
    missing = {} if needed.exists() else {str(needed): "ipxe"}
    if firmware == "uefi":
        missing |= {name: package for name, package in PACKAGES.items() if not shutil.which(name)}
    if missing:
        packages = sorted(set(missing.values()))
        raise RefusedError(
            "What the medium for a boot by virtual media is made of is missing.",
            expected=", ".join(missing),
            found=f"nothing of {', '.join(packages)}",
            remedy=f"run ./bootstrap once, or apt-get install {' '.join(packages)}",
        )
