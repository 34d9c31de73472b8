"""The commands of docs/image.md: images are made, and made again to the same digests."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from howto import ROOT, commands

from chapelle.drivers.image import store
from chapelle.drivers.image.ramdisk import INITRAMFS, KERNEL
from chapelle.drivers.image.root import TAR
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.slow]

# What belongs to one machine, or to one moment.
NOT_INSIDE = (
    "./etc/ssh/ssh_host_",
    "./etc/nvme/host",
    "./var/log/dpkg.log",
    "./etc/apt/auth.conf.d",
)


def invoke(command: str) -> str:
    environment = {**os.environ, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_images_are_made_twice_to_the_same_digests(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("making an image needs root")
    lists = sorted(Path("/var/lib/apt/lists").glob("*Packages*"))
    given = commands("image.md")
    assert [command for command, _ in given] == [
        "invoke image.build",
        "invoke image.build --verify",
    ]
    for command, expected in given:
        assert expected == 0
        invoke(command)
    manifests = json.loads(invoke("invoke image.build --json"))
    assert [manifest["kind"] for manifest in manifests] == ["root", "ramdisk"]
    assert set(manifests[0]["files"]) == {TAR}
    assert set(manifests[1]["files"]) == {KERNEL, INITRAMFS}
    # One kernel starts what it installed, with the modules of its own release.
    assert manifests[0]["kernel"] == manifests[1]["kernel"]
    assert manifests[0]["packages"]["clevis-initramfs"]
    assert sorted(Path("/var/lib/apt/lists").glob("*Packages*")) == lists, "the machine's own"

    found = [
        path
        for path in store.home(Settings.load()).glob(f"root-*/{TAR}")
        if store.Stored(**manifests[0]["files"][TAR]).size == path.stat().st_size
    ]
    tar = tmp_path / "root.tar"
    subprocess.run(["zstd", "-q", "-d", found[0], "-o", tar], check=True)
    with tarfile.open(tar) as archive:
        members = {member.name: member for member in archive}
        machine_id = archive.extractfile(members["./etc/machine-id"])
        assert machine_id is not None
        assert machine_id.read() == b""
    assert max(member.mtime for member in members.values()) <= manifests[0]["epoch"]
    assert [name for name in members if name.startswith(NOT_INSIDE)] == []
    assert members["./etc/sudoers.d/deploy"].mode == 0o440
    assert members["./etc/initramfs-tools/hooks/chapelle"].mode & 0o111
