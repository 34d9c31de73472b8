"""Reading a NetBox that moves, fails, is slow, or is none: clear errors, and retries that help."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import reference
from netbox_stand_in import Handler, StandIn, answer, serving, slow, times, truncated

from chapelle.errors import ChapelleError, InputError
from chapelle.netbox import access, reading, snapshot
from chapelle.settings import Settings


@pytest.fixture
def netbox() -> Iterator[StandIn]:
    with serving(reference.content()) as stand_in:
        yield stand_in


@pytest.fixture
def settings(netbox: StandIn, tmp_path: Path) -> Settings:
    return settings_for(netbox, tmp_path)


def settings_for(netbox: StandIn, state: Path, spelt: str = "") -> Settings:
    return Settings.load(
        {
            "NETBOX_URL": netbox.url + spelt,
            "NETBOX_TOKEN_RO": "nbt_test.secret",
            "CHAPELLE_TARGET": "lab",
            "CHAPELLE_STATE": str(state),
        }
    )


def lists_read(netbox: StandIn) -> int:
    """How often everything was read; to count is not to read."""
    return sum("/api/dcim/sites/?fields=id%2C" in path for path in netbox.requests)


def test_everything_is_read_page_by_page(netbox: StandIn, settings: Settings) -> None:
    taken = snapshot.take(settings)
    assert taken.snapshot.content == reference.content()
    assert taken.meta.netbox_version == "4.7.3"
    assert taken.meta.netbox_url == netbox.url
    # The last page, four ranges below it, and a last count.
    assert sum("/api/dcim/interfaces/" in path for path in netbox.requests) == 6
    assert lists_read(netbox) == 1


def test_two_takes_give_the_same_bytes(settings: Settings) -> None:
    first, second = snapshot.take(settings), snapshot.take(settings, full=True)
    assert first.snapshot.data == second.snapshot.data
    assert first.meta.taken_at < second.meta.taken_at


def test_the_latest_is_kept_and_only_for_its_owner(netbox: StandIn, settings: Settings) -> None:
    taken = snapshot.take(settings)
    kept = snapshot.latest(settings)
    assert kept is not None
    assert kept.snapshot.hash == taken.snapshot.hash
    assert kept.meta == taken.meta
    assert kept.age < 60
    assert snapshot.latest(settings, max_age=-1) is None
    folder = settings.state / "snapshots"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert files == {"latest.json": 0o600, "latest.meta.json": 0o600}
    assert netbox.url.encode() not in taken.snapshot.data


def test_the_latest_of_another_netbox_is_not_used(settings: Settings) -> None:
    snapshot.take(settings)
    other = msgspec.structs.replace(settings, netbox_url="http://127.0.0.1:1")
    embedded = msgspec.structs.replace(settings, netbox_url=None)
    assert snapshot.latest(other) is None
    assert snapshot.latest(embedded) is None


@pytest.mark.parametrize("spelt", ["/", "/api", "/api/"])
def test_the_latest_is_found_however_the_address_is_spelt(
    netbox: StandIn, tmp_path: Path, spelt: str
) -> None:
    settings = settings_for(netbox, tmp_path, spelt)
    taken = snapshot.take(settings)
    assert taken.meta.netbox_url == netbox.url
    kept = snapshot.latest(settings)
    assert kept is not None
    assert kept.meta == taken.meta
    assert snapshot.latest(settings_for(netbox, tmp_path)) is not None


def test_a_torn_pair_of_files_is_not_used(settings: Settings) -> None:
    snapshot.take(settings)
    data = settings.state / "snapshots" / "latest.json"
    data.write_bytes(data.read_bytes().replace(b"compute-a2-01", b"compute-a2-99"))
    assert snapshot.latest(settings) is None
    data.write_bytes(b"{")
    assert snapshot.latest(settings) is None


def test_a_failed_take_leaves_the_latest_alone(netbox: StandIn, settings: Settings) -> None:
    taken = snapshot.take(settings)
    netbox.fault = answer(500, b'{"detail": "broken"}')
    with pytest.raises(ChapelleError):
        snapshot.take(settings)
    kept = snapshot.latest(settings)
    assert kept is not None
    assert kept.meta == taken.meta


# -- faults ---


def test_a_502_in_the_seventh_page_is_asked_again(
    netbox: StandIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_SIZE", 500)
    away = times(2, answer(502, b"<html>Bad Gateway</html>", "text/html"))
    starts: list[str] = []

    def in_page_seven(handler: Handler, path: str, query: dict[str, list[str]]) -> bool:
        if path != "dcim/interfaces" or "start" not in query:
            return False
        (start,) = query["start"]
        if start not in starts:
            starts.append(start)
        return starts.index(start) == 6 and away(handler, path, query)

    netbox.fault = in_page_seven
    assert snapshot.take(settings).snapshot.content == reference.content()
    page_seven = f"&start={starts[6]}&"
    again = [p for p in netbox.requests if "/dcim/interfaces/" in p and page_seven in p]
    assert len(again) == 3


def test_an_answer_that_breaks_off_is_asked_again(netbox: StandIn, settings: Settings) -> None:
    netbox.fault = times(1, truncated, where="/api/dcim/cables/")
    assert snapshot.take(settings).snapshot.content == reference.content()


def test_answers_that_always_break_off_are_an_error(netbox: StandIn, settings: Settings) -> None:
    netbox.fault = times(10**6, truncated, where="/api/dcim/cables/")
    with pytest.raises(ChapelleError, match="NetBox does not answer"):
        snapshot.take(settings)


def test_a_page_in_html_is_an_error(netbox: StandIn, settings: Settings) -> None:
    netbox.fault = times(10**6, answer(200, b"<title>Sign in</title>", "text/html"))
    netbox.version = "no"
    with pytest.raises(InputError, match="not NetBox's API") as caught:
        snapshot.take(settings)
    assert "Sign in" in str(caught.value)


def test_json_of_another_shape_is_an_error_that_names_the_list(
    netbox: StandIn, settings: Settings
) -> None:
    netbox.fault = times(10**6, answer(200, b'{"rows": []}'), where="/api/dcim/racks/")
    with pytest.raises(ChapelleError) as caught:
        snapshot.take(settings)
    assert caught.value.where == "/api/dcim/racks/"
    assert "results" in str(caught.value) or "count" in str(caught.value)


def test_a_wrong_token_is_an_error(netbox: StandIn, settings: Settings) -> None:
    netbox.fault = answer(403, b'{"detail": "Invalid v2 token"}')
    with pytest.raises(InputError, match="does not accept the token") as caught:
        snapshot.take(settings)
    assert "NETBOX_TOKEN_RO" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_list_that_the_token_may_not_see_is_an_error(netbox: StandIn, settings: Settings) -> None:
    body = b'{"detail": "You do not have permission to perform this action."}'
    netbox.fault = times(10**6, answer(403, body), where="/api/core/object-changes/")
    with pytest.raises(ChapelleError, match="refuses GET /api/core/object-changes/"):
        snapshot.take(settings)


def test_an_old_netbox_is_an_error(netbox: StandIn, settings: Settings) -> None:
    netbox.version = "4.6.9"
    with pytest.raises(InputError, match="too old"):
        snapshot.take(settings)


def test_no_netbox_is_an_error(tmp_path: Path) -> None:
    with serving(reference.content()) as stand_in:
        settings = settings_for(stand_in, tmp_path)
    with pytest.raises(ChapelleError, match="does not answer"):
        snapshot.take(settings)


def test_a_slow_netbox_is_waited_for_but_not_for_ever(
    netbox: StandIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    netbox.fault = times(3, slow(0.3), where="/api/dcim/")
    assert snapshot.take(settings).snapshot.content == reference.content()
    monkeypatch.setattr(access, "TIMEOUT", (1.0, 0.2))
    netbox.fault = times(10**6, slow(1.0), where="/api/dcim/devices/")
    with pytest.raises(ChapelleError, match="does not answer"):
        snapshot.take(settings, full=True)


# -- changes during the read ---


def while_reading(netbox: StandIn, change: Any, rounds: int = 1) -> None:
    """Make that change each time the interfaces' lowest ids are read, at most `rounds` times."""
    left = [rounds]

    def fault(handler: Handler, path: str, query: dict[str, list[str]]) -> bool:
        if path == "dcim/interfaces" and query.get("start") == ["1"] and left[0]:
            left[0] -= 1
            change()
        return False

    netbox.fault = fault


