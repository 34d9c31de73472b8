"""What only FRR does: daemons that may be down, a lock of our own, a timer of systemd."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from frr_node import FIRST
from frr_rig import FrrRig

from chapelle.drivers.switch import frr as frr_driver
from chapelle.drivers.switch.contract import (
    BusyError,
    CandidateError,
    SwitchError,
    UnreachableError,
)

pytestmark = [pytest.mark.lab]

NAME = "chapelle-t1"


@contextmanager
def daemon_down(frr: FrrRig, name: str) -> Iterator[None]:
    """A daemon that has died, and that nobody starts again meanwhile."""
    frr.node.run(f"vtysh -c 'watchfrr ignore {name}'; pkill -KILL -x {name}; sleep 0.2")
    try:
        yield
    finally:
        frr.node.run("systemctl restart frr")


def test_a_daemon_that_hangs_is_an_error(frr: FrrRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frr_driver, "ANSWERING", 2)
    with frr.open() as switch:
        frr.node.run("pkill -STOP -x bgpd")
        try:
            with pytest.raises(SwitchError, match="does not answer"):
                switch.running()
        finally:
            frr.node.run("pkill -CONT -x bgpd")
        assert switch.running() == FIRST


def test_a_daemon_that_is_down_is_named_and_its_part_is_not_persisted(frr: FrrRig) -> None:
    startup = frr.startup()
    with frr.open() as switch:
        candidate = frr.changed(switch.running())
        with daemon_down(frr, "bgpd"):
            for action in (
                switch.running,
                switch.persist,
                lambda: switch.checkpoint(NAME),
                lambda: switch.diff(candidate),
            ):
                with pytest.raises(SwitchError, match="bgpd") as caught:
                    action()
                assert caught.value.remedy
            assert frr.startup() == startup


def test_a_candidate_that_needs_a_daemon_that_does_not_run_is_refused(frr: FrrRig) -> None:
    with frr.open() as switch:
        running = switch.running()
        candidate = running.replace("router bgp", "router ospf\nexit\n!\nrouter bgp")
        with pytest.raises(CandidateError, match="ospfd") as caught:
            switch.check(candidate)
        assert caught.value.where == "line 12: router ospf"


def test_two_sessions_do_not_configure_at_once(frr: FrrRig) -> None:
    with frr.open() as first:
        candidate = frr.changed(first.running())
        first.check(candidate)
        with frr.open() as second:
            assert second.running()
            assert second.pending() is None
            with pytest.raises(BusyError, match="configuring") as caught:
                second.check(candidate)
            assert "session from" in (caught.value.found or "")
    time.sleep(0.5)
    with frr.open() as third:
        third.check(candidate)


def test_a_lock_does_not_outlive_its_session(frr: FrrRig, tmp_path: Path) -> None:
    with frr.through_proxy(tmp_path) as (target, proxy):
        first = frr.open(target)
        candidate = frr.changed(first.running())
        first.check(candidate)
        proxy.reset()
        deadline = time.monotonic() + 10
        while True:
            with frr.open() as second:
                try:
                    second.check(candidate)
                except BusyError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
                    continue
            break


def test_an_operator_who_only_looks_is_not_in_the_way(frr: FrrRig) -> None:
    with frr.operator(), frr.open() as switch:
        frr.node.run("touch -a -d '10 minutes ago' $(ls /dev/pts/[0-9]* | tr '\\n' ' ')")
        switch.check(frr.changed(switch.running()))


def test_a_restart_while_armed_comes_up_with_the_old_configuration(frr: FrrRig) -> None:
    with frr.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        switch.apply(frr.changed(before))
        frr.node.run("systemctl restart frr")
        assert switch.running() == before


def test_a_session_that_is_lost_while_it_goes_back_does_not_stop_it(
    frr: FrrRig, tmp_path: Path
) -> None:
    with frr.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        switch.apply(frr.changed(before))
    with frr.through_proxy(tmp_path) as (target, proxy), frr.open(target) as switch:
        proxy.reset_after(frr.middle)
        with pytest.raises(UnreachableError):
            switch.revert(NAME)
    frr.until_running(before)
    with frr.open() as switch:
        assert switch.pending() is None


def test_what_is_armed_is_found_by_systemd_itself(frr: FrrRig) -> None:
    with frr.open() as switch:
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        assert "chapelle-revert" in frr.node.run("systemctl list-timers --all")
        switch.confirm(NAME)
        assert "chapelle-revert" not in frr.node.run("systemctl list-timers --all")
        assert switch.pending() is None


def test_a_timer_that_somebody_took_away_is_not_taken_for_armed(frr: FrrRig) -> None:
    with frr.open() as switch:
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        frr.node.run("systemctl stop chapelle-revert.timer")
        assert switch.pending() is None
        with pytest.raises(SwitchError, match="not armed"):
            switch.apply(frr.changed(switch.running()))
        switch.arm(NAME, frr.long)
        frr.armed(switch, NAME)
        switch.revert(NAME)


def test_only_the_latest_checkpoints_are_kept(frr: FrrRig) -> None:
    with frr.open() as switch:
        for number in range(12):
            switch.checkpoint(f"chapelle-{number:02d}")
        with pytest.raises(SwitchError, match="name"):
            switch.checkpoint("../frr")
    kept = frr.node.run("ls /var/lib/chapelle/checkpoints").split()
    assert kept == [f"chapelle-{number:02d}.conf" for number in range(2, 12)]
    assert frr.node.run("stat -c %a /var/lib/chapelle/checkpoints").strip() == "700"


def test_a_full_disk_is_said_before_anything_is_armed(frr: FrrRig) -> None:
    with frr.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        frr.node.run(
            "mount -t tmpfs -o size=4k tmpfs /var/lib/chapelle/checkpoints;"
            "cat /dev/zero >/var/lib/chapelle/checkpoints/filler 2>/dev/null || :"
        )
        try:
            with pytest.raises(SwitchError, match="keep a checkpoint"):
                switch.checkpoint("chapelle-t2")
            with pytest.raises(SwitchError):
                switch.arm("chapelle-t2", frr.long)
        finally:
            frr.node.run("umount /var/lib/chapelle/checkpoints")
        assert switch.pending() is None
        assert switch.running() == before
