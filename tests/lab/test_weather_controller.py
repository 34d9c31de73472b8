"""Bad weather at the controller and at NetBox: killed, stopped, raced, cut off, and resumed."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext

import pytest
from operating import HOSTS, ROOT, SCOPE, Installation, kill, playbooks_of, wait_until

from chapelle import lab
from chapelle.lab import faults
from chapelle.netbox import lock, server
from chapelle.plan import scope
from chapelle.plan.plan import Plan
from chapelle.run import provision
from chapelle.run.journal import Journal
from chapelle.run.recorder import Watcher
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]
CANARY, TWO, THREE = HOSTS

# Makes its standard input the terminal that it is controlled by, and goes on as another program.
IN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Quiet:
    """An operator who only listens."""

    def __init__(self, said: list[str]) -> None:
        self.say = said.append

    def present(self, plan: Plan) -> None:
        """Nobody looks."""

    confirm = present

    def conclude(self, done: provision.Done) -> None:
        """Nobody looks."""

    def watch(self, _plan: Plan, _took: float | None) -> AbstractContextManager[Watcher]:
        """Nobody looks."""
        return nullcontext(lambda _event: None)


def read_all(terminal: int) -> None:
    """Take away what a terminal shows, as a screen does."""
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


@pytest.fixture(scope="module")
def installation(seeded_netbox: Settings) -> Iterator[Installation]:
    made = Installation(seeded_netbox)
    up = made.invoke("lab.up", "--rack=A2-R01", "--hosts=3")
    assert up.code == 0, up
    yield made
    lab.down(seeded_netbox)
    made.plan_anew()


@pytest.fixture
def here(installation: Installation) -> Installation:
    installation.plan_anew()
    return installation


def finished(here: Installation, run: str) -> None:
    """The run is whole: all hosts active and done, each completed step done once, no lock left."""
    assert [here.status(name) for name in HOSTS] == ["active"] * 3
    assert {host.outcome for host in here.hosts(run).values()} <= {"changed", "unchanged"}
    assert here.lock() is None
    assert playbooks_of(here.settings.state) == []


@pytest.mark.parametrize(
    ("host", "step", "ended"),
    [
        (CANARY, "preflight", False),
        (CANARY, "write-back", False),
        (TWO, "configure", False),
        (TWO, "verify", False),
        (TWO, "verify", True),
    ],
)
def test_a_killed_controller_is_gone_on_with(
    here: Installation, host: str, step: str, *, ended: bool
) -> None:
    started = here.start("provision", SCOPE)
    run = here.wait_for_step(started, host, step, ended=ended)
    kill(started)
    wait_until(lambda: not playbooks_of(here.settings.state))
    left = here.hosts(run)
    done = {name for name, each in left.items() if each.outcome in {"changed", "unchanged"}}
    unknown = {name for name, each in left.items() if each.outcome == "unknown"}
    assert unknown, "a kill in mid-step leaves an outcome that nobody knows"
    counted = {name: here.attempts(run, name, "configure") for name in HOSTS}

    resumed = here.invoke("provision", f"--resume={run}")
    assert resumed.code == 0, resumed
    for name in unknown:
        assert name in resumed.err, "what is UNKNOWN is said"
    for name in done:
        assert here.attempts(run, name, "configure") == counted[name] == 1, "done once"
    if step in {"write-back", "verify"}:
        assert here.attempts(run, host, "configure") == 1, "what was completed is not repeated"
    finished(here, run)
    assert "nothing is left to do" in here.invoke("provision", f"--resume={run}").err


def test_ctrl_c_stops_cleanly(here: Installation) -> None:
    started = here.start("provision", SCOPE, "--json")
    here.wait_for_step(started, CANARY, "preflight")
    with faults.frozen(here.settings, TWO):
        run = here.wait_for_step(started, TWO, "configure")
        os.kill(started.pid, signal.SIGINT)
        done = here.end(started, seconds=60)
    assert done.code == 1, done
    assert "Ctrl-C" in done.result["stopped"]
    assert done.outcomes[CANARY] in {"changed", "unchanged"}
    assert done.outcomes[TWO] == "unknown"
    assert here.lock() is None, "the lock is released"
    assert playbooks_of(here.settings.state) == []
    assert (here.settings.state / "runs" / run / "report.html").exists()
    resumed = here.invoke("provision", f"--resume={run}")
    assert resumed.code == 0, resumed
    finished(here, run)


def test_a_closed_terminal_stops_cleanly(here: Installation) -> None:
    mine, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, sys.executable, "-m", "invoke", "provision", SCOPE],
        env=here.environ,
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as started:
        os.close(terminal)
        screen = threading.Thread(target=read_all, args=[os.dup(mine)], daemon=True)
        screen.start()
        here.wait_for_step(started, CANARY, "preflight")
        with faults.frozen(here.settings, TWO):
            run = here.wait_for_step(started, TWO, "configure")
            os.kill(started.pid, signal.SIGHUP)  # what the kernel sends when a terminal goes
            os.close(mine)
            started.wait(60)
    assert started.returncode == 1
    assert "SIGHUP" in here.latest().stopped
    assert here.lock() is None
    assert (here.settings.state / "runs" / run / "report.html").exists()
    resumed = here.invoke("provision", f"--resume={run}")
    assert resumed.code == 0, resumed
    finished(here, run)


def test_a_run_that_was_killed_at_its_lock_is_gone_on_with(here: Installation) -> None:
    started = here.start("provision", SCOPE)
    wait_until(here.lock)
    kill(started)
    held = here.lock()
    assert held, "nobody was there to release it"
    resumed = here.invoke("provision", f"--resume={held['run']}")
    assert resumed.code == 0, resumed
    finished(here, held["run"])


def test_a_lost_lock_stops_the_batch(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = lock.hold.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setitem(hold.__kwdefaults__, "ttl", 6.0)
    said: list[str] = []

    before = time.time()

    def begun(host: str, step: str) -> bool:
        with closing(Journal(here.settings.state / "journal.sqlite")) as journal:
            runs = [each.id for each in journal.runs() if each.started > before]
        return any(here.attempts(run, host, step) for run in runs)

    def usurp() -> None:
        wait_until(lambda: begun(CANARY, "preflight"))
        with faults.frozen(here.settings, TWO):
            wait_until(lambda: begun(TWO, "configure"))
            held = here.lock()
            assert held
            other = {"chapelle_lock": held | {"nonce": "0" * 16, "run": "another"}}
            location = here.netbox("GET", "dcim/locations/", params={"slug": "aisle-2"}).json()
            url = f"dcim/locations/{location['results'][0]['id']}/"
            here.netbox("PATCH", url, json={"custom_fields": other})
            wait_until(lambda: here.latest().exit_code is not None)

    usurper = threading.Thread(target=usurp)
    usurper.start()
    order = provision.Order(scope=scope.from_text(SCOPE))
    done = provision.provision(here.settings, order, Quiet(said))
    usurper.join()
    assert done.result.exit_code == 4, done
    assert "no longer ours" in done.result.stopped
    assert here.hosts(done.result.id)[TWO].outcome == "unknown"
    held = here.lock()
    assert held, "what is not ours is not released"
    assert held["run"] == "another"
    wait_until(lambda: here.invoke("provision", f"--resume={done.result.id}").code == 0)
    finished(here, done.result.id)


def test_a_kill_after_the_last_host_leaves_a_run_that_can_be_closed(here: Installation) -> None:
    """The last host is written back, and the run's end is not in the journal yet."""
    done = here.provision()
    assert done.code == 0, done
    run = done.result["id"]
    with closing(Journal(here.settings.state / "journal.sqlite")) as journal:
        journal.take_over(run, "")
    (here.settings.state / "runs" / run / "report.html").unlink()
    resumed = here.invoke("provision", f"--resume={run}")
    assert resumed.code == 0, resumed
    assert "nothing is left to do" in resumed.err
    assert here.latest().exit_code == 0
    assert (here.settings.state / "runs" / run / "report.html").exists()
    assert [here.attempts(run, name, "configure") for name in HOSTS] == [1, 1, 1]
    finished(here, run)


