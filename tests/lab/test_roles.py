"""The roles on real nodes: check, apply, again, spoil, mend; and what must go wrong safely."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ansible_runner
import pytest

from chapelle import lab
from chapelle.settings import ROOT, Settings

sys.path.insert(0, str(ROOT / "tests" / "unit"))
import reference

pytestmark = [pytest.mark.lab]

FIRST, SECOND = HOSTS = ("compute-a2-01", "storage-a2-01")
SOON = {f"{role}_confirm_seconds": 8 for role in ("access", "network", "firewall")}


class Played(NamedTuple):
    """Results of the two tasks, by host; empty where a host did not get so far."""

    applied: dict[str, dict[str, Any]]
    verified: dict[str, dict[str, Any]]

    def items(self, host: str = FIRST) -> set[tuple[str, str]]:
        return {(c["kind"], c["item"]) for c in self.applied[host]["changes"]}


Play = Callable[..., Played]


@pytest.fixture(scope="module")
def nodes(new_lab: Callable[[], Settings]) -> Settings:
    settings = new_lab()
    datacentre = reference.datacentre()
    (settings.state / "snapshot.json").write_bytes(datacentre.snapshot.data)
    lab.up(settings, datacentre, HOSTS)
    return settings


@pytest.fixture
def play(nodes: Settings, tmp_path: Path) -> Play:
    def run(*, check: bool = False, hosts: tuple[str, ...] = (FIRST,), **variables: Any) -> Played:
        ran = ansible_runner.run(
            private_data_dir=tempfile.mkdtemp(dir=tmp_path),  # it remembers --check
            project_dir=str(ROOT),
            playbook=str(ROOT / "playbooks" / "provision.yml"),
            inventory=str(ROOT / "inventory" / "chapelle.yml"),
            limit=",".join(hosts),
            extravars=variables,
            cmdline="--check --diff" if check else None,
            envvars={
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "CHAPELLE_STATE": str(nodes.state),
                "CHAPELLE_SNAPSHOT": str(nodes.state / "snapshot.json"),
                "CHAPELLE_TARGET": "lab",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            quiet=True,
        )
        applied, verified = {}, {}
        for event in ran.events:
            data = event.get("event_data", {})
            if event["event"] in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
                into = applied if data["play"] == "Configure" else verified
                into[data["host"]] = data["res"]
        return Played(applied, verified)

    return run


@pytest.fixture
def ssh(nodes: Settings, ssh_in: Any) -> Callable[[str], str]:
    def run(command: str) -> str:
        ran = ssh_in(nodes)(FIRST, command)
        assert ran.returncode == 0, ran.stderr
        return str(ran.stdout)

    return run


def test_check_mode_on_a_fresh_node_says_everything_and_writes_nothing(
    play: Play, ssh: Callable[[str], str]
) -> None:
    ssh("sudo touch /tmp/before")
    played = play(check=True)
    assert {
        ("file", "/etc/ssh/sshd_config"),
        ("file", "/etc/systemd/network/05-install.network"),
        ("ruleset", "table inet chapelle"),
        ("unit", "chrony.service"),
        ("user", "amartin"),
    } <= played.items()
    assert ssh("sudo find /etc /usr /var/lib/chapelle -newer /tmp/before -type f; true") == ""
    assert played.verified[FIRST]["differences"]


def test_two_servers_of_different_roles_are_configured_and_verified(play: Play) -> None:
    played = play(hosts=HOSTS)
    for host in HOSTS:
        assert "phase" not in played.applied[host], played.applied[host]["msg"]
        assert played.verified[host]["differences"] == []
        assert played.verified[host]["observed"]["facts"]["os"].startswith(("Debian", "Ubuntu"))
        assert any("bond0" in line for line in played.verified[host]["not_exercised"]) == (
            "bond0" not in played.verified[host]["observed"]["links"]
        )
    assert "confirm" in played.applied[FIRST]


def test_a_second_run_changes_nothing(play: Play) -> None:
    for check in (False, True):
        played = play(hosts=HOSTS, check=check)
        for host in HOSTS:
            assert played.applied[host]["changes"] == []
            assert not played.applied[host]["changed"]
            assert played.verified[host]["differences"] == []


SPOIL = """
set -e
echo 'PermitRootLogin yes' | sudo tee -a /etc/ssh/sshd_config
sudo systemctl stop chrony
sudo nft add rule inet chapelle input tcp dport 4444 accept
sudo apt-get -y -qq remove lldpd
echo 'mallory ALL=(ALL) NOPASSWD: ALL' | sudo tee /etc/sudoers.d/mallory
sudo chmod 0666 /etc/hosts
sudo gpasswd -a nobody administrators
echo '[Match]' | sudo tee /etc/systemd/network/00-x.network
"""


def test_what_was_spoiled_is_found_by_check_mode_and_mended(
    play: Play, ssh: Callable[[str], str]
) -> None:
    ssh(SPOIL)
    spoiled = {
        ("file", "/etc/ssh/sshd_config"),
        ("unit", "chrony.service"),
        ("ruleset", "table inet chapelle"),
        ("package", "lldpd"),
        ("file", "/etc/sudoers.d/mallory"),
        ("file", "/etc/hosts"),
        ("group", "administrators"),
        ("file", "/etc/systemd/network/00-x.network"),
    }
    drifted = play(check=True)
    assert spoiled <= drifted.items()
    areas = {d["area"] for d in drifted.verified[FIRST]["differences"]}
    assert {"firewall", "time", "units"} <= areas
    mended = play()
    assert spoiled <= mended.items()
    assert mended.verified[FIRST]["differences"] == []
    assert play().applied[FIRST]["changes"] == []


def wrong_links() -> list[dict[str, Any]]:
    link = {"name": "eno1", "kind": "physical", "mac": None, "mtu": 9000, "bond": None}
    return [
        {
            **link,
            "addresses": ["10.64.9.99/24"],
            "gateway": "10.64.9.1",
            "parent": None,
            "vid": None,
        }
    ]


@pytest.mark.parametrize(
    "variables",
    [{"network_links": wrong_links()}, {"firewall_management": ["192.0.2.0/24"]}],
    ids=["wrong-address", "firewall-shuts-us-out"],
)
def test_a_change_that_cuts_the_host_off_goes_back(
    play: Play, ssh: Callable[[str], str], variables: dict[str, Any]
) -> None:
    before = ssh("sudo sha256sum /etc/systemd/network/* /etc/nftables.conf")
    failed = play(**SOON, **variables).applied[FIRST]
    assert failed["phase"] == "network"
    assert "went back" in failed["msg"]
    assert failed["changes"] == []
    assert ssh("sudo sha256sum /etc/systemd/network/* /etc/nftables.conf") == before
    assert play(check=True).applied[FIRST]["changes"] == []


def test_an_invalid_file_replaces_nothing_of_any_role(
    play: Play, ssh: Callable[[str], str]
) -> None:
    failed = play(access_administrators_group="no such, group!", base_timezone="Etc/UTC")
    result = failed.applied[FIRST]
    assert result["phase"] == "accounts"
    failed = play(time_servers=["10.64.0.11 nonsense"], base_timezone="Etc/UTC")
    result = failed.applied[FIRST]
    assert result["phase"] == "validate"
    assert result["failure"]["item"] == "/etc/chrony/chrony.conf"
    assert "Europe/Paris" in ssh("readlink /etc/localtime")


def test_a_host_without_space_is_refused_before_anything(play: Play) -> None:
    failed = play(base_free_mib=10**9, base_timezone="Etc/UTC").applied[FIRST]
    assert (failed["phase"], failed["changes"]) == ("preflight", [])
    assert "disk is full" in failed["msg"]


def test_broken_apt_is_told_with_its_own_words(play: Play, ssh: Callable[[str], str]) -> None:
    ssh("echo 'deb nonsense' | sudo tee /etc/apt/sources.list.d/broken.list")
    try:
        failed = play(base_packages=["ca-certificates", "not-a-package"]).applied[FIRST]
        assert failed["phase"] == "packages"
        assert "broken.list" in failed["msg"]
        assert failed["changes"] == []
    finally:
        ssh("sudo rm /etc/apt/sources.list.d/broken.list")


def test_a_restart_that_a_killed_run_owed_is_made(play: Play, ssh: Callable[[str], str]) -> None:
    ssh(
        "sudo mkdir -p /var/lib/chapelle;"
        " echo '[\"/etc/chrony/chrony.conf\"]' | sudo tee /var/lib/chapelle/pending.json"
    )
    assert play(check=True).items() == {("unit", "chrony.service")}
    assert play().items() == {("unit", "chrony.service")}
    assert play().items() == set()


def test_check_mode_refuses_the_file_that_the_run_would_refuse(
    play: Play, ssh: Callable[[str], str]
) -> None:
    ssh("sudo touch /tmp/before")
    refused = play(check=True, time_servers=["10.64.0.11 nonsense"]).applied[FIRST]
    assert refused["phase"] == "validate", refused
    assert refused["failure"]["item"] == "/etc/chrony/chrony.conf"
    assert "server directive at line 2 in file /etc/chrony/chrony.conf" in refused["msg"]
    assert ssh("sudo find /etc /usr -newer /tmp/before; ls /run | grep chapelle; true") == ""
    promised = play(check=True, time_servers=["10.64.0.11"]).applied[FIRST]
    assert [c["item"] for c in promised["changes"]] == ["/etc/chrony/chrony.conf", "chrony.service"]
    assert promised["notes"] == []


HIDE = """
sudo mkdir -p /etc/systemd/system/lldpd.service.d
printf '[Unit]\nConditionPathExists=/no/such\n' \
    | sudo tee /etc/systemd/system/lldpd.service.d/hide.conf
