"""Maintenance windows in NetBox: custom field `maintenance_windows` of sites, and journal entries.

A window stands in the site of its first element. The field is written by compare and swap (ETag and
If-Match), and what is to be written is worked out again from what NetBox holds by then: of two
operators at one time, neither overwrites the other's window, and the later sees the earlier's.
"""

import datetime
import random
import re
from collections.abc import Callable, Iterable, Sequence
from time import sleep
from typing import Any

import msgspec

from chapelle.errors import ChapelleError, InputError
from chapelle.model.finding import ObjectRef
from chapelle.model.records import ENDPOINTS
from chapelle.model.references import MODELS
from chapelle.model.resilience import WINDOWS, Window
from chapelle.netbox.access import Json, Query, Session, get_json, require
from chapelle.netbox.lock_field import netbox_time

ATTEMPTS = 20
_PAGE = 500
_TYPES = {ENDPOINTS[name]: model for name, model in MODELS.items()}
_FIELDS = "id,name,time_zone,custom_fields"

type Known = Sequence[Window]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What one site holds: its windows, and the time zone that it is in (or nothing)."""

    site: int
    name: str
    zone: str
    windows: tuple[Window, ...]
    etag: str = ""


class Calendar:
    """The windows of all sites of one NetBox. Writes with the token of the session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def now(self) -> datetime.datetime:
        """NetBox's time."""
        answer = self._session.get(f"{self._session.granted.url}/api/status/")
        require(answer, 200)
        return netbox_time(answer.headers)

    def pages(self) -> tuple[Page, ...]:
        """What every site holds."""
        found: list[Page] = []
        query: Query = {"fields": _FIELDS, "limit": _PAGE}
        while True:
            read = get_json(self._session, "dcim/sites/", {**query, "offset": len(found)})
            found += [self._page(site, "") for site in read["results"]]
            if not read["next"] or not read["results"]:
                return tuple(found)

    def find(self, window_id: str) -> tuple[Window, Page]:
        """The window with an id, and the site that it stands in.

        Raises:
            InputError: there is none, or NetBox holds several.
        """
        pages = self.pages()
        found = [(w, page) for page in pages for w in page.windows if w.id == window_id]
        if len(found) == 1:
            return found[0]
        known = sorted(w.id for page in pages for w in page.windows if w.state != "closed")
        raise InputError(
            f"There is no maintenance window {window_id!r}."
            if not found
            else f"There are {len(found)} maintenance windows {window_id!r}.",
            where=f"NetBox, custom field {WINDOWS} of the sites",
            expected=f"one of {', '.join(known)}" if known else "an id; no window is planned",
            found=repr(window_id),
            remedy="invoke maintenance.list --all shows them",
        )

    def add(self, site: int, make: Callable[[Known, str], Window]) -> Window:
        """Add a window to a site.

        Arguments:
            site: the site's id.
            make: given all windows that there are and an id that none has, makes the window, or
                raises. Called again when others wrote meanwhile.

        Raises:
            ChapelleError: NetBox refuses, or the site changes all the time; and what `make` raises.
        """
        made: list[Window] = []

        def edit(own: tuple[Window, ...], known: Known) -> tuple[Window, ...]:
            window = make(known, next_id(known, self.now().year))
            made.append(window)
            return (*own, window)

        self._swap(site, edit)
        return self._renamed(site, made[-1])

    def change(self, window_id: str, edit: Callable[[Window, Known], Window]) -> Window:
        """Put another window in the place of one; no write when it is the same.

        Arguments:
            window_id: its id.
            edit: given the window and all others, makes the new one, or raises. Called again when
                others wrote meanwhile.

        Raises:
            InputError: there is no such window.
            ChapelleError: NetBox refuses, or the site changes all the time; and what `edit` raises.
        """
        _, page = self.find(window_id)
        made: list[Window] = []

        def swapped(own: tuple[Window, ...], known: Known) -> tuple[Window, ...]:
            current = next((w for w in own if w.id == window_id), None)
            if current is None:
                self.find(window_id)  # says so
                return own
            made.append(edit(current, [w for w in known if w is not current]))
            return tuple(made[-1] if w is current else w for w in own)

        self._swap(page.site, swapped)
        return made[-1]

    def _swap(
        self, site: int, edit: Callable[[tuple[Window, ...], Known], tuple[Window, ...]]
    ) -> None:
        url = f"{self._session.granted.url}/api/dcim/sites/{site}/"
        for attempt in range(ATTEMPTS):
            answer = self._session.get(url, params={"fields": _FIELDS})
            require(answer, 200)
            page = self._page(answer.json(), answer.headers["ETag"])
            others = [w for p in self.pages() if p.site != site for w in p.windows]
            wanted = edit(page.windows, [*page.windows, *others])
            if wanted == page.windows:
                return
            answer = self._session.patch(
                url,
                params={"fields": "id,custom_fields"},  # what `fields` leaves out is not written
                json={"custom_fields": {WINDOWS: msgspec.to_builtins(wanted)}},
                headers={"If-Match": page.etag},
            )
            require(answer, 200, 412)
            if answer.status_code == 200:
                return
            sleep(random.uniform(0, 0.05 * (attempt + 1)))  # noqa: S311 - not a secret
        raise ChapelleError(
            f"Site {page.name} changed each of {ATTEMPTS} times that we tried to write it.",
            where=self._session.granted.url,
            remedy="see its change log in NetBox for who writes it, then try again",
        )

    def _renamed(self, site: int, window: Window) -> Window:
        """The window with an id that is in no other site either.

        Each site is swapped for itself, so that two operators may have chosen one number. Whoever
        looks last sees the other's, and takes another one; nobody has been told of it yet.
        """
        while True:
            elsewhere = [w for page in self.pages() if page.site != site for w in page.windows]
            if all(other.id != window.id for other in elsewhere):
                return window
            sleep(random.uniform(0, 0.2))  # noqa: S311 - not a secret
            made = [window]
            year = self.now().year

            def edit(
                own: tuple[Window, ...],
                known: Known,
                old: Window = window,
                made: list[Window] = made,
                year: int = year,
            ) -> tuple[Window, ...]:
                made.append(msgspec.structs.replace(old, id=next_id(known, year)))
                return tuple(made[-1] if w == old else w for w in own)

            self._swap(site, edit)
            window = made[-1]

    def _page(self, site: Json, etag: str) -> Page:
        fields = site["custom_fields"]
        if WINDOWS not in fields:
            raise InputError(
                f"NetBox has no custom field {WINDOWS} for sites, which holds the windows.",
                where=self._session.granted.url,
                expected=f"a custom field {WINDOWS} of type JSON",
                remedy="run `invoke netbox.seed`, or add the field (docs/your-own-netbox.md)",
            )
        return Page(
            site=site["id"],
            name=site["name"],
            zone=site["time_zone"] or "",
            windows=_windows(fields[WINDOWS], site["name"]),
            etag=etag,
        )

    # -- notes ------------------------------------------------------------------------------------

    def note(
        self,
        refs: Iterable[ObjectRef],
        about: str,
        text: str,
        kind: str,
        say: Callable[[str], None],
    ) -> int:
        """Add a journal entry to every object, unless it has one that begins with `about`.

        A source is no object of NetBox: the entry is its site's.

        Arguments:
            refs: the objects.
            about: how the entry begins, which tells it from all others.
            text: how it goes on (Markdown).
            kind: info, success, warning or danger.
            say: told of what is no longer there.

        Returns: how many entries were added.
        """
        added = 0
        for place, number in dict.fromkeys((ref.endpoint, ref.id) for ref in refs):
            entry: dict[str, str | int] = {
                "assigned_object_type": _TYPES[place],
                "assigned_object_id": number,
            }
            query: Query = {**entry, "fields": "comments", "ordering": "-created", "limit": 200}
            known = get_json(self._session, "extras/journal-entries/", query)["results"]
            if any(other["comments"].startswith(about) for other in known):
                continue
            url = f"{self._session.granted.url}/api/extras/journal-entries/"
            comments = f"{about} {text}".strip()
            answer = self._session.post(url, json={**entry, "kind": kind, "comments": comments})
            require(answer, 201, 400)
            if answer.status_code == 201:
                added += 1
            else:
                say(f"no journal entry on {place}/{number}, which is no longer there")
        return added


def next_id(known: Known, year: int) -> str:
    """The next id of a year, such as MW-2026-0007, that none of these windows has."""
    matches = (re.fullmatch(rf"MW-{year}-(\d+)", window.id) for window in known)
    last = max((int(match[1]) for match in matches if match), default=0)
    return f"MW-{year}-{last + 1:04d}"


def _windows(value: Any, site: str) -> tuple[Window, ...]:
    if value is None:
        return ()
    try:
        return msgspec.convert(value, tuple[Window, ...])
    except msgspec.ValidationError as error:
        raise InputError(
            f"The custom field {WINDOWS} of {site} cannot be read; nothing was changed.",
            where=f"NetBox, site {site}",
            expected="what `invoke maintenance.plan` writes there, or nothing",
            found=str(error),
            remedy="mend the field in NetBox; its change log has what it held before",
        ) from error
