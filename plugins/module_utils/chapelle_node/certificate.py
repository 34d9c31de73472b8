"""Reads an OpenSSH certificate (PROTOCOL.certkeys of OpenSSH), without starting a program."""

import base64
import binascii
from typing import Any

from .system import System

# What stands between the nonce and the serial number, by type: the number of fields of the key.
_KEY_FIELDS = {
    "ssh-ed25519-cert-v01@openssh.com": 1,
    "ssh-rsa-cert-v01@openssh.com": 2,
    "ecdsa-sha2-nistp256-cert-v01@openssh.com": 2,
    "ecdsa-sha2-nistp384-cert-v01@openssh.com": 2,
    "ecdsa-sha2-nistp521-cert-v01@openssh.com": 2,
}
HOST = 2


def read(system: System, path: str) -> dict[str, Any]:
    """`kind` (host or user), `id`, `principals`, `after` and `before` (seconds since the epoch).

    A certificate that is missing or damaged gives only `error`.
    """
    text = system.read(path)
    if text is None:
        return {"error": "there is none"}
    try:
        return parse(text)
    except (ValueError, IndexError, KeyError, binascii.Error) as error:
        return {"error": f"it cannot be read ({type(error).__name__}: {error})"}


def parse(text: str) -> dict[str, Any]:
    """Parse the one line of a certificate file.

    Raises:
        ValueError, IndexError, KeyError: it is no certificate that we know.
    """
    kind, encoded = text.split()[:2]
    reader = _Reader(base64.b64decode(encoded, validate=True))
    for _ in range(2 + _KEY_FIELDS[kind]):  # the type again, the nonce, the key
        reader.field()
    reader.number(8)  # serial
    role = reader.number(4)
    identity = reader.field().decode()
    names = _Reader(reader.field())
    principals = []
    while names.left:
        principals.append(names.field().decode())
    return {
        "kind": "host" if role == HOST else "user",
        "id": identity,
        "principals": sorted(principals),
        "after": reader.number(8),
        "before": reader.number(8),
    }


class _Reader:
    """SSH's wire format (RFC 4251, section 5)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.place

    def number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def field(self) -> bytes:
        return self._take(self.number(4))

    def _take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError("it ends too early")
        self.place += size
        return self.data[self.place - size : self.place]
