"""A rolling run's steps, and what NetBox and the reader are told of them."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from plan_datacentre import Builder

from chapelle.drivers.ansible import Ending, TaskEvent
from chapelle.model.outcome import (
    PATCH_STEPS,
    REBOOT_STEPS,
    ROLLING_KINDS,
    STEPS_OF,
    Change,
    Difference,
    StepResult,
)
from chapelle.model.status import check_transition
from chapelle.plan import plan as plans
from chapelle.plan import policy as policies
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.plan import Plan
from chapelle.plan.scope import parse
from chapelle.report import analysis, runs, summary
from chapelle.report.plan import print_plan
from chapelle.run import writing
from chapelle.run.journal import Journal, RunRecord, host_outcome, steps_of
from chapelle.run.recorder import Recorder
from chapelle.run.steps import Follower, course
from chapelle.settings import ROOT

ONE, TWO = "compute-a1-01", "compute-a1-02"
ENDED = Ending(status=0, stopped=False, last_lines="")
DIFFERENCE = {"area": "units", "item": "chrony", "expected": "active", "found": "inactive"}
OPENSSL = {"role": "patch", "kind": "package", "item": "openssl", "before": "3.0", "after": "3.1"}
BOOT = {"role": "reboot", "kind": "boot", "item": "id", "before": "b1", "after": "b2"}


def made(kind: str) -> Plan:
    builder = Builder()
    builder.rack(builder.aisle(1), "A1-R01", dict.fromkeys((ONE, TWO), ("compute", "active")))
    policy = policies.read(ROOT / "inventory" / "rolling.yml")
    return plans.build(
        builder.datacentre(), parse(aisle="1"), kind=kind, target="lab", commit="c", kernels=WHOLE,
        policy=policy,
    )  # fmt: skip


class Watched:
    """A follower of a rolling playbook, with a real journal behind it."""

    def __init__(self, path: Path, kind: str = "patch", first: str = "preflight") -> None:
        self.plan = made(kind)
        self.journal = Journal(path / "journal.sqlite")
        record = RunRecord(
            id="run", kind=kind, target="lab", owner="o", started=1.0, snapshot="s",
            plan="p", commit_id="c", scope="--aisle=1", dry_run=False, process="",
        )  # fmt: skip
        self.journal.open_run(record, self.plan.hosts)
        self.recorder = Recorder(self.journal, "run", STEPS_OF[kind], lambda _: None)
        self.recorder.begin([ONE, TWO], first)
        self.follower = Follower([ONE, TWO], self.recorder, course(kind).steps, first)

    def see(self, host: str, step: str, kind: str = "ok", **result: Any) -> None:
        for each in ("started", kind):
            self.follower.see(
                TaskEvent(
                    time=1.0, kind=each, host=host, play=step.title(), task="a task", role="",
                    ignored=False, result=result if each == kind else {},
                )
            )  # fmt: skip

    def end(self, host: str, step: str, **result: Any) -> None:
        self.see(host, step, ended=step, **result)

    def through(self, host: str, *steps: str) -> None:
        for step in steps:
            if step == "verify":
                self.see(host, step, observed={})
            else:
                self.end(host, step, boot_id="b1" if step == "preflight" else "")

    def steps(self, host: str) -> dict[str, StepResult]:
        return self.journal.steps("run", host)

    def outcomes(self, host: str) -> dict[str, str]:
        return {name: step.outcome for name, step in self.steps(host).items()}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.journal.close()


# -- steps ----------------------------------------------------------------------------------------


def test_each_step_ends_with_its_own_answer(watched: Watched) -> None:
    watched.end(ONE, "preflight", boot_id="b1")
    watched.end(ONE, "drain", message="no hooks")
    watched.end(ONE, "patch", changed=True, changes=[OPENSSL])
    watched.end(ONE, "reboot", changed=True, changes=[BOOT], boot_id="b2")
    watched.see(ONE, "verify", observed={"facts": {"kernel": "6.1"}})
    watched.end(ONE, "restore", message="was not drained")
    steps = watched.steps(ONE)
    assert tuple(steps) == PATCH_STEPS[:-1]
    assert steps["preflight"].boot_id == "b1"
    assert steps["drain"].message == "no hooks"
    assert [change.item for change in steps["patch"].changes] == ["openssl"]
    assert [change.item for change in steps["reboot"].changes] == ["id"]
    assert watched.outcomes(ONE)["restore"] == "ok", "what changed before is not of this step"
    assert watched.journal.facts("run", ONE) == {"kernel": "6.1"}


def test_a_step_is_in_the_journal_before_it_is_asked_for(watched: Watched) -> None:
    watched.through(ONE, "preflight", "drain", "patch")
    watched.follower.see(
        TaskEvent(
            time=1.0, kind="started", host=ONE, play="Reboot", task="t", role="", ignored=False,
            result={},
        )
    )  # fmt: skip
    assert watched.outcomes(ONE)["reboot"] == "unknown"
    watched.follower.close(Ending(status=254, stopped=True, last_lines=""))
    assert watched.outcomes(ONE)["reboot"] == "unknown"
    assert watched.steps(ONE)["preflight"].boot_id == "b1"


@pytest.mark.parametrize("step", ["drain", "patch", "reboot", "verify", "restore"])
@pytest.mark.parametrize("kind", ["failed", "unreachable"])
def test_a_host_fails_in_the_step_that_it_is_in_and_goes_no_further(
    watched: Watched, step: str, kind: str
) -> None:
    before = PATCH_STEPS[: PATCH_STEPS.index(step)]
    watched.through(ONE, *before)
    watched.see(ONE, step, kind, msg="no")
    watched.end(ONE, "restore")
    assert watched.outcomes(ONE) == {**dict.fromkeys(before, "ok"), step: kind}


def test_a_host_that_is_gone_on_with_begins_at_the_restart(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "reboot", "reboot")
    watched.through(ONE, "reboot", "verify", "restore")
    watched.follower.close(ENDED)
    assert tuple(watched.outcomes(ONE)) == ("reboot", "verify", "restore")
    assert watched.outcomes(TWO) == {"reboot": "unknown"}


def test_a_host_left_between_two_steps_is_unknown(watched: Watched) -> None:
    watched.through(ONE, "preflight", "drain")
    watched.follower.close(Ending(status=254, stopped=True, last_lines=""))
    assert host_outcome(watched.steps(ONE), PATCH_STEPS) == "unknown"


@pytest.mark.parametrize("kind", ROLLING_KINDS)
def test_the_playbooks_take_the_steps_in_order(kind: str) -> None:
    def plays(name: str) -> Iterator[str]:
        for play in yaml.safe_load((ROOT / "playbooks" / name).read_text()):
            if imported := play.get("ansible.builtin.import_playbook"):
                yield from plays(imported)
            else:
                yield play["name"].partition(" ")[0].lower()

    way = course(kind)
    assert tuple(plays(f"{way.playbook}.yml")) == way.steps
    assert tuple(plays(f"{way.later}.yml")) == way.steps[way.steps.index(way.again) :]
    assert steps_of(kind, dry_run=True) == way.steps


# -- NetBox ---------------------------------------------------------------------------------------


def work(*outcomes: str) -> tuple[StepResult, ...]:
    return tuple(
        StepResult(step=step, outcome=outcome, started=1.0, finished=2.0)
        for step, outcome in zip(REBOOT_STEPS, outcomes, strict=False)
    )


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (("ok", "ok", "changed", "ok", "ok"), "active"),
        (("unreachable",), "active"),
        (("failed",), "active"),
        (("ok", "failed"), "active"),
        (("ok", "unreachable"), "active"),
        (("ok", "ok", "unreachable"), "failed"),
        (("ok", "ok", "failed"), "failed"),
        (("ok", "ok", "changed", "failed"), "failed"),
        (("ok", "ok", "changed", "ok", "failed"), "failed"),
    ],
)
def test_only_what_was_taken_out_and_did_not_come_back_is_failed(
    outcomes: tuple[str, ...], status: str
) -> None:
    assert writing.final_status("active", work(*outcomes)) == status
    check_transition("h", "active", status)


# -- reports --------------------------------------------------------------------------------------


def finished(watched: Watched) -> Any:
    for name in (ONE, TWO):
        watched.recorder.begin([name], "write-back")
        watched.recorder.end(
            name, StepResult(step="write-back", outcome="changed", started=1.0, finished=2.0)
        )
    watched.journal.close_run("run", 9.0, 0, "")
    return watched.journal.result("run")


def printed(print_: Any, thing: Any) -> str:
    out = io.StringIO()
    print_(thing, out)
    return out.getvalue()


def test_what_was_upgraded_is_in_every_report(watched: Watched) -> None:
    for name in (ONE, TWO):
        watched.through(name, "preflight", "drain")
        watched.end(name, "patch", changed=True, changes=[OPENSSL])
        watched.through(name, "reboot", "verify", "restore")
    result = finished(watched)
    told = printed(summary.print_summary, result)
    assert "2 of 2 servers were patched or restarted; all are as NetBox says." in told
    assert "package openssl 3.0 -> 3.1" in told
    assert "openssl 3.0 -> 3.1" in printed(runs.print_run, result)
    dry = msgspec.structs.replace(result, dry_run=True)
    many = tuple(Change(**{**OPENSSL, "item": f"package-{n}"}) for n in range(20))
    step = msgspec.structs.replace(result.hosts[0].steps[2], changes=many)
    host = msgspec.structs.replace(result.hosts[0], steps=(step,))
    listed = printed(summary.print_summary, msgspec.structs.replace(dry, hosts=(host,)))
    assert all(f"package-{n} 3.0 -> 3.1" in listed.replace("\n    ", " ") for n in range(20))
    assert "would be patched or restarted" in listed
    assert "invoke patch --aisle=1" in listed


def test_a_failure_says_how_the_server_comes_back_into_service(watched: Watched) -> None:
    watched.through(ONE, "preflight")
    watched.see(ONE, "drain", "failed", msg="two replicas are missing")
    watched.through(TWO, "preflight", "drain", "patch", "reboot")
    differing = Difference(**DIFFERENCE)
    watched.see(TWO, "verify", "failed", msg="x", differences=[msgspec.to_builtins(differing)])
    watched.journal.status("run", TWO, "failed")
    watched.journal.close_run("run", 9.0, 5, "")
    result = watched.journal.result("run")
    remedies = {trouble.hosts[0]: trouble.remedy for trouble in analysis.troubles(result)}
    assert remedies == {
        ONE: f"invoke patch --limit={ONE}",
        TWO: f"invoke provision --limit={TWO}",
    }


def test_an_interrupted_run_is_resumed_by_its_own_command(watched: Watched) -> None:
    watched.through(ONE, "preflight", "drain")
    watched.follower.close(Ending(status=254, stopped=True, last_lines=""))
    watched.journal.close_run("run", 9.0, 1, "stopped by Ctrl-C")
    told = printed(summary.print_summary, watched.journal.result("run"))
    assert "invoke patch --resume=run" in told


def test_a_plan_says_what_happens_to_each_server() -> None:
    told = printed(print_plan, made("reboot"))
    assert "2 servers: drained, restarted, verified, restored" in told
    assert "To do it: invoke reboot --aisle=1" in told
