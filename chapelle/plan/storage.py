"""How disks are laid out: `inventory/storage.yml` read, and what it means for one server."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from chapelle import strict
from chapelle.errors import InputError
from chapelle.model.datacentre import SERVER_ROLES
from chapelle.model.disks import DataLayout, Disk, Place, Storage
from chapelle.strict.problems import Problem, ProblemsError

# A label of XFS has at most 12 bytes. Source: xfs_admin(8), option -L.
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,11}")
_MOUNT = re.compile(r"(/[a-z0-9][a-z0-9_-]*)+")
_LAST_NUMBER = re.compile(r"(\d+)\D*$")

# The longest role and the highest number that labels are tried with.
_HIGHEST = 99


def read(path: Path) -> Storage:
    """Read the layout.

    Raises:
        InputError: the file cannot be read, is no layout, or contradicts itself; all mistakes.
    """
    found, problems = strict.read(path, Storage)
    if not problems:
        problems = list(_contradictions(path.name, found))
    if problems:
        raise ProblemsError("The layout of disks", problems, f"mend {path}")
    layout: Storage = found
    return layout


def _contradictions(file: str, layout: Storage) -> Iterator[Problem]:
    holding = layout.holding
    for name in ("read", "write"):
        if getattr(holding, name) > holding.copies:
            found = str(getattr(holding, name))
            yield Problem(file, f"holding.{name}", f"at most copies ({holding.copies})", found)
    if holding.role not in layout.data:
        expected = f"a role that data names: {', '.join(layout.data)}"
        yield Problem(file, "holding.role", expected, holding.role)
    for role, data in layout.data.items():
        if role not in SERVER_ROLES:
            yield Problem(file, f"data.{role}", f"one of {', '.join(SERVER_ROLES)}", role)
        yield from _templates(file, role, data)


def _templates(file: str, role: str, data: DataLayout) -> Iterator[Problem]:
    """A template is sound when it fills in to something legal, and to another for each number."""
    for name, pattern, expected in (
        ("label", _LABEL, "12 small letters, digits, hyphens at most, with {number} filled in"),
        ("mount", _MOUNT, "an absolute path, with {number} filled in"),
    ):
        text: str = getattr(data, name)
        try:
            made = [text.format(role=role, number=number) for number in (1, _HIGHEST)]
        except (ValueError, LookupError, AttributeError):
            made = []
        if not made or made[0] == made[1] or not all(pattern.fullmatch(each) for each in made):
            shown = f"{text!r}, which gives {', '.join(made)}" if made else repr(text)
            yield Problem(file, f"data.{role}.{name}", expected, shown)


def places(layout: Storage, role: str, disks: Iterable[Disk]) -> tuple[Place, ...]:
    """Where the data disks of one server belong, in order of their names.

    Arguments:
        layout: of all.
        role: the server's.
        disks: the server's, whatever they are for.

    Raises:
        InputError: the role has no layout, or a disk's name no number or that of another.
    """
    found: dict[int, Place] = {}
    for disk in sorted((d for d in disks if d.purpose == "data"), key=lambda disk: disk.name):
        data = layout.data.get(role)
        if data is None:
            raise InputError(
                f"It is not said how data disks of role {role or '(none)'} are laid out.",
                where="inventory/storage.yml",
                expected=f"one of the roles {', '.join(layout.data)}",
                found=f"disk {disk.name} ({disk.serial}) of role {role or '(none)'}",
                remedy="add the role to data, or change the disk's purpose in NetBox",
            )
        number = _number(disk, found)
        found[number] = Place(
            serial=disk.serial,
            label=data.label.format(role=role, number=number),
            mount=data.mount.format(role=role, number=number),
            filesystem=data.filesystem,
        )
    return tuple(found.values())


def _number(disk: Disk, taken: dict[int, Place]) -> int:
    match = _LAST_NUMBER.search(disk.name)
    number = int(match[1]) if match else None
    if number is not None and 0 <= number <= _HIGHEST and number not in taken:
        return number
    other = f", which {taken[number].serial} has" if number in taken else ""
    raise InputError(
        f"Data disk {disk.name} has no number of its own, so no label and no place.",
        where=f"NetBox, inventory item {disk.item}",
        expected=f"a name that ends in a number from 0 to {_HIGHEST}, such as disk-data-01",
        found=repr(disk.name) + other,
        remedy="rename the disk in NetBox",
    )
