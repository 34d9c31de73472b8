"""Bad weather on hosts: each fails for its own reason, the others go on, the next run mends it."""

import shutil
from collections.abc import Iterator

import pytest
from operating import Installation

from chapelle import lab
from chapelle.lab import faults, node
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]

CANARY, DOWN, STRANGER, FULL, BROKEN, WELL = (f"compute-a2-0{n}" for n in range(1, 7))
SCOPE = "--limit=compute-a2-0[1-6]"


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings) -> Iterator[Installation]:
    installation = Installation(seeded_netbox)
    _plan_anew(installation)
    made = installation.invoke("lab.up", "--rack=A2-R01", "--hosts=6")
    assert made.code == 0, made
    yield installation
    lab.down(seeded_netbox)
    _plan_anew(installation)


def _plan_anew(installation: Installation) -> None:
    for number in range(1, 7):
        installation.edit(f"compute-a2-0{number}", {"status": "planned"})


def test_each_host_fails_for_its_own_reason_and_the_others_go_on(here: Installation) -> None:
    settings = here.settings
    faults.unplug(settings, DOWN)
    faults.replace_host_key(settings, STRANGER)
    faults.fill_disk(settings, FULL)
    faults.run(
        settings,
        BROKEN,
        "dpkg --force-all --purge chrony >/dev/null 2>&1; "
        "mkdir /mnt/kept; mv /etc/apt/sources.list.d /mnt/kept; mkdir /etc/apt/sources.list.d; "
        "rm -rf /var/lib/apt/lists/*",
    )
    done = here.provision(SCOPE, "--max-failed=4")
    assert done.code == 5, done
    assert done.outcomes == {
        CANARY: "changed",
        DOWN: "unreachable",
        STRANGER: "unreachable",
        FULL: "failed",
        BROKEN: "failed",
        WELL: "changed",
    }, done
    assert "ost key verification failed" in done.step(STRANGER, "preflight")["message"], done
    assert "disk" in done.step(FULL, "preflight")["message"].lower(), done
    assert "chrony" in done.step(BROKEN, "configure")["message"], done
    for name in (DOWN, STRANGER, FULL, BROKEN):
        assert here.status(name) == "failed", name
        assert "failed" in here.entries(name)[0] or "unreachable" in here.entries(name)[0]
    assert (here.status(CANARY), here.status(WELL)) == ("active", "active")
    assert here.lock() is None
    reported = here.failures_in_report(done.result["id"])
    assert set(reported) == {DOWN, STRANGER, FULL, BROKEN}
    for name, (_, outcome, step, reason, remedy) in reported.items():
        assert done.outcomes[name] in outcome, reported
        assert step == ("configure" if name == BROKEN else "preflight"), reported
        assert reason == done.step(name, step)["message"] != "", reported
        assert name in remedy, reported


def test_a_budget_that_is_used_up_stops_the_run(here: Installation) -> None:
    done = here.provision("--limit=compute-a2-0[1-5],compute-a2-1*", "--max-failed=3")
    assert done.code == 5, done
    assert "--max-failed allows 3" in done.result["stopped"]
    later = [host for host, outcome in done.outcomes.items() if outcome == "pending"]
    assert later, "hosts in racks after the first were not touched"


def test_a_canary_that_fails_stops_the_run(here: Installation) -> None:
    done = here.provision(f"--limit={STRANGER},{WELL}")
    assert done.code == 5, done
    assert done.outcomes == {STRANGER: "unreachable", WELL: "pending"}
    assert f"the canary {STRANGER}" in done.result["stopped"]


def test_the_next_run_finishes_the_job(here: Installation) -> None:
    settings = here.settings
    faults.plug(settings, DOWN)
    faults.free_disk(settings, FULL)
    faults.run(
        settings,
        BROKEN,
        "rmdir /etc/apt/sources.list.d; mv /mnt/kept/sources.list.d /etc/apt/; rmdir /mnt/kept",
    )
    faults.kill(settings, STRANGER)
    shutil.rmtree(node.folder(settings) / STRANGER)  # installed anew, with a key that is known
    done = here.provision(SCOPE)
    assert done.code == 0, done
    assert done.outcomes[CANARY] == done.outcomes[WELL] == "unchanged"
    for number in range(1, 7):
        assert here.status(f"compute-a2-0{number}") == "active"


def test_a_host_that_dies_in_the_middle_is_reported_and_finished_later(here: Installation) -> None:
    here.edit(WELL, {"status": "planned"})
    run = here.start("provision", f"--limit={CANARY},{WELL}", "--json")
    here.wait_for_step(run, WELL, "configure")
    faults.kill(here.settings, WELL)
    done = here.end(run)
    assert done.code == 5, done
    assert done.outcomes[WELL] == "unreachable", done
    assert here.status(WELL) == "failed"
    again = here.provision(f"--limit={CANARY},{WELL}")
    assert again.code == 0, again
    assert here.status(WELL) == "active"


def test_an_active_host_that_fails_stays_active(here: Installation) -> None:
    faults.unplug(here.settings, WELL)
    try:
        done = here.provision(f"--limit={CANARY},{WELL}")
        assert done.code == 5, done
        assert done.outcomes == {CANARY: "unchanged", WELL: "unreachable"}
        assert here.status(WELL) == "active"
        assert "unreachable" in here.entries(WELL)[0]
        assert here.invoke("drift", f"--limit={CANARY},{WELL}").code == 5
    finally:
        faults.plug(here.settings, WELL)
