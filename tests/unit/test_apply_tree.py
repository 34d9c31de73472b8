"""The code that runs on servers, on a real directory tree instead of a whole machine."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chapelle.drivers import node
from chapelle.errors import ChapelleError
from plugins.module_utils.chapelle_node import entry, files, packages, validators
from plugins.module_utils.chapelle_node.system import NodeError, System

STATUS = """\
Package: sudo
Status: install ok installed

Package: lldpd
Status: deinstall ok config-files
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("etc/ssh", "var/lib/dpkg/info", "var/lib/chapelle"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nadmins:x:900:amartin,old\n")
    return tmp_path


def own(**entry_: object) -> dict[str, object]:
    """A file entry that belongs to whoever runs the tests."""
    return {"owner": str(os.getuid()), "group": str(os.getgid()), **entry_}


def ask(tree: Path, state: dict, *, check: bool = False, **more: object) -> dict:
    request = {"action": "apply", "root": str(tree), "check": check, "roles": {"base": state}}
    return entry.answer({**request, **more})


def content_of(tree: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()
    }


def test_files_links_and_removals_are_applied_once(tree: Path) -> None:
    (tree / "etc/old").write_text("x")
    state = {
        "files": [own(path="/etc/new/hosts", content="a\n", mode="0640")],
        "links": [{"path": "/etc/localtime", "target": "/usr/share/zoneinfo/Europe/Paris"}],
        "absent": ["/etc/old", "/etc/never"],
    }
    first = ask(tree, state)
    assert [(c["kind"], c["item"], c["after"]) for c in first["changes"]] == [
        ("file", "/etc/new/hosts", first["changes"][0]["after"]),
        ("link", "/etc/localtime", "-> /usr/share/zoneinfo/Europe/Paris"),
        ("file", "/etc/old", "absent"),
    ]
    assert first["changed"]
    assert "+a" in first["changes"][0]["diff"]
    assert (tree / "etc/new/hosts").read_text() == "a\n"
    assert stat.S_IMODE((tree / "etc/new/hosts").stat().st_mode) == 0o640
    assert (tree / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Paris")
    assert not (tree / "etc/old").exists()
    second = ask(tree, state)
    assert (second["changed"], second["changes"]) == (False, [])


def test_check_mode_says_the_same_and_writes_nothing(tree: Path) -> None:
    state = {
        "files": [own(path="/etc/a", content="1"), own(path="/etc/deep/er/b", content="2")],
        "directories": [own(path="/etc/d", mode="0700")],
    }
    before = content_of(tree)
    predicted = ask(tree, state, check=True)
    assert content_of(tree) == before
    assert not (tree / "etc/deep").exists()
    assert ask(tree, state)["changes"] == predicted["changes"]


def test_a_changed_mode_or_a_link_in_place_of_a_file_is_mended(tree: Path) -> None:
    state = {"files": [own(path="/etc/a", content="1", mode="0600")]}
    ask(tree, state)
    (tree / "etc/a").chmod(0o666)
    change = ask(tree, state)["changes"][0]
    assert change["before"].startswith("0666")
    assert change["diff"] == ""
    (tree / "etc/a").unlink()
    (tree / "etc/a").symlink_to("/etc/passwd")
    assert ask(tree, state)["changes"][0]["before"] == "a link"
    assert not (tree / "etc/a").is_symlink()


def test_sensitive_content_is_never_shown(tree: Path) -> None:
    result = ask(tree, {"files": [own(path="/etc/key", content="hunter2", sensitive=True)]})
    assert "hunter2" not in json.dumps(result)
    assert result["changes"][0]["diff"]


def test_a_long_diff_is_cut_and_says_so(tree: Path) -> None:
    text = "".join(f"{n}\n" for n in range(1000))
    diff = ask(tree, {"files": [own(path="/etc/long", content=text)]})["changes"][0]["diff"]
    assert diff.splitlines()[-1] == "... 903 more lines"


def test_foreign_files_of_an_exclusive_directory_go_packaged_and_kept_ones_stay(tree: Path) -> None:
    folder = tree / "etc/sudoers.d"
    folder.mkdir()
    for name in ("mallory", "README", "zabbix", "ours"):
        (folder / name).write_text(name)
    (tree / "var/lib/dpkg/info/zabbix.list").write_text("/etc\n/etc/sudoers.d/zabbix\n")
    state = {
        "directories": [own(path="/etc/sudoers.d", exclusive=True, kept=["README"])],
        "files": [own(path="/etc/sudoers.d/ours", content="ours", mode="0644")],
    }
    ask(tree, state)
    assert sorted(path.name for path in folder.iterdir()) == ["README", "ours", "zabbix"]


def test_a_directory_in_the_place_of_a_file_stops_before_anything_is_written(tree: Path) -> None:
    (tree / "etc/b").mkdir()
    state = {"files": [own(path="/etc/a", content="1"), own(path="/etc/b", content="2")]}
    result = ask(tree, state)
    assert (result["failed"], result["phase"]) == (True, "files")
    assert result["failure"]["item"] == "/etc/b"
    assert result["failure"]["role"] == "base"
    assert not (tree / "etc/a").exists()


def test_an_owner_that_does_not_exist_leaves_nothing_behind(tree: Path) -> None:
    state = {
        "files": [
            own(path="/etc/new/a", content="1"),
            {"path": "/etc/new/b", "content": "2", "owner": "nobody-here"},
        ]
    }
    before = content_of(tree)
    result = ask(tree, state)
    assert result["failed"]
    assert "nobody-here" in result["msg"]
    assert content_of(tree) == before
    assert not (tree / "etc/new").exists()


def test_no_space_while_staging_leaves_the_old_files(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "etc/a").write_text("old")
    real = os.fsync
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    state = {"files": [own(path="/etc/a", content="new"), own(path="/etc/b", content="2")]}
    result = ask(tree, state)
    assert result["failure"]["message"] == "No space is left on the host."
    assert result["failure"]["item"] == "/etc/b"
    assert (tree / "etc/a").read_text() == "old"
    assert sorted(path.name for path in (tree / "etc").iterdir()) == ["a", "group", "passwd", "ssh"]


def test_what_a_killed_run_left_staged_does_not_disturb(tree: Path) -> None:
    (tree / "etc/.a.chapelle-new").write_text("half")
    ask(tree, {"files": [own(path="/etc/a", content="1")]})
    assert sorted(path.name for path in (tree / "etc").glob(".*")) == []


def test_packages_are_read_from_dpkgs_own_file(tree: Path) -> None:
    state = {"packages": ["sudo", "lldpd", "chrony"], "packages_absent": ["sudo", "ntp"]}
    changes = packages.plan(System(str(tree)), {"base": state})
    assert [(c["item"], c["before"], c["after"]) for c in changes] == [
        ("lldpd", "config-files", "installed"),
        ("chrony", "absent", "installed"),
        ("sudo", "installed", "absent"),
    ]


def test_accounts_are_planned_and_a_group_of_ours_has_no_other_members(tree: Path) -> None:
    state = {
        "groups": [{"name": "admins", "members": ["amartin"]}, {"name": "new", "members": []}],
        "users": [{"name": "amartin", "comment": "Alice"}, {"name": "root", "comment": "root"}],
    }
    changes = ask(tree, state, check=True)["changes"]
    assert [(c["kind"], c["item"], c["after"]) for c in changes] == [
        ("group", "new", "present"),
        ("user", "amartin", "Alice /bin/bash"),
        ("group", "admins", "members: amartin"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="useradd needs root")
def test_accounts_are_really_made(tree: Path) -> None:
    state = {"users": [{"name": "bdiallo", "comment": "Binta"}]}
    (tree / "etc/shadow").write_text("root:*:1::::::\n")
    assert ask(tree, state)["changed"], ask(tree, state)
    assert "bdiallo" in (tree / "etc/passwd").read_text()
    assert not ask(tree, state)["changed"]


def test_preflight_refuses_another_machine_and_a_clock_that_is_off(tree: Path) -> None:
    (tree / "sys/class/dmi/id").mkdir(parents=True)
    (tree / "sys/class/dmi/id/product_serial").write_text("XYZ\n")
    state = {"files": [own(path="/etc/a", content="1")]}
    identity = {"name": "n", "serial": "ABC", "free": 0, "now": 0, "skew": 1}
    result = ask(tree, state, identity=identity)
    assert (result["phase"], result["failure"]["found"]) == ("preflight", "XYZ")
    result = ask(tree, state, identity={**identity, "serial": "XYZ"})
    assert (result["phase"], result["failure"]["item"]) == ("preflight", "clock")
    identity = {**identity, "serial": "XYZ", "free": 2**40}
    assert ask(tree, state, identity=identity)["failure"]["message"] == "The disk is full."
    assert not (tree / "etc/a").exists()


def test_the_serial_number_of_the_machine_around_a_container_is_not_ours(tree: Path) -> None:
    (tree / "sys/class/dmi/id").mkdir(parents=True)
    (tree / "sys/class/dmi/id/product_serial").write_text("XYZ\n")
    (tree / "run/systemd").mkdir(parents=True)
    (tree / "run/systemd/container").write_text("systemd-nspawn")
    identity = {"name": "n", "serial": "ABC", "free": 0, "now": 0, "skew": 1e12}
    assert "failed" not in ask(tree, {}, identity=identity)


def test_a_failed_validation_names_the_file_and_replaces_nothing(tmp_path: Path) -> None:
    target = tmp_path / "sudoers"
    target.write_text("old")
    system = System("/")
    wanted = own(path=str(target), content="new", validate=["false", "%s"])
    planned = files.plan(system, {"access": {"files": [wanted]}})
    with files.Stage(system) as stage:
        stage.add(planned)
        with pytest.raises(NodeError) as caught:
            validators.validate(system, planned, stage.staged)
    assert caught.value.details["item"] == str(target)
    assert caught.value.phase == "validate"
    assert [path.name for path in tmp_path.iterdir()] == ["sudoers"]
    assert target.read_text() == "old"


@pytest.mark.parametrize("exists", [False, True], ids=["new", "replaced"])
def test_check_mode_refuses_what_the_real_run_refuses_and_writes_nothing(
    tmp_path: Path, exists: bool
) -> None:
    if exists and os.geteuid() != 0:
        pytest.skip("a mount namespace needs root")
    target = tmp_path / "some.conf"
    if exists:
        target.write_text("good old\n")
    before = (content_of(tmp_path), tmp_path.stat().st_mtime_ns)

    def ask_here(content: str, *, check: bool) -> dict:
        wanted = own(path=str(target), content=content, validate=["grep", "-q", "good", "%s"])
        roles = {"access": {"files": [wanted]}}
        return entry.answer({"action": "apply", "check": check, "roles": roles})

    promised = ask_here("bad\n", check=True)
    assert (promised["failed"], promised["phase"]) == (True, "validate"), promised
    assert promised["failure"]["item"] == str(target)
    assert ask_here("good new\n", check=True)["changes"][0]["item"] == str(target)
    assert (content_of(tmp_path), tmp_path.stat().st_mtime_ns) == before
    assert not list(Path("/run").glob("chapelle-check-*"))
    assert ask_here("bad\n", check=False)["failure"] == promised["failure"]


def test_a_validator_that_is_not_installed_is_told_of(tmp_path: Path) -> None:
    system = System("/")
    wanted = own(path=str(tmp_path / "x"), content="new", validate=["no-such-program", "%s"])
    planned = files.plan(system, {"access": {"files": [wanted]}})
    with files.Stage(system) as stage:
        stage.add(planned)
        assert (
            "no-such-program is not installed"
            in validators.validate(system, planned, stage.staged)[0]
        )


def test_the_program_runs_as_it_does_on_a_server(tree: Path) -> None:
    request = {
        "action": "apply",
        "root": str(tree),
        "roles": {"base": {"files": [own(path="/etc/é", content="é\n")]}},
    }
    command = node.command(sys.executable)
    ran = subprocess.run(
        ["sh", "-c", command], input=node.payload(request), capture_output=True, check=False
    )
    result = node.answer(ran.returncode, ran.stdout.decode(), ran.stderr.decode(), "here")
    assert result["changed"], result
    assert (tree / "etc/é").read_text() == "é\n"


def test_no_answer_is_an_error_that_says_what_was_said() -> None:
    with pytest.raises(ChapelleError, match="Killed"):
        node.answer(137, "", "Killed", "here")


def test_an_unknown_action_is_refused() -> None:
    assert "observ" in entry.answer({"action": "observ"})["msg"]
