"""What only FRR does: daemons that may be down, a lock of our own, a timer of systemd."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from frr_rig import FrrRig

from chapelle.drivers.switch import frr as frr_driver
from chapelle.drivers.switch.contract import (
    BusyError,
    CandidateError,
    SwitchError,
    UnreachableError,
)
from chapelle.fabric import ownership
from chapelle.model import linkfile

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
        assert switch.running() == frr.node.first


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
    frr.until_fired()


def test_a_section_of_a_port_that_had_none_goes_again(frr: FrrRig) -> None:
    """FRR 10 deletes no interface that exists: what is in its section goes, line by line."""
    with frr.open() as switch:
        before = switch.running()
        more = "interface swp2\n description more\nexit\n!\nrouter bgp"
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        switch.apply(before.replace("router bgp", more, 1))
        assert "description more" in switch.running()
        switch.revert(NAME)
        assert ownership.diff("frr", before, switch.running()) == ""


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
    names = [f"chapelle-{number:02d}" for number in range(2, 12)]
    assert kept == [f"{name}.{kind}" for name in names for kind in ("conf", "links")]
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


# -- links ----------------------------------------------------------------------------------------

BRIDGE = linkfile.sections(
    {
        f"{linkfile.PREFIX}br9.netdev": "[NetDev]\nName=br9\nKind=bridge\n",
        f"{linkfile.PREFIX}br9.network": "[Match]\nName=br9\n\n"
        "[Network]\nConfigureWithoutCarrier=yes\nAddress=192.0.2.65/32\n",
        f"{linkfile.PREFIX}swp2.network": "[Match]\nName=swp2\n\n[Network]\n"
        "LinkLocalAddressing=no\nConfigureWithoutCarrier=yes\nAddress=192.0.2.66/32\n",
        linkfile.SYSCTL: "net.ipv4.conf.all.arp_announce=2\n",
    }
)


def addresses(frr: FrrRig) -> str:
    """Those of the link that is made, and of the port that is there with and without a file."""
    return frr.node.run(
        "for link in br9 swp2; do ip -o -4 address show dev $link 2>/dev/null || :; done"
    )


def with_bridge(frr: FrrRig) -> tuple[str, str]:
    """Apply a candidate with a link more; what ran before, and runs now."""
    with frr.open() as switch:
        before = switch.running()
        wanted = BRIDGE + frr.changed(before)
        switch.check(wanted)
        assert "br9.netdev" in switch.diff(wanted)
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        switch.apply(wanted)
        assert switch.running() == wanted
        assert switch.diff(wanted) == ""
    assert "192.0.2.65/32" in addresses(frr)
    assert "192.0.2.66/32" in addresses(frr)
    assert values(frr) == "2"
    return before, wanted


def values(frr: FrrRig) -> str:
    return frr.node.run("sysctl -n net.ipv4.conf.all.arp_announce").strip()


def test_links_are_part_of_the_configuration(frr: FrrRig) -> None:
    untouched = values(frr)
    before, _ = with_bridge(frr)
    with frr.open() as switch:
        switch.confirm(NAME)
        switch.persist()
        assert frr.node.run("ls /var/lib/chapelle/links-before 2>/dev/null || :") == ""
        switch.revert(NAME)
        assert switch.running() == before
    assert addresses(frr) == ""
    assert files(frr) == ""
    assert values(frr) == untouched


def test_links_go_back_by_themselves(frr: FrrRig) -> None:
    before, _ = with_bridge(frr)
    frr.node.run("systemctl start chapelle-revert.service")  # as the timer would
    frr.until_running(before)
    assert addresses(frr) == ""


def test_a_switch_that_starts_before_a_change_is_persisted_has_its_old_links(frr: FrrRig) -> None:
    _, wanted = with_bridge(frr)
    assert frr.node.run("systemctl is-enabled chapelle-links.service").strip() == "enabled"
    frr.node.run("systemctl daemon-reload; systemctl start chapelle-links.service")  # as a boot
    assert files(frr) == ""
    assert frr.node.run("ls /var/lib/chapelle | grep links- || :") == ""
    # Once frr.conf is the new one, so are the links: nothing is put back.
    with frr.open() as switch:
        switch.apply(wanted)
    frr.node.run("echo '!' >>/etc/frr/frr.conf; systemctl restart chapelle-links.service")
    assert "br9.netdev" in files(frr)


def files(frr: FrrRig) -> str:
    return frr.node.run("ls -A /etc/systemd/network /etc/sysctl.d | grep 20-chapelle || :")


def test_a_change_of_links_that_is_cut_off_in_the_middle_goes_back(frr: FrrRig) -> None:
    with frr.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        cut = threading.Thread(target=stop_in_the_middle, args=(frr,))
        cut.start()
        with pytest.raises(SwitchError):
            switch.apply(BRIDGE + frr.changed(before))
        cut.join()
        switch.revert(NAME)
        assert switch.running() == before
    assert addresses(frr) == ""


def stop_in_the_middle(frr: FrrRig) -> None:
    """Kill what changes the links while FRRouting is stopped for it."""
    frr.node.run(
        "for _ in $(seq 400); do [ -e /run/chapelle/links-busy ] && break; sleep 0.02; done;"
        "systemctl kill --signal=KILL chapelle-apply.service"
    )


def test_a_link_that_cannot_be_made_is_an_error(frr: FrrRig) -> None:
    path = f"{linkfile.PREFIX}x.netdev"
    bad = linkfile.section(path, "[NetDev]\nName=x9\nKind=vxlan\n\n[VXLAN]\nVNI=99999999\n")
    with frr.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        for attempt in ("x9", "under way, or failed"):  # and it stays one
            with pytest.raises(SwitchError, match=attempt):
                switch.apply(bad + before)
        with pytest.raises(SwitchError, match="under way, or failed"):
            switch.running()
        switch.revert(NAME)
        assert switch.running() == before


def test_no_room_for_the_files_changes_nothing(frr: FrrRig) -> None:
    place = "/etc/systemd/network"
    with frr.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, frr.long)
        frr.node.run(
            f"cp -a {place} /run/kept; mount -t tmpfs -o size=64k,mode=755 tmpfs {place};"
            f"cp -a /run/kept/. {place}/; cat /dev/zero >{place}/filler 2>/dev/null || :"
        )
        try:
            with pytest.raises(SwitchError, match="no room"):
                switch.apply(BRIDGE + before)
            assert switch.running() == before
            assert frr.node.run("systemctl is-active frr").strip() == "active"
            switch.revert(NAME)
        finally:
            frr.node.run(f"umount {place}; rm -rf /run/kept")
        assert switch.running() == before


def test_a_file_that_is_not_ours_is_refused(frr: FrrRig) -> None:
    with frr.open() as switch:
        wanted = linkfile.section("/etc/passwd", "x=1\n") + switch.running()
        with pytest.raises(CandidateError, match="/etc/passwd"):
            switch.check(wanted)


def test_a_comment_that_somebody_made_is_no_difference(frr: FrrRig) -> None:
    with_bridge(frr)
    path = f"{linkfile.PREFIX}br9.network"
    frr.node.run(f"echo '# by hand' >>{path}")
    with frr.open() as switch:
        assert switch.diff(switch.running()) == ""
        switch.revert(NAME)
