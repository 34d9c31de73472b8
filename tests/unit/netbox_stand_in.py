"""A small HTTP server that answers like NetBox's lists, and badly when it is told to.

For what a healthy NetBox cannot be brought to do: fail in the middle of a page, answer in HTML, be
slow, be of another version. Everything else is tested against the real one.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from chapelle.model.records import ENDPOINTS, Content, Record
from chapelle.model.references import REFERENCES

# What a fault does with a request: the handler, its path, its query -> whether it has answered.
type Fault = Callable[["Handler", str, dict[str, list[str]]], bool]


class StandIn:
    """The server's content, its change log, and what goes wrong."""

    def __init__(self, content: Content) -> None:
        self.lists = {
            path: {record.id: _as_sent(name, record) for record in getattr(content, name)}
            for name, path in ENDPOINTS.items()
        }
        ends = [
            {
                "cable": cable.id, "cable_end": side, "termination_type": end.object_type,
                "termination_id": end.object_id,
            }
            for cable in content.cables
            for side, plugged in (("A", cable.a_terminations), ("B", cable.b_terminations))
            for end in plugged
        ]  # fmt: skip
        self.lists["dcim/cable-terminations"] = {
            number: {"id": number, **end} for number, end in enumerate(ends, start=1)
        }
        self.changes: list[dict[str, Any]] = []
        self.version = "4.7.3"
        self.fault: Fault | None = None
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.url = ""

    def change(self, content_type: str, object_id: int, before: Any, after: Any) -> None:
        """Enter an update in the change log."""
        with self.lock:
            self.changes.append(
                {
                    "id": len(self.changes) + 1,
                    "request_id": f"request-{len(self.changes)}",
                    "time": f"2026-01-01T00:00:{len(self.changes):09}Z",
                    "user_name": "somebody",
                    "action": {"value": "update", "label": "Updated"},
                    "changed_object_type": content_type,
                    "changed_object_id": object_id,
                    "prechange_data": before,
                    "postchange_data": after,
                }
            )

    def set_status(self, device_id: int, status: str) -> None:
        """What a run does: set a device's status, which NetBox logs."""
        device = self.lists["dcim/devices"][device_id]
        before, device["status"] = device["status"], status
        self.change("dcim.device", device_id, {"status": before}, {"status": status})


def _as_sent(list_name: str, record: Record) -> dict[str, Any]:
    """A record with nested objects, as NetBox sends it."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    for field, target in REFERENCES[list_name].items():
        value = plain[field]
        if target == "tags":
            plain[field] = [{"id": 1, "slug": slug} for slug in value]
        elif isinstance(value, list | tuple):
            plain[field] = [{"id": item} for item in value]
        elif value is not None:
            plain[field] = {"id": value, "url": f"http://netbox/{value}/"}
    return plain


class Handler(BaseHTTPRequestHandler):
    """Answers GET requests out of the stand-in."""

    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/api/").strip("/")
        query = parse_qs(parts.query)
        with self.stand_in.lock:
            self.stand_in.requests.append(self.path)
        fault = self.stand_in.fault
        if fault and fault(self, path, query):
            return
        if path == "status":
            self.json({"netbox-version": self.stand_in.version, "plugins": {}})
        elif path == "core/object-changes":
            self.json(self._changes(query))
        elif path in self.stand_in.lists:
            self.json(self._list(path, query))
        elif path == "":
            self.json({})
        else:
            self.send(404, b'{"detail": "No such thing."}')

    def _list(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        with self.stand_in.lock:
            records = [dict(record) for _, record in sorted(self.stand_in.lists[path].items())]
        if ids := query.get("id"):
            records = [record for record in records if str(record["id"]) in ids]
        if end := query.get("id__lt"):
            records = [record for record in records if record["id"] < int(end[0])]
        return self._page(records, query)

    def _changes(self, query: dict[str, list[str]]) -> dict[str, Any]:
        with self.stand_in.lock:
            entries = list(self.stand_in.changes)
        if ids := query.get("id"):
            entries = [entry for entry in entries if str(entry["id"]) in ids]
        return self._page(entries, query)

    def _page(self, records: list[Any], query: dict[str, list[str]]) -> dict[str, Any]:
        """As NetBox pages: by a cursor if `start` is given, and then without a count."""
        limit, offset = int(query["limit"][0]), int(query.get("offset", ["0"])[0])
        fields = query["fields"][0].split(",")
        start = query.get("start")
        if start:
            records = [record for record in records if record["id"] >= int(start[0])]
        if query.get("ordering") == ["-id"]:
            records = records[::-1]
        return {
            "count": None if start else len(records),
            "next": "more" if offset + limit < len(records) else None,
            "results": [
                {name: value for name, value in record.items() if name in fields}
                for record in records[offset : offset + limit]
            ],
        }

    def json(self, document: Any) -> None:
        self.send(200, msgspec.json.encode(document))

    def send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("API-Version", ".".join(self.stand_in.version.split(".")[:2]))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(content: Content) -> Iterator[StandIn]:
    """Serve that content on a loopback port."""
    stand_in = StandIn(content)
    handler = type("OneHandler", (Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def times(count: int, fault: Fault, *, where: str = "") -> Fault:
    """That fault for the first `count` requests whose path and query contain `where`."""
    left = [count]
    lock = threading.Lock()

    def some(handler: Handler, path: str, query: dict[str, list[str]]) -> bool:
        if where not in handler.path:
            return False
        with lock:
            if left[0] <= 0:
                return False
            left[0] -= 1
        return fault(handler, path, query)

    return some


def answer(status: int, body: bytes, kind: str = "application/json") -> Fault:
    """A fault that answers so."""

    def fault(handler: Handler, _path: str, _query: dict[str, list[str]]) -> bool:
        handler.send(status, body, kind)
        return True

    return fault


def truncated(handler: Handler, _path: str, _query: dict[str, list[str]]) -> bool:
    """A fault that promises more than it sends, and hangs up."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"count": 1, "results": [')
    handler.close_connection = True
    return True


def slow(seconds: float) -> Fault:
    """A fault that waits before everything goes on as usual."""

    def fault(_handler: Handler, _path: str, _query: dict[str, list[str]]) -> bool:
        time.sleep(seconds)
        return False

    return fault
