"""The commands on switches as an operator types them, with NetBox: exit codes, statuses, resume."""

from collections.abc import Iterator

import pytest
from operating import Installation, kill, wait_until

from chapelle import lab
from chapelle.lab import faults, notes
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]

A, B, SPINE = SWITCHES = ("leaf-a2-3a", "leaf-a2-3b", "spine-a2")
SCOPE = "--limit=" + ",".join(SWITCHES)
ONE = f"--limit={A}"
BY_HAND = "vtysh -c 'configure terminal' -c 'interface swp49' -c 'description by hand'"


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings) -> Iterator[Installation]:
    lab.down(seeded_netbox)
    installation = Installation(seeded_netbox)
    for name in SWITCHES:
        installation.edit(name, {"status": "planned"})
    yield installation
    lab.down(seeded_netbox)
    for name in SWITCHES:
        installation.edit(name, {"status": "planned"})


def by_hand(here: Installation) -> None:
    faults.run(here.settings, A, BY_HAND)


def runs_by_hand(here: Installation) -> bool:
    return "by hand" in faults.run(here.settings, A, "vtysh -c 'show running-config'")


def test_switches_are_rendered_without_being_there(here: Installation) -> None:
    done = here.invoke("fabric.render", ONE)
    assert done.code == 0, done
    assert "router bgp 4200000205" in done.out
    assert here.invoke("fabric.diff", ONE).code == 5, "nobody answers yet"
    assert here.invoke("fabric.push", ONE, "--dry-run").code == 5


def test_planned_switches_become_active(here: Installation) -> None:
    done = here.invoke("fabric.push", SCOPE, "--json")
    assert done.code == 0, done
    assert done.outcomes == dict.fromkeys(SWITCHES, "applied")
    assert [here.status(name) for name in SWITCHES] == ["active"] * 3
    run = done.result["id"]
    for name in SWITCHES:
        device = here.device(name)
        assert device["custom_fields"]["chapelle_run"] == run
        assert device["custom_fields"]["chapelle_facts"]["version"]
        assert "applied, confirmed, and persisted" in here.entries(name)[0]
    assert here.lock() is None
    # LLDP speaks every half minute: a port that has just come up is not known at its far end yet.
    wait_until(lambda: here.invoke("fabric.verify", SCOPE).code == 0, seconds=90)
    for command in ("fabric.diff", "fabric.cabling"):
        assert here.invoke(command, SCOPE).code == 0, command


def test_the_second_push_changes_nothing_and_writes_nothing(here: Installation) -> None:
    before = here.changes()
    done = here.invoke("fabric.push", ONE, "--json")
    assert done.code == 0, done
    assert done.outcomes == {A: "unchanged"}
    lock_only = {"aisle-2"}
    query = {"id__gt": before, "fields": "object_repr,changed_object_type", "limit": 50}
    changed = here.netbox("GET", "core/object-changes/", params=query).json()["results"]
    assert {c["object_repr"] for c in changed} <= {"Aisle 2", *lock_only}


def test_drift_is_shown_refused_adopted_and_overwritten(here: Installation) -> None:
    plan = here.settings.state / "push.json"
    assert here.invoke("fabric.plan", ONE, "--out", str(plan)).code == 0
    by_hand(here)
    for words in (["fabric.push", ONE], ["fabric.push", f"--plan={plan}"]):
        refused = here.invoke(*words)
        assert refused.code == 3, refused
        assert "description by hand" in refused.err
    assert here.invoke("fabric.verify", ONE).code == 99
    found = here.invoke("fabric.diff", ONE)
    assert found.code == 99
    assert "- description by hand" in found.out
    assert runs_by_hand(here)

    adopted = here.invoke("fabric.push", ONE, "--adopt", "--json")
    assert adopted.code == 0, adopted
    assert adopted.outcomes == {A: "unchanged"}
    assert runs_by_hand(here)

    moved = here.invoke("fabric.push", f"--plan={plan}")
    assert moved.code == 3, moved
    assert "not what was approved" in moved.err
    assert here.invoke("fabric.plan", ONE, "--out", str(plan)).code == 0
    done = here.invoke("fabric.push", f"--plan={plan}", "--json")
    assert done.code == 0, done
    assert done.outcomes == {A: "applied"}
    assert not runs_by_hand(here)


