"""What a command says and ends with when it cannot do its work, typed as an operator types it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import reference
from netbox_stand_in import StandIn, serving, slow

from chapelle.errors import ExitCode
from chapelle.settings import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what a command reads of this clone, to be spoilt."""
    copy = tmp_path / "clone"
    for part in ("chapelle", "inventory"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tasks.py", "requirements-netbox.in", "requirements-netbox.lock"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def netbox() -> Iterator[StandIn]:
    with serving(reference.content()) as stand_in:
        yield stand_in


def environ(state: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHAPELLE", "NETBOX"))}
    return {**kept, "CHAPELLE_STATE": str(state), **more}


def invoke(*words: str, where: Path, state: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=where,
        env=environ(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("command", [("netbox.seed", "--dry-run"), ("provision", "--aisle=2")])
def test_a_typo_in_the_design_is_said_before_anything_is_started(
    clone: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    racks = clone / "inventory" / "design" / "racks.yml"
    racks.write_text(racks.read_text().replace("    u_height: 42", "    u_hieght: 42", 1))
    done = invoke(*command, where=clone, state=tmp_path / "state")
    assert done.returncode == ExitCode.BAD_INPUT
    assert "racks.yml: racks[0].u_hieght (line" in done.stderr
    assert "u_height" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state" / "netbox").exists()


def test_a_reset_that_nobody_can_say_yes_to_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "netbox" / "postgres"
    kept.mkdir(parents=True)
    done = invoke("netbox.reset", where=ROOT, state=tmp_path)
    assert done.returncode == ExitCode.REFUSED
    assert "nobody said yes" in done.stderr
    assert "--yes" in done.stderr
    assert "Traceback" not in done.stderr
    assert kept.exists()


def test_ctrl_c_ends_a_command_with_one_line_and_an_exit_code_of_ours(
    netbox: StandIn, tmp_path: Path
) -> None:
    netbox.fault = slow(2)
    variables = {
        "NETBOX_URL": netbox.url,
        "NETBOX_TOKEN_RO": "nbt_test.secret",
        "CHAPELLE_TARGET": "lab",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "invoke", "snapshot.take"],
        cwd=ROOT,
        env=environ(tmp_path, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as taking:
        deadline = time.monotonic() + 60
        while not netbox.requests:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        taking.send_signal(signal.SIGINT)
        out, said = taking.communicate(timeout=60)
    assert taking.returncode == ExitCode.FAILED
    assert out == ""
    (line,) = said.strip().splitlines()
    assert "stopped by Ctrl-C" in line
