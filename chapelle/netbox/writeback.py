"""Writes back to NetBox what a run did: a device's status, a journal entry, facts.

These, and the lock, are all that a run ever writes; the writer's object permissions say so too.
Each write compares and swaps by ETag, so that what a person changed meanwhile is seen and not
overwritten. A NetBox that restarts in mid-run loses nothing: a write is tried again, for a bounded
time, after a look at whether it was done already.
"""

import datetime
from collections.abc import Callable, Mapping
from time import monotonic, sleep, time
from typing import Any

import msgspec

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.hardware import Hardware
from chapelle.model.status import check_transition
from chapelle.netbox.access import BrokenError, Session, UnreachableError, access, get_json, require
from chapelle.settings import Settings

RUN_FIELD = "chapelle_run"
FACTS_FIELD = "chapelle_facts"
HARDWARE = "hardware"  # of the facts, what a server's BMC says that it is made of
KINDS = ("info", "success", "warning", "danger")

PATIENCE = 300.0  # seconds that a NetBox may be away
BROKEN_PATIENCE = 20.0  # seconds that it may answer 500: its database may be starting
SWAPS = 10
CLOCKS = datetime.timedelta(minutes=5)  # by which NetBox's clock and ours may differ


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device as read just now, and the ETag of that reading."""

    name: str
    status: str
    custom_fields: dict[str, Any]
    etag: str

    def has(self, notes: Mapping[str, Any]) -> bool:
        """Whether its custom fields hold these values."""
        return all(self.custom_fields.get(key) == value for key, value in notes.items())


class Writer:
    """Writes to NetBox with the writer's token. May be used by several threads.

    Arguments:
        settings: which NetBox.
        patience: seconds that a NetBox which is away is waited for, in each call.
    """

    def __init__(self, settings: Settings, *, patience: float = PATIENCE) -> None:
        self._session = Session(access(settings, "write"))
        self._patience = patience

    def set_status(
        self,
        device_id: int,
        name: str,
        current: str,
        wanted: str,
        *,
        facts: Mapping[str, Any] | None = None,
        run: str | None = None,
    ) -> None:
        """Take the device from status `current` to `wanted`; no write when nothing differs.

        Arguments:
            device_id: the device's id in NetBox.
            name: its name, which must still be so.
            current: the status that it must still have.
            wanted: the status that it gets.
            facts: what was read on it, to be kept in the same write.
            run: the run that read them.

        Raises:
            RefusedError: no such transition, or the device has another name or status by now.
            ChapelleError: NetBox stayed away, or refuses.
        """
        check_transition(name, current, wanted)
        asked = False

        def action() -> bool:
            nonlocal asked
            device = self._read(device_id)
            notes = _notes(device, facts, run)
            done = device.status == wanted and device.has(notes)
            if asked and done:  # though the answer was lost
                return True
            _require_unmoved(device_id, device, name, current)
            if done:
                return True
            asked = True
            noted = {"custom_fields": notes} if notes else {}
            return self._swap(device_id, device, {"status": wanted, **noted})

        self._patiently(name, action)

    def facts(self, device_id: int, facts: Mapping[str, Any], run: str | None = None) -> None:
        """Keep facts that were read on the device, and which run read them; no write when known.

        Raises:
            ChapelleError: NetBox stayed away, or refuses.
        """

        def action() -> bool:
            device = self._read(device_id)
            return self._note(device_id, device, _notes(device, facts, run))

        self._patiently(f"device {device_id}", action)

    def hardware(self, device_id: int, name: str, hardware: Hardware) -> None:
        """Keep what a server is made of, beside the facts that runs read on it; no write if known.

        Raises:
            ChapelleError: NetBox stayed away, or refuses.
        """
        plain = msgspec.json.decode(msgspec.json.encode(hardware))  # as NetBox gives it back

        def action() -> bool:
            device = self._read(device_id)
            facts = {**(device.custom_fields.get(FACTS_FIELD) or {}), HARDWARE: plain}
            return self._note(device_id, device, {FACTS_FIELD: facts})

        self._patiently(name, action)

    def _note(self, device_id: int, device: Device, notes: dict[str, Any]) -> bool:
        return device.has(notes) or self._swap(device_id, device, {"custom_fields": notes})

    def journal(self, device_id: int, text: str, kind: str, *, asked: float | None = None) -> None:
        """Add a journal entry (Markdown) to the device, once.

        Arguments:
            device_id: the device's id in NetBox.
            text: the entry.
            kind: info, success, warning or danger.
            asked: when somebody first asked for this entry and never heard the answer, in seconds
                since the epoch; None when nobody did.

        Raises:
            ValueError: no such kind.
            ChapelleError: NetBox stayed away, or refuses.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not one of {KINDS}")
        entry = {
            "assigned_object_type": "dcim.device",
            "assigned_object_id": device_id,
            "kind": kind,
            "comments": text.strip(),
        }
        began = datetime.datetime.fromtimestamp(asked or time(), datetime.UTC)
        first = began - CLOCKS
        lost = asked is not None

        def action() -> bool:
            nonlocal lost
            if lost and self._has_entry(entry, first):
                return True
            lost = True
            url = f"{self._session.granted.url}/api/extras/journal-entries/"
            require(self._session.post(url, json=entry), 201)
            return True

        self._patiently(f"device {device_id}", action)

    def _read(self, device_id: int) -> Device:
        query = {"fields": "name,status,custom_fields"}
        answer = self._session.get(self._url(device_id), params=query)
        require(answer, 200)
        content = answer.json()
        return Device(
            name=content["name"] or "",
            status=content["status"]["value"],
            custom_fields=content["custom_fields"],
            etag=answer.headers["ETag"],
        )

    def _swap(self, device_id: int, device: Device, change: dict[str, Any]) -> bool:
        """Compare and swap; False when the device changed since it was read."""
        answer = self._session.patch(
            self._url(device_id),
            params={"fields": ",".join(["id", *change])},  # what `fields` leaves out is not written
            json=change,
            headers={"If-Match": device.etag},
        )
        require(answer, 200, 412)
        return answer.status_code == 200

    def _has_entry(self, entry: Mapping[str, Any], since: datetime.datetime) -> bool:
        query = {
            "assigned_object_type": entry["assigned_object_type"],
            "assigned_object_id": entry["assigned_object_id"],
            "created_after": since.isoformat(),
            "fields": "comments",
            "limit": 100,
        }
        found = get_json(self._session, "extras/journal-entries/", query)["results"]
        return any(other["comments"] == entry["comments"] for other in found)

    def _patiently(self, what: str, action: Callable[[], bool]) -> None:
        """Repeat the action until it is done, through a NetBox that is away, for a bounded time."""
        began = monotonic()
        pause = 0.5
        swaps = 0
        while True:
            try:
                if action():
                    return
                swaps += 1
                if swaps >= SWAPS:
                    raise self._contended(what)
            except UnreachableError as error:
                broken = isinstance(error, BrokenError)
                limit = min(self._patience, BROKEN_PATIENCE) if broken else self._patience
                if monotonic() - began + pause > limit:
                    raise self._gave_up(what, error, limit) from error
                sleep(pause)
                pause = min(2 * pause, 5.0)

    def _gave_up(self, what: str, error: UnreachableError, limit: float) -> ChapelleError:
        return UnreachableError(
            f"NetBox was not told about {what}: it stayed away for {limit:.0f} s.",
            where=error.where,
            expected="an answer",
            found=f"{error.message} {error.found or ''}".strip(),
            remedy=f"{error.remedy}; then resume the run, which writes back what is missing",
        )

    def _contended(self, what: str) -> ChapelleError:
        return ChapelleError(
            f"{what} changed in NetBox each of {SWAPS} times that we tried to write it.",
            where=self._session.granted.url,
            remedy="see its change log in NetBox for who writes it, then resume the run",
        )

    def _url(self, device_id: int) -> str:
        return f"{self._session.granted.url}/api/dcim/devices/{device_id}/"


def _notes(device: Device, facts: Mapping[str, Any] | None, run: str | None) -> dict[str, Any]:
    """The custom fields for facts and for the run that read them; what BMCs said stays."""
    known = device.custom_fields.get(FACTS_FIELD) or {}
    said = {HARDWARE: known[HARDWARE]} if HARDWARE in known else {}
    kept = {FACTS_FIELD: {**said, **facts}} if facts is not None else {}
    return {**kept, **({RUN_FIELD: run} if run is not None else {})}


def _require_unmoved(device_id: int, device: Device, name: str, current: str) -> None:
    if device.name != name:
        raise RefusedError(
            f"Device {device_id} has another name in NetBox by now.",
            where=f"dcim/devices/{device_id}",
            expected=name,
            found=device.name or "no name",
            remedy="take a new snapshot and plan again",
        )
    if device.status != current:
        raise RefusedError(
            f"Somebody changed the status of {name} meanwhile; it was left as it is.",
            where=f"device {name} in NetBox",
            expected=current,
            found=device.status,
            remedy="see its change log in NetBox for who did; then plan again",
        )
