"""A lab with switches, for real: cables are wires, and switches route and tell their neighbours."""

import json
import re
import subprocess
import time
from collections.abc import Callable

import pytest
import reference
from test_lab import states, traces

from chapelle import lab
from chapelle.lab import ca, cgroup, faults

pytestmark = pytest.mark.lab

SPINE, LEFT, RIGHT = "spine-a1", "leaf-a2-1a", "leaf-a2-1b"
SERVERS = ["compute-a2-01", "compute-a2-02"]
SWITCHES = [SPINE, LEFT, RIGHT]


@pytest.fixture(scope="module")
def pod(new_lab):
    settings = new_lab()
    lab.up(settings, reference.datacentre(), [*SERVERS, *SWITCHES])
    return settings


def until(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return held


def neighbours(settings, host: str) -> set[tuple[str, str, str]]:
    """Local port, and name and port of the far system, as the switch has them from LLDP."""
    text = faults.run(settings, host, "lldpcli -f json0 show neighbors")
    return {
        (each["name"], each["chassis"][0]["name"][0]["value"], each["port"][0]["id"][0]["value"])
        for entry in json.loads(text)["lldp"]
        for each in entry.get("interface", ())
    }


def cabled(settings, host: str) -> set[tuple[str, str, str]]:
    """The same as NetBox has it, of the cables to other switches."""
    known = lab.read(settings)
    assert known is not None
    ends = [pair for c in known.cables for pair in ((c.a, c.b), (c.b, c.a))]
    return {
        (near.port, far.node, far.port)
        for near, far in ends
        if near.node == host and known.hosts[far.node].node.is_switch
    }


def test_a_switch_is_what_netbox_says(pod, ssh_in) -> None:
    result = ssh_in(pod)(LEFT, "hostname; cat /etc/chapelle/serial; ip -br -4 a; ip -br l; ip r")
    assert result.returncode == 0, result.stderr
    device = reference.datacentre().device(LEFT)
    assert result.stdout.splitlines()[:2] == [LEFT, device.serial]
    assert re.search(r"^eth0\S* +UP +10\.66\.2\.201/24", result.stdout, re.MULTILINE)
    assert "default via 10.66.2.1 dev eth0" in result.stdout
    links = {line.split()[0].partition("@")[0]: line for line in result.stdout.splitlines() if line}
    assert {f"swp{number}" for number in range(1, 57)} <= links.keys()
    assert "NO-CARRIER" in links["swp48"]  # nothing is plugged in
    assert " UP " in links["swp49"]  # the spine
    assert "02:69:d2:01:b3:a6" in links["eth0"]  # NetBox's


def test_switches_boot_whole_and_run_frr(pod) -> None:
    for host in SWITCHES:
        assert faults.run(pod, host, "systemctl is-system-running").strip() == "running"
        daemons = faults.run(pod, host, "vtysh -c 'show daemons'").split()
        assert {"zebra", "staticd", "bgpd", "bfdd"} <= set(daemons)


def test_operators_log_in_to_vtysh_and_may_save(pod, ssh_in) -> None:
    ssh = ssh_in(pod)
    shown = ssh(f"operator@{LEFT}", "show running-config")
    assert shown.returncode == 0, shown.stderr
    assert f"hostname {LEFT}\n" in shown.stdout
    saved = ssh(f"operator@{LEFT}", "write memory")
    assert "[OK]" in saved.stdout, saved.stdout + saved.stderr


def test_the_keys_of_switches_are_known_one_by_one(pod) -> None:
    path = ca.folder(pod) / ca.SWITCH_KEYS
    lines = path.read_text().splitlines()
    assert {line.split()[0] for line in lines} == {
        *SWITCHES, "10.66.1.212", "10.66.2.201", "10.66.2.202",
    }  # fmt: skip
    known = lab.read(pod)
    assert known is not None
    command = [
        *("nsenter", f"--net={known.netns}", "ssh", "-F", "/dev/null"),
        *("-o", f"UserKnownHostsFile={path}", "-o", "StrictHostKeyChecking=yes"),
        *("-o", "HostKeyAlgorithms=ssh-ed25519", "-i", str(ca.folder(pod) / "id_ed25519")),
        *("-b", known.source, "deploy@10.66.2.201", "hostname"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.stdout == f"{LEFT}\n", result.stderr


def test_neighbours_are_those_of_the_cables(pod) -> None:
    for host in SWITCHES:
        assert cabled(pod, host)
        assert until(45, lambda h=host: neighbours(pod, h) == cabled(pod, h)), neighbours(pod, host)


def test_servers_reach_each_other_and_the_hub_through_their_leaf_only(pod) -> None:
    faults.run(pod, SERVERS[0], "ping -c1 -W2 10.64.2.12 && ping -c1 -W2 10.64.2.1")
    links = faults.run(pod, LEFT, "ip -o link show master br-lab0")
    assert re.search(r"\bswp6@", links), links
    faults.run(pod, LEFT, "ip link set lab0 down")
    try:
        faults.run(pod, SERVERS[0], "ping -c1 -W2 10.64.2.12 && ! ping -c1 -W1 10.64.2.1")
        assert states(pod)[SERVERS[0]] == "silent"
    finally:
        faults.run(pod, LEFT, "ip link set lab0 up")
    assert until(10, lambda: states(pod)[SERVERS[0]] == "up")


def configure(settings, host: str, asn: int, ports: list[str], loopback: str) -> None:
    neighbours = "".join(
        f" neighbor {port} interface remote-as external\n neighbor {port} bfd\n" for port in ports
    )
    text = (
        f"interface lo\n ip address {loopback}/32\nexit\nrouter bgp {asn}\n{neighbours}"
        " address-family ipv4 unicast\n  redistribute connected\n"
    )
    faults.run(settings, host, f"cat >/tmp/hand.conf <<'END'\n{text}END\nvtysh -f /tmp/hand.conf")


def established(settings, host: str) -> int:
    text = faults.run(settings, host, "vtysh -c 'show bgp ipv4 unicast summary json'")
    peers = json.loads(text).get("peers", {}).values()
    return sum(peer["state"] == "Established" for peer in peers)


def test_bgp_comes_up_without_numbers_and_goes_down_with_a_cable(pod) -> None:
    configure(pod, SPINE, 4200000000, ["swp9", "swp10"], "10.67.0.1")
    configure(pod, LEFT, 4200000201, ["swp49"], "10.67.0.41")
    configure(pod, RIGHT, 4200000202, ["swp49"], "10.67.0.42")
    assert until(30, lambda: established(pod, SPINE) == 2)
    assert until(10, lambda: "10.67.0.42" in faults.run(pod, LEFT, "ip route show proto bgp"))
    faults.unplug(pod, LEFT, "swp49")
    link = faults.run(pod, LEFT, "ip -br link show swp49")
    assert "NO-CARRIER" in link
    assert until(5, lambda: established(pod, SPINE) == 1)
    faults.plug(pod, LEFT, "swp49")
    assert until(30, lambda: established(pod, SPINE) == 2)


def test_a_leaf_that_died_comes_back_with_its_disk_and_its_cables(pod) -> None:
    before = cgroup.Tree(pod).running()
    for switch in (LEFT, SPINE):
        faults.run(pod, switch, "vtysh -c 'write memory'")
    faults.kill(pod, LEFT)
    # The kernel takes the dead node's network away a moment after its processes.
    gone = {LEFT: "down", SERVERS[0]: "silent", RIGHT: "up"}
    assert until(20, lambda: gone.items() <= states(pod).items())
    lab.up(pod, reference.datacentre(), [*SERVERS, *SWITCHES])
    assert set(states(pod).values()) == {"up"}
    after = cgroup.Tree(pod).running()
    assert {host for host in before if before[host] != after[host]} == {LEFT}
    # zebra of FRR 10.3 dies of a port that vanishes, as the spine's did just now (docs/lab.md).
    faults.run(pod, SPINE, "[ ! -e /usr/lib/frr/mgmtd ] || systemctl restart frr")
    assert until(30, lambda: established(pod, SPINE) == 2)
    assert until(45, lambda: neighbours(pod, SPINE) == cabled(pod, SPINE))


def test_up_again_moves_no_cable(pod) -> None:
    index = "cat /sys/class/net/*/ifindex"
    before = [faults.run(pod, host, index) for host in [*SERVERS, *SWITCHES]]
    said: list[str] = []
    lab.up(pod, reference.datacentre(), [*SERVERS, *SWITCHES], said.append)
    assert said == []
    assert [faults.run(pod, host, index) for host in [*SERVERS, *SWITCHES]] == before


def test_a_switch_that_joins_later_takes_the_cables_over(new_lab, ssh_in) -> None:
    settings = new_lab()
    dc = reference.datacentre()
    lab.up(settings, dc, SERVERS[:1])
    before = cgroup.Tree(settings).running()
    assert ssh_in(settings)(SERVERS[0], "true").returncode == 0
    lab.up(settings, dc, [*SERVERS[:1], LEFT, "oob-a2-1"])
    assert cgroup.Tree(settings).running()[SERVERS[0]] == before[SERVERS[0]]
    assert set(states(settings).values()) == {"up"}
    assert "swp6@" in faults.run(settings, LEFT, "ip -br link show up")
    # Its management goes through the out-of-band switch now.
    faults.unplug(settings, LEFT, "eth0")
    assert states(settings) == {SERVERS[0]: "up", LEFT: "silent", "oob-a2-1": "up"}
    faults.plug(settings, LEFT, "eth0")
    lab.down(settings)
    assert traces(settings) == []


def test_what_switches_cannot_do_here_is_said(pod) -> None:
    known = lab.read(pod)
    assert known is not None
    (said,) = lab.not_exercised(known)
    assert f"{len(SWITCHES)} switches are containers" in said


def test_down_leaves_nothing(pod) -> None:
    assert lab.down(pod) == len(SWITCHES) + len(SERVERS)
    assert traces(pod) == []
    assert not (ca.folder(pod) / ca.SWITCH_KEYS).exists()
