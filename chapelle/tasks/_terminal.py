"""The operator at a terminal, or the script in their place: what is said, asked, and shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from chapelle.errors import RefusedError
from chapelle.plan.plan import Plan
from chapelle.report import fabric, live, summary
from chapelle.report.plan import print_plan
from chapelle.report.text import host_names
from chapelle.run.journal import SWITCH_KINDS
from chapelle.run.operator import Done
from chapelle.run.recorder import Watcher

# The steps that a live display has columns for, where not all fit; the others take a moment each.
_PUSH_SHOWN = ("diff", "apply", "post-check", "persist", "write-back")
_SHOWN = {
    "push": _PUSH_SHOWN,
    "revert": _PUSH_SHOWN,
    "rebuild": ("boot", "install", "configure", "verify"),
    "retire": ("gate", "erase", "certify", "write-back"),
    "reboot": ("drain", "reboot", "verify", "write-back"),
    "patch": ("patch", "reboot", "verify", "write-back"),
}


# What becomes of the servers of a plan.
_DONE_TO = {
    "provision": "configured",
    "rebuild": "taken out of service and installed again (their data disks are kept)",
    "retire": "ERASED, with all their data, for good",
    "reboot": "taken out of service and restarted",
    "patch": "taken out of service, upgraded, and restarted where that needs it",
}


class Terminal:
    """The operator at a terminal, or the script in their place."""

    def __init__(self, *, json: bool, yes: bool = False) -> None:
        self.json = json
        self.yes = yes

    def say(self, line: str) -> None:
        """Tell one line; on standard error, so that standard output holds results only.

        A terminal that was closed hears nothing, and ends nothing.
        """
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)

    def present(self, plan: Plan) -> None:
        """Show a plan that is not going to be carried out."""
        if self.json:
            return
        if plan.kind in SWITCH_KINDS:
            fabric.print_push(plan)
        else:
            print_plan(plan)

    def confirm(self, plan: Plan) -> None:
        """Ask before the site's own machines are touched; the lab's are nobody's."""
        if self.yes or plan.target == "lab":
            return
        if plan.kind in SWITCH_KINDS:
            if not plan.diffs:
                return  # a status in NetBox is all that may change
            fabric.print_push(plan, sys.stderr, brief=True)
            names = list(plan.diffs)
            self.say(f"{len(names)} switches of the site will be changed:")
            self.say(f"  {host_names(names, len(names))}")
        else:
            self.say(f"{len(plan.hosts)} servers of the site will be {_DONE_TO[plan.kind]}:")
            for rack in dict.fromkeys(host.rack for host in plan.hosts):
                names = [host.name for host in plan.hosts if host.rack == rack]
                self.say(f"  {rack}: {host_names(names, len(names))}")
        if not sys.stdin.isatty():
            raise _not_confirmed("nobody to ask: standard input is not a terminal")
        print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip()
        if answer.lower() not in {"y", "yes"}:
            raise _not_confirmed(repr(answer))

    def conclude(self, done: Done) -> None:
        """Tell how a run ended that another one follows."""
        if self.json:
            summary.print_json(done.result)
        else:
            report = done.report or ""
            summary.print_summary(done.result, netbox_url=done.netbox_url, report=report)

    @contextmanager
    def watch(self, plan: Plan, took: float | None) -> Iterator[Watcher]:
        """Show a run as it happens; `took` is how many seconds such a run took before, if known."""
        racks = {host.name: host.rack for host in plan.hosts}
        longest = max((host.steps for host in plan.hosts), key=len)
        steps = _SHOWN.get(plan.kind, longest)
        mode = live.choose_mode(json=self.json)
        with live.display(mode, racks, steps=steps, expected_seconds=took) as watcher:
            yield watcher


def _not_confirmed(found: str) -> RefusedError:
    return RefusedError(
        "Nothing was done: nobody said yes.",
        expected="the answer y, or the argument --yes",
        found=found,
        remedy="read the plan with --dry-run, then say --yes",
    )
