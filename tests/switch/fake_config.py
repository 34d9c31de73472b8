"""The configuration of a stand-in: lines below lines, what it knows of them, and differences."""

import difflib
import re
from collections.abc import Iterator, Mapping

Tree = dict[str, "Tree"]

# By the first line of a context (or the empty string for none): what may stand in it.
Grammar = Mapping[str, str]


def parse(text: str) -> Tree:
    """The lines of a text by their indentation; separators and `end` say nothing."""
    tree: Tree = {}
    stack: list[tuple[int, Tree]] = [(-1, tree)]
    for line in text.splitlines():
        words = line.strip()
        if not words or words.startswith("!") or words == "end":
            continue
        indent = len(line) - len(line.lstrip())
        while stack[-1][0] >= indent:
            stack.pop()
        below = stack[-1][1].setdefault(words, {})
        stack.append((indent, below))
    return tree


def lines(tree: Tree, step: int, depth: int = 0) -> Iterator[str]:
    """The lines of a tree, indented."""
    for line, below in tree.items():
        yield " " * (step * depth) + line
        yield from lines(below, step, depth + 1)


def unknown(text: str, grammar: Grammar) -> Iterator[tuple[int, str]]:
    """Number and words of each line that the grammar does not have."""
    stack: list[tuple[int, str]] = [(-1, "")]
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith("!") or words == "end":
            continue
        indent = len(line) - len(line.lstrip())
        while stack[-1][0] >= indent:
            stack.pop()
        context = stack[-1][1]
        rules = next((rule for key, rule in grammar.items() if re.fullmatch(key, context)), "")
        if not re.fullmatch(rules, words):
            yield number, words
        stack.append((indent, words))


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """A unified diff; empty when there is none."""
    parts = difflib.unified_diff(
        old.splitlines(), new.splitlines(), old_name, new_name, lineterm=""
    )
    return "".join(f"{line}\n" for line in parts)


def patch(old: Tree, new: Tree, step: int, depth: int = 0) -> list[str]:
    """The commands that make one configuration of another."""
    indent = " " * (step * depth)
    gone = [line for line in old if line not in new]
    found = [indent + (line[3:] if line.startswith("no ") else f"no {line}") for line in gone]
    for line, below in new.items():
        inner = patch(old.get(line, {}), below, step, depth + 1)
        if line not in old or inner:
            found += [f"{indent}{line}", *inner]
    return found


def blocks(tree: Tree, step: int, end: str = "") -> str:
    """A tree as EOS shows it: exclamation marks between blocks, and before a block in a block."""
    found: list[str] = []
    before = ""
    for line, below in tree.items():
        alike = not below and before and line.split()[0] == before.split(maxsplit=1)[0]
        if found and not alike:
            found.append("!")
        found.append(line)
        for inner, inmost in below.items():
            found += [" " * step + "!"] if inmost else []
            found += [" " * step + inner, *lines(inmost, step, 2)]
        before = "" if below else line
    return "".join(f"{line}\n" for line in found) + end
