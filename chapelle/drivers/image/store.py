"""Where images are kept: one directory each below the cache, named by what it was made of."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from chapelle import files
from chapelle.drivers.image.job import Job
from chapelle.errors import ChapelleError
from chapelle.settings import Settings

MANIFEST = "manifest.json"

# The largest is a root image while it is made: its tar archive, and the same compressed.
NEEDED_BYTES = 4 << 30


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an image is and what it was made of.

    Arguments:
        kind: `root` or `ramdisk`.
        files: name, SHA-256 and size in bytes of each file.
        packages: package and version.
        release: of the distribution.
        sources: the archives, as in apt's sources.list.
        epoch: seconds; no file in the image is younger.
        commit: of this project, and whether the clone held changes beside it.
        kernel: its release.
    """

    kind: str
    files: dict[str, "Stored"]
    packages: dict[str, str]
    release: str
    sources: tuple[str, ...]
    epoch: int
    commit: str
    kernel: str


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an image: SHA-256 in hexadecimal, size in bytes."""

    sha256: str
    size: int


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the cache."""

    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """One of its files."""
        return self.folder / name


def home(settings: Settings) -> Path:
    """Where all images are."""
    return settings.cache / "images"


def load(folder: Path) -> Built | None:
    """The image in that directory; None if there is none.

    Raises:
        ChapelleError: a file is missing or was cut short since it was made.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    for name, stored in manifest.files.items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != stored.size:
            raise ChapelleError(
                "An image in the cache is damaged.",
                where=str(path),
                expected=f"{stored.size} bytes",
                found="no such file" if size is None else f"{size} bytes",
                remedy=f"remove {folder} and run: invoke image.build",
            )
    return Built(folder=folder, manifest=manifest)


def ensure(job: Job, name: str, make: Callable[[Path], Manifest], *, again: bool = False) -> Built:
    """The image of that name, made first if there is none.

    Arguments:
        job: what is asked for; its recipe says how many of this kind stay.
        name: `<kind>-<digest of what it is made of>`.
        make: makes its files in an empty directory.
        again: make it even if it is there.

    Raises:
        RefusedError: there is not enough space.
        ChapelleError: it cannot be made.
    """
    folder = home(job.settings) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(folder.parent / "lock", lambda: job.say("another process makes an image")):
        if not again and (found := load(folder)) is not None:
            os.utime(folder)
            return found
        files.require_space(folder.parent, NEEDED_BYTES, "an image")
        building = folder.parent / f".{name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o755)
        try:
            manifest = make(building)
            text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            files.write(building / MANIFEST, text + b"\n", 0o644)
            shutil.rmtree(folder, ignore_errors=True)
            building.rename(folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        _prune(folder, job.recipe.kept)
        return Built(folder=folder, manifest=manifest)


def _prune(folder: Path, kept: int) -> None:
    """Remove what was used longest ago, of the kind of `folder`."""
    kind = folder.name.partition("-")[0]
    found = [path for path in folder.parent.glob(f"{kind}-*") if path != folder]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[kept - 1 :]:
        shutil.rmtree(path)
