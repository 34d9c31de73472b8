"""Which calls units need: pure planning on what systemd said."""

import json
from pathlib import Path

import pytest

from plugins.module_utils.chapelle_node import units
from plugins.module_utils.chapelle_node.system import Ran, System

RUNNING = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
STOPPED = {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"}
CHRONY = {
    "name": "chrony.service",
    "enabled": True,
    "state": "started",
    "restart_on": ["/etc/chrony"],
    "reload_on": ["/etc/default/chrony"],
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function: a unit, what systemd says of it, changed paths -> the plan."""

    def make(unit: dict, now: dict, *changed: str) -> units.Plan:
        monkeypatch.setattr(units, "show", lambda _system, _names: {unit["name"]: now})
        return units.plan(System(str(tmp_path)), {"time": {"units": [unit]}}, set(changed))

    return make


def test_nothing_to_do(plan) -> None:
    assert plan(CHRONY, RUNNING).calls == {}
    assert plan(CHRONY, RUNNING, "/etc/hosts", "/etc/chrony.conf").calls == {}


def test_a_stopped_and_disabled_unit(plan) -> None:
    assert plan(CHRONY, STOPPED).calls == {
        "enable": ["chrony.service"],
        "start": ["chrony.service"],
    }


def test_a_unit_that_is_not_installed_yet_is_planned(plan) -> None:
    changes = plan(CHRONY, {}).changes
    assert [(c["before"], c["after"]) for c in changes] == [
        ("not installed", "enabled"),
        ("not installed", "active"),
    ]


def test_a_path_below_a_watched_one_restarts_and_restart_beats_reload(plan) -> None:
    assert plan(CHRONY, RUNNING, "/etc/chrony/chrony.conf").calls == {"restart": ["chrony.service"]}
    both = plan(CHRONY, RUNNING, "/etc/chrony/chrony.conf", "/etc/default/chrony")
    assert both.calls == {"restart": ["chrony.service"]}
    assert plan(CHRONY, RUNNING, "/etc/default/chrony").calls == {"reload": ["chrony.service"]}


def test_a_stopped_unit_is_started_not_restarted(plan) -> None:
    assert "restart" not in plan(CHRONY, STOPPED, "/etc/chrony/chrony.conf").calls


def test_a_unit_file_that_changes_needs_a_daemon_reload(plan) -> None:
    assert plan(CHRONY, RUNNING, "/etc/systemd/system/chrony.service.d/x.conf").daemon_reload
    assert plan(CHRONY, {**RUNNING, "NeedDaemonReload": "yes"}).daemon_reload
    assert not plan(CHRONY, RUNNING, "/etc/chrony/chrony.conf").daemon_reload


def test_unwanted_units_are_stopped_and_disabled_only_where_they_are(plan) -> None:
    unwanted = {"name": "rpcbind.service", "enabled": False, "state": "stopped"}
    assert plan(unwanted, RUNNING).calls == {
        "disable": ["rpcbind.service"],
        "stop": ["rpcbind.service"],
    }
    assert plan(unwanted, {"LoadState": "not-found", "ActiveState": "inactive"}).calls == {}


def test_a_declared_condition_is_said_and_any_other_is_a_change(plan) -> None:
    refused = {
        **STOPPED,
        "UnitFileState": "enabled",
        "ConditionResult": "no",
        "ConditionTimestampMonotonic": "12",
        "Refusing": "ConditionCapability=CAP_SYS_TIME",
    }
    declared = {**CHRONY, "conditions": ["ConditionCapability=CAP_SYS_TIME"]}
    found = plan(declared, refused)
    assert found.calls == {}
    assert found.conditions == [
        "chrony.service: ConditionCapability=CAP_SYS_TIME does not hold on this host"
    ]
    never_tried = {**refused, "ConditionTimestampMonotonic": "0"}
    assert plan(declared, never_tried).calls == {"start": ["chrony.service"]}
    for unexpected in (CHRONY, {**CHRONY, "conditions": ["ConditionPathExists=/x"]}):
        assert plan(unexpected, refused).calls == {"start": ["chrony.service"]}
        assert plan(unexpected, refused).conditions == []


CAT = """\
# /usr/lib/systemd/system/smartmontools.service
[Unit]
ConditionVirtualization=no
# /etc/systemd/system/smartmontools.service.d/50-x.conf
[Unit]
{more}
"""


@pytest.mark.parametrize(
    ("status", "more", "refused"),
    [
        (" └─ ConditionVirtualization=no was not met\n", "", ["ConditionVirtualization=no"]),
        (
            " ├─ ConditionPathExists=!/a b was not met\n └─ ConditionHost=x was not met\n",
            "",
            ["ConditionPathExists=!/a b", "ConditionHost=x"],
        ),
        ("", "", ["ConditionVirtualization=no"]),  # after a daemon-reload
        ("", "ConditionHost=x", ["ConditionVirtualization=no", "ConditionHost=x"]),
        ("", "ConditionHost=\nConditionHost=x", ["ConditionHost=x"]),
        ("", "ConditionHost=", ["a condition that systemd does not name"]),
    ],
)
def test_the_conditions_that_refuse_a_unit_are_named(
    monkeypatch: pytest.MonkeyPatch, status: str, more: str, refused: list[str]
) -> None:
    shown = "ActiveState=inactive\nConditionResult=no\nConditionTimestampMonotonic=5\n"
    said = {"show": shown, "status": status, "cat": CAT.format(more=more)}
    system = System("/")
    monkeypatch.setattr(system, "run", lambda command, **_: Ran(0, said[command[1]], ""))
    assert units.refused_by(units.show(system, ["smartmontools.service"]).popitem()[1]) == refused


def test_a_restart_that_a_killed_run_owed_is_not_lost(tmp_path: Path, plan) -> None:
    system = System(str(tmp_path))
    units.remember(system, {"/etc/chrony/chrony.conf"})
    assert plan(CHRONY, RUNNING).calls == {"restart": ["chrony.service"]}
    units.remember(system, {"/etc/hosts"})
    due = json.loads((tmp_path / "var/lib/chapelle/pending.json").read_text())
    assert due == ["/etc/chrony/chrony.conf", "/etc/hosts"]
    units.forget(system)
    assert plan(CHRONY, RUNNING).calls == {}


def test_commands_run_when_their_path_changes(tmp_path: Path) -> None:
    state = {"commands": [{"run": ["networkctl", "reload"], "on": ["/etc/systemd/network"]}]}
    system = System(str(tmp_path))
    changed = {"/etc/systemd/network/10-eno1.network"}
    assert units.plan(system, {"network": state}, changed).commands == [["networkctl", "reload"]]
    assert units.plan(system, {"network": state}, {"/etc/systemd/networkd.conf"}).commands == []
