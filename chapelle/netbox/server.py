"""The embedded NetBox: a real one, under one state directory, brought up and down as a whole."""

import shutil
from time import monotonic

import msgspec

from chapelle import files
from chapelle.errors import RefusedError
from chapelle.netbox import server_database as database
from chapelle.netbox import server_install, server_secrets
from chapelle.netbox import server_postgres as postgres
from chapelle.netbox import server_redis as redis
from chapelle.netbox import server_web as web
from chapelle.netbox.server_layout import Layout, Say
from chapelle.netbox.server_process import running, session, stop_strays, strays
from chapelle.settings import Settings

SERVICES = (postgres.NAME, redis.NAME, web.WEB, web.WORKER)
WAITING = "waiting: another `invoke netbox` command is at work"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded NetBox fares. `processes`: process id by service, None when it is down."""

    url: str | None
    version: str
    answering: bool
    processes: dict[str, int | None]
    home: str
    password: str


def up(settings: Settings, say: Say, design: str | None = None) -> str:
    """Bring NetBox up, whatever state it was left in; returns its URL.

    Returns once the API answers with each of the tokens. When it is up already, this takes a
    request a token.

    Arguments:
        settings: whose state directory.
        say: told what happens, one line at a time.
        design: the digest of a design. If NetBox has no database yet, and this machine has seeded
            that design before, it starts with that content instead of empty.

    Raises:
        RefusedError: NETBOX_URL selects an existing NetBox.
        ChapelleError: it cannot be brought up; says what to do.
    """
    _refuse_external(settings, "start")
    layout = Layout.of(settings)
    if url := _answering(layout):
        say(f"NetBox is up: {url}")
        return url
    began = monotonic()
    with files.disk_errors(layout.home), files.locked(layout.lock, lambda: say(WAITING)):
        if url := _answering(layout):  # brought up while we waited
            say(f"NetBox is up: {url}")
            return url
        url = _bring_up(layout, say, design)
    say(f"NetBox is up: {url} ({monotonic() - began:.0f} s)")
    say(f"user admin, password in {layout.password}")
    return url


def keep_seeded(settings: Settings, design: str) -> None:
    """Keep the content as it is now in the cache: it is what seeding that design has made."""
    layout = Layout.of(settings)
    with files.disk_errors(layout.home):
        database.keep_seeded(layout, server_install.version(layout), design)


def down(settings: Settings, say: Say) -> None:
    """Stop what `up` started, the web first and PostgreSQL last."""
    _refuse_external(settings, "stop")
    layout = Layout.of(settings)
    if not layout.home.exists():
        say("NetBox is down already")
        return
    with files.locked(layout.lock, lambda: say(WAITING)):
        say("NetBox is down" if _take_down(layout) else "NetBox is down already")


def status(settings: Settings) -> Status:
    """How the embedded NetBox fares; changes nothing."""
    layout = Layout.of(settings)
    url = web.address(layout)
    return Status(
        url=url,
        version=server_install.version(layout),
        answering=_answering(layout) is not None,
        processes={name: running(layout, name) for name in SERVICES},
        home=str(layout.home),
        password=str(layout.password),
    )


def exists(settings: Settings) -> bool:
    """Whether there is a NetBox of these settings, running or not."""
    return Layout.of(settings).data.exists()


def reset(settings: Settings, say: Say) -> None:
    """Stop NetBox and remove its database, logs and secrets; the cached dump stays."""
    _refuse_external(settings, "remove")
    layout = Layout.of(settings)
    if not layout.home.exists():
        say("there is no NetBox to remove")
        return
    with files.locked(layout.lock, lambda: say(WAITING)):
        if not layout.home.exists():  # removed while we waited
            say("there is no NetBox to remove")
            return
        _take_down(layout)
        shutil.rmtree(layout.home)
    say(f"removed {layout.home}; the next `invoke netbox.up` begins anew from the cached dump")


def _bring_up(layout: Layout, say: Say, design: str | None) -> str:
    layout.make()
    files.require_space(layout.home, 300 * files.MIB, "NetBox")
    recorded = {running(layout, name) for name in SERVICES}
    if any(session(pid) not in recorded for pid in strays(layout)):
        say("stopping what an earlier start that was cut short left running")
        _take_down(layout)
        layout.make()
    version = server_install.version(layout)
    venv = server_install.install(layout, say)
    web.configure(layout)
    postgres.start(layout, say)
    redis.start(layout)
    database.prepare(layout, venv, version, say, design)
    say(f"starting NetBox {version}")
    return web.start(layout, venv, say)


def _take_down(layout: Layout) -> bool:
    stopped = [web.shut_down(layout), redis.shut_down(layout), postgres.shut_down(layout)]
    stopped.append(stop_strays(layout) > 0)
    shutil.rmtree(layout.sockets, ignore_errors=True)
    return any(stopped)


def _answering(layout: Layout) -> str | None:
    """The URL, when every process runs and the API accepts every token."""
    if any(running(layout, name) is None for name in SERVICES):
        return None
    url = web.address(layout)
    tokens = server_secrets.known_tokens(layout)
    if url and tokens and web.answers(url, tokens, 10):
        return url
    return None


def _refuse_external(settings: Settings, verb: str) -> None:
    if settings.external_netbox:
        raise RefusedError(
            f"There is no embedded NetBox to {verb}: NETBOX_URL selects an existing one.",
            where="environment variable NETBOX_URL",
            found=settings.netbox_url,
            remedy="unset NETBOX_URL to work with the embedded NetBox",
        )
