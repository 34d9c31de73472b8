"""The how-to for one's own servers, typed as it stands: target `site`, by its SSH configuration.

A node of the lab is the server. It is reached as servers are, by address and by what the operator's
SSH configuration says; that leads into the lab's network. NetBox describes it as a server with one
plain port, since this machine's kernel may know no bonds, and its installer has told chronyd not to
set the clock, which is this machine's.
"""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from howto import ROOT, commands, text
from operating import Installation

from chapelle import lab
from chapelle.lab import ca, faults
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]

PAGE = "your-own-servers.md"
HOST = "compute-a2-01"
ADDRESS = "10.64.2.11"

# Passes a connection from inside the lab's network to ssh (ssh_config(5), ProxyUseFdpass).
CONNECT = """
import socket, sys
near = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10, (sys.argv[3], 0))
near.setblocking(True)
socket.send_fds(socket.socket(fileno=1), [b"\\0"], [near.fileno()])
"""

INSTALLER = r"""
mkdir -p /etc/systemd/system/chrony.service.d
cat >/etc/systemd/system/chrony.service.d/10-installer.conf <<END
[Unit]
ConditionCapability=
[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd -x \$DAEMON_OPTS
END
systemctl daemon-reload
"""


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings) -> Iterator[Installation]:
    lab.down(seeded_netbox)
    installation = Installation(seeded_netbox)
    before = with_one_port(installation)
    installation.edit(HOST, {"status": "planned"})
    made = installation.invoke("lab.up", "--rack=A2-R01", "--hosts=1")
    assert made.code == 0, made
    faults.run(seeded_netbox, HOST, INSTALLER)
    yield installation
    lab.down(seeded_netbox)
    for path, change in reversed(before):
        installation.netbox("PATCH", path, json=change)
    installation.edit(HOST, {"status": "planned"})


def with_one_port(installation: Installation) -> list[tuple[str, dict[str, object]]]:
    """Describe the server with its address on eno1; what undoes it, in the order of doing."""
    device = installation.device(HOST)
    query = {"device_id": device["id"]}
    found = installation.netbox("GET", "dcim/interfaces/", params=query).json()["results"]
    ports = {port["name"]: port for port in found}
    address = f"ipam/ip-addresses/{device['primary_ip4']['id']}/"
    undo: list[tuple[str, dict[str, object]]] = []

    def change(path: str, wanted: dict[str, object], former: dict[str, object]) -> None:
        installation.netbox("PATCH", path, json=wanted)
        undo.append((path, former))

    bond = ports["bond0"]["id"]
    for name in ("eno1", "eno2"):
        change(f"dcim/interfaces/{ports[name]['id']}/", {"lag": None}, {"lag": bond})
    change(address, {"assigned_object_id": ports["eno1"]["id"]}, {"assigned_object_id": bond})
    for name in ("bond0.202", "bond0"):
        path = f"dcim/interfaces/{ports[name]['id']}/"
        change(path, {"enabled": False}, {"enabled": True})
    return undo


@pytest.fixture
def way(here: Installation, tmp_path: Path) -> str:
    """Lines of an SSH configuration that lead to the server."""
    (tmp_path / "connect.py").write_text(CONNECT)
    known = lab.read(here.settings)
    assert known is not None
    namespace = ca.namespace_path(here.settings)
    program = f"{sys.executable} {tmp_path}/connect.py %h %p {known.source}"
    return f"    ProxyCommand nsenter --net={namespace} {program}\n    ProxyUseFdpass yes\n"


def configuration(here: Installation, way: str, tmp_path: Path) -> Path:
    """The page's own example, with this operator's key and this authority's."""
    page = text(PAGE)
    example = re.search(r"```\n(Host 10\.64\.\*\n.*?)```", page, re.DOTALL)
    authority = re.search(r"`(@cert-authority [^`]*)AAAA\.\.\.`", page)
    assert example
    assert authority
    keys = here.settings.state / "ssh"
    key = (keys / "ca_host.pub").read_text().split()[1]
    (tmp_path / "known_hosts").write_text(f"{authority[1]}{key}\n")
    config = example[1].replace("~/.ssh/known_hosts_chapelle", str(tmp_path / "known_hosts"))
    config = config.replace("~/.ssh/deploy", str(keys / "id_ed25519"))
    path = tmp_path / "config"
    path.write_text(config + way)
    return path


def typed(here: Installation, command: str, config: Path) -> "subprocess.CompletedProcess[str]":
    """Type a command at a terminal, and `y` when it asks."""
    keyboard, terminal = pty.openpty()
    os.write(keyboard, b"y\n")
    try:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
                "CHAPELLE_STATE": str(here.settings.state),
                "CHAPELLE_CACHE": str(here.settings.cache),
                "CHAPELLE_TARGET": "site",
                "CHAPELLE_SSH_CONFIG": str(config),
            },
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_a_stranger_is_refused_whatever_the_ssh_configuration_says(
    here: Installation, way: str, tmp_path: Path
) -> None:
    keys = here.settings.state / "ssh"
    known = tmp_path / "known_hosts"
    config = tmp_path / "trusting"
    config.write_text(
        f"Host *\n    User deploy\n    IdentityFile {keys}/id_ed25519\n"
        f"    CertificateFile {keys}/id_ed25519-cert.pub\n    UserKnownHostsFile {known}\n"
        f"    StrictHostKeyChecking accept-new\n    UpdateHostKeys yes\n{way}"
    )
    refused = typed(here, f"ansible -m ping {HOST}", config)
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "Host key verification failed" in refused.stdout
    assert not known.exists()
    trusting = subprocess.run(["ssh", "-F", config, ADDRESS, "true"], check=False)
    assert trusting.returncode == 0, "ssh itself would have gone in"
    assert known.read_text()


def test_nothing_is_done_where_nobody_can_answer(
    here: Installation, way: str, tmp_path: Path
) -> None:
    config = configuration(here, way, tmp_path)
    done = typed(here, f"invoke provision --limit={HOST} </dev/null", config)
    assert done.returncode == 3, done.stdout + done.stderr
    assert HOST in done.stderr
    assert here.status(HOST) == "planned"


def test_the_commands_of_the_page_bring_a_server_to_active(
    here: Installation, way: str, tmp_path: Path
) -> None:
    config = configuration(here, way, tmp_path)
    given = commands(PAGE)
    assert any(command.startswith("invoke provision") for command, _ in given)
    for command, expected in given:
        done = typed(here, command, config)
        assert done.returncode == expected, f"$ {command}\n{done.stdout}\n{done.stderr}"
    assert here.status(HOST) == "active"
    assert here.latest().target == "site"
