"""Labs for tests: each in a state directory of its own, with nothing left of it afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chapelle import lab
from chapelle.settings import Settings

PREFIX = "chapelle-lab-"

Ssh = Callable[[str, str], subprocess.CompletedProcess[str]]


def _settings(state: Path) -> Settings:
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    return Settings.load({"CHAPELLE_STATE": str(state), **kept})


def _remove(state: Path) -> None:
    lab.down(_settings(state))
    shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _abandoned() -> None:
    """Remove the labs of test sessions that were killed."""
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        return  # one of several processes does it
    for state in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = state.name.removeprefix(PREFIX).partition("-")[0]
        if os.geteuid() == 0 and not Path("/proc", pid).exists():
            _remove(state)


@pytest.fixture(scope="module")
def new_lab() -> Iterator[Callable[[], Settings]]:
    """A function that makes a state directory; labs in it are ended with the module's last test."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    made: list[Path] = []

    def make() -> Settings:
        made.append(Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")))
        return _settings(made[-1])

    yield make
    for state in made:
        _remove(state)


@pytest.fixture(scope="session")
def ssh_in() -> Callable[[Settings], Ssh]:
    """A function that gives, for a lab, a function (host, command) that logs in as `deploy`."""

    def of(settings: Settings) -> Ssh:
        def run(host: str, command: str) -> subprocess.CompletedProcess[str]:
            program = settings.state / "ssh" / "ssh"
            return subprocess.run(
                [program, host, command], capture_output=True, text=True, timeout=60, check=False
            )

        return run

    return of
