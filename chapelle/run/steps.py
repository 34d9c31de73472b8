"""From Ansible's events to the steps of our hosts: where each host is, and how each step ended.

A step begins with the play that is named after it. It ends with the answer that says so, or when
the next one begins. Preflight and configure are one request to the host, so both are begun before
it is sent, and its answer says how each of them ended.
"""

import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from chapelle.drivers.ansible import Ending, TaskEvent
from chapelle.errors import ChapelleError
from chapelle.model.outcome import (
    DEPLOY_STEPS,
    ROLLING_KINDS,
    STEPS_OF,
    Change,
    Difference,
    StepResult,
)
from chapelle.run.recorder import Recorder

PREFLIGHT, CONFIGURE, VERIFY, REBOOT = ("preflight", "configure", "verify", "reboot")
WRITE_BACK = "write-back"

_LONGEST_MESSAGE = 300

# What Ansible says before it lets the cause speak.
_PREAMBLE = re.compile(
    r"^(Task failed: )?"
    r"((Data could not be sent to remote host \S+ )?Make sure this host can be reached over ssh: "
    r"|Failed to connect to the host via ssh: )?"
)


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What playbooks do with the hosts of a run.

    `playbook` takes all of the steps. `later` begins at the step `again`: for a host that a run is
    gone on with, and on which all that comes before it was seen to be done.
    """

    steps: tuple[str, ...]
    playbook: str
    later: str
    again: str

    @property
    def before(self) -> tuple[str, ...]:
        """The steps before `again`."""
        return self.steps[: self.steps.index(self.again)]


def course(kind: str) -> Course:
    """How a run of that kind goes."""
    others = {WRITE_BACK} if kind == "retire" else {WRITE_BACK, *DEPLOY_STEPS}
    steps = tuple(step for step in STEPS_OF[kind] if step not in others)
    if kind in ROLLING_KINDS:
        return Course(steps=steps, playbook=kind, later="restart", again=REBOOT)
    if kind == "retire":  # no playbook: nothing of ours is left there
        return Course(steps=steps, playbook="", later="", again=steps[-1])
    return Course(steps=steps, playbook="provision", later="verify", again=VERIFY)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What our action plugins return, as far as a run reads it."""

    changed: bool = False
    ended: str = ""
    message: str = ""
    boot_id: str = ""
    phase: str = ""
    changes: tuple[Change, ...] = ()
    differences: tuple[Difference, ...] = ()
    not_exercised: tuple[str, ...] = ()
    observed: dict[str, Any] | None = None


class _Host:
    """Where one host is: its open steps with the time of their beginning, and what was found."""

    def __init__(self, name: str, first: str) -> None:
        self.name = name
        self.open: dict[str, float] = {first: time.time()}
        self.begun = {first}
        self.lost = False
        self.changed = False
        self.changes: list[Change] = []
        self.not_exercised: list[str] = []


