"""An operator and NetBox's administrator for tests: commands as typed, and content as edited."""

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from chapelle import process
from chapelle.model.outcome import HostResult
from chapelle.netbox.access import Session, access
from chapelle.run.journal import Journal, RunRecord
from chapelle.settings import Settings

ROOT = Path(__file__).parents[2]
HOSTS = ("compute-a2-01", "compute-a2-02", "compute-a2-03")
SCOPE = "--limit=" + ",".join(HOSTS)


class Ended:
    """A command that has ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def result(self) -> dict[str, Any]:
        """The result that `--json` prints last."""
        return json.loads(self.out.splitlines()[-1])["result"]

    @property
    def outcomes(self) -> dict[str, str]:
        """Each host's outcome, from `--json`."""
        return {host["host"]: host["outcome"] for host in self.result["hosts"]}

    def step(self, host: str, step: str) -> dict[str, Any]:
        """One step of one host, from `--json`."""
        steps = next(h["steps"] for h in self.result["hosts"] if h["host"] == host)
        return next(s for s in steps if s["step"] == step)

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out[-4000:]}\n{self.err[-2000:]}"


class Installation:
    """One state directory with its NetBox and lab, and what people do with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the operator's commands."""
        return {
            **os.environ,
            "CHAPELLE_STATE": str(self.settings.state),
            "CHAPELLE_CACHE": str(self.settings.cache),
        }

    # -- the operator -----------------------------------------------------------------------------

    def start(self, *words: str, cwd: Path = ROOT) -> "subprocess.Popen[str]":
        """Begin a command in a clone, as the head of a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=cwd,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, started: "subprocess.Popen[str]", seconds: float = 300) -> Ended:
        """Wait for the end of a command."""
        out, err = started.communicate(timeout=seconds)
        return Ended(started.returncode, out, err)

    def invoke(self, *words: str, cwd: Path = ROOT) -> Ended:
        """Type a command and wait for its end."""
        return self.end(self.start(*words, cwd=cwd))

    def provision(self, *words: str) -> Ended:
        """Provision the three hosts, or what `words` say, with `--json`."""
        return self.invoke("provision", *(words or (SCOPE,)), "--json")

    # -- the journal ------------------------------------------------------------------------------

    def latest(self) -> RunRecord:
        """The latest run."""
        with closing(Journal(self.settings.state / "journal.sqlite")) as journal:
            return journal.runs()[0]

    def hosts(self, run: str) -> dict[str, HostResult]:
        """A run's hosts, as the journal knows them."""
        with closing(Journal(self.settings.state / "journal.sqlite")) as journal:
            return {host.host: host for host in journal.result(run).hosts}

    def attempts(self, run: str, host: str, step: str) -> int:
        """How many times a step was begun on a host."""
        with closing(Journal(self.settings.state / "journal.sqlite")) as journal:
            query = "SELECT count(*) FROM steps WHERE run=? AND host=? AND step=?"
            return int(journal._db.execute(query, (run, host, step)).fetchone()[0])

    def wait_for_step(
        self,
        started: "subprocess.Popen[str]",
        host: str,
        step: str,
        *,
        ended: bool = False,
        seconds: float = 180,
    ) -> str:
        """Wait until the journal says that a step of the run was begun, or ended; its id."""
        deadline = time.monotonic() + seconds
        with closing(Journal(self.settings.state / "journal.sqlite")) as journal:
            while time.monotonic() < deadline:
                assert started.poll() is None, self.end(started)
                for record in journal.runs():
                    if process.pid_of(record.process) != started.pid:
                        continue
                    found = journal.steps(record.id, host).get(step)
                    if found and (found.finished is not None or not ended):
                        return record.id
                time.sleep(0.02)
        raise AssertionError(f"{host} {step} was waited for in vain")

    def failures_in_report(self, run: str) -> dict[str, list[str]]:
        """What the HTML report of a run says of each server that failed.

        Its row: rack, outcome, step, reason, and what to type once it is mended.
        """
        page = (self.settings.state / "runs" / run / "report.html").read_text()
        section = re.search(r'aria-labelledby="failures".*?</section>', page, re.DOTALL)
        rows = re.findall(r"<tr>(.*?)</tr>", section[0], re.DOTALL) if section else []
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows[1:]]
        texts = [[html.unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in row] for row in cells]
        return {row[0]: row[1:] for row in texts}

    # -- NetBox -----------------------------------------------------------------------------------

    def netbox(self, method: str, path: str, **keywords: Any) -> requests.Response:
        """One request to NetBox's API by its administrator."""
        granted = access(self.settings, "seed")
        with Session(granted) as session:
            answer = session.request(method, f"{granted.url}/api/{path}", **keywords)
        assert answer.ok, answer.text
        return answer

    def device(self, name: str) -> dict[str, Any]:
        """What NetBox says of a device now."""
        return self.netbox("GET", "dcim/devices/", params={"name": name}).json()["results"][0]

    def status(self, name: str) -> str:
        """A device's status in NetBox now."""
        return str(self.device(name)["status"]["value"])

    def edit(self, name: str, change: Mapping[str, Any]) -> None:
        """Edit a device in NetBox."""
        self.netbox("PATCH", f"dcim/devices/{self.device(name)['id']}/", json=dict(change))

    def entries(self, name: str) -> list[str]:
        """The journal entries of a device in NetBox, the latest first."""
        query = {
            "assigned_object_type": "dcim.device",
            "assigned_object_id": self.device(name)["id"],
            "ordering": "-id",
        }
        found = self.netbox("GET", "extras/journal-entries/", params=query).json()["results"]
        return [entry["comments"] for entry in found]

    def changes(self) -> int:
        """The id of NetBox's latest change."""
        query = {"ordering": "-id", "limit": 1, "fields": "id"}
        found = self.netbox("GET", "core/object-changes/", params=query).json()["results"]
        return int(found[0]["id"]) if found else 0

    def lock(self, aisle: str = "aisle-2") -> dict[str, Any] | None:
        """The lock of an aisle as NetBox has it."""
        found = self.netbox("GET", "dcim/locations/", params={"slug": aisle}).json()["results"]
        lock: dict[str, Any] | None = found[0]["custom_fields"]["chapelle_lock"]
        return lock

    def plan_anew(self) -> None:
        """Make the three hosts `planned`, as if they had never been touched."""
        for name in HOSTS:
            self.edit(name, {"status": "planned"})


def kill(started: "subprocess.Popen[str]") -> None:
    """Kill the command's own process, and nothing that it started, as `kill -9` does."""
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()


def wait_until(what: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def playbooks_of(state: Path) -> list[int]:
    """The Ansible processes at work for a state directory."""
    found = []
    for folder in Path("/proc").iterdir():
        if not re.fullmatch(r"\d+", folder.name):
            continue
        try:
            environ = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"AWX_ISOLATED_DATA_DIR={state}/".encode() in environ:
            found.append(int(folder.name))
    return found
