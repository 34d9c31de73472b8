"""Plans for pushes, the rollout over several switches, and what people are shown of them."""

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import reference
from switch_stand_in import NEW, OLD, SECTIONS, TARGET, Device

from chapelle.checks.fabric import Expected
from chapelle.drivers.switch.contract import SwitchError, Target
from chapelle.errors import ChapelleError, HostsFailedError, InputError, RefusedError
from chapelle.fabric import ownership
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import Difference, Event, Judgement, RunResult, StepResult
from chapelle.model.snapshot import Snapshot
from chapelle.plan import plan as plans
from chapelle.plan import push as pushes
from chapelle.plan import scope as scopes
from chapelle.plan.plan import Plan
from chapelle.report import fabric as shown
from chapelle.report import html, summary
from chapelle.run.fabric import looking, reach, rollout
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.order import Limits
from chapelle.run.fabric.rollout import Change, Rollout, Work
from chapelle.run.filing import record
from chapelle.run.folder import Folder
from chapelle.run.interrupt import Interrupt
from chapelle.run.journal import Journal, switch_outcome
from chapelle.settings import Settings
from chapelle.tasks import fabric as tasks
from chapelle.tasks._terminal import Terminal

NAMES = ("leaf-a2-1a", "leaf-a2-1b", "leaf-a2-2a", "spine-a2")
DIFF = ownership.diff("frr", OLD, NEW)


@pytest.fixture(scope="module")
def dc() -> Datacentre:
    return reference.datacentre()


def planned(dc: Datacentre, names: tuple[str, ...] = NAMES, diff: str = DIFF) -> Plan:
    return pushes.build(
        dc,
        [dc.device(name) for name in names],
        scope=f"--limit={','.join(names)}",
        target="lab",
        commit="c1",
        configurations=dict.fromkeys(names, SECTIONS),
        diffs=dict.fromkeys(names, diff),
    )


def moved(made: Plan, dc: Datacentre, **now: object) -> list[str]:
    state = {
        "target": "lab",
        "commit": "c1",
        "configurations": dict.fromkeys(NAMES, SECTIONS),
        **now,
    }
    return pushes.moved(made, dc, **state)  # type: ignore[arg-type]


# -- the plan -------------------------------------------------------------------------------------


def test_a_plan_survives_its_file_and_holds_the_hash_of_each_diff(
    dc: Datacentre, tmp_path: Path
) -> None:
    made = planned(dc)
    path = tmp_path / "plan.json"
    path.write_bytes(plans.encode(made))
    assert plans.read(path) == made
    assert {host.intent["diff"] for host in made.hosts} == {pushes.sha256(DIFF)}
    assert [batch.hosts for batch in made.batches] == [
        ("leaf-a2-1a",),
        ("leaf-a2-1b", "leaf-a2-2a"),
        ("spine-a2",),
    ]