class Follower:
    """Follows one playbook over its hosts.

    Arguments:
        hosts: the hosts; the first step was begun on each by the caller.
        recorder: told of each step's beginning and end.
        steps: all steps that playbooks take in this run, in order.
        first: the first one that this playbook takes.
    """

    def __init__(
        self, hosts: Sequence[str], recorder: Recorder, steps: Sequence[str], first: str = PREFLIGHT
    ) -> None:
        self._hosts = {name: _Host(name, first) for name in hosts}
        self._recorder = recorder
        self._steps = tuple(steps)

    def see(self, event: TaskEvent) -> None:
        """Take one event in."""
        host = self._hosts.get(event.host)
        if host is None or host.lost:
            return
        self._advance(host, event.play.partition(" ")[0].lower())
        if not host.open:
            return
        answer = _answer(event)
        host.changed |= answer.changed
        host.changes += answer.changes
        host.not_exercised += answer.not_exercised
        if event.kind == "unreachable":
            self._break_off(host, answer, "unreachable", message_of(event.result))
        elif event.kind == "failed" and not event.ignored:
            self._break_off(host, answer, "failed", _complaint(event, answer))
        elif VERIFY in host.open and answer.observed is not None:
            self._verified(host, answer)
        elif answer.ended in host.open:
            outcome = "changed" if answer.changed else "ok"
            self._end(host, answer.ended, outcome, answer.message, answer)

    def close(self, ending: Ending) -> None:
        """Take in that the process has ended. What has no end is left UNKNOWN."""
        words = ending.last_lines or "it said nothing"
        message = "stopped while at work on it"
        if not ending.stopped:
            message = one_line(f"Ansible ended ({ending.status}): {words}")
        for host in self._hosts.values():
            for step in list(host.open):
                self._end(host, step, "unknown", message)

    def _advance(self, host: _Host, step: str) -> None:
        if step not in self._steps or step in host.begun:
            return
        for other in list(host.open) if step != CONFIGURE else ():
            changed = host.changed and other != PREFLIGHT
            self._end(host, other, "changed" if changed else "ok")
        self._begin(host, step)

    def _begin(self, host: _Host, step: str) -> None:
        self._recorder.begin([host.name], step)
        host.open[step] = time.time()
        host.begun.add(step)

    def _break_off(self, host: _Host, answer: _Answer, outcome: str, message: str) -> None:
        """The host fails in the step it is in; without any change that is preflight."""
        at = list(host.open)[-1]
        early = answer.phase == PREFLIGHT or outcome == "unreachable"
        if early and PREFLIGHT in host.open and not host.changes:
            at = PREFLIGHT
        host.lost = True
        for step in list(host.open):
            if step == at:
                self._end(host, step, outcome, message, answer)
            else:
                earlier = self._steps.index(step) < self._steps.index(at)
                self._end(host, step, "ok" if earlier else "skipped")

    def _verified(self, host: _Host, answer: _Answer) -> None:
        """Of a host that was only looked at, differences are news and no failure."""
        message = _first(answer.differences)
        self._end(host, VERIFY, "changed" if answer.differences else "ok", message, answer)

    def _end(
        self,
        host: _Host,
        step: str,
        outcome: str,
        message: str = "",
        answer: _Answer | None = None,
    ) -> None:
        started = host.open.pop(step)
        carries = step != PREFLIGHT
        result = StepResult(
            step=step,
            outcome=outcome,
            started=started,
            finished=None if outcome == "unknown" else time.time(),
            message=message,
            changes=tuple(host.changes) if carries else (),
            differences=answer.differences if answer else (),
            not_exercised=tuple(host.not_exercised) if carries else (),
            boot_id=answer.boot_id if answer else "",
        )
        if carries:
            host.changed, host.changes, host.not_exercised = False, [], []
        facts = (answer.observed or {}).get("facts") if answer else None
        self._recorder.end(host.name, result, facts)


def _answer(event: TaskEvent) -> _Answer:
    try:
        return msgspec.convert(event.result, _Answer)
    except msgspec.ValidationError as error:
        raise ChapelleError(
            "A task's result is not what a run understands.",
            where=f"{event.host}, task {event.task!r}",
            found=str(error),
        ) from error


def _complaint(event: TaskEvent, answer: _Answer) -> str:
    if answer.differences:
        return _first(answer.differences)
    return one_line(f"{event.role}: {message_of(event.result)}".removeprefix(": "))


def _first(differences: Sequence[Difference]) -> str:
    if not differences:
        return ""
    d = differences[0]
    more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
    return one_line(f"{d.area} {d.item}: expected {d.expected}, found {d.found}{more}")


def message_of(result: dict[str, Any]) -> str:
    """What a task's result says went wrong, in one line."""
    for name in ("msg", "message", "stderr", "module_stderr", "stdout", "module_stdout"):
        value = result.get(name)
        if isinstance(value, str) and value.strip():
            return one_line(_PREAMBLE.sub("", " ".join(value.split())))
    return "Ansible gives no reason"


def one_line(text: str) -> str:
    """The text without line breaks, cut to what fits a report's line; its end says the most."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"… {line[-_LONGEST_MESSAGE:]}"