def exchange(here: Installation, host: str, one: str, two: str) -> None:
    """Let each of two ports of a node be called by the other's name, as if the plugs were moved.

    lldpd is started anew, since it goes on calling a port by the name that it had.
    """
    moves = [(one, "spare"), (two, one), ("spare", two)]
    down = [f"ip link set {port} down" for port in (one, two)]
    named = [f"ip link set {old} name {new}" for old, new in moves]
    up = [f"ip link set {port} up" for port in (one, two)]
    faults.run(here.settings, host, "; ".join([*down, *named, *up, "systemctl restart lldpd"]))


def test_cables_to_the_wrong_ports_are_named(here: Installation) -> None:
    lab_now = notes.read(here.settings)
    assert lab_now
    links = [{c.a.node: c.a.port, c.b.node: c.b.port} for c in lab_now.cables]
    to_a, to_b = (next(c for c in links if c.keys() == {SPINE, leaf}) for leaf in (A, B))
    exchange(here, SPINE, to_a[SPINE], to_b[SPINE])
    expected = f"exchange the plugs in {A} {to_a[A]} and {B} {to_b[B]}"

    def named() -> bool:
        done = here.invoke("fabric.cabling", SCOPE)
        return done.code == 99 and expected in " ".join(done.out.split())

    wait_until(named, seconds=90)
    exchange(here, SPINE, to_a[SPINE], to_b[SPINE])
    wait_until(lambda: here.invoke("fabric.cabling", SCOPE).code == 0, seconds=90)
    assert here.invoke("fabric.diff", SCOPE).code == 0
    wait_until(lambda: here.invoke("fabric.verify", SCOPE).code == 0, seconds=90)


def test_a_killed_push_is_resumed_and_then_reverted(here: Installation) -> None:
    by_hand(here)
    started = here.start("fabric.push", ONE, "--overwrite")
    run = here.wait_for_step(started, A, "re-diff")
    kill(started)
    assert here.hosts(run)[A].outcome == "unknown"
    other = here.invoke("fabric.push", ONE)
    assert other.code == 3, other
    assert run in other.err, "another push says which run to resume"
    assert here.invoke("provision", f"--resume={run}").code == 2
    resumed = here.invoke("fabric.push", f"--resume={run}", "--json")
    assert resumed.code == 0, resumed
    assert resumed.outcomes == {A: "applied"}
    assert here.lock() is None

    back = here.invoke("fabric.revert", run, "--json")
    assert back.code == 0, back
    assert runs_by_hand(here), "as it was before the run"
    again = here.invoke("fabric.push", ONE, "--json")
    assert again.outcomes == {A: "applied"}, again


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["fabric.push"], 2, "none of them"),
        (["fabric.push", ONE, "--resume=x"], 2, "--limit and --resume"),
        (["fabric.push", ONE, "--adopt", "--overwrite"], 2, "contradict"),
        (["fabric.push", "--limit=compute-a2-01"], 2, "role compute"),
        (["fabric.push", "--plan=/nonexistent"], 2, "/nonexistent"),
        (["fabric.push", ONE, "--forks=many"], 2, "many"),
        (["fabric.revert", "nothing"], 2, "no run"),
        (["fabric.verify", "--aisle=9"], 2, "1, 2, 3, 4"),
    ],
)
def test_bad_input_is_refused(here: Installation, words: list[str], code: int, said: str) -> None:
    done = here.invoke(*words)
    assert done.code == code, done
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_lab_that_is_made_anew_has_new_switches(here: Installation) -> None:
    assert here.invoke("lab.down").code == 0
    done = here.invoke("fabric.push", SCOPE, "--json")
    assert done.code == 0, f"nobody has changed a switch that is new: {done}"
    assert done.outcomes == dict.fromkeys(SWITCHES, "applied")
