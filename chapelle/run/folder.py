"""A run's own directory: its plan and snapshot, Ansible's artifacts, the result and the report."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chapelle.files import write
from chapelle.model.outcome import RunResult
from chapelle.model.snapshot import Snapshot
from chapelle.plan import plan as plans
from chapelle.plan.plan import Plan
from chapelle.report import html

# Directories of runs that are kept, of each kind; the journal keeps all runs.
KEPT = 30


class Folder:
    """The directory of one run below `runs`, made with mode 0700."""

    def __init__(self, runs: Path, run: str) -> None:
        self.run = run
        self.path = runs / run

    @property
    def plan(self) -> Path:
        """The plan, as `plan.encode` writes it."""
        return self.path / "plan.json"

    @property
    def snapshot(self) -> Path:
        """The snapshot that Ansible's inventory reads."""
        return self.path / "snapshot.json"

    @property
    def report(self) -> Path:
        """What people read."""
        return self.path / "report.html"

    def fill(self, plan: Plan, snapshot: Snapshot) -> None:
        """Write what the run works from."""
        for directory in (self.path.parent, self.path):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(self.plan, plans.encode(plan))
        write(self.snapshot, snapshot.data)

    def prune(self, alike: Sequence[str]) -> None:
        """Remove the directories of runs long past.

        Arguments:
            alike: all runs of this one's kind, the latest first. The latest of each kind stay, so
                that many looks at drift do not take away what a resumed run needs.
        """
        for old in alike[KEPT:]:
            if old != self.run:
                shutil.rmtree(self.path.parent / old, ignore_errors=True)

    def conclude(self, result: RunResult, netbox_url: str) -> None:
        """Write the result, for machines and for people."""
        data = msgspec.json.encode(result)
        write(self.path / "result.json", msgspec.json.format(data) + b"\n")
        write(self.report, html.render(result, netbox_url=netbox_url).encode())
