"""Reads all of NetBox's lists that a snapshot holds, in parallel pages, and counts what came.

The first page of a list is its end: the objects with the highest ids, and how many there are in
all. What is below is cut into ranges of ids that are read side by side. A page that began at some
place of the list, as is usual, would skip an object or show it twice whenever another before it is
deleted or made meanwhile; an id stays where it is.
"""

from collections.abc import Callable, Iterator, Mapping
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
        last = {name: pool.submit(_last_page, get, name) for name in names}
        rest: dict[str, list[Future[list[Record]]]] = {}
        for name in names:
            page = last[name].result()
            size = len(page.results)  # NetBox may allow fewer than we asked for
            rest[name] = [pool.submit(_range, get, name, ids, size) for ids in _ranges_below(page)]
        lists = {
            name: _whole(name, last[name].result(), [part.result() for part in rest[name]])
            for name in names
        }
        # What took several pages was counted before most of them were read.
        long = [name for name in names if rest[name]]
        for name, counted in zip(long, pool.map(lambda name: _count(get, name), long), strict=True):
            _require_count(name, counted, len(lists[name]))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    ends = lists.pop(CABLE_ENDS)
    return Content(**with_ends(lists, ends))  # type: ignore[arg-type]


def check_counts(get: Get, content: Content) -> None:
    """Make sure that NetBox has as many objects of each kind as the content.

    Raises:
        MovedError: it has not.
    """
    expected = {name: len(getattr(content, name)) for name in MODELS}
    expected[CABLE_ENDS] = sum(
        len(cable.a_terminations) + len(cable.b_terminations) for cable in content.cables
    )

    with ThreadPoolExecutor(PARALLEL) as pool:
        counts = pool.map(lambda name: _count(get, name), expected)
        for name, counted in zip(expected, counts, strict=True):
            _require_count(name, counted, expected[name])


class _Count(msgspec.Struct):
    count: int | None


def _count(get: Get, list_name: str) -> int | None:
    """How many objects NetBox counts in the list."""
    answer = get(f"{_PATHS[list_name]}/", {"fields": "id", "limit": 1})
    return msgspec.json.decode(answer, type=_Count).count


def _require_count(list_name: str, counted: int | None, known: int) -> None:
    if counted != known:
        raise MovedError(f"{_PATHS[list_name]}: NetBox counts {counted}, {known} came")


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


def _last_page(get: Get, list_name: str) -> Page:
    """The objects of the highest ids, the highest first, and the count of all."""
    query: Query = {"fields": wanted_fields(list_name), "ordering": "-id", "limit": PAGE_SIZE}
    return _decoded(list_name, get(f"{_PATHS[list_name]}/", query))


def _ranges_below(page: Page) -> Iterator[tuple[int, int]]:
    """Ranges of ids, each without its end, that hold all objects that are not on the last page.

    They are as many as there would be pages if the ids were spread evenly. Ids that follow one
    another, as they do after a seeding, fill them exactly.
    """
    missing = (page.count or 0) - len(page.results)
    if not page.results or missing <= 0:
        return
    end = page.results[-1].id
    pages = -(-missing // len(page.results))
    width = max(1, -(-(end - 1) // pages))
    for start in range(1, end, width):
        yield start, min(start + width, end)


def _range(get: Get, list_name: str, ids: tuple[int, int], size: int) -> list[Record]:
    """The objects of a range of ids: one page, or more where the ids are denser than elsewhere."""
    found: list[Record] = []
    start, end = ids
    while start < end:
        query: Query = {
            "fields": wanted_fields(list_name),
            "start": start,
            "id__lt": end,
            "limit": size,
        }
        results = _decoded(list_name, get(f"{_PATHS[list_name]}/", query)).results
        found += results
        if len(results) < size:
            break
        start = results[-1].id + 1
    return found


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


def _whole(list_name: str, last: Page, parts: list[list[Record]]) -> tuple[Record, ...]:
    """The records of all pages by id, when they are as many as NetBox counted at first."""
    came = [*last.results, *(record for part in parts for record in part)]
    records = {record.id: record for record in came}
    if not len(came) == len(records) == last.count:
        raise MovedError(f"{_PATHS[list_name]}: NetBox counts {last.count}, {len(came)} came")
    return tuple(records[key] for key in sorted(records))
