"""The transaction: whatever fails, at whatever instant, the switch is old or new and it is said."""

import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import msgspec
import pytest
import reference
from switch_stand_in import NEW, OLD, SECTIONS, TARGET, Device

from chapelle.checks.fabric import Expected, Peer
from chapelle.drivers.switch.contract import SwitchError, UnreachableError
from chapelle.fabric import ownership
from chapelle.model.outcome import Difference, StepResult
from chapelle.model.switch import BgpPeer
from chapelle.plan.push import sha256
from chapelle.run.fabric import drain, management, transaction
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.order import (
    ADOPT,
    APPLIED,
    FAILED,
    OVERWRITE,
    REVERTED,
    UNCHANGED,
    UNKNOWN,
    Ending,
    Limits,
    Order,
)
from chapelle.run.fabric.papers import Papers
from chapelle.run.fabric.transaction import Transaction
from chapelle.run.journal import switch_outcome

PATH = management.Path(interface="eth0", address="192.0.2.1")
DIFF = ownership.diff("frr", OLD, NEW)

# A revert that fires in no test unless the test lets it.
PATIENT = Limits(revert=60, management=60, settle=0.05, steady=0.0)

# Everything that a transaction asks of a switch, and what is asked after the change.
METHODS = (
    "identify", "pending", "running", "check", "diff", "facts", "checkpoint", "arm", "apply",
    "confirm", "persist",
)  # fmt: skip


class KilledError(BaseException):
    """What happens to a controller that is killed: nothing more."""


class Log:
    """The journal's part, in memory; `kill` is the moment at which the controller is killed."""

    def __init__(self) -> None:
        self.steps: dict[str, StepResult] = {}
        self.taken: list[str] = []
        self.notes: list[str] = []
        self.kill = ("", "")
        self._tick = 0.0

    def begin(self, step: str) -> None:
        self._tick += 1
        self.taken.append(step)
        self.steps[step] = StepResult(step=step, outcome="unknown", started=self._tick)
        self._die("begin", step)

    def end(
        self,
        step: str,
        outcome: str,
        message: str,
        *,
        differences: Sequence[Difference] = (),
        **_: object,
    ) -> None:
        self._die("end", step)
        self.steps[step] = msgspec.structs.replace(
            self.steps[step], outcome=outcome, message=message, differences=tuple(differences)
        )

    def note(self, message: str) -> None:
        self.notes.append(message)

    def _die(self, when: str, step: str) -> None:
        if self.kill == (when, step):
            self.kill = ("", "")
            raise KilledError


class Bench:
    """One switch and one controller."""

    def __init__(self, state: Path) -> None:
        self.device = Device()
        self.log = Log()
        self.store = Store(state)
        self.papers = Papers(state / "run", "leaf-1")
        self.limits = Limits(revert=1, management=2, settle=0.05, steady=0.0)

    def transaction(self, **said: object) -> Transaction:
        order = {
            "target": TARGET,
            "device_id": 1,
            "run": "run-1",
            "sections": SECTIONS,
            "expected": Expected(serial="S1"),
            **said,
        }
        return Transaction(
            Order(**order),  # type: ignore[arg-type]
            connect=self.device.connect,
            log=self.log,
            kept=self.papers,
            store=self.store,
            limits=self.limits,
        )

    def run(self, **said: object) -> Ending:
        return self.checked(self.transaction(**said).run())

    def resume(self) -> Ending:
        made = self.transaction()
        return self.checked(made.resume() or made.run())

    def checked(self, ending: Ending) -> Ending:
        """What is said is so: on the switch and in the journal."""
        assert switch_outcome(self.log.steps) == ending.outcome, self.log.steps
        if ending.outcome == UNKNOWN:
            return ending
        assert self.device.is_old_or_new()
        running = NEW if ending.outcome in (APPLIED, UNCHANGED) else OLD
        assert not ownership.diff("frr", self.device.running, running)
        assert not ownership.diff("frr", self.device.startup, running)
        assert self.device.armed is None
        return ending


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(transaction, "_POLL", 0.02)
    monkeypatch.setattr(transaction, "_ROOM", 0.1)
    monkeypatch.setattr(transaction, "_GRACE", 0.5)
    return Bench(tmp_path)


