"""The lab itself, for real: nodes that answer, that can be broken, and that leave nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import handmade
import msgspec
import pytest
from pyroute2 import IPRoute

from chapelle import lab
from chapelle.errors import InputError
from chapelle.lab import ca, cgroup, faults, node
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot

pytestmark = pytest.mark.lab

HOSTS = ["compute-a2-01", "compute-a2-02", "compute-a2-03"]


def traces(settings) -> list[str]:
    """Everything on the machine that bears the mark of this state's lab."""
    marks = (settings.instance, str(settings.state))
    with IPRoute() as ipr:
        links = [str(link.get_attr("IFLA_IFNAME")) for link in ipr.get_links()]
    places = [*Path("/run").glob("*"), *Path("/run/netns").glob("*")]
    places += [p for p in Path("/run/systemd/nspawn").rglob("*") if p.parent.name != "locks"]
    for hierarchy in cgroup.hierarchies():
        places += hierarchy.glob("*")
    found = [f"link {name}" for name in links if name.startswith(("br0a", "v", "eno"))]
    found += [f"place {path}" for path in places if settings.instance in path.name]
    found += [f"file {path}" for path in settings.state.glob("lab/**/*")]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if any(mark in line for mark in marks):
            found.append(f"mount {line}")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue  # it has ended; its parent has not asked yet
            text = (process / "cmdline").read_text() + (process / "cgroup").read_text()
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(mark in text for mark in marks):
            found.append(f"process {process.name} {text[:200]!r}")
    return found


@pytest.fixture(scope="module")
def three(new_lab):
    settings = new_lab()
    before = traces(settings)
    assert before == []
    lab.up(settings, handmade.datacentre(3), HOSTS)
    return settings


def states(settings) -> dict[str, str]:
    return {host.name: host.state for host in lab.status(settings)}


def test_nodes_are_what_netbox_says(three, ssh_in) -> None:
    ssh = ssh_in(three)
    result = ssh("compute-a2-02", "hostname; hostname -f; sudo id -u; ip -br -4 a; ip r; ip -br l")
    assert result.returncode == 0, result.stderr
    name, fqdn, user = result.stdout.splitlines()[:3]
    assert (name, fqdn, user) == ("compute-a2-02", "compute-a2-02.chapelle.internal", "0")
    assert "10.64.2.12/24" in result.stdout
    assert "default via 10.64.2.1 dev eno1" in result.stdout
    assert "02:c4:02:00:02:01" in result.stdout  # eno1's address, and eno2's
    assert "02:c4:02:00:02:02" in result.stdout


def test_nodes_boot_whole_and_reach_each_other_and_the_hub(three, ssh_in) -> None:
    ssh = ssh_in(three)
    result = ssh("compute-a2-01", "systemctl is-system-running; sudo ping -c1 -W2 10.64.2.13")
    assert result.stdout.startswith("running\n"), result.stdout
    assert result.returncode == 0, result.stdout


