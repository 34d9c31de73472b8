"""The journal: what was written before a kill is there after it, and an end not seen is UNKNOWN."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from plan_datacentre import two_aisles

from chapelle import process
from chapelle.errors import ChapelleError, InputError
from chapelle.model.outcome import STEPS, Change, Event, StepResult
from chapelle.plan import plan as plans
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.scope import parse
from chapelle.run.journal import Journal, RunRecord, Usual, host_outcome

HOSTS = plans.build(
    two_aisles(), parse(aisle="1"), kind="provision", target="lab", commit="c", kernels=WHOLE
).hosts


def record(name: str = "run-1", started: float = 100.0) -> RunRecord:
    return RunRecord(
        id=name, kind="provision", target="lab", owner="somebody@here", started=started,
        snapshot="s", plan="p", commit_id="c", scope="--aisle=1", dry_run=False,
        process=process.identity(os.getpid()),
    )  # fmt: skip


def ended(step: str, outcome: str = "ok", **fields: object) -> StepResult:
    return StepResult(step=step, outcome=outcome, started=1.0, finished=2.0, **fields)  # type: ignore[arg-type]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened = Journal(tmp_path / "state" / "journal.sqlite")
    opened.open_run(record(), HOSTS)
    return opened


def outcome_of(journal: Journal, host: str) -> str:
    return next(h.outcome for h in journal.result("run-1").hosts if h.host == host)


def test_the_journal_is_private_and_durable(journal: Journal) -> None:
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_host_goes_from_pending_over_unknown_to_its_outcome(journal: Journal) -> None:
    name = HOSTS[0].name
    assert outcome_of(journal, name) == "pending"
    for step in STEPS:
        journal.begin("run-1", [name], step, 1.0)
        assert outcome_of(journal, name) == "unknown"
        journal.end("run-1", name, ended(step, "changed" if step == "configure" else "ok"))
    assert outcome_of(journal, name) == "changed"
    assert outcome_of(journal, HOSTS[1].name) == "pending"


def test_what_a_step_found_is_kept(journal: Journal) -> None:
    name = HOSTS[0].name
    change = Change(role="time", kind="file", item="/etc/chrony/chrony.conf", diff="- a\n+ b")
    journal.begin("run-1", [name], "configure", 1.0)
    journal.end("run-1", name, ended("configure", "changed", changes=(change,)), {"kernel": "6.1"})
    assert journal.steps("run-1", name)["configure"].changes == (change,)
    assert journal.facts("run-1", name) == {"kernel": "6.1"}
    assert journal.facts("run-1", HOSTS[1].name) == {}


def test_only_the_latest_attempt_counts(journal: Journal) -> None:
    name = HOSTS[0].name
    for outcome in ("failed", "ok"):
        journal.begin("run-1", [name], "preflight", 1.0)
        journal.end("run-1", name, ended("preflight", outcome))
    assert journal.steps("run-1", name)["preflight"].outcome == "ok"


def test_an_end_without_a_beginning_is_an_error(journal: Journal) -> None:
    with pytest.raises(ChapelleError, match="no step verify"):
        journal.end("run-1", HOSTS[0].name, ended("verify"))
    journal.begin("run-1", [HOSTS[0].name], "verify", 1.0)
    journal.end("run-1", HOSTS[0].name, ended("verify"))
    with pytest.raises(ChapelleError, match="no step verify"):
        journal.end("run-1", HOSTS[0].name, ended("verify"))


def test_a_run_is_closed_and_taken_over(journal: Journal) -> None:
    journal.event("run-1", Event(time=5.0, kind="note", message="half way"))
    journal.close_run("run-1", 9.0, 5, "the canary failed")
    closed = journal.result("run-1")
    assert (closed.finished, closed.exit_code, closed.stopped) == (9.0, 5, "the canary failed")
    journal.take_over("run-1", "boot:1:1")
    assert journal.run("run-1").finished is None
    assert journal.run("run-1").process == "boot:1:1"
    assert [event.message for event in journal.events("run-1")] == ["half way"]


def test_what_a_run_like_this_took_is_known_from_the_latest_that_went_through(
    journal: Journal,
) -> None:
    alike = {"kind": "provision", "scope": "--aisle=1", "target": "lab"}
    started = Event(time=100.0, kind="run-started")
    journal.event("run-1", started)
    assert journal.took(**alike) is None
    journal.close_run("run-1", 160.0, 0, "")
    assert journal.took(**alike) == 60.0
    for name, code, times in (("failed", 5, 1), ("resumed", 0, 2), ("latest", 0, 1)):
        journal.open_run(record(name, started=200.0), HOSTS)
        for _ in range(times):
            journal.event(name, started)
        journal.close_run(name, 230.0, code, "")
        assert journal.took(**alike) == (30.0 if name == "latest" else 60.0), name
    assert journal.took(**{**alike, "scope": "--aisle=2"}) is None
    assert journal.took(**{**alike, "target": "site"}) is None


def test_what_is_usual_for_a_step_is_what_it_took_lately_where_it_went_through(
    journal: Journal,
) -> None:
    one, two, other = (host.name for host in HOSTS[:3])

    def took(host: str, seconds: float, outcome: str = "changed") -> None:
        journal.begin("run-1", [host], "install", 100.0)
        result = StepResult(
            step="install", outcome=outcome, started=100.0, finished=100.0 + seconds
        )
        journal.end("run-1", host, result)

    assert journal.usual(["install"], [one, two], target="lab") == {}
    took(one, 40.0)
    took(two, 50.0)
    took(two, 900.0, "failed")
    took(other, 800.0)
    journal.begin("run-1", [one], "install", 1.0)  # and nobody saw its end
    asked = (["install", "erase"], [one, two])
    assert journal.usual(*asked, target="lab") == {"install": Usual(2, 50.0)}
    assert journal.usual(*asked, target="site") == {}
    for _ in range(20):
        took(one, 30.0)
    assert journal.usual(*asked, target="lab") == {"install": Usual(20, 30.0)}


def test_runs_are_listed_latest_first_and_an_unknown_one_is_bad_input(journal: Journal) -> None:
    journal.open_run(record("run-2", started=200.0), HOSTS)
    assert [run.id for run in journal.runs()] == ["run-2", "run-1"]
    with pytest.raises(InputError, match="no run 'run-9'"):
        journal.run("run-9")
    with pytest.raises(InputError, match="no run"):
        journal.run("' OR 1=1 --")


def test_a_journal_of_another_format_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(ChapelleError, match="another version"):
        Journal(path)


KILLED = """
import os, signal, sys
from pathlib import Path
from chapelle.run.journal import Journal
from chapelle.model.outcome import StepResult
journal = Journal(Path(sys.argv[1]))
first, second, third = sys.argv[2:5]
journal.begin("run-1", [first, second], "preflight", 1.0)
journal.end("run-1", first, StepResult(step="preflight", outcome="ok", started=1.0, finished=2.0))
journal._db.execute("BEGIN IMMEDIATE")
journal._db.execute("INSERT INTO steps (run, host, step, started) VALUES ('run-1', ?, 'x', 1)",
                    (third,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_loses_nothing_that_was_written_and_keeps_nothing_by_halves(
    journal: Journal,
) -> None:
    names = [host.name for host in HOSTS[:3]]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(journal.path), *names], check=False)
    assert killed.returncode == -signal.SIGKILL
    steps = [journal.steps("run-1", name) for name in names]
    assert steps[0]["preflight"].outcome == "ok"
    assert steps[1]["preflight"].outcome == "unknown"
    assert steps[1]["preflight"].finished is None
    assert steps[2] == {}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "pending"),
        (["skipped"], "pending"),
        (["ok"], "unknown"),
        (["unreachable"], "unreachable"),
        (["ok", "failed"], "failed"),
        (["ok", "changed", "failed"], "failed"),
        (["ok", "unknown"], "unknown"),
        (["ok", "changed", "ok"], "unknown"),
        (["ok", "changed", "ok", "unknown"], "unknown"),
        (["ok", "changed", "ok", "failed"], "failed"),
        (["ok", "changed", "ok", "ok"], "changed"),
        (["ok", "ok", "ok", "changed"], "unchanged"),
        (["ok", "ok", "ok", "skipped"], "unchanged"),
    ],
)
def test_the_outcome_of_a_host(outcomes: list[str], expected: str) -> None:
    steps = {step: ended(step, outcome) for step, outcome in zip(STEPS, outcomes, strict=False)}
    assert host_outcome(steps, STEPS) == expected


def test_a_process_is_known_by_more_than_its_number() -> None:
    own = process.identity(os.getpid())
    assert process.alive(own)
    boot, pid, started = own.split(":")
    assert not process.alive(f"{boot}:{pid}:{int(started) + 1}")
    assert not process.alive(f"{'0' * len(boot)}:{pid}:{started}")
    assert not process.alive("")
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.identity(child.pid) == "", "a zombie does not run"
    child.wait()


def test_a_full_disk_is_an_error_that_says_so_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
    try:
        journal = Journal(disk / "journal.sqlite")
        journal.open_run(record(), HOSTS)
        (disk / "ballast").write_bytes(b"")
        with (disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(bytes(4096)):
                pass
        names = [host.name for host in HOSTS] * 5000
        with pytest.raises(ChapelleError, match="cannot be written") as caught:
            journal.begin("run-1", names, "preflight", 1.0)
        assert str(disk) in str(caught.value)
        (disk / "ballast").unlink()
        journal.begin("run-1", [HOSTS[0].name], "configure", 1.0)
        assert "configure" in journal.steps("run-1", HOSTS[0].name)
        journal.close()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
