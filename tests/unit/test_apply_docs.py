"""What ansible-doc says of our modules is what they take, and roles speak in that shape."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chapelle.settings import ROOT
from plugins.action import chapelle_apply, chapelle_roll

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def documented(module: str) -> dict:
    ran = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", "-t", "module", module],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    return json.loads(ran.stdout)[module]["doc"]["options"]


def test_every_part_of_a_state_is_documented() -> None:
    assert set(documented("chapelle_apply")["roles"]["suboptions"]) == set(chapelle_apply.STATE)
    assert set(documented("chapelle_observe")) == {"expect", "restore"}
    rolling = documented("chapelle_roll")
    assert set(rolling) == chapelle_roll.ActionModule._VALID_ARGS
    assert tuple(rolling["step"]["choices"]) == chapelle_roll.STEPS


def test_every_part_of_a_state_belongs_to_a_phase() -> None:
    assert set().union(*chapelle_apply.PHASES.values()) == set(chapelle_apply.STATE)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_what_it_is_given(role: str) -> None:
    folder = ROOT / "roles" / role
    specs = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((folder / "defaults" / "main.yml").read_text())
    required = {name for name, option in options.items() if option.get("required")}
    assert set(defaults) <= set(options)
    assert not required & set(defaults)
    assert all(name.startswith(f"{role}_") for name in options)
    readme = (folder / "README.md").read_text()
    assert all(f"| `{name}` |" in readme for name in options)
    variables = yaml.safe_load((folder / "vars" / "main.yml").read_text())
    assert set(variables[f"{role}_state"]) <= set(chapelle_apply.STATE)
    assert f"{role}_expect" in variables


def test_the_playbook_applies_and_verifies_every_role() -> None:
    configure, then = yaml.safe_load((ROOT / "playbooks" / "provision.yml").read_text())
    assert then["ansible.builtin.import_playbook"] == "verify.yml"
    (verify,) = yaml.safe_load((ROOT / "playbooks" / "verify.yml").read_text())
    assert sorted(configure["tasks"][-1]["chapelle_apply"]["roles"]) == ROLES
    assert sorted(verify["tasks"][-1]["chapelle_observe"]["expect"]) == ROLES
