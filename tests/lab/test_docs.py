"""Every command that the how-tos give is typed here, as they give it, from top to bottom.

`provision --aisle=2` of the README runs on one rack here, because the whole aisle has a test of its
own. The commands of your-own-servers.md have theirs in test_own_servers.py, and those of
maintenance.md and tenant-onboarding.md in tests/netbox.
"""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from howto import ROOT, commands

from chapelle import lab
from chapelle.netbox import access, server
from chapelle.run import prepare
from chapelle.settings import Settings

HOW_TOS = (
    "first-run.md",
    "lab.md",
    "fabric.md",
    "fabric-configuration.md",
    "design.md",
    "your-own-netbox.md",
    "resilience.md",
    "day-2.md",
    "reboot-and-patch.md",
    "tenant-space.md",
    "storage.md",
    "bmc.md",
)
SWITCHES = "leaf-a2-1a,leaf-a2-1b,spine-a2"
# test_own_servers.py, test_windows.py, test_tenancy_run.py, test_image_build.py
ELSEWHERE = {
    "your-own-servers.md",
    "maintenance.md",
    "tenant-onboarding.md",
    "tenant-handover.md",
    "image.md",
}

pytestmark = [pytest.mark.lab, pytest.mark.netbox]


def as_on_one_rack(command: str) -> str:
    if command.startswith("invoke fabric."):
        return command.replace("--aisle=2", f"--limit={SWITCHES}")
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
        tokens = {mode: access.access(settings, mode).token for mode in access.VARIABLES}
        found |= {
            "CHAPELLE_TARGET": "lab",
            "NETBOX_URL": url,
            "NETBOX_TOKEN_RO": tokens["read"],
            "NETBOX_TOKEN": tokens["write"],
            "NETBOX_TOKEN_SEED": tokens["seed"],
            "NETBOX_TOKEN_TENANCY": tokens["tenancy"],
        }
    return found


@pytest.mark.parametrize("name", HOW_TOS)
def test_the_commands_of_a_how_to_do_what_it_says(name: str, installation: Settings) -> None:
    given = commands(name)
    assert given, f"docs/{name} gives no command"
    environment = environment_for(name, installation)
    if name in {"day-2.md", "reboot-and-patch.md"}:  # "the servers provisioned once"
        given = [("invoke provision --aisle=2", 0), *given]
    if name == "fabric.md":
        # What names a RUN is typed in test_fabric_tasks.py.
        given = [each for each in given if "RUN" not in each[0].split()]
        # An aisle's provision brings its switches up too, a rack's does not; and servers speak LLDP
        # when they are provisioned.
        before = ("lab.up --aisle=2 --switches", "fabric.push --aisle=2", "provision --aisle=2")
        given = [*((f"invoke {command}", 0) for command in before), *given]
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


def test_no_page_gives_commands_that_no_test_types() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md") if commands(path.name)}
    assert pages == {*HOW_TOS, *ELSEWHERE}


def test_the_readme_gives_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "$ ./bootstrap provision --aisle=2\n" in readme
    assert "$ ./bootstrap test\n" in readme


def test_every_page_that_the_readme_names_exists() -> None:
    for target in re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
