"""The real `bootstrap` in situations that it must meet with one clear line, or without one.

Clones are a few files each. A clone that is `ready` has a .venv whose programs only say what they
were given, so that what bootstrap does before it hands over is seen and nothing is installed.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("bootstrap", "requirements.lock", "requirements-uv.lock")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
LAID_OVER = 'mount --bind "$1" "$2"; shift 2; exec "$@"'
CLOSED = "http://127.0.0.1:9/simple"  # the discard port: nobody listens

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="bootstrap's tests change users")

Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def clone() -> Iterator[Path]:
    """A clone without a .venv, where other users can go, too, on a disk: /tmp may be memory."""
    folder = Path(tempfile.mkdtemp(prefix="chapelle-bootstrap-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    for name in FILES:
        shutil.copy2(ROOT / name, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ready(clone: Path) -> Path:
    """The clone as a bootstrap before has left it."""
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("ruff", "mypy", "yamllint", "ansible-lint", "pytest"):
        program(programs / name, "exit 0")
    program(programs / "invoke", 'echo "given: $*"; env')
    (programs / "python3").symlink_to(sys.executable)
    stamp = "sha256sum bootstrap requirements.lock | sha256sum | cut -d' ' -f1"
    made = subprocess.run(["sh", "-c", stamp], cwd=clone, capture_output=True, check=True)
    (clone / ".venv" / "chapelle-stamp").write_bytes(made.stdout)
    return clone


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def bootstrap(clone: Path, *words: str, before: tuple[str, ...] = (), **environ: str) -> Ran:
    return subprocess.run(
        [*before, str(clone / "bootstrap"), *words],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,  # no terminal, as in CI
    )


def apart(script: str, *words: str) -> tuple[str, ...]:
    """A command before bootstrap's: a script in a mount namespace of its own."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", *words)


def complaint(done: Ran) -> str:
    """The one line that a refusal is."""
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    assert done.returncode == 1, done
    assert len(lines) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == lines[0]
    assert done.stdout == ""
    return lines[0]


def test_a_system_that_is_not_supported_is_named_with_those_that_are(ready: Path) -> None:
    other = ready / "os-release"
    other.write_text("ID=fedora\nVERSION_ID=41\n")
    before = apart(LAID_OVER, str(other), "/etc/os-release")
    line = complaint(bootstrap(ready, before=before))
    assert "fedora 41" in line
    assert "Debian 12, Debian 13 or Ubuntu 24.04" in line


@pytest.mark.parametrize("system", [("debian", "12"), ("debian", "13"), ("ubuntu", "24.04")])
def test_the_systems_that_are_supported_are_accepted(ready: Path, system: tuple[str, str]) -> None:
    release = ready / "os-release"
    release.write_text('ID={}\nVERSION_ID="{}"\n'.format(*system))
    done = bootstrap(ready, "check", before=apart(LAID_OVER, str(release), "/etc/os-release"))
    assert "given: check\n" in done.stdout, done.stderr


def test_without_root_and_without_sudo(ready: Path) -> None:
    programs = ready / "programs"
    programs.mkdir()
    for name in ("bash", "dirname"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    line = complaint(bootstrap(ready, before=(shutil.which("setpriv") or "", *NOBODY[1:]),
                               PATH=str(programs)))  # fmt: skip
    assert "install sudo" in line


def test_sudo_that_wants_a_password_where_nobody_can_type_it(ready: Path) -> None:
    line = complaint(bootstrap(ready, before=NOBODY))
    assert "no terminal" in line


KEPT = {
    "CHAPELLE_STATE": "/srv/state",
    "XDG_STATE_HOME": "/srv/xdg",
    "XDG_CACHE_HOME": "/srv/cache",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    "SSL_CERT_FILE": "/etc/ssl/own.pem",
    "REQUESTS_CA_BUNDLE": "/etc/ssl/own.pem",
    "NETBOX_TOKEN": "secret-token",
}


def test_sudo_keeps_what_says_where_things_are_and_says_how_to_stay_root(ready: Path) -> None:
    rule = ready / "sudoers"
    rule.write_text("nobody ALL=(ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    before = (*apart(LAID_OVER, str(rule), "/etc/sudoers"), *NOBODY)
    done = bootstrap(ready, "drift", "--aisle=2", before=before, HOME=str(ready), OTHER="x", **KEPT)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert "given: drift --aisle=2" in lines
    assert {f"{name}={value}" for name, value in KEPT.items()} <= set(lines)
    assert "HOME=/root" in lines
    assert "OTHER=x" not in lines
    assert "--shell" in done.stderr
    assert "secret-token" not in done.stderr


def test_a_full_disk_is_told_of_before_anything_is_made(clone: Path) -> None:
    small = clone / "small"
    small.mkdir()
    script = (
        'mount -t tmpfs -o size=8m small "$1"; cp "$2"/[br]* "$1"; shift 2; exec "$1/bootstrap"'
    )
    before = apart(script, str(small), str(clone), str(small))
    line = complaint(bootstrap(clone, before=before))
    assert "MiB free" in line
    assert str(small) in line


def test_a_registry_that_refuses_and_a_python_of_pyenv_that_does_not_run(clone: Path) -> None:
    shims, versions, cache = clone / "shims", clone / "pyenv" / "versions", clone / "cache"
    shims.mkdir()
    for name in ("python3", "python3.12", "python3.13", "python3.14"):
        program(shims / name, f"echo 'pyenv: {name}: command not found' >&2; exit 127")
    (versions / "3.13.0" / "bin").mkdir(parents=True)
    (versions / "3.13.0" / "bin" / "python3").symlink_to(sys.executable)
    began = time.monotonic()
    line = complaint(
        bootstrap(
            clone,
            PATH=f"{shims}:/usr/sbin:/usr/bin:/sbin:/bin",
            PYENV_ROOT=str(versions.parent),
            CHAPELLE_CACHE=str(cache),
            PIP_INDEX_URL=CLOSED,
            PIP_CONFIG_FILE="/dev/null",
            PIP_RETRIES="0",
        )
    )
    assert "is the Python package registry reachable?" in line
    assert "ERROR" in line, "pip's own words are missing"
    assert time.monotonic() - began < 45
    assert not (clone / ".venv").exists()
    assert [path.name[-5:] for path in cache.glob("uv-*")] == [".part"]
    made_with = next(cache.glob("uv-*.part/pyvenv.cfg")).read_text()
    assert f"version = {platform.python_version()}" in made_with


def test_root_tests_the_clone_of_another_user(ready: Path) -> None:
    nothing = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for words in (("init", "-q"), ("add", "bootstrap")):
        subprocess.run(["git", *words], cwd=ready, check=True, env={**os.environ, **nothing})
    subprocess.run(["chown", "-R", "65534:65534", ready], check=True)
    done = bootstrap(ready, "test", **nothing)
    assert done.returncode == 0, done.stderr
