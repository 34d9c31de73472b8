"""The small parts of a run: statuses to write, the commit, signals, what is left to resume."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plan_datacentre import edited, two_aisles

from chapelle import process
from chapelle.errors import InputError, LockedError, RefusedError
from chapelle.model.outcome import STEPS, StepResult
from chapelle.model.status import PROVISIONABLE, TRANSITIONS
from chapelle.plan import plan as plans
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.scope import parse
from chapelle.run import prepare, resume, writing
from chapelle.run.commit import commit
from chapelle.run.folder import KEPT, Folder
from chapelle.run.interrupt import interruptible
from chapelle.run.journal import Journal, RunRecord

PLAN = plans.build(
    two_aisles(), parse(aisle="1"), kind="provision", target="lab", commit="c", kernels=WHOLE
)


def ended(step: str, outcome: str, message: str = "") -> StepResult:
    return StepResult(step=step, outcome=outcome, started=1.0, finished=2.0, message=message)


def work(*outcomes: str) -> tuple[StepResult, ...]:
    return tuple(ended(step, outcome) for step, outcome in zip(STEPS, outcomes, strict=False))


# -- write-back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(PROVISIONABLE))
@pytest.mark.parametrize("outcomes", [("ok", "changed", "ok"), ("ok", "failed"), ("unreachable",)])
def test_every_status_that_is_written_is_a_legal_transition(
    status: str, outcomes: tuple[str, ...]
) -> None:
    at_work = "staged" if writing.staged_first(status) else status
    assert at_work == status or at_work in TRANSITIONS[status]
    final = writing.final_status(at_work, work(*outcomes))
    assert final == at_work or final in TRANSITIONS[at_work]
    good = "failed" not in outcomes and "unreachable" not in outcomes
    assert final == ("active" if good or status == "active" else "failed")


def test_a_journal_entry_names_run_commit_plan_and_outcome() -> None:
    entry = writing.Entry(
        name="h", device_id=1, status="staged", work=(ended("preflight", "failed", "no space"),),
        facts={}, run="20261123T190000-4f1c", plan="3c" * 32, commit="bf" * 20,
    )  # fmt: skip
    text = writing.text(entry)
    for part in ("preflight failed: no space", "20261123T190000-4f1c", "bfbfbf", "3c3c3c"):
        assert part in text


# -- the commit -----------------------------------------------------------------------------------


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "role.yml").write_text("one\n")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path


def test_a_clean_clone_is_its_commit(clone: Path) -> None:
    (clone / "ignored").write_text("scratch")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert commit(clone) == head.stdout.strip()


def test_uncommitted_work_shows_and_each_state_of_it_differs(clone: Path) -> None:
    clean = commit(clone)
    (clone / "role.yml").write_text("two\n")
    edited_once = commit(clone)
    (clone / "role.yml").write_text("three\n")
    edited_twice = commit(clone)
    (clone / "new.yml").write_text("new\n")
    added = commit(clone)
    (clone / "new.yml").write_text("newer\n")
    seen = [clean, edited_once, edited_twice, added, commit(clone)]
    assert len(set(seen)) == 5
    assert all(text.startswith(clean) for text in seen)


def test_no_clone_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names the commit"):
        commit(tmp_path)


# -- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with interruptible(said.append) as interrupt:
        assert not interrupt
        os.kill(os.getpid(), number)
        assert interrupt
        assert len(said) == 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


# -- what is left of a run ------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.sqlite")
    yield opened
    opened.close()


def opened(journal: Journal, folder: Folder, owner: str, kind: str = "provision") -> None:
    record = RunRecord(
        id=folder.run, kind=kind, target="lab", owner="o@here", started=1.0, snapshot="s",
        plan=PLAN.hash, commit_id="c", scope=PLAN.scope, dry_run=False, process=owner,
    )  # fmt: skip
    folder.fill(PLAN, two_aisles().snapshot)
    journal.open_run(record, PLAN.hosts)


@pytest.fixture
def dead() -> str:
    """The identity of a process that is gone."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = process.identity(child.pid)
    child.communicate(b"\n")
    assert name
    return name


def test_what_is_done_is_not_left(journal: Journal, tmp_path: Path, dead: str) -> None:
    folder = Folder(tmp_path / "runs", "run")
    opened(journal, folder, dead)
    done, unknown, failed, *pending = (host.name for host in PLAN.hosts)
    for step in STEPS:
        journal.begin("run", [done], step, 1.0)
        journal.end("run", done, ended(step, "ok"))
    journal.begin("run", [unknown, failed], "preflight", 1.0)
    journal.end("run", failed, ended("preflight", "failed"))
    left = resume.left(journal, "run", folder.path)
    assert left.plan == PLAN
    assert set(left.hosts) == {unknown, failed, *pending}
    assert left.unknown == (unknown,)
    assert left.own_statuses.keys() == {done, unknown, failed}
    assert "staged" in left.own_statuses[unknown]


def test_a_run_that_is_at_work_is_not_resumed(journal: Journal, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "runs", "run")
    opened(journal, folder, process.own())
    with pytest.raises(LockedError, match="still at work"):
        resume.left(journal, "run", folder.path)
    journal.close_run("run", 2.0, 1, "stopped by Ctrl-C")
    assert resume.left(journal, "run", folder.path).hosts


def test_only_a_provision_is_resumed(journal: Journal, tmp_path: Path, dead: str) -> None:
    folder = Folder(tmp_path / "runs", "run")
    opened(journal, folder, dead, "drift")
    with pytest.raises(InputError, match="nothing to resume"):
        resume.left(journal, "run", folder.path)


def test_an_altered_plan_is_not_resumed(journal: Journal, tmp_path: Path, dead: str) -> None:
    folder = Folder(tmp_path / "runs", "run")
    opened(journal, folder, dead)
    folder.plan.write_bytes(folder.plan.read_bytes().replace(b"infra-a1-02", b"infra-a1-03"))
    with pytest.raises(RefusedError, match="altered"):
        resume.left(journal, "run", folder.path)


# -- the run's folder -----------------------------------------------------------------------------


def test_only_the_latest_folders_are_kept_and_none_is_readable_by_others(tmp_path: Path) -> None:
    names = [f"{number:04}" for number in range(KEPT + 3)]
    for name in [*names, "of another kind"]:
        folder = Folder(tmp_path / "runs", name)
        folder.fill(PLAN, two_aisles().snapshot)
    Folder(tmp_path / "runs", names[-1]).prune(names[::-1])
    kept = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert kept == [*names[3:], "of another kind"]
    for path in (tmp_path / "runs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


# -- sound content --------------------------------------------------------------------------------


def test_findings_about_other_servers_do_not_stop_a_run() -> None:
    dc = two_aisles()
    one, other = dc.device("compute-a1-01"), dc.device("compute-a2-01")
    said: list[str] = []
    # This datacentre has no BMCs and no MAC addresses, so every server has findings of its own.
    with pytest.raises(InputError) as caught:
        prepare.require_sound(edited(dc, "devices", one.id, serial="x"), {one.id}, said.append)
    assert "compute-a1-01" in str(caught.value)
    assert not any("compute-a2-01" in line for line in said)
    prepare.require_sound(dc, set(), said.append)
    assert other.id != one.id
