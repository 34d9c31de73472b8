"""What every platform of a switch does, tested in the same words for each."""

import threading
import time
from pathlib import Path

import msgspec
import pytest
from switch_rig import Rig, new_key

from chapelle.drivers.switch.contract import (
    BusyError,
    CandidateError,
    StrangerError,
    SwitchError,
    UnreachableError,
)
from chapelle.drivers.switch.registry import open_switch
from chapelle.errors import InputError
from chapelle.model.switch import BgpPeer, Facts, Neighbour, Port, Vni

NAME = "chapelle-t1"


# --- looking


def test_it_says_who_it_is(rig: Rig) -> None:
    with rig.open() as switch:
        identity = switch.identify()
    assert (identity.serial, identity.hostname) == (rig.serial, rig.hostname)
    assert identity.version


def test_the_running_configuration_is_whole_and_always_the_same(rig: Rig) -> None:
    with rig.open() as switch:
        running = switch.running()
        assert switch.running() == running
        assert switch.diff(running) == ""
    assert running.endswith("end\n") or running.rstrip("\n")[-1] not in "#>"
    assert "\r" not in running


def test_facts_are_typed_and_sorted(rig: Rig) -> None:
    with rig.open() as switch:
        facts = switch.facts()
    assert rig.neighbour in facts.neighbours
    assert rig.peer in facts.bgp
    assert rig.handoff is None or rig.handoff in facts.bgp
    assert rig.vni in facts.vnis
    assert rig.port in facts.ports
    assert facts.routes[rig.routes] >= 0
    assert facts.identity.serial == rig.serial
    for found, kind in (
        (facts.neighbours, Neighbour),
        (facts.bgp, BgpPeer),
        (facts.vnis, Vni),
        (facts.ports, Port),
    ):
        assert all(type(each) is kind for each in found)
        assert list(found) == sorted(found)
    assert msgspec.convert(msgspec.to_builtins(facts), Facts) == facts


def test_a_good_candidate_is_accepted_and_changes_nothing(rig: Rig) -> None:
    with rig.open() as switch:
        running = switch.running()
        candidate = rig.changed(running)
        switch.check(candidate)
        assert switch.diff(candidate) != ""
        assert switch.running() == running
        assert switch.pending() is None


def test_a_bad_candidate_is_refused_by_its_line_and_changes_nothing(rig: Rig) -> None:
    with rig.open() as switch:
        running = switch.running()
        candidate, line = rig.broken(running)
        number = [each.strip() for each in candidate.splitlines()].index(line) + 1
        for judge in (switch.check, switch.diff):
            with pytest.raises(CandidateError) as caught:
                judge(candidate)
            assert caught.value.where == f"line {number}: {line}"
            assert caught.value.found
        assert switch.running() == running
        switch.check(rig.changed(running))


# --- the transaction


def test_a_change_is_applied_confirmed_and_persisted(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        startup = rig.startup()
        candidate = rig.changed(before)
        assert switch.checkpoint(NAME) == before
        switch.arm(NAME, rig.long)
        switch.apply(candidate)
        rig.armed(switch, NAME)
        after = switch.running()
        assert after != before
        assert switch.diff(candidate) == ""
        with rig.open() as second:
            assert second.identify().serial == rig.serial
            rig.armed(second, NAME)
        assert rig.startup() == startup
        with pytest.raises(SwitchError):
            switch.persist()
        switch.confirm(NAME)
        assert switch.pending() is None
        with pytest.raises(SwitchError):
            switch.confirm(NAME)
        assert rig.startup() == startup
        switch.persist()
        assert rig.startup() == after == switch.running()


def test_what_is_confirmed_stays_after_its_time(rig: Rig) -> None:
    with rig.open() as switch:
        candidate = rig.changed(switch.running())
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.seconds)
        switch.apply(candidate)
        after = switch.running()
        left = rig.armed(switch, NAME).seconds
        switch.confirm(NAME)
        time.sleep(left * rig.second + 0.5)
        assert switch.running() == after


