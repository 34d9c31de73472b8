"""Files are replaced whole or not at all, and locks keep out whoever comes second."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chapelle import files
from chapelle.errors import ChapelleError, ExitCode, RefusedError
from chapelle.settings import ROOT


def test_a_file_is_replaced_whole_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_bytes(b"old")
    target.chmod(0o644)
    files.write(target, b"new")
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_mode_is_what_was_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.write(tmp_path / "program", "#!/bin/sh\n", 0o755)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a small file system")
def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "chapelle-test", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        target = tmp_path / "result.json"
        files.write(target, b"old")
        with pytest.raises(ChapelleError, match="cannot be written") as failed:
            files.write(target, bytes(100_000))
        assert failed.value.where == str(target)
        assert "No space left" in (failed.value.found or "")
        assert "free some space" in (failed.value.remedy or "")
        assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
        assert target.read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_directory_that_is_missing_is_said_without_a_word_about_space(tmp_path: Path) -> None:
    with pytest.raises(ChapelleError) as failed:
        files.write(tmp_path / "none" / "file", b"")
    assert failed.value.remedy is None
    assert "No such file or directory" in str(failed.value)


def test_too_little_space_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="disk space for the twin") as failed:
        files.require_space(tmp_path, 1 << 60, "the twin")
    assert failed.value.exit_code is ExitCode.REFUSED
    assert failed.value.expected == f"{1 << 40} MiB free"
    files.require_space(tmp_path, 1, "the twin")


HOLDER = """
import sys
from pathlib import Path
from chapelle import files
with files.locked(Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_holds_a_lock_and_a_dead_one_holds_none(tmp_path: Path) -> None:
    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "deep" / "lock")]
        return subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=ROOT)

    with start() as first:
        assert first.stdout.readline() == "held\n"
        with start() as second:
            assert second.stdout.readline() == "waiting\n"
            first.kill()
            assert second.stdout.readline() == "held\n"
            second.stdin.close()
        assert second.returncode == 0
