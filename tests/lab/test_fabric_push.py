"""Pushes to real FRR switches in fair and bad weather: each ends in the old or the new state."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from fabric_site import SPINE, SWITCHES, A, B, Site, outcomes, step, taken

from chapelle.lab import faults
from chapelle.model.outcome import PUSH_STEPS, Event
from chapelle.plan.push import sha256
from chapelle.run.fabric import standing
from chapelle.run.fabric.order import ADOPT, OVERWRITE, STOP, Limits
from chapelle.run.fabric.papers import DIFF, Papers
from chapelle.run.filing import new_id
from chapelle.run.journal import Journal
from chapelle.run.prepare import Scene
from chapelle.settings import Settings

pytestmark = pytest.mark.lab

# Short, so that a switch which goes back by itself does not keep the tests waiting.
SOON = Limits(revert=12, management=12, settle=30.0, drain=0.5)

# End all our sessions with a switch; the brackets keep the command from finding itself.
SEVER = "pkill -9 -f 'sshd(-session)?: [d]eploy'"

lines = (f"description change {number}" for number in range(1000))


@pytest.fixture(scope="module")
def site(new_lab: Callable[[], Settings]) -> Site:
    """The fabric, brought up from nothing by the first push."""
    made = Site(new_lab())
    everything = {name: gear.sections for name, gear in made.gears.items()}
    result = made.push(everything)
    assert outcomes(result) == dict.fromkeys(SWITCHES, "applied"), result.stopped
    return made


@pytest.fixture
def old(site: Site) -> str:
    """What leaf A runs and starts with."""
    running = site.running(A)
    assert site.is_in(A, running), "the test before left something"
    return running


@pytest.fixture
def new(site: Site) -> str:
    """What leaf A is to become: a line more than it has."""
    return site.with_line(A, next(lines))


def at(kind: str, name: str, what: Callable[[], object]) -> Callable[[Event], None]:
    """Do something when a step of that kind of event comes."""

    def watch(event: Event) -> None:
        if (event.kind, event.step) == (kind, name):
            what()

    return watch


# -- fair weather ---------------------------------------------------------------------------------


def test_a_fabric_is_pushed_from_nothing_and_then_unchanged(site: Site) -> None:
    everything = {name: gear.sections for name, gear in site.gears.items()}
    for name, sections in everything.items():
        assert site.is_in(name, sections)
    summary = site.vtysh(SPINE, "show bgp l2vpn evpn summary")
    assert summary.count("leaf-a2-3") >= 2 or "swp13" in summary
    result = site.push(everything)
    assert outcomes(result) == dict.fromkeys(SWITCHES, "unchanged")
    assert result.exit_code == 0
    assert "arm" not in taken(result, A)


def test_a_spine_is_drained_while_it_is_changed(site: Site) -> None:
    seen: list[str] = []
    watch = at("step-started", "apply", lambda: seen.append(site.running(SPINE)))
    result = site.push({SPINE: site.with_line(SPINE, next(lines))}, watch=watch)
    assert outcomes(result) == {SPINE: "applied"}, result.stopped
    assert "bgp graceful-shutdown" in seen[0]
    assert "bgp graceful-shutdown" not in site.running(SPINE)
    assert taken(result, SPINE)[6:9] == ["drain", "apply", "undrain"]


def test_a_run_is_reverted_and_what_others_did_since_stays(site: Site, old: str, new: str) -> None:
    run = new_id()
    result = site.push({A: new}, run=run)
    assert outcomes(result) == {A: "applied"}
    foreign = "ip route 192.0.2.77/32 blackhole"
    site.vtysh(A, "configure terminal", foreign)
    scene = Scene(dc=site.dc, netbox_url="", commit="test", mark=None)  # type: ignore[arg-type]
    with closing(site.journal()) as journal:
        where = standing.as_before(site.settings, scene, run, journal, _Silent())  # type: ignore[arg-type]
    assert list(where.gears) == [A]
    result = site.push({A: where.gears[A].sections})
    assert outcomes(result) == {A: "applied"}, result.stopped
    assert site.is_in(A, old)
    assert foreign in site.vtysh(A, "show running-config")
    site.vtysh(A, "configure terminal", f"no {foreign}", "end", "write memory")


class _Silent:
    def say(self, line: str) -> None:
        pass


# -- what stops a push before anything is touched -------------------------------------------------


def test_drift_is_refused_adopted_and_overwritten(site: Site, old: str, new: str) -> None:
    site.vtysh(A, "configure terminal", "interface lo", "description by hand")
    looks = site.looks({A: new})
    assert "+ description by hand" in looks[A].drift
    stopped = site.push({A: new}, drift=STOP)
    assert outcomes(stopped) == {A: "failed"}
    assert "by hand" in site.running(A), "nothing was touched"
    assert site.push({A: new}, drift=ADOPT).exit_code == 0
    assert "by hand" in site.running(A), "adopted: left as it is"
    assert site.looks({A: new})[A].drift == "", "and known from now on"
    site.vtysh(A, "configure terminal", "interface lo", "description by another hand")
    result = site.push({A: new}, drift=OVERWRITE)
    assert outcomes(result) == {A: "applied"}
    assert site.is_in(A, new)


def test_a_diff_that_moved_since_it_was_approved_is_refused(site: Site, old: str, new: str) -> None:
    made = site.plan({A: new})
    assert made.by_name[A].intent["diff"] == sha256(made.diffs[A])
    site.vtysh(A, "configure terminal", "interface lo", "description meanwhile")
    result = site.push({A: new}, made=made, drift=OVERWRITE)
    assert outcomes(result) == {A: "failed"}
    assert "not what was approved" in step(result, A, "diff")
    assert "meanwhile" in site.running(A)
    site.push({A: old}, drift=OVERWRITE)
    assert site.is_in(A, old)


def test_who_configures_the_switch_meanwhile_is_left_in_peace(
    site: Site, old: str, new: str
) -> None:
    made = site.plan({A: new})
    with site.connect(site.gears[A].target) as other:
        other.check(site.vtysh(A, "show running-config no-header"))
        result = site.push({A: new}, made=made)
    assert outcomes(result) == {A: "failed"}
    assert "Somebody else is configuring" in step(result, A, "check")
    assert site.is_in(A, old)


def test_a_daemon_that_is_down_is_not_taken_for_its_configuration(
    site: Site, old: str, new: str
) -> None:
    made = site.plan({A: new})
    # watchfrr would start it again.
    down = "vtysh -c 'watchfrr ignore bgpd'; pkill -KILL -x bgpd; sleep 0.2"
    faults.run(site.settings, A, down)
    try:
        result = site.push({A: new}, made=made)
        assert outcomes(result) == {A: "failed"}
        assert "bgpd" in step(result, A, "compare")
        assert "nothing was touched" in result.stopped
    finally:
        faults.run(site.settings, A, "systemctl restart frr")
    _wait(lambda: site.is_in(A, old))


# -- what happens from then on --------------------------------------------------------------------


def test_a_line_that_the_daemons_refuse_takes_all_of_it_back(site: Site, old: str) -> None:
    clash = "vrf ap-hp\n vni 50101\nexit-vrf\n!\n"
    wrong = site.with_line(A, next(lines)).replace("vrf ville", clash + "vrf ville", 1)
    result = site.push({A: wrong}, limits=SOON)
    assert outcomes(result) == {A: "reverted"}, result.stopped
    assert site.is_in(A, old)
    assert result.exit_code == 5


def test_a_session_that_is_killed_after_apply_is_taken_back(site: Site, old: str, new: str) -> None:
    watch = at("step-started", "re-diff", lambda: faults.run(site.settings, A, SEVER))
    result = site.push({A: new}, watch=watch)
    assert outcomes(result) == {A: "reverted"}, result.stopped
    assert "SSH session" in step(result, A, "re-diff")
    assert site.is_in(A, old)


def test_a_switch_that_is_cut_off_after_apply_goes_back_by_itself(
    site: Site, old: str, new: str
) -> None:
    with _cut_off_at(site, "re-diff", seconds=20) as watch:
        result = site.push({A: new}, watch=watch, limits=SOON)
    assert outcomes(result) == {A: "reverted"}, result.stopped
    assert "gone back by itself" in step(result, A, "revert")
    assert site.is_in(A, old)
    # The session that was cut off still holds the switch's lock, until sshd gives it up.
    faults.run(site.settings, A, f"{SEVER} || true")


@contextmanager
def _cut_off_at(site: Site, name: str, seconds: float) -> Iterator[Callable[[Event], None]]:
    """Pull the management cable when a step begins, and plug it in again some seconds later."""
    timer = threading.Timer(seconds, lambda: faults.plug(site.settings, A, "eth0"))

    def cut() -> None:
        faults.unplug(site.settings, A, "eth0")
        timer.start()

    yield at("step-started", name, cut)
    timer.join()


def test_a_full_disk_at_persist_takes_the_change_back(site: Site, old: str, new: str) -> None:
    place = "/etc/frr"
    fill = (
        f"cp -a {place} /run/kept; mount -t tmpfs -o size=64k tmpfs {place}; "
        f"cp -a /run/kept/. {place}/; chown --reference=/run/kept {place}; "
        f"dd if=/dev/zero of={place}/ballast bs=1k 2>/dev/null || true"
    )
    watch = at("step-started", "persist", lambda: faults.run(site.settings, A, fill))
    try:
        result = site.push({A: new}, watch=watch)
        assert outcomes(result) == {A: "reverted"}, result.stopped
        assert "frr.conf" in step(result, A, "persist")
    finally:
        faults.run(site.settings, A, f"umount {place} || true; rm -rf /run/kept")
    assert site.is_in(A, old)


# The controller is killed as each step begins, and once in the middle of one.
OFTEN = {"apply", "post-check", "confirm", "persist"}
STEPS_OF_A_LEAF = (*PUSH_STEPS[: PUSH_STEPS.index("drain")], "apply", "re-diff")
STEPS_OF_A_LEAF += ("post-check", "confirm", "persist")
KILLS = [*((step, 0.0) for step in STEPS_OF_A_LEAF), ("apply", 1.0)]


@pytest.mark.parametrize(
    ("name", "seconds"),
    [pytest.param(*k, marks=() if k[0] in OFTEN else pytest.mark.slow) for k in KILLS],
)
def test_a_killed_controller_is_gone_on_with(
    site: Site, old: str, new: str, name: str, seconds: float
) -> None:
    run = new_id()
    made = site.push_killed({A: new}, run=run, at=("step-started", name), after=seconds)
    with closing(site.journal()) as journal:
        (left,) = journal.result(run).hosts
    untouched = name in PUSH_STEPS[: PUSH_STEPS.index("arm")]
    assert left.outcome == ("pending" if untouched else "unknown")
    result = site.push({A: new}, made=made, run=run, resumed=True)
    assert outcomes(result) == {A: "applied"}, result.stopped
    assert site.is_in(A, new)


def test_what_fails_on_one_leaf_is_taken_back_from_the_other(site: Site, old: str) -> None:
    before = site.running(B)
    dark = site.with_line(B, "shutdown", "interface swp50")
    made = {A: site.with_line(A, next(lines)), B: dark}
    result = site.push(made, limits=Limits(settle=4.0))
    assert outcomes(result) == {A: "reverted", B: "reverted"}, result.stopped
    assert result.exit_code == 5
    assert "halted" in result.stopped
    assert step(result, A, "take-back").startswith("taken back")
    assert "swp50" in step(result, B, "post-check") or "expected" in step(result, B, "post-check")
    _wait(lambda: site.is_in(A, old) and site.is_in(B, before))
    kept = Papers(site.settings.state / "runs" / result.id, B).get(DIFF)
    assert kept == "+ shutdown\n" or "shutdown" in (kept or "")


def test_the_journal_has_no_open_end(site: Site) -> None:
    """Nothing that the tests above have done to a switch is left unsaid."""
    with closing(Journal(site.settings.state / "journal.sqlite")) as journal:
        for run in journal.runs():
            assert run.finished is not None
            for host in journal.result(run.id).hosts:
                assert host.outcome in {"applied", "unchanged", "reverted", "failed"}, run.id


def _wait(what: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.5)