def test_nothing_is_applied_that_is_not_armed(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        with pytest.raises(SwitchError, match="not armed"):
            switch.apply(rig.changed(before))
        with pytest.raises(SwitchError):
            switch.arm("chapelle-never-made", rig.long)
        switch.checkpoint(NAME)
        with pytest.raises(SwitchError, match="not armed"):
            switch.confirm(NAME)
        assert switch.running() == before


def test_it_is_armed_once(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.checkpoint("chapelle-t2")
        switch.arm(NAME, rig.long)
        with pytest.raises(SwitchError, match="arm"):
            switch.arm("chapelle-t2", rig.long)
        switch.apply(rig.changed(before))
        with rig.open() as second, pytest.raises(SwitchError):
            second.arm("chapelle-t2", rig.long)
        with pytest.raises(SwitchError):
            switch.confirm("chapelle-t2")
        rig.armed(switch, NAME)
        switch.revert(NAME)


def test_several_candidates_may_be_applied_under_one_revert(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        changed = rig.changed(before)
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.long)
        switch.apply(changed)
        after = switch.running()
        switch.apply(before)
        assert switch.running() == before
        rig.armed(switch, NAME)
        with rig.open() as second, pytest.raises(SwitchError):
            second.arm(NAME, rig.long)
        switch.apply(changed)
        assert switch.running() == after
        rig.armed(switch, NAME)
        switch.revert(NAME)
        assert switch.running() == before


def test_it_goes_back_when_asked(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.long)
        switch.apply(rig.changed(before))
        switch.revert(NAME)
        assert switch.running() == before
        assert switch.pending() is None
        with pytest.raises(SwitchError):
            switch.confirm(NAME)
        with pytest.raises(SwitchError):
            switch.revert("chapelle-never-made")


def test_it_goes_back_when_asked_after_it_was_confirmed(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.long)
        switch.apply(rig.changed(before))
        switch.confirm(NAME)
    with rig.open() as later:
        later.revert(NAME)
        assert later.running() == before


def test_another_session_finds_what_is_armed_and_confirms_it(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.long)
        switch.apply(rig.changed(before))
    with rig.open() as later:
        rig.armed(later, NAME)
        later.confirm(NAME)
        assert later.pending() is None
        assert later.running() != before


def test_it_goes_back_by_itself_and_a_late_confirmation_is_an_error(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.seconds)
        switch.apply(rig.changed(before))
        rig.until_fired()
        with pytest.raises(SwitchError):
            switch.confirm(NAME)
        rig.until_running(before)
        switch.checkpoint("chapelle-t2")
        switch.arm("chapelle-t2", rig.long)


def test_a_revert_is_pending_until_it_is_done(rig: Rig) -> None:
    """Nobody may take a switch that is going back for one that was confirmed."""
    with rig.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.seconds)
        switch.apply(rig.changed(before))
        deadline = time.monotonic() + rig.seconds + 30
        while switch.pending() is not None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert switch.running() == before


# --- bad weather


def test_an_unknown_platform_is_an_error(rig: Rig) -> None:
    with pytest.raises(InputError, match="platform"):
        open_switch(msgspec.structs.replace(rig.target, platform="plan9"))


def test_another_host_key_is_a_stranger(rig: Rig, tmp_path: Path) -> None:
    known = Path(rig.target.known_hosts).read_text().split()[0]
    (tmp_path / "wrong").write_text(f"{known} {new_key(tmp_path / 'other')}\n")
    with pytest.raises(StrangerError, match="host key is another") as caught:
        rig.open(msgspec.structs.replace(rig.target, known_hosts=str(tmp_path / "wrong")))
    assert caught.value.expected != caught.value.found
    assert caught.value.remedy


def test_a_host_key_that_nobody_knows_is_not_trusted(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(StrangerError, match="Nobody has said"):
        rig.open(msgspec.structs.replace(rig.target, known_hosts=str(tmp_path / "empty")))
    with pytest.raises(InputError):
        rig.open(msgspec.structs.replace(rig.target, known_hosts=str(tmp_path / "none")))


def test_a_refused_login_is_said(rig: Rig, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    with pytest.raises(StrangerError, match="refuses our login"):
        rig.open(msgspec.structs.replace(rig.target, key=str(tmp_path / "stranger")))


def test_nobody_there_is_unreachable(rig: Rig) -> None:
    with pytest.raises(UnreachableError):
        rig.open(msgspec.structs.replace(rig.target, port=9, timeout=1.0))
    with pytest.raises(UnreachableError):
        rig.open(msgspec.structs.replace(rig.target, namespace="/run/no-such-namespace"))


def test_a_slow_banner_is_waited_for(rig: Rig, tmp_path: Path) -> None:
    with rig.through_proxy(tmp_path) as (target, proxy):
        proxy.banner_delay = 0.7
        with rig.open(target) as switch:
            assert switch.identify().serial == rig.serial


def test_a_banner_that_never_comes_is_unreachable_in_time(rig: Rig, tmp_path: Path) -> None:
    with rig.through_proxy(tmp_path) as (target, proxy):
        proxy.banner_delay = 60
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="cannot be reached"):
            rig.open(msgspec.structs.replace(target, timeout=0.7))
        assert time.monotonic() - began < 5


def test_a_server_that_hangs_up_is_asked_again(rig: Rig, tmp_path: Path) -> None:
    with rig.through_proxy(tmp_path) as (target, proxy):
        proxy.hang_ups = 2
        with rig.open(target) as switch:
            assert switch.identify().serial == rig.serial
        assert proxy.connections == 3


def test_a_reset_while_looking_is_unreachable(rig: Rig, tmp_path: Path) -> None:
    with rig.through_proxy(tmp_path) as (target, proxy), rig.open(target) as switch:
        proxy.reset()
        with pytest.raises(UnreachableError):
            switch.running()


def test_a_reset_in_mid_configuration_ends_in_the_old_configuration(
    rig: Rig, tmp_path: Path
) -> None:
    with rig.open() as direct:
        before = direct.running()
    with rig.through_proxy(tmp_path) as (target, proxy), rig.open(target) as switch:
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.seconds)
        proxy.reset_after(rig.middle)
        with rig.slow(), pytest.raises(UnreachableError):
            switch.apply(rig.changed(before))
    rig.until_fired()
    rig.until_running(before)


def test_a_device_that_is_gone_after_the_change_goes_back(rig: Rig, tmp_path: Path) -> None:
    with rig.open() as direct:
        before = direct.running()
    with rig.through_proxy(tmp_path) as (target, proxy), rig.open(target) as switch:
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.seconds)
        switch.apply(rig.changed(before))
        proxy.dead = True
        threading.Thread(target=switch.__exit__, args=(None, None, None)).start()
        rig.until_fired()
        rig.until_running(before)


