"""Reads one YAML file: plain values, the line of each, and every duplicate key as a problem.

PyYAML's own loader keeps the last of two equal keys and forgets lines, so the tree of nodes is
walked here instead. Only what JSON can say is accepted, and aliases that contain themselves are
refused.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import yaml

from chapelle.strict.problems import Problem

_PLAIN_TAGS = {
    "tag:yaml.org,2002:null",
    "tag:yaml.org,2002:bool",
    "tag:yaml.org,2002:int",
    "tag:yaml.org,2002:float",
    "tag:yaml.org,2002:str",
}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class YamlFile(msgspec.Struct, frozen=True):
    """The values of a file, and the line of each path such as `racks[0].u_height`."""

    values: Any
    lines: dict[str, int]
    problems: list[Problem]

    def line(self, path: str) -> int | None:
        """The line of the path, or of the nearest thing around it that stands in the file."""
        while path:
            if path in self.lines:
                return self.lines[path]
            cut = max(path.rfind("."), path.rfind("["))
            path = path[:cut] if cut > 0 else ""
        return self.lines.get("")


def read(path: Path, *, dates: bool = False) -> YamlFile:
    """Read the file. What is wrong with it is in `problems`, and `values` is then incomplete.

    Arguments:
        path: the file.
        dates: take a date or a time that is not quoted for the text that stands there.
    """
    name = path.name
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return _failed(Problem(name, "", "a readable YAML file", reason or str(error)))
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        found = ", ".join(part for part in (error.context, error.problem) if part)
        return _failed(Problem(name, where, "YAML", found, mark.line + 1 if mark else None))
    except yaml.YAMLError as error:  # an unprintable character; has no mark
        return _failed(Problem(name, "", "YAML", str(error).replace("\n", " ")))
    if node is None:
        return _failed(Problem(name, "", "a mapping of settings", "an empty file"))
    walk = _Walk(name, _PLAIN_TAGS | {_TIMESTAMP} if dates else _PLAIN_TAGS)
    values = walk.value(node, "")
    return YamlFile(values, walk.lines, walk.problems)


def _failed(problem: Problem) -> YamlFile:
    return YamlFile(None, {}, [problem])


class _Walk:
    """Turns the tree of nodes into values and remembers lines and problems."""

    def __init__(self, file: str, tags: Collection[str]) -> None:
        self.file = file
        self.tags = tags
        self.lines: dict[str, int] = {}
        self.problems: list[Problem] = []
        self._open: list[yaml.Node] = []
        self._scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: str) -> Any:
        line = node.start_mark.line + 1
        self.lines[path] = line
        if any(node is outer for outer in self._open):
            self._problem(path, "a value", "an alias that contains itself", line)
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
            return self._scalar(node, path, line)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(path, "a plain word as key", "a list or a mapping as key", line)
                continue
            key = str(key_node.value)
            inner = f"{path}.{key}" if path else key
            if key in values:
                found = f"it stands in line {self.lines[inner]} already"
                self._problem(inner, "each key once", found, line)
                continue
            values[key] = self.value(value_node, inner)
        return values

    def _scalar(self, node: yaml.Node, path: str, line: int) -> Any:
        if node.tag not in self.tags:
            kind = node.tag.rpartition(":")[2]
            self._problem(path, "text, a number, true, false or null", f"a YAML {kind}", line)
            return None
        if node.tag == _TIMESTAMP:
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            self._problem(path, "text, a number, true, false or null", str(error), line)
            return None

    def _problem(self, path: str, expected: str, found: str, line: int) -> None:
        self.problems.append(Problem(self.file, path, expected, found, line))
