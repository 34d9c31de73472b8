"""The inventory plugin as Ansible runs it, on a snapshot file of the reference datacentre."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reference

from chapelle.model.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshot") / "reference.json"
    path.write_bytes(reference.datacentre().snapshot.data)
    return path


def run(
    snapshot: Path, program: str, *arguments: str, cwd: Path = ROOT, **environ: str
) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
    return subprocess.run(
        [BIN / program, *arguments],
        cwd=cwd,
        env=inherited
        | {"CHAPELLE_SNAPSHOT": str(snapshot), "CHAPELLE_STATE": str(snapshot.parent)}
        | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def listed(snapshot: Path, *arguments: str, **environ: str) -> dict[str, Any]:
    done = run(snapshot, "ansible-inventory", "--list", *arguments, **environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout, object_hook=unmarked)
    return found


def unmarked(value: dict[str, Any]) -> Any:
    """Without the mark that ansible-inventory puts on text that is never a template."""
    return value.get("__ansible_unsafe", value)


def test_all_servers_with_groups_and_variables(snapshot: Path) -> None:
    found = listed(snapshot)
    variables = found["_meta"]["hostvars"]
    assert len(variables) == 300
    assert len(found["aisle_2"]["hosts"]) == 75
    assert len(found["rack_a2_r06"]["hosts"]) == 10
    assert len(found["role_storage"]["hosts"]) == 64
    assert variables["compute-a2-01"]["ansible_host"] == "10.64.2.11"
    assert variables["compute-a2-01"]["ansible_ssh_executable"].endswith("/ssh/ssh")
    assert variables["compute-a2-01"]["base_fqdn"] == "compute-a2-01.chapelle.internal"


def test_the_environment_filters_before_hosts_are_made(snapshot: Path) -> None:
    found = listed(snapshot, CHAPELLE_AISLES="2,3", CHAPELLE_HOSTS="infra-*,storage-a2-01")
    assert len(found["_meta"]["hostvars"]) == 7
    assert "aisle_1" not in found


RULES_OF = """
- hosts: storage-a2-01,compute-a2-01
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {name: firewall, tasks_from: state}
    - ansible.builtin.copy:
        content: "{{ lookup('ansible.builtin.template', template) }}"
        dest: "{{ folder }}/{{ inventory_hostname }}"
        mode: "0600"
      delegate_to: localhost
      connection: local
      become: false
"""


def test_a_file_of_a_role_opens_ports_on_its_servers_and_on_no_others(
    snapshot: Path, tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "inventory", inventory)
    service = {"name": "ceph", "protocol": "tcp", "ports": [6789], "from": ["10.65.2.0/24"]}
    opened = json.dumps({"firewall_role_services": [service]})
    (inventory / "group_vars" / "role_storage.yml").write_text(opened)
    (tmp_path / "rules.yml").write_text(RULES_OF)
    template = ROOT / "roles" / "firewall" / "templates" / "nftables.conf.j2"
    given = json.dumps({"folder": str(tmp_path), "template": str(template)})
    source = ["-i", str(inventory / "chapelle.yml")]
    done = run(snapshot, "ansible-playbook", *source, "-e", given, str(tmp_path / "rules.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    rule = 'ip saddr { 10.65.2.0/24 } tcp dport { 6789 } accept comment "ceph"'
    storage, compute = ((tmp_path / f"{host}-a2-01").read_text() for host in ("storage", "compute"))
    assert rule in storage
    assert "6789" not in compute
    assert "9100" in storage
    assert "9100" in compute


def test_compose_groups_and_keyed_groups(snapshot: Path, tmp_path: Path) -> None:
    source = tmp_path / "my.chapelle.yml"
    source.write_text(
        f"""
plugin: chapelle
snapshot: {snapshot}
racks: [A2-R01]
statuses: [planned]
include_switches: true
strict: true
compose:
  monitoring_name: inventory_hostname ~ '.' ~ netbox_aisle
groups:
  upper_half: (netbox_position or 0) > 21
  named: monitoring_name is defined
keyed_groups:
  - prefix: kind
    key: netbox_role
    parent_group: kinds
