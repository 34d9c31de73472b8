"""From Ansible's events to the steps of our hosts: where each host is, and how each step ended."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from chapelle.drivers.ansible import Ending, TaskEvent
from chapelle.errors import ChapelleError
from chapelle.model.outcome import Change, Difference, StepResult
from chapelle.run.recorder import Recorder

# The steps that one playbook process takes, in order. A play's name begins with its step's.
PLAYED = ("preflight", "configure", "verify")

# Judges what was observed on a host: the differences from the model.
Judge = Callable[[str, dict[str, Any]], Sequence[Difference]]

_LONGEST_MESSAGE = 300


class _Host:
    """Where one host is."""

    def __init__(self, name: str, step: str) -> None:
        self.name = name
        self.step: str | None = step
        self.started = time.time()
        self.changed = False
        self.changes: list[Change] = []
        self.not_exercised: list[str] = []


class Follower:
    """Follows one playbook over its hosts.

    Arguments:
        hosts: the hosts; the first step of each was begun by the caller.
        recorder: told of each step's beginning and end.
        judge: asked about what was observed.
        drift: whether a difference is what was looked for (`changed`) or a failure (`failed`).
    """

    def __init__(
        self, hosts: Sequence[str], recorder: Recorder, judge: Judge, *, drift: bool
    ) -> None:
        self._hosts = {name: _Host(name, PLAYED[0]) for name in hosts}
        self._recorder = recorder
        self._judge = judge
        self._drift = drift

    def see(self, event: TaskEvent) -> None:
        """Take one event in."""
        host = self._hosts.get(event.host)
        if host is None or host.step is None:
            return
        self._advance(host, _step_of(event.play))
        if event.kind == "unreachable":
            self._end(host, "unreachable", message_of(event.result))
        elif event.kind == "failed" and not event.ignored:
            self._end(host, "failed", f"{_task(event)}: {message_of(event.result)}")
        elif event.kind in {"ok", "failed"}:
            self._take_in(host, event.result)

    def close(self, ending: Ending) -> None:
        """Take in that the process has ended. What has no end is left UNKNOWN."""
        for host in self._hosts.values():
            if host.step is None:
                continue
            if ending.stopped:
                self._end(host, "unknown", "stopped while at work on it")
            else:
                words = ending.last_lines or "it said nothing"
                self._end(host, "unknown", f"Ansible ended ({ending.status}): {words}")

    def _advance(self, host: _Host, step: str | None) -> None:
        """Close the steps that the host has left behind, and begin the one it is in."""
        while step in PLAYED and host.step and PLAYED.index(host.step) < PLAYED.index(step):
            following = PLAYED[PLAYED.index(host.step) + 1]
            self._end(host, "changed" if host.changed else "ok")
            self._recorder.begin([host.name], following)
            self._hosts[host.name] = host = _Host(host.name, following)

    def _take_in(self, host: _Host, result: dict[str, Any]) -> None:
        host.changed |= bool(result.get("changed"))
        host.changes += _decoded(result.get("changes", []), list[Change])
        host.not_exercised += _decoded(result.get("not_exercised", []), list[str])
        if host.step == PLAYED[-1] and isinstance(result.get("observed"), dict):
            self._verify(host, result["observed"])

    def _verify(self, host: _Host, observed: dict[str, Any]) -> None:
        differences = tuple(self._judge(host.name, observed))
        outcome = "ok" if not differences else "changed" if self._drift else "failed"
        message = ""
        if differences:
            first = differences[0]
            more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
            message = one_line(
                f"{first.area} {first.item}: expected {first.expected}, found {first.found}{more}"
            )
        facts = observed.get("facts")
        self._end(host, outcome, message, differences, facts if isinstance(facts, dict) else None)

    def _end(
        self,
        host: _Host,
        outcome: str,
        message: str = "",
        differences: tuple[Difference, ...] = (),
        facts: dict[str, Any] | None = None,
    ) -> None:
        step, host.step = host.step or "", None
        result = StepResult(
            step=step,
            outcome=outcome,
            started=host.started,
            finished=None if outcome == "unknown" else time.time(),
            message=message,
            changes=tuple(host.changes),
            differences=differences,
            not_exercised=tuple(host.not_exercised),
        )
        self._recorder.end(host.name, result, facts)


def _step_of(play: str) -> str | None:
    first = play.partition(" ")[0].lower()
    return first if first in PLAYED else None


def _task(event: TaskEvent) -> str:
    return f"{event.role}: {event.task}" if event.role else event.task


def _decoded[T](value: Any, wanted: type[T]) -> T:
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise ChapelleError(
            "A module's result is not what the run understands.",
            expected=str(wanted),
            found=str(error),
        ) from error


def message_of(result: dict[str, Any]) -> str:
    """What a task's result says went wrong, in one line."""
    for name in ("msg", "message", "stderr", "module_stderr", "stdout", "module_stdout"):
        value = result.get(name)
        if isinstance(value, str) and value.strip():
            return one_line(value)
    return "Ansible gives no reason"


def one_line(text: str) -> str:
    """The text without line breaks, cut to what fits a report's line; its end says the most."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"… {line[-_LONGEST_MESSAGE:]}"
