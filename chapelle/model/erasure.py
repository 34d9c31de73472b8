"""The erasure of a disk: what is ordered, what was done, and what a certificate says of it.

The order goes to the installer, which runs on the host and knows nothing of this package; the
result comes back from it. Both are JSON. What the installer does with an order, for one disk:

1. It finds the disk by its serial number, asks it what it offers, and its true size.
2. It destroys the LUKS header, if there is one (`luks-header`): from then on nobody can read what
   is encrypted, even if the power goes. `cryptsetup erase`, then both areas of the header zeroed.
3. It reads the `samples`, and writes random bytes at the `witnesses`.
4. It goes through `methods` in their order, skips what the disk does not offer, and stops after the
   first that the disk says is done. Each one tried is a step of the result.
5. It reads samples and witnesses again, past all caches, counts what it finds, and looks for
   signatures (`wipefs --no-act`).

A position is a whole number from 0 to 2**32 - 1; its offset in bytes is
`(size - sample_bytes) * position // (2**32 - 1)`, rounded down to 4096 bytes.

Sizes in bytes, times in seconds since the epoch.
"""

from typing import Literal

import msgspec

FORMAT = 1

# The levels of NIST SP 800-88 Rev. 2, and `none` for what did not reach the lowest.
type Level = Literal["none", "clear", "purge", "destroy"]

# Ways to erase, as disks offer them. `sanitize` is a command of the disk, for all its areas, those
# that nobody can address too; `overwrite` is zeros written by the host, `discard` is TRIM or UNMAP.
type Method = Literal[
    "nvme-sanitize-crypto",
    "nvme-sanitize-block",
    "nvme-sanitize-overwrite",
    "scsi-sanitize-crypto",
    "scsi-sanitize-block",
    "scsi-sanitize-overwrite",
    "ata-sanitize-crypto",
    "ata-sanitize-block",
    "ata-sanitize-overwrite",
    "nvme-format-crypto",
    "nvme-format-user-data",
    "ata-security-enhanced",
    "ata-security",
    "overwrite",
    "discard",
]

# What comes before all methods, and is none: it leaves the encrypted data where it is.
LUKS_HEADER = "luks-header"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done to one disk.

    Arguments:
        run: the run that orders it.
        host: the host that the disk is in.
        serial: the disk's.
        methods: from the strongest on.
        sample_bytes: how much is read, or written, at each position.
        samples: positions where what is there is compared before and after.
        witnesses: other positions, where random bytes are written before, to see whether they go.
    """

    format: int = FORMAT
    run: str
    host: str
    serial: str
    methods: tuple[Method, ...]
    sample_bytes: int
    samples: tuple[int, ...]
    witnesses: tuple[int, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried.

    Arguments:
        method: a method, or `luks-header`.
        outcome: what became of it, as the disk or the tool says.
        tool: the program that did it, and its version.
        started: when.
        ended: when.
        said: one line of what the tool or the disk said, such as a status.
        covered: how many bytes were written, of an overwrite.
    """

    method: str
    outcome: Literal["done", "failed"]
    tool: str
    version: str
    started: float
    ended: float
    said: str = ""
    covered: int | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at some positions afterwards; each counts once.

    Arguments:
        blank: all bytes there are alike (all 0, or all 255, as flash may read).
        changed: not blank, and not what was there before.
        same: not blank, and what was there before.
        unreadable: the disk would not say; or it is not blank, and would not say before.
    """

    blank: int
    changed: int
    same: int
    unreadable: int

    @property
    def count(self) -> int:
        """How many positions were looked at."""
        return self.blank + self.changed + self.same + self.unreadable


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What reading the disk back has shown.

    Arguments:
        samples: what was found where nothing was written.
        witnesses: what was found where random bytes had been written.
        signatures: what is still recognised on the disk, as wipefs(8) names it.
        tool: the program that read, and its version.
        started: when.
        ended: when.
    """

    samples: Reading
    witnesses: Reading
    signatures: tuple[str, ...]
    tool: str
    version: str
    started: float
    ended: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to one disk.

    Arguments:
        run: of the order.
        host: of the order.
        serial: as the disk says.
        manufacturer: as the disk says; empty if it does not.
        model: as the disk says.
        firmware: its version.
        transport: how it is connected: `nvme`, `sata`, `sas` or `virtio`.
        rotational: it has platters.
        size_bytes: what can be addressed.
        native_bytes: what could be addressed without a hidden area (HPA, DCO); None: not asked.
        encrypted: there was a LUKS header.
        offers: the methods that the disk says it has.
        steps: what was tried, in order of time.
        verification: None if nothing was read back.
    """

    format: int = FORMAT
    run: str
    host: str
    serial: str
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""
    transport: str = ""
    rotational: bool
    size_bytes: int
    native_bytes: int | None = None
    encrypted: bool
    offers: tuple[Method, ...]
    steps: tuple[Step, ...]
    verification: Verification | None = None


class Remark(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that a certificate says in words of its reader: which, and the value in it."""

    code: str
    value: str = ""


class Destruction(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says: that the disk was destroyed. Nobody measures it.

    Arguments:
        technique: such as shredding, with the size of the pieces.
        by: who did it.
        witness: who saw it.
        at: when.
    """

    technique: str
    by: str
    witness: str
    at: float


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What was reached, and why that and no more.

    Arguments:
        level: reached, by what was done and verified.
        method: that reached it; empty for `none` and `destroy`.
        why: the grounds; for `none` everything that was wrong.
        not_measured: what nobody has looked at.
    """

    level: Level
    method: str
    why: tuple[Remark, ...]
    not_measured: tuple[Remark, ...]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one disk, for the auditor: one to a disk.

    Arguments:
        site: where.
        operator: who gave the command.
        item: the disk's id in NetBox, and `name` its name there.
        plan: the hash of the plan of the run.
        order: what was ordered.
        result: what was done.
        escrow_destroyed: whether header backups and passphrase are gone, too; None: not known.
        assessment: the level that was reached.
        destruction: what a person adds.
    """

    format: int = FORMAT
    site: str
    operator: str
    item: int
    name: str
    plan: str
    order: Order
    result: Result
    escrow_destroyed: bool | None = None
    assessment: Assessment
    destruction: Destruction | None = None
