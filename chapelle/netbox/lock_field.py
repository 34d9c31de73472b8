"""Where an aisle's lock is kept: custom field `chapelle_lock` of its location, swapped by ETag.

Runs hold it while their process lives (`lock`), maintenance windows until they are closed
(`window_lock`).
"""

import datetime
import email.utils
from collections.abc import Mapping
from typing import Any

import msgspec

from chapelle.errors import ChapelleError, InputError, LockedError
from chapelle.netbox.access import Session, get_json, require

FIELD = "chapelle_lock"
ATTEMPTS = 10


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The part that one maintenance window has in a lock."""

    window: str
    owner: str
    reason: str
    since: datetime.datetime
    expires: datetime.datetime


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who holds the lock. `process` is its identity; `nonce` tells holds apart.

    Maintenance windows hold one together: `windows` are their shares, and no process renews it.
    """

    run: str
    owner: str
    host: str
    process: str
    reason: str
    nonce: str
    since: datetime.datetime
    expires: datetime.datetime
    windows: tuple[Share, ...] = ()


class Aisle(msgspec.Struct, frozen=True, kw_only=True):
    """A location as read: who holds it, the ETag of that reading and NetBox's time then."""

    id: int
    name: str
    holder: Holder | None
    etag: str
    now: datetime.datetime


class Field:
    """Reads and writes the field of locations, which are known by their slugs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids: dict[str, int] = {}

    def find(self, slug: str) -> None:
        """Look the location up.

        Raises:
            InputError: there is no such location, or there are several.
        """
        found = get_json(self._session, "dcim/locations/", {"slug": slug, "fields": "id"})
        if found["count"] != 1:
            raise InputError(
                f"{slug} is not the slug of one location.",
                where="NetBox, locations",
                expected="one location",
                found=f"{found['count']}",
                remedy="see `invoke check`; an aisle is a location",
            )
        self._ids[slug] = int(found["results"][0]["id"])

    def read(self, slug: str) -> Aisle:
        """A location that was looked up, as it is now.

        Raises:
            InputError: NetBox has no custom field for the lock, or it holds something else.
        """
        answer = self._session.get(self._url(slug), params={"fields": "id,name,custom_fields"})
        require(answer, 200)
        content = answer.json()
        if FIELD not in content["custom_fields"]:
            raise InputError(
                f"NetBox has no custom field {FIELD} for locations, which holds the lock.",
                where=self._session.granted.url,
                expected=f"a custom field {FIELD} of type JSON",
                remedy="run `invoke netbox.seed`, or add the field (docs/your-own-netbox.md)",
            )
        return Aisle(
            id=content["id"],
            name=content["name"],
            holder=holder_in(content["custom_fields"][FIELD], content["name"]),
            etag=answer.headers["ETag"],
            now=netbox_time(answer.headers),
        )

    def write(self, slug: str, aisle: Aisle, holder: Holder | None) -> bool:
        """Compare and swap; False when the location changed since it was read."""
        answer = self._session.patch(
            self._url(slug),
            params={"fields": "id,custom_fields"},  # what `fields` leaves out is not written
            json={"custom_fields": {FIELD: msgspec.to_builtins(holder)}},
            headers={"If-Match": aisle.etag},
        )
        require(answer, 200, 412)
        return answer.status_code == 200

    def contended(self, slug: str) -> ChapelleError:
        """The error for a location that changed each time that we tried to write it."""
        return ChapelleError(
            f"Location {slug} changed each of {ATTEMPTS} times that we tried to write its lock.",
            where=self._session.granted.url,
            remedy="see its change log in NetBox for who writes it, then try again",
        )

    def _url(self, slug: str) -> str:
        return f"{self._session.granted.url}/api/dcim/locations/{self._ids[slug]}/"


def locked(slug: str, name: str, other: Holder) -> LockedError:
    """The error for a lock that somebody else holds."""
    since, expires = clock(other.since), clock(other.expires)
    if other.windows:
        found = f"maintenance {other.run} ({other.reason}) since {since}, until {expires}"
        remedy = "wait until it is closed; its owner closes it with: " + ", ".join(
            f"invoke maintenance.close {share.window}" for share in other.windows
        )
    else:
        found = f"run {other.run} ({other.reason}) since {since}, until {expires} unless renewed"
        remedy = (
            f"wait for it; if it died, resume it (--resume={other.run}) or wait until {expires}"
        )
    return LockedError(
        f"{name} is locked by {other.owner}.",
        where=f"location {slug} in NetBox, custom field {FIELD}",
        expected="nobody at work there",
        found=found,
        remedy=remedy,
    )


def holder_in(value: Any, name: str) -> Holder | None:
    """The holder that the field of a location of that name says.

    Raises:
        InputError: it says something else.
    """
    if value is None:
        return None
    try:
        return msgspec.convert(value, Holder)
    except msgspec.ValidationError as error:
        raise InputError(
            f"The custom field {FIELD} of {name} holds something that is no lock.",
            where=f"NetBox, location {name}",
            expected="what chapelle writes there, or nothing",
            found=str(error),
            remedy="empty the field in NetBox when no run is at work there",
        ) from error


def netbox_time(headers: Mapping[str, str]) -> datetime.datetime:
    """NetBox's time in an answer, so that controllers' clocks need not agree; else ours."""
    try:
        return email.utils.parsedate_to_datetime(headers["Date"]).astimezone(datetime.UTC)
    except (KeyError, ValueError):
        return datetime.datetime.now(datetime.UTC)


def clock(time: datetime.datetime) -> str:
    """A time as messages tell it."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
