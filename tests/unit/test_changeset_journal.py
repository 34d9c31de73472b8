"""The journal of a set of changes: what a crash leaves of it, and who may read it."""

from pathlib import Path

import pytest

from chapelle.errors import InputError, LockedError, RefusedError
from chapelle.model.change import Create
from chapelle.netbox.changeset.journal import (
    Done,
    Ended,
    Refused,
    Turned,
    created,
    opened,
)

CHANGES = tuple(
    Create(list_name="tenants", id=number, fields={"name": f"T{number}", "slug": f"t{number}"})
    for number in (-1, -2)
)
URL = "https://netbox.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "changes.jsonl"


def test_what_was_written_is_known_again(path: Path) -> None:
    with created(path, URL, CHANGES) as journal:
        journal.begin(0, undo=False)
        journal.append(Done(step=0, undo=False, id=7, etag='W/"1"', fields={"slug": "t-1"}))
        journal.begin(1, undo=False)
    assert path.stat().st_mode & 0o777 == 0o600
    with opened(path) as journal:
        assert (journal.state.url, journal.state.changes) == (URL, CHANGES)
        assert journal.state.done[False, 0].id == 7
        assert (False, 1) in journal.state.begun
        assert (journal.state.turned, journal.state.outcome) == (None, None)
        journal.append(Turned(reason="it was asked for"))
        journal.append(Ended(outcome="undone"))
    with opened(path) as journal:
        assert (journal.state.turned, journal.state.outcome) == ("it was asked for", "undone")


def test_a_line_that_a_crash_cut_off_was_never_said(path: Path) -> None:
    with created(path, URL, CHANGES) as journal:
        journal.begin(0, undo=False)
    whole = path.read_bytes()
    for length in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:length])
        with opened(path) as journal:
            assert journal.state.begun == {}
            journal.append(Done(step=0, undo=False, id=7))
        with opened(path) as journal:
            assert journal.state.done[False, 0].id == 7


def test_a_request_that_was_refused_left_nothing_unseen(path: Path) -> None:
    with created(path, URL, CHANGES) as journal:
        journal.begin(0, undo=False)
        journal.append(Refused(step=0, undo=False))
        assert journal.state.begun == {}
        journal.begin(1, undo=False)  # nobody saw the end of this one
        journal.begin(1, undo=False)
        journal.append(Refused(step=1, undo=False))
        assert set(journal.state.begun) == {(False, 1)}
        assert journal.state.repeated == {1}


def test_one_process_at_a_time(path: Path) -> None:
    with created(path, URL, CHANGES):
        with pytest.raises(LockedError, match="Another process"), opened(path):
            pass
        with pytest.raises(RefusedError, match="begun already"), created(path, URL, CHANGES):
            pass
    with opened(path):
        pass


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "nothing was begun"),
        (b'{"type":"ended","outcome":"written"}\n', "line 1: it does not begin"),
        (b'{"type":"opened","format":99,"url":"","changes":[]}\n', "journal of format 1"),
        (b'{"type":"opened","format":1,"url":"","changes":[]}\n{"type":"over"}\n', "line 2"),
    ],
)
def test_what_is_no_journal_is_refused(path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no journal of changes") as failed, opened(path):
        pass
    assert said in (failed.value.found or "")
    assert failed.value.where == str(path)
