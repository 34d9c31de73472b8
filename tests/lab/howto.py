"""What the how-tos in docs/ tell their reader to type.

A fenced `console` block holds commands after `$ `. A comment `<!-- exits N -->` before a block says
how its last command ends; without one, all end with 0.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"(?:<!-- exits (?P<code>\d+) -->\n)?```console\n(?P<body>.*?)```", re.DOTALL)


def text(name: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / name).read_text()


def commands(name: str) -> list[tuple[str, int]]:
    """The commands of a page, each with the exit code that it ends with."""
    found = []
    for block in BLOCK.finditer(text(name)):
        lines = [line[2:] for line in block["body"].splitlines() if line.startswith("$ ")]
        found += [(line, 0) for line in lines[:-1]]
        found.append((lines[-1], int(block["code"] or 0)))
    return found
