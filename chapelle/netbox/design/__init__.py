"""The reference datacentre as data: read and validate `inventory/design/*.yml`."""

from pathlib import Path
from typing import Any

import msgspec

from chapelle.netbox.design import yaml_file
from chapelle.netbox.design.convert import Mistake, convert
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
        read = yaml_file.read(path / f"{field.name}.yml")
        problems += read.problems
        if read.problems and read.values is None:
            continue
        mistakes: list[Mistake] = []
        parts[field.name] = convert(read.values, field.type, "", mistakes)
        known = {problem.path for problem in read.problems}
        problems += [
            Problem(f"{field.name}.yml", where, expected, found, _line(read.lines, where))
            for where, expected, found in mistakes
            if where not in known
        ]
    problems += [
        Problem(stray.name, "", "one of " + ", ".join(f"{name}.yml" for name in FILES), stray.name)
        for stray in sorted(path.glob("*.y*ml"))
        if stray.suffix != ".yml" or stray.stem not in FILES
    ]
    if problems:
        raise DesignError(problems)
    return Design(**parts)


def _line(lines: dict[str, int], path: str) -> int | None:
    """The line of the path, or of the nearest thing around it that stands in the file."""
    while path:
        if path in lines:
            return lines[path]
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return lines.get("")