def test_what_is_refused_when_it_is_applied_is_said_and_taken_back(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        candidate = rig.half(before)
        switch.check(candidate)
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.long)
        with pytest.raises(SwitchError) as caught:
            switch.apply(candidate)
        assert caught.value.found
        switch.revert(NAME)
        assert switch.running() == before
        assert switch.pending() is None


def test_an_operator_at_work_is_not_disturbed(rig: Rig) -> None:
    with rig.open() as switch:
        before = switch.running()
        with rig.operator():
            with pytest.raises(BusyError) as caught:
                switch.check(rig.changed(before))
            assert caught.value.found
            assert switch.running() == before
        time.sleep(0.3)
        switch.check(rig.changed(before))


def test_a_full_disk_leaves_the_old_startup_configuration(rig: Rig) -> None:
    with rig.open() as switch:
        startup = rig.startup()
        switch.checkpoint(NAME)
        switch.arm(NAME, rig.long)
        switch.apply(rig.changed(switch.running()))
        switch.confirm(NAME)
        with rig.disk_full():
            with pytest.raises(SwitchError):
                switch.persist()
            assert rig.startup() == startup
        switch.persist()
        assert rig.startup() == switch.running()


def test_a_transcript_is_for_us_alone(rig: Rig, tmp_path: Path) -> None:
    with rig.open(transcripts=tmp_path / "said") as switch:
        switch.check(rig.changed(switch.running()))
    with rig.open(transcripts=tmp_path / "said") as switch:
        switch.identify()
    (path,) = (tmp_path / "said").iterdir()
    assert path.name == f"{rig.target.name}.log"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    text = path.read_text()
    assert text.count("[session with ") == 2
    assert rig.serial in text
