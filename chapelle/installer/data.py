"""Data disks: LUKS2 on the whole disk and XFS in it. What is there is never made anew.

Each is opened at boot by a key file that lies on the encrypted root: who cannot open the root
cannot open them. The recovery passphrase opens them, too.
"""

import json
import os
from pathlib import Path

from chapelle.installer import programs
from chapelle.installer.machine import SeenDisk
from chapelle.installer.order import Disk, Encryption
from chapelle.installer.partition import DERIVATION, TARGET
from chapelle.installer.stop import Failed

KEYS = "/etc/cryptsetup-keys.d"

# Key slots: the passphrase's, and that of the key file of the system that is installed now.
_RECOVERY, _SYSTEM = "0", "1"


def bring_up(disk: Disk, seen: SeenDisk, encryption: Encryption) -> str:
    """Open a data disk of this host; make it first if the order permits it and nothing is on it.

    Returns:
        What was done, in a few words.

    Raises:
        Failed: it does not open with the passphrase, or what is inside is not what it should be.
    """
    secret = encryption.passphrase
    made = seen.mark != disk.mark.lower() or not _has_keys(seen.path)
    if made:
        if disk.action != "format":
            raise Failed(f"disk {disk.name} cannot be opened by any key", found="no key slots")
        programs.run(
            "cryptsetup", "luksFormat", "--batch-mode", "--type=luks2", f"--key-slot={_RECOVERY}",
            f"--uuid={disk.mark}", *DERIVATION, "--key-file=-", seen.path, secret=secret,
        )  # fmt: skip
    if not programs.succeeds(
        "cryptsetup", "open", "--type=luks2", "--key-file=-", seen.path, disk.label, secret=secret
    ):
        raise Failed(
            f"data disk {disk.name} ({disk.serial}) is ours, and does not open",
            expected="the host's recovery passphrase to open it",
            found="it opens nothing; nothing was written to this disk",
        )
    inside = f"/dev/mapper/{disk.label}"
    holds = programs.run("wipefs", "--noheadings", "--output=TYPE", inside).split()
    if not holds and disk.action == "format":
        programs.run("mkfs.xfs", "-q", "-L", disk.label, inside)
        return "made"
    if holds != ["xfs"]:
        raise Failed(
            f"data disk {disk.name} ({disk.serial}) has lost its file system",
            expected="xfs",
            found=", ".join(holds) or "nothing",
        )
    return "kept"


def give_key(disk: Disk, seen: SeenDisk, encryption: Encryption) -> None:
    """Make the new system's key file for a data disk; an earlier system's opens it no longer.

    Raises:
        Failed: cryptsetup failed.
    """
    key = Path(f"{TARGET}{KEYS}") / f"{disk.label}.key"
    key.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400), "wb") as file:
        file.write(os.urandom(64))
    if _SYSTEM in _slots(seen.path):
        programs.run("cryptsetup", "luksKillSlot", "--batch-mode", "--key-file=-", seen.path,
                     _SYSTEM, secret=encryption.passphrase)  # fmt: skip
    programs.run(
        "cryptsetup", "luksAddKey", "--batch-mode", "--key-file=-", f"--new-key-slot={_SYSTEM}",
        *DERIVATION, seen.path, str(key), secret=encryption.passphrase,
    )  # fmt: skip


def _has_keys(path: str) -> bool:
    return bool(_slots(path))


def _slots(path: str) -> set[str]:
    text = programs.run("cryptsetup", "luksDump", "--dump-json-metadata", path)
    return set(json.loads(text)["keyslots"])
