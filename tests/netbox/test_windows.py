"""Maintenance windows in a real NetBox: kept, opened with the aisles' locks, closed, interrupted.

The NetBox has two aisles of one rack. Each test leaves its windows closed, and no locks.
"""

import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chapelle.errors import ExitCode, InputError, LockedError, RefusedError
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import WINDOWS, Window
from chapelle.netbox import lock, server
from chapelle.netbox.access import Session, access, get_json, require
from chapelle.netbox.windows import Calendar, next_id
from chapelle.run import maintenance
from chapelle.run.maintenance import HarmError, Wish
from chapelle.settings import ROOT, Settings
from tests.lab import howto
from tests.netbox import two_aisles

pytestmark = pytest.mark.netbox

EARLIER = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def at(hours: float) -> str:
    return (EARLIER + datetime.timedelta(hours=hours)).isoformat()


class Rig:
    """A NetBox of these tests, and what they look at in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reader = Session(access(settings, "read"))
        self.writer = Session(access(settings, "write"))
        self.seeder = Session(access(settings, "seed"))
        self.said: list[str] = []
        self.past: dict[str, Window] = {}  # of the tests before

    def plan(self, elements: str, first: float, last: float, **more: Any) -> Window:
        wish = Wish(elements=elements, starts=at(first), ends=at(last), reason="a test")
        wish = msgspec.structs.replace(wish, **more)
        return maintenance.plan(self.settings, wish, self.said.append, dry_run=False).window

    def open(self, window_id: str, **more: Any) -> tuple[Window, tuple[str, ...]]:
        return maintenance.open_(
            self.settings, window_id, lambda *_: None, self.said.append, **more
        )

    def close(self, window_id: str) -> tuple[Window, tuple[str, ...]]:
        return maintenance.close(self.settings, window_id, self.said.append)

    def windows(self) -> dict[str, Window]:
        pages = Calendar(self.reader).pages()
        found = {window.id: window for page in pages for window in page.windows}
        return {number: w for number, w in found.items() if number not in self.past}

    def locks(self) -> dict[str, str | None]:
        found = get_json(self.reader, "dcim/locations/")["results"]
        held = {each["slug"]: each["custom_fields"][lock.FIELD] for each in found}
        return {slug: holder and holder["run"] for slug, holder in held.items()}

    def id_of(self, path: str, name: str) -> int:
        (found,) = get_json(self.reader, f"{path}/", {"name": name})["results"]
        return int(found["id"])

    def notes(self, model: str, number: int) -> list[str]:
        query = {"assigned_object_type": model, "assigned_object_id": number, "ordering": "id"}
        found = get_json(self.reader, "extras/journal-entries/", query)["results"]
        return [note["comments"] for note in found]

    def put(self, path: str, **change: Any) -> None:
        answer = self.seeder.patch(f"{self.seeder.granted.url}/api/{path}/", json=change)
        require(answer, 200)

    def clear(self) -> None:
        with suppress(InputError):
            for window in self.windows().values():
                self.past[window.id] = msgspec.structs.replace(window, state="closed")
        (site,) = get_json(self.reader, "dcim/sites/")["results"]
        kept = msgspec.to_builtins(list(self.past.values()))
        self.put(f"dcim/sites/{site['id']}", custom_fields={WINDOWS: kept})
        for place in get_json(self.reader, "dcim/locations/")["results"]:
            self.put(f"dcim/locations/{place['id']}", custom_fields={lock.FIELD: None})

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [f"{ROOT}/.venv/bin/invoke", *words],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
        state, cache = str(self.settings.state), str(self.settings.cache)
        return {**kept, "CHAPELLE_STATE": state, "CHAPELLE_CACHE": cache}


@pytest.fixture(scope="module")
def made(new_state) -> Iterator[Rig]:
    settings = new_state()
    server.up(settings, print)
    two_aisles.seed(settings)
    yield Rig(settings)
    server.down(settings, print)


@pytest.fixture
def rig(made: Rig) -> Iterator[Rig]:
    made.said.clear()
    yield made
    made.clear()


# -- planned --------------------------------------------------------------------------------------


def test_a_planned_window_is_in_netbox_and_on_its_elements(rig: Rig) -> None:
    window = rig.plan("panel-a2-a,pdu-a1-r01-a", 24, 28, owner="anna")
    assert rig.windows() == {window.id: window}
    (site,) = get_json(rig.reader, "dcim/sites/")["results"]
    kept = site["custom_fields"][WINDOWS][-1]
    assert datetime.datetime.fromisoformat(kept["starts"]).isoformat() == at(24)
    assert site["custom_fields"]["power_sources"]  # others' fields are left alone
    panel = rig.notes("dcim.powerpanel", rig.id_of("dcim/power-panels", "panel-a2-a"))
    assert len([note for note in panel if note.startswith(window.id)]) == 1
    assert panel[-1].startswith(f"{window.id} planned")
    assert "owner anna: a test" in panel[-1]
    pdu = rig.notes("dcim.device", rig.id_of("dcim/devices", "pdu-a1-r01-a"))
    assert pdu[-1].startswith(f"{window.id} planned")


def test_a_source_is_noted_on_its_site(rig: Rig) -> None:
    window = rig.plan("ups-a", 48, 50)
    (site,) = get_json(rig.reader, "dcim/sites/")["results"]
    assert rig.notes("dcim.site", site["id"])[-1].startswith(f"{window.id} planned")


def test_local_times_are_those_of_the_site(rig: Rig) -> None:
    (site,) = get_json(rig.reader, "dcim/sites/")["results"]
    year = EARLIER.year + 1
    local = {"starts": f"{year}-07-03T08:00", "ends": f"{year}-07-03T09:00"}
    first = rig.plan("panel-a2-a", 0, 0, **local).starts
    assert first.isoformat() == f"{year}-07-03T08:00:00+02:00"
    rig.put(f"dcim/sites/{site['id']}", time_zone="Indian/Reunion")
    try:
        planned = rig.plan("panel-a1-a", 0, 0, **local).id
        far = rig.windows()[planned].starts
        kept = rig.plan("panel-a1-a", 0, 0, **local, zone="UTC").starts
    finally:
        rig.put(f"dcim/sites/{site['id']}", time_zone="Europe/Paris")
    assert (far.hour, far.utcoffset()) == (8, datetime.timedelta(hours=4))
    assert kept.utcoffset() == datetime.timedelta(0)


def test_what_would_do_harm_is_refused_and_nothing_is_written(rig: Rig) -> None:
    with pytest.raises(HarmError) as refused:
        rig.plan("panel-a2-a,panel-a2-b", 24, 28)
    names = {lost.name for lost in refused.value.verdict.lost}
    assert {"compute-a2-01", "compute-a2-02"} <= names
    assert not {name for name in names if "-a1-" in name}
    assert refused.value.exit_code == ExitCode.REFUSED
    assert rig.windows() == {}
    first = rig.plan("panel-a2-a", 24, 28)
    with pytest.raises(HarmError) as refused:
        rig.plan("panel-a2-b", 27, 30)
    assert first.id in str(refused.value)
    rig.plan("panel-a2-b", 28, 30)


@pytest.mark.parametrize(
    ("elements", "starts", "ends", "more"),
    [
        ("panel-a9-z", 24, 28, {}),
        ("panel-a2-a", 28, 24, {}),
        ("panel-a2-a", -4, -2, {}),
        ("panel-a2-a", 24, 28, {"reason": " "}),
        ("panel-a2-a", 24, 28, {"starts": "soon"}),
        ("panel-a2-a", 24, 28, {"starts": "2030-01-01T08:00", "zone": "Mars/Base"}),
    ],
)
def test_a_wish_without_a_meaning_is_refused(
    rig: Rig, elements: str, starts: float, ends: float, more: dict[str, str]
) -> None:
    with pytest.raises(InputError):
        rig.plan(elements, starts, ends, **more)
    assert rig.windows() == {}


def test_a_field_that_cannot_be_read_is_left_alone(rig: Rig) -> None:
    (site,) = get_json(rig.reader, "dcim/sites/")["results"]
    rig.put(f"dcim/sites/{site['id']}", custom_fields={WINDOWS: [{"id": "by hand"}]})
    with pytest.raises(InputError, match="cannot be read"):
        rig.plan("panel-a2-a", 24, 28)
    (site,) = get_json(rig.reader, "dcim/sites/")["results"]
    assert site["custom_fields"][WINDOWS] == [{"id": "by hand"}]


MANY = """
import datetime, sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import Window
from chapelle.netbox.access import Session, access
from chapelle.netbox.windows import Calendar
from chapelle.settings import Settings

