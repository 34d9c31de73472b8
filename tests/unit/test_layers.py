"""The structure that docs/architecture.md draws: imports go downward only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "chapelle" / "__init__.py"

# What each part of the package may import from the others.
MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors"},
    "files": {"errors"},
    "process": set(),
    "lazy": set(),
    "archive": {"errors"},
    "installer": set(),
    "strict": {"errors"},
    "model": {"errors"},
    "netbox": {"model"},
    "fabric": {"model"},
    "checks": {"model", "fabric"},
    "plan": {"model", "checks"},
    "drivers": {"model"},
    "lab": {"model"},
    "report": {"model", "plan"},
    "run": {"model", "netbox", "checks", "fabric", "plan", "drivers", "lab", "report"},
    "tasks": {"model", "netbox", "checks", "fabric", "plan", "drivers", "lab", "report", "run"},
}
EVERYWHERE = {"archive", "errors", "settings", "files", "process", "lazy", "strict"}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("chapelle.")}
    return found


def modules() -> list[Path]:
    return sorted(p for p in (ROOT / "chapelle").rglob("*.py") if p != PACKAGE)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward_only(path: Path) -> None:
    layer = path.relative_to(ROOT / "chapelle").parts[0].removesuffix(".py")
    allowed = MAY_IMPORT[layer] | {layer}
    if layer not in EVERYWHERE:
        allowed |= EVERYWHERE
    assert imports_of(path) - {"__version__"} <= allowed, f"{layer} may import {sorted(allowed)}"


def test_relative_imports_do_not_hide_a_layer() -> None:
    relative = [
        path
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_every_layer_of_the_package_is_listed() -> None:
    packages = {p.name for p in (ROOT / "chapelle").iterdir() if p.is_dir() and p.name[0] != "_"}
    assert packages <= set(MAY_IMPORT)