def test_a_change_during_the_read_makes_it_start_again(netbox: StandIn, settings: Settings) -> None:
    def rename() -> None:
        netbox.lists["dcim/racks"][1]["name"] = "A1-R99"
        netbox.change("dcim.rack", 1, {"name": "A1-R01"}, {"name": "A1-R99"})

    while_reading(netbox, rename)
    said: list[str] = []
    taken = snapshot.take(settings, said.append)
    assert taken.snapshot.content.racks[0].name == "A1-R99"
    assert lists_read(netbox) == 2
    assert len(said) == 1
    assert "dcim.rack 1" in said[0]


def test_a_status_set_during_the_read_is_read_again_alone(
    netbox: StandIn, settings: Settings
) -> None:
    while_reading(netbox, lambda: netbox.set_status(76, "active"))
    taken = snapshot.take(settings)
    assert next(d for d in taken.snapshot.content.devices if d.id == 76).status == "active"
    assert lists_read(netbox) == 1


def test_what_runs_note_for_themselves_is_no_change(netbox: StandIn, settings: Settings) -> None:
    def notes() -> None:
        lock = [{"custom_fields": {"chapelle_lock": n}, "last_updated": n} for n in (1, 2)]
        netbox.change("dcim.location", 2, lock[0], lock[1])
        run = [{"custom_fields": {"chapelle_run": n, "kept": 1}} for n in ("a", "b")]
        netbox.change("dcim.device", 76, run[0], run[1])
        netbox.change("extras.journalentry", 1, None, {"comments": "done"})
        netbox.change("users.token", 1, {"last_used": 1}, {"last_used": 2})

    while_reading(netbox, notes, rounds=100)
    snapshot.take(settings)
    assert lists_read(netbox) == 1


