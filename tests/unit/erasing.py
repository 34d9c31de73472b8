"""A disk that is a file, and an eraser that does with it what `chapelle/model/erasure.py` says.

The disk may do less than it says: that is what the verification is for.
"""

import random
from collections.abc import Sequence
from pathlib import Path

from chapelle.model.erasure import (
    LUKS_HEADER,
    Method,
    Order,
    Reading,
    Result,
    Step,
    Verification,
)
from chapelle.plan.erasure import offset

SIZE = 8 * 1024 * 1024
START = 1_780_000_000.0
LUKS = b"LUKS\xba\xbe"


class FileDisk:
    """A disk of `SIZE` bytes, full of data; `works` are the methods that do what they say.

    A method that is in `offers` and not in `works` says that it is done, and does nothing; one in
    `breaks` says that it failed. Positions from `bad` on (in bytes) cannot be read.
    """

    def __init__(
        self,
        path: Path,
        *,
        offers: Sequence[Method],
        works: Sequence[Method] | None = None,
        breaks: Sequence[Method] = (),
        bad: int = SIZE,
        seed: int = 1,
    ) -> None:
        self.path = path
        self.offers = tuple(offers)
        self.works = self.offers if works is None else tuple(works)
        self.breaks = tuple(breaks)
        self.bad = bad
        self.noise = random.Random(seed)  # noqa: S311
        path.write_bytes(LUKS + self.noise.randbytes(SIZE - len(LUKS)))

    def read(self, at: int, size: int) -> bytes | None:
        if at + size > self.bad:
            return None
        with self.path.open("rb") as file:
            file.seek(at)
            return file.read(size)

    def write(self, at: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    def do(self, method: Method) -> bool:
        """Carry the method out, or pretend to. Returns whether the disk says that it is done."""
        if method in self.breaks:
            return False
        if method in self.works:
            crypto = method.endswith("-crypto")
            self.write(0, self.noise.randbytes(SIZE) if crypto else bytes(SIZE))
        return True


def erase(order: Order, disk: FileDisk, *, covered: int = SIZE) -> Result:
    """What the installer does with an order."""
    encrypted = disk.read(0, len(LUKS)) == LUKS
    steps = []
    if encrypted:
        disk.write(0, bytes(4096))
        steps.append(_step(LUKS_HEADER, 0, done=True))
    places = {
        kind: [offset(position, SIZE, order.sample_bytes) for position in positions]
        for kind, positions in (("samples", order.samples), ("witnesses", order.witnesses))
    }
    for at in places["witnesses"]:
        disk.write(at, disk.noise.randbytes(order.sample_bytes))
    before = {at: disk.read(at, order.sample_bytes) for kind in places for at in places[kind]}
    for number, method in enumerate(order.methods, start=1):
        if method not in disk.offers:
            continue
        done = disk.do(method)
        steps.append(_step(method, number, done=done, covered=covered))
        if done:
            break
    counted = {
        kind: _reading([(before[at], disk.read(at, order.sample_bytes)) for at in places[kind]])
        for kind in places
    }
    return Result(
        run=order.run, host=order.host, serial=order.serial,
        manufacturer="Example", model="EX-480", firmware="1.07", transport="sata",
        rotational=False, size_bytes=SIZE, native_bytes=SIZE, encrypted=encrypted,
        offers=disk.offers, steps=tuple(steps),
        verification=Verification(
            samples=counted["samples"], witnesses=counted["witnesses"],
            signatures=("crypto_LUKS",) if disk.read(0, len(LUKS)) == LUKS else (),
            tool="eraser", version="1", started=START + 900, ended=START + 960,
        ),
    )  # fmt: skip


def _step(method: str, number: int, *, done: bool, covered: int | None = None) -> Step:
    return Step(
        method=method,
        outcome="done" if done else "failed",
        tool="eraser",
        version="1",
        started=START + number,
        ended=START + number + 30,
        said="status 0x101" if done else "aborted command",
        covered=covered if method == "overwrite" else None,
    )


def _reading(pairs: Sequence[tuple[bytes | None, bytes | None]]) -> Reading:
    counts = {"blank": 0, "changed": 0, "same": 0, "unreadable": 0}
    for before, after in pairs:
        if after is None:
            counts["unreadable"] += 1
        elif after in (bytes(len(after)), b"\xff" * len(after)):
            counts["blank"] += 1
        else:
            counts["same" if after == before else "changed"] += 1
    return Reading(**counts)