"""
    )
    found = listed(snapshot, "-i", str(source))
    hosts = found["_meta"]["hostvars"]
    assert hosts["compute-a2-01"]["monitoring_name"] == "compute-a2-01.2"
    assert set(found["named"]["hosts"]) == set(hosts)
    assert "leaf-a2-1a" in found["upper_half"]["hosts"]
    assert "compute-a2-01" not in found["upper_half"]["hosts"]
    assert "kind_compute" in found["kinds"]["children"]
    assert "compute-a2-01" in found["kind_compute"]["hosts"]


def test_strict_makes_a_wrong_expression_an_error(snapshot: Path, tmp_path: Path) -> None:
    source = tmp_path / "chapelle.yml"
    text = f"plugin: chapelle\nsnapshot: {snapshot}\ncompose: {{x: nothing.here}}\n"
    source.write_text(text)
    assert len(listed(snapshot, "-i", str(source))["_meta"]["hostvars"]) == 300
    source.write_text(text + "strict: true\n")
    done = run(snapshot, "ansible-inventory", "--list", "-i", str(source))
    assert done.returncode != 0
    assert "nothing" in done.stderr


def test_what_netbox_says_is_never_a_template(snapshot: Path, tmp_path: Path) -> None:
    content = reference.content()
    evil = msgspec.structs.replace(
        next(device for device in content.devices if device.name == "compute-a2-01"),
        serial="{{ lookup('pipe', 'echo owned') }}",
    )
    devices = tuple(evil if device.id == evil.id else device for device in content.devices)
    path = tmp_path / "evil.json"
    path.write_bytes(Snapshot(msgspec.structs.replace(content, devices=devices)).data)
    done = run(
        path, "ansible", "compute-a2-01", "-c", "local", "-m", "debug", "-a", "var=netbox_serial"
    )
    assert done.returncode == 0, done.stderr
    assert "lookup('pipe', 'echo owned')" in done.stdout


def test_a_server_that_cannot_be_reached_is_left_out_and_named(
    snapshot: Path, tmp_path: Path
) -> None:
    content = reference.content()
    devices = tuple(
        msgspec.structs.replace(device, primary_ip4=None)
        if device.name == "compute-a2-01"
        else device
        for device in content.devices
    )
    path = tmp_path / "incomplete.json"
    path.write_bytes(Snapshot(msgspec.structs.replace(content, devices=devices)).data)
    done = run(path, "ansible-inventory", "--graph")
    assert done.returncode == 0
    assert "compute-a2-01" not in done.stdout
    assert "compute-a2-02" in done.stdout
    assert "compute-a2-01 is left out" in done.stderr


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"CHAPELLE_AISLES": "9"}, "There is no aisle '9'"),
        ({"CHAPELLE_RACKS": "A2-R99"}, "There is no rack 'A2-R99'"),
        ({"CHAPELLE_HOSTS": "web-*"}, "No host is called 'web-*'"),
        ({"CHAPELLE_SNAPSHOT": "/nowhere.json"}, "The snapshot cannot be read"),
    ],
)
def test_a_wrong_filter_is_one_clear_error(
    snapshot: Path, environ: dict[str, str], message: str
) -> None:
    done = run(snapshot, "ansible-inventory", "--list", **environ)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_snapshot_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"format": 1, "content": ')
    done = run(path, "ansible-inventory", "--list")
    assert done.returncode == 1
    assert "This is not a snapshot" in done.stderr


def test_the_documentation_names_every_option(snapshot: Path) -> None:
    done = run(snapshot, "ansible-doc", "-t", "inventory", "-j", "chapelle")
    options = json.loads(done.stdout)["chapelle"]["doc"]["options"]
    own = {"snapshot", "max_age", "aisles", "racks", "hosts", "statuses", "include_switches"}
    assert own | {"compose", "groups", "keyed_groups", "strict"} <= set(options)


def test_the_inventory_works_beside_other_kinds(snapshot: Path) -> None:
    done = run(snapshot, "ansible-inventory", "-i", "localhost,", "--graph")
    assert done.returncode == 0
    assert "localhost" in done.stdout
