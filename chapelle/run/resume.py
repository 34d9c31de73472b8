"""Going on with a run that was cut short: what is left of it, and that nobody is at it still."""

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from chapelle import process
from chapelle.drivers import ansible
from chapelle.errors import ChapelleError, InputError, LockedError
from chapelle.plan import plan as plans
from chapelle.plan.plan import Plan
from chapelle.run.journal import Journal

_GONE_AFTER = 20.0
_POLL = 0.2


_DONE = ("changed", "unchanged", "applied")

# What a run of each kind is gone on with by.
_REMEDIES = {
    "reboot": "invoke reboot --resume={run}",
    "patch": "invoke patch --resume={run}",
    "provision": "invoke provision --resume={run}",
    "rebuild": "invoke rebuild --resume={run}",
    "retire": "invoke retire --resume={run}",
    "push": "invoke fabric.push --resume={run}",
    "revert": "invoke fabric.push --resume={run}",
    "drift": "look again: invoke drift {record.scope}",
}


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a run: its plan, the hosts not done, and those whose outcome is UNKNOWN."""

    plan: Plan
    hosts: tuple[str, ...]
    unknown: tuple[str, ...]
    own_statuses: dict[str, frozenset[str]]


def left(
    journal: Journal, run: str, directory: Path, kinds: Collection[str] = ("provision",)
) -> Left:
    """Look at what is left of a run of one of these kinds; its plan is read from its directory.

    Raises:
        InputError: there is no such run, or it is of a kind that cannot be resumed.
        LockedError: its process is still at work.
        RefusedError: its plan was altered.
    """
    record = journal.run(run)
    if record.kind not in kinds:
        raise InputError(
            f"Run {run} has nothing to resume with this command.",
            where=str(journal.path),
            expected=f"a run of kind {' or '.join(kinds)}",
            found=f"kind {record.kind}",
            remedy=_REMEDIES.get(record.kind, "see invoke runs.show").format(
                run=run, record=record
            ),
        )
    if record.finished is None:
        _require_dead(record.process, run, record.owner)
    _end_playbook(directory)
    plan = plans.read(directory / "plan.json")
    result = journal.result(run)
    done = {host.host for host in result.hosts if host.outcome in _DONE}
    begun = {host.host for host in result.hosts if host.steps}
    return Left(
        plan=plan,
        hosts=tuple(host.name for host in plan.hosts if host.name not in done),
        unknown=tuple(host.host for host in result.hosts if host.outcome == "unknown"),
        own_statuses={
            host.host: frozenset({"staged", "active", "failed", host.status_after})
            for host in result.hosts
            if host.host in begun
        },
    )


def _require_dead(controller: str, run: str, owner: str) -> None:
    if process.alive(controller):
        raise LockedError(
            f"Run {run} is still at work.",
            where=f"process {process.pid_of(controller)} of {owner}",
            expected="a run that has ended",
            found="a process that runs",
            remedy="wait for it, or stop it with Ctrl-C; runs.list shows runs",
        )


def _end_playbook(directory: Path) -> None:
    """End what a killed controller may have left: two must never work on one host."""
    deadline = time.monotonic() + _GONE_AFTER
    while name := ansible.running(directory):
        late = time.monotonic() > deadline - _GONE_AFTER / 2
        if time.monotonic() > deadline:
            raise ChapelleError(
                "The playbook process of the run before cannot be ended.",
                where=f"process {process.pid_of(name)}",
                remedy="end it by hand, then resume again",
            )
        os.kill(process.pid_of(name), signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(_POLL)
