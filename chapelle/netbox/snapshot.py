"""Takes snapshots of NetBox, and keeps the latest.

A snapshot shows one moment: the change log is looked at before and after. A status that a run set
meanwhile is read again, one device at a time, so that a snapshot can be taken while servers are
provisioned. Any other change makes the whole reading start again.

The same serves to bring the latest snapshot up to date: when NetBox's change log has had nothing
but statuses since, and NetBox counts as many objects of every kind, only these devices are read.
What is written past the change log (SQL, bulk updates in NetBox's shell) is seen by the next whole
reading only: `take(full=True)`, and the first after FULL_EVERY.
"""

import datetime
import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import msgspec
import requests

from chapelle import files
from chapelle.errors import ChapelleError, InputError
from chapelle.model.records import Content
from chapelle.model.references import MODELS
from chapelle.model.snapshot import Snapshot
from chapelle.netbox import access, changes
from chapelle.netbox.decoding import wanted_fields
from chapelle.netbox.reading import Get, MovedError, check_counts, read_content, read_some
from chapelle.settings import Settings

# Seconds after which everything is read again, whatever the change log says.
FULL_EVERY = 24 * 3600

# Whole readings before we give up on a NetBox that keeps moving.
ATTEMPTS = 4

# Rounds of catching up with statuses. Each takes a few hundredths of a second, so that a new one is
# due only when a run writes in that very moment.
ROUNDS = 20

type Say = Callable[[str], None]


# What requests calls an answer that ends too early.
_BROKEN_OFF = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)


class _Status(msgspec.Struct, rename={"version": "netbox-version"}):
    version: str


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a snapshot and is no part of it. Times are in UTC, by RFC 3339.

    `read_at`: when everything was last read. `mark`: the moment in NetBox's change log that it
    shows. `fields`: a digest of what was asked for, which other code asks otherwise.
    """

    hash: str
    taken_at: datetime.datetime
    read_at: datetime.datetime
    mark: changes.Mark
    fields: str
    netbox_url: str
    netbox_version: str
    embedded: bool


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot and where it comes from."""

    snapshot: Snapshot
    meta: Meta

    @property
    def age(self) -> float:
        """Seconds since it was taken."""
        now = datetime.datetime.now(datetime.UTC)
        return (now - self.meta.taken_at).total_seconds()


def take(settings: Settings, say: Say | None = None, *, full: bool = False) -> Taken:
    """Read NetBox, keep the snapshot as the latest one, and return it.

    Arguments:
        settings: which NetBox.
        say: told, line by line, what takes long.
        full: read everything, even what the change log says did not change.

    Raises:
        ChapelleError: NetBox cannot be reached or answers wrongly, or it keeps changing.
    """
    granted = access.access(settings, "read")
    get = _reader(granted)
    now = datetime.datetime.now(datetime.UTC)
    with ThreadPoolExecutor(1) as pool:
        version = pool.submit(_version, get)
        kept = None if full else _kept(settings, now)
        updated = _updated(get, kept) if kept else None
        content, mark = updated or read_settled(get, say or (lambda _line: None))
    snapshot = Snapshot(content)
    meta = Meta(
        hash=snapshot.hash,
        taken_at=now,
        read_at=kept.meta.read_at if kept and updated else now,
        mark=mark,
        fields=_fields_digest(),
        netbox_url=granted.url,
        netbox_version=version.result(),
        embedded=granted.embedded,
    )
    _store(settings, snapshot, meta)
    return Taken(snapshot=snapshot, meta=meta)


def moved(settings: Settings, mark: changes.Mark) -> bool:
    """Whether NetBox's change log has anything since that moment that a snapshot would show.

    Raises:
        ChapelleError: NetBox cannot be read.
    """
    try:
        return bool(changes.since(_reader(access.access(settings, "read")), mark)[0])
    except MovedError:
        return True


def version(settings: Settings) -> str:
    """The version that NetBox says it has.

    Raises:
        ChapelleError: it cannot be reached, or answers wrongly.
    """
    return _version(_reader(access.access(settings, "read")))


def _kept(settings: Settings, now: datetime.datetime) -> Taken | None:
    """The latest snapshot, if it may be brought up to date instead of reading everything."""
    kept = latest(settings)
    if kept is None or kept.meta.fields != _fields_digest():
        return None
    age = (now - kept.meta.read_at).total_seconds()
    return kept if 0 <= age <= FULL_EVERY else None


