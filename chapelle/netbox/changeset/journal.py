"""The journal of one set of changes: a file of JSON lines, each on the disk before we go on.

A line says what is about to be asked of NetBox, or how that ended, so that whoever reads it after a
crash knows all but the end of the last request. It holds the changes too, and nothing else is
needed to finish them or to take them back.
"""

import fcntl
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from chapelle import files
from chapelle.errors import InputError, LockedError, RefusedError
from chapelle.model.change import Change, Fields

FORMAT = 1


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag="opened"):
    """The first line: what is to be written, to which NetBox (empty for the embedded one)."""

    format: int
    url: str
    changes: tuple[Change, ...]


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag="begun"):
    """A request is about to be made for a change, at seconds since the epoch."""

    step: int
    undo: bool
    at: float


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """NetBox did not do what it was asked for last."""

    step: int
    undo: bool


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """What a change concerns is as it should be: the object's id, and its fields in NetBox.

    `fields` are those that were written; nothing, where an object was deleted.
    """

    step: int
    undo: bool
    id: int
    etag: str = ""
    fields: Fields = {}


class Turned(msgspec.Struct, frozen=True, kw_only=True, tag="turned"):
    """From here on everything is undone, and why."""

    reason: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """Nothing is left to be done."""

    outcome: Literal["written", "undone"]


type Line = Opened | Begun | Refused | Done | Turned | Ended
_DECODER = msgspec.json.Decoder(Line)


class State:
    """What the lines of a journal say together. Steps are the places of changes in their set."""

    def __init__(self, opened: Opened) -> None:
        self.url = opened.url
        self.changes = opened.changes
        # By whether it is undone, and step: when the last request was made of which nobody saw the
        # end, how many there were, and how it ended.
        self.begun: dict[tuple[bool, int], float] = {}
        self._unseen: Counter[tuple[bool, int]] = Counter()
        self.done: dict[tuple[bool, int], Done] = {}
        self.repeated: set[int] = set()
        self.turned: str | None = None
        self.outcome: str | None = None

    @classmethod
    def begun_by(cls, line: "Line") -> "State":
        """The state after the first line.

        Raises:
            ValueError: it is no first line, or of another format.
        """
        if not isinstance(line, Opened) or line.format != FORMAT:
            raise ValueError(f"it does not begin a journal of format {FORMAT}")
        return cls(line)

    def take(self, line: "Line") -> None:
        """Add one line."""
        match line:
            case Begun():
                key = (line.undo, line.step)
                if key in self.begun and not line.undo:
                    self.repeated.add(line.step)
                self.begun[key] = line.at
                self._unseen[key] += 1
            case Refused():
                key = (line.undo, line.step)
                self._unseen[key] -= 1
                if not self._unseen[key]:
                    self.begun.pop(key, None)
            case Done():
                self.done[line.undo, line.step] = line
            case Turned():
                self.turned = line.reason
                self.outcome = None
            case Ended():
                self.outcome = line.outcome
            case Opened():
                raise ValueError("it begins twice")


class Journal:
    """An open journal that no other process has open. Made by `created` and `opened`."""

    def __init__(self, path: Path, descriptor: int, state: State) -> None:
        self.path = path
        self.state = state
        self._descriptor = descriptor

    def append(self, line: Line) -> None:
        """Add a line, and wait until it is on the disk.

        Raises:
            ChapelleError: the disk is full, or fails.
        """
        whole = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            _write(self._descriptor, line)
        except OSError as error:
            os.ftruncate(self._descriptor, whole)
            raise files.unwritable(error, self.path) from error
        self.state.take(line)

    def begin(self, step: int, *, undo: bool) -> None:
        """Write down that a request is about to be made."""
        self.append(Begun(step=step, undo=undo, at=time.time()))


def require_new(path: Path) -> None:
    """Make sure that there is no journal yet.

    Raises:
        RefusedError: there is one.
    """
    if path.exists():
        raise _there_already(path)


def _there_already(path: Path) -> RefusedError:
    return RefusedError(
        "These changes have been begun already.",
        where=str(path),
        expected="no such file",
        found="a journal",
        remedy="finish them, or take them back, by that journal",
    )


@contextmanager
def created(path: Path, url: str, changes: tuple[Change, ...]) -> Iterator[Journal]:
    """Begin a journal.

    Raises:
        RefusedError: there is one already.
        ChapelleError: it cannot be written.
    """
    state = State(Opened(format=FORMAT, url=url, changes=changes))
    files.directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, path)
            _write(descriptor, Opened(format=FORMAT, url=url, changes=changes))
            os.link(temporary, path)  # with its first line, and only where there is none
            _settle(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError as error:
        raise _there_already(path) from error
    except OSError as error:
        raise files.unwritable(error, path) from error
    try:
        yield Journal(path, descriptor, state)
    finally:
        os.close(descriptor)


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """Go on with a journal.

    A last line that is not whole was being written when the machine stopped: it is cut off.

    Raises:
        InputError: the file is not there, or no journal.
        LockedError: another process has it open.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    try:
        _lock(descriptor, path)
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        state = _state(path, data[:whole])
        if whole < len(data):
            os.ftruncate(descriptor, whole)
        yield Journal(path, descriptor, state)
    finally:
        os.close(descriptor)


def _state(path: Path, data: bytes) -> State:
    state: State | None = None
    for number, text in enumerate(data.splitlines(), start=1):
        try:
            line = _DECODER.decode(text)
            if state is None:
                state = State.begun_by(line)
            else:
                state.take(line)
        except (msgspec.DecodeError, ValueError) as error:
            raise _unreadable(path, f"line {number}: {error}") from error
    if state is None:
        raise _unreadable(path, "an empty file: nothing was begun")
    return state


def _unreadable(path: Path, found: str) -> InputError:
    return InputError(
        "This is no journal of changes.",
        where=str(path),
        expected=f"what chapelle writes there (format {FORMAT})",
        found=found,
    )


def _write(descriptor: int, line: Line) -> None:
    data = msgspec.json.encode(line, order="deterministic") + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _settle(folder: Path) -> None:
    """Wait until the folder's entry for a new file is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    """Keep other processes out, until this one ends in whatever way (flock(2))."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            "Another process is at work on these changes.",
            where=str(path),
            expected="nobody",
            remedy="wait until it has ended",
        ) from error