def test_a_change_is_applied_then_nothing_is_left_to_do(bench: Bench) -> None:
    assert bench.run(approved=sha256(DIFF)).outcome == APPLIED
    assert bench.log.taken == [
        "identify", "compare", "check", "diff", "checkpoint", "arm", "apply", "re-diff",
        "post-check", "confirm", "persist",
    ]  # fmt: skip
    assert bench.run(approved=sha256(DIFF)).outcome == UNCHANGED
    assert bench.log.taken[11:] == ["identify", "compare", "check", "diff"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [SwitchError("no"), UnreachableError("gone"), OSError("disk")])
def test_whatever_fails_the_switch_is_old_or_new(
    bench: Bench, method: str, when: str, error: Exception
) -> None:
    bench.device.faults[method] = (when, error)
    ending = bench.run()
    if method in METHODS[: METHODS.index("arm")]:
        assert ending.outcome == FAILED
        assert "nothing was touched" in ending.message
        assert "apply" not in bench.device.calls
    elif method == "confirm" and when == "after":
        assert ending.outcome == APPLIED, "it was confirmed, though nobody saw it"
    elif method == "apply" and type(error) is SwitchError:
        assert ending.outcome == APPLIED, "a second pass did it"
    else:
        assert ending.outcome == REVERTED


def test_a_switch_that_takes_half_of_it_goes_back(bench: Bench) -> None:
    bench.device.half = 2
    ending = bench.run()
    assert ending.outcome == REVERTED
    assert "Unknown command" in ending.message
    assert bench.run().outcome == APPLIED, "the next run is none the worse for it"


def test_what_takes_two_passes_is_given_two(bench: Bench) -> None:
    bench.device.half = 1
    assert bench.run().outcome == APPLIED


def test_a_switch_that_is_gone_after_apply_has_gone_back_by_itself(bench: Bench) -> None:
    bench.device.faults["apply"] = ("after", UnreachableError("gone"))
    bench.device.away_until = 0.0
    made = bench.transaction()
    original = made._change

    def cut_off(*arguments: object) -> None:
        bench.device.away_until = time.monotonic() + 1.1
        original(*arguments)  # type: ignore[arg-type]

    made._change = cut_off  # type: ignore[method-assign,assignment]
    ending = bench.checked(made.run())
    assert ending.outcome == REVERTED
    assert "gone back by itself" in ending.message
    assert "revert" not in bench.device.calls


def test_a_switch_that_never_comes_back_is_unknown(bench: Bench) -> None:
    made = bench.transaction()

    def cut_off(*_: object) -> None:
        bench.device.away_until = time.monotonic() + 60
        raise UnreachableError("gone")

    made._change = cut_off  # type: ignore[method-assign,assignment]
    ending = bench.checked(made.run())
    assert ending.outcome == UNKNOWN
    bench.device.away_until = 0.0
    assert bench.resume().outcome == APPLIED


STEPS = ("identify", "compare", "check", "diff", "checkpoint", "arm", "apply", "re-diff",
         "post-check", "confirm", "persist")  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["begin", "end"])
@pytest.mark.parametrize("late", [False, True])
def test_a_controller_killed_at_any_step_is_gone_on_with(
    bench: Bench, step: str, moment: str, late: bool
) -> None:
    """At the beginning of a step, or when it is done and not yet written down; resumed at once, or
    when the switch has long gone back by itself."""
    bench.limits = PATIENT
    bench.log.kill = (moment, step)
    with pytest.raises(KilledError):
        bench.transaction().run()
    known = switch_outcome(bench.log.steps)
    assert known == ("pending" if STEPS.index(step) < STEPS.index("arm") else "unknown")
    if late and bench.device.armed:
        bench.device.armed = (bench.device.armed[0], 0.0)
    assert bench.resume().outcome == APPLIED


@pytest.mark.parametrize("moment", ["begin", "end"])
def test_a_controller_killed_while_it_takes_back_is_gone_on_with(bench: Bench, moment: str) -> None:
    bench.limits = PATIENT
    bench.device.half = 2
    bench.log.kill = (moment, "revert")
    with pytest.raises(KilledError):
        bench.transaction().run()
    assert switch_outcome(bench.log.steps) == "unknown"
    assert bench.resume().outcome == APPLIED


def test_without_resume_the_next_run_sees_what_is_under_way(bench: Bench) -> None:
    bench.limits = PATIENT
    bench.log.kill = ("begin", "post-check")
    with pytest.raises(KilledError):
        bench.transaction().run()
    ending = bench.transaction().run()
    assert ending.outcome == FAILED
    assert "unconfirmed change" in ending.message
    bench.device.armed = ("chapelle-run-1", 0.0)
    assert bench.run().outcome == APPLIED


