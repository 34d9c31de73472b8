"""How far a run for a tenant comes when the switches do not follow, and what is done about it.

NetBox and the switches are stand-ins here; tests/netbox/test_tenancy_run.py has the real NetBox.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tenants

from chapelle.errors import ChapelleError, HostsFailedError, LockedError, RefusedError
from chapelle.model.outcome import HostResult, RunResult
from chapelle.netbox.access import UnreachableError
from chapelle.netbox.changeset import Ids, Result
from chapelle.plan.tenancy.offboard import offboard
from chapelle.run.operator import Done
from chapelle.run.tenancy import carrying, papers
from chapelle.run.tenancy.carrying import Carrying
from chapelle.run.tenancy.papers import FREEZE, Papers
from chapelle.settings import Settings
from chapelle.tasks._terminal import Terminal

AGAIN = "invoke tenant.offboard ap-hp"


def result(**outcomes: str) -> Done:
    """How a push to these switches ended."""
    hosts = tuple(
        HostResult(
            host=name.replace("_", "-"), device_id=1, aisle="1", rack="A1-R05", role="tenant-leaf",
            position=1.0, u_height=1.0, outcome=outcome, status_before="active",
            status_after="active", steps=(),
        )
        for name, outcome in outcomes.items()
    )  # fmt: skip
    good = all(host.outcome in ("applied", "unchanged") for host in hosts)
    run = RunResult(
        id="20270104T120000-push", kind="push", target="lab", owner="op", started=0.0, finished=1.0,
        snapshot="s", plan="p", commit="c", scope="--limit=x", dry_run=False,
        exit_code=0 if good else 5, hosts=hosts, stopped="" if good else "a switch failed",
    )  # fmt: skip
    return Done(result=run, netbox_url="")


class World:
    """Stand-ins for NetBox and the switches: what is asked of them, in order, and what they say."""

    def __init__(self, settings: Settings, run: Papers) -> None:
        self.settings = settings
        self.run = run
        self.did: list[str] = []
        self.pushes: list[Done | ChapelleError] = []
        self.refuses: dict[str, ChapelleError] = {}
        self.given: dict[str, Ids] = {}

    def carry(self) -> Carrying:
        operator = Terminal(json=True, yes=True)
        operator.conclude = lambda _done: None  # type: ignore[method-assign]
        return Carrying(self.settings, self.run, tenants.datacentre(), operator, AGAIN)

    def write(self, _session: object, changes: Any, path: Path, _say: object) -> Result:
        part = path.stem
        self.did.append(f"write {part} {len(changes)}")
        if error := self.refuses.pop(part, None):
            raise error
        path.write_text("written\n")
        return Result(outcome="written", ids={})

    def resume(self, _session: object, path: Path, _say: object) -> Result:
        self.did.append(f"resume {path.stem}")
        return Result(outcome="written", ids={})

    def undo(self, _session: object, path: Path, _say: object, *, ids: Ids) -> Result:
        self.did.append(f"undo {path.stem}")
        self.given[path.stem] = ids
        return Result(outcome="undone", ids={**ids, ("cables", len(self.given)): 9})

    def push(self, _settings: object, order: Any, _operator: object) -> Done:
        self.did.append(f"push {','.join(order.scope.values)}")
        answer = self.pushes.pop(0)
        if isinstance(answer, ChapelleError):
            raise answer
        return answer

    @contextlib.contextmanager
    def hold(self, _settings: object, aisles: list[str], **_said: object) -> Iterator[None]:
        assert aisles == ["aisle-1", "aisle-2", "aisle-3", "aisle-4"]
        self.did.append("lock")
        yield
        self.did.append("unlock")

    @property
    def stage(self) -> str:
        return self.run.state.stage


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    settings = Settings.load({"CHAPELLE_STATE": str(tmp_path)})
    run = papers.new(settings)
    run.begin(offboard(tenants.datacentre(), "ap-hp", tenants.TODAY), ("leaf-a1-ta", "leaf-a1-tb"))
    made = World(settings, run)
    for name in ("write", "resume", "undo"):
        monkeypatch.setattr(carrying.changeset, name, getattr(made, name))
    monkeypatch.setattr(carrying.push, "push", made.push)
    monkeypatch.setattr(carrying.lock, "hold", made.hold)
    monkeypatch.setattr(carrying, "access", lambda *_: None)
    monkeypatch.setattr(carrying, "Session", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(carrying, "require_unmoved", lambda *_: made.did.append("look"))
    return made


def test_netbox_is_written_under_locks_and_the_switches_follow_without_them(world: World) -> None:
    world.pushes = [result(leaf_a1_ta="applied", leaf_a1_tb="unchanged")]
    world.carry().run()
    freeze = world.run.plan.freeze
    rest = len(world.run.plan.changes) - freeze
    assert world.did == [
        "lock", "look", f"write freeze {freeze}", "unlock", "push leaf-a1-ta,leaf-a1-tb",
        "lock", f"write release {rest}", "unlock",
    ]  # fmt: skip
    assert world.stage == "done"
    assert world.run.state.pushes == ("20270104T120000-push",)
    assert papers.unfinished(world.settings, "ap-hp") is None


@pytest.mark.parametrize(
    "answer",
    [LockedError("locked"), result(leaf_a1_ta="reverted", leaf_a1_tb="unreachable")],
    ids=["not begun", "went back"],
)
def test_when_no_switch_has_changed_netbox_is_taken_back(
    world: World, answer: Done | ChapelleError
) -> None:
    world.pushes = [answer]
    with pytest.raises(ChapelleError) as caught:
        world.carry().run()
    assert caught.value.exit_code == (4 if isinstance(answer, LockedError) else 5)
    assert world.did[-3:] == ["lock", "undo freeze", "unlock"]
    assert world.stage == "undone"


def test_when_nobody_knows_what_a_switch_runs_nothing_is_taken_back(world: World) -> None:
    world.pushes = [
        result(leaf_a1_ta="unknown", leaf_a1_tb="reverted"),
        RefusedError("a change is under way"),
        result(leaf_a1_ta="applied", leaf_a1_tb="applied"),
    ]
    with pytest.raises(HostsFailedError) as caught:
        world.carry().run()
    assert f"{AGAIN}; or, to take everything back: {AGAIN} --undo" in str(caught.value)
    assert "leaf-a1-ta unknown" in str(caught.value)
    assert world.stage == "following"
    with pytest.raises(RefusedError):
        world.carry().run()
    assert world.stage == "following"
    assert not [did for did in world.did if did.startswith("undo")]
    world.carry().run()
    assert world.stage == "done"


def test_a_run_that_was_killed_goes_on_where_it_was(world: World) -> None:
    world.run.journal(FREEZE).write_text("begun\n")
    world.pushes = [result(leaf_a1_ta="applied")]
    world.carry().run()
    assert world.did[:3] == ["lock", "resume freeze", "unlock"]  # and does not ask what moved
    assert world.stage == "done"


def test_what_netbox_refuses_at_once_leaves_nothing_to_go_on_with(world: World) -> None:
    world.refuses[FREEZE] = RefusedError("somebody changed it")
    with pytest.raises(RefusedError):
        world.carry().run()
    assert world.stage == "undone"


def test_a_netbox_that_goes_away_leaves_the_run_where_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run.journal(FREEZE).write_text("begun\n")
    away = UnreachableError("NetBox is away")

    def fails(*_: object) -> Result:
        raise away

    state = msgspec.defstruct("State", [("outcome", str | None, None)])()
    journal = msgspec.defstruct("Journal", [("state", Any)])(state=state)
    monkeypatch.setattr(carrying, "opened", lambda _: contextlib.nullcontext(journal))
    monkeypatch.setattr(carrying.changeset, "resume", fails)
    with pytest.raises(UnreachableError):
        world.carry().run()
    assert world.stage == "begun"
    assert papers.unfinished(world.settings, "ap-hp") is not None


def test_undo_goes_the_whole_way_back_and_the_switches_too(world: World) -> None:
    world.pushes = [
        result(leaf_a1_ta="applied"),
        result(leaf_a1_ta="unknown"),
        result(leaf_a1_ta="applied"),
    ]
    world.carry().run()
    world.did.clear()
    with pytest.raises(HostsFailedError, match="do not do what NetBox"):
        world.carry().undo()
    assert world.did[:4] == ["lock", "undo release", "undo freeze", "unlock"]
    assert world.given == {"release": {}, "freeze": {("cables", 1): 9}}
    assert world.stage == "undoing"
    world.carry().undo()
    assert world.stage == "undone"


def test_what_never_reached_the_switches_is_undone_without_them(world: World) -> None:
    world.run.journal(FREEZE).write_text("begun\n")
    world.carry().undo()
    assert world.did == ["lock", "undo freeze", "unlock"]
    assert world.stage == "undone"


def test_a_second_run_for_one_tenant_is_kept_out(world: World) -> None:
    with papers.alone(world.settings, "ap-hp"):
        with papers.alone(world.settings, "eau-de-paris"):
            pass
        with pytest.raises(LockedError), papers.alone(world.settings, "ap-hp"):
            pass
