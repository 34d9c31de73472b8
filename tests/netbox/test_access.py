"""What NetBox's failures become: against a small server that fails as told."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from chapelle.errors import ChapelleError, InputError
from chapelle.netbox import access as access_module
from chapelle.netbox.access import (
    Access,
    BrokenError,
    NotNetBoxError,
    Session,
    TokenError,
    UnreachableError,
    access,
    connect,
    get_json,
    getter,
)
from chapelle.settings import Settings

JSON = {"Content-Type": "application/json", "API-Version": "4.7"}
HTML = {"Content-Type": "text/html"}
FINE = (200, JSON, '{"count": 0, "results": []}')


class Failing(http.server.BaseHTTPRequestHandler):
    """Answers from `script`, one entry a request, the last one for ever; records the requests."""

    script: ClassVar[list[tuple[int, dict[str, str], str]]] = []
    seen: ClassVar[list[tuple[str, str, str]]] = []
    hang: ClassVar[threading.Event] = threading.Event()

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        status, headers, body = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if status == 0:
            self.hang.wait(30)
            return
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        cut = headers.get("X-Cut")
        self.send_header("Content-Length", str(len(body) + (1000 if cut else 0)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PATCH = answer  # noqa: N815

    def log_message(self, *_arguments: object) -> None:
        pass


class Server:
    def __init__(self, running: http.server.HTTPServer) -> None:
        self.running = running
        self.url = f"http://127.0.0.1:{running.server_address[1]}"
        self.seen = Failing.seen

    def handler(self, kind: type[Failing]) -> None:
        self.running.RequestHandlerClass = kind

    def session(self, *script: tuple[int, dict[str, str], str]) -> Session:
        Failing.script[:] = script
        return Session(Access(url=self.url, token="nbt_k.t", mode="read", embedded=False))


@pytest.fixture
def server() -> Iterator[Server]:
    Failing.seen.clear()
    Failing.hang.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Server(running)
        Failing.hang.set()
        running.shutdown()
        thread.join()


def settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load({"CHAPELLE_STATE": str(tmp_path), "CHAPELLE_TARGET": "lab", **environ})


def test_the_token_goes_along(server: Server) -> None:
    assert get_json(server.session(FINE), "dcim/sites/")["count"] == 0
    assert server.seen == [("GET", "/api/dcim/sites/", "Bearer nbt_k.t")]


def test_a_read_is_repeated_when_netbox_was_away_for_a_moment(server: Server) -> None:
    session = server.session((502, HTML, "<title>Bad Gateway</title>"), FINE)
    assert get_json(session, "dcim/sites/")["count"] == 0
    assert len(server.seen) == 2


def test_a_write_is_not_repeated(server: Server) -> None:
    session = server.session((502, HTML, "<title>Bad Gateway</title>"), FINE)
    with pytest.raises(UnreachableError, match="502") as failed:
        session.patch(f"{server.url}/api/dcim/sites/1/", json={})
    assert failed.value.found == "a page titled 'Bad Gateway'"
    assert len(server.seen) == 1


class Dropping(Failing):
    """Closes a kept connection as the second request arrives on it, as a server may any time."""

    protocol_version = "HTTP/1.1"

    def parse_request(self) -> bool:
        if self.close_connection is False:
            self.close_connection = True
            return False
        return super().parse_request()


def test_a_write_never_meets_a_connection_that_netbox_has_given_up(server: Server) -> None:
    """Nobody would know whether it was done; a read that meets one is repeated."""
    server.handler(Dropping)
    session = server.session(FINE)
    for _ in range(2):
        assert get_json(session, "dcim/sites/")["count"] == 0
        session.patch(f"{server.url}/api/dcim/sites/1/", json={}).raise_for_status()
    assert [method for method, *_ in server.seen] == ["GET", "PATCH", "GET", "PATCH"]


def test_one_that_stays_away_is_unreachable(server: Server) -> None:
    with pytest.raises(UnreachableError, match="503"):
        get_json(server.session((503, HTML, "later")), "dcim/sites/")
    assert len(server.seen) == 6


def test_a_fault_of_netbox_is_told_apart(server: Server) -> None:
    with pytest.raises(BrokenError, match="stumbled over GET /api/dcim/sites/"):
        get_json(server.session((500, JSON, '{"error": "no database"}')), "dcim/sites/")


@pytest.mark.parametrize(
    "answer",
    [
        (200, HTML, "<html><title>Sign in</title></html>"),
        (200, {"Content-Type": "application/json"}, '{"some": "other API"}'),
        (404, HTML, "<title>Not here</title>"),
        (302, {"Location": "https://login.example.org/"}, ""),
        (301, {**JSON, "Location": "https://netbox.example.org/"}, ""),
    ],
    ids=["a page", "another API", "a page that is missing", "a login", "a redirect"],
)
def test_what_is_not_netbox_is_said(server: Server, answer: tuple) -> None:
    with pytest.raises(NotNetBoxError) as failed:
        get_json(server.session(answer), "dcim/sites/")
    assert failed.value.found
    assert len(server.seen) == 1


def test_a_redirected_write_is_never_sent_on_as_a_read(server: Server) -> None:
    session = server.session((301, {"Location": f"{server.url}/elsewhere"}, ""), FINE)
    with pytest.raises(NotNetBoxError, match="not NetBox's API"):
        session.patch(f"{server.url}/api/dcim/sites/1/", json={})
    assert [method for method, *_ in server.seen] == ["PATCH"]


def test_an_old_netbox_is_said(server: Server) -> None:
    with pytest.raises(NotNetBoxError, match="too old") as failed:
        get_json(server.session((200, {**JSON, "API-Version": "4.6"}, "{}")), "dcim/sites/")
    assert failed.value.found == "NetBox 4.6"


def test_version_4_10_is_later_than_4_7(server: Server) -> None:
    assert get_json(server.session((200, {**JSON, "API-Version": "4.10"}, "{}")), "x/") == {}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Invalid v2 token", TokenError),
        ("Authentication credentials were not provided.", TokenError),
        ("You do not have permission to perform this action.", ChapelleError),
    ],
)
def test_a_wrong_token_and_a_missing_permission_differ(
    server: Server, words: str, kind: type[ChapelleError]
) -> None:
    with pytest.raises(ChapelleError) as failed:
        get_json(server.session((403, JSON, json.dumps({"detail": words}))), "dcim/sites/")
    assert type(failed.value) is kind
    assert words in str(failed.value)
    assert "nbt_k" not in str(failed.value)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "TIMEOUT", (1.0, 0.3))
    with pytest.raises(UnreachableError, match="does not answer"):
        get_json(server.session((0, {}, "")), "dcim/sites/")
    assert len(server.seen) == 2  # once more, no oftener


def test_an_answer_that_breaks_off_is_an_error(server: Server) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        get_json(server.session((200, {**JSON, "X-Cut": "yes"}, '{"count": 1, ')), "dcim/sites/")


def test_nobody_there_is_an_error_with_the_way_out() -> None:
    nowhere = Access(url="http://127.0.0.1:9", token="nbt_k.t", mode="read", embedded=True)
    with pytest.raises(UnreachableError, match="does not answer") as failed:
        get_json(Session(nowhere), "dcim/sites/")
    assert "Connection refused" in (failed.value.found or "")
    assert "netbox.up" in (failed.value.remedy or "")


def test_pynetbox_goes_the_same_way(server: Server) -> None:
    session = server.session((403, JSON, '{"detail": "Invalid v2 token"}'))
    api = connect(session.granted)
    with pytest.raises(TokenError, match="does not accept the token"):
        list(api.dcim.sites.all())
    with pytest.raises(TokenError, match="does not accept the token"):
        getter(api)("dcim/sites/", {"limit": 1})


def test_an_external_netbox_takes_its_tokens_from_the_environment(tmp_path: Path) -> None:
    given = settings(
        tmp_path, NETBOX_URL="https://netbox.example.org/", NETBOX_TOKEN="w", NETBOX_TOKEN_RO="r"
    )
    assert access(given, "read").token == "r"
    assert access(given, "write").token == "w"
    assert access(given, "write").url == "https://netbox.example.org"
    with pytest.raises(InputError, match="no token to seed") as failed:
        access(given, "seed")
    assert "NETBOX_TOKEN_SEED" in (failed.value.remedy or "")


def test_the_writers_token_never_stands_in_for_the_readers(tmp_path: Path) -> None:
    given = settings(tmp_path, NETBOX_URL="https://netbox.example.org", NETBOX_TOKEN="w")
    with pytest.raises(InputError, match="no token to read"):
        access(given, "read")


@pytest.mark.parametrize("url", ["netbox.example.org", "ftp://netbox", "https://"])
def test_an_address_that_is_none_is_said(tmp_path: Path, url: str) -> None:
    given = settings(tmp_path, NETBOX_URL=url, NETBOX_TOKEN_RO="r")
    with pytest.raises(InputError, match="NETBOX_URL is not an address"):
        access(given, "read")


def test_an_embedded_netbox_that_never_was_is_said(tmp_path: Path) -> None:
    with pytest.raises(ChapelleError, match="There is no NetBox yet"):
        access(settings(tmp_path), "read")


def test_tokens_stay_out_of_what_is_printed() -> None:
    granted = Access(url="http://x", token="nbt_secret.t", mode="read", embedded=False)
    assert "secret" not in repr(granted)
    assert "secret" not in str(granted)
