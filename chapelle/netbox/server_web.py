"""NetBox's own processes: gunicorn on loopback and one RQ worker, and their configuration."""

import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec
import requests

from chapelle import files
from chapelle.errors import ChapelleError
from chapelle.netbox import server_secrets
from chapelle.netbox.server_layout import Layout, Say, read_json
from chapelle.netbox.server_process import await_ready, running, spawn, stop

WEB = "web"
WORKER = "worker"
PREFERRED_PORT = 8001
EMBEDDED = Path(__file__).parent / "embedded"
VALIDATORS = Path("plugins") / "netbox"  # below the root of the clone

CONFIGURATION = """\
# Written by `invoke netbox.up` at each start; edits are lost.
import os
import sys

ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("CHAPELLE_NETBOX_DATABASE", "netbox"),
        "USER": "netbox",
        "HOST": {postgres!r},
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
    }}
}}
REDIS = {{
    "tasks": {{"URL": "unix://{redis}?db=0"}},
    "caching": {{"URL": "unix://{redis}?db=1"}},
}}
SECRET_KEY = {secret_key!r}
API_TOKEN_PEPPERS = {{1: {pepper!r}}}
# No user may more than its object permissions say; by default each may make itself tokens.
DEFAULT_PERMISSIONS = {{}}
# Nothing leaves the machine: no release check, no census, no catalogue, no links to a chat.
ISOLATED_DEPLOYMENT = True
CENSUS_REPORTING_ENABLED = False
RELEASE_CHECK_URL = None
COPILOT_ENABLED = False
METRICS_ENABLED = False
# Browsers tell cookies by host and not by port: several NetBoxes may be on this one.
CSRF_COOKIE_NAME = "csrf_{instance}"
SESSION_COOKIE_NAME = "session_{instance}"
MAX_PAGE_SIZE = 1000
PREFER_IPV4 = True
POWERFEED_DEFAULT_VOLTAGE = 230
POWERFEED_DEFAULT_AMPERAGE = 32
TIME_ZONE = "UTC"
# The worst mistakes are refused when they are typed: docs/netbox-validators.md.
sys.path.append({validators!r})
CUSTOM_VALIDATORS = {{
    "dcim.cable": (
        "chapelle_netbox_validators.power.DiverseFeeds",
        "chapelle_netbox_validators.tenants.OneTenant",
    ),
    "dcim.device": (
        "chapelle_netbox_validators.reservations.DeviceInReservedUnits",
        "chapelle_netbox_validators.serials.UniqueSerial",
    ),
    "dcim.rackreservation": ("chapelle_netbox_validators.reservations.ReservationOverDevices",),
    "ipam.ipaddress": ("chapelle_netbox_validators.addresses.UniqueAddress",),
}}
"""


def configure(layout: Layout) -> None:
    """Write NetBox's configuration and make the secrets that it holds."""
    keys = server_secrets.keys(layout)
    server_secrets.tokens(layout)
    server_secrets.password(layout)
    text = CONFIGURATION.format(
        postgres=str(layout.postgres_socket),
        redis=layout.redis_socket,
        secret_key=keys.secret_key,
        pepper=keys.pepper,
        instance=layout.sockets.name.replace("-", "_"),
        validators=str(layout.root / VALIDATORS),
    )
    files.write(layout.conf / "conf" / "configuration.py", text)
    for name in ("media", "scripts", "reports"):
        (layout.conf / name).mkdir(exist_ok=True)


def environ(layout: Layout) -> dict[str, str]:
    """What NetBox's processes need in their environment."""
    return {
        "NETBOX_ROOT": str(layout.conf),
        "PYTHONUNBUFFERED": "1",
        "CHAPELLE_NETBOX_HOME": str(layout.home),
    }


def address(layout: Layout) -> str | None:
    """The URL at which NetBox is served, or was last; None before the first start."""
    url = read_json(layout.address).get("url")
    return str(url) if url else None


def start(layout: Layout, venv: Path, say: Say) -> str:
    """Start gunicorn and the worker; returns the URL once the API answers with each token.

    The port is bound here and handed down, so nobody can take it in between.
    """
    if running(layout, WEB):
        url = address(layout)
        if url and answers(url, server_secrets.tokens(layout)):
            _start_worker(layout, venv)
            return url
        say("NetBox's web server does not answer: starting it anew")
        stop(layout, WEB, signal.SIGTERM, timeout=20)
    with _listen(layout, say) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        files.write(layout.address, msgspec.json.encode({"url": url}))
        handle = listener.fileno()
        command: list[str | Path] = [
            venv / "bin" / "gunicorn",
            "--config",
            EMBEDDED / "chapelle_gunicorn.py",
        ]
        env = {**environ(layout), "CHAPELLE_NETBOX_LISTENER": str(handle)}
        spawn(layout, WEB, command, env=env, pass_fds=(handle,))
    tokens = server_secrets.tokens(layout)
    await_ready(layout, WEB, lambda: answers(url, tokens), timeout=240, interval=0.1)
    _start_worker(layout, venv)
    return url


def shut_down(layout: Layout) -> bool:
    """Stop the worker, then gunicorn. Returns whether one of them was running."""
    worker = stop(layout, WORKER, signal.SIGTERM, timeout=20)
    return stop(layout, WEB, signal.SIGTERM, timeout=20) or worker


def answers(url: str, tokens: Mapping[str, str], timeout: float = 30) -> bool:
    """Whether the API accepts every one of the tokens."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no business between us and loopback
        for token in tokens.values():
            headers = {"Authorization": f"Bearer {token}"}
            try:
                answer = session.get(f"{url}/api/status/", headers=headers, timeout=timeout)
            except requests.RequestException:
                return False
            if answer.status_code != 200 or "netbox-version" not in answer.text:
                return False
    return True


def _start_worker(layout: Layout, venv: Path) -> None:
    if not running(layout, WORKER):
        command = [venv / "bin" / "python", EMBEDDED / "chapelle_worker.py"]
        spawn(layout, WORKER, command, env=environ(layout))


def _listen(layout: Layout, say: Say) -> socket.socket:
    """A socket bound to the port of last time, the preferred one, or any that is free."""
    last = address(layout)
    wanted = int(last.rpartition(":")[2]) if last else PREFERRED_PORT
    for port in (wanted, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            say(f"port {port} is taken ({error.strerror}): choosing another")
            continue
        return listener
    raise ChapelleError(
        "No port of the loopback address is free for NetBox.", where="127.0.0.1", found="none"
    )
