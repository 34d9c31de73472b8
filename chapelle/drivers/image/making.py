"""The steps that the root image and the ramdisk have in common."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from chapelle import archive
from chapelle.drivers.image.recipe import Archive
from chapelle.drivers.image.store import Stored

# Pages for people and other languages: a server has no reader.
OPTIONS = (
    "--mode=root",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
)

# zstd's level. A higher one costs minutes and saves some MiB of what is fetched once a server.
LEVEL = 5

PACKAGES = "packages.tsv"


def install(
    packages: Sequence[str],
    source: Archive,
    target: Path,
    log: Path,
    say: archive.Say,
    *,
    what: str,
    options: Sequence[str] = (),
) -> None:
    """Install packages into a new root, with no time in it but the archive's.

    The list of packages with their versions is written beside `target`; no initramfs is made.

    Raises:
        ChapelleError: it failed.
    """
    listing = target.with_name(PACKAGES)
    query = r"dpkg-query --show --showformat '${Package}\t${Version}\n'"
    archive.mmdebstrap(
        [
            *OPTIONS,
            f"--include={','.join(packages)}",
            *archive.credential_hooks(),
            *options,
            f"--customize-hook=chroot \"$1\" {query} | LC_ALL=C sort >'{listing}'",
            source.release,
            str(target),
            "-",
        ],
        source.sources,
        log,
        say,
        what=what,
        environ={"SOURCE_DATE_EPOCH": str(source.epoch), "INITRD": "No"},
    )


def packages(folder: Path) -> dict[str, str]:
    """What `install` has listed: package and version."""
    lines = (folder / PACKAGES).read_text().splitlines()
    return dict(line.split("\t", 1) for line in lines)


def kernel_of(names: dict[str, str]) -> str:
    """The release of the kernel among packages, such as `6.1.0-56-amd64`."""
    found = [name for name in names if name.startswith("linux-image-") and name[12].isdigit()]
    return found[0].removeprefix("linux-image-") if found else ""


def compress(path: Path, target: Path, log: Path, *, what: str) -> None:
    """Compress a file by zstd, whose output does not depend on the number of cores, and remove it.

    Raises:
        ChapelleError: it failed.
    """
    command = ["zstd", "--quiet", "--rm", f"-{LEVEL}", "-T0", str(path), "-o", str(target)]
    archive.logged(command, log, what=what)


def stored(path: Path) -> Stored:
    """A file's digest and size."""
    with path.open("rb") as file:
        return Stored(
            sha256=hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size
        )


def commit(root: Path) -> str:
    """The commit of the clone, with `+changes` if it holds others; `unknown` if it is no clone."""
    git = ["git", "-c", f"safe.directory={root}", "-C", str(root)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
