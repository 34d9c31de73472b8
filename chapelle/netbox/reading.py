"""Reads all of NetBox's lists that a snapshot holds, in parallel pages, and counts what came."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from chapelle.errors import ChapelleError
from chapelle.model.records import ENDPOINTS, Content, Record
from chapelle.model.references import MODELS
from chapelle.netbox.decoding import CABLE_ENDS, Page, decode_page, wanted_fields, with_ends

type Query = dict[str, str | int | list[int]]

# `get(path below /api/, query parameters)` gives the bytes of a successful answer.
type Get = Callable[[str, Mapping[str, str | int | list[int]]], bytes]

# Requests under way at one time. NetBox answers each with one worker process; a few more than it
# has keep them busy while we decode, and many more would only queue, or starve other users.
PARALLEL = 4

# Objects a page: NetBox's limit by default. Each request costs it some 15 ms beside the objects.
PAGE_SIZE = 1000

# Objects named in one request by their ids; each takes some ten characters of the URL.
IDS_A_REQUEST = 100

_PATHS = {**ENDPOINTS, CABLE_ENDS: "dcim/cable-terminations"}

# Lists with many objects come first, so that nobody waits for one of their pages at the end.
_LARGE_FIRST = ("interfaces", "power_outlets", CABLE_ENDS, "cables", "inventory_items", "devices")


class MovedError(Exception):
    """NetBox changed while it was read: what came does not fit together."""


def read_content(get: Get) -> Content:
    """Read every list once.

    Raises:
        MovedError: the number of objects changed while they were read.
        ChapelleError: NetBox does not answer as it should; from `get`, or the answer's content.
    """
    names = (*_LARGE_FIRST, *(name for name in MODELS if name not in _LARGE_FIRST))
    pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="snapshot")
    try:
        first = {name: pool.submit(_page, get, name, 0, PAGE_SIZE) for name in names}
        rest: dict[str, list[Future[Page]]] = {}
        for name in names:
            page = first[name].result()
            size = len(page.results)  # NetBox may allow fewer than we asked for
            offsets = range(size, page.count or 0, size) if size else ()
            rest[name] = [pool.submit(_page, get, name, offset, size) for offset in offsets]
        lists = {
            name: _whole(name, [first[name].result(), *(future.result() for future in rest[name])])
            for name in names
        }
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    lists["cables"] = with_ends(lists["cables"], lists.pop(CABLE_ENDS))  # type: ignore[arg-type]
    return Content(**lists)  # type: ignore[arg-type]


def check_counts(get: Get, content: Content) -> None:
    """Make sure that NetBox has as many objects of each kind as the content.

    Raises:
        MovedError: it has not.
    """
    expected = {name: len(getattr(content, name)) for name in MODELS}
    expected[CABLE_ENDS] = sum(
        len(cable.a_terminations) + len(cable.b_terminations) for cable in content.cables
    )

    def count(list_name: str) -> int | None:
        answer = get(f"{_PATHS[list_name]}/", {"fields": "id", "limit": 1})
        return msgspec.json.decode(answer, type=_Count).count

    with ThreadPoolExecutor(PARALLEL) as pool:
        for name, counted in zip(expected, pool.map(count, expected), strict=True):
            if counted != expected[name]:
                raise MovedError(f"{_PATHS[name]}: NetBox counts {counted}, {expected[name]} known")


class _Count(msgspec.Struct):
    count: int | None


def read_some(get: Get, list_name: str, ids: list[int]) -> dict[int, Record]:
    """Read the objects of those ids; one that is gone is absent from the answer."""
    found: dict[int, Record] = {}
    for start in range(0, len(ids), IDS_A_REQUEST):
        chunk = ids[start : start + IDS_A_REQUEST]
        query: Query = {
            "fields": wanted_fields(list_name),
            "id": chunk,
            "limit": len(chunk),
        }
        page = _decoded(list_name, get(f"{_PATHS[list_name]}/", query))
        found.update({record.id: record for record in page.results})
    return found


def _page(get: Get, list_name: str, offset: int, size: int) -> Page:
    query: Query = {
        "fields": wanted_fields(list_name),
        "ordering": "id",
        "limit": size,
        "offset": offset,
    }
    return _decoded(list_name, get(f"{_PATHS[list_name]}/", query))


def _decoded(list_name: str, data: bytes) -> Page:
    try:
        return decode_page(list_name, data)
    except msgspec.DecodeError as error:  # a ValidationError is one
        raise ChapelleError(
            "NetBox's answer is not what its version should send.",
            where=f"/api/{_PATHS[list_name]}/",
            expected=f"a list of objects with the fields {wanted_fields(list_name)}",
            found=str(error),
            remedy="compare NetBox's version with the supported one (README); look for a proxy",
        ) from error


def _whole(list_name: str, pages: list[Page]) -> tuple[Record, ...]:
    """The records of all pages by id, when they are as many as NetBox said, each time it said."""
    records = {record.id: record for page in pages for record in page.results}
    came = sum(len(page.results) for page in pages)
    counts = {page.count for page in pages}
    if counts != {len(records)} or came != len(records):
        said = " and ".join(str(count) for count in sorted(counts, key=str))
        raise MovedError(f"{_PATHS[list_name]}: NetBox counts {said}, {len(records)} came")
    return tuple(records[key] for key in sorted(records))
