"""Snapshots of the real NetBox with the reference datacentre in it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reference

from chapelle.checks.netbox import check
from chapelle.errors import InputError
from chapelle.model.datacentre import Datacentre
from chapelle.model.diff import diff
from chapelle.model.finding import Finding
from chapelle.model.records import ENDPOINTS
from chapelle.netbox import access, reading, server_database, snapshot
from chapelle.netbox import server_postgres as postgres
from chapelle.netbox.server_layout import Layout
from chapelle.settings import Settings

pytestmark = pytest.mark.netbox

ROOT = Path(__file__).parents[2]
SERVER = "compute-a2-01"


class Editor:
    """Edits NetBox as an operator would, and puts back what it edited."""

    def __init__(self, settings: Settings) -> None:
        self.session = access.Session(access.access(settings, "seed"))

    def find(self, path: str, **query: Any) -> dict[str, Any]:
        (found,) = access.get_json(self.session, f"{path}/", query)["results"]
        return dict(found)

    def patch(self, path: str, object_id: int, **change: Any) -> None:
        url = f"{self.session.granted.url}/api/{path}/{object_id}/"
        access.require(self.session.patch(url, json=change), 200)

    @contextmanager
    def edited(self, path: str, object_id: int, **change: Any) -> Iterator[None]:
        now = access.get_json(self.session, f"{path}/{object_id}/")
        before = {name: _plain(now[name]) for name in change}
        if "custom_fields" in change:
            before["custom_fields"] = {
                name: _plain(now["custom_fields"][name]) for name in change["custom_fields"]
            }
        self.patch(path, object_id, **change)
        try:
            yield
        finally:
            self.patch(path, object_id, **before)


def _plain(value: Any) -> Any:
    """A field's value as NetBox takes it back."""
    if isinstance(value, dict):
        return value.get("value", value.get("id"))
    return value


@pytest.fixture(scope="module")
def editor(seeded_netbox: Settings) -> Editor:
    return Editor(seeded_netbox)


@pytest.fixture(scope="module")
def taken(seeded_netbox: Settings) -> snapshot.Taken:
    return snapshot.take(seeded_netbox)


def device_id(taken: snapshot.Taken, name: str) -> int:
    return next(device.id for device in taken.snapshot.content.devices if device.name == name)


def test_what_was_seeded_comes_back(taken: snapshot.Taken) -> None:
    """Design to NetBox to snapshot: the round trip loses and adds nothing."""
    assert diff(reference.content(), taken.snapshot.content) == []


def test_the_content_is_as_much_as_netbox_counts(
    taken: snapshot.Taken, seeded_netbox: Settings
) -> None:
    session = access.Session(access.access(seeded_netbox, "read"))
    for name, path in ENDPOINTS.items():
        count = access.get_json(session, f"{path}/", {"limit": 1, "fields": "id"})["count"]
        assert len(getattr(taken.snapshot.content, name)) == count, path


