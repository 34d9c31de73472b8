"""How the engine joins bare metal: who is brought up first, and what becomes of who is not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from plan_datacentre import Builder

from chapelle.errors import ExitCode
from chapelle.model.outcome import DEPLOY_STEPS, STEPS, RunResult, StepResult
from chapelle.plan import plan as plans
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.plan import Plan
from chapelle.plan.scope import parse
from chapelle.run.engine import Engine, Work
from chapelle.run.filing import record
from chapelle.run.interrupt import Interrupt
from chapelle.run.journal import Journal
from chapelle.run.recorder import Recorder
from chapelle.settings import Settings

ONE, TWO = "compute-a1-01", "compute-a1-02"


def bare() -> Plan:
    """A plan of two servers of which nothing is there yet."""
    builder = Builder()
    builder.rack(builder.aisle(1), "A1-R01", dict.fromkeys((ONE, TWO), ("compute", "planned")))
    plan = plans.build(
        builder.datacentre(), parse(aisle="1"), kind="provision", target="lab", commit="c",
        kernels=WHOLE,
    )  # fmt: skip
    steps = (*DEPLOY_STEPS, *STEPS)
    hosts = tuple(msgspec.structs.replace(host, steps=steps) for host in plan.hosts)
    return msgspec.structs.replace(plan, hosts=hosts)


class Failing:
    """Bare metal on which every host fails in its gate."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def carry_out(
        self,
        hosts: Sequence[str],
        _known: Mapping[str, Mapping[str, StepResult]],
        recorder: Recorder,
        _must_stop: Callable[[], bool],
    ) -> list[str]:
        self.asked.append(tuple(hosts))
        for host in hosts:
            result = StepResult(
                step="gate", outcome="failed", started=1.0, finished=2.0, message="another serial"
            )
            recorder.end(host, result)
        return []


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path / "journal.sqlite")
    yield found
    found.close()


def carried_out(journal: Journal, deploying: Any, path: Path) -> RunResult:
    plan = bare()
    journal.open_run(record("run", plan), plan.hosts)
    recorder = Recorder(journal, "run", STEPS, lambda _: None)
    work = Work(
        settings=Settings.load({"CHAPELLE_STATE": str(path)}), plan=plan, directory=path,
        statuses=dict.fromkeys((ONE, TWO), "planned"), recorder=recorder, interrupt=Interrupt(),
        deploying=deploying,
    )  # fmt: skip
    return Engine(work).run()


def test_a_host_that_fails_on_bare_metal_is_not_configured_and_counts_as_failed(
    journal: Journal, tmp_path: Path
) -> None:
    deploying = Failing()
    result = carried_out(journal, deploying, tmp_path)
    assert sorted(host for hosts in deploying.asked for host in hosts) == [ONE, TWO]
    assert result.exit_code == ExitCode.HOSTS_FAILED
    for host in result.hosts:
        assert host.outcome == "failed"
        assert [(step.step, step.message) for step in host.steps] == [("gate", "another serial")]
    assert not list(tmp_path.glob("batch-*")), "no playbook was begun"


def test_a_host_between_bare_metal_and_its_configuration_is_unknown(
    journal: Journal, tmp_path: Path
) -> None:
    plan = bare()
    journal.open_run(record("run", plan), plan.hosts)
    recorder = Recorder(journal, "run", STEPS, lambda _: None)
    for step in DEPLOY_STEPS:
        recorder.begin([ONE], step)
        recorder.end(ONE, StepResult(step=step, outcome="ok", started=1.0, finished=2.0))
    assert recorder.host_finished(ONE) == "unknown"
    found = {host.host: host for host in journal.result("run").hosts}
    assert [step.step for step in found[ONE].steps] == list(DEPLOY_STEPS)
    assert found[TWO].outcome == "pending"
