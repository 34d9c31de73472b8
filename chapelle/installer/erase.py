"""Erases disks as an erasure order says, and says what was seen: chapelle/model/erasure.py.

The steps are listed there. Nothing is asserted here: whether a level was reached is judged by the
controller, from what was tried and what reading back has shown.
"""

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chapelle.installer import ways
from chapelle.installer.machine import SeenDisk
from chapelle.installer.programs import run
from chapelle.installer.stop import Stop

FORMAT = 1
_ALIGNED = 4096
_LAST = 2**32 - 1
_BLANK = b""

Progress = Callable[[int], None]


class Erasing:
    """One disk being erased.

    Arguments:
        seen: the disk.
        order: the erasure order for it, as JSON has it.
        version: ours.
        progress: told the percentage of an overwrite.
    """

    def __init__(
        self, seen: SeenDisk, order: dict[str, Any], version: str, progress: Progress
    ) -> None:
        self._seen, self._order, self._version = seen, order, version
        self._progress = progress
        self._length: int = order["sample_bytes"]
        self._steps: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Erase it; what does not work is a step that failed, and never an end without a result."""
        path = self._seen.path
        disk = ways.ask(path)
        headers = ways.luks_headers(path)
        if headers:
            destroy = functools.partial(ways.destroy_luks_headers, path, headers)
            self._try("luks-header", destroy, "cryptsetup")
        before = self._read(self._order["samples"])
        self._write_witnesses()
        for method in self._order["methods"]:
            if method not in disk.offers:
                continue
            act = functools.partial(ways.erase, path, method, self._progress)
            if self._try(method, act, disk.tool(method)):
                break
        return {
            "format": FORMAT,
            "run": self._order["run"],
            "host": self._order["host"],
            "serial": self._seen.serial,
            "manufacturer": disk.manufacturer,
            "model": self._seen.model,
            "firmware": disk.firmware,
            "transport": disk.transport,
            "rotational": self._seen.rotational,
            "size_bytes": self._seen.size_bytes,
            "native_bytes": disk.native_bytes,
            "encrypted": bool(headers),
            "offers": list(disk.offers),
            "steps": self._steps,
            "verification": self._verify(before),
        }

    def _try(self, method: str, act: Callable[[], ways.Done], tool: str) -> bool:
        started = time.time()
        try:
            done = act()
            outcome, said, covered = "done", done.said, done.covered
        except (Stop, OSError) as error:
            said = getattr(error, "found", "") or str(error)
            outcome, covered = "failed", None
        self._steps.append(
            {
                "method": method,
                "outcome": outcome,
                "tool": tool,
                "version": ways.version(tool, self._version),
                "started": started,
                "ended": time.time(),
                "said": " ".join(said.split())[:200],
                "covered": covered,
            }
        )
        return outcome == "done"

    def _verify(self, before: dict[int, bytes | None]) -> dict[str, Any]:
        started = time.time()
        samples = self._read(self._order["samples"])
        witnesses = self._read(self._order["witnesses"])
        text = run("wipefs", "--json", "--no-act", self._seen.path) or "{}"
        found = {each["type"] for each in json.loads(text).get("signatures", [])}
        return {
            "samples": _count(samples, before),
            "witnesses": _count(witnesses, self._written),
            "signatures": sorted(found),
            "tool": ways.OURS,
            "version": self._version,
            "started": started,
            "ended": time.time(),
        }

    def _offset(self, position: int) -> int:
        room = self._seen.size_bytes - self._length
        return room * position // _LAST // _ALIGNED * _ALIGNED

    def _read(self, positions: list[int]) -> dict[int, bytes | None]:
        """The mark of what is at those positions on the disk itself; None where it will not say."""
        found: dict[int, bytes | None] = {}
        for position in positions:
            try:
                found[position] = _mark(
                    ways.read_direct(self._seen.path, self._offset(position), self._length)
                )
            except OSError:
                found[position] = None
        return found

    def _write_witnesses(self) -> None:
        """Write chance at the witnesses; what cannot be written is read as it is."""
        self._written: dict[int, bytes | None] = {}
        with Path(self._seen.path).open("r+b", buffering=0) as disk:
            for position in self._order["witnesses"]:
                data = os.urandom(self._length)
                try:
                    os.pwrite(disk.fileno(), data, self._offset(position))
                    self._written[position] = _mark(data)
                except OSError:
                    self._written[position] = None
            os.fsync(disk.fileno())


def _mark(data: bytes) -> bytes:
    """What stands for data that was read: of many disks with many samples, memory holds no more."""
    if not data.strip(b"\0") or not data.strip(b"\xff"):
        return _BLANK
    return hashlib.sha256(data).digest()


def _count(found: dict[int, bytes | None], before: dict[int, bytes | None]) -> dict[str, int]:
    counts = {"blank": 0, "changed": 0, "same": 0, "unreadable": 0}
    for position, mark in found.items():
        if mark is None or before[position] is None:
            kind = "unreadable"  # nobody can say that it has changed
        elif mark == _BLANK:
            kind = "blank"
        else:
            kind = "same" if mark == before[position] else "changed"
        counts[kind] += 1
    return counts