def test_time_comes_from_the_addresses_of_the_time_servers(three, ssh_in) -> None:
    command = (
        "sudo systemctl start chrony && sudo chronyc -m 'add server 10.64.0.11 iburst' "
        "'add server 10.64.0.12 iburst' && chronyc waitsync 20 0 0 0.5"
    )
    result = ssh_in(three)("compute-a2-01", command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_packages_can_be_installed_without_a_way_out(three, ssh_in) -> None:
    command = (
        "sudo apt-get -q update && sudo apt-get -qy purge lldpd && ! command -v lldpd && "
        "sudo apt-get -qy install lldpd && dpkg -s lldpd | grep '^Status: install ok installed'"
    )
    result = ssh_in(three)("compute-a2-03", command)
    assert result.returncode == 0, result.stdout + result.stderr


def test_up_again_starts_nothing(three) -> None:
    before = cgroup.Tree(three).running()
    said: list[str] = []
    lab.up(three, handmade.datacentre(3), HOSTS, said.append)
    assert cgroup.Tree(three).running() == before
    assert said == []


def test_a_node_that_died_is_shown_and_comes_back_with_its_disk(three, ssh_in) -> None:
    ssh = ssh_in(three)
    assert ssh("compute-a2-02", "echo kept | sudo tee /etc/kept").returncode == 0
    faults.kill(three, "compute-a2-02")
    assert states(three) == {
        "compute-a2-01": "up",
        "compute-a2-02": "down",
        "compute-a2-03": "up",
    }
    lab.up(three, handmade.datacentre(3), HOSTS)
    assert set(states(three).values()) == {"up"}
    assert ssh("compute-a2-02", "cat /etc/kept").stdout == "kept\n"


def test_a_node_that_restarts_itself_comes_back_with_its_disk_and_no_more(three, ssh_in) -> None:
    ssh = ssh_in(three)
    host = HOSTS[0]
    boot = "cat /proc/sys/kernel/random/boot_id"
    marks = "; ".join(
        (
            "echo kept | sudo tee /etc/kept",
            "sudo touch /run/lost",
            "sudo nft add table inet lost",
            "sudo ip address add 10.99.0.1/24 dev eno1",
        )
    )
    before = ssh(host, boot).stdout
    for _ in range(2):  # the second restart begins where the first one left the groups
        assert ssh(host, marks).returncode == 0
        ssh(host, "sudo systemctl reboot")
        deadline = time.monotonic() + 30
        while (now := ssh(host, boot)).returncode != 0 or now.stdout == before:
            assert time.monotonic() < deadline, node.console_tail(three, host)
            time.sleep(0.1)
        before = now.stdout
        assert ssh(host, "cat /etc/kept").stdout == "kept\n"
        assert ssh(host, "test -e /run/lost").returncode == 1
        assert "lost" not in ssh(host, "sudo nft list tables").stdout
        assert "10.99.0.1" not in ssh(host, "ip address show").stdout
        status = {each.name: each for each in lab.status(three)}[host]
        assert (status.state, status.pid > 0) == ("up", True)
    assert "1 received" in ssh(host, "ping -c1 -W2 10.64.2.12").stdout
    lab.up(three, handmade.datacentre(3), HOSTS)  # finds it running, and leaves it alone
    assert ssh(host, boot).stdout == before


def test_a_full_disk_is_full_and_a_pulled_cable_is_silent(three, ssh_in) -> None:
    ssh = ssh_in(three)
    faults.fill_disk(three, "compute-a2-01")
    full = ssh("compute-a2-01", "head -c 100000 /dev/zero | sudo tee /etc/new >/dev/null")
    assert "No space left" in full.stderr
    faults.free_disk(three, "compute-a2-01")
    assert ssh("compute-a2-01", "echo ok | sudo tee /etc/new").stdout == "ok\n"
    faults.unplug(three, "compute-a2-01")
    assert states(three)["compute-a2-01"] == "silent"
    faults.plug(three, "compute-a2-01")
    assert states(three)["compute-a2-01"] == "up"


def test_a_host_key_that_nobody_signed_is_refused(three, ssh_in) -> None:
    ssh = ssh_in(three)
    assert ssh("compute-a2-03", "true").returncode == 0
    faults.replace_host_key(three, "compute-a2-03")
    refused = ssh("compute-a2-03", "true")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_a_certificate_for_another_host_is_refused(three, ssh_in) -> None:
    stolen = node.folder(three) / "compute-a2-01" / "layer/etc/ssh"
    for name in ("ssh_host_ed25519_key", "ssh_host_ed25519_key-cert.pub"):
        text = (stolen / name).read_text()
        faults.run(three, "compute-a2-02", f"cat >/etc/ssh/{name} <<'END'\n{text}END\n")
    faults.run(three, "compute-a2-02", "systemctl restart ssh.service")
    refused = ssh_in(three)("compute-a2-02", "true")
    assert refused.returncode == 255
    assert "not listed" in refused.stderr or "verification failed" in refused.stderr


def test_the_operator_is_known_by_certificate_only(three, ssh_in) -> None:
    home = ca.folder(three)
    certificate = home / "id_ed25519-cert.pub"
    kept = certificate.read_bytes()
    certificate.unlink()
    try:
        assert ssh_in(three)("compute-a2-01", "true").returncode == 255
    finally:
        certificate.write_bytes(kept)
    assert ssh_in(three)("compute-a2-01", "true").returncode == 0


def renamed(servers: int, old: str, new: str) -> Datacentre:
    content = handmade.datacentre(servers).content
    devices = [
        msgspec.structs.replace(d, name=new) if d.name == old else d for d in content.devices
    ]
    return Datacentre(Snapshot(msgspec.structs.replace(content, devices=tuple(devices))))


def test_some_nodes_can_be_ended_and_the_others_stay(three, ssh_in) -> None:
    assert lab.end(three, ["compute-a2-02"]) == 1
    assert states(three) == {"compute-a2-01": "up", "compute-a2-03": "up"}
    assert not (node.folder(three) / "compute-a2-02").exists()
    lab.up(three, handmade.datacentre(3), HOSTS)
    assert set(states(three).values()) == {"up"}
    assert ssh_in(three)("compute-a2-02", "test -e /etc/kept").returncode == 1, "a new disk"


def test_the_lab_follows_netbox_and_down_leaves_nothing(three, ssh_in) -> None:
    dc = renamed(3, "compute-a2-03", "compute-a2-99")
    said: list[str] = []
    lab.up(three, dc, [*HOSTS[:2], "compute-a2-99"], said.append)
    assert said[0] == "removing compute-a2-03: NetBox has no such server any more"
    assert list(states(three)) == ["compute-a2-01", "compute-a2-02", "compute-a2-99"]
    assert ssh_in(three)("compute-a2-99", "hostname").stdout == "compute-a2-99\n"
    assert any(trace.startswith("process") for trace in traces(three))
    assert lab.down(three) == 3
    assert traces(three) == []
    assert lab.status(three) == []
    assert lab.down(three) == 0


UP = """
import sys, handmade
from chapelle import lab
from chapelle.settings import Settings
dc = handmade.datacentre(6)
lab.up(Settings.load(), dc, [d.name for d in dc.servers], print, lambda d, t: print(d, flush=True))
"""


@pytest.mark.parametrize("finish", ["up", "down"])
def test_an_up_that_was_killed_is_completed_and_removed(new_lab, ssh_in, finish) -> None:
    settings = new_lab()
    paths = [str(Path(__file__).parent), str(settings.root)]
    environment = {
        **os.environ,
        "CHAPELLE_STATE": str(settings.state),
        "PYTHONPATH": os.pathsep.join(paths),
    }
    process = subprocess.Popen([sys.executable, "-c", UP], stdout=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + 120
    while not cgroup.Tree(settings).running() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert traces(settings) != []
    if finish == "up":
        dc = handmade.datacentre(6)
        lab.up(settings, dc, [str(d.name) for d in dc.servers])
        assert set(states(settings).values()) == {"up"}
        assert len(states(settings)) == 6
        assert ssh_in(settings)("compute-a2-06", "hostname").stdout == "compute-a2-06\n"
    lab.down(settings)
    assert traces(settings) == []


def test_two_labs_with_the_same_addresses_do_not_meet(new_lab, ssh_in) -> None:
    one, other = new_lab(), new_lab()
    for settings in (one, other):
        lab.up(settings, handmade.datacentre(1), HOSTS[:1])
    identities = {ssh_in(s)("compute-a2-01", "cat /etc/machine-id").stdout for s in (one, other)}
    assert len(identities) == 2
    assert all(identities)
    lab.down(one)
    assert states(other) == {"compute-a2-01": "up"}


def test_what_netbox_does_not_know_is_bad_input_and_nothing_is_made(new_lab) -> None:
    settings = new_lab()
    with pytest.raises(InputError, match="no device"):
        lab.up(settings, handmade.datacentre(1), ["compute-a2-77"])
    assert traces(settings) == []
