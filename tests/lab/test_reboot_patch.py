"""Rolling work: servers of the lab restart and are patched, one at a time where it matters.

One compute server and two databases of one rack, of which inventory/rolling.yml lets one be out.
"""

import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from operating import ROOT, Installation, kill, wait_until

from chapelle import lab
from chapelle.errors import ChapelleError
from chapelle.lab import faults
from chapelle.model.outcome import PATCH_STEPS, REBOOT_STEPS
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab, pytest.mark.netbox]

CANARY, ONE, TWO = HOSTS = ("compute-a2-09", "database-a2-02", "database-a2-03")
SCOPE = "--limit=" + ",".join(HOSTS)

HOOK = """\
#!/bin/sh
echo "$1 $(cat /proc/sys/kernel/random/boot_id)" >>/var/log/drained
"""
REFUSING = """\
#!/bin/sh
[ "$1" = restore ] || { echo "two replicas are missing" >&2; exit 3; }
"""

# Makes version $1 of a package with a configuration file, as it is after $2 was run, and the list
# that apt reads.
PACKAGE = r"""
version=$1 after=$2; mkdir -p /srv/own/tree/DEBIAN /srv/own/tree/etc; cd /srv/own
printf 'Package: own\nVersion: %s\nArchitecture: all\nMaintainer: t\nDescription: t\n' $version \
  >tree/DEBIAN/control
echo /etc/own.conf >tree/DEBIAN/conffiles; echo "of $version" >tree/etc/own.conf
printf '#!/bin/sh\n%s\n' "$after" >tree/DEBIAN/postinst; chmod 755 tree/DEBIAN/postinst
dpkg-deb --build --root-owner-group tree own.deb >/dev/null
{ cat tree/DEBIAN/control; echo "Filename: ./own.deb"; echo "Size: $(stat -c %s own.deb)"
  echo "SHA256: $(sha256sum own.deb | cut -d' ' -f1)"; } >Packages
echo 'deb [trusted=yes] file:/srv/own ./' >/etc/apt/sources.list.d/own.list
apt-get -qq update
"""


class Rolling(Installation):
    """The three servers, and what is seen of them from outside."""

    def run(self, host: str, script: str, *words: str) -> str:
        """A shell script on a server, as root."""
        command = ["/bin/sh", "-euc", script, "sh", *words]
        return faults.run(self.settings, host, shlex.join(command))

    def boot(self, host: str) -> str:
        """Which boot a server is in; empty while it is in none."""
        try:
            return self.run(host, "cat /proc/sys/kernel/random/boot_id").strip()
        except ChapelleError:
            return ""

    def hook(self, host: str, name: str, text: str) -> None:
        """What a role would install."""
        script = 'mkdir -p /etc/chapelle/drain.d; printf %s "$2" >"$1"; chmod 755 "$1"'
        self.run(host, script, f"/etc/chapelle/drain.d/{name}", text)

    def spans(self, run: str) -> dict[str, tuple[float, float]]:
        """From when to when each server was out of service, by the journal."""
        found = {}
        for name, host in self.hosts(run).items():
            steps = {step.step: step for step in host.steps}
            finished = steps["restore"].finished
            assert finished is not None
            found[name] = (steps["drain"].started, finished)
        return found


@pytest.fixture(scope="module")
def here(seeded_netbox: Settings) -> Iterator[Rolling]:
    lab.down(seeded_netbox)
    installation = Rolling(seeded_netbox)
    done = installation.provision(SCOPE)
    assert done.code == 0, done
    yield installation
    lab.down(seeded_netbox)
    for name in HOSTS:
        installation.edit(name, {"status": "planned"})


