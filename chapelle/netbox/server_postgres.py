"""The embedded NetBox's own PostgreSQL cluster: Debian's binaries, Unix socket only.

PostgreSQL refuses to run as root. For root the server runs as Debian's user `postgres`, which may
not pass through a closed home directory to our data. It need not: we open the data directory and
hand the descriptor down, and the server reaches it as /proc/self/fd/N, whatever lies above.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from chapelle import process
from chapelle.errors import ChapelleError
from chapelle.netbox.server_layout import Layout, Say
from chapelle.netbox.server_process import await_ready, running, spawn, stop

NAME = "postgres"
ROLE = "netbox"
INSTALLATIONS = Path("/usr/lib/postgresql")

# One machine, one application, some dozen connections.
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "jit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def binaries(layout: Layout) -> Path:
    """The directory of the programs that fit the data directory; else the highest version.

    Raises:
        ChapelleError: that version is not installed.
    """
    installed = {int(path.name): path / "bin" for path in INSTALLATIONS.glob("[0-9]*")}
    installed = {major: path for major, path in installed.items() if (path / "initdb").exists()}
    version = layout.data / "PG_VERSION"
    if version.exists():
        major = int(version.read_text())
        remedy = f"install postgresql-{major}, or begin anew with `invoke netbox.reset`"
    else:
        major = max(installed, default=0)
        remedy = "install the package postgresql"
    if major not in installed:
        raise ChapelleError(
            "PostgreSQL's server is not installed.",
            where=str(INSTALLATIONS),
            expected=f"version {major}" if major else "any version",
            found=", ".join(map(str, sorted(installed))) or "none",
            remedy=remedy,
        )
    return installed[major]


def major(layout: Layout) -> str:
    """PostgreSQL's major version, such as `15`."""
    return binaries(layout).parent.name


def start(layout: Layout, say: Say) -> None:
    """Create the cluster if there is none, and start its server if it does not run."""
    if running(layout, NAME):
        return
    if not layout.data.exists():
        _create(layout, say)
    layout.postgres_socket.mkdir(mode=0o700, exist_ok=True)
    _give(layout.postgres_socket)
    _clear_remains(layout)
    options = {**SETTINGS, "unix_socket_directories": str(layout.postgres_socket)}
    with _reach(layout.data) as (path, user):
        command: list[str | Path] = [binaries(layout) / "postgres", "-D", path]
        for key, value in options.items():
            command += ["-c", f"{key}={value}"]
        spawn(layout, NAME, command, **user)
    await_ready(layout, NAME, lambda: _ready(layout), timeout=120)


def shut_down(layout: Layout) -> bool:
    """Stop the server: SIGINT is PostgreSQL's fast shutdown. Returns whether it was running."""
    return stop(layout, NAME, signal.SIGINT, timeout=60)


def sql(layout: Layout, statement: str, database: str = "postgres") -> str:
    """Run one statement and return its rows, fields parted by `|`.

    Raises:
        ChapelleError: PostgreSQL refused it.
    """
    return run(layout, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement)


def run(layout: Layout, program: str, *arguments: str | Path) -> str:
    """Run one of PostgreSQL's client programs against our server; returns its output.

    Raises:
        ChapelleError: it failed.
    """
    command = [binaries(layout) / program, "-h", layout.postgres_socket, "-U", ROLE, *arguments]
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=process.environment(),
    )
    if done.returncode:
        raise ChapelleError(
            f"{program} failed.",
            where=str(layout.data),
            found=done.stderr.strip()[-600:],
            remedy="see the log postgres.log; `invoke netbox.reset` begins anew",
        )
    return done.stdout.strip()


def _ready(layout: Layout) -> bool:
    command = [binaries(layout) / "pg_isready", "-q", "-d", "postgres", "-U", ROLE]
    command += ["-h", layout.postgres_socket]
    done = subprocess.run(
        [str(part) for part in command], check=False, cwd="/", env=process.environment()
    )
    return done.returncode == 0


def _create(layout: Layout, say: Say) -> None:
    say("creating a PostgreSQL cluster")
    fresh = layout.data.with_name("data.part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    _give(fresh)
    with _reach(fresh) as (path, user):
        command = [binaries(layout) / "initdb", "-D", path, "-U", ROLE, "-A", "peer"]
        command += ["-E", "UTF8", "--locale=C.UTF-8"]
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            env=process.environment(),
            **{"cwd": "/", **user},
        )
    if done.returncode:
        raise ChapelleError(
            "PostgreSQL's initdb failed.",
            where=str(fresh),
            found=(done.stderr.strip() or done.stdout.strip())[-600:],
            remedy="mend what it says (often a full disk) and run the same command again",
        )
    # Only we and the server's own user may connect, as the one role that there is.
    users = sorted({pwd.getpwuid(os.geteuid()).pw_name, _server_user() or "root"})
    lines = "".join(f"chapelle {user} {ROLE}\n" for user in users)
    (fresh / "pg_ident.conf").write_text(lines)
    (fresh / "pg_hba.conf").write_text(f"local all {ROLE} peer map=chapelle\n")
    fresh.rename(layout.data)


def _clear_remains(layout: Layout) -> None:
    """Make way after a crash; called when no server of ours runs.

    The backends of a server that was killed leave by themselves, after a moment. Its lock files
    name a process id that another process may have by now, or that init has not yet reaped.
    """
    deadline = monotonic() + 10
    while left := _working_in(layout.data):
        if monotonic() > deadline:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        sleep(0.05)
    (layout.data / "postmaster.pid").unlink(missing_ok=True)
    for path in layout.postgres_socket.iterdir():
        path.unlink()


def _working_in(directory: Path) -> list[int]:
    """Ids of the processes whose working directory this is: PostgreSQL's, for its data."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, a zombie, or another user's
            if (entry / "cwd").samefile(directory):
                found.append(int(entry.name))
    return found


def _server_user() -> str | None:
    """Whom the server runs as: None is ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise ChapelleError(
            "PostgreSQL does not run as root and there is no user for it.",
            expected="the system user postgres, which Debian's package postgresql creates",
            remedy="install the package postgresql",
        ) from None


def _give(path: Path) -> None:
    if user := _server_user():
        shutil.chown(path, user, user)


@contextlib.contextmanager
def _reach(directory: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The directory's name for the server, and the options that start a process as its user."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        options: dict[str, Any] = {"pass_fds": (handle,)}
        if user := _server_user():
            options |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        yield f"/proc/self/fd/{handle}", options
    finally:
        os.close(handle)
