"""The reference datacentre as data: read and validate `inventory/design/*.yml`."""

from pathlib import Path
from typing import Any

import msgspec

from chapelle import strict
from chapelle.netbox.design.problems import DesignError, Problem
from chapelle.netbox.design.schema import Design

__all__ = ["FILES", "Design", "DesignError", "Problem", "folder", "load"]

FILES = tuple(Design.__struct_fields__)


def folder(root: Path) -> Path:
    """Where the design of a clone stands."""
    return root / "inventory" / "design"


def load(path: Path) -> Design:
    """Read the design in folder `path`: one file for each name of `FILES`, each of its own class.

    Raises:
        DesignError: a file is missing, is no YAML, or is not what the schema says; all mistakes of
            all files are in it. What only the whole can tell (a reference to nothing, two servers
            in one unit) is found by `chapelle.netbox.expand`.
    """
    problems: list[Problem] = []
    parts: dict[str, Any] = {}
    for field in msgspec.structs.fields(Design):
        parts[field.name], found = strict.read(path / f"{field.name}.yml", field.type)
        problems += found
    problems += [
        Problem(stray.name, "", "one of " + ", ".join(f"{name}.yml" for name in FILES), stray.name)
        for stray in sorted(path.glob("*.y*ml"))
        if stray.suffix != ".yml" or stray.stem not in FILES
    ]
    if problems:
        raise DesignError(problems)
    return Design(**parts)
