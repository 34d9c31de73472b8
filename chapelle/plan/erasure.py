"""Which ways to erase a disk are tried, and which level was reached: pure functions.

Levels are those of NIST SP 800-88 Rev. 2 (September 2025), which leaves the techniques of each kind
of disk to IEEE 2883-2022. Where that leaves room, the lower level is said:

- `purge`: the disk's own sanitize command, which reaches what nobody can address: spare and
  remapped areas. The disk must say that it ended well, and reading back must agree.
- `clear`: the older erase commands of ATA and NVMe, whose reach the makers define each for
  themselves, and overwriting or discarding, which reach what can be addressed.
- `none`: nothing was done in full, or reading back does not agree. The destruction of a LUKS header
  alone is none: the data is there, and backups of the header and the passphrase may be, too.
- `destroy`: what a person says, and no program can.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, cast

import msgspec

from chapelle.errors import InputError, RefusedError
from chapelle.model.erasure import (
    FORMAT,
    Assessment,
    Certificate,
    Destruction,
    Level,
    Method,
    Order,
    Reading,
    Remark,
    Result,
    Step,
)

# What each method reaches at best, and what reading back finds after it: nothing (`blank`), or
# something else than before (`changed`), since a changed key makes noise of all data. The strongest
# first; of one level the quickest first, since data of ours is encrypted besides.
METHODS: Mapping[Method, tuple[Level, Literal["blank", "changed"]]] = {
    "nvme-sanitize-crypto": ("purge", "changed"),
    "scsi-sanitize-crypto": ("purge", "changed"),
    "ata-sanitize-crypto": ("purge", "changed"),
    "nvme-sanitize-block": ("purge", "blank"),
    "scsi-sanitize-block": ("purge", "blank"),
    "ata-sanitize-block": ("purge", "blank"),
    "nvme-sanitize-overwrite": ("purge", "blank"),
    "scsi-sanitize-overwrite": ("purge", "blank"),
    "ata-sanitize-overwrite": ("purge", "blank"),
    "nvme-format-crypto": ("clear", "changed"),
    "nvme-format-user-data": ("clear", "blank"),
    "ata-security-enhanced": ("clear", "blank"),
    "ata-security": ("clear", "blank"),
    "overwrite": ("clear", "blank"),
    "discard": ("clear", "blank"),
}

LAST_POSITION = 2**32 - 1
_PARTS = 1000
_SAMPLE_BYTES = 65536
_BLOCK = 4096


# -- the order ------------------------------------------------------------------------------------


def order(run: str, host: str, serial: str, *, parts: int = _PARTS) -> Order:
    """What to do to one disk. The same run, host and disk give the same order.

    The disk is divided into equal parts. In each lie one sample and one witness, where chance has
    it; the first and the last place are samples, too, where headers and their backups are.

    Arguments:
        run: the run that orders it.
        host: the host that the disk is in.
        serial: the disk's.
        parts: how many.
    """
    seed = f"{run}/{host}/{serial}"
    return Order(
        run=run,
        host=host,
        serial=serial,
        methods=tuple(METHODS),
        sample_bytes=_SAMPLE_BYTES,
        samples=(0, *_positions(seed, parts, first_half=True), LAST_POSITION),
        witnesses=tuple(_positions(seed, parts, first_half=False)),
    )


def _positions(seed: str, parts: int, *, first_half: bool) -> Iterator[int]:
    """A position in one half of each part: samples and witnesses do not meet."""
    for part in range(parts):
        half = 2 * part + (0 if first_half else 1)
        begin = half * LAST_POSITION // (2 * parts)
        width = (half + 1) * LAST_POSITION // (2 * parts) - begin
        digest = hashlib.sha256(f"{seed}/{half}".encode()).digest()
        # The first and the last tenth are left out, so that neighbours keep their distance.
        yield begin + width // 10 + int.from_bytes(digest[:8]) % (width * 8 // 10)


def offset(position: int, size_bytes: int, sample_bytes: int) -> int:
    """Where a position is on a disk of that size, in bytes."""
    return (size_bytes - sample_bytes) * position // LAST_POSITION // _BLOCK * _BLOCK


# -- what was reached -----------------------------------------------------------------------------


def assess(ordered: Order, result: Result, *, escrow_destroyed: bool | None = None) -> Assessment:
    """The level that a disk has reached.

    Arguments:
        ordered: what was ordered.
        result: what was done.
        escrow_destroyed: whether header backups and passphrase are gone, too; None: not known.

    Raises:
        InputError: the result is not that of the order.
    """
    for name in ("run", "host", "serial"):
        wanted, found = getattr(ordered, name), getattr(result, name)
        if wanted != found:
            raise InputError(
                f"The result of an erasure is of another {name}.",
                where=f"{ordered.host}, disk {ordered.serial}",
                expected=wanted,
                found=found or "nothing",
                remedy="look at the installer's report; nothing is certified",
            )
    faults = tuple(_faults(ordered, result))
    best = _best(ordered, result)
    if faults or best is None:
        return Assessment(
            level="none",
            method="",
            why=faults or (Remark(code="not-done"),),
            not_measured=tuple(_not_measured("none", ordered, result, escrow_destroyed)),
        )
    method = cast("Method", best.method)
    level = METHODS[method][0]
    return Assessment(
        level=level,
        method=method,
        why=(Remark(code=f"reaches-{level}"), *_stronger(result, method)),
        not_measured=tuple(_not_measured(level, ordered, result, escrow_destroyed)),
    )


def _done(ordered: Order, result: Result) -> list[Step]:
    return [s for s in result.steps if s.outcome == "done" and s.method in ordered.methods]


def _best(ordered: Order, result: Result) -> Step | None:
    """Of what was done, the strongest."""
    ranks = list(METHODS)
    return min(_done(ordered, result), key=lambda step: ranks.index(_method(step)), default=None)


def _method(step: Step) -> Method:
    return cast("Method", step.method)


def _stronger(result: Result, method: Method) -> Iterator[Remark]:
    """The methods that the disk said it had, which are stronger, and did not work."""
    for other in METHODS:
        if other == method:
            return
        if METHODS[other][0] != METHODS[method][0] and other in result.offers:
            yield Remark(code="stronger-failed", value=other)


def _faults(ordered: Order, result: Result) -> Iterator[Remark]:
    """All that keeps the disk from counting as erased."""
    done = _done(ordered, result)
    if not done:
        yield Remark(code="not-done")
        return
    reaches_all = any(METHODS[_method(step)][0] == "purge" for step in done)
    for step in done:
        if step.method == "overwrite" and step.covered != result.size_bytes and not reaches_all:
            yield Remark(code="not-whole", value=f"{step.covered or 0} / {result.size_bytes}")
    hidden = (result.native_bytes or 0) - result.size_bytes
    if hidden > 0 and not reaches_all:
        yield Remark(code="hidden-area", value=str(hidden))
    if result.verification is None:
        yield Remark(code="not-verified")
        return
    expected = METHODS[_method(done[-1])][1]
    read = result.verification
    for name, reading, positions in (
        ("samples", read.samples, ordered.samples),
        ("witnesses", read.witnesses, ordered.witnesses),
    ):
        yield from _misread(name, reading, len(positions), expected)
    if read.signatures:
        yield Remark(code="signatures", value=", ".join(read.signatures))


def _misread(
    name: str, reading: Reading, wanted: int, expected: Literal["blank", "changed"]
) -> Iterator[Remark]:
    checks: tuple[tuple[str, int, Callable[[int], bool]], ...] = (
        (f"too-few-{name}", reading.count, lambda count: count < max(wanted, 1)),
        (f"unreadable-{name}", reading.unreadable, bool),
        (f"same-{name}", reading.same, bool),
        (f"not-blank-{name}", reading.changed, lambda count: expected == "blank" and count > 0),
    )
    for code, count, wrong in checks:
        if wrong(count):
            yield Remark(code=code, value=f"{count} / {wanted}")


def _not_measured(
    level: Level, ordered: Order, result: Result, escrow_destroyed: bool | None
) -> Iterator[Remark]:
    """What the level rests on, or does not, and nobody has looked at."""
    positions = len(ordered.samples) + len(ordered.witnesses)
    read = min(positions * ordered.sample_bytes / max(result.size_bytes, 1), 1.0)
    yield Remark(code="rest", value=f"{100 * read:.4f}")
    if result.native_bytes is None:
        yield Remark(code="hidden-areas")
    if level != "purge":
        yield Remark(code="spare-areas")
    if result.encrypted and not escrow_destroyed:
        yield Remark(code="escrow-there" if escrow_destroyed is False else "escrow")
    yield Remark(code="second-reader")


# -- the certificate ------------------------------------------------------------------------------


def certificate(
    ordered: Order,
    result: Result,
    *,
    site: str,
    operator: str,
    item: int,
    name: str,
    plan: str,
    escrow_destroyed: bool | None = None,
) -> Certificate:
    """The certificate of one disk.

    Arguments:
        ordered: what was ordered.
        result: what was done.
        site: where.
        operator: who gave the command.
        item: the disk's id in NetBox.
        name: the disk's name in NetBox.
        plan: the hash of the run's plan.
        escrow_destroyed: whether header backups and passphrase are gone, too; None: not known.

    Raises:
        InputError: the result is not that of the order.
    """
    return Certificate(
        site=site,
        operator=operator,
        item=item,
        name=name,
        plan=plan,
        order=ordered,
        result=result,
        escrow_destroyed=escrow_destroyed,
        assessment=assess(ordered, result, escrow_destroyed=escrow_destroyed),
    )


_DESTROYED = Assessment(
    level="destroy",
    method="",
    why=(Remark(code="reaches-destroy"),),
    not_measured=(Remark(code="destruction"),),
)


def destroyed(made: Certificate, destruction: Destruction) -> Certificate:
    """The certificate with what a person says of the disk's destruction. What was done is kept."""
    return msgspec.structs.replace(made, assessment=_DESTROYED, destruction=destruction)


