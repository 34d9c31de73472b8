"""The first commands on a fresh machine: NetBox is brought up and seeded, once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from chapelle.netbox import server_database as database
from chapelle.netbox import server_install
from chapelle.netbox.access import Session, access, get_json
from chapelle.netbox.server_layout import Layout
from chapelle.settings import ROOT, Settings

pytestmark = pytest.mark.netbox

FIRST_COMMAND = """
import sys
from pathlib import Path
import msgspec
from chapelle.run import prepare
from chapelle.settings import Settings
settings = msgspec.structs.replace(Settings.load(), root=Path(sys.argv[1]))
prepare.netbox(settings, lambda line: print(line, flush=True))
"""


@pytest.fixture
def fresh(netbox: Settings, new_state, tmp_path: Path) -> Settings:
    """A clone with one rack in its design, on a machine that has seeded nothing yet.

    `netbox` has seen to it that NetBox is installed.
    """
    root, cache = tmp_path / "clone", tmp_path / "cache" / "netbox"
    shutil.copytree(ROOT / "inventory", root / "inventory")
    shutil.copytree(ROOT / "plugins" / "netbox", root / "plugins" / "netbox")
    for name in ("requirements-netbox.in", "requirements-netbox.lock"):
        shutil.copy(ROOT / name, root)
    shrink(root / "inventory" / "design")
    cache.mkdir(parents=True)
    shared = Layout.of(netbox)
    empty = database.cached_dump(shared, server_install.version(shared))
    for path in (server_install.environment(shared), empty):
        (cache / path.name).symlink_to(path)
    return msgspec.structs.replace(new_state(), root=root, cache=tmp_path / "cache")


def shrink(design: Path) -> None:
    def edit(name: str, **changes: Any) -> None:
        path = design / name
        content = {**yaml.safe_load(path.read_text()), **changes}
        path.write_text(yaml.safe_dump(content))

    site, network, racks = (
        yaml.safe_load((design / name).read_text())
        for name in ("site.yml", "network.yml", "racks.yml")
    )
    edit("site.yml", sizing=None, aisles={**site["aisles"], "numbers": 1})
    edit("racks.yml", racks=[{**racks["racks"][0], "numbers": 1}])
    edit("servers.yml", racks=[{"rack": 1, "servers": {"compute": 2}}])
    by_name = {switch["name"]: switch for switch in network["switches"]}
    switches = [
        by_name["leaf-a{aisle}-1a"],
        {**by_name["leaf-a{aisle}-1b"], "rack": 1, "unit": 41},
        by_name["oob-a{aisle}-1"],
    ]
    edit("network.yml", switches=switches, attachments=network["attachments"][:1], meshes=[])


def first_command(settings: Settings) -> "subprocess.Popen[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
    places = {"CHAPELLE_STATE": str(settings.state), "CHAPELLE_CACHE": str(settings.cache)}
    return subprocess.Popen(
        [sys.executable, "-c", FIRST_COMMAND, str(settings.root)],
        env={**kept, **places, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_first_commands_at_once_seed_once(fresh: Settings) -> None:
    with first_command(fresh) as one, first_command(fresh) as two:
        said = [command.communicate()[0] for command in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), said
    assert sum("\nseeded: " in text for text in said) == 1, said
    reader = Session(access(fresh, "read"))
    assert get_json(reader, "dcim/devices/")["count"] == 7
    with first_command(fresh) as later:
        (line,) = later.communicate()[0].splitlines()
    assert line.startswith("NetBox is up: ")
