"""The TCP connection below a session, made in the network namespace where the switch is reached."""

import contextlib
import os
import socket
from collections.abc import Iterator

from chapelle.drivers.switch.contract import Target

# Linux goes on sending what is not acknowledged for a quarter of an hour (tcp(7)): too long.
USER_TIMEOUT_SECONDS = 15


def connect(target: Target) -> socket.socket:
    """A connection that was made in the target's namespace; nothing else of us goes there."""
    with inside(target.namespace):
        family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
        link = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        link.settimeout(target.timeout)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        milliseconds = USER_TIMEOUT_SECONDS * 1000
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        link.connect((target.address, target.port))
    except BaseException:
        link.close()
        raise
    return link


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace, this thread only (setns(2)); sockets made meanwhile stay in it.

    Arguments:
        namespace: a path, a name as `ip netns` has it, or empty for where we are.
    """
    if not namespace:
        yield
        return
    path = namespace if "/" in namespace else f"/run/netns/{namespace}"
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.setns(there, os.CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            yield
        finally:
            os.setns(home, os.CLONE_NEWNET)
    finally:
        os.close(home)
