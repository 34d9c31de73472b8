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

import msgspec
import pytest

from chapelle.errors import LockedError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.model.diff import diff
from chapelle.model.records import Content
from chapelle.model.tenancy import QUARANTINE
from chapelle.netbox import lock, snapshot
from chapelle.netbox.access import Session, access, get_json, require
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


def test_a_plan_and_a_dry_run_write_nothing_anywhere(rig: Rig, tmp_path: Path) -> None:
    before = rig.content()
    path = rig.request()
    shown = rig.invoke("tenant.onboard", str(path), "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "Theatre de l'Île (THEATRE-1) comes" in shown.stdout
    assert "+vrf theatre" in shown.stdout
    file = tmp_path / "plan.json"
    made = rig.invoke("tenant.onboard", str(path), "--plan-only", f"--out={file}", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["hash"] == json.loads(file.read_text())["hash"]
    assert diff(before, rig.content()) == []
    assert not papers.root_of(rig.settings).exists()


def test_a_tenant_comes_stays_and_leaves_with_a_certificate(rig: Rig) -> None:
    before = rig.content()
    path = rig.request(kind="bgp")
    done = rig.onboard(path, "A4-R07", "A4-R08")
    assert done.stage == "done"
    dc = Datacentre(snapshot.take(rig.settings).snapshot)
    edge = dc.device("edge-theatre-a4")
    assert edge.status == "planned"
    assert dc.leaf_pair(edge) == ("leaf-a4-ta", "leaf-a4-tb")
    assert {feed.name[-1] for feed in dc.feeds(edge)} == {"A", "B"}
    assert rig.onboard(path).plan.empty
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


def test_what_was_done_can_be_taken_back(rig: Rig) -> None:
    before = rig.content()
    path = rig.request("opera")
    assert rig.onboard(path, "A4-R09", "A4-R10").stage == "done"
    assert rig.undo(path).stage == "undone"
    assert diff(before, rig.content()) == []


@pytest.mark.parametrize("after", [3, 60])
def test_an_onboarding_that_is_killed_is_finished_or_undone(rig: Rig, after: int) -> None:
    before = rig.content()
    path = rig.request("opera")
    command = [sys.executable, "-m", "invoke", "tenant.onboard", str(path), "--yes", "--no-fabric",
               "--racks=A4-R09,A4-R10"]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, env=rig.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        _wait_for(rig, after)
        os.killpg(process.pid, signal.SIGKILL)
    assert papers.unfinished(rig.settings, "opera") is not None
    if after == 3:
        assert rig.undo(path).stage == "undone"
    else:
        assert rig.onboard(path).stage == "done"
        assert rig.onboard(path).plan.empty
        assert rig.undo(path).stage == "undone"
    assert diff(before, rig.content()) == []


def _wait_for(rig: Rig, lines: int) -> None:
    """Until a run's journal of NetBox has that many lines."""
    root = papers.root_of(rig.settings)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        left = papers.unfinished(rig.settings, "opera") if root.exists() else None
        path = left.journal(papers.FREEZE) if left else None
        if path and path.exists() and path.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.05)
    raise AssertionError("nothing was written")


def test_of_two_that_want_one_rack_one_gets_it(rig: Rig) -> None:
    path = rig.request("opera")
    other = rig.request("ballet")
    order = rig.order(other, "A4-R09", "A4-R10")

    def meanwhile(_plan: object, _diffs: object) -> None:
        rig.onboard(path, "A4-R09", "A4-R10")

    with pytest.raises(RefusedError, match="NetBox has changed since"):
        coming.onboard(rig.settings, order, rig.operator, meanwhile)
    with pytest.raises(RefusedError, match="let to Opera"):
        rig.onboard(other, "A4-R09", "A4-R10")
    assert papers.unfinished(rig.settings, "ballet") is None
    with (
        lock.hold(rig.settings, ["aisle-3"], run="another", reason="provision --aisle=3"),
        pytest.raises(LockedError, match=r"[Aa]isle.3"),
    ):
        rig.onboard(other, "A4-R11", "A4-R12")
    rig.undo(path)


def test_the_commands_of_the_how_to_do_what_it_says(rig: Rig, tmp_path: Path) -> None:
    for command, expected in howto.commands("tenant-onboarding.md"):
        words = command.split()[1:]
        if "--yes" in words:
            words.append("--no-fabric")
        words = [w.replace("=eau-de-paris.plan", f"={tmp_path}/eau-de-paris.plan") for w in words]
        done = rig.invoke(*words)
        assert done.returncode == expected, f"$ {command}\n{done.stdout}\n{done.stderr}"


def test_the_papers_of_a_run_say_what_is_left(rig: Rig) -> None:
    runs = papers.of_tenant(rig.settings, "theatre")
    assert [run.state.stage for run in runs] == ["done", "done"]
    assert {run.state.kind for run in runs} == {"tenant-onboard", "tenant-offboard"}
    assert all(run.plan.hash for run in runs)
    assert (
        get_json(Session(access(rig.settings, "read")), "dcim/locations/")["results"][0][
            "custom_fields"
        ]["chapelle_lock"]
        is None
    )
    assert msgspec.json.decode((runs[0].path / "state.json").read_bytes())["tenant"] == "theatre"
