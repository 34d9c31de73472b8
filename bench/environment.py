"""The peers' programs, in a virtual environment that all benchmarks and clones share."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import uv

from chapelle import files
from chapelle.errors import ChapelleError
from chapelle.settings import Settings

LOCK = "requirements-bench.lock"
NEEDED_BYTES = 1 << 30


def programs(settings: Settings, say: Callable[[str], None]) -> Path:
    """The directory of the environment's programs; it is made first if it is not there.

    Raises:
        RefusedError: there is not enough space.
        ChapelleError: it cannot be made.
    """
    lock = settings.root / LOCK
    recipe = lock.read_bytes() + f"{sys.version} {sys.base_prefix}".encode()
    home = settings.cache / "bench" / hashlib.sha256(recipe).hexdigest()[:12]
    if (home / "complete").exists():
        return home / "bin"
    with files.locked(home.with_suffix(".lock"), lambda: say("another process installs the peers")):
        if not (home / "complete").exists():
            files.require_space(home.parent, NEEDED_BYTES, "the peers")
            say(f"installing the peers from {LOCK}; this takes some minutes")
            shutil.rmtree(home, ignore_errors=True)
            _run("venv", "--python", sys.executable, str(home))
            python = str(home / "bin" / "python")
            _run("pip", "install", "--require-hashes", "--python", python, "-r", str(lock))
            (home / "complete").touch()
    return home / "bin"


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [uv.find_uv_bin(), "--quiet", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "UV_SYSTEM_CERTS": "true"},
    )
    if done.returncode != 0:
        raise ChapelleError(
            "The peers could not be installed.",
            where=f"uv {arguments[0]}",
            expected="exit status 0",
            found=(done.stderr.strip() or done.stdout.strip())[-600:],
            remedy="is the Python package registry reachable? run it again",
        )