def digest(made: Certificate) -> str:
    """SHA-256 of the certificate's canonical form, as hex digits."""
    return hashlib.sha256(msgspec.json.encode(made, order="deterministic")).hexdigest()


def encode(made: Certificate) -> bytes:
    """The certificate as the bytes of a file, with its hash, for people to read too."""
    document = {"sha256": digest(made), "certificate": made}
    return msgspec.json.format(msgspec.json.encode(document, order="deterministic")) + b"\n"


class _File(msgspec.Struct):
    sha256: str
    certificate: Certificate


def read(path: Path) -> Certificate:
    """Read a certificate from its file, and judge again what it says was done.

    Raises:
        InputError: the file cannot be read, or is no certificate of this format.
        RefusedError: its content is not what its hash was made of, or its level does not follow
            from what was done.
    """
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError) as error:
        raise _stranger(path, str(error)) from error
    if file.certificate.format != FORMAT:
        raise _stranger(path, f"format {file.certificate.format}")
    made = file.certificate
    if digest(made) != file.sha256:
        raise _altered(path, f"content with hash {file.sha256}", f"hash {digest(made)}")
    follows = assess(made.order, made.result, escrow_destroyed=made.escrow_destroyed)
    follows = _DESTROYED if made.destruction else follows
    if made.assessment != follows:
        raise _altered(
            path,
            f"level {follows.level}, which follows from what was done",
            f"level {made.assessment.level}, or other grounds for it",
        )
    return made


def _altered(path: Path, expected: str, found: str) -> RefusedError:
    return RefusedError(
        "The certificate was altered after it was made.",
        where=str(path),
        expected=expected,
        found=found,
        remedy="take the copy that is attached in NetBox, or the run's own",
    )


def _stranger(path: Path, found: str) -> InputError:
    return InputError(
        "This is no certificate of an erasure.",
        where=str(path),
        expected=f"a certificate of format {FORMAT}",
        found=found,
    )
