"""What an acceptance tells a real NetBox."""

import msgspec
import pytest

from chapelle.model import records as r
from chapelle.model.acceptance import FAILED, NOT_MEASURED, PASSED, Acceptance, Evidence
from chapelle.netbox.writeback import Writer
from chapelle.run.tenancy.accept import write_back
from tests.netbox.conftest import Playground

pytestmark = pytest.mark.netbox


def acceptance(*verdicts: str) -> Acceptance:
    thing = Evidence(
        area="links", item="edge-1 et1", what="port", expected="up", found="-", how="-",
        verdict=PASSED, when=1.7e9,
    )  # fmt: skip
    evidence = tuple(msgspec.structs.replace(thing, verdict=verdict) for verdict in verdicts)
    return Acceptance(
        tenant="ap-hp", name="AP-HP", run="20270101T000000-0000", owner="anne", target="lab",
        snapshot="0" * 64, commit="1" * 40, started=1.7e9, finished=1.7e9, evidence=evidence,
    )  # fmt: skip


def edge(play: Playground, status: str) -> r.Device:
    play.set_device(status=status)
    return r.Device(id=play.device, name="play-1", device_type=1, role=1, site=1, status=status)


@pytest.mark.parametrize("status", ["planned", "staged", "failed"])
def test_an_edge_becomes_active_when_nothing_failed(play: Playground, status: str) -> None:
    made = acceptance(PASSED, NOT_MEASURED)
    write_back(Writer(play.settings), [edge(play, status)], made)
    device = play.device_now()
    assert device["status"]["value"] == "active"
    assert device["custom_fields"]["chapelle_run"] == made.run
    entry = play.journal()[-1]
    assert entry["kind"]["value"] == "success"
    assert "accepted: 1 passed, 0 failed, 1 not measured" in entry["comments"]


def test_an_edge_stays_planned_when_something_failed(play: Playground) -> None:
    write_back(Writer(play.settings), [edge(play, "planned")], acceptance(PASSED, FAILED))
    assert play.device_now()["status"]["value"] == "planned"
    assert any(entry["kind"]["value"] == "danger" for entry in play.journal())