def test_an_altered_diff_is_noticed(dc: Datacentre, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(plans.encode(planned(dc)).replace(b"description new", b"description own"))
    with pytest.raises(RefusedError, match="altered"):
        plans.read(path)


def test_what_moved_since_is_named(dc: Datacentre) -> None:
    made = planned(dc)
    assert moved(made, dc) == []
    assert moved(made, dc, commit="c2") == ["code: planned with commit c1, now c2"]
    assert moved(made, dc, target="site") == ["target: planned for lab, now site"]
    other = dict.fromkeys(NAMES, SECTIONS) | {"spine-a2": SECTIONS + "bfd\n"}
    assert moved(made, dc, configurations=other) == [
        "spine-a2: its intended configuration is another one now"
    ]
    devices = tuple(
        msgspec.structs.replace(d, status="active") if d.name == "spine-a2" else d
        for d in dc.content.devices
        if d.name != "leaf-a2-2a"
    )
    now = Datacentre(Snapshot(msgspec.structs.replace(dc.content, devices=devices)))
    lines = moved(made, now)
    assert any("leaf-a2-2a: gone from NetBox" in line for line in lines)
    assert "spine-a2: status was planned, now active" in lines
    assert moved(made, now, only=["spine-a2"], own_statuses={"spine-a2": {"active"}}) == []


def test_switches_are_named_by_aisle_rack_and_pattern(dc: Datacentre) -> None:
    aisle = scopes.select_switches(dc, scopes.parse(aisle="2")).devices
    assert len(aisle) == 12
    assert len(scopes.select_switches(dc, scopes.parse(aisle="all")).devices) == 50
    spines = scopes.select_switches(dc, scopes.parse(limit="spine-*")).devices
    assert [d.name for d in spines] == [f"spine-a{n}" for n in range(1, 5)]
    assert {d.name for d in scopes.select_switches(dc, scopes.parse(rack="A2-R01")).devices} == {
        "leaf-a2-1a",
        "oob-a2-1",
    }
    for wrong in ("compute-a2-01", "leaf-a9-*"):
        with pytest.raises(InputError, match="names no switch"):
            scopes.select_switches(dc, scopes.parse(limit=wrong))
    with pytest.raises(InputError, match="no aisle '9'"):
        scopes.select_switches(dc, scopes.parse(aisle="9"))


# -- the rollout ----------------------------------------------------------------------------------


class Fabric:
    """Switches in memory, and a controller with a real journal."""

    def __init__(self, dc: Datacentre, state: Path) -> None:
        self.made = planned(dc)
        self.dc = dc
        self.state = state
        self.devices = {name: Device() for name in NAMES}
        self.events: list[Event] = []
        self.interrupt = Interrupt()

    def run(self, run: str = "run-1", *, resumed: bool = False) -> RunResult:
        folder = Folder(self.state / "runs", run)
        with closing(Journal(self.state / "journal.sqlite")) as journal:
            if not resumed:
                folder.fill(self.made, self.dc.snapshot)
                journal.open_run(record(run, self.made), self.made.hosts)
            work = Work(
                plan=self.made,
                run=run,
                directory=folder.path,
                journal=journal.path,
                changes={name: self._change(name) for name in NAMES},
                connect=lambda target: self.devices[target.name].connect(target),
                store=Store(self.state),
                limits=Limits(settle=0.05, steady=0.0, drain=0.0),
                forks=4,
                serving=frozenset(),
                watch=self.events.append,
                interrupt=self.interrupt,
            )
            return Rollout(work, journal).run()

    def _change(self, name: str) -> Change:
        target = msgspec.structs.replace(TARGET, name=name)
        return Change(target=target, sections=SECTIONS, expected=Expected(serial="S1"))

    def running(self) -> set[str]:
        return {
            "new" if not ownership.diff("frr", device.running, NEW) else
            "old" if not ownership.diff("frr", device.running, OLD) else "neither"
            for device in self.devices.values()
        }  # fmt: skip


@pytest.fixture
def fabric(dc: Datacentre, tmp_path: Path) -> Fabric:
    return Fabric(dc, tmp_path)


def outcomes(result: RunResult) -> dict[str, str]:
    return {host.host: host.outcome for host in result.hosts}


def test_a_push_reaches_all_switches_in_order(fabric: Fabric) -> None:
    result = fabric.run()
    assert outcomes(result) == dict.fromkeys(NAMES, "applied")
    assert result.exit_code == 0
    assert fabric.running() == {"new"}
    finished = [event.host for event in fabric.events if event.kind == "host-finished"]
    assert finished[0] == "leaf-a2-1a"
    assert finished[-1] == "spine-a2"
    again = fabric.run("run-2")
    assert outcomes(again) == dict.fromkeys(NAMES, "unchanged")


def test_the_first_failure_halts_and_all_are_taken_back(fabric: Fabric) -> None:
    fabric.devices["leaf-a2-2a"].half = 2
    result = fabric.run()
    assert outcomes(result) == {
        "leaf-a2-1a": "reverted",
        "leaf-a2-1b": "reverted",
        "leaf-a2-2a": "reverted",
        "spine-a2": "pending",
    }
    assert result.exit_code == 5
    assert "leaf-a2-2a reverted" in result.stopped
    assert fabric.running() == {"old"}
    assert not any(ownership.diff("frr", d.startup, OLD) for d in fabric.devices.values())
    resumed = fabric.run(resumed=True)
    assert outcomes(resumed) == dict.fromkeys(NAMES, "applied"), "what failed is tried again"


def test_what_cannot_be_taken_back_is_said_to_be_there_still(fabric: Fabric) -> None:
    fabric.devices["leaf-a2-2a"].half = 2
    stuck = fabric.devices["leaf-a2-1a"]
    original = fabric.devices["leaf-a2-2a"].connect

    def connect(target: Target) -> object:
        stuck.faults["check"] = ("before", SwitchError("no space left"))
        return original(target)

    fabric.devices["leaf-a2-2a"].connect = connect  # type: ignore[method-assign,assignment]
    result = fabric.run()
    assert outcomes(result)["leaf-a2-1a"] == "applied"
    assert not ownership.diff("frr", stuck.running, NEW)
    steps = next(host.steps for host in result.hosts if host.host == "leaf-a2-1a")
    assert "no space left" in next(s.message for s in steps if s.step == "take-back")
    assert result.exit_code == 5


def test_ctrl_c_lets_switches_at_work_end_and_stops(fabric: Fabric) -> None:
    fabric.interrupt.by = None
    watched = fabric.events.append

    def see(event: Event) -> None:
        watched(event)
        if event.kind == "batch-started" and event.batch == 2:
            fabric.interrupt.by = "Ctrl-C"

    fabric.events = _Calls(see)  # type: ignore[assignment]
    result = fabric.run()
    assert result.exit_code == 1
    assert outcomes(result)["spine-a2"] == "pending"
    assert set(outcomes(result).values()) == {"applied", "pending"}
    fabric.interrupt.by = None
    assert outcomes(fabric.run(resumed=True)) == dict.fromkeys(NAMES, "applied")


class _Calls:
    def __init__(self, call: Callable[[Event], None]) -> None:
        self.append = call


def test_the_outcome_follows_from_the_last_step() -> None:
    def after(*taken: tuple[str, str]) -> str:
        return switch_outcome(
            {
                name: StepResult(step=name, outcome=outcome, started=float(number))
                for number, (name, outcome) in enumerate(taken)
            }
        )

    assert after() == "pending"
    assert after(("identify", "unreachable")) == "failed"
    assert after(("check", "unknown")) == "pending", "nothing was touched"
    assert after(("diff", "ok")) == "unchanged"
    assert after(("diff", "changed")) == "pending"
    assert after(("arm", "ok")) == "unknown"
    assert after(("persist", "ok"), ("write-back", "failed")) == "applied"
    assert after(("persist", "failed")) == "unknown"
    assert after(("persist", "failed"), ("revert", "ok")) == "reverted"
    assert after(("revert", "ok"), ("identify", "failed")) == "failed"
    assert after(("persist", "ok"), ("take-back", "unknown")) == "unknown"
    assert rollout.TAKE_BACK == "take-back"


# -- what is known --------------------------------------------------------------------------------


def test_what_is_known_of_a_switch_is_kept_and_checked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.read("leaf") is None
    store.attempt("leaf", 7, "old", "new", "run-1")
    known = store.read("leaf")
    assert known
    assert (known.sections, known.attempt) == ("old", "new")
    store.give_up("leaf")
    store.keep("other", 8, "text", "run-1")
    kept = store.read("leaf")
    assert kept
    assert kept.attempt == ""
    path = tmp_path / "fabric" / "known" / "leaf.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().replace('"old"', '"odd"'))
    with pytest.raises(ChapelleError, match="cannot be read"):
        store.read("leaf")


# -- what people are shown ------------------------------------------------------------------------


def test_switches_with_the_same_diff_stand_together(dc: Datacentre) -> None:
    out = io.StringIO()
    shown.print_diffs({"leaf-1": DIFF, "leaf-2": DIFF, "spine": "+bfd\n", "oob": ""}, out)
    text = out.getvalue()
    assert "2 switches: leaf-1..2" in text
    assert text.count("+ description new") == 1
    assert "nothing to change on 1 switch" in text
    assert text.index("leaf-1") < text.index("spine")


def test_a_plan_is_shown_with_its_order_and_diffs(dc: Datacentre) -> None:
    out = io.StringIO()
    shown.print_push(planned(dc), out, file="plan.json")
    text = out.getvalue()
    assert "4 of 4 switches would change" in text
    assert "canary, leaf leaf-a2-1a" in text
    assert "invoke fabric.push --plan plan.json" in text


def test_judgements_are_shown_with_exit_codes() -> None:
    difference = Difference(area="bgp", item="swp1", expected="established", found="down")
    good = Judgement(device="leaf-1")
    bad = Judgement(device="leaf-2", differences=(difference,))
    silent = Judgement(device="leaf-3", error="no answer")
    assert looking.exit_code([good]) == 0
    assert looking.exit_code([good, bad]) == 99
    assert looking.exit_code([bad, silent]) == 5
    out = io.StringIO()
    shown.print_judgements([good, bad, silent], out, scope="--aisle=2")
    text = out.getvalue()
    assert "leaf-2" in text
    assert "1 difference on 1 of 3 switches" in text
    assert "leaf-3 could not be looked at: no answer" in text
    assert "invoke fabric.diff --aisle=2" in text
    assert shown.judgements_document([good])["switches"][0]["device"] == "leaf-1"


def test_a_result_speaks_of_switches(fabric: Fabric) -> None:
    fabric.devices["leaf-a2-2a"].half = 2
    result = fabric.run()
    out = io.StringIO()
    summary.print_summary(result, out)
    text = out.getvalue()
    assert "3 reverted" in text
    assert f"invoke fabric.push --resume={result.id}" in text
    page = html.render(result)
    assert "4 switches by outcome" in page
    assert "reverted" in page


def test_switches_that_do_not_answer_are_named_before_any_is_touched() -> None:
    error = SwitchError("no session", found="no route")
    with pytest.raises(HostsFailedError, match="leaf-2"):
        looking.seen({"leaf-2": error})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((None, None, None, None), "none of them"),
        (("2", None, "plan.json", None), "--aisle and --plan"),
        (("2", "leaf-*", None, None), "--aisle and --limit"),
    ],
)
def test_what_is_to_be_pushed_is_said_once(words: tuple[str | None, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tasks._one_of(*words)


def test_prompts_name_the_switches_and_want_an_answer(
    dc: Datacentre, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    site = msgspec.structs.replace(planned(dc), target="site")
    with pytest.raises(RefusedError, match="nobody said yes"):
        Terminal(json=False).confirm(site)
    asked = capsys.readouterr().err
    assert "4 switches of the site will be changed" in asked
    assert "leaf-a2-2a" in asked
    assert "+ description new" in asked
    Terminal(json=False, yes=True).confirm(site)
    Terminal(json=False).confirm(planned(dc))  # the lab's are nobody's
    Terminal(json=False).confirm(msgspec.structs.replace(site, diffs={}))


def test_a_site_is_reached_as_its_ssh_configuration_says(dc: Datacentre, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host spine-a2\n  HostName 192.0.2.7\n  Port 2222\n"
        "Host *\n  User netops\n  IdentityFile /keys/netops\n  UserKnownHostsFile /keys/known\n"
    )
    settings = Settings.load(
        {"CHAPELLE_STATE": str(tmp_path), "CHAPELLE_TARGET": "site",
         "CHAPELLE_SSH_CONFIG": str(config)}
    )  # fmt: skip
    spine = reach.target(settings, dc, dc.device("spine-a2"))
    assert (spine.address, spine.port, spine.user) == ("192.0.2.7", 2222, "netops")
    assert (spine.key, spine.known_hosts, spine.namespace) == ("/keys/netops", "/keys/known", "")
    leaf = reach.target(settings, dc, dc.device("leaf-a2-1a"))
    assert leaf.address == dc.primary_ip4(dc.device("leaf-a2-1a")).address.partition("/")[0]
    assert reach.has_links(settings, "leaf-a2-1a")


def test_arguments_are_validated() -> None:
    with pytest.raises(InputError, match="contradict"):
        tasks._drift(True, True)
    with pytest.raises(InputError, match="--forks"):
        tasks._forks("many")
    assert tasks._limits("60", "30") == Limits(before=60.0, revert=30, management=300)
    assert tasks._limits(None, "600") == Limits(revert=600, management=600)
    assert str(tasks._scope(None, None)) == "--aisle=all"
