"""Every command that the how-tos give is typed here, as they give it, from top to bottom.

A fenced `console` block holds commands after `$ `. A comment `<!-- exits N -->` before a block says
how its last command ends; without one, all end with 0. `provision --aisle=2` of the README runs on
one rack here, because the whole aisle has a test of its own.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapelle import lab
from chapelle.netbox import access, server
from chapelle.run import prepare
from chapelle.settings import Settings

ROOT = Path(__file__).parents[2]
HOW_TOS = ("first-run.md", "lab.md", "design.md", "your-own-netbox.md", "day-2.md")
BLOCK = re.compile(r"(?:<!-- exits (?P<code>\d+) -->\n)?```console\n(?P<body>.*?)```", re.DOTALL)

pytestmark = [pytest.mark.lab, pytest.mark.netbox]


def commands(name: str) -> list[tuple[str, int]]:
    found = []
    for block in BLOCK.finditer((ROOT / "docs" / name).read_text()):
        lines = [line[2:] for line in block["body"].splitlines() if line.startswith("$ ")]
        found += [(line, 0) for line in lines[:-1]]
        found.append((lines[-1], int(block["code"] or 0)))
    return found


def as_on_one_rack(command: str) -> str:
    command = command.replace("./bootstrap", "invoke").replace("--aisle=2", "--rack=A2-R01")
    return command.replace("aisle_2", "rack_a2_r01")


@pytest.fixture(scope="module")
def installation(new_state) -> Iterator[Settings]:
    """An installation of its own, with NetBox up and seeded: the how-tos stop it and start it."""
    settings = new_state()
    prepare.netbox(settings, print)
    yield settings
    lab.down(settings)
    server.down(settings, print)


def environment_for(name: str, settings: Settings) -> dict[str, str]:
    found = {
        **os.environ,
        "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        "CHAPELLE_STATE": str(settings.state),
        "CHAPELLE_CACHE": str(settings.cache),
    }
    url = server.up(settings, print)  # the how-to before may have ended with stopping it
    if name == "your-own-netbox.md":  # the embedded one stands for the reader's own
        tokens = {mode: access.access(settings, mode).token for mode in ("read", "write", "seed")}
        found |= {
            "CHAPELLE_TARGET": "lab",
            "NETBOX_URL": url,
            "NETBOX_TOKEN_RO": tokens["read"],
            "NETBOX_TOKEN": tokens["write"],
            "NETBOX_TOKEN_SEED": tokens["seed"],
        }
    return found


@pytest.mark.parametrize("name", HOW_TOS)
def test_the_commands_of_a_how_to_do_what_it_says(name: str, installation: Settings) -> None:
    given = commands(name)
    assert given, f"docs/{name} gives no command"
    environment = environment_for(name, installation)
    if name == "day-2.md":  # "the servers provisioned once"
        given = [("invoke provision --aisle=2", 0), *given]
    for command, expected in given:
        done = subprocess.run(
            ["bash", "-c", as_on_one_rack(command)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == expected, f"$ {command}\n{done.stdout}\n{done.stderr}"


def test_the_readme_gives_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "$ ./bootstrap provision --aisle=2\n" in readme
    assert "$ ./bootstrap test\n" in readme


def test_every_page_that_the_readme_names_exists() -> None:
    for target in re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
