"""A run in fair weather: three servers from `planned` to `active`, then nothing, drift, mending."""

from collections.abc import Iterator

import pytest
from operating import HOSTS, SCOPE, Installation

from chapelle import lab
from chapelle.lab import faults
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]
ONE, TWO, THREE = HOSTS


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings) -> Iterator[Installation]:
    lab.down(seeded_netbox)  # what another test left would be configured already
    installation = Installation(seeded_netbox)
    installation.plan_anew()
    yield installation
    lab.down(seeded_netbox)
    installation.plan_anew()


def test_a_dry_run_before_anything_changes_nothing(here: Installation) -> None:
    before = here.changes()
    files = sorted(here.settings.state.rglob("*/runs/*"))
    done = here.invoke("provision", SCOPE, "--dry-run")
    assert done.code == 0, done
    assert "3 servers" in done.out
    assert here.changes() == before
    assert sorted(here.settings.state.rglob("*/runs/*")) == files
    assert here.status(ONE) == "planned"


def test_planned_servers_become_active(here: Installation) -> None:
    done = here.provision()
    assert done.code == 0, done
    assert done.outcomes == dict.fromkeys(HOSTS, "changed")
    assert [here.status(name) for name in HOSTS] == ["active"] * 3
    run = done.result["id"]
    for name in HOSTS:
        device = here.device(name)
        assert device["custom_fields"]["chapelle_run"] == run
        assert device["custom_fields"]["chapelle_facts"]
        entry = here.entries(name)[0]
        assert all(part in entry for part in (run, done.result["commit"][:12], "verified"))
    assert here.lock() is None
    assert (here.settings.state / "runs" / run / "report.html").stat().st_size > 1000


def test_the_second_run_changes_nothing_and_writes_nothing(here: Installation) -> None:
    entries = [len(here.entries(name)) for name in HOSTS]
    stamps = [here.device(name)["last_updated"] for name in HOSTS]
    done = here.provision()
    assert done.code == 0, done
    assert done.outcomes == dict.fromkeys(HOSTS, "unchanged")
    assert [len(here.entries(name)) for name in HOSTS] == entries
    assert [here.device(name)["last_updated"] for name in HOSTS] == stamps


def test_drift_is_named_and_mended(here: Installation) -> None:
    assert here.invoke("drift", SCOPE).code == 0
    faults.run(here.settings, ONE, "echo '# spoilt' >> /etc/nftables.conf")
    faults.run(here.settings, TWO, "systemctl stop chrony.service")
    faults.run(here.settings, THREE, "nft add rule inet chapelle input tcp dport 4444 accept")
    before = here.changes()
    found = here.invoke("drift", SCOPE)
    assert found.code == 99, found
    for name, what in ((ONE, "nftables.conf"), (TWO, "chrony"), (THREE, "inet chapelle")):
        assert any(name in line and what in line for line in found.out.splitlines()), found
    assert here.changes() == before
    told = here.invoke("provision", SCOPE, "--dry-run")
    assert told.code == 0, told
    assert here.invoke("drift", SCOPE).code == 99, "a dry run mends nothing"
    mended = here.provision()
    assert mended.outcomes == dict.fromkeys(HOSTS, "changed"), mended
    assert here.invoke("drift", SCOPE).code == 0


def test_runs_are_listed_and_shown(here: Installation) -> None:
    run = here.latest().id
    assert run in here.invoke("runs.list").out
    shown = here.invoke("runs.show", run)
    assert all(name in shown.out for name in HOSTS)
    assert here.invoke("runs.show", run, "--json").result["id"] == run
    assert here.invoke("runs.show", "nothing").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--aisle=9"], "1, 2, 3, 4"),
        (["--aisle=2; rm -rf /"], "rm -rf"),
        (["--aisle="], "''"),
        (["--rack=A9-R99"], "A9-R99"),
        (["--limit=compute-a2-99"], "compute-a2-99"),
        (["--limit=leaf-a2-1a"], "role leaf"),
        ([], "exactly one"),
        (["--aisle=2", "--rack=A2-R01"], "exactly one"),
        (["--aisle=2", "--plan=x"], "one of"),
        (["--plan=/nonexistent"], "/nonexistent"),
        (["--resume=nothing"], "nothing"),
        (["--aisle=2", "--max-failed=some"], "some"),
        (["--dry-run", "--resume=x"], "--dry-run"),
    ],
)
def test_bad_input_is_refused_and_says_what_is_legal(
    here: Installation, words: list[str], said: str
) -> None:
    done = here.invoke("provision", *words)
    assert done.code == 2, done
    assert said in done.err
    assert "Traceback" not in done.err


def test_an_aisle_without_servers_is_refused(here: Installation) -> None:
    site = here.netbox("GET", "dcim/sites/").json()["results"][0]["id"]
    aisle = {"name": "Aisle 7", "slug": "aisle-7", "site": site, "status": "active"}
    made = here.netbox("POST", "dcim/locations/", json=aisle).json()["id"]
    try:
        done = here.invoke("provision", "--aisle=7")
        assert done.code == 2, done
        assert "no server at all" in done.err
    finally:
        here.netbox("DELETE", f"dcim/locations/{made}/")


def test_servers_out_of_service_are_not_touched(here: Installation) -> None:
    here.edit(ONE, {"status": "offline"})
    try:
        named = here.invoke("provision", f"--limit={ONE}")
        assert named.code == 2, named
        assert "offline" in named.err
        matched = here.provision("--limit=compute-a2-0[12]")
        assert set(matched.outcomes) == {TWO}
        assert f"{ONE} is left out" in matched.err
    finally:
        here.edit(ONE, {"status": "active"})


def test_findings_about_a_server_stop_the_run(here: Installation) -> None:
    own = here.device(TWO)["platform"]["id"]
    here.edit(TWO, {"platform": None})
    try:
        done = here.invoke("provision", f"--limit={ONE},{TWO}")
        assert done.code == 2, done
        assert "unknown-platform" in done.err
        assert TWO in done.err
        assert here.invoke("provision", f"--limit={THREE}").code == 0
    finally:
        here.edit(TWO, {"platform": own})
