"""The embedded NetBox, brought up and down for real, in good weather and bad."""

import contextlib
import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import requests

from chapelle import files, process
from chapelle.errors import ChapelleError, RefusedError
from chapelle.netbox import server, server_process, server_secrets
from chapelle.netbox import server_database as database
from chapelle.netbox import server_postgres as postgres
from chapelle.netbox.access import Session, access, get_json, require
from chapelle.netbox.server_layout import Layout
from chapelle.settings import ROOT, Settings

pytestmark = pytest.mark.netbox


@pytest.fixture(scope="module")
def own(new_state) -> Settings:
    """A NetBox that these tests may spoil, in a state directory whose path no socket could have."""
    settings = new_state()
    deep = settings.state / ("deep" * 25)
    settings = msgspec.structs.replace(settings, state=deep)
    yield settings
    server.reset(settings, print)


@pytest.fixture
def layout(own: Settings) -> Layout:
    return Layout.of(own)


@contextlib.contextmanager
def bystander(user: str | None = None) -> Iterator[int]:
    """A process that is none of ours."""
    options = {"user": user, "cwd": "/"} if user else {}
    with subprocess.Popen(["sleep", "3600"], **options) as process:
        try:
            yield process.pid
            assert process.poll() is None, "a process that is not ours was stopped"
        finally:
            process.kill()


def up(settings: Settings) -> list[str]:
    said: list[str] = []
    server.up(settings, said.append)
    return said


def sites(settings: Settings) -> list[str]:
    found = get_json(Session(access(settings, "read")), "dcim/sites/")["results"]
    return [site["name"] for site in found]


def keep_a_site(settings: Settings) -> None:
    seeder = Session(access(settings, "seed"))
    site = {"name": "Kept", "slug": "kept"}
    require(seeder.post(f"{seeder.granted.url}/api/dcim/sites/", json=site), 201)


