"""Tenants that come and go in the reference datacentre's NetBox, the switches left aside."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapelle.errors import LockedError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.model.diff import diff
from chapelle.model.tenancy import QUARANTINE
from chapelle.netbox import lock, snapshot
from chapelle.run.tenancy import onboard as coming
from chapelle.run.tenancy import papers
from chapelle.settings import Settings
from tests.lab import howto
from tests.lab.tenancy_rig import Rig, forget

pytestmark = pytest.mark.netbox


@pytest.fixture(scope="module")
def rig(seeded_netbox: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """The tenants that these tests make are gone at the end, and what they left is, too."""
    made = Rig(seeded_netbox, tmp_path_factory.mktemp("requests"))
    before = made.content()
    yield made
    forget(made, before)
    assert diff(before, made.content()) == []


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

    here = rig.content()
    rig.kill_after(30, "tenant.offboard", "theatre")
    assert rig.offboard("theatre").stage == "done"
    back = rig.take_back("theatre")
    assert back.stage == "undone"
    assert not list((back.papers or Path()).glob("certificate.*"))
    assert diff(here, rig.content()) == []
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
