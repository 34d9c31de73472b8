"""What only EOS or only NX-OS does, and that the stand-ins are as strict as the manuals say."""

import time

import paramiko
import pytest
from fake_rig import EosRig, FakeRig, NxosRig
from switch_rig import at_a_terminal

from chapelle.drivers.switch.contract import BusyError, SwitchError

NAME = "chapelle-t1"


def typed(rig: FakeRig, *lines: str) -> str:
    """What a terminal shows to somebody who types some lines."""
    client = paramiko.SSHClient()
    client.load_host_keys(rig.target.known_hosts)
    with client:
        client.connect(
            rig.target.address,
            port=rig.target.port,
            username="deploy",
            pkey=paramiko.PKey.from_path(rig.target.key),
        )
        channel = client.invoke_shell()
        said = b""
        for line in lines:
            channel.sendall(f"{line}\n".encode())
            time.sleep(0.2)
            said += channel.recv(65536)
    return said.decode()


@pytest.mark.parametrize("name", ["arista_eos", "cisco_nxos"])
def test_a_terminal_has_prompts_paging_and_errors(
    name: str, request: pytest.FixtureRequest
) -> None:
    rig: FakeRig = request.getfixturevalue(name)
    said = typed(rig, "shwo version", "show running-config", "q", "terminal length 0")
    assert f"{rig.hostname}#" in said
    assert "% Invalid" in said
    assert "--More--" in said
    assert "router bgp" not in said


def test_eos_says_in_its_prompt_which_session_one_is_in(arista_eos: EosRig) -> None:
    said = typed(arista_eos, "configure session abcdefgh", "abort")
    assert "leaf1(config-s-abcdef)#" in said


def test_eos_configuration_lock_is_respected(arista_eos: EosRig) -> None:
    with arista_eos.open() as switch:
        running = switch.running()
        with at_a_terminal(arista_eos.target, None, ["configure lock"]):
            with pytest.raises(BusyError) as caught:
                switch.check(running)
            assert "lock" in (caught.value.found or "")
        time.sleep(0.3)
        switch.check(running)


def test_eos_sessions_that_we_left_are_ended_and_those_of_others_are_not(
    arista_eos: EosRig,
) -> None:
    typed(arista_eos, "configure session chapelle-check-0001")
    typed(arista_eos, "configure session theirs")
    time.sleep(0.3)
    with arista_eos.open() as switch:
        running = switch.running()
        with pytest.raises(BusyError) as caught:
            switch.check(running)
        assert "theirs" in (caught.value.found or "")
        assert list(arista_eos.device.sessions) == ["theirs"]
        arista_eos.device.undo("theirs")
        switch.check(running)
        assert arista_eos.device.sessions == {}


def test_eos_refuses_a_candidate_by_the_first_of_several_lines(arista_eos: EosRig) -> None:
    with arista_eos.open() as switch:
        lines = switch.running().splitlines()
        lines[3:3] = ["frobnicate", "!", "frobnicate twice"]
        with pytest.raises(SwitchError) as caught:
            switch.check("\n".join(lines))
        assert caught.value.where == "line 4: frobnicate"


def test_nxos_takes_only_times_that_its_timer_has(cisco_nxos: NxosRig) -> None:
    with cisco_nxos.open() as switch:
        switch.checkpoint(NAME)
        for seconds in (29, 3601):
            with pytest.raises(SwitchError, match="cannot be armed"):
                switch.arm(NAME, seconds)
        switch.arm(NAME, 30)


def test_nxos_checkpoints_leave_room_for_those_of_others(cisco_nxos: NxosRig) -> None:
    cisco_nxos.device.checkpoints |= {"theirs": "x", "stable": "y"}
    with cisco_nxos.open() as switch:
        for number in range(9):
            switch.checkpoint(f"chapelle-{number}")
        switch.checkpoint("chapelle-8")
    kept = list(cisco_nxos.device.checkpoints)
    assert kept == ["theirs", "stable", *(f"chapelle-{number}" for number in range(3, 9))]


def test_nxos_restores_by_itself_what_a_failed_replacement_would_have_changed(
    cisco_nxos: NxosRig,
) -> None:
    with cisco_nxos.open() as switch:
        before = switch.running()
        switch.checkpoint(NAME)
        switch.arm(NAME, 300)
        with pytest.raises(SwitchError) as caught:
            switch.apply(cisco_nxos.half(before))
        assert "Segment 10010 is in use" in (caught.value.found or "")
        assert switch.running() == before
        assert switch.pending() is None
