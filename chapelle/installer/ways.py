"""What a disk offers to erase itself, and how it is told to.

Sources: NVM Express Base Specification 2.0, 5.24 (Sanitize) and Identify Controller; ATA8-ACS,
SANITIZE and SECURITY feature sets; SBC-4, SANITIZE; nvme(1), hdparm(8), sg_sanitize(8).
"""

import contextlib
import fcntl
import json
import mmap
import os
import re
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from chapelle.installer.programs import run
from chapelle.installer.stop import Failed, Stop

_CHUNK = 4 << 20
_SECTOR = 512

# How a LUKS header begins, and how long the two copies of it with their keys are at the default
# (LUKS2 on-disk format specification, 2.1 and 2.2).
_LUKS = b"LUKS\xba\xbe"
_HEADER_MIB = 16
_BLKDISCARD = 0x1277  # Linux, include/uapi/linux/fs.h

# Seconds for a disk that erases itself: a large one with platters takes a day or two to overwrite.
_PATIENCE = 72 * 3600.0

# ATA erases by a password that has to be set first; it goes with the data.
_PASSWORD = "chapelle"  # noqa: S105
_AS_USER = ("--user-master", "u")

_NVME_ACTIONS = {
    "nvme-sanitize-crypto": (1, "4"),
    "nvme-sanitize-block": (2, "2"),
    "nvme-sanitize-overwrite": (4, "3"),
}
_NVME_FORMATS = {"nvme-format-crypto": "2", "nvme-format-user-data": "1"}
_ATA_SANITIZE = {
    "ata-sanitize-crypto": ("CRYPTO_SCRAMBLE_EXT", ("--sanitize-crypto-scramble",)),
    "ata-sanitize-block": ("BLOCK_ERASE_EXT", ("--sanitize-block-erase",)),
    "ata-sanitize-overwrite": ("OVERWRITE_EXT", ("--sanitize-overwrite", "hex:00000000")),
}
_ATA_SECURITY = {
    "ata-security-enhanced": "--security-erase-enhanced",
    "ata-security": "--security-erase",
}
_SCSI_SANITIZE = {
    "scsi-sanitize-crypto": ("3", "--crypto"),
    "scsi-sanitize-block": ("2", "--block"),
    "scsi-sanitize-overwrite": ("1", "--overwrite"),
}


# What is done without another program's help.
OURS = "chapelle-installer"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a disk says of itself."""

    transport: str
    manufacturer: str
    firmware: str
    native_bytes: int | None
    offers: tuple[str, ...]

    def tool(self, method: str) -> str:
        """The program that carries a method out."""
        kind = method.partition("-")[0]
        return {"nvme": "nvme", "ata": "hdparm", "scsi": "sg_sanitize"}.get(
            kind, "chapelle-installer"
        )


@dataclass(frozen=True, kw_only=True)
class Done:
    """A way that worked: what the tool said, and the bytes written by an overwrite."""

    said: str = ""
    covered: int | None = None


def ask(path: str) -> Offer:
    """What the disk offers; what does not answer offers only what any disk does."""
    block = Path("/sys/class/block") / Path(path).name
    transport = _transport(path)
    try:
        special, native = {"nvme": _nvme, "sata": _ata, "sas": _scsi}[transport](path)
    except (KeyError, Stop, ValueError):
        special, native = (), None
    general = ["overwrite"]
    if int((block / "queue/discard_max_bytes").read_text()):
        general.append("discard")
    return Offer(
        transport=transport,
        manufacturer=_text(block / "device/vendor"),
        firmware=_text(block / "device/rev") or _text(block / "device/firmware_rev"),
        native_bytes=native,
        offers=(*special, *general),
    )


def erase(path: str, method: str, progress: Callable[[int], None]) -> Done:
    """Erase a disk in one way.

    Raises:
        Failed: the disk or the tool says that it did not work.
        OSError: the disk cannot be written.
    """
    if method == "overwrite":
        return _overwrite(path, progress)
    if method in _NVME_ACTIONS:
        return _nvme_sanitize(path, _NVME_ACTIONS[method][1])
    if method in _ATA_SANITIZE:
        return _ata_sanitize(path, _ATA_SANITIZE[method][1])
    if method == "discard":
        return _discard(path)
    return Done(said=_at_once(path, method))


def _at_once(path: str, method: str) -> str:
    """The ways whose tool waits until the disk has come to the end."""
    if method in _NVME_FORMATS:
        return run("nvme", "format", path, f"--ses={_NVME_FORMATS[method]}", "--force")
    if method in _ATA_SECURITY:
        run("hdparm", *_AS_USER, "--security-set-pass", _PASSWORD, path)
        return run("hdparm", *_AS_USER, _ATA_SECURITY[method], _PASSWORD, path)
    if method in _SCSI_SANITIZE:
        return run("sg_sanitize", _SCSI_SANITIZE[method][1], "--quick", "--wait", path)
    raise Failed(f"no such way to erase: {method}")


def luks_headers(path: str) -> tuple[int, ...]:
    """Where LUKS headers begin, in bytes: on the disk, in partitions, in mirrors made of these."""
    block = Path("/sys/class/block") / Path(path).name
    places = [0]
    for part in sorted(each.parent for each in block.glob("*/partition")):
        start = int((part / "start").read_text()) * _SECTOR
        places.append(start)
        with contextlib.suppress(Stop):
            said = run("mdadm", "--examine", f"/dev/{part.name}")
            if match := re.search(r"Data Offset : (\d+) sectors", said):
                places.append(start + int(match[1]) * _SECTOR)
    with Path(path).open("rb") as disk:
        return tuple(place for place in places if _at(disk, place) == _LUKS)


def _at(disk: BinaryIO, place: int) -> bytes:
    disk.seek(place)
    return disk.read(len(_LUKS))


def destroy_luks_headers(path: str, places: Sequence[int]) -> Done:
    """Destroy all keys of LUKS headers, and then both copies of each header.

    Raises:
        Failed: cryptsetup failed.
        OSError: the disk cannot be written.
    """
    for place in places:
        device = run("losetup", "--find", "--show", f"--offset={place}", path).strip()
        try:
            run("cryptsetup", "erase", "--batch-mode", device)
        finally:
            run("losetup", "--detach", device)
        with Path(path).open("r+b", buffering=0) as disk:
            disk.seek(place)
            for _ in range(_HEADER_MIB):
                disk.write(bytes(1 << 20))
            os.fsync(disk.fileno())
    return Done(said=f"{len(places)} headers: all keys destroyed, {_HEADER_MIB} MiB zeroed each")


def version(tool: str, own: str) -> str:
    """A tool's version, as it says itself; our own for what we do without any."""
    if tool not in {"nvme", "hdparm", "sg_sanitize", "cryptsetup"}:
        return own
    option = {"nvme": "version", "hdparm": "-V"}.get(tool, "--version")
    try:
        said = run(tool, option)
    except Stop as stop:  # sg_sanitize says it on standard error
        said = stop.found
    match = re.search(r"\d+(\.\d+)+", said)
    return match[0] if match else "unknown"


