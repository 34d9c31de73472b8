"""The few requests that seeding makes, counted, with NetBox's refusals put into words."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from chapelle.errors import ChapelleError, InputError
from chapelle.netbox.access import Session, UnreachableError, in_words, require
from chapelle.netbox.seed.kinds import Json

PAGE = 1000
_REFUSED = {400, 403, 409}  # NetBox names the objects concerned
TIMEOUT = (5, 300)  # seconds to connect, and to wait for an answer: big batches take their time

# A kept connection belongs to one of NetBox's processes; a new one goes to one that has time.
_NOT_STICKY = {"Connection": "close"}


class UnsureError(ChapelleError):
    """A writing request got no clear answer: it may have happened, or not."""


class RefusedBatchError(InputError):
    """NetBox refused a batch, and did none of it. `reasons` are by place in the batch."""

    def __init__(self, message: str, reasons: Mapping[int, str], **details: str) -> None:
        super().__init__(message, **details)
        self.reasons = dict(reasons)


class Client:
    """NetBox's REST API as far as seeding needs it. May be used by several threads.

    Arguments:
        url: NetBox's address without a slash at its end.
        session: one that carries the token, repeats reads, and puts failures into words.
    """

    def __init__(self, url: str, session: Session) -> None:
        self.url = url
        self.session = session
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def read(self, endpoint: str, fields: Sequence[str], query: Mapping[str, Any]) -> list[Json]:
        """All objects of a list, by pages in the order of their ids.

        Raises:
            ChapelleError: NetBox does not answer, or answers something else.
        """
        found: list[Json] = []
        start = 0
        while True:
            page = {"fields": ",".join(fields), "limit": PAGE, "start": start, **query}
            response = self._request("GET", endpoint, params=page)
            require(response, 200)
            answer = response.json()
            found += answer["results"]
            if not answer["next"]:
                return found
            start = found[-1]["id"] + 1

    def create(self, endpoint: str, objects: Sequence[Json], fields: Sequence[str]) -> list[int]:
        """Create objects, all or none, and return their ids in the same order.

        Raises:
            RefusedBatchError: NetBox refuses one of them.
            UnsureError: nobody knows whether it happened.
        """
        response = self._write("POST", endpoint, objects, fields)
        return [record["id"] for record in response.json()]

    def update(self, endpoint: str, objects: Sequence[Json], fields: Sequence[str]) -> None:
        """Change objects, all or none; each carries its `id`.

        Raises:
            RefusedBatchError: NetBox refuses one of them.
            UnsureError: nobody knows whether it happened.
        """
        self._write("PATCH", endpoint, objects, fields)

    def _write(
        self, method: str, endpoint: str, objects: Sequence[Json], fields: Sequence[str]
    ) -> requests.Response:
        # With `fields`, NetBox neither builds nor returns the rest of each object, which for a
        # device costs more than creating it.
        params = {"fields": ",".join(dict.fromkeys(["id", *fields]))}
        try:
            response = self._request(
                method, endpoint, params=params, json=list(objects), headers=_NOT_STICKY
            )
        except UnreachableError as error:
            raise UnsureError(
                "NetBox did not answer a writing request.",
                where=f"{method} {endpoint}",
                found=error.found or error.message,
                remedy=error.remedy,
            ) from error
        if response.status_code in _REFUSED:
            raise _refused(response, objects)
        require(response, 200, 201)
        return response

    def _request(self, method: str, endpoint: str, **details: Any) -> requests.Response:
        url = f"{self.url}/api/{endpoint}/"
        with self._lock:
            self.counts[method] += 1
        return self.session.request(method, url, timeout=TIMEOUT, **details)


def _refused(response: requests.Response, objects: Sequence[Json]) -> RefusedBatchError:
    answer = response.json()
    places = {record["id"]: i for i, record in enumerate(objects) if "id" in record}
    reasons: dict[int, str] = {}
    for entry in answer.get("errors", []) if isinstance(answer, dict) else []:
        place = entry["index"] if "index" in entry else places.get(entry.get("id"), 0)
        reasons[place] = in_words(entry.get("errors"))
    detail = answer.get("detail") if isinstance(answer, dict) else None
    return RefusedBatchError(str(detail or in_words(answer)), reasons, where=response.url)
