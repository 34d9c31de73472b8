"""The installer erases real block devices (loop devices of this machine), and tells what it saw."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chapelle.installer import machine, ways
from chapelle.installer.erase import Erasing
from chapelle.model import erasure

SIZE = 64 << 20
LAST = 2**32 - 1
SAMPLES = tuple(LAST * part // 8 for part in range(9))
WITNESSES = tuple(LAST * part // 7 for part in range(1, 7))

PROGRAMS = ("losetup", "cryptsetup", "wipefs", "lsblk")

pytestmark = pytest.mark.lab


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A disk full of data, with a LUKS header."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or lacking:
        pytest.skip(f"this needs root and {', '.join(lacking) or 'nothing else'}")
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(SIZE))
    made = subprocess.run(
        ["losetup", "--find", "--show", path], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no loop devices here: {made.stderr.strip()}")
    device = made.stdout.strip()
    subprocess.run(
        ["cryptsetup", "luksFormat", "--batch-mode", "--pbkdf=pbkdf2",
         "--pbkdf-force-iterations=1000", "--key-file=-", device],
        input=b"secret", check=True,
    )  # fmt: skip
    yield device
    subprocess.run(["losetup", "--detach", device], check=True)


def seen(device: str) -> machine.SeenDisk:
    return machine.SeenDisk(
        path=device,
        serial="S1",
        size_bytes=SIZE,
        model="loop",
        rotational=False,
        signatures=("crypto_LUKS",),
        mark="",
    )


def order(*methods: str) -> dict[str, Any]:
    return {
        "format": 1,
        "run": "run-1",
        "host": "host-1",
        "serial": "S1",
        "methods": list(methods),
        "sample_bytes": 4096,
        "samples": list(SAMPLES),
        "witnesses": list(WITNESSES),
    }


def erase(device: str, *methods: str) -> dict[str, Any]:
    return Erasing(seen(device), order(*methods), "1.0", lambda _percent: None).run()


def test_a_disk_is_overwritten_and_nothing_is_left(disk: str) -> None:
    result = erase(disk, "nvme-sanitize-crypto", "overwrite", "discard")
    assert msgspec.convert(result, erasure.Result).serial == "S1"
    steps = [(step["method"], step["outcome"]) for step in result["steps"]]
    assert steps == [("luks-header", "done"), ("overwrite", "done")]
    assert result["steps"][1]["covered"] == SIZE
    assert result["encrypted"]
    assert "overwrite" in result["offers"]
    verified = result["verification"]
    none = {"changed": 0, "same": 0, "unreadable": 0}
    assert verified["samples"] == {"blank": len(SAMPLES), **none}
    assert verified["witnesses"] == {"blank": len(WITNESSES), **none}
    assert verified["signatures"] == []
    assert Path(disk).read_bytes() == bytes(SIZE)


def test_what_was_not_erased_is_told_as_it_is(disk: str) -> None:
    """No method fits: the keys are gone, the encrypted data are not."""
    result = erase(disk, "ata-security")
    assert [step["method"] for step in result["steps"]] == ["luks-header"]
    verified = result["verification"]
    assert verified["witnesses"]["same"] == len(WITNESSES)
    assert verified["samples"]["same"] > 0
    assert verified["signatures"] == []
    opened = subprocess.run(
        ["cryptsetup", "open", "--test-passphrase", "--key-file=-", disk],
        input=b"secret", capture_output=True, check=False,
    )  # fmt: skip
    assert opened.returncode != 0


def test_a_way_that_fails_is_a_step_and_the_next_one_is_tried(
    disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = ways.ask

    def boastful(path: str) -> ways.Offer:
        """A disk that says it can do what it cannot."""
        said = true(path)
        return ways.Offer(
            transport="sata",
            manufacturer=said.manufacturer,
            firmware=said.firmware,
            native_bytes=None,
            offers=("ata-sanitize-block", *said.offers),
        )

    monkeypatch.setattr(ways, "ask", boastful)
    result = erase(disk, "ata-sanitize-block", "overwrite")
    steps = {step["method"]: step for step in result["steps"]}
    assert steps["ata-sanitize-block"]["outcome"] == "failed"
    assert steps["ata-sanitize-block"]["said"]
    assert steps["overwrite"]["outcome"] == "done"
