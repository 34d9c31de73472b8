"""Tenants that come and go in the reference datacentre's NetBox, the switches left aside."""

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chapelle.errors import LockedError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.model.diff import diff
from chapelle.model.records import Content
from chapelle.model.tenancy import QUARANTINE
from chapelle.netbox import lock, snapshot
from chapelle.netbox.access import Session, access, require
from chapelle.run.tenancy import offboard as leaving
from chapelle.run.tenancy import onboard as coming
from chapelle.run.tenancy import papers
from chapelle.settings import ROOT, Settings
from chapelle.tasks._terminal import Terminal
from tests.lab import howto

pytestmark = pytest.mark.netbox

REQUEST = """
reference: {reference}
tenant:
  name: "{name}"
  slug: {slug}
  contacts:
    - {{name: Ann O'Nym, role: operations, email: ann@theatre.example}}
space: {{racks: {racks}, kw_per_rack: 3}}
held_until: {until}
networks:
  - {{name: stage}}
handoff: {{kind: {kind}}}
"""


def silent(_plan: object, _diffs: object) -> None:
    """Says yes."""


class Rig:
    """The NetBox, and the state directory of one operator."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.operator = Terminal(json=True, yes=True)

    def request(self, name: str = "theatre", **said: Any) -> Path:
        until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
        fields = {
            "reference": f"{name.upper()}-1", "name": f"{name.title()} de l'Île", "slug": name,
            "racks": 2, "until": until, "kind": "lacp", **said,
        }  # fmt: skip
        path = self.folder / f"{name}.yml"
        path.write_text(REQUEST.format(**fields))
        return path

    def order(self, path: Path, *racks: str) -> coming.Order:
        return coming.Order(request=path, racks=racks, fabric=False)

    def onboard(self, path: Path, *racks: str) -> coming.Outcome:
        return coming.onboard(self.settings, self.order(path, *racks), self.operator, silent)

    def undo(self, path: Path) -> coming.Outcome:
        return coming.undo(self.settings, self.order(path), self.operator, silent)

    def offboard(self, tenant: str) -> coming.Outcome:
        order = leaving.Order(tenant=tenant, fabric=False)
        return leaving.offboard(self.settings, order, self.operator, silent)

    def content(self) -> Content:
        return snapshot.take(self.settings).snapshot.content

    def invoke(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=600,
            check=False,
        )  # fmt: skip

    def kill_after(self, lines: int, *words: str) -> None:
        """Kill a command as soon as its run has written that many lines about NetBox."""
        tenant = "theatre"
        command = [sys.executable, "-m", "invoke", *words, "--yes", "--no-fabric"]
        with subprocess.Popen(
            command, cwd=ROOT, env=self.environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as process:  # fmt: skip
            while process.poll() is None and self._written(tenant) < lines:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGKILL)
        assert papers.unfinished(self.settings, tenant) is not None

    def _written(self, tenant: str) -> int:
        left = papers.unfinished(self.settings, tenant)
        path = left.journal(papers.FREEZE) if left else None
        return path.read_bytes().count(b"\n") if path and path.exists() else 0

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CHAPELLE_STATE": str(self.settings.state),
            "CHAPELLE_CACHE": str(self.settings.cache),
        }


@pytest.fixture(scope="module")
def rig(seeded_netbox: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The tenants that these tests make are gone at the end, and what they left is, too."""
    made = Rig(seeded_netbox, tmp_path_factory.mktemp("requests"))
    before = made.content()
    yield made
    _forget(made, before)
    assert diff(before, made.content()) == []


def _forget(rig: Rig, before: Content) -> None:
    seeder = Session(access(rig.settings, "seed"))
    now = rig.content()
    url = f"{seeder.granted.url}/api"
    require(
        seeder.patch(
            f"{url}/dcim/sites/{now.sites[0].id}/", json={"custom_fields": {QUARANTINE: None}}
        ),
        200,
    )
    for name, path in (
        ("contact_assignments", "tenancy/contact-assignments"),
        ("contacts", "tenancy/contacts"),
        ("tenants", "tenancy/tenants"),
    ):
        known = {record.id for record in getattr(before, name)}
        for record in getattr(now, name):
            if record.id not in known:
                require(seeder.delete(f"{url}/{path}/{record.id}/"), 204)