sudo systemctl daemon-reload
sudo systemctl restart lldpd
# lldpd that is stopped while it starts ends with an error, which is not what this is about.
sudo systemctl reset-failed lldpd
"""


def test_a_condition_that_hides_a_stopped_service_is_a_difference(
    play: Play, ssh: Callable[[str], str]
) -> None:
    ssh(HIDE)
    drifted = play(check=True)
    assert drifted.items() == {("unit", "lldpd.service")}
    found = [d["found"] for d in drifted.verified[FIRST]["differences"] if d["area"] == "units"]
    assert found == ["inactive, ConditionPathExists=/no/such does not hold"]
    assert not any("lldpd" in line for line in drifted.verified[FIRST]["not_exercised"])
    failed = play().applied[FIRST]
    assert failed["phase"] == "units", failed
    assert failed["failure"]["item"] == "lldpd.service"
    assert "ConditionPathExists=/no/such" in failed["msg"]
    ssh("sudo rm -r /etc/systemd/system/lldpd.service.d; sudo systemctl daemon-reload")
    assert play().items() == {("unit", "lldpd.service")}
    assert play(check=True).applied[FIRST]["changes"] == []


def test_a_host_certificate_that_ends_soon_is_reported_by_drift_and_fails_no_run(
    play: Play,
) -> None:
    drifted = play(check=True, access_certificate_days=99999).verified[FIRST]
    assert [(d["area"], d["item"]) for d in drifted["differences"]] == [("certificate", "validity")]
    assert "ssh_host_ed25519_key.pub" in drifted["differences"][0]["found"]
    assert play(access_certificate_days=99999).verified[FIRST]["differences"] == []


def test_tags_narrow_what_is_applied(play: Play, ssh: Callable[[str], str]) -> None:
    ssh("sudo systemctl stop lldpd; sudo rm /etc/lldpd.d/50-chapelle.conf")
    ssh("sudo rm /etc/default/locale")
    os.environ["ANSIBLE_RUN_TAGS"] = "observability_configure"
    try:
        assert play().items() == {("file", "/etc/lldpd.d/50-chapelle.conf")}
    finally:
        del os.environ["ANSIBLE_RUN_TAGS"]
    assert play().items() == {("unit", "lldpd.service"), ("file", "/etc/default/locale")}