def test_up_from_nothing(own: Settings, layout: Layout) -> None:
    url = server.up(own, print)
    assert server.status(own).answering
    for mode in server_secrets.MODES:
        assert get_json(Session(access(own, mode)), "status/")["netbox-version"]
    page = requests.get(f"{url}/login/", timeout=60).text
    assert "netbox.css" in page
    style = requests.get(f"{url}/static/netbox.css", timeout=60)
    assert (style.status_code, style.headers["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    keep_a_site(own)


def test_nothing_is_open_to_others(own: Settings, layout: Layout) -> None:
    secret = [layout.tokens, layout.password, layout.home / "keys.json"]
    secret.append(layout.conf / "conf" / "configuration.py")
    assert [stat.S_IMODE(path.stat().st_mode) for path in secret] == [0o600] * 4
    assert stat.S_IMODE(layout.home.stat().st_mode) == 0o700
    assert postgres.sql(layout, "SHOW listen_addresses") == ""
    port = int(server.status(own).url.rpartition(":")[2])
    assert listeners(layout) == {("0100007F", port)}  # 127.0.0.1 in the kernel's byte order


def test_secrets_are_in_no_argument_list(own: Settings, layout: Layout) -> None:
    secrets = {*server_secrets.tokens(layout).values(), layout.password.read_text().strip()}
    for pid in server_process.strays(layout):
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in arguments for secret in secrets)


def test_nothing_of_our_own_environment_reaches_its_processes(
    own: Settings, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token, and nothing that makes a program speak to another server or load other code."""
    server.down(own, print)
    strange = {"NETBOX_TOKEN": "secret", "PGPORT": "6000", "PGUSER": "me", "PYTHONPATH": "/none"}
    with monkeypatch.context() as patched:
        for name, value in strange.items():
            patched.setenv(name, value)
        server.up(own, print)
    # By another command, from another shell.
    assert sites(own) == ["Kept"]
    assert postgres.sql(layout, "SELECT 1") == "1"
    for pid in server_process.strays(layout):
        entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
        assert not strange.keys() & {entry.partition("=")[0] for entry in entries}


def test_up_again_changes_nothing(own: Settings) -> None:
    before = server.status(own)
    assert up(own) == [f"NetBox is up: {before.url}"]
    assert server.status(own) == before


def test_a_netbox_that_lacks_a_token_gets_it_and_keeps_the_others(
    own: Settings, layout: Layout
) -> None:
    """One that was made before there was a mode of access."""
    tokens = server_secrets.tokens(layout)
    kept = {mode: token for mode, token in tokens.items() if mode != "tenancy"}
    layout.tokens.write_text(json.dumps(kept))
    assert not server.status(own).answering
    assert json.loads(layout.tokens.read_text()) == kept  # asking changes nothing
    up(own)
    assert server_secrets.tokens(layout).items() >= kept.items()
    assert get_json(Session(access(own, "tenancy")), "status/")["netbox-version"]


def test_up_after_a_crash_of_everything(own: Settings, layout: Layout) -> None:
    """Processes gone, their numbers taken by others, and the port too."""
    url = server.status(own).url
    while left := server_process.strays(layout):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    postmaster = layout.data / "postmaster.pid"
    assert postmaster.exists()
    assert not server.status(own).answering
    port = int(url.rpartition(":")[2])
    owner = pwd.getpwuid(layout.data.stat().st_uid).pw_name
    with bystander() as one, bystander(owner) as two, socket.socket() as taker:
        take(taker, port)
        boot = process.identity(one).split(":")[0]
        for name in server.SERVICES:
            layout.record(name).write_text(f'{{"process": "{boot}:{one}:1"}}')
        lines = postmaster.read_text().splitlines()
        postmaster.write_text("\n".join([str(two), *lines[1:]]) + "\n")
        said = up(own)
    assert any(f"port {port} is taken" in line for line in said)
    assert server.status(own).url != url
    assert sites(own) == ["Kept"]


def test_up_after_a_start_that_was_cut_short(own: Settings, layout: Layout) -> None:
    """The database half-made, and a process whose record was not written."""
    layout.record("web").unlink()
    postgres.sql(layout, f"DROP DATABASE {database.NAME} WITH (FORCE)")
    postgres.sql(layout, f"CREATE DATABASE {database.FRESH}")
    said = up(own)
    assert any("cut short" in line for line in said)
    assert any("half-made" in line for line in said)
    assert sites(own) == []
    assert len(listeners(layout)) == 1


def test_a_web_server_that_dies_shows_its_last_words(own: Settings, layout: Layout) -> None:
    good = layout.tokens.read_text()
    server.down(own, print)
    layout.tokens.write_text('{"read": "nbt_far-too-long-a-key.x", "write": "w", "seed": "s"}')
    try:
        with pytest.raises(ChapelleError, match="web ended right after its start") as failed:
            server.up(own, print)
        assert "value too long" in (failed.value.found or "")
        assert not server.status(own).answering
    finally:
        layout.tokens.write_text(good)


def test_two_at_once_bring_up_one(own: Settings, layout: Layout) -> None:
    with ThreadPoolExecutor(2) as pool:
        urls = set(pool.map(lambda _: server.up(own, print), range(2)))
    assert len(urls) == 1
    leaders = {server_process.session(pid) for pid in server_process.strays(layout)}
    assert leaders == set(server.status(own).processes.values())


def test_the_database_of_another_version(own: Settings, layout: Layout) -> None:
    server.down(own, print)
    layout.make()
    postgres.start(layout, print)
    postgres.sql(layout, f"COMMENT ON DATABASE {database.NAME} IS '99.0.1'")
    with pytest.raises(RefusedError, match="newer NetBox"):
        server.up(own, print)
    postgres.sql(layout, f"COMMENT ON DATABASE {database.NAME} IS '4.7.0'")
    said = up(own)
    version = server.status(own).version
    assert any(f"NetBox 4.7.0 becomes {version}" in line for line in said)
    assert (layout.home / f"before-{version}.dump").exists()
    assert postgres.sql(layout, database.VERSION_OF_DATABASE) == version


# Makes of the database one of a NetBox before two of its apps were there, and lets the migration of
# the second one wait for ever when it has made its table.
OLDER = """
DROP TABLE thumbnail_kvstore;
DROP TABLE django_session;
DELETE FROM django_migrations WHERE app IN ('thumbnail', 'sessions');
CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c
             WHERE c.object_identity IN ('public.thumbnail_kvstore', 'public.django_session'))
     AND (SELECT count(*) FROM django_migrations WHERE app IN ('thumbnail', 'sessions')) = 1
  THEN PERFORM pg_sleep(3600);
  END IF;
END $$;
CREATE EVENT TRIGGER wait ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION wait();
"""
SLEEPING = "SELECT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
APPLIED = "SELECT count(*) FROM django_migrations"


def test_an_upgrade_that_is_killed_in_the_middle_is_done_by_the_next_up(
    own: Settings, layout: Layout
) -> None:
    """Neither the database nor what was saved of it is ever half an older and half a newer one."""
    keep_a_site(own)
    everything = postgres.sql(layout, APPLIED, database.NAME)
    server.down(own, print)
    layout.make()
    postgres.start(layout, print)
    postgres.sql(layout, f"COMMENT ON DATABASE {database.NAME} IS '4.7.0'")
    postgres.sql(layout, OLDER, database.NAME)
    before = postgres.sql(layout, APPLIED, database.NAME)

    environ = {**os.environ, "CHAPELLE_STATE": str(own.state)}
    command = [sys.executable, "-m", "invoke", "netbox.up"]
    with subprocess.Popen(command, cwd=ROOT, env=environ) as upgrading:
        deadline = time.monotonic() + 180
        while not (where := postgres.sql(layout, SLEEPING)):
            assert upgrading.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        upgrading.kill()
    assert where != database.NAME
    assert postgres.sql(layout, APPLIED, database.NAME) == before
    assert postgres.sql(layout, database.VERSION_OF_DATABASE) == "4.7.0"

    postgres.sql(layout, "DROP EVENT TRIGGER wait; DROP FUNCTION wait", database.NAME)
    said = up(own)
    version = server.status(own).version
    assert any(f"NetBox 4.7.0 becomes {version}" in line for line in said)
    assert sites(own) == ["Kept"]
    assert postgres.sql(layout, APPLIED, database.NAME) == everything
    assert postgres.sql(layout, database.VERSION_OF_DATABASE) == version
    names = postgres.sql(layout, "SELECT datname FROM pg_database WHERE NOT datistemplate")
    assert set(names.splitlines()) == {database.NAME, "postgres"}
    # What was saved is the older database, whole.
    saved = layout.home / f"before-{version}.dump"
    postgres.sql(layout, "CREATE DATABASE saved TEMPLATE template0")
    postgres.run(layout, "pg_restore", "--no-owner", "--exit-on-error", "-d", "saved", saved)
    assert postgres.sql(layout, APPLIED, "saved") == before
    assert postgres.sql(layout, "SELECT name FROM dcim_site", "saved") == "Kept"
    postgres.sql(layout, "DROP DATABASE saved")


def test_down_leaves_no_process_and_up_needs_no_restore(own: Settings, layout: Layout) -> None:
    said: list[str] = []
    server.down(own, said.append)
    server.down(own, said.append)
    assert said == ["NetBox is down", "NetBox is down already"]
    assert server_process.strays(layout) == []
    assert not layout.sockets.exists()
    assert layout.data.exists()


def test_reset_keeps_the_dump(own: Settings, layout: Layout) -> None:
    dump = database.cached_dump(layout, server.status(own).version)
    server.reset(own, print)
    assert not layout.home.exists()
    assert dump.exists()


def test_commands_that_wait_for_a_reset_find_what_it_left(own: Settings, layout: Layout) -> None:
    """They come one after another, in whatever order, and none works beside another."""
    server.up(own, print)
    lock = layout.lock.stat().st_ino
    waiting: list[str] = []
    at_work: list[str] = []

    def listen(line: str) -> None:
        (waiting if line == server.WAITING else at_work).append(line)

    with ThreadPoolExecutor(3) as pool:
        with files.locked(layout.lock, pytest.fail):
            actions = [server.reset, server.reset, server.down]
            done = [pool.submit(action, own, listen) for action in actions]
            deadline = time.monotonic() + 30
            while len(waiting) < len(actions):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert at_work == []
        for each in done:
            each.result()
    assert sum(line.startswith("removed ") for line in at_work) == 1
    assert "there is no NetBox to remove" in at_work
    assert server_process.strays(layout) == []
    assert layout.lock.stat().st_ino == lock  # else whoever waits for the old file has no rival


def test_an_external_netbox_is_never_touched(own: Settings) -> None:
    external = msgspec.structs.replace(own, netbox_url="https://netbox.example.org")
    for action in (server.up, server.down, server.reset):
        with pytest.raises(RefusedError, match="NETBOX_URL"):
            action(external, print)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a small file system")
def test_a_full_disk_is_said(own: Settings, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "chapelle-test", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        small = msgspec.structs.replace(own, state=tmp_path)
        with pytest.raises(ChapelleError, match="not enough disk space") as failed:
            server.up(small, print)
        assert "MiB free" in (failed.value.found or "")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.slow
def test_a_spoiled_dump_is_replaced_by_a_migration(own: Settings, tmp_path: Path) -> None:
    shared = Layout.of(own)
    version = server.status(own).version
    cache = tmp_path / "netbox"
    cache.mkdir()
    for path in shared.cache.glob("venv-*"):
        (cache / path.name).symlink_to(path)
    settings = msgspec.structs.replace(own, cache=tmp_path)
    dump = database.cached_dump(Layout.of(settings), version)
    dump.write_bytes(b"PGDMP, and then nothing of use")
    said = up(settings)
    assert any("unusable" in line for line in said)
    steps = [line for line in said if re.match(r"migration \d", line)]
    last = steps[-1].split()
    assert len(steps) > 3
    assert last[1] == last[3].rstrip(":")
    assert dump.stat().st_size > 100_000
    server.reset(settings, print)
    assert not any("migrating" in line for line in up(settings))


def take(taker: socket.socket, port: int) -> None:
    """Listen on the port, as soon as the kernel has closed what a killed process had open."""
    taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    deadline = time.monotonic() + 30
    while True:
        try:
            taker.bind(("127.0.0.1", port))
            return taker.listen()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def listeners(layout: Layout) -> set[tuple[str, int]]:
    """Address and port of every TCP socket that one of NetBox's processes listens on (proc(5))."""
    inodes = set()
    for pid in server_process.strays(layout):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(entry.readlink().name.removeprefix("socket:[").rstrip("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found