def test_a_run_at_work_does_not_keep_a_snapshot_from_being_taken(
    netbox: StandIn, settings: Settings
) -> None:
    """Every look at the change log finds another status set, for a while."""
    left = [12]

    def fault(_handler: Handler, path: str, query: dict[str, list[str]]) -> bool:
        if path == "core/object-changes" and "start" in query and left[0]:
            left[0] -= 1
            netbox.set_status(100 + left[0], "staged")
        return False

    netbox.fault = fault
    taken = snapshot.take(settings)
    assert sum(device.status == "staged" for device in taken.snapshot.content.devices) == 12
    assert lists_read(netbox) == 1


def test_a_netbox_that_never_rests_is_an_error(
    netbox: StandIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot.time, "sleep", lambda _seconds: None)

    def move() -> None:
        netbox.change("dcim.rack", 1, {"serial": "x"}, {"serial": "y"})

    while_reading(netbox, move, rounds=10**6)
    with pytest.raises(ChapelleError, match="keeps changing") as caught:
        snapshot.take(settings)
    assert "dcim.rack 1, by somebody" in str(caught.value)
    assert lists_read(netbox) == snapshot.ATTEMPTS


def test_an_object_that_appears_unlogged_is_noticed_by_its_count(
    netbox: StandIn, settings: Settings
) -> None:
    def appear() -> None:
        new = dict(netbox.lists["dcim/interfaces"][1], id=10**6)
        netbox.lists["dcim/interfaces"][10**6] = new

    while_reading(netbox, appear)
    said: list[str] = []
    taken = snapshot.take(settings, said.append)
    assert len(taken.snapshot.content.interfaces) == 4325
    assert "NetBox counts" in said[0]


def test_one_that_goes_while_another_comes_loses_none(netbox: StandIn, settings: Settings) -> None:
    """By pages that begin at a place in the list, every later one would begin one too late."""
    interfaces = netbox.lists["dcim/interfaces"]

    def swap() -> None:
        interfaces[10**6] = dict(interfaces.pop(2000), id=10**6)

    while_reading(netbox, swap)
    taken = snapshot.take(settings)
    read = {port.id for port in taken.snapshot.content.interfaces}
    # Nobody logged the swap, so either of the two may be seen, by when its page was read.
    assert set(interfaces) - read <= {10**6}
    assert read - set(interfaces) <= {2000}


