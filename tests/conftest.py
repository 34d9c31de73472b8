"""Fixtures for all tests: a real NetBox of their own, empty or seeded, one a process."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chapelle.netbox import server
from chapelle.run import prepare
from chapelle.settings import Settings

HERE = Path(__file__).parent
PREFIX = "chapelle-test-"

# A shell's background job, or nohup, would have us and what we start ignore these for ever.
for ignored in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler)


# What needs no NetBox comes first: meanwhile one is seeded, which takes minutes once a machine. All
# tests of a module run in one process, several of which share the work (pytest-xdist).
FIRST = ("unit", "switch")
# Of the others those that take longest, so that no process is left with one of them at the end.
LONGEST = ("test_tenancy_run", "test_aisle", "test_docs")
SEEDING = 1800.0  # seconds
AHEAD = pytest.StashKey["subprocess.Popen[bytes]"]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> tuple[bool, bool, bool]:
        folder = item.path.relative_to(HERE).parts[0]
        needs_netbox = item.get_closest_marker("netbox") is not None
        return needs_netbox, folder not in FIRST, item.path.stem not in LONGEST

    items.sort(key=turn)


@pytest.fixture(scope="session", autouse=True)
def _ahead(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fills the cache beside the tests that need no NetBox."""
    needing = [item.get_closest_marker("netbox") is not None for item in request.session.items]
    if not any(needing):
        yield
        return
    settings = request.getfixturevalue("new_state")()
    with subprocess.Popen([sys.executable, HERE / "ahead.py", settings.state]) as ahead:
        request.config.stash[AHEAD] = ahead
        if all(needing):
            ahead.wait(SEEDING)
        yield
        ahead.terminate()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Whoever needs NetBox finds the cache filled, unless that failed: then it says why itself.

    A hook, because the fixtures that seed a NetBox are set up before any of a function's.
    """
    ahead = item.config.stash.get(AHEAD, None)
    if ahead is not None and item.get_closest_marker("netbox"):
        ahead.wait(SEEDING)


def settings_of(state: Path) -> Settings:
    """Settings with that state directory, the shared cache, and nothing of the environment."""
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    return Settings.load({"CHAPELLE_STATE": str(state), **kept})


@pytest.fixture(scope="session")
def new_state() -> Iterator[object]:
    """A function that makes a state directory; its NetBox is removed at the end of the session."""
    _remove_abandoned()
    made: list[Path] = []

    def make() -> Settings:
        made.append(Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")))
        return settings_of(made[-1])

    yield make
    for state in made:
        _remove(state)


@pytest.fixture(scope="session")
def netbox(new_state) -> Settings:
    """Settings of an embedded NetBox that runs and is empty but for what tests put there."""
    settings = new_state()
    server.up(settings, print)
    return settings


@pytest.fixture(scope="session")
def seeded_netbox(new_state) -> Settings:
    """One with the reference datacentre in it. Leave it as you found it."""
    settings = new_state()
    prepare.netbox(settings, print)
    return settings


def _remove(state: Path) -> None:
    for lock in (*state.glob("netbox.lock"), *state.glob("*/netbox.lock")):
        server.reset(settings_of(lock.parent), print)
    shutil.rmtree(state, ignore_errors=True)


def _remove_abandoned() -> None:
    """What a test session that was killed left behind."""
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return  # one of several processes does it
    for state in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = state.name.removeprefix(PREFIX).partition("-")[0]
        if state.owner() == Path("/proc/self").owner() and not Path("/proc", pid).exists():
            _remove(state)
