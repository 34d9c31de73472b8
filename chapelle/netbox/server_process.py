"""Long-running processes of the embedded NetBox: started detached, recognised, stopped.

A process is recognised by its identity, so a stale record never matches another program. All carry
MARK in their environment with the state directory's path: that finds a process whose record was
never written, as after a kill -9 between start and record.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import msgspec

from chapelle import files, process
from chapelle.errors import ChapelleError
from chapelle.netbox.server_layout import Layout, read_json

MARK = "CHAPELLE_NETBOX_HOME"
LOG_LIMIT = 5 * 2**20

# Started by this Python process: asked for their exit status, so that none stays as a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


def environment(layout: Layout, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of the embedded NetBox: our mark, `more`, and little of ours.

    What libpq, Python, Django or NetBox would read out of the operator's own environment (PGPORT,
    PYTHONPATH, tokens) stays behind.
    """
    return {**process.environment(), **more, MARK: str(layout.home)}


def running(layout: Layout, name: str) -> int | None:
    """The process id of the service, when it runs."""
    for child in list(_children.values()):  # another thread may start one
        child.poll()
    recorded = str(read_json(layout.record(name)).get("process") or "")
    return process.pid_of(recorded) if process.alive(recorded) else None


def spawn(
    layout: Layout,
    name: str,
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> int:
    """Start a service in a session of its own, its output in its log, and record it.

    Arguments:
        layout: the embedded NetBox.
        name: the service; names its log and record.
        command: program and arguments.
        env: variables of its own, beside `environment`.
        options: passed on to subprocess.Popen (user, group, cwd, pass_fds).

    Returns: the process id.
    """
    log = layout.log(name)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        started = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment(layout, env or {}),
            **{"cwd": "/", **options},
        )
    finally:
        os.close(output)
    _children[started.pid] = started
    record = {"process": process.identity(started.pid)}
    files.write(layout.record(name), msgspec.json.encode(record))
    return started.pid


def await_ready(
    layout: Layout, name: str, ready: Callable[[], bool], timeout: float, interval: float = 0.05
) -> None:
    """Wait until the service is ready.

    Raises:
        ChapelleError: it ended, or is not ready after `timeout` seconds; its last log lines follow.
    """
    deadline = monotonic() + timeout
    while not ready():
        if running(layout, name) is None:
            raise failure(layout, name, f"NetBox's {name} ended right after its start.")
        if monotonic() > deadline:
            raise failure(layout, name, f"NetBox's {name} is not ready after {timeout:.0f} s.")
        sleep(interval)


def failure(layout: Layout, name: str, message: str) -> ChapelleError:
    """The error for a service that failed, with the last lines of its log."""
    return ChapelleError(
        message,
        where=str(layout.log(name)),
        found=tail(layout.log(name)),
        remedy="mend what the log says and run `invoke netbox.up` again",
    )


def tail(path: Path, lines: int = 8, limit: int = 8192) -> str:
    """The last lines of a log, indented for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "no log"
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n            ".join(kept) or "an empty log"


def stop(layout: Layout, name: str, first: signal.Signals, timeout: float) -> bool:
    """Stop the service: signal `first`, and SIGKILL when that did not help within `timeout` s.

    Returns: whether it was running.
    """
    pid = running(layout, name)
    if pid is not None:
        _end(pid, first, timeout)
    layout.record(name).unlink(missing_ok=True)
    return pid is not None


def stop_strays(layout: Layout) -> int:
    """Stop every process that carries our mark, recorded or not; returns how many there were."""
    stopped: set[int] = set()
    for _ in range(3):  # one may be forked while we look
        found = strays(layout)
        stopped |= set(found)
        for pid in found:
            _end(pid, signal.SIGTERM, 10)
    return len(stopped)


def strays(layout: Layout) -> list[int]:
    """Ids of the processes that carry our mark, in order of their start."""
    mark = f"{MARK}={layout.home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return sorted(pid for pid in found if process.identity(pid))


def session(pid: int) -> int:
    """The session that the process belongs to: the id of the service that led it; 0 when gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _end(pid: int, first: signal.Signals, timeout: float) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number, patience in ((first, timeout), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], patience)[0]:
                break
    finally:
        os.close(handle)
        if child := _children.pop(pid, None):
            child.poll()