who, site, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
start = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
calendar = Calendar(Session(access(Settings.load(), "write")))
for number in range(count):
    def make(known, fresh):
        return Window(
            id=fresh, elements=(), starts=start, ends=start, owner=who, reason=str(number)
        )
    print(calendar.add(site, make).id, flush=True)
"""


@pytest.fixture
def elsewhere(rig: Rig) -> Iterator[int]:
    """The id of a second site."""
    url = f"{rig.seeder.granted.url}/api/dcim/sites/"
    answer = rig.seeder.post(url, json={"name": "Elsewhere", "slug": "elsewhere"})
    require(answer, 201)
    yield int(answer.json()["id"])
    for window in rig.windows().values():  # their ids are not given again
        rig.past[window.id] = msgspec.structs.replace(window, state="closed")
    require(rig.seeder.delete(f"{url}{answer.json()['id']}/"), 204)


@pytest.mark.parametrize("sites", [1, 2])
def test_of_operators_at_one_time_nobody_loses_a_window_and_ids_are_unique(
    rig: Rig, elsewhere: int, sites: int
) -> None:
    here = rig.id_of("dcim/sites", "Porte de la Chapelle")
    ids = [here, here if sites == 1 else elsewhere, here]
    operators = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, f"op{number}", str(where), "4", str(ROOT)],
            env=rig.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, where in enumerate(ids)
    ]
    told = [word for one in operators for word in one.communicate()[0].split()]
    assert [one.returncode for one in operators] == [0, 0, 0]
    kept = [w for p in Calendar(rig.reader).pages() for w in p.windows if w.id not in rig.past]
    assert len(kept) == len({w.id for w in kept}) == 12
    assert sorted(told) == sorted(w.id for w in kept)
    assert {(w.owner, w.reason) for w in kept} == {
        (f"op{who}", str(number)) for who in range(3) for number in range(4)
    }


def test_ids_are_counted_for_each_year() -> None:
    def called(*ids: str) -> list[Window]:
        start = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
        return [
            Window(id=i, elements=(), starts=start, ends=start, owner="o", reason="r") for i in ids
        ]

    assert next_id([], 2026) == "MW-2026-0001"
    assert next_id(called("MW-2026-0009", "MW-2026-0003", "MW-2025-0100", "by hand"), 2026) == (
        "MW-2026-0010"
    )
    assert next_id(called("MW-2026-12345"), 2026) == "MW-2026-12346"


# -- opened and closed ----------------------------------------------------------------------------


def test_an_open_window_locks_its_aisles_until_it_is_closed(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    opened, aisles = rig.open(window.id)
    assert (opened.state, aisles) == ("open", ("aisle-2",))
    assert rig.locks() == {"aisle-1": None, "aisle-2": window.id}
    with (
        pytest.raises(LockedError) as refused,
        lock.hold(rig.settings, ["aisle-2"], run="r1", reason="a run"),
    ):
        pytest.fail("not reached")
    text = str(refused.value)
    assert f"maintenance {window.id} (a test)" in text
    assert f"invoke maintenance.close {window.id}" in text
    assert "--resume" not in text
    with lock.hold(rig.settings, ["aisle-1"], run="r1", reason="a run"):
        pass  # the other aisle is free
    closed, freed = rig.close(window.id)
    assert (closed.state, freed) == ("closed", ("aisle-2",))
    assert rig.locks() == {"aisle-1": None, "aisle-2": None}
    with lock.hold(rig.settings, ["aisle-2"], run="r1", reason="a run"):
        pass
    panel = rig.notes("dcim.powerpanel", rig.id_of("dcim/power-panels", "panel-a2-a"))
    assert [note.split()[1] for note in panel if note.startswith(window.id)][-3:] == [
        "planned", "opened", "closed",
    ]  # fmt: skip


def test_provision_is_refused_while_a_window_is_open_and_names_it(rig: Rig) -> None:
    window = rig.plan("pdu-a2-r01-a", -1, 4)
    rig.open(window.id)
    try:
        done = rig.command("provision", "--rack=A2-R01", "--yes")
    finally:
        rig.command("lab.down")
    assert done.returncode == ExitCode.LOCKED, done.stderr
    assert window.id in done.stderr


def test_the_lock_of_a_run_is_respected(rig: Rig) -> None:
    window = rig.plan("leaf-a2-1a,pdu-a1-r01-a", -1, 4)
    with lock.hold(rig.settings, ["aisle-2"], run="r1", reason="a run") as held:
        with pytest.raises(LockedError, match="is locked by"):
            rig.open(window.id)
        held.check()
        assert rig.locks() == {"aisle-1": None, "aisle-2": "r1"}  # and aisle-1 was given back
    assert rig.windows()[window.id].state == "planned"
    rig.open(window.id)
    assert rig.locks() == {"aisle-1": window.id, "aisle-2": window.id}


def test_two_windows_that_do_no_harm_are_open_in_one_aisle_together(rig: Rig) -> None:
    one, two = rig.plan("leaf-a2-1a", -1, 4), rig.plan("oob-a2-1", -1, 8)
    rig.open(one.id)
    rig.open(two.id)
    assert rig.locks()["aisle-2"] == f"{one.id}, {two.id}"
    (place,) = get_json(rig.reader, "dcim/locations/", {"slug": "aisle-2"})["results"]
    kept = place["custom_fields"][lock.FIELD]
    assert datetime.datetime.fromisoformat(kept["expires"]) == two.ends
    rig.close(one.id)
    assert rig.locks()["aisle-2"] == two.id
    rig.close(two.id)
    assert rig.locks()["aisle-2"] is None


def test_a_window_is_opened_in_its_time_only_unless_early_with_a_reason(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", 2, 4)
    for early in (None, "", " "):
        with pytest.raises(RefusedError, match="cannot be opened now"):
            rig.open(window.id, early=early)
    assert rig.locks()["aisle-2"] is None
    rig.open(window.id, early="they are here already")
    assert rig.windows()[window.id].state == "open"
    panel = rig.notes("dcim.powerpanel", rig.id_of("dcim/power-panels", "panel-a2-a"))
    assert "Early: they are here already." in panel[-1]
    rig.close(window.id)
    with pytest.raises(RefusedError):
        rig.open(window.id)


def test_a_window_that_is_over_is_not_opened_but_closed(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    rig.open(window.id)
    past = msgspec.structs.replace(
        window, state="open", ends=EARLIER - datetime.timedelta(minutes=5)
    )
    Calendar(rig.writer).change(window.id, lambda *_: past)
    with pytest.raises(RefusedError, match="cannot be opened now"):
        rig.open(window.id)
    found = maintenance.check(rig.settings, window.id, rig.said.append)
    assert "still open" in found.findings[0].found
    assert rig.close(window.id)[1] == ("aisle-2",)


def test_opening_judges_again_with_what_is_out_now(rig: Rig) -> None:
    window = rig.plan("pdu-a2-r01-a", -1, 4)
    pdu = rig.id_of("dcim/devices", "pdu-a2-r01-b")
    rig.put(f"dcim/devices/{pdu}", status="failed")
    try:
        with pytest.raises(HarmError) as refused:
            rig.open(window.id)
        assert {"compute-a2-01", "compute-a2-02"} <= {x.name for x in refused.value.verdict.lost}
        checked = maintenance.check(rig.settings, None, rig.said.append)
        assert [f.objects[0].name for f in checked.findings] == [window.id]
    finally:
        rig.put(f"dcim/devices/{pdu}", status="active")
    assert rig.locks()["aisle-2"] is None
    assert rig.windows()[window.id].state == "planned"
    assert not maintenance.check(rig.settings, None, rig.said.append).findings


def test_what_fails_while_the_operator_thinks_counts(rig: Rig) -> None:
    window = rig.plan("pdu-a2-r01-a", -1, 4)
    pdu = rig.id_of("dcim/devices", "pdu-a2-r01-b")

    def meanwhile(*_: Any) -> None:
        rig.put(f"dcim/devices/{pdu}", status="failed")

    try:
        with pytest.raises(HarmError):
            maintenance.open_(rig.settings, window.id, meanwhile, rig.said.append)
    finally:
        rig.put(f"dcim/devices/{pdu}", status="active")
    assert rig.locks()["aisle-2"] is None
    assert rig.windows()[window.id].state == "planned"


def test_a_no_changes_nothing(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    done = rig.command("maintenance.open", window.id)  # nobody to ask
    assert done.returncode == ExitCode.REFUSED
    assert "panel-a2-a" in done.stderr
    assert rig.locks()["aisle-2"] is None
    assert rig.windows()[window.id].state == "planned"


def test_what_somebody_changes_between_lock_and_state_is_seen(rig: Rig) -> None:
    """Two who open what is harmful together: NetBox lets one through, and the other gives back."""
    one = rig.plan("panel-a2-a", -1, 4)
    rival = msgspec.structs.replace(
        one,
        id=f"MW-{EARLIER.year}-0099",
        elements=(
            ObjectRef(
                endpoint="dcim/power-panels",
                id=rig.id_of("dcim/power-panels", "panel-a2-b"),
                name="panel-a2-b",
            ),
        ),
        state="open",
    )

    def meanwhile(*_: Any) -> None:
        (site,) = get_json(rig.reader, "dcim/sites/")["results"]
        Calendar(rig.writer).add(site["id"], lambda *_: rival)

    with pytest.raises(HarmError) as refused:
        maintenance.open_(rig.settings, one.id, meanwhile, rig.said.append)
    assert rival.id in str(refused.value)
    assert rig.locks()["aisle-2"] is None
    assert rig.windows()[one.id].state == "planned"


# -- interrupted ----------------------------------------------------------------------------------

# Ends itself by SIGKILL at the given step: before the write of the state, or after it.
KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[4])
from chapelle.netbox import window_lock
from chapelle.netbox.windows import Calendar
from chapelle.run import maintenance
from chapelle.settings import Settings

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

what, window, where = sys.argv[1:4]
if where == "state":
    Calendar.change = die
elif where == "note":
    Calendar.note = die
else:
    window_lock.release = die
settings = Settings.load()
if what == "open":
    maintenance.open_(settings, window, lambda *_: None, print)
else:
    maintenance.close(settings, window, print)
"""


