"""What Debian's installer is made of: its kernel and ramdisk, and the tools that a script needs."""

import io
import lzma
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mirror import Mirror

from chapelle import archive
from chapelle.errors import ChapelleError, RefusedError
from chapelle.settings import Settings

# Of packages of the installer itself: drivers, and how debootstrap reads indexes without Perl.
COMPONENTS = ("ext4-modules-{kernel}-di", "scsi-modules-{kernel}-di", "bootstrap-base")

# Of the release: what its components for partitions, file systems and the base system hold.
TOOLS = (
    "debootstrap", "e2fsprogs", "fdisk", "libcom-err2", "libext2fs2", "libfdisk1",
    "libsmartcols1", "libss2",
)  # fmt: skip

# What of them a ramdisk needs not hold.
LEFT_OUT = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/etc")

INDEX = "main/debian-installer/binary-amd64/Packages.xz"


class Kernel(NamedTuple):
    """A kernel and ramdisk to start a machine with, found as those of an image are."""

    folder: Path
    release: str = ""

    def file(self, name: str) -> Path:
        """One of its files, by the name that it has in our images."""
        return self.folder / name


def kernel(settings: Settings, say: Callable[[str], None]) -> Kernel:
    """The installer's kernel and ramdisk, from the package of this machine's release.

    Raises:
        RefusedError: this machine has another architecture, or its release no number.
        ChapelleError: the package holds something else.
    """
    version = re.search(r'(?m)^VERSION_ID="?(\d+)', Path("/etc/os-release").read_text())
    architecture = archive.this_system().architecture
    if architecture != "amd64" or version is None:
        raise RefusedError(
            "Debian's installer is known here for amd64 and releases with a number only.",
            where="this machine",
            expected="amd64, and VERSION_ID in /etc/os-release",
            found=architecture,
        )
    package = f"debian-installer-{version[1]}-netboot-amd64"
    known = archive.output("apt-get", "download", "--print-uris", package)
    home = settings.cache / "bench" / "debian-installer"
    folder = home / known.split()[1].removesuffix(".deb")
    if not (folder / "complete").exists():
        say(f"fetching {package}")
        shutil.rmtree(home, ignore_errors=True)
        folder.mkdir(parents=True)
        _take(package, folder)
        (folder / "complete").touch()
    head = (folder / "vmlinuz").read_bytes()[: 1 << 16]
    # Where its header says that the kernel's release is (Linux, Documentation/arch/x86/boot.rst).
    at = int.from_bytes(head[0x20E:0x210], "little") + 0x200
    return Kernel(folder, head[at : head.index(b" ", at)].decode())


def _take(package: str, folder: Path) -> None:
    """Take the two files out of the package."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        tree = Path(name, "tree")
        _download([package], Path(name), tree)
        for wanted, called in (("linux", "vmlinuz"), ("initrd.gz", "initrd.img")):
            found = list(tree.glob(f"usr/lib/debian-installer/images/*/amd64/text/**/{wanted}"))
            if len(found) != 1:
                raise ChapelleError(
                    f"The package {package} is not as it was.",
                    where="text/debian-installer/amd64",
                    expected=f"one file {wanted}",
                    found=f"{len(found)}",
                )
            shutil.move(found[0], folder / called)


def _download(packages: list[str], scratch: Path, tree: Path) -> None:
    """Have apt fetch packages, and unpack them; nothing is installed."""
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ChapelleError(
            "apt has no package that the peer needs.",
            where=" ".join(packages),
            expected="apt-get download to fetch it",
            found=done.stderr.strip()[-600:],
            remedy="apt-get update",
        )
    for deb in scratch.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)


def tools(mirror: Mirror, release: str, kernel_release: str) -> bytes:
    """A tar archive of what the script needs beside the installer's ramdisk.

    Raises:
        ChapelleError: the archive's index does not have one of them.
    """
    index = lzma.decompress(mirror.get(f"/0/dists/{release}/{INDEX}")).decode()
    with tempfile.TemporaryDirectory() as name:
        scratch, tree = Path(name, "debs"), Path(name, "tree")
        scratch.mkdir()
        _download(list(TOOLS), scratch, tree)
        for pattern in COMPONENTS:
            wanted = pattern.format(kernel=kernel_release)
            found = re.search(rf"(?ms)^Package: {re.escape(wanted)}\n.*?^Filename: (\S+)$", index)
            if found is None:
                raise ChapelleError(
                    "The archive has no component that fits the installer's kernel.",
                    where=INDEX,
                    expected=wanted,
                    found="none of that name",
                    remedy="wait until package and archive are of the same point release",
                )
            path = scratch / "udeb"
            path.write_bytes(mirror.get(f"/0/{found[1]}"))
            subprocess.run(["dpkg-deb", "-x", path, tree], check=True)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            tar.add(tree, ".", filter=_needed)
        return buffer.getvalue()


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left_out = f"{entry.name.removeprefix('.')}/".startswith(tuple(f"{p}/" for p in LEFT_OUT))
    return None if left_out else entry