def test_servers_restart_each_in_its_turn(here: Rolling) -> None:
    before = {name: here.boot(name) for name in HOSTS}
    here.hook(ONE, "10-log", HOOK)
    done = here.invoke("reboot", SCOPE, "--json")
    assert done.code == 0, done
    assert done.outcomes == dict.fromkeys(HOSTS, "changed")
    for name in HOSTS:
        change = done.step(name, "reboot")["changes"][0]
        assert (change["before"], change["after"]) == (before[name], here.boot(name))
        assert before[name] != here.boot(name)
        assert done.step(name, "verify")["outcome"] == "ok"
        assert here.status(name) == "active"
        assert done.result["id"] in here.entries(name)[0]
        assert "restarted and verified" in here.entries(name)[0]
    steps = [step["step"] for step in done.result["hosts"][0]["steps"]]
    assert steps == list(REBOOT_STEPS)
    told = here.run(ONE, "cat /var/log/drained").splitlines()
    assert told == [f"drain {before[ONE]}", f"restore {here.boot(ONE)}"]
    spans = here.spans(done.result["id"])
    (first, second) = sorted((spans[ONE], spans[TWO]))
    assert first[1] <= second[0], "two databases were out at one time"
    assert spans[CANARY][1] <= first[0], "the canary is alone"
    assert here.lock() is None


def test_a_hook_that_fails_stops_its_server_before_anything_is_done(here: Rolling) -> None:
    before = here.boot(ONE)
    here.hook(ONE, "20-refuse", REFUSING)
    done = here.invoke("reboot", SCOPE, "--json")
    here.run(ONE, "rm /etc/chapelle/drain.d/20-refuse")
    assert done.code == 5, done
    assert done.outcomes == {CANARY: "changed", ONE: "failed", TWO: "pending"}
    assert f"lets none of these be out: {TWO}" in done.result["stopped"]
    assert "two replicas are missing" in done.step(ONE, "drain")["message"]
    assert here.boot(ONE) == before
    assert here.status(ONE) == "active", "it is in service"
    assert here.run(ONE, "tail -1 /var/log/drained") == f"restore {before}\n"
    assert "two replicas" in here.entries(ONE)[0]


def test_a_controller_killed_during_a_restart_restarts_nothing_twice(here: Rolling) -> None:
    before = here.boot(ONE)
    started = here.start("reboot", f"--limit={ONE}", "--json")
    run = here.wait_for_step(started, ONE, "reboot")
    wait_until(lambda: "chapelle-restart" in here.run(ONE, "systemctl list-timers chapelle-*"))
    kill(started)
    wait_until(lambda: here.boot(ONE) not in {before, ""})
    restarted = here.boot(ONE)
    assert here.hosts(run)[ONE].outcome == "unknown"
    done = here.invoke("reboot", f"--resume={run}", "--json")
    assert done.code == 0, done
    assert here.boot(ONE) == restarted, "it was restarted a second time"
    assert done.outcomes == {ONE: "changed"}
    assert "already" in done.step(ONE, "reboot")["message"]
    attempts = [here.attempts(run, ONE, step) for step in ("drain", "reboot", "restore")]
    assert attempts == [1, 2, 1]
    told = here.run(ONE, "tail -2 /var/log/drained").splitlines()
    assert told == [f"drain {before}", f"restore {restarted}"]