def killed(rig: Rig, what: str, window: str, where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, what, window, where, str(ROOT)],
        env=rig.environment,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


def test_killed_between_lock_and_state_the_next_open_goes_on(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    killed(rig, "open", window.id, "state")
    assert rig.windows()[window.id].state == "planned"
    assert rig.locks()["aisle-2"] == window.id  # never open without its lock
    rig.open(window.id)
    assert rig.windows()[window.id].state == "open"
    assert rig.locks()["aisle-2"] == window.id


def test_killed_between_lock_and_state_a_close_undoes_it(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    killed(rig, "open", window.id, "state")
    assert rig.close(window.id)[1] == ("aisle-2",)
    assert rig.windows()[window.id].state == "closed"
    assert rig.locks()["aisle-2"] is None


def test_killed_before_the_note_the_next_open_writes_it_once(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    killed(rig, "open", window.id, "note")
    assert rig.windows()[window.id].state == "open"
    panel = rig.id_of("dcim/power-panels", "panel-a2-a")

    def opened() -> int:
        notes = rig.notes("dcim.powerpanel", panel)
        return sum(note.startswith(f"{window.id} opened") for note in notes)

    assert opened() == 0
    for _ in range(2):
        rig.open(window.id)
        assert opened() == 1


def test_killed_between_state_and_lock_the_next_close_gives_it_up(rig: Rig) -> None:
    window = rig.plan("panel-a2-a", -1, 4)
    rig.open(window.id)
    killed(rig, "close", window.id, "release")
    assert rig.windows()[window.id].state == "closed"
    assert rig.locks()["aisle-2"] == window.id  # too long rather than too short
    with pytest.raises(RefusedError, match="cannot be opened now") as refused:
        rig.open(window.id)
    assert f"maintenance.close {window.id}" in str(refused.value)
    assert rig.close(window.id)[1] == ("aisle-2",)
    assert rig.locks()["aisle-2"] is None


# -- as commands ----------------------------------------------------------------------------------


def test_the_commands_print_json_and_end_with_their_codes(rig: Rig, tmp_path: Path) -> None:
    wish = [f"--starts={at(-1)}", f"--ends={at(4)}", "--reason=a test", "--json"]
    dry = rig.command("maintenance.plan", "--elements=panel-a2-a", *wish, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert rig.windows() == {}
    planned = rig.command("maintenance.plan", "--elements=panel-a2-a", *wish)
    window = json.loads(planned.stdout)["window"]["id"]
    refused = rig.command("maintenance.plan", "--elements=panel-a2-b", *wish)
    assert refused.returncode == ExitCode.REFUSED
    told = json.loads(refused.stdout)
    assert (told["harmless"], told["with"], told["tenants"]) == (
        False, [window], ["Ville de Paris"],
    )  # fmt: skip
    assert "compute-a2-01" in {lost["name"] for lost in told["lost"]}
    (listed,) = json.loads(rig.command("maintenance.list", "--json").stdout)
    assert (listed["id"], listed["state"], listed["over"]) == (window, "planned", False)
    checked = rig.command("maintenance.check", f"--window={window}", "--json")
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["verdict"]["harmless"] is True
    opened = json.loads(rig.command("maintenance.open", window, "--yes", "--json").stdout)
    assert (opened["window"]["state"], opened["locked"]) == ("open", ["aisle-2"])
    noticed = rig.command("maintenance.notice", window, f"--out={tmp_path / 'notices'}")
    assert noticed.returncode == 0, noticed.stderr
    assert len(list((tmp_path / "notices").glob(f"{window}-ville-de-paris-*"))) == 4
    closed = json.loads(rig.command("maintenance.close", window, "--json").stdout)
    assert (closed["window"]["state"], closed["unlocked"]) == ("closed", ["aisle-2"])
    assert json.loads(rig.command("maintenance.list", "--json").stdout) == []
    every = json.loads(rig.command("maintenance.list", "--all", "--json").stdout)
    assert every[-1]["state"] == "closed"
    assert window in {each["id"] for each in every}
    unknown = rig.command("maintenance.close", "MW-1999-0001")
    assert unknown.returncode == ExitCode.BAD_INPUT


def test_check_ends_with_99_on_a_conflict(rig: Rig) -> None:
    window = rig.plan("pdu-a2-r01-a", 24, 28)
    pdu = rig.id_of("dcim/devices", "pdu-a2-r01-b")
    rig.put(f"dcim/devices/{pdu}", status="offline")
    try:
        for words in ((), (f"--window={window.id}",)):
            done = rig.command("maintenance.check", *words)
            assert done.returncode == ExitCode.FINDINGS, done.stderr
            assert "compute-a2-01" in done.stdout
    finally:
        rig.put(f"dcim/devices/{pdu}", status="active")


def test_the_how_to_does_what_it_says(rig: Rig, tmp_path: Path) -> None:
    real = ""
    for command, expected in howto.commands("maintenance.md"):
        typed = command.replace("MW-2026-0001", real).replace("=notices", f"={tmp_path}")
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=ROOT,
            env={**rig.environment, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == expected, f"$ {typed}\n{done.stdout}\n{done.stderr}"
        real = next(iter(rig.windows()), "")
    assert [window.state for window in rig.windows().values()] == ["closed"]
    assert len(list(tmp_path.iterdir())) == 4