def test_a_tenant_comes_and_leaves_though_each_run_is_killed(rig: Rig) -> None:
    before = rig.content()
    path = rig.request(kind="bgp")
    rig.kill_after(3, "tenant.onboard", str(path), "--racks=A4-R07,A4-R08")
    assert rig.undo(path).stage == "undone"
    assert diff(before, rig.content()) == []

    rig.kill_after(60, "tenant.onboard", str(path), "--racks=A4-R07,A4-R08")
    with pytest.raises(RefusedError, match="Another run for theatre is not at its end"):
        rig.offboard("theatre")
    assert rig.onboard(path).stage == "done"
    dc = Datacentre(snapshot.take(rig.settings).snapshot)
    edge = dc.device("edge-theatre-a4")
    assert edge.status == "planned"
    assert dc.leaf_pair(edge) == ("leaf-a4-ta", "leaf-a4-tb")
    assert {feed.name[-1] for feed in dc.feeds(edge)} == {"A", "B"}
    assert rig.onboard(path).plan.empty

    rig.kill_after(30, "tenant.offboard", "theatre")
    gone = rig.offboard("theatre")
    assert gone.stage == "done"
    certificate = json.loads(((gone.papers or Path()) / "certificate.json").read_text())
    assert certificate["racks"] == ["A4-R07", "A4-R08"]
    kept = rig.content().sites[0].custom_fields[QUARANTINE]
    assert {one["tenant"] for one in kept} == {"theatre"}
    left = {change.kind for change in diff(before, rig.content())}
    assert left == {
        "dcim.site", "tenancy.tenant", "tenancy.contact", "tenancy.contactassignment"
    }  # fmt: skip


def test_of_two_that_want_one_rack_one_gets_it(rig: Rig) -> None:
    before = rig.content()
    path, other = rig.request("opera"), rig.request("ballet")

    def meanwhile(_plan: object, _diffs: object) -> None:
        rig.onboard(path, "A4-R09", "A4-R10")

    order = rig.order(other, "A4-R09", "A4-R10")
    with pytest.raises(RefusedError, match="NetBox has changed since"):
        coming.onboard(rig.settings, order, rig.operator, meanwhile)
    with pytest.raises(RefusedError, match="let to Opera"):
        rig.onboard(other, "A4-R09", "A4-R10")
    with (
        lock.hold(rig.settings, ["aisle-3"], run="another", reason="provision --aisle=3"),
        pytest.raises(LockedError),
    ):
        rig.onboard(other, "A4-R11", "A4-R12")
    assert papers.unfinished(rig.settings, "ballet") is None
    rig.undo(path)
    assert diff(before, rig.content()) == []


def test_the_commands_of_the_how_to_do_what_it_says(rig: Rig, tmp_path: Path) -> None:
    before = rig.content()
    typed = howto.commands("tenant-onboarding.md")
    comes = next(place for place, (words, _) in enumerate(typed) if words.endswith("--yes"))
    handed_over = [
        (words.replace("ap-hp", "eau-de-paris"), code)
        for words, code in howto.commands("tenant-handover.md")
    ]
    typed[comes + 1 : comes + 1] = [("invoke tenant.isolation", 0), *handed_over]
    for command, expected in typed:
        words = command.partition(" #")[0].replace("--out ", "--out=").split()[1:]
        words = [word.replace("--out=", f"--out={tmp_path}/") for word in words]
        if "--yes" in words:
            words.append("--no-fabric")
        done = rig.invoke(*words)
        assert done.returncode == expected, f"$ {command}\n{done.stdout}\n{done.stderr}"
        if "--dry-run" in words and "tenant.onboard" in words:
            assert "Eau de Paris (EAUDEPARIS-2026-01) comes" in done.stdout
            assert "+vrf eau-de-paris" in done.stdout
            assert diff(before, rig.content()) == []
            assert not papers.of_tenant(rig.settings, "eau-de-paris")
    made = {path.suffix for path in (tmp_path / "eau-de-paris").iterdir()}
    assert made == {".csv", ".html", ".json", ".pdf"}
    runs = papers.of_tenant(rig.settings, "eau-de-paris")
    assert [run.state.stage for run in runs] == ["done", "done"]
    assert (runs[0].path / "certificate.txt").read_text().startswith("Certificate of release: Eau")
