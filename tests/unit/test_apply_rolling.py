"""Draining, restarting and upgrading as the code on servers does it, on a directory tree."""

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils.chapelle_node import entry, packages, restart
from plugins.module_utils.chapelle_node.system import System

FOLDER = "etc/chapelle/drain.d"
BOOT = "proc/sys/kernel/random/boot_id"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in (FOLDER, "var/lib", "run", "proc/sys/kernel/random"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / BOOT).write_text("boot-1\n")
    return tmp_path


def hook(tree: Path, name: str, text: str = "", *, mode: int = 0o755) -> None:
    """A hook that notes its name and word, then does `text`."""
    path = tree / FOLDER / name
    path.write_text(f'#!/bin/sh\necho "{name} $1" >>{tree}/said\n{text}\n')
    path.chmod(mode)


def said(tree: Path) -> list[str]:
    path = tree / "said"
    return path.read_text().splitlines() if path.exists() else []


def ask(tree: Path, action: str, **more: Any) -> dict[str, Any]:
    request = {"action": action, "root": str(tree), "run": "run-1", "seconds": 5}
    return entry.answer({**request, **more})


# -- drain and restore ----------------------------------------------------------------------------


def test_hooks_are_run_in_order_as_run_parts_does(tree: Path) -> None:
    for name in ("20-b", "10-a", "B", "ignored.sh", "ignored~"):
        hook(tree, name)
    hook(tree, "30-off", mode=0o644)
    (tree / FOLDER / "40-folder").mkdir()
    answer = ask(tree, "drain")
    assert "failed" not in answer
    assert said(tree) == ["10-a drain", "20-b drain", "B drain"]
    assert answer["message"] == "hooks: 10-a, 20-b, B; not executable: 30-off"
    assert "failed" not in ask(tree, "restore")
    assert said(tree)[3:] == ["10-a restore", "20-b restore", "B restore"]


def test_without_hooks_there_is_nothing_to_drain_or_restore(tree: Path) -> None:
    (tree / FOLDER).rmdir()
    assert ask(tree, "drain")["message"] == "no hooks"
    assert ask(tree, "restore")["message"] == "was not drained"


def test_a_hook_that_fails_says_why_and_the_others_restore(tree: Path) -> None:
    hook(tree, "10-a")
    hook(tree, "20-b", '[ "$1" = restore ] || { echo "no quorum" >&2; exit 7; }')
    hook(tree, "30-c")
    answer = ask(tree, "drain")
    assert answer["failed"]
    for part in (f"/{FOLDER}/20-b", "exit status 7", "no quorum"):
        assert part in answer["msg"]
    assert said(tree) == ["10-a drain", "20-b drain", "10-a restore", "20-b restore"]
    assert ask(tree, "restore")["message"] == "was not drained"


def test_a_hook_that_takes_too_long_is_ended_with_all_that_it_started(tree: Path) -> None:
    hook(tree, "10-a", f'[ "$1" = restore ] || {{ (sleep 1; touch {tree}/survived) & wait; }}')
    began = time.monotonic()
    answer = ask(tree, "drain", seconds=0.3)
    assert time.monotonic() - began < 1
    assert "did not end within" in answer["msg"]
    time.sleep(1.2)
    assert not (tree / "survived").exists()


def test_a_server_stays_drained_until_every_hook_has_restored(tree: Path) -> None:
    hook(tree, "10-a", f'[ "$1" = drain ] || [ -e {tree}/mended ]')
    hook(tree, "20-b")
    assert "failed" not in ask(tree, "drain")
    failed = ask(tree, "restore")
    assert failed["failed"]
    assert said(tree)[-2:] == ["10-a restore", "20-b restore"], "the others are told all the same"
    (tree / "mended").touch()
    assert "failed" not in ask(tree, "restore")
    assert ask(tree, "restore")["message"] == "was not drained"


def test_check_mode_names_the_hooks_and_runs_none(tree: Path) -> None:
    hook(tree, "10-a")
    assert ask(tree, "drain", check=True)["message"] == "hooks: 10-a"
    assert said(tree) == []
    assert not (tree / "var/lib/chapelle").exists()


