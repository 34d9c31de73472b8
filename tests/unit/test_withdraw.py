"""Ports that are shut for a while are open again whatever goes wrong, and at any instant."""

import time

import pytest
from switch_stand_in import OLD, TARGET, Device

from chapelle.drivers.switch.contract import (
    BusyError,
    CandidateError,
    StrangerError,
    SwitchError,
    UnreachableError,
)
from chapelle.run.tenancy import withdraw
from chapelle.run.tenancy.withdraw import Withdrawal, withdrawn

WHAT = Withdrawal(target=TARGET, serial="S1", ports=("swp1",), name="chapelle-1")
SHUT = "interface swp1\n shutdown\n"


def test_ports_are_shut_while_it_lasts_and_open_again_after() -> None:
    device = Device()
    with withdrawn(WHAT, device.connect):
        assert SHUT in device.running
        assert device.armed, "it goes back by itself whatever becomes of us"
        assert device.startup == OLD
    assert device.running == device.startup == OLD
    assert device.armed is None
    assert not {"confirm", "persist"} & set(device.calls)


def test_ports_are_open_again_when_what_happens_meanwhile_fails() -> None:
    device = Device()
    with pytest.raises(KeyboardInterrupt), withdrawn(WHAT, device.connect):
        raise KeyboardInterrupt
    assert device.running == OLD
    assert device.armed is None


@pytest.mark.parametrize("method", ["arm", "apply"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_ports_are_open_again_when_the_session_is_lost(method: str, when: str) -> None:
    device = Device()
    device.faults[method] = (when, UnreachableError("the session is lost"))
    with pytest.raises(UnreachableError), withdrawn(WHAT, device.connect):
        pytest.fail("the ports were never said to be shut")
    assert device.running == OLD
    assert device.armed is None


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("identify", StrangerError("another machine")),
        ("check", CandidateError("% Unknown command")),
        ("checkpoint", SwitchError("no room")),
    ],
)
def test_nothing_is_touched_when_it_cannot_begin(method: str, error: SwitchError) -> None:
    device = Device()
    device.faults[method] = ("before", error)
    with pytest.raises(type(error)), withdrawn(WHAT, device.connect):
        pytest.fail("the ports were never said to be shut")
    assert device.running == OLD
    assert not {"arm", "apply", "revert"} & set(device.calls)


def test_a_switch_that_somebody_changes_is_left_alone() -> None:
    device = Device()
    device.armed = ("chapelle-other", time.monotonic() + 60)
    device.checkpoints["chapelle-other"] = OLD
    with pytest.raises(BusyError, match="unconfirmed"), withdrawn(WHAT, device.connect):
        pytest.fail("the ports were never said to be shut")
    device = Device()
    changed = OLD.replace("description old", "description theirs")
    device.meanwhile["checkpoint"] = lambda: setattr(device, "running", changed)
    with pytest.raises(BusyError, match="Somebody changed"), withdrawn(WHAT, device.connect):
        pytest.fail("the ports were never said to be shut")
    assert device.running == changed


def test_a_switch_that_is_away_goes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdraw, "REVERT_SECONDS", 1)
    monkeypatch.setattr(withdraw, "_POLL", 0.1)
    device = Device()
    with withdrawn(WHAT, device.connect):
        device.away_until = time.monotonic() + 1.5
    assert device.running == OLD
    assert device.armed is None
    assert "revert" not in device.calls


def test_a_switch_that_stays_away_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdraw, "REVERT_SECONDS", 0.3)
    monkeypatch.setattr(withdraw, "_GRACE", 0.2)
    monkeypatch.setattr(withdraw, "_POLL", 0.1)
    device = Device()
    with pytest.raises(SwitchError, match="Nobody knows") as error, withdrawn(WHAT, device.connect):
        device.away_until = time.monotonic() + 60
    assert "swp1" in (error.value.where or "")