def _updated(get: Get, kept: Taken) -> tuple[Content, changes.Mark] | None:
    """The content of a snapshot brought up to date, or None when that takes a whole reading."""
    try:
        settled = _settle(get, kept.snapshot.content, kept.meta.mark)
        check_counts(get, settled[0])
    except MovedError:
        return None
    return settled


@cache
def _fields_digest() -> str:
    asked = "\n".join(f"{name} {wanted_fields(name)}" for name in MODELS)
    return hashlib.sha256(asked.encode()).hexdigest()


def _version(get: Get) -> str:
    return msgspec.json.decode(get("status/", {}), type=_Status).version


def _reader(granted: access.Access) -> Get:
    return _patient(access.getter(access.connect(granted)))


def _patient(get: Get) -> Get:
    """Ask again when the connection broke inside an answer, which the session does not repeat."""

    def once_more(path: str, query: access.Query) -> bytes:
        try:
            return get(path, query)
        except access.UnreachableError as error:
            if not isinstance(error.__cause__, _BROKEN_OFF):
                raise
            return get(path, query)

    return once_more


def latest(settings: Settings, max_age: float | None = None) -> Taken | None:
    """The latest snapshot of this installation's NetBox, if it is at most `max_age` seconds old.

    None when there is none, when it shows another NetBox than the settings name, or when its two
    files do not belong together (two were stored at the same time).
    """
    data_file, meta_file = _files(settings)
    try:
        meta = msgspec.json.decode(meta_file.read_bytes(), type=Meta)
        snapshot = Snapshot.read(data_file)
    except (FileNotFoundError, InputError, msgspec.DecodeError):
        return None
    same_netbox = (
        meta.embedded if not settings.netbox_url else meta.netbox_url == settings.netbox_url
    )
    taken = Taken(snapshot=snapshot, meta=meta)
    fresh = max_age is None or 0 <= taken.age <= max_age
    return taken if same_netbox and fresh and snapshot.hash == meta.hash else None


def read_settled(get: Get, say: Say) -> tuple[Content, changes.Mark]:
    """Read NetBox as it was at one moment, and that moment in its change log.

    Raises:
        ChapelleError: it kept changing for ATTEMPTS readings.
    """
    moved = ""
    for attempt in range(1, ATTEMPTS + 1):
        if attempt > 1:
            say(f"NetBox changed while it was read ({moved}); reading again.")
            time.sleep(attempt - 1)
        try:
            before = changes.mark(get)
            return _settle(get, read_content(get), before)
        except MovedError as error:
            moved = str(error)
    raise ChapelleError(
        "NetBox keeps changing; no snapshot could be taken that shows one moment.",
        where="NetBox's change log",
        expected=f"no change to the inventory during one of {ATTEMPTS} readings",
        found=moved,
        remedy="wait until the import or the script that writes to NetBox is done, then try again",
    )


def _settle(get: Get, content: Content, before: changes.Mark) -> tuple[Content, changes.Mark]:
    """Bring what was read since `before` to one moment: read again the devices whose status moved.

    A round that finds no change proves that everything read is as it was when the round began.

    Raises:
        MovedError: something else moved, or statuses did for ROUNDS rounds.
    """
    for _ in range(ROUNDS):
        moved, before = changes.since(get, before)
        if not moved:
            return content, before
        if other := [change for change in moved if not change.status_only]:
            more = f" and {len(other) - 1} more" if len(other) > 1 else ""
            raise MovedError(f"{other[0]}{more}")
        ids = sorted({change.object_id for change in moved})
        again = read_some(get, "devices", ids)
        if again.keys() != set(ids):
            raise MovedError("a device was deleted")
        devices = tuple(again.get(device.id, device) for device in content.devices)
        content = msgspec.structs.replace(content, devices=devices)
    raise MovedError("device statuses were set all the time")


def _files(settings: Settings) -> tuple[Path, Path]:
    folder = settings.state / "snapshots"
    return folder / "latest.json", folder / "latest.meta.json"


def _store(settings: Settings, snapshot: Snapshot, meta: Meta) -> None:
    data_file, meta_file = _files(settings)
    files.directory(data_file.parent)
    files.write(data_file, snapshot.data)
    files.write(meta_file, msgspec.json.encode(meta))
