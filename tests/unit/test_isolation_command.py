"""`invoke tenant.isolation` as an operator types it, and what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import isolation_sites
import test_isolation_intent as planted

from chapelle.checks.tenancy.isolation import prove, prove_running
from chapelle.errors import ExitCode
from chapelle.model.snapshot import Snapshot
from chapelle.report import isolation as report
from chapelle.run.tenancy.isolation import Proven, applies
from chapelle.settings import ROOT


def invoke(*words: str, state: Path) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
    return subprocess.run(
        [sys.executable, "-m", "invoke", "tenant.isolation", *words],
        cwd=ROOT, env={**kept, "CHAPELLE_STATE": str(state)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def snapshot(site: isolation_sites.Site, path: Path) -> str:
    path.write_bytes(Snapshot(site.content()).data)
    return f"--snapshot={path}"


def test_a_datacentre_without_leaks_says_so_and_lists_what_is_shared(tmp_path: Path) -> None:
    said = invoke(snapshot(isolation_sites.site(), tmp_path / "file"), state=tmp_path)
    assert said.returncode == ExitCode.OK, said.stderr
    assert "from what NetBox says, 50 switches: nobody reaches anybody else" in said.stdout
    assert "AP-HP <-> border-a1, border-a4 (Ville de Paris): its VRF ends there, by policy" in (
        " ".join(said.stdout.split())
    )
    assert "nothing found" not in said.stdout


def test_a_leak_is_told_with_its_way_and_its_pages(tmp_path: Path) -> None:
    site = isolation_sites.site()
    planted.cable_across(site)
    file = snapshot(site, tmp_path / "file")
    said = invoke(file, "--json", state=tmp_path)
    assert said.returncode == ExitCode.FINDINGS, said.stderr
    (proof,) = json.loads(said.stdout)["proofs"]
    (leak,) = proof["leaks"]
    assert leak["rule"] == "foreign-cable"
    assert [item["url"].split("/")[2] for item in leak["objects"]] == [
        "devices", "interfaces", "cables", "interfaces", "devices",
    ]  # fmt: skip
    assert [reach["others"] for reach in proof["reaches"] if reach["party"] == "AP-HP"] == [
        ["Paris Habitat"]
    ]


def test_only_what_runs_can_be_asked_of_some_switches(tmp_path: Path) -> None:
    said = invoke("--aisle=2", state=tmp_path)
    assert said.returncode == ExitCode.BAD_INPUT
    assert "--aisle with --live" in said.stderr


def test_a_switch_that_was_not_read_is_said_and_weighs_more_than_a_leak() -> None:
    site = isolation_sites.site()
    planted.wrong_import(site)
    dc = isolation_sites.datacentre(site)
    running = prove_running(dc, {}, {"leaf-a1-ta": "it does not answer"})
    found = Proven(proofs=(prove(dc), running), not_exercised={"routes": ("leaf-a1-tb",)})
    assert len(found.leaks) == 1  # NetBox' and the switches' are one
    assert found.exit_code == ExitCode.HOSTS_FAILED
    text = "\n".join(report.lines(found.proofs, found.leaks, found.not_exercised, "http://nb"))
    assert "leaf-a1-ta could not be read: it does not answer" in text
    assert "not looked at on leaf-a1-tb: routes" in text
    assert "from what switches run, 0 switches: 1 leak" in text


def test_it_is_asked_nightly_where_there_are_several_tenants() -> None:
    assert applies(isolation_sites.datacentre(isolation_sites.site()))
    alone = isolation_sites.Site(isolation_sites.reference.content())
    assert not applies(isolation_sites.datacentre(alone))