def test_an_unchanged_netbox_gives_the_same_bytes(
    taken: snapshot.Taken, seeded_netbox: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_SIZE", 333)  # nor do pages matter
    assert snapshot.take(seeded_netbox, full=True).snapshot.data == taken.snapshot.data


def test_the_reference_datacentre_has_no_finding(taken: snapshot.Taken) -> None:
    assert check(Datacentre(taken.snapshot)) == []


def test_what_runs_note_is_no_content_and_a_status_is(
    taken: snapshot.Taken, seeded_netbox: Settings, editor: Editor
) -> None:
    device = device_id(taken, SERVER)
    location = editor.find("dcim/locations", slug="aisle-2")["id"]
    notes = {"chapelle_run": "run-1", "chapelle_facts": {"kernel": "6.1"}}
    with (
        editor.edited("dcim/devices", device, custom_fields=notes),
        editor.edited("dcim/locations", location, custom_fields={"chapelle_lock": {"by": "me"}}),
    ):
        assert snapshot.take(seeded_netbox).snapshot.hash == taken.snapshot.hash
    with editor.edited("dcim/devices", device, status="staged"):
        other = snapshot.take(seeded_netbox).snapshot
        assert other.data == snapshot.take(seeded_netbox, full=True).snapshot.data
    (change,) = diff(taken.snapshot.content, other.content)
    assert (change.name, change.fields[0].before, change.fields[0].after) == (
        SERVER,
        "planned",
        "staged",
    )


def test_a_take_after_a_take_reads_only_what_the_change_log_names(
    taken: snapshot.Taken, seeded_netbox: Settings, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot.take(seeded_netbox, full=True)
    device = device_id(taken, SERVER)
    read = interrupting(monkeypatch, lambda: None, path="nothing")
    notes = {"chapelle_run": "run-2"}
    with editor.edited("dcim/devices", device, status="staged", custom_fields=notes):
        found = snapshot.take(seeded_netbox)
    assert {d.name for d in found.snapshot.content.devices if d.status == "staged"} == {SERVER}
    assert found.meta.read_at < found.meta.taken_at
    assert read.count("dcim/devices/") == 2  # the one device, and the count of all
    with editor.edited("dcim/devices", device, serial="other"):
        found = snapshot.take(seeded_netbox)
    assert found.meta.read_at == found.meta.taken_at
    assert "other" in {d.serial for d in found.snapshot.content.devices}


def interrupting(
    monkeypatch: pytest.MonkeyPatch, act: Any, path: str = "dcim/power-outlets/"
) -> list[str]:
    """Do something when a page of that list is first read; the paths that are read."""
    read: list[str] = []
    plain = access.getter

    def getter(api: Any) -> Any:
        get = plain(api)

        def interrupted(where: str, query: Any) -> bytes:
            if where == path and path not in read:
                act()
            read.append(where)
            return get(where, query)

        return interrupted

    monkeypatch.setattr(access, "getter", getter)
    return read


def test_a_change_in_the_middle_is_noticed_and_all_is_read_again(
    taken: snapshot.Taken, seeded_netbox: Settings, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rack = editor.find("dcim/racks", name="A4-R24")["id"]
    read = interrupting(monkeypatch, lambda: editor.patch("dcim/racks", rack, serial="R24"))
    said: list[str] = []
    try:
        found = snapshot.take(seeded_netbox, said.append, full=True)
    finally:
        editor.patch("dcim/racks", rack, serial="")
    assert [
        f.after for c in diff(taken.snapshot.content, found.snapshot.content) for f in c.fields
    ] == ["R24"]
    assert read.count("dcim/sites/") == 2
    assert f"dcim.rack {rack}" in said[0]


def test_a_status_set_in_the_middle_is_read_again_alone(
    taken: snapshot.Taken, seeded_netbox: Settings, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = device_id(taken, SERVER)
    read = interrupting(monkeypatch, lambda: editor.patch("dcim/devices", device, status="staged"))
    try:
        found = snapshot.take(seeded_netbox, full=True)
    finally:
        editor.patch("dcim/devices", device, status="planned")
    statuses = {d.name: d.status for d in found.snapshot.content.devices}
    assert statuses[SERVER] == "staged"
    assert read.count("dcim/sites/") == 1


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "no-rack": ("dcim/devices", {"rack": None, "position": None, "face": ""}),
    "illegal-hostname": ("dcim/devices", {"name": "Compute A2 01"}),
    "unknown-platform": ("dcim/devices", {"platform": None}),
    "primary-address": ("dcim/devices", {"primary_ip4": None}),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_planted_in_netbox_is_found(
    rule: str, taken: snapshot.Taken, seeded_netbox: Settings, editor: Editor
) -> None:
    path, change = FAULTS[rule]
    with editor.edited(path, device_id(taken, SERVER), **change):
        findings = check(Datacentre(snapshot.take(seeded_netbox).snapshot))
    assert device_id(taken, SERVER) in devices_of(rule, findings)


def devices_of(rule: str, findings: list[Finding]) -> set[int]:
    return {
        ref.id
        for finding in findings
        if finding.rule == rule
        for ref in finding.objects
        if ref.endpoint == "dcim/devices"
    }


def test_a_duplicate_serial_number_that_was_imported_is_found(
    taken: snapshot.Taken, seeded_netbox: Settings, editor: Editor
) -> None:
    """Nobody can type one, as NetBox refuses it."""
    serials = {d.name: d.serial for d in taken.snapshot.content.devices}
    device, other = device_id(taken, SERVER), "compute-a2-02"
    update = f"UPDATE dcim_device SET serial = '{serials[other]}' WHERE id = {device}"  # noqa: S608
    postgres.sql(Layout.of(seeded_netbox), update, server_database.NAME)
    try:
        findings = check(Datacentre(snapshot.take(seeded_netbox, full=True).snapshot))
    finally:
        editor.patch("dcim/devices", device, serial=serials[SERVER])
    assert devices_of("duplicate-serial", findings) == {device, device_id(taken, other)}


def test_a_wrong_token_is_an_error_that_says_so(seeded_netbox: Settings) -> None:
    granted = access.access(seeded_netbox, "read")
    external = msgspec.structs.replace(
        seeded_netbox, netbox_url=granted.url, netbox_token_ro=granted.token[:-4] + "0000"
    )
    with pytest.raises(InputError, match="does not accept the token"):
        snapshot.take(external)


def run(settings: Settings, *command: str) -> "subprocess.CompletedProcess[str]":
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
    return subprocess.run(
        [Path(sys.executable).parent / command[0], *command[1:]],
        cwd=ROOT,
        env=environ | {"CHAPELLE_STATE": str(settings.state)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_the_tasks_take_show_compare_and_judge(
    seeded_netbox: Settings, taken: snapshot.Taken, editor: Editor, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    done = run(seeded_netbox, "invoke", "snapshot.take", "--out", str(one))
    assert done.returncode == 0, done.stderr
    assert taken.snapshot.hash in done.stdout
    assert one.read_bytes() == taken.snapshot.data
    shown = run(seeded_netbox, "invoke", "snapshot.show", str(one)).stdout
    assert taken.snapshot.hash in shown
    assert run(seeded_netbox, "invoke", "check").returncode == 0
    assert run(seeded_netbox, "invoke", "snapshot.diff", str(one), str(one)).returncode == 0
    with editor.edited("dcim/devices", device_id(taken, SERVER), serial="", status="staged"):
        run(seeded_netbox, "invoke", "snapshot.take", "--out", str(two))
    compared = run(seeded_netbox, "invoke", "snapshot.diff", str(one), str(two), "--json")
    assert compared.returncode == 99
    (change,) = json.loads(compared.stdout)["changes"]
    assert [field["field"] for field in change["fields"]] == ["serial", "status"]
    with editor.edited("dcim/devices", device_id(taken, SERVER), name="compute_a2_01"):
        judged = run(seeded_netbox, "invoke", "check", "--json")
    assert judged.returncode == 99
    rules = {finding["rule"] for finding in json.loads(judged.stdout)["findings"]}
    assert rules == {"illegal-hostname"}
    url = json.loads(judged.stdout)["findings"][0]["objects"][0]["url"]
    assert url == f"{taken.meta.netbox_url}/dcim/devices/{device_id(taken, SERVER)}/"


def test_the_inventory_takes_a_snapshot_when_there_is_none(seeded_netbox: Settings) -> None:
    latest = seeded_netbox.state / "snapshots" / "latest.json"
    latest.unlink(missing_ok=True)
    done = run(seeded_netbox, "ansible-inventory", "--graph", "aisle_2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("|--") == 75
    assert latest.exists()
