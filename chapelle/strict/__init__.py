"""YAML that people write, read strictly: what is wrong, in which line, all of it at once.

`yaml_file` reads plain values and their lines, `convert` turns them into classes, `problems` says
what was wrong.
"""

from pathlib import Path
from typing import Any

from chapelle.strict import yaml_file
from chapelle.strict.convert import Mistake, convert
from chapelle.strict.problems import Problem


def read(path: Path, kind: Any, *, dates: bool = False) -> tuple[Any, list[Problem]]:
    """A file as an object of that class, and all that is wrong with it.

    Where there are problems the object is of no use.

    Arguments:
        path: the file.
        kind: the class.
        dates: a date need not be quoted.
    """
    found = yaml_file.read(path, dates=dates)
    if found.problems and found.values is None:
        return None, found.problems
    mistakes: list[Mistake] = []
    value = convert(found.values, kind, "", mistakes)
    known = {problem.path for problem in found.problems}
    problems = [
        Problem(path.name, where, expected, shown, found.line(where))
        for where, expected, shown in mistakes
        if where not in known
    ]
    return value, [*found.problems, *problems]
