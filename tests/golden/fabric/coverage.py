"""Which branches of the templates a rendering takes.

While a template is parsed, a call that notes its branch is put into the body of every loop, and
into both ways of every `if`: the one that is not written as well. Lines of text between branches
are rendered whenever their branch is taken, so that no line escapes.
"""

from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes

from chapelle.fabric import render

NOTE = "note_branch"


class Branches(jinja2.Environment):
    """An environment that notes in `taken` which of `known` are taken, as `file:line (which)`."""

    known: set[str]
    taken: set[str]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.known, self.taken = set(), set()
        self.globals[NOTE] = self._note

    def _note(self, branch: str) -> str:
        self.taken.add(branch)
        return ""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(nodes.CondExpr):
            raise ValueError(f"{name}:{node.lineno}: write this condition as a statement")
        choices = list(tree.find_all(nodes.If))
        others = {id(other) for node in choices for other in node.elif_}
        for node in choices:
            self._mark(node.body, node.lineno, f"{name}:{node.lineno} (true)")
            if id(node) not in others:  # what is left when no `elif` holds belongs to the `if`
                self._mark(node.else_, node.lineno, f"{name}:{node.lineno} (else)")
        for loop in tree.find_all(nodes.For):
            self._mark(loop.body, loop.lineno, f"{name}:{loop.lineno} (loop)")
        return tree

    def _mark(self, body: list[nodes.Node], line: int, branch: str) -> None:
        self.known.add(branch)
        called = nodes.Call(nodes.Name(NOTE, "load"), [nodes.Const(branch)], [], None, None)
        mark = nodes.Output([called]).set_lineno(line)
        for node in mark.find_all(nodes.Node):
            node.set_lineno(line)
        body.insert(0, mark)


def environment() -> Branches:
    """One that has parsed every template, so that `known` is complete; nothing is taken yet."""
    made = render.environment(render.TEMPLATES, Branches)
    assert isinstance(made, Branches)
    for path in sorted(render.TEMPLATES.rglob("*.j2")):
        made.get_template(str(path.relative_to(render.TEMPLATES)))
    made.taken = set()
    return made


def unused_templates() -> list[Path]:
    """Files among the templates that are none."""
    return [p for p in render.TEMPLATES.rglob("*") if p.is_file() and p.suffix != ".j2"]