@pytest.mark.parametrize(
    "spread",
    [
        lambda number: number * 37,
        lambda number: 10**7 + number,
        lambda number: number if number <= 4000 else 10**9 + number,
        lambda number: number**2,
    ],
    ids=["thin", "high", "torn", "thinning"],
)
def test_whatever_the_ids_all_are_read_in_few_requests(netbox: StandIn, spread: Any) -> None:
    """NetBox gives an id once, so those of a NetBox in use have gaps of any size."""
    path = "dcim/cable-terminations"
    netbox.lists[path] = {
        spread(number): {**end, "id": spread(number)} for number, end in netbox.lists[path].items()
    }
    granted = access.Access(url=netbox.url, token="nbt_k.t", mode="read", embedded=False)
    content = reading.read_content(access.getter(access.connect(granted)))
    assert content.cables == reference.content().cables
    pages = -(-len(netbox.lists[path]) // reading.PAGE_SIZE)
    assert sum(f"/api/{path}/" in asked for asked in netbox.requests) <= 2 * pages + 1


def test_netbox_may_allow_smaller_pages(
    netbox: StandIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(_handler: Handler, _path: str, query: dict[str, list[str]]) -> bool:
        if "limit" in query:
            query["limit"] = [str(min(100, int(query["limit"][0])))]
        return False

    netbox.fault = small
    assert snapshot.take(settings).snapshot.content == reference.content()
    assert reading.PAGE_SIZE > 100


# -- bringing the latest up to date ---


def test_the_second_take_reads_nothing_but_counts(netbox: StandIn, settings: Settings) -> None:
    first = snapshot.take(settings)
    netbox.requests.clear()
    second = snapshot.take(settings)
    assert second.snapshot.data == first.snapshot.data
    assert second.meta.read_at == first.meta.read_at
    assert second.meta.taken_at > first.meta.taken_at
    assert lists_read(netbox) == 0


def test_statuses_since_are_read_and_nothing_else(netbox: StandIn, settings: Settings) -> None:
    snapshot.take(settings)
    netbox.requests.clear()
    for number in (76, 77, 76):
        netbox.set_status(number, "staged")
    updated = snapshot.take(settings)
    assert lists_read(netbox) == 0
    assert [d.id for d in updated.snapshot.content.devices if d.status == "staged"] == [76, 77]
    assert updated.snapshot.data == snapshot.take(settings, full=True).snapshot.data


def rename_a_rack(netbox: StandIn) -> None:
    netbox.lists["dcim/racks"][1]["name"] = "A1-R99"
    netbox.change("dcim.rack", 1, {"name": "A1-R01"}, {"name": "A1-R99"})


def add_a_device_unlogged(netbox: StandIn) -> None:
    netbox.lists["dcim/devices"][10**6] = dict(netbox.lists["dcim/devices"][1], id=10**6)


def plug_a_cable_unlogged(netbox: StandIn) -> None:
    ends = netbox.lists["dcim/cable-terminations"]
    ends[10**6] = dict(ends[1], id=10**6, termination_id=4000)


def restore_an_old_database(netbox: StandIn) -> None:
    """Its log goes on from an earlier moment, under the same numbers."""
    for entry in netbox.changes:
        entry["request_id"] = "another"


def cut_the_log(netbox: StandIn) -> None:
    netbox.changes.clear()


def log_very_much(netbox: StandIn) -> None:
    for _ in range(600):
        netbox.set_status(76, "staged")


@pytest.mark.parametrize(
    "act",
    [
        rename_a_rack,
        add_a_device_unlogged,
        plug_a_cable_unlogged,
        restore_an_old_database,
        cut_the_log,
        log_very_much,
    ],
)
def test_whatever_else_happened_makes_everything_be_read(
    netbox: StandIn, settings: Settings, act: Any
) -> None:
    netbox.change("users.token", 1, None, {})
    snapshot.take(settings)
    netbox.requests.clear()
    act(netbox)
    updated = snapshot.take(settings)
    assert lists_read(netbox) == 1
    assert updated.snapshot.data == snapshot.take(settings, full=True).snapshot.data


def test_everything_is_read_once_a_day_and_after_a_change_of_code(
    netbox: StandIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot.take(settings)
    with monkeypatch.context() as patched:
        patched.setattr(snapshot, "FULL_EVERY", 0)
        snapshot.take(settings)
    assert lists_read(netbox) == 2
    monkeypatch.setattr(snapshot, "_fields_digest", lambda: "other")
    snapshot.take(settings)
    assert lists_read(netbox) == 3


def test_a_long_log_is_not_read_from_its_beginning(netbox: StandIn, settings: Settings) -> None:
    for number in range(1500):
        netbox.change("users.token", number, None, {})
    snapshot.take(settings)
    snapshot.take(settings)
    starts = [p for p in netbox.requests if "object-changes" in p and "start=" in p]
    assert starts
    assert all("start=1301" in path for path in starts)