def test_hooks_know_the_run_and_nothing_of_us(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETBOX_TOKEN", "secret")
    hook(tree, "10-a", f"env >{tree}/environment")
    ask(tree, "drain")
    environment = (tree / "environment").read_text()
    assert "CHAPELLE_RUN=run-1" in environment
    assert "secret" not in environment


# -- restart --------------------------------------------------------------------------------------


def test_a_server_in_another_boot_has_restarted_already(tree: Path) -> None:
    answer = ask(tree, "reboot", before="boot-0")
    assert answer["changed"]
    assert [(c["before"], c["after"]) for c in answer["changes"]] == [("boot-0", "boot-1")]
    assert "ordered" not in answer
    assert "already" in answer["message"]


def test_after_a_patch_only_a_server_that_asks_for_it_is_restarted(tree: Path) -> None:
    assert ask(tree, "reboot", before="boot-1", patch=True) == {
        "message": "not needed",
        "boot_id": "boot-1",
    }
    (tree / "run/reboot-required").touch()
    assert restart.due(System(str(tree)))
    told = ask(tree, "reboot", before="boot-1", patch=True, check=True)
    assert told["changed"]
    assert "would be restarted" in told["message"]


def test_preflight_says_which_boot_it_is(tree: Path) -> None:
    (tree / "etc").mkdir(exist_ok=True)
    identity = {"name": "h", "serial": "", "free": 0, "skew": 60, "now": time.time()}
    assert ask(tree, "preflight", identity=identity) == {"boot_id": "boot-1"}


# -- patch ----------------------------------------------------------------------------------------


def test_what_apt_would_upgrade_is_read_from_its_simulation() -> None:
    text = """\
Reading package lists...
The following packages have been kept back:
  linux-image-amd64
Inst base-files [12.4+deb12u11] (12.4+deb12u12 Debian:12.12/stable [amd64])
Inst linux-image-6.1.0-39-amd64 (6.1.148-1 Debian:12.12/stable, Debian-Security [amd64]) []
Conf base-files (12.4+deb12u12 Debian:12.12/stable [amd64])
"""
    found = [(c["item"], c["before"], c["after"]) for c in packages.simulated(text)]
    assert found == [
        ("base-files", "12.4+deb12u11", "12.4+deb12u12"),
        ("linux-image-6.1.0-39-amd64", "absent", "6.1.148-1"),
    ]


def apt(folder: Path) -> dict[str, str]:
    """Stand-ins for apt-get and dpkg-query over files in `folder`: versions now, and to come."""
    programs = {
        "apt-get": f'case "$*" in *upgrade) cp {folder}/new {folder}/now; exit $(cat {folder}/rc);;'
        " esac",
        "dpkg-query": f"cat {folder}/now",
    }
    for name, text in programs.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "apt"
    folder.mkdir()
    monkeypatch.setattr("plugins.module_utils.chapelle_node.system.ENVIRONMENT", apt(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (folder / "now").write_text("a 1 ii \nb:i386 1 ii \nc 1 rc \n")
    (folder / "new").write_text("a 2 ii \nb:i386 1 ii \nc 1 rc \nd 1 ii \n")
    (folder / "rc").write_text("0")
    return folder


def upgraded(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(c["item"], c["before"], c["after"]) for c in answer["changes"]]


MOVED = [("a", "1", "2"), ("d", "absent", "1")]


def test_a_killed_run_that_comes_back_tells_of_all_that_it_upgraded(
    tree: Path, versions: Path
) -> None:
    assert upgraded(ask(tree, "patch")) == MOVED
    assert upgraded(ask(tree, "patch")) == MOVED, "of the same run"
    assert ask(tree, "patch", run="run-2")["changes"] == []


def test_an_upgrade_that_breaks_off_tells_of_what_it_did(tree: Path, versions: Path) -> None:
    (versions / "rc").write_text("100")
    answer = ask(tree, "patch")
    assert answer["failed"]
    assert "apt-get upgrade" in answer["msg"]
    assert upgraded(answer) == MOVED
