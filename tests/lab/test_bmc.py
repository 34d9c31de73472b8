"""The lab's BMCs in the lab's own network, asked by commands as an operator types them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec
import pytest
import reference
from netbox_stand_in import serving

from chapelle import lab, process
from chapelle.lab import bmc, ca, wires
from chapelle.settings import ROOT, Settings

pytestmark = pytest.mark.lab

HOST = "compute-a1-01"
Invoke = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def settings(new_lab: Callable[[], Settings]) -> Settings:
    return new_lab()


@pytest.fixture(scope="module")
def invoke(settings: Settings) -> Iterator[Invoke]:
    """Types a command on a clone whose NetBox shows the reference."""
    with serving(reference.content()) as stand_in:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
        environment = {
            **kept,
            "CHAPELLE_STATE": str(settings.state),
            "CHAPELLE_CACHE": str(settings.cache),
            "CHAPELLE_TARGET": "lab",
            "NETBOX_URL": stand_in.url,
            "NETBOX_TOKEN_RO": "a-token",
        }

        def typed(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [sys.executable, "-m", "invoke", *words],
                cwd=ROOT,
                env={**environment, **more},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )

        yield typed


def fleet(settings: Settings) -> str:
    """The identity of the fleet's process."""
    return (bmc.folder(settings) / "process").read_text()


def test_bmcs_start_when_they_are_asked_and_others_join_them(
    invoke: Invoke, settings: Settings
) -> None:
    done = invoke("bmc.check", f"--limit={HOST}", "--json")
    assert done.returncode == 99, done.stderr  # a new server's settings are not yet as wanted
    document = msgspec.json.decode(done.stdout)
    assert document["failed"] == {}
    assert {each["rule"] for each in document["hosts"][HOST]} == {"hardware-setting"}
    first = fleet(settings)

    # The state is kept, for the process is the same, when more are asked.
    assert invoke("bmc.power", "--rack=A1-R01").returncode == 0
    assert fleet(settings) == first
    assert len(bmc.machines(settings)) > 10


def test_the_machine_itself_cannot_reach_them(settings: Settings) -> None:
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    assert "10.66.1." not in routes


def test_faults_of_a_bmc_are_found_and_named(invoke: Invoke, settings: Settings) -> None:
    assert invoke("lab.bmc", f"--hosts={HOST}", "--faults=wrong-serial").returncode == 0
    done = invoke("bmc.check", f"--limit={HOST}")
    serial = reference.datacentre().device(HOST).serial
    assert done.returncode == 99
    assert f"expected: serial number {serial}" in done.stdout
    assert "found:    CHP000000000000" in done.stdout

    bmc.set_faults(bmc.folder(settings), {HOST: {"stranger": 1}})
    done = invoke("bmc.inventory", "--limit=compute-a1-*")
    assert done.returncode == 5
    assert f"{HOST}: Who answers for the BMC of {HOST} cannot be trusted" in done.stdout
    assert "compute-a1-02" in done.stdout
    password = bmc.credentials(settings).read_text().partition("password: ")[2].strip(" }\n")
    assert password not in done.stdout + done.stderr

    assert invoke("lab.bmc", "--clear").returncode == 0
    assert bmc.faults_of(bmc.folder(settings)) == {}


def test_certificates_are_shown_and_a_dry_run_gives_none(
    invoke: Invoke, settings: Settings
) -> None:
    path = bmc.folder(settings) / "certificates" / f"{HOST}.pem"
    before = path.read_bytes()
    done = invoke("bmc.certificate", f"--limit={HOST}", "--json")
    assert done.returncode == 0, done.stderr
    shown = msgspec.json.decode(done.stdout)["hosts"][HOST]
    assert shown["findings"] == []
    assert shown["certificate"]["issuer"] == "CN=chapelle lab BMC authority"

    done = invoke("bmc.certificate", f"--limit={HOST}", "--days=9999", "--renew", "--dry-run")
    assert done.returncode == 99, done.stderr
    assert f"CN={HOST}" in done.stdout
    assert f"invoke bmc.certificate --limit={HOST} --renew" in done.stdout
    assert "1 certificate looked at, findings on 1, 0 renewed" in done.stdout
    assert path.read_bytes() == before


def test_what_means_nothing_is_told(invoke: Invoke) -> None:
    done = invoke("bmc.power", f"--limit={HOST}", "--action=reset")
    assert done.returncode == 2
    assert "one of on, off, graceful, cycle, status" in done.stderr
    done = invoke("bmc.check", f"--limit={HOST}", CHAPELLE_TARGET="site")
    assert done.returncode == 2
    assert "CHAPELLE_BMC_CA" in done.stderr


def test_down_leaves_no_bmc(settings: Settings) -> None:
    before = fleet(settings)
    assert process.alive(before)
    lab.down(settings)
    assert not process.alive(before)
    assert not wires.is_namespace(ca.namespace_path(settings))
    assert not bmc.folder(settings).exists()
    assert bmc.authority(settings).exists()