def test_what_others_did_since_a_killed_run_is_not_undone_with_it(bench: Bench) -> None:
    bench.limits = PATIENT
    bench.log.kill = ("begin", "re-diff")
    with pytest.raises(KilledError):
        bench.transaction().run()
    bench.device.armed = ("chapelle-run-1", 0.0)
    bench.device.tick()
    foreign = "ip route 198.51.100.0/24 blackhole\n"
    bench.device.running = OLD.replace("ip route", foreign + "ip route")
    made = bench.transaction()
    assert (made.resume() or made.run()).outcome == APPLIED
    assert foreign in bench.device.running
    assert "description new" in bench.device.running


# -- what must be so before anything is touched ---------------------------------------------------


def test_another_machine_is_not_touched(bench: Bench) -> None:
    bench.device.serial = "S2"
    ending = bench.run()
    assert ending.outcome == FAILED
    assert "S2" in ending.message
    assert bench.device.calls == ["identify"]


def test_a_diff_that_was_not_approved_is_not_applied(bench: Bench) -> None:
    ending = bench.run(approved=sha256("something else"))
    assert ending.outcome == FAILED
    assert "not what was approved" in ending.message
    assert "arm" not in bench.device.calls


def drifted(bench: Bench) -> None:
    assert bench.run().outcome == APPLIED
    bench.device.running = bench.device.running.replace("new", "by hand")
    bench.device.startup = bench.device.running


def test_drift_stops_the_push_and_is_shown(bench: Bench) -> None:
    drifted(bench)
    ending = bench.transaction().run()
    assert ending.outcome == FAILED
    assert "+ description by hand" in bench.log.notes[-1]
    assert "- description new" in bench.log.notes[-1]


def test_drift_is_overwritten(bench: Bench) -> None:
    drifted(bench)
    assert bench.run(drift=OVERWRITE).outcome == APPLIED


def test_drift_is_adopted_then_known(bench: Bench) -> None:
    drifted(bench)
    assert bench.transaction(drift=ADOPT).run().outcome == UNCHANGED
    assert "by hand" in bench.device.running, "left as it is"
    assert bench.run().outcome == APPLIED, "no drift any more, but a diff like any other"


def test_what_others_configure_in_their_own_sections_is_no_drift(bench: Bench) -> None:
    assert bench.run().outcome == APPLIED
    bench.device.running = bench.device.running.replace("192.0.2.0/24", "192.0.2.128/25")
    assert bench.transaction().run().outcome == UNCHANGED


def test_a_slow_switch_is_left_as_it_is(bench: Bench) -> None:
    bench.limits = Limits(before=0.0, revert=1)
    ending = bench.run()
    assert ending.outcome == FAILED
    assert "took too long" in ending.message


def test_what_somebody_does_while_we_prepare_is_not_undone(bench: Bench) -> None:
    foreign = "ip route 198.51.100.0/24 blackhole\n"

    def somebody() -> None:
        bench.device.running = OLD.replace("ip route", foreign + "ip route")

    bench.device.meanwhile["checkpoint"] = somebody
    ending = bench.transaction().run()
    assert ending.outcome == FAILED
    assert "198.51.100.0/24" in ending.message
    assert foreign in bench.device.running
    assert "arm" not in bench.device.calls


# -- post-checks, drain, management ---------------------------------------------------------------


def test_a_neighbour_that_is_lost_a_moment_later_takes_the_change_back(bench: Bench) -> None:
    """BFD needs up to a second to miss it: the first look after the change still shows it."""
    bench.limits = Limits(revert=60, settle=0.3, steady=0.1)
    up = BgpPeer(vrf="default", family="ipv4", peer="swp1", established=True, prefixes=1)
    good = msgspec.structs.replace(bench.device.state, bgp=(up,))
    down = msgspec.structs.replace(up, established=False, prefixes=0)
    bench.device.flaps = [good, good, msgspec.structs.replace(good, bgp=(down,))]
    ending = bench.run()
    assert ending.outcome == REVERTED
    assert "swp1" in ending.message or "established" in ending.message


def test_a_switch_that_is_going_back_has_not_been_confirmed(bench: Bench) -> None:
    """The last look took too long, the revert has fired, and still shows the new configuration."""
    bench.limits = PATIENT
    bench.device.going_back = 0.3

    def fire() -> None:
        bench.device.armed = ("chapelle-run-1", time.monotonic())

    bench.device.meanwhile["confirm"] = fire
    assert bench.run().outcome == REVERTED


