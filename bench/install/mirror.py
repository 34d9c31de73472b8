"""What Debian's installer is told to fetch from: this machine's own archive, behind loopback.

The archive may be reached in a way that a virtual machine knows nothing of. Packages are kept in
the cache, so that each crosses the network once for all runs; indexes are fetched for each run.
"""

import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chapelle import files

PATIENCE = 60.0


class Handler(BaseHTTPRequestHandler):
    """One request of the machine."""

    protocol_version = "HTTP/1.1"
    mirror: "Mirror"

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""

    def do_GET(self) -> None:
        """Answer."""
        try:
            body = self.mirror.answer(self.path.partition("?")[0])
        except urllib.error.HTTPError as error:
            self._send(error.code, b"")
        except OSError as error:
            self._send(502, str(error).encode())
        else:
            self._send(200, body)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Mirror:
    """A server of archives, and of files made for the machine.

    Arguments:
        sources: as in apt's sources.list; what is fetched from is their addresses.
        here: how the machine sees this one.
        cache: where packages are kept.
    """

    def __init__(self, sources: tuple[str, ...], here: str, cache: Path) -> None:
        self._cache = cache
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler(_proxies()))
        self._archives: list[str] = []
        # What is served beside the archives, by path.
        self.files: dict[str, bytes] = {}
        # When each stage was told of, or each file was first asked for; time.monotonic().
        self.at: dict[str, float] = {}
        # Bytes that came over the network, and seconds that it took.
        self.fetched, self.seconds = 0, 0.0
        self.served = 0
        self._used: set[Path] = set()
        handler = type("Bound", (Handler,), {"mirror": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.authority = f"{here}:{self._server.server_address[1]}"
        self.url = f"http://{self.authority}"
        self.lines = [self._line(line) for line in sources]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _line(self, line: str) -> str:
        """A line of sources.list with our address."""
        parts = re.fullmatch(r"deb (\[.*?\] )?(\S+) (.*)", line)
        assert parts is not None
        option, uri, rest = parts.groups()
        if uri not in self._archives:
            self._archives.append(uri)
        return f"deb {option or ''}{self.url}/{self._archives.index(uri)} {rest}"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def prune(self) -> None:
        """Keep of the packages only those that were asked for."""
        for path in self._cache.rglob("*"):
            if path.is_file() and path not in self._used:
                path.unlink()

    def answer(self, path: str) -> bytes:
        """What is at a path of ours.

        Raises:
            HTTPError: the archive says no.
            OSError: the archive cannot be reached.
        """
        self.at.setdefault(path, time.monotonic())
        if path.startswith("/stage/"):
            return b""
        body = self.files[path] if path in self.files else self.get(path)
        self.served += len(body)
        return body

    def get(self, path: str) -> bytes:
        """A file of an archive, by our path of it: its number, and its path there.

        Raises:
            HTTPError: the archive says no.
            OSError: the archive cannot be reached.
        """
        kept = self._cache / path.lstrip("/")
        lasting = "/pool/" in path and ".." not in path
        self._used.add(kept)
        if lasting and kept.is_file():
            return kept.read_bytes()
        number, _, rest = path.lstrip("/").partition("/")
        if not number.isdigit() or int(number) >= len(self._archives):
            raise urllib.error.HTTPError(path, 404, "no such archive", Message(), None)
        began = time.monotonic()
        address = f"{self._archives[int(number)].rstrip('/')}/{rest}"
        with self._opener.open(address, timeout=PATIENCE) as response:
            body: bytes = response.read()
        self.seconds += time.monotonic() - began
        self.fetched += len(body)
        if lasting:
            kept.parent.mkdir(parents=True, exist_ok=True)
            files.write(kept, body, 0o644, durable=False)
        return body


def _proxies() -> dict[str, str]:
    """The proxies that apt uses, or else those of the environment."""
    found = urllib.request.getproxies()
    for scheme in ("http", "https"):
        name = f"Acquire::{scheme}::Proxy"
        said = subprocess.run(
            ["apt-config", "shell", "proxy", name], capture_output=True, text=True, check=True
        ).stdout
        if value := said.strip().removeprefix("proxy=").strip("'"):
            found[scheme] = value
            if value == "DIRECT":
                del found[scheme]
    return found