def test_of_two_controllers_one_is_refused(here: Installation) -> None:
    first = here.start("provision", SCOPE, "--json")
    run = here.wait_for_step(first, CANARY, "preflight")
    os.kill(first.pid, signal.SIGSTOP)  # it is in no hurry to end
    second = here.invoke("provision", "--limit=compute-a2-03")
    resumed = here.invoke("provision", f"--resume={run}")
    os.kill(first.pid, signal.SIGCONT)
    assert second.code == 4, second
    for word in ("Aisle 2", run, "since", "until"):
        assert word in second.err, second
    assert resumed.code == 4, resumed
    assert here.end(first).code == 0
    finished(here, run)


def test_netbox_goes_away_and_comes_back(here: Installation) -> None:
    started = here.start("provision", SCOPE, "--json")
    run = here.wait_for_step(started, TWO, "configure")
    server.down(here.settings, print)
    time.sleep(2)
    server.up(here.settings, print)
    done = here.end(started)
    assert done.code == 0, done
    finished(here, run)


def test_netbox_stays_away_and_nothing_is_lost(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAPELLE_NETBOX_PATIENCE", "3")
    started = here.start("provision", SCOPE, "--json")
    here.wait_for_step(started, CANARY, "preflight")
    with faults.frozen(here.settings, TWO):
        run = here.wait_for_step(started, TWO, "configure")
        server.down(here.settings, print)
    try:
        done = here.end(started)
    finally:
        server.up(here.settings, print)
    assert done.code == 1, done
    assert "written back" in done.result["stopped"]
    assert done.step(TWO, "verify")["outcome"] == "ok"
    monkeypatch.delenv("CHAPELLE_NETBOX_PATIENCE")
    assert here.invoke("provision", f"--resume={run}").code == 0
    assert here.attempts(run, TWO, "configure") == 1, "only the write-back was left"
    finished(here, run)


def test_a_host_that_moved_meanwhile_is_not_resumed(here: Installation) -> None:
    started = here.start("provision", SCOPE)
    run = here.wait_for_step(started, TWO, "configure")
    kill(started)
    here.edit(THREE, {"status": "offline"})
    refused = here.invoke("provision", f"--resume={run}")
    assert refused.code == 3, refused
    assert f"{THREE}: status was planned, now offline" in refused.err
    here.edit(THREE, {"status": "staged"})
    resumed = here.invoke("provision", f"--resume={run}")
    assert resumed.code == 0, resumed
    finished(here, run)
