"""The tools that bench/provision.py compares: their commands, and the inventories of the peers."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from jinja2.nativetypes import NativeEnvironment

from chapelle import lab
from chapelle.lab import ca, node, wires
from chapelle.model.datacentre import Datacentre
from chapelle.plan import inventory, networkd
from chapelle.run.reach import reach
from chapelle.settings import ROOT, Settings

HERE = ROOT / "bench" / "provision"
OURS = "chapelle"
WHOLE = "invoke provision"
PYINFRA = "pyinfra"


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One way to provision: its command, its environment, how to read what it says.

    `steps` finds in its output how many things it looked at on each host, `changes` how many it
    changed on all of them.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    steps: Callable[[str], int]
    changes: Callable[[str], int]


def selection(snapshot: Path, hosts: Sequence[str]) -> dict[str, str]:
    """What our inventory plugin has to know to make hosts of these servers."""
    return {"CHAPELLE_SNAPSHOT": str(snapshot), "CHAPELLE_HOSTS": ",".join(hosts)}


def ours(settings: Settings, snapshot: Path, hosts: Sequence[str]) -> Tool:
    """Our playbook: configure and verify."""
    return Tool(
        name=OURS,
        command=(_own("ansible-playbook"), str(ROOT / "playbooks" / "provision.yml")),
        environ={
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_FORKS": str(settings.forks),
            "PYTHONPATH": str(ROOT),
            **_chapelle(settings),
            **selection(snapshot, hosts),
        },
        steps=_tasks,
        changes=_changed,
    )


def whole(settings: Settings, hosts: Sequence[str]) -> Tool:
    """What an operator types: snapshot, plan, lock, batches, journal, write-back besides."""

    def hosts_of(text: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(text.splitlines()[-1])["result"]["hosts"]
        return found

    return Tool(
        name=WHOLE,
        command=(_own("invoke"), "provision", f"--limit={','.join(hosts)}", "--yes", "--json"),
        environ=_chapelle(settings),
        steps=lambda text: len(hosts_of(text)[0]["steps"]),
        changes=lambda text: sum(each["outcome"] != "unchanged" for each in hosts_of(text)),
    )


def peers(settings: Settings, folder: Path, programs: Path) -> list[Tool]:
    """Plain Ansible without and with pipelining, and pyinfra; their inventories are in `folder`."""
    plain = Tool(
        name="ansible",
        command=(
            *(str(programs / "ansible-playbook"), "-i", str(folder / "hosts.yml")),
            str(HERE / "stock.yml"),
        ),
        environ={"ANSIBLE_CONFIG": str(HERE / "ansible.cfg")},
        steps=_tasks,
        changes=_changed,
    )
    return [
        plain,
        msgspec.structs.replace(
            plain,
            name="ansible, pipelining",
            environ={**plain.environ, "ANSIBLE_PIPELINING": "True"},
        ),
        Tool(
            name=PYINFRA,
            command=(
                *("nsenter", f"--net={ca.namespace_path(settings)}", "--"),
                *(str(programs / "pyinfra"), "-y", "--sudo", "--json"),
                *(str(HERE / "inventory.py"), str(HERE / "deploy.py")),
            ),
            environ={"BENCH_HOSTS": str(folder / "hosts.json")},
            steps=lambda text: len(json.loads(text)["results"]["operations"]),
            changes=lambda text: json.loads(text)["results"]["totals"]["success"],
        ),
    ]


def _own(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def _chapelle(settings: Settings) -> dict[str, str]:
    return {
        "CHAPELLE_STATE": str(settings.state),
        "CHAPELLE_CACHE": str(settings.cache),
        "CHAPELLE_TARGET": "lab",
    }


def _tasks(text: str) -> int:
    return len(re.findall(r"^(?:TASK|RUNNING HANDLER) \[", text, re.MULTILINE))


def _changed(text: str) -> int:
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", text))


def write_inventories(
    settings: Settings, folder: Path, dc: Datacentre, hosts: Sequence[str], twin: lab.Lab
) -> None:
    """Write the variables that our roles have, for both peers.

    pyinfra gets the host keys as well: its SSH library knows no host certificates.
    """
    common, way = _role_variables(), reach(settings)
    keys, stock, pyinfra = [], {}, {}
    for name in hosts:
        made = inventory.host(dc, dc.devices_by_name[name], way)
        own = {**common, **made.variables}
        known = {**own, "inventory_hostname": name}
        variables = {key: _resolved(value, known) for key, value in own.items()}
        variables |= {
            "network_files": networkd.files(made.variables["network_links"]),
            "roles": str(ROOT / "roles"),
        }
        address = variables["ansible_host"]
        key = node.folder(settings) / name / "layer/etc/ssh/ssh_host_ed25519_key.pub"
        keys.append(f"{address} {key.read_text()}")
        stock[name] = variables | {
            "ansible_user": ca.PRINCIPAL,
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        pyinfra[name] = {
            "variables": variables,
            "ssh_hostname": address,
            "ssh_user": ca.PRINCIPAL,
            "ssh_key": str(ca.folder(settings) / "id_ed25519"),
            "ssh_known_hosts_file": str(folder / "known_hosts"),
            "ssh_strict_host_key_checking": "yes",
            "ssh_config_file": str(folder / "no-ssh-config"),
        }
    (folder / "known_hosts").write_text("".join(keys))
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": stock}}))
    (folder / "hosts.json").write_text(json.dumps(pyinfra))
    _come_from_services(twin)


def _come_from_services(twin: lab.Lab) -> None:
    """Let pyinfra's connections come from our address in the services' prefix, as those of ssh do.

    The nodes' firewalls let nobody else in.
    """
    for network in {host.node.network for host in twin.hosts.values()}:
        subprocess.run(
            ["nsenter", f"--net={twin.netns}", "--", "ip", "route", "replace", str(network),
             "dev", wires.bridge_name(network), "src", twin.source],
            check=True,
        )  # fmt: skip


def _role_variables() -> dict[str, Any]:
    """What templates need: the roles' defaults, their named paths, and group_vars."""
    variables: dict[str, Any] = {}
    for kind in ("defaults", "vars"):
        for path in sorted(ROOT.glob(f"roles/*/{kind}/main.yml")):
            read = yaml.safe_load(path.read_text()) or {}
            variables |= {k: v for k, v in read.items() if kind == "defaults" or isinstance(v, str)}
    variables |= yaml.safe_load((ROOT / "inventory/group_vars/all.yml").read_text())
    return variables


def _resolved(value: Any, variables: Mapping[str, Any]) -> Any:
    """A variable's value without references to others."""
    if isinstance(value, str) and "{{" in value:
        text = NativeEnvironment().from_string(value).render(variables)
        return _resolved(text, variables)
    if isinstance(value, list):
        return [_resolved(each, variables) for each in value]
    if isinstance(value, dict):
        return {key: _resolved(each, variables) for key, each in value.items()}
    return value
