"""Tenants that come and go with the switches, one of which is away when it is needed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from operating import Installation, wait_until

from chapelle import lab
from chapelle.lab import faults
from chapelle.model.datacentre import Datacentre
from chapelle.model.diff import diff
from chapelle.netbox import snapshot
from chapelle.run.tenancy import papers
from chapelle.settings import Settings
from tests.lab.tenancy_rig import Rig, forget

pytestmark = [pytest.mark.lab, pytest.mark.netbox, pytest.mark.slow]

LEAF = "leaf-a4-tb"
RACKS = "--racks=A4-R07,A4-R08"
TENANT = "theatre"


class Here(Rig):
    """The operator, the request, and the switches that follow it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings, folder)
        self.operating = Installation(settings)
        self.path = self.request(TENANT, kind="bgp")
        planned = self.operating.invoke(
            "tenant.onboard", str(self.path), RACKS, "--dry-run", "--json"
        )
        assert planned.code == 0, planned
        self.switches = sorted(json.loads(planned.out)["diffs"])
        assert LEAF in self.switches

    @property
    def scope(self) -> str:
        return f"--limit={','.join(self.switches)}"

    @property
    def carrying(self) -> str:
        """The switches that carry the tenant. The lab makes one of management anew, without its
        configuration, when NetBox gives it other ports, as a tenant's coming and going does."""
        return f"--limit={','.join(n for n in self.switches if not n.startswith('oob-'))}"

    def stages(self) -> list[str]:
        """How far the tenant's runs came, the latest first."""
        return [run.state.stage for run in papers.of_tenant(self.settings, TENANT)]

    def as_intended(self) -> bool:
        """Whether each switch runs what NetBox says."""
        done = self.operating.invoke("fabric.diff", self.carrying)
        print(done)
        return done.code == 0

    def plug(self) -> None:
        faults.plug(self.settings, LEAF)
        wait_until(
            lambda: self.operating.invoke("fabric.diff", f"--limit={LEAF}").code != 5, seconds=120
        )


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    lab.down(seeded_netbox)
    made = Here(seeded_netbox, tmp_path_factory.mktemp("requests"))
    before = made.content()
    dc = Datacentre(snapshot.take(seeded_netbox).snapshot)
    lab.up(seeded_netbox, dc, made.switches)
    statuses = {name: made.operating.status(name) for name in made.switches}
    pushed = made.operating.invoke("fabric.push", made.scope, "--json")
    assert pushed.code == 0, pushed
    yield made
    lab.down(seeded_netbox)
    for name, status in statuses.items():
        fields = {"chapelle_facts": None, "chapelle_run": None}
        made.operating.edit(name, {"status": status, "custom_fields": fields})
    forget(made, before)
    assert diff(before, made.content()) == []


def test_a_leaf_that_is_away_leaves_everything_as_it_was(here: Here) -> None:
    before = here.content()
    faults.unplug(here.settings, LEAF)
    done = here.operating.invoke("tenant.onboard", str(here.path), RACKS, "--yes")
    assert done.code == 5, done
    assert LEAF in done.err
    assert here.stages() == ["undone"]
    assert diff(before, here.content()) == []
    here.plug()
    assert here.as_intended()


def test_a_leaf_that_goes_away_in_the_middle_is_gone_on_with(here: Here) -> None:
    started = here.operating.start("tenant.onboard", str(here.path), RACKS, "--yes")
    here.operating.wait_for_step(started, LEAF, "apply")
    faults.unplug(here.settings, LEAF)
    done = here.operating.end(started)
    assert done.code not in {0, 1}, done
    assert LEAF in done.err
    assert f"invoke tenant.onboard {here.path}" in done.err
    here.plug()
    again = here.operating.invoke("tenant.onboard", str(here.path), RACKS, "--yes")
    assert again.code == 0, again
    assert here.stages()[0] == "done"
    assert here.as_intended()
    assert here.operating.invoke("tenant.isolation").code == 0


def test_a_tenant_does_not_leave_behind_a_switch_that_is_away(here: Here) -> None:
    before = here.content()
    faults.unplug(here.settings, LEAF)
    done = here.operating.invoke("tenant.offboard", TENANT, "--yes")
    assert done.code == 5, done
    assert diff(before, here.content()) == []
    here.plug()
    assert here.as_intended()


def test_a_leaving_is_taken_back_on_the_switches_too(here: Here) -> None:
    before = here.content()
    gone = here.operating.invoke("tenant.offboard", TENANT, "--yes")
    assert gone.code == 0, gone
    assert here.as_intended()
    back = here.operating.invoke("tenant.offboard", TENANT, "--undo", "--yes")
    assert back.code == 0, back
    assert here.stages()[0] == "undone"
    papers_left = papers.of_tenant(here.settings, TENANT)[0].path
    assert not list(papers_left.glob("certificate.*"))
    assert diff(before, here.content()) == []
    assert here.as_intended()
    assert here.operating.invoke("tenant.offboard", TENANT, "--yes").code == 0
    assert here.as_intended()