def test_a_session_that_does_not_come_up_takes_the_change_back(bench: Bench) -> None:
    peer = Peer(vrf="default", family="ipv4", peer="swp1")
    ending = bench.run(expected=Expected(serial="S1", peers=(peer,)))
    assert ending.outcome == REVERTED
    assert bench.log.steps["post-check"].differences[0].area == "bgp"
    assert "expected established" in ending.message


def test_a_spine_is_drained_changed_and_undrained(bench: Bench) -> None:
    bgp = "router bgp 65001\n bgp router-id 192.0.2.1\nexit\n!\n"
    bench.device.running = bench.device.startup = OLD.replace("ip route", bgp + "ip route")
    up = BgpPeer(vrf="default", family="ipv4", peer="swp1", established=True)
    bench.device.state = msgspec.structs.replace(bench.device.state, bgp=(up,))
    bench.limits = msgspec.structs.replace(bench.limits, drain=0.0)
    ending = bench.transaction(sections=SECTIONS + bgp, drain=True).run()
    assert ending.outcome == APPLIED
    assert bench.log.taken[6:9] == ["drain", "apply", "undrain"]
    assert bench.device.calls.count("apply") == 3
    assert "graceful-shutdown" not in bench.device.running


def test_a_platform_that_cannot_be_drained_says_so() -> None:
    text = "router bgp 65001\n   router-id 192.0.2.1\n"
    assert drain.drained("arista_eos", text) is None
    assert "no one line" in drain.why_not("arista_eos", text)
    assert drain.drained("frr", "hostname x\n") is None
    assert "no BGP" in drain.why_not("frr", "hostname x\n")
    once = drain.drained("frr", "router bgp 65001\n neighbor x\n")
    assert once == "router bgp 65001\n bgp graceful-shutdown\n neighbor x\n"
    assert drain.drained("frr", once) is None


@pytest.mark.parametrize(
    ("diff", "lines"),
    [
        ("+interface swp1\n+ description eth0x\n", ()),
        (" interface eth0\n- ip address 192.0.2.1/24\n",
         ("interface eth0: -ip address 192.0.2.1/24",)),
        ("-interface eth0\n", ("-interface eth0",)),
        ("+ip route 0.0.0.0/0 192.0.2.254\n", ("+ip route 0.0.0.0/0 192.0.2.254",)),
        ("+ip route 192.0.2.10/32 blackhole\n", ()),
        (" router bgp 1\n- neighbor 192.0.2.1 bfd\n", ("router bgp 1: -neighbor 192.0.2.1 bfd",)),
    ],
)  # fmt: skip
def test_lines_that_touch_the_management_path_are_recognised(
    diff: str, lines: tuple[str, ...]
) -> None:
    assert management.touched(diff, PATH) == lines
    assert management.touched(diff, None) == ()


@pytest.mark.parametrize(
    ("line", "leads_elsewhere"),
    [
        ("ip address 192.0.2.200/32", True),
        ("ip route 192.0.2.128/25 blackhole", True),
        ("ip address 192.0.2.254/24", True),
        ("ip route 192.0.0.0/16 blackhole", False),  # the connected network is longer
        ("ip address 198.51.100.1/24", False),
        ("neighbor 999.0.2.1 bfd", False),
    ],
)
def test_a_line_that_leads_the_management_network_elsewhere_is_recognised(
    line: str, leads_elsewhere: bool
) -> None:
    path = management.Path(interface="eth0", address="192.0.2.1", network="192.0.2.0/24")
    assert bool(management.touched(f" interface lo\n+ {line}\n", path)) == leads_elsewhere


def test_the_management_path_is_that_of_the_primary_address() -> None:
    dc = reference.datacentre()
    path = management.path_of(dc, dc.device("leaf-a2-1a"))
    assert path is not None
    assert path.interface == "eth0"
    assert ip_address(path.address) in ip_network(path.network)
    assert ip_network(path.network).prefixlen == 24


def test_a_change_of_the_management_path_is_warned_of_and_gets_more_time(bench: Bench) -> None:
    route = "ip route 0.0.0.0/0 192.0.2.254"
    path = management.Path(interface="swp1", address="192.0.2.1")
    assert bench.run(path=path).outcome == APPLIED
    assert "2 s to prove itself" in bench.log.notes[0]
    assert bench.log.steps["arm"].message == "goes back by itself in 2 s"
    assert route not in bench.device.running
