"""A whole transaction with every driver: a real FRR switch, and the stand-ins of the others.

What each method of a driver does is the conformance suite's; what goes wrong at one exact instant
is `tests/unit/test_transaction.py`'s. This is where the two meet: the candidate that is merged from
what the driver reads, what runs after it is applied, and the way back.
"""

from pathlib import Path

import pytest
from switch_rig import Rig

from chapelle.checks.fabric import Expected, Peer
from chapelle.fabric import ownership
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.order import APPLIED, FAILED, REVERTED, UNCHANGED, Ending, Limits, Order
from chapelle.run.fabric.papers import Papers
from chapelle.run.fabric.transaction import Transaction


class Log:
    """A journal that keeps nothing: what is asserted is what the switch runs and starts with."""

    def begin(self, step: str) -> None:
        pass

    def end(self, step: str, outcome: str, message: str, **_: object) -> None:
        pass

    def note(self, message: str) -> None:
        pass


class Controller:
    """What pushes to one switch."""

    def __init__(self, rig: Rig, state: Path) -> None:
        self.rig = rig
        self.state = state
        self.store = Store(state)
        self.runs = 0

    def running(self) -> str:
        with self.rig.open() as switch:
            return switch.running()

    def pending(self) -> object:
        with self.rig.open() as switch:
            return switch.pending()

    def push(self, sections: str, *peers: Peer) -> Ending:
        self.runs += 1
        order = Order(
            target=self.rig.target,
            device_id=1,
            run=f"t{self.runs}",
            sections=sections,
            expected=Expected(serial=self.rig.serial, peers=peers),
        )
        return Transaction(
            order,
            connect=self.rig.open,
            log=Log(),
            kept=Papers(self.state / str(self.runs), self.rig.target.name),
            store=self.store,
            limits=Limits(revert=self.rig.long, settle=1.0, steady=0.2),
        ).run()


@pytest.fixture
def controller(rig: Rig, tmp_path: Path) -> Controller:
    return Controller(rig, tmp_path / "state")


def same(rig: Rig, one: str, other: str) -> bool:
    return not ownership.diff(rig.target.platform, one, other)


def test_a_change_is_applied_persisted_and_then_nothing_is_left(
    rig: Rig, controller: Controller
) -> None:
    platform = rig.target.platform
    wanted = ownership.owned(platform, rig.changed(controller.running()))
    ending = controller.push(wanted)
    assert ending.outcome == APPLIED, ending
    assert same(rig, ownership.owned(platform, controller.running()), wanted)
    assert same(rig, ownership.owned(platform, rig.startup()), wanted)
    assert controller.pending() is None
    assert controller.push(wanted).outcome == UNCHANGED


def test_a_post_check_that_fails_takes_the_change_back(rig: Rig, controller: Controller) -> None:
    before, startup = controller.running(), rig.startup()
    wanted = ownership.owned(rig.target.platform, rig.changed(before))
    ending = controller.push(wanted, Peer(vrf="default", family="ipv4", peer="not-there"))
    assert ending.outcome == REVERTED, ending
    assert same(rig, controller.running(), before)
    assert same(rig, rig.startup(), startup)
    assert controller.pending() is None


def test_another_machine_s_serial_stops_it(rig: Rig, controller: Controller) -> None:
    before = controller.running()
    rig.serial, serial = "ANOTHER", rig.serial
    try:
        ending = controller.push(ownership.owned(rig.target.platform, rig.changed(before)))
    finally:
        rig.serial = serial
    assert ending.outcome == FAILED
    assert "ANOTHER" in ending.message
    assert controller.running() == before
