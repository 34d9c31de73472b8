"""A few words with a running QEMU (QEMU Machine Protocol: one JSON object a line)."""

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from chapelle.errors import ChapelleError

SOCKET = "qmp.sock"
SECONDS = 20.0


def ask(home: Path, *commands: tuple[str, dict[str, Any]]) -> list[Any]:
    """What QEMU answers to commands, in order.

    Arguments:
        home: the machine's directory.
        commands: the name and the arguments of each.

    Raises:
        ChapelleError: it does not answer, or refuses one.
    """
    try:
        with _connected(home) as connection, connection.makefile("rw") as stream:
            stream.readline()  # its greeting
            return [
                _one(stream, name, arguments)
                for name, arguments in (("qmp_capabilities", {}), *commands)
            ][1:]
    except (OSError, ValueError) as error:
        raise _wrong(home, str(error) or type(error).__name__) from error


def _connected(home: Path) -> socket.socket:
    """A connection; a socket's path may be 107 bytes long (unix(7)), and a home is longer."""
    descriptor = os.open(home, os.O_PATH | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(SECONDS)
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(descriptor)
    return connection


def _one(stream: Any, name: str, arguments: dict[str, Any]) -> Any:
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            raise ValueError(f"{name}: {answer['error'].get('desc')}")
    if name == "quit":
        return {}
    raise ValueError(f"{name}: it hung up")


def alive(home: Path) -> bool:
    """Whether a QEMU answers there."""
    with contextlib.suppress(ChapelleError):
        return bool(ask(home, ("query-status", {})))
    return False


def _wrong(home: Path, found: str) -> ChapelleError:
    return ChapelleError(
        "A machine of the lab does not obey.",
        where=str(home),
        expected="an answer from QEMU",
        found=found,
        remedy="look at its console.log and qemu.log",
    )
