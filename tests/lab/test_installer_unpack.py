"""The root image is unpacked as it comes, and what is wrong with it is known at the end."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from installer_bench import TAR, Service

from chapelle.installer import unpack as unpacking
from chapelle.installer.link import Link
from chapelle.installer.order import Image
from chapelle.installer.stop import Failed

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd on this machine")


def archive(path: Path) -> None:
    """An image with one large file in it, that cannot be compressed."""
    data = os.urandom(5 << 20)
    with tarfile.open(path.with_suffix(".plain"), "w") as tar:
        member = tarfile.TarInfo("./etc/large")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    subprocess.run(["zstd", "-q", path.with_suffix(".plain"), "-o", path], check=True)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    archive(tmp_path / TAR)
    (tmp_path / "target").mkdir()
    monkeypatch.setattr(unpacking, "TARGET", str(tmp_path / "target"))
    found = Service(tmp_path, tmp_path / TAR, here="127.0.0.1")
    yield found
    found.close()


def ordered(path: Path) -> Image:
    data = path.read_bytes()
    return Image(path=TAR, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def unpack(service: Service, image: Image, patience: float = 120) -> list[int]:
    told: list[int] = []
    unpacking.unpack(Link(service.url, service.authority, patience), image, told.append)
    return told


def test_an_image_is_unpacked_and_its_progress_told(service: Service, tmp_path: Path) -> None:
    told = unpack(service, ordered(tmp_path / TAR))
    assert told == sorted(set(told))
    assert told[-1] == 100
    assert (tmp_path / "target/etc/large").stat().st_size == 5 << 20


def test_an_image_with_another_digest_is_a_failure_with_both(
    service: Service, tmp_path: Path
) -> None:
    image = ordered(tmp_path / TAR)
    wrong = Image(path=TAR, sha256="0" * 64, size=image.size)
    with pytest.raises(Failed) as caught:
        unpack(service, wrong)
    assert caught.value.expected == f"SHA-256 {'0' * 64}"
    assert caught.value.found == f"SHA-256 {image.sha256}"


def test_what_is_no_image_is_told_by_its_digest(service: Service, tmp_path: Path) -> None:
    image = ordered(tmp_path / TAR)
    (tmp_path / TAR).write_bytes(os.urandom(image.size))
    with pytest.raises(Failed, match="not the one ordered"):
        unpack(service, image)


def test_an_image_as_ordered_that_is_no_archive_is_a_failure(
    service: Service, tmp_path: Path
) -> None:
    (tmp_path / TAR).write_bytes(os.urandom(3 << 20))
    with pytest.raises(Failed, match="cannot be unpacked"):
        unpack(service, ordered(tmp_path / TAR))


def test_a_server_that_goes_away_for_good_is_an_end(service: Service, tmp_path: Path) -> None:
    image = ordered(tmp_path / TAR)
    link = Link(service.url, service.authority, patience=2)
    service.interfere = lambda name: name == TAR
    with pytest.raises(Failed, match="away"):
        unpacking.unpack(link, image, lambda _percent: None)
