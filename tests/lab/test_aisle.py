"""The main job, as an operator types it: an aisle of 75 servers from NetBox to `active`."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chapelle import lab
from chapelle.checks.resilience.loss import Plant
from chapelle.model.datacentre import Datacentre
from chapelle.netbox import server, snapshot
from chapelle.plan import policy as policies
from chapelle.run import prepare
from chapelle.settings import Settings

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.lab, pytest.mark.netbox]


@pytest.fixture(scope="module")
def installation(new_state) -> Iterator[Settings]:
    """An installation of its own: other tests count on servers that are still planned."""
    settings = new_state()
    prepare.netbox(settings, print)
    yield settings
    lab.down(settings)
    server.down(settings, print)


def invoke(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".venv" / "bin" / "invoke", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "CHAPELLE_STATE": str(settings.state),
            "CHAPELLE_CACHE": str(settings.cache),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """How many hosts ended how, from the last of the JSON lines."""
    result = json.loads(done.stdout.splitlines()[-1])["result"]
    found: dict[str, int] = {}
    for host in result["hosts"]:
        found[host["outcome"]] = found.get(host["outcome"], 0) + 1
    return found


def test_an_aisle_becomes_active_and_stays_as_it_is(installation: Settings) -> None:
    first = invoke(installation, "provision", "--aisle=2", "--json")
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr
    assert outcomes(first) == {"changed": 75}
    servers = [
        device
        for device in snapshot.take(installation).snapshot.content.devices
        if re.fullmatch(r"(compute|storage|database|infra)-a2-\d+", device.name or "")
    ]
    assert [device.status for device in servers] == ["active"] * 75

    again = invoke(installation, "provision", "--aisle=2", "--json")
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr
    assert outcomes(again) == {"unchanged": 75}


@pytest.mark.slow  # test_run.py does the same on three servers
def test_drift_names_what_was_spoiled_and_provision_mends_it(installation: Settings) -> None:
    before = invoke(installation, "drift", "--aisle=2")
    assert before.returncode == 0, before.stdout + before.stderr
    host = "database-a2-03"
    for command in (
        "echo 'PermitRootLogin yes' | sudo tee -a /etc/ssh/sshd_config",
        "sudo systemctl stop chrony",
        "sudo nft insert rule inet chapelle input tcp dport 4444 accept",
    ):
        spoiled = invoke(installation, "lab.ssh", host, "-c", command)
        assert spoiled.returncode == 0, spoiled.stderr

    drift = invoke(installation, "drift", "--aisle=2")
    assert drift.returncode == 99, drift.stdout + drift.stderr
    lines = [line for line in drift.stdout.splitlines() if line.strip()]
    assert any("sshd_config" in line for line in lines), drift.stdout
    assert any("chrony" in line for line in lines), drift.stdout
    assert any("ruleset" in line for line in lines), drift.stdout
    assert f"invoke provision --limit={host}" in drift.stdout

    mended = invoke(installation, "provision", "--aisle=2", "--json")
    assert outcomes(mended) == {"unchanged": 74, "changed": 1}
    assert invoke(installation, "drift", "--aisle=2").returncode == 0


@pytest.mark.slow  # test_reboot_patch.py does the same on three servers
def test_an_aisle_restarts_and_breaks_no_rule_at_any_moment(installation: Settings) -> None:
    """The journal says when each server was out; the graph says what that did."""
    done = invoke(installation, "reboot", "--aisle=2", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert outcomes(done) == {"changed": 75}
    hosts = json.loads(done.stdout.splitlines()[-1])["result"]["hosts"]
    spans = {host["host"]: _out_of_service(host["steps"]) for host in hosts}
    dc = Datacentre(snapshot.take(installation).snapshot)
    plant = Plant(dc)
    policy = policies.read(ROOT / "inventory" / "rolling.yml")
    for moment in sorted(start for start, _ in spans.values()):
        out = [dc.device(name) for name, (start, end) in spans.items() if start <= moment < end]
        assert len({device.rack for device in out}) == 1
        roles = Counter(dc.role_of(device) for device in out)
        for role, count in roles.items():
            assert count <= policy.roles[role].at_once, f"{count} of {role} at one time"
            assert not policy.roles[role].alone or len(out) == 1, f"{role} was not alone"
        assert plant.lose([plant.element(device) for device in out]).harmless
    assert invoke(installation, "drift", "--aisle=2").returncode == 0


def _out_of_service(steps: list[dict[str, Any]]) -> tuple[float, float]:
    by_name = {step["step"]: step for step in steps}
    return by_name["drain"]["started"], by_name["restore"]["finished"]
