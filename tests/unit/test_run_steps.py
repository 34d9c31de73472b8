"""From Ansible's events to steps: each step begun before, ended once, and nothing guessed."""

from pathlib import Path
from typing import Any

import pytest
from plan_datacentre import two_aisles

from chapelle.drivers.ansible import Ending, TaskEvent
from chapelle.errors import ChapelleError
from chapelle.model.outcome import STEPS, Event, StepResult
from chapelle.plan import plan as plans
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.scope import parse
from chapelle.run.journal import Journal, RunRecord
from chapelle.run.recorder import Recorder
from chapelle.run.steps import Follower, message_of

PLAN = plans.build(
    two_aisles(), parse(rack="A1-R01"), kind="provision", target="lab", commit="c", kernels=WHOLE
)
ONE, TWO = "compute-a1-01", "storage-a1-01"
ENDED = Ending(status=0, stopped=False, last_lines="")
CHANGE = {"role": "time", "kind": "file", "item": "/etc/chrony/chrony.conf"}
DIFFERENCE = {"area": "units", "item": "chrony", "expected": "active", "found": "inactive"}


class Watched:
    """A follower of a playbook on two hosts, with a real journal behind it."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self.journal = Journal(path / "journal.sqlite")
        record = RunRecord(
            id="run", kind="provision", target="lab", owner="o", started=1.0, snapshot="s",
            plan="p", commit_id="c", scope="--rack=A1-R01", dry_run=False, process="",
        )  # fmt: skip
        self.journal.open_run(record, PLAN.hosts)
        recorder = Recorder(self.journal, "run", STEPS, self.events.append)
        recorder.begin([ONE, TWO], "preflight")
        self.follower = Follower([ONE, TWO], recorder, STEPS[:-1])

    def see(self, host: str, play: str, kind: str, **result: Any) -> None:
        self.follower.see(
            TaskEvent(
                time=1.0, kind=kind, host=host, play=play, task="a task", role="",
                ignored=result.pop("ignored", False), result=result,
            )
        )  # fmt: skip

    def outcomes(self, host: str) -> list[tuple[str, str]]:
        return [(name, step.outcome) for name, step in self.steps(host).items()]

    def steps(self, host: str) -> dict[str, StepResult]:
        return self.journal.steps("run", host)

    def to_verify(self, host: str, **result: Any) -> None:
        self.see(host, "Configure servers", "started")
        self.see(host, "Configure servers", "ok", **result)
        self.see(host, "Verify servers", "started")


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_host_with_nothing_to_do(watched: Watched) -> None:
    watched.to_verify(ONE, changed=False)
    watched.see(ONE, "Verify servers", "ok", observed={"facts": {"kernel": "6.1"}})
    watched.follower.close(ENDED)
    assert watched.outcomes(ONE) == [("preflight", "ok"), ("configure", "ok"), ("verify", "ok")]
    assert watched.journal.facts("run", ONE) == {"kernel": "6.1"}


def test_what_changed_and_what_was_not_tried_is_kept(watched: Watched) -> None:
    watched.to_verify(ONE, changed=True, changes=[CHANGE], not_exercised=["bond0"])
    watched.see(ONE, "Verify servers", "ok", observed={}, not_exercised=["bond0"])
    configure = watched.steps(ONE)["configure"]
    assert configure.outcome == "changed"
    assert [change.item for change in configure.changes] == [CHANGE["item"]]
    assert watched.steps(ONE)["verify"].not_exercised == ("bond0",)
    assert watched.steps(ONE)["verify"].changes == ()


def test_configure_is_in_the_journal_before_the_host_is_asked(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "started")
    assert watched.outcomes(ONE) == [("preflight", "unknown"), ("configure", "unknown")]
    assert watched.outcomes(TWO) == [("preflight", "unknown")]


def test_an_unreachable_host_failed_before_it_was_configured(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "started")
    watched.see(ONE, "Configure servers", "unreachable", msg="ssh:\n no  route")
    assert watched.outcomes(ONE) == [("preflight", "unreachable"), ("configure", "skipped")]
    assert watched.steps(ONE)["preflight"].message == "ssh: no route"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'Task failed: Data could not be sent to remote host "10.64.2.12". Make sure this host '
            "can be reached over ssh: ssh: connect to host 10.64.2.12 port 22: No route to\r\nhost",
            "ssh: connect to host 10.64.2.12 port 22: No route to host",
        ),
        (
            "Task failed: Failed to connect to the host via ssh: Host key verification failed.",
            "Host key verification failed.",
        ),
        ("The disk is full.", "The disk is full."),
    ],
)
def test_the_cause_speaks_for_itself(said: str, told: str) -> None:
    assert message_of({"msg": said}) == told


def test_a_failed_preflight_left_the_host_as_it_was(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "started")
    watched.see(ONE, "Configure servers", "failed", phase="preflight", msg="The disk is full.")
    assert watched.outcomes(ONE) == [("preflight", "failed"), ("configure", "skipped")]


def test_a_failure_half_way_keeps_what_was_changed_before_it(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "started")
    watched.see(
        ONE, "Configure servers", "failed", phase="packages", msg="apt is broken", changes=[CHANGE]
    )
    assert watched.outcomes(ONE) == [("preflight", "ok"), ("configure", "failed")]
    assert len(watched.steps(ONE)["configure"].changes) == 1


def test_a_host_that_dies_after_a_change_is_unreachable_in_configure(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "started")
    watched.see(ONE, "Configure servers", "unreachable", msg="gone", changes=[CHANGE])
    assert watched.outcomes(ONE) == [("preflight", "ok"), ("configure", "unreachable")]


def test_a_host_that_dies_in_verify(watched: Watched) -> None:
    watched.to_verify(ONE)
    watched.see(ONE, "Verify servers", "unreachable", msg="gone")
    assert watched.outcomes(ONE)[2] == ("verify", "unreachable")


def test_a_host_that_is_not_as_it_should_be_fails_verify(watched: Watched) -> None:
    watched.to_verify(ONE)
    watched.see(
        ONE, "Verify servers", "failed", msg="x", observed={"facts": {"a": 1}},
        differences=[DIFFERENCE, DIFFERENCE],
    )  # fmt: skip
    verify = watched.steps(ONE)["verify"]
    assert verify.outcome == "failed"
    assert verify.message == "units chrony: expected active, found inactive (and 1 more)"
    assert len(verify.differences) == 2
    assert watched.journal.facts("run", ONE) == {"a": 1}


def test_differences_of_a_host_that_was_only_looked_at_are_no_failure(watched: Watched) -> None:
    watched.to_verify(ONE)
    watched.see(ONE, "Verify servers", "ok", observed={}, differences=[DIFFERENCE])
    assert watched.outcomes(ONE)[2] == ("verify", "changed")


def test_an_ignored_failure_is_none(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "failed", ignored=True, msg="never mind")
    watched.see(ONE, "Verify servers", "ok", observed={})
    assert watched.outcomes(ONE) == [("preflight", "ok"), ("configure", "ok"), ("verify", "ok")]


def test_nothing_after_a_failure_counts(watched: Watched) -> None:
    watched.see(ONE, "Configure servers", "failed", msg="no")
    watched.see(ONE, "Verify servers", "ok", observed={})
    watched.see("stranger", "Verify servers", "ok", observed={})
    assert "verify" not in watched.steps(ONE)


def test_a_stopped_playbook_leaves_its_hosts_unknown_and_the_done_ones_done(
    watched: Watched,
) -> None:
    watched.to_verify(ONE)
    watched.see(ONE, "Verify servers", "ok", observed={})
    watched.see(TWO, "Configure servers", "started")
    watched.follower.close(Ending(status=254, stopped=True, last_lines=""))
    assert [outcome for _, outcome in watched.outcomes(ONE)] == ["ok", "ok", "ok"]
    assert [outcome for _, outcome in watched.outcomes(TWO)] == ["unknown", "unknown"]
    assert all(step.finished is None for step in watched.steps(TWO).values())


def test_a_playbook_that_dies_is_quoted(watched: Watched) -> None:
    watched.follower.close(Ending(status=-9, stopped=False, last_lines="out of memory"))
    assert watched.steps(ONE)["preflight"].message == "Ansible ended (-9): out of memory"


def test_an_answer_that_nobody_understands_is_an_error(watched: Watched) -> None:
    with pytest.raises(ChapelleError, match="not what a run understands"):
        watched.see(ONE, "Configure servers", "ok", changes="many")


def test_each_step_is_told_once_to_begin_and_once_to_end(watched: Watched) -> None:
    watched.to_verify(ONE)
    watched.see(ONE, "Verify servers", "ok", observed={})
    told = [(e.kind, e.step) for e in watched.events if e.host == ONE]
    assert sorted(told) == sorted(
        (kind, step)
        for kind in ("step-started", "step-finished")
        for step in ("preflight", "configure", "verify")
    )
