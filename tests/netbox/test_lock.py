"""The lock of an aisle, against a real NetBox."""

import datetime
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from chapelle.errors import ChapelleError, InputError, LockedError
from chapelle.netbox import lock
from chapelle.process import identity
from tests.netbox.conftest import Playground

pytestmark = pytest.mark.netbox


def hold(play: Playground, run: str, *aisles: str, **options: Any):
    return lock.hold(play.settings, aisles or play.aisles, run=run, reason="a test", **options)


def planted(**changes: Any) -> dict[str, Any]:
    """A lock of somebody else, as it is kept in NetBox."""
    now = datetime.datetime.now(datetime.UTC)
    other = lock.Holder(
        run="other",
        owner="anna@elsewhere",
        host="elsewhere",
        process="0:1:1",
        reason="a disk swap",
        nonce="n",
        since=now,
        expires=now + datetime.timedelta(minutes=5),
    )
    return msgspec.to_builtins(msgspec.structs.replace(other, **changes))


def test_a_lock_names_its_holder_and_is_gone_afterwards(play: Playground) -> None:
    with hold(play, "r1") as held:
        held.check()
        found = play.lock("play-a")
        assert found["run"] == "r1"
        assert found["reason"] == "a test"
        assert found["process"] == identity(int(found["process"].split(":")[1]))
        assert play.lock("play-b")["nonce"] == found["nonce"]
    assert [play.lock(slug) for slug in play.aisles] == [None, None]


def test_of_four_at_once_exactly_one_wins(play: Playground) -> None:
    start, end = threading.Barrier(4), threading.Barrier(4)

    def take(number: int) -> str:
        start.wait()
        try:
            with hold(play, f"r{number}", "play-a"):
                end.wait()  # keep it until all others have been refused
                return "won"
        except LockedError as error:
            end.wait()
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(take, range(4)))
    assert results.count("won") == 1
    assert all("is locked by" in result for result in results if result != "won")
    assert play.lock("play-a") is None


def test_a_refusal_names_owner_reason_and_times_and_keeps_nothing(play: Playground) -> None:
    play.set_lock("play-b", planted())
    with pytest.raises(LockedError) as refused, hold(play, "r1"):
        pytest.fail("not reached")
    text = str(refused.value)
    assert "anna@elsewhere" in text
    assert "a disk swap" in text
    assert "--resume=other" in text
    assert text.count("UTC") >= 2
    assert play.lock("play-a") is None  # taken before play-b was refused, and given back
    assert play.lock("play-b")["run"] == "other"


def test_an_expired_lock_is_taken_over_and_said(play: Playground) -> None:
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=2)
    play.set_lock("play-a", planted(expires=old))
    said: list[str] = []
    with hold(play, "r1", "play-a", say=said.append):
        assert play.lock("play-a")["run"] == "r1"
    assert "taking over the lock of run other (anna@elsewhere), which expired" in said[0]


def test_a_dead_process_of_the_same_run_is_succeeded(play: Playground) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    with hold(play, "r1", "play-a"):
        mine = play.lock("play-a")
    boot, _, start = mine["process"].split(":")
    dead = f"{boot}:{int(child.stdout)}:{start}"
    play.set_lock("play-a", planted(run="r1", host=mine["host"], process=dead))
    with pytest.raises(LockedError), hold(play, "r2", "play-a"):
        pytest.fail("another run's lock is not taken before it expires")
    said: list[str] = []
    with hold(play, "r1", "play-a", say=said.append):
        assert play.lock("play-a")["nonce"] != "n"
    assert "whose process is gone" in said[0]


def test_a_living_process_of_the_same_run_is_respected(play: Playground) -> None:
    with hold(play, "r1", "play-a"), pytest.raises(LockedError), hold(play, "r1", "play-a"):
        pytest.fail("not reached")


def test_a_lock_is_renewed_while_it_is_held(play: Playground) -> None:
    with hold(play, "r1", "play-a", ttl=3) as held:
        first = play.lock("play-a")["expires"]
        until = datetime.datetime.fromisoformat(first) + datetime.timedelta(seconds=2)
        while datetime.datetime.now(datetime.UTC) < until:
            threading.Event().wait(0.2)
        held.check()
        assert play.lock("play-a")["expires"] > first
        with pytest.raises(LockedError), hold(play, "r2", "play-a"):
            pytest.fail("not reached")


@pytest.mark.parametrize("other", [planted(), None], ids=["another's", "removed"])
def test_the_loss_of_the_lock_is_noticed(play: Playground, other: dict[str, Any] | None) -> None:
    noticed = threading.Event()
    with hold(play, "r1", "play-a", ttl=3, say=lambda _: noticed.set()) as held:
        play.set_lock("play-a", other)
        assert noticed.wait(60)
        with pytest.raises(LockedError, match="no longer ours"):
            held.check()
    assert play.lock("play-a") == other  # not ours to release


def test_an_edit_of_the_location_does_not_cost_the_lock(play: Playground) -> None:
    with hold(play, "r1", "play-a") as held:
        location = play.location("play-a")
        url = f"{play.seeder.granted.url}/api/dcim/locations/{location['id']}/"
        assert play.seeder.patch(url, json={"description": "swept"}).status_code == 200
        held._renew("play-a")
    assert play.lock("play-a") is None


def test_it_is_released_when_the_body_fails(play: Playground) -> None:
    with pytest.raises(ZeroDivisionError), hold(play, "r1"):
        raise ZeroDivisionError
    assert [play.lock(slug) for slug in play.aisles] == [None, None]


def test_an_unknown_aisle_is_an_error(play: Playground) -> None:
    with pytest.raises(InputError, match="not the slug of one location"), hold(play, "r1", "no"):
        pytest.fail("not reached")


def test_what_is_no_lock_is_not_overwritten(play: Playground) -> None:
    play.set_lock("play-a", {"note": "by hand"})
    with pytest.raises(ChapelleError, match="holds something that is no lock"):  # noqa: SIM117
        with hold(play, "r1", "play-a"):
            pytest.fail("not reached")
    assert play.lock("play-a") == {"note": "by hand"}
