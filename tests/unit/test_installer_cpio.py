"""The archive that completes an initramfs, as the real cpio reads it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from chapelle.installer import cpio


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio on this machine")
def test_what_is_written_is_what_cpio_reads(tmp_path: Path) -> None:
    files = {
        "cryptroot/crypttab": b"root UUID=1 none luks\n",
        "etc/chapelle/initramfs-network": b"MAC=1\n",
        "etc/mdadm/mdadm.conf": b"",
    }
    data = cpio.archive(files)
    assert len(data) % 4 == 0
    subprocess.run(
        ["cpio", "--extract", "--quiet", "--make-directories"], input=data, cwd=tmp_path, check=True
    )
    found = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == files
    assert cpio.archive(dict(reversed(files.items()))) == data