def read_direct(path: str, offset: int, length: int) -> bytes:
    """Read from the disk itself, past all caches of the system.

    Raises:
        OSError: the disk would not say.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, length) as buffer:  # aligned, as O_DIRECT wants it
            got = os.preadv(descriptor, [buffer], offset)
            if got != length:
                raise OSError(f"{got} of {length} bytes read")
            return bytes(buffer)
    finally:
        os.close(descriptor)


def _overwrite(path: str, progress: Callable[[int], None]) -> Done:
    size = done = shown = 0
    with Path(path).open("r+b", buffering=0) as disk:
        size = disk.seek(0, os.SEEK_END)
        disk.seek(0)
        while done < size:
            done += disk.write(bytes(min(_CHUNK, size - done)))
            if (percent := 100 * done // size) > shown:
                shown = percent
                progress(percent)
        os.fsync(disk.fileno())
    return Done(said="zeros written", covered=done)


def _discard(path: str) -> Done:
    with Path(path).open("r+b", buffering=0) as disk:
        size = disk.seek(0, os.SEEK_END)
        fcntl.ioctl(disk.fileno(), _BLKDISCARD, struct.pack("QQ", 0, size))
        os.fsync(disk.fileno())
    return Done(said="all blocks discarded")


def _transport(path: str) -> str:
    name = Path(path).name
    if name.startswith("nvme"):
        return "nvme"
    if name.startswith("vd"):
        return "virtio"
    said = run("lsblk", "--nodeps", "--noheadings", "--output", "TRAN", path).strip()
    return said if said in {"sata", "sas"} else "virtio"


def _nvme(path: str) -> tuple[tuple[str, ...], int | None]:
    known = json.loads(run("nvme", "id-ctrl", path, "--output-format=json"))
    offers = [name for name, (bit, _) in _NVME_ACTIONS.items() if known.get("sanicap", 0) & bit]
    if known.get("oacs", 0) & 2:
        offers += ["nvme-format-crypto"] if known.get("fna", 0) & 4 else []
        offers.append("nvme-format-user-data")
    return tuple(offers), None


def _nvme_sanitize(path: str, action: str) -> Done:
    run("nvme", "sanitize", path, f"--sanact={action}")
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        log = json.loads(run("nvme", "sanitize-log", path, "--output-format=json"))
        inner = next(iter(log.values())) if len(log) == 1 else log
        status = inner.get("sstat", inner)
        status = status.get("status", 0) if isinstance(status, dict) else int(status)
        if status & 7 in {1, 4}:
            return Done(said=f"sanitize status {status & 7}")
        if status & 7 == 3:
            raise Failed("the disk could not sanitize itself", found=f"status {status & 7}")
        time.sleep(2)
    raise Failed("the disk does not come to an end", found="still sanitizing")


def _ata(path: str) -> tuple[tuple[str, ...], int | None]:
    text = run("hdparm", "-I", path)
    offers = [name for name, (word, _) in _ATA_SANITIZE.items() if word in text]
    security = text.partition("Security:")[2]
    if re.search(r"^\s+supported$", security, re.MULTILINE) and "not\tfrozen" in security:
        if "supported: enhanced erase" in security:
            offers.append("ata-security-enhanced")
        offers.append("ata-security")
    native = re.search(r"max sectors\s*=\s*\d+/(\d+)", run("hdparm", "-N", path))
    return tuple(offers), int(native[1]) * 512 if native else None


def _ata_sanitize(path: str, options: tuple[str, ...]) -> Done:
    run("hdparm", "--yes-i-know-what-i-am-doing", *options, path)
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        said = run("hdparm", "--sanitize-status", path)
        if "SD0" in said or "completed" in said.lower():
            return Done(said=said)
        time.sleep(2)
    raise Failed("the disk does not come to an end", found="still sanitizing")


def _scsi(path: str) -> tuple[tuple[str, ...], int | None]:
    offers = []
    for name, (service, _) in _SCSI_SANITIZE.items():
        try:
            run("sg_opcodes", f"--opcode=0x48,{service}", path)
        except Stop:
            continue
        offers.append(name)
    return tuple(offers), None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
