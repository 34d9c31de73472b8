"""The Ansible driver, with the real ansible-playbook on this machine and no SSH."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chapelle import process
from chapelle.drivers import ansible
from chapelle.settings import ROOT, Settings

PLAY = """
- name: Look
  hosts: all
  connection: local
  gather_facts: false
  become: false
  vars: {{ansible_python_interpreter: {python}}}
  tasks:
    - name: Say something
      ansible.builtin.command: {command}
      changed_when: inventory_hostname == "two"
      failed_when: inventory_hostname == "three"
"""

INVENTORY = "all:\n  hosts: {one: , two: , three: , other: }\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return msgspec.structs.replace(Settings.load({}), state=tmp_path, cache=tmp_path, forks=4)


@pytest.fixture
def book(tmp_path: Path) -> Callable[[str], ansible.Playbook]:
    def make(command: str) -> ansible.Playbook:
        (tmp_path / "inventory.yml").write_text(INVENTORY)
        (tmp_path / "play.yml").write_text(PLAY.format(command=command, python=sys.executable))
        (tmp_path / "run").mkdir(exist_ok=True)
        return ansible.Playbook(
            directory=tmp_path / "run",
            name="1",
            playbook=tmp_path / "play.yml",
            inventory=tmp_path / "inventory.yml",
            hosts=("one", "two", "three"),
            environment={"EXTRA": "known"},
        )

    return make


def test_events_name_host_task_and_result(
    settings: Settings,
    book: Callable[[str], ansible.Playbook],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("NETBOX_TOKEN", "nbt_secret.value")
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "minimal")
    events: list[ansible.TaskEvent] = []
    ending = ansible.run(settings, book("/usr/bin/env"), events.append, lambda: False)
    ends = {event.host: event for event in events if event.kind != "started"}
    assert {host: event.kind for host, event in ends.items()} == {
        "one": "ok", "two": "ok", "three": "failed",
    }  # fmt: skip
    assert (ends["one"].play, ends["one"].task) == ("Look", "Say something")
    assert ends["two"].result["changed"] is True
    assert {event.host for event in events if event.kind == "started"} == {"one", "two", "three"}
    assert (ending.status, ending.stopped) == (2, False)
    told = ends["one"].result["stdout"]
    assert "EXTRA=known" in told
    assert "ANSIBLE_HOST_KEY_CHECKING=True" in told
    assert "secret" not in told
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if b"nbt_secret" in path.read_bytes()] == []
    assert not list(tmp_path.rglob("job_events"))


def test_a_playbook_that_cannot_run_leaves_its_last_words(
    settings: Settings, book: Callable[[str], ansible.Playbook], tmp_path: Path
) -> None:
    broken = book("true")
    (tmp_path / "play.yml").write_text("- hosts: all\n  roles: [no_such_role]\n")
    events: list[ansible.TaskEvent] = []
    ending = ansible.run(settings, broken, events.append, lambda: False)
    assert events == []
    assert ending.status not in {0, 2}
    assert "no_such_role" in ending.last_lines


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def sleepers(mark: str) -> list[str]:
    found = subprocess.run(
        ["pgrep", "-f", f"sleep {mark}"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_a_cancelled_playbook_ends_with_all_that_it_started(
    settings: Settings, book: Callable[[str], ansible.Playbook]
) -> None:
    started: list[ansible.TaskEvent] = []
    sleeping = book("sleep 7654.1")
    ending = ansible.run(settings, sleeping, started.append, lambda: len(sleepers("7654.1")) >= 3)
    assert ending.stopped
    assert {event.kind for event in started} == {"started"}
    wait_for(lambda: not sleepers("7654.1"))
    assert ansible.running(sleeping.directory) == ""


CONTROLLER = """
import sys, msgspec
from pathlib import Path
from chapelle.drivers import ansible
from chapelle.settings import Settings
settings = msgspec.convert(msgspec.json.decode(sys.argv[1]), Settings, dec_hook=lambda t, v: t(v))
book = msgspec.convert(
    msgspec.json.decode(sys.argv[2]), ansible.Playbook, dec_hook=lambda t, v: t(v))
ansible.run(settings, book, lambda event: None, lambda: False)
"""


def test_the_playbook_dies_with_a_killed_controller(
    settings: Settings, book: Callable[[str], ansible.Playbook]
) -> None:
    sleeping = book("sleep 7654.2")
    arguments = [msgspec.json.encode(o, enc_hook=str).decode() for o in (settings, sleeping)]
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, *arguments], cwd=ROOT)
    wait_for(lambda: len(sleepers("7654.2")) >= 3)
    playbook = ansible.running(sleeping.directory)
    assert process.alive(playbook)
    os.kill(controller.pid, signal.SIGKILL)
    controller.wait()
    wait_for(lambda: not process.alive(playbook))
    wait_for(lambda: not sleepers("7654.2"))
    assert ansible.running(sleeping.directory) == ""
