"""The embedded NetBox's own Redis (or Valkey): Unix socket only, nothing kept on disk.

It holds NetBox's cache and its queue of background jobs; neither outlives the machine.
"""

import shutil
import signal
import socket
from pathlib import Path

from chapelle.errors import ChapelleError
from chapelle.netbox.server_layout import Layout
from chapelle.netbox.server_process import await_ready, running, spawn, stop

NAME = "redis"
PROGRAMS = ("redis-server", "valkey-server")


def program() -> str:
    """The path of the server that is installed.

    Raises:
        ChapelleError: neither is.
    """
    for name in PROGRAMS:
        if path := shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/sbin"):
            return path
    raise ChapelleError(
        "Neither Redis nor Valkey is installed.",
        expected=" or ".join(PROGRAMS),
        remedy="install the package redis-server or valkey-server",
    )


def start(layout: Layout) -> None:
    """Start the server if it does not run."""
    if running(layout, NAME):
        return
    layout.redis_socket.unlink(missing_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(layout.redis_socket),
        "unixsocketperm": "700",
        "dir": str(layout.home / "redis"),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "volatile-lru",
        "set-proc-title": "no",  # it would wipe the environment that we recognise it by
    }
    command = [program()]
    for key, value in options.items():
        command += [f"--{key}", value]
    spawn(layout, NAME, command)
    await_ready(layout, NAME, lambda: answers(layout.redis_socket), timeout=30)


def shut_down(layout: Layout) -> bool:
    """Stop the server. Returns whether it was running."""
    return stop(layout, NAME, signal.SIGTERM, timeout=15)


def answers(path: Path) -> bool:
    """Whether a Redis answers PING at the socket."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
