"""Speaks with the boot service: over TLS, with one authority only, which the command line names.

The authority's certificate is fetched without knowing anybody, and is then compared by digest with
the command line. Its times are not looked at: a new machine's clock may be years off, and the
authority lives no longer than the boot window. The clock is set from the first answer after that.
"""

import email.utils
import hashlib
import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from chapelle.installer.stop import Failed

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for.
_NO_TIME = 0x200000

_TIMEOUT = 20.0
# Seconds that the server may be away: it is restarted, or a switch on the way is.
_PATIENCE = 120.0
_PAUSE = 1.0
_CHUNK = 1 << 20

# The server says that this host has no business here (RFC 9110): asking again is of no use.
_FINAL = {400, 401, 403, 404, 405, 410}


class GoneError(Failed):
    """The boot window is closed, or this is none of its files."""


class Link:
    """A host's boot window at the boot service.

    Arguments:
        url: of the window, with its token.
        authority: SHA-256 of the file `ca.pem` below it, hexadecimal.
        patience: seconds that the server may be away.
    """

    def __init__(self, url: str, authority: str, patience: float = _PATIENCE) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Failed("the boot service is not reached by TLS", expected="https://", found=url)
        self._host, self._port = parts.hostname, parts.port or 443
        self._base = parts.path.rstrip("/")
        self._patience = patience
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        pem = self.get("ca.pem")
        found = hashlib.sha256(pem).hexdigest()
        if found != authority:
            raise Failed(
                "the boot service is not the one that the command line names",
                expected=f"ca.pem with SHA-256 {authority}",
                found=found,
            )
        self._context = ssl.create_default_context(cadata=pem.decode())
        self._context.verify_flags |= _NO_TIME

    def get(self, name: str) -> bytes:
        """A small file.

        Raises:
            Failed: it cannot be had.
        """
        body: bytes = self._patiently(lambda: self._ask("GET", name)[1])
        return body

    def post(self, name: str, data: bytes, kind: str = "application/octet-stream") -> None:
        """Hand something over.

        Raises:
            Failed: nobody took it.
        """
        self._patiently(lambda: self._ask("POST", name, data, {"Content-Type": kind})[1])

    def report(self, report: dict[str, Any]) -> None:
        """Hand over a report.

        Raises:
            Failed: nobody took it; the boot window may be closed.
        """
        self.post("report", json.dumps(report).encode(), "application/json")

    def set_clock(self) -> None:
        """Set the clock from the server's, if they are more than a minute apart."""
        response, _ = self._patiently(lambda: self._ask("GET", "ca.pem"))
        stated = response.getheader("Date")
        if stated:
            at = email.utils.parsedate_to_datetime(stated).timestamp()
            if abs(at - time.time()) > 60:
                time.clock_settime(time.CLOCK_REALTIME, at)

    def stream(self, name: str, size: int) -> Iterator[bytes]:
        """A large file in pieces; a connection that breaks is taken up where it broke.

        Raises:
            Failed: it cannot be had, or is longer or shorter than `size` bytes.
        """
        done = 0
        last = time.monotonic()
        while done < size:
            try:
                for piece in self._range(name, done, size):
                    done += len(piece)
                    last = time.monotonic()
                    yield piece
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() - last > self._patience:
                    raise self._away(name, error) from error
                time.sleep(_PAUSE)

    def _range(self, name: str, start: int, size: int) -> Iterator[bytes]:
        connection = self._connection()
        try:
            connection.request(
                "GET", f"{self._base}/{name}", headers={"Range": f"bytes={start}-{size - 1}"}
            )
            response = connection.getresponse()
            self._judge(response, name)
            if response.status != 206 and start:
                raise Failed(f"the boot service does not go on in the middle of {name}")
            left = size - start
            while left:
                piece = response.read(min(_CHUNK, left))
                if not piece:
                    raise http.client.IncompleteRead(b"", left)
                left -= len(piece)
                yield piece
        finally:
            connection.close()

    def _ask(
        self,
        method: str,
        name: str,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection()
        try:
            connection.request(method, f"{self._base}/{name}", data, headers or {})
            response = connection.getresponse()
            body = response.read()
            self._judge(response, name)
            return response, body
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=_TIMEOUT, context=self._context
        )

    def _judge(self, response: http.client.HTTPResponse, name: str) -> None:
        if response.status in _FINAL:
            raise GoneError(
                "the boot window is closed, or this host may not do that",
                expected=f"{name} to be served",
                found=f"HTTP {response.status} {response.reason}",
            )
        if response.status >= 300:
            raise http.client.HTTPException(f"HTTP {response.status} {response.reason}")

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        end = time.monotonic() + self._patience
        while True:
            try:
                return ask()
            except ssl.SSLCertVerificationError as error:
                raise Failed(
                    "the boot service's certificate is not good", found=str(error)
                ) from error
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > end:
                    raise self._away("it", error) from error
                time.sleep(_PAUSE)

    def _away(self, name: str, error: Exception) -> Failed:
        return Failed(
            "the boot service is away",
            expected=f"{name} to be served within {self._patience:.0f} s",
            found=str(error) or type(error).__name__,
        )
