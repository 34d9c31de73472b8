"""Writing back to a real NetBox, also to one that goes away in between."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.hardware import Disk, Hardware
from chapelle.model.status import RETIRABLE
from chapelle.netbox import server
from chapelle.netbox.access import Session, UnreachableError, access, require
from chapelle.netbox.writeback import Writer
from tests.netbox.conftest import Playground

pytestmark = pytest.mark.netbox


def test_a_status_goes_its_way(play: Playground) -> None:
    writer = Writer(play.settings)
    writer.set_status(play.device, "play-1", "planned", "staged")
    writer.set_status(play.device, "play-1", "staged", "active")
    assert play.device_now()["status"]["value"] == "active"


@pytest.mark.parametrize("status", sorted(RETIRABLE))
def test_the_token_of_runs_may_take_out_what_was_erased(play: Playground, status: str) -> None:
    play.set_device(status=status)
    Writer(play.settings).set_status(play.device, "play-1", status, "decommissioning")
    assert play.device_now()["status"]["value"] == "decommissioning"


def test_a_status_that_is_right_already_is_not_written(play: Playground) -> None:
    play.set_device(status="active")
    before = play.changes()
    Writer(play.settings).set_status(play.device, "play-1", "active", "active")
    assert play.changes() == before


def test_an_illegal_transition_is_refused_before_any_request(play: Playground) -> None:
    with pytest.raises(RefusedError, match="may not go from planned to active"):
        Writer(play.settings).set_status(play.device, "play-1", "planned", "active")


def test_a_status_changed_meanwhile_is_named_and_kept(play: Playground) -> None:
    play.set_device(status="failed")
    with pytest.raises(RefusedError) as refused:
        Writer(play.settings).set_status(play.device, "play-1", "planned", "staged")
    assert refused.value.expected == "planned"
    assert refused.value.found == "failed"
    assert play.device_now()["status"]["value"] == "failed"


def test_a_device_renamed_meanwhile_is_refused(play: Playground) -> None:
    play.set_device(name="play-2")
    with pytest.raises(RefusedError, match="another name"):
        Writer(play.settings).set_status(play.device, "play-1", "planned", "staged")


def test_what_a_bmc_says_and_what_runs_read_are_kept_beside_each_other(play: Playground) -> None:
    writer = Writer(play.settings)
    seen = Hardware(source="bmc", serial="S1", disks=(Disk(serial="D1", size=480),))
    writer.facts(play.device, {"kernel": "6.1"}, run="r1")
    writer.hardware(play.device, "play-1", seen)
    facts = play.device_now()["custom_fields"]["chapelle_facts"]
    assert facts["kernel"] == "6.1"
    assert facts["hardware"]["disks"][0]["serial"] == "D1"
    before = play.changes()
    writer.hardware(play.device, "play-1", seen)
    assert play.changes() == before
    writer.set_status(play.device, "play-1", "planned", "staged", facts={"kernel": "6.12"})
    now = play.device_now()["custom_fields"]["chapelle_facts"]
    assert now == {**facts, "kernel": "6.12"}


def test_two_writers_at_once_do_not_lose_each_others_fields(play: Playground) -> None:
    writers = [Writer(play.settings) for _ in range(4)]

    def write(number: int) -> None:
        if number % 2:
            writers[number].facts(play.device, {"kernel": "6.1"}, run="r1")
        else:
            writers[number].set_status(play.device, "play-1", "planned", "staged")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (0, 1, 3)))
    device = play.device_now()
    assert device["status"]["value"] == "staged"
    assert device["custom_fields"]["chapelle_facts"] == {"kernel": "6.1"}
    assert device["custom_fields"]["chapelle_run"] == "r1"


def test_known_facts_are_not_written_again(play: Playground) -> None:
    writer = Writer(play.settings)
    writer.facts(play.device, {"cpus": 2})
    before = play.changes()
    writer.facts(play.device, {"cpus": 2})
    assert play.changes() == before


def test_a_journal_entry_says_what_it_was_told(play: Playground) -> None:
    before = len(play.journal())
    Writer(play.settings).journal(play.device, "configured\n\n- run `r1`\n", "success")
    entries = play.journal()
    assert len(entries) == before + 1
    newest = max(entries, key=lambda entry: entry["id"])
    assert newest["comments"] == "configured\n\n- run `r1`"
    assert newest["kind"]["value"] == "success"
    assert newest["created_by"] is not None


class LosesAnswers(Session):
    """A session whose writes are done, and whose first answers are lost on the way back."""

    lost = 0

    def request(self, method, url, **details):
        answer = super().request(method, url, **details)
        if method in {"POST", "PATCH"} and self.lost < 1:
            self.lost += 1
            raise UnreachableError("The answer was lost.")
        return answer


def test_a_write_whose_answer_was_lost_is_not_done_twice(play: Playground) -> None:
    writer = Writer(play.settings)
    before = len(play.journal())
    writer._session = LosesAnswers(access(play.settings, "write"))
    writer.journal(play.device, "only once", "info")
    assert len(play.journal()) == before + 1
    changes = play.changes()
    writer._session = LosesAnswers(access(play.settings, "write"))
    writer.set_status(play.device, "play-1", "planned", "staged")
    assert writer._session.lost == 1
    assert play.device_now()["status"]["value"] == "staged"
    assert play.changes() == changes + 1


def test_a_netbox_that_restarts_in_between_loses_nothing(play: Playground) -> None:
    writer = Writer(play.settings)
    server.down(play.settings, print)
    begun, done = threading.Event(), []

    def write() -> None:
        begun.set()
        writer.set_status(play.device, "play-1", "planned", "staged")
        writer.journal(play.device, "through the restart", "info")
        done.append(True)

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait()
    try:
        assert not done
    finally:
        server.up(play.settings, print)
    thread.join()
    assert done
    assert play.device_now()["status"]["value"] == "staged"
    comments = [entry["comments"] for entry in play.journal()]
    assert comments.count("through the restart") == 1


def test_a_netbox_that_stays_away_is_a_clear_error(play: Playground) -> None:
    writer = Writer(play.settings, patience=1)
    server.down(play.settings, print)
    try:
        with pytest.raises(ChapelleError, match="stayed away for 1 s") as gave_up:
            writer.set_status(play.device, "play-1", "planned", "staged")
        assert "resume" in str(gave_up.value)
    finally:
        server.up(play.settings, print)


def test_what_the_writer_may_not_do(play: Playground) -> None:
    writer = Session(access(play.settings, "write"))
    url = f"{writer.granted.url}/api"
    device = f"{url}/dcim/devices/{play.device}/"
    assert writer.post(f"{url}/dcim/sites/", json={"name": "x", "slug": "x"}).status_code == 403
    assert writer.delete(device).status_code == 403
    assert writer.post(f"{url}/users/tokens/", json={"user": 1}).status_code == 403


def test_the_token_of_dry_runs_cannot_write(play: Playground) -> None:
    reader = Session(access(play.settings, "read"))
    device = f"{reader.granted.url}/api/dcim/devices/{play.device}/"
    answer = reader.patch(device, json={"status": "staged"})
    assert answer.status_code == 403
    with pytest.raises(ChapelleError, match="refuses PATCH"):
        require(answer, 200)
    assert play.device_now()["status"]["value"] == "planned"
