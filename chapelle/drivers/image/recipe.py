"""What images are made of: `inventory/image.yml`, and the archive at one moment."""

import email.utils
import hashlib
import re
from pathlib import Path
from typing import Annotated

import msgspec

from chapelle import archive, strict
from chapelle.errors import ChapelleError, RefusedError
from chapelle.strict.problems import ProblemsError

# What image.yml lists as packages are Debian's names, and the boot loaders are those of a PC.
DISTRIBUTION = "Debian"
ARCHITECTURE = "amd64"

_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]

_Directory = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_.-]+(/[a-zA-Z0-9_.-]+)*$")]


class Archive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An archive at one moment; `epoch` in seconds, `sources` as in apt's sources.list."""

    release: _Name
    sources: tuple[str, ...]
    epoch: int


class Root(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The packages of the root image, by what they are for, and the kernel modules it goes without.

    `modules_left_out` are directories below those of a kernel.
    """

    system: tuple[_Name, ...]
    disks: tuple[_Name, ...]
    roles: tuple[_Name, ...]
    modules_left_out: tuple[_Directory, ...]


class Ramdisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The packages of the ramdisk, and the directories or files of kernel modules it takes."""

    packages: tuple[_Name, ...]
    modules: tuple[_Directory, ...]


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `inventory/image.yml`."""

    archive: Archive | None
    kept: Annotated[int, msgspec.Meta(ge=1, le=100)]
    root: Root
    ramdisk: Ramdisk


def read(path: Path) -> Recipe:
    """Read the recipe.

    Raises:
        InputError: the file has mistakes; all are named.
    """
    recipe, problems = strict.read(path, Recipe)
    if problems:
        raise ProblemsError("The image's recipe", problems, "correct inventory/image.yml")
    assert isinstance(recipe, Recipe)  # noqa: S101 - what strict.read promises
    return recipe


def resolve(recipe: Recipe) -> Archive:
    """The archive that an image is made from now.

    Where the recipe names none it is the machine's own, and the epoch is the date of the youngest
    Release file that apt has fetched: an image from the same state of the archive has the same one.

    Raises:
        RefusedError: the machine is none whose archive could be used.
        ChapelleError: apt knows no archive.
    """
    system = archive.this_system()
    if system.architecture != ARCHITECTURE:
        raise _unfit(f"architecture {ARCHITECTURE}", system.architecture)
    if recipe.archive is not None:
        return recipe.archive
    sources = archive.sources(system)
    if not all(archive.KEYRINGS[DISTRIBUTION] in line for line in sources):
        raise _unfit(f"{DISTRIBUTION}'s archive", f"that of {system.codename}")
    return Archive(release=system.codename, sources=tuple(sources), epoch=_youngest(system))


def _youngest(system: archive.System) -> int:
    text = archive.output(
        "apt-get", "indextargets", "--format", "$(CODENAME)|$(METAKEY)|$(FILENAME)",
        "Created-By: Packages",
    )  # fmt: skip
    found = []
    for line in text.splitlines():
        codename, key, name = line.split("|")
        if codename.partition("-")[0] != system.codename:
            continue
        stem = name.partition(f"_{key.replace('/', '_')}")[0]
        found += [
            _date(path)
            for end in ("InRelease", "Release")
            if (path := Path(f"{stem}_{end}")).is_file()
        ]
    if not any(found):
        raise ChapelleError(
            "The archive does not say how old it is.",
            where="/var/lib/apt/lists",
            expected="an InRelease file with a Date",
            found="none",
            remedy="apt-get update",
        )
    return max(found)


def _date(release: Path) -> int:
    match = re.search(r"(?m)^Date: (.+)$", release.read_text())
    return int(email.utils.parsedate_to_datetime(match[1]).timestamp()) if match else 0


def digest(*parts: object) -> str:
    """Sixteen hex digits that change when anything that makes an image changes."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for path in sorted([part, *part.rglob("*")]):
                if path.is_file() and "__pycache__" not in path.parts:
                    state.update(f"{path.relative_to(part.parent)}\0".encode())
                    state.update(path.read_bytes())
        else:
            state.update(msgspec.json.encode(part))
        state.update(b"\0")
    return state.hexdigest()[:16]


def _unfit(expected: str, found: str) -> RefusedError:
    return RefusedError(
        "No image can be made from this machine's own archive.",
        where="archive in inventory/image.yml",
        expected=expected,
        found=found,
        remedy="name an archive in inventory/image.yml, or build on Debian",
    )