def test_a_patch_upgrades_and_restarts_where_a_package_asks_for_it(here: Rolling) -> None:
    for name, after in ((CANARY, ":"), (ONE, "touch /run/reboot-required")):
        here.run(name, PACKAGE, "1.0", ":")
        here.run(name, "apt-get -qq install own >/dev/null; echo ours >/etc/own.conf")
        here.run(name, PACKAGE, "2.0", after)
    scope = f"--limit={CANARY},{ONE}"
    before = {name: here.boot(name) for name in (CANARY, ONE)}
    told = here.invoke("patch", scope, "--dry-run")
    assert told.code == 0, told
    assert "package own 1.0 -> 2.0" in told.out
    assert here.run(ONE, "dpkg-query -Wf '${Version}' own") == "1.0"
    done = here.invoke("patch", scope, "--json")
    assert done.code == 0, done
    for name in (CANARY, ONE):
        (change,) = done.step(name, "patch")["changes"]
        assert (change["item"], change["before"], change["after"]) == ("own", "1.0", "2.0")
        assert here.run(name, "cat /etc/own.conf") == "ours\n", "configuration files stay"
        assert "patched and verified" in here.entries(name)[0]
    assert [step["step"] for step in done.result["hosts"][0]["steps"]] == list(PATCH_STEPS)
    assert done.step(CANARY, "reboot")["message"] == "not needed"
    assert here.boot(CANARY) == before[CANARY]
    assert here.boot(ONE) != before[ONE]
    page = (here.settings.state / "runs" / done.result["id"] / "report.html").read_text()
    assert "own" in page
    assert "1.0 → 2.0" in page
    again = here.invoke("patch", f"--limit={ONE}", "--json")
    assert again.outcomes == {ONE: "unchanged"}, again
    assert again.step(ONE, "drain")["message"] == "not needed"


@pytest.fixture
def impatient(tmp_path: Path) -> Path:
    """A clone of this one whose rolling.yml waits no longer than ten seconds for a restart."""
    clone = tmp_path / "clone"
    kept = ("chapelle", "inventory", "playbooks", "plugins", "roles", "tasks.py", "ansible.cfg")
    for name in (*kept, "requirements-netbox.in", "requirements-netbox.lock"):
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, clone / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, clone / name)
    policy = clone / "inventory" / "rolling.yml"
    policy.write_text(policy.read_text().replace("reboot: 900", "reboot: 10"))
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    (clone / ".gitignore").write_text("__pycache__/\n.ansible/\n")
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "impatient"]):
        subprocess.run(["git", *words], cwd=clone, check=True)
    return clone


def test_a_server_that_does_not_come_back_is_seen_and_stops_the_run(
    here: Rolling, impatient: Path
) -> None:
    here.run(CANARY, "systemctl mask --quiet ssh.service")
    done = here.invoke("reboot", f"--limit={CANARY},{TWO}", "--json", cwd=impatient)
    assert done.code == 5, done
    assert done.outcomes == {CANARY: "unreachable", TWO: "pending"}
    assert "did not come back" in done.step(CANARY, "reboot")["message"]
    assert "canary" in done.result["stopped"]
    assert here.status(CANARY) == "failed", "whoever looks at NetBox sees it"
    assert "did not come back" in here.entries(CANARY)[0]
    back = here.boot(CANARY)
    here.run(CANARY, "systemctl unmask --quiet ssh.service; systemctl start ssh.service")
    run = done.result["id"]
    resumed = here.invoke("reboot", f"--resume={run}", "--json", cwd=impatient)
    assert resumed.code == 0, resumed
    assert here.boot(CANARY) == back, "it had restarted"
    assert resumed.outcomes == dict.fromkeys((CANARY, TWO), "changed")
    assert [here.status(name) for name in HOSTS] == ["active"] * 3


def test_a_server_that_is_not_as_it_was_becomes_failed(here: Rolling) -> None:
    here.run(TWO, "systemctl disable --quiet chrony.service")
    here.hook(TWO, "10-log", HOOK)
    began = time.time()
    done = here.invoke("reboot", f"--limit={TWO}", "--json")
    assert done.code == 5, done
    differing = [each["item"] for each in done.step(TWO, "verify")["differences"]]
    assert "chrony.service" in differing
    assert done.step(TWO, "reboot")["started"] > began
    assert here.status(TWO) == "failed"
    assert here.run(TWO, "cut -d' ' -f1 /var/log/drained") == "drain\n"
    assert f"provision --limit={TWO}" in here.failures_in_report(done.result["id"])[TWO][-1]
    mended = here.provision(f"--limit={TWO}")
    assert mended.code == 0, mended
    assert here.status(TWO) == "active"
    assert here.run(TWO, "cut -d' ' -f1 /var/log/drained") == "drain\nrestore\n"
