"""Bad weather between plan and run: what was approved is applied exactly, or refused by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from operating import HOSTS, SCOPE, Installation

from chapelle import lab
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]
ONE, TWO, THREE = HOSTS


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings) -> Iterator[Installation]:
    installation = Installation(seeded_netbox)
    installation.plan_anew()
    yield installation
    lab.down(seeded_netbox)
    installation.plan_anew()


@pytest.fixture
def plan(here: Installation, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    done = here.invoke("plan", SCOPE, f"--out={path}")
    assert done.code == 0, done
    return path


def refused(here: Installation, plan: Path) -> str:
    before = here.changes()
    done = here.invoke("provision", f"--plan={plan}")
    assert done.code == 3, done
    assert here.changes() == before, "what is refused changes nothing"
    return done.err


def test_a_plan_is_applied(here: Installation, plan: Path) -> None:
    done = here.provision(f"--plan={plan}")
    assert done.code == 0, done
    assert set(done.outcomes) == set(HOSTS)
    assert "status was planned, now active" in refused(here, plan), "and not twice"


def test_a_renamed_host_is_named(here: Installation, plan: Path) -> None:
    here.edit(TWO, {"name": "compute-a2-77"})
    try:
        assert f"{TWO}: renamed to compute-a2-77" in refused(here, plan)
        assert here.invoke("provision", f"--limit={TWO}").code == 2
    finally:
        here.edit("compute-a2-77", {"name": TWO})


def test_what_moved_is_named(here: Installation, plan: Path) -> None:
    here.edit(THREE, {"status": "offline"})
    device = here.device(ONE)["id"]
    query = {"device_id": device, "name": "bond0"}
    port = here.netbox("GET", "dcim/interfaces/", params=query).json()["results"][0]
    url = f"dcim/interfaces/{port['id']}/"
    here.netbox("PATCH", url, json={"mtu": 9100})
    try:
        said = refused(here, plan)
        assert f"{THREE}: status was active, now offline" in said
        assert f"{ONE}: intent changed in" in said
        assert "network_links" in said
    finally:
        here.edit(THREE, {"status": "active"})
        here.netbox("PATCH", url, json={"mtu": port["mtu"]})
    assert here.provision(f"--plan={plan}").code == 0, "nothing has moved any more"


def test_a_plan_of_a_look_at_drift_is_not_applied(here: Installation) -> None:
    assert here.invoke("drift", SCOPE).code in {0, 99}
    look = here.settings.state / "runs" / here.latest().id / "plan.json"
    done = here.invoke("provision", f"--plan={look}")
    assert done.code == 2, done
    assert "kind drift" in done.err


def test_an_altered_plan_is_refused(here: Installation, plan: Path) -> None:
    plan.write_text(plan.read_text().replace(THREE, "storage-a2-01"))
    assert "altered" in refused(here, plan)
