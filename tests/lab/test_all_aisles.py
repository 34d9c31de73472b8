"""All four aisles in one run: 300 servers become active, and a second run changes nothing.

The same with one server of each aisle is quick, and takes the same way: four locks in NetBox, four
aisles in one plan, batches that never mix failure domains.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
from operating import Installation

from chapelle import lab
from chapelle.netbox import server, snapshot
from chapelle.run import prepare

pytestmark = [pytest.mark.lab, pytest.mark.netbox]

AISLES = ("1", "2", "3", "4")
HOURS = 3600.0

SCOPES = [
    pytest.param("--limit=infra-a[1-4]-01", 4, 0.5 * HOURS, id="a-server-of-each-aisle"),
    pytest.param("--aisle=all", 300, 3 * HOURS, id="all-servers", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def here(new_state) -> Iterator[Installation]:
    """An installation of its own: other tests count on servers that are still planned."""
    settings = new_state()
    prepare.netbox(settings, print)
    yield Installation(settings)
    lab.down(settings)
    server.down(settings, print)


def statuses(here: Installation, names: set[str]) -> Counter[str]:
    devices = snapshot.take(here.settings).snapshot.content.devices
    return Counter(device.status for device in devices if device.name in names)


@pytest.mark.parametrize(("scope", "count", "seconds"), SCOPES)
def test_the_aisles_become_active_in_one_run_and_stay_as_they_are(
    here: Installation, scope: str, count: int, seconds: float
) -> None:
    first = here.end(here.start("provision", scope, "--json"), seconds)
    assert first.code == 0, first
    assert len(first.outcomes) == count
    assert {host["aisle"] for host in first.result["hosts"]} == set(AISLES)
    assert set(first.outcomes.values()) <= {"changed", "unchanged"}, first
    assert statuses(here, set(first.outcomes)) == {"active": count}

    again = here.end(here.start("provision", scope, "--json"), seconds)
    assert again.code == 0, again
    assert Counter(again.outcomes.values()) == {"unchanged": count}, again
    assert [here.lock(f"aisle-{number}") for number in AISLES] == [None] * 4
