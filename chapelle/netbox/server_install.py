"""NetBox itself: the wheel in a virtual environment of its own, shared by clones in the cache.

NetBox pins libraries that Ansible pins otherwise. The environment's name is a digest of what it was
made from; it is complete when its stamp is there. Its static files are collected once, into it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv

from chapelle import files, process
from chapelle.errors import ChapelleError
from chapelle.netbox.server_layout import Layout, Say

STAMP = "chapelle-stamp"

# Enough of a configuration to collect static files; nothing connects to anything.
COLLECTING = """\
ALLOWED_HOSTS = []
DATABASES = {"default": {"NAME": "none"}}
REDIS = {"tasks": {}, "caching": {}}
SECRET_KEY = "of no use, as nothing is signed while static files are collected"
API_TOKEN_PEPPERS = {1: "of no use, as no token is made while static files are collected"}
"""


def version(layout: Layout) -> str:
    """The version of NetBox that our lock pins, such as `4.7.3`."""
    for line in (layout.root / "requirements-netbox.in").read_text().splitlines():
        if line.startswith("netbox=="):
            return line.removeprefix("netbox==").strip()
    raise ChapelleError(
        "NetBox's version is not pinned.",
        where=str(layout.root / "requirements-netbox.in"),
        expected="a line netbox==VERSION",
    )


def environment(layout: Layout) -> Path:
    """The path of NetBox's virtual environment, whether made or not."""
    lock = (layout.root / "requirements-netbox.lock").read_bytes()
    python = f"{sys.version} {sys.base_prefix}"
    digest = hashlib.sha256(lock + python.encode()).hexdigest()[:12]
    return layout.cache / f"venv-{digest}"


def complete(venv: Path) -> bool:
    """Whether the environment was made to its end, and its Python is still there."""
    return (venv / STAMP).exists() and (venv / "bin" / "python").exists()


def install(layout: Layout, say: Say) -> Path:
    """Make NetBox's virtual environment, once; returns its path.

    Raises:
        ChapelleError: uv could not install it, or the disk is full.
    """
    venv = environment(layout)
    if complete(venv):
        return venv
    waiting = "waiting: NetBox is being installed elsewhere"
    with files.locked(venv.with_suffix(".lock"), lambda: say(waiting)):
        if not complete(venv):
            files.require_space(layout.cache, 1000 * files.MIB, "NetBox")
            say(f"installing NetBox {version(layout)} into {venv}")
            _make(layout, venv)
    return venv


def _make(layout: Layout, venv: Path) -> None:
    shutil.rmtree(venv, ignore_errors=True)
    lock = layout.root / "requirements-netbox.lock"
    base = getattr(sys, "_base_executable", sys.executable)
    _uv("venv", "--python", base, venv)
    python = venv / "bin" / "python"
    # Wheels only, as a fresh machine has no compiler; the lock is complete, and has another psycopg
    # than NetBox asks for.
    exactly = ("--require-hashes", "--no-deps", "--only-binary", ":all:")
    _uv("pip", "install", *exactly, "--compile-bytecode", "--python", python, "-r", lock)
    conf = venv / "root" / "conf"
    conf.mkdir(parents=True)
    (conf / "configuration.py").write_text(COLLECTING)
    _run(
        [venv / "bin" / "netbox", "collectstatic", "--noinput", "--verbosity", "0"],
        {**process.environment(), "NETBOX_ROOT": str(venv / "root")},
    )
    (venv / STAMP).touch()


def _uv(*arguments: str | Path) -> None:
    # uv gets the whole of our environment, which says how the package registry is reached.
    _run([uv.find_uv_bin(), *arguments, "--quiet"], {**os.environ, "UV_SYSTEM_CERTS": "true"})


def _run(command: Sequence[str | Path], environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, env=environ
    )
    if done.returncode:
        raise ChapelleError(
            f"NetBox could not be installed: {Path(command[0]).name} {command[1]} failed.",
            found=(done.stderr.strip() or done.stdout.strip())[-800:],
            remedy="is the Python package registry reachable? Run the same command again",
        )
