"""Arista EOS, by configuration sessions: the device itself has a candidate, a diff, and a timer.

A candidate goes into a session that was emptied first, so that it replaces and does not merge:
`configure session NAME`, `rollback clean-config`, `copy terminal: session-config`, the text,
Ctrl-D. A line that EOS refuses is named (`% Invalid input at line 7`) although the copy goes on and
ends well, so any such line refuses the candidate. `show session-config diffs` compares.

`commit timer HH:MM:SS` makes the session the running configuration and arms the revert in one
step; `configure session NAME commit` within that time confirms it, `configure session NAME abort`
goes back at once. So `arm` only notes what `apply` then says: between the two nothing is armed, and
nothing has changed. The session bears the checkpoint's name, by which `pending` finds it. The
running configuration is not the startup configuration until `persist`.

Sources: Arista, EOS User Manual, "Configure Session" (arista.com/en/um-eos/eos-configure-session)
and "Configuration checkpoints"; the shapes of JSON are those of Arista's network test automation
(ANTA). Run against a stand-in only: see docs/switch-platforms.md.
"""

import re
import secrets
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chapelle.drivers.switch import eos_facts, names
from chapelle.drivers.switch.cli import PROMPT, REFUSAL, Cli, configuration
from chapelle.drivers.switch.contract import (
    CandidateError,
    Pending,
    SwitchError,
    Target,
)
from chapelle.model.switch import Facts, Identity

CONTROL_D = "\x04"
CHECKING = "chapelle-check-"

# What `commit timer` takes, as hours, minutes and seconds.
LONGEST = 24 * 3600 - 1


class AristaEos:
    """One session with an EOS switch; see the contract for what each method does."""

    def __init__(self, target: Target, transcripts: Path | None = None) -> None:
        self._target = target
        self._cli = Cli(target, "arista_eos", transcripts)
        self._armed: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cli.session.close()

    def identify(self) -> Identity:
        """See the contract."""
        version = self._cli.data("show version")
        return Identity(
            serial=version["serialNumber"],
            hostname=self._cli.data("show hostname")["hostname"],
            model=version["modelName"],
            version=version["version"],
        )

    def running(self) -> str:
        """See the contract. EOS ends it with `end`: one without is not whole."""
        text = configuration(self._cli.text("show running-config"))
        if not text.endswith("\nend\n"):
            raise SwitchError(
                f"{self._target.name} does not show all of its running configuration.",
                where=self._target.name,
                expected="a last line `end`",
                found=text[-80:],
                remedy="try again",
            )
        return text

    def check(self, candidate: str) -> None:
        """See the contract."""
        self._staged_difference(candidate)

    def diff(self, candidate: str) -> str:
        """See the contract: a unified diff of the session against the running configuration."""
        return self._staged_difference(candidate)

    def checkpoint(self, name: str) -> str:
        """See the contract. EOS itself drops the oldest (`service configuration checkpoint`)."""
        self._cli.must(f"configure checkpoint save {names.checked(name)}")
        text = self.running()
        if self._kept(name) != text:
            raise SwitchError(
                f"{self._target.name} was changed while its checkpoint was made.",
                where=f"checkpoint:{name}",
                expected="the running configuration",
                found="another one",
                remedy="begin again",
            )
        return text

    def arm(self, name: str, seconds: int) -> None:
        """See the contract; the device is told together with the change."""
        pending = self.pending()
        if pending is not None or self._armed is not None:
            raise names.armed_already(self._target, pending)
        if not 1 <= seconds <= LONGEST:
            raise names.no_such_time(self._target, seconds, 1, LONGEST)
        self._kept(name)
        self._armed = (name, seconds)

    def apply(self, candidate: str) -> None:
        """See the contract. The commit is atomic: it happens whole, or not at all.

        A second one while the timer of the first runs goes back first, so that the time that is
        left goes on to lead to the checkpoint.
        """
        name, seconds = self._armed or self._taken_back(candidate)
        self._stage(name, candidate)
        timer = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        answer = self._cli.say(f"commit timer {timer}", timeout=120.0)
        refusal = REFUSAL.search(answer)
        if refusal:
            self._abort(name)
            raise SwitchError(
                f"{self._target.name} refuses to commit the candidate; it runs what it ran.",
                where=self._target.name,
                expected="a commit with a timer",
                found=refusal[0].strip(),
                remedy="correct what it refuses",
            )
        self._armed = None  # the device has it
        left = self._staged_difference(candidate)
        if left:
            raise names.partly(self._target, left)

    def confirm(self, name: str) -> None:
        """See the contract."""
        pending = self.pending()
        if pending is None or pending.checkpoint != names.checked(name):
            raise names.not_armed(self._target, f"it was not confirmed: {names.told(pending)}")
        self._cli.must(f"configure session {name} commit", timeout=60.0)
        self._armed = None
        if self.pending() is not None:
            raise names.not_armed(self._target, "its timer still runs after the confirmation")

    def revert(self, name: str) -> None:
        """See the contract: aborting an unconfirmed commit goes back; otherwise the checkpoint."""
        kept = self._kept(name)
        pending = self.pending()
        if pending is not None:
            self._cli.must(f"configure session {pending.checkpoint} abort", timeout=120.0)
        self._armed = None
        if self.running() != kept:
            self._cli.must(f"configure checkpoint restore {name}", timeout=120.0)
        if self.running() != kept:
            raise names.not_back(self._target, name)

    def persist(self) -> None:
        """See the contract."""
        if self.pending() is not None:
            raise names.not_confirmed(self._target)
        text = self.running()
        self._cli.must(
            "copy running-config startup-config", done="Copy completed successfully", timeout=120.0
        )
        startup = configuration(self._cli.text("show startup-config"))
        if not startup == text == self.running():
            raise names.not_persisted(self._target)

    def pending(self) -> Pending | None:
        """See the contract. EOS counts the end of the time from its own start."""
        for name, session in self._sessions().items():
            if session["state"] == "pendingCommitTimer":
                left = session.get("commitBy", 0.0) - self._cli.data("show version")["uptime"]
                return Pending(checkpoint=name, seconds=max(0.0, left))
        return None

    def facts(self) -> Facts:
        """See the contract."""
        return eos_facts.read(self._cli, self.identify())

    def _sessions(self) -> dict[str, Any]:
        answer = self._cli.data("show configuration sessions detail")
        sessions: dict[str, Any] = answer.get("sessions", {})
        return sessions

    def _kept(self, name: str) -> str:
        """The text of a checkpoint; SwitchError if there is none."""
        return configuration(self._cli.text(f"more checkpoint:{names.checked(name)}"))

    def _staged_difference(self, candidate: str) -> str:
        name = CHECKING + secrets.token_hex(4)
        self._stage(name, candidate)
        try:
            said = self._cli.text("show session-config diffs").strip("\n")
        finally:
            if self._cli.session.alive:
                self._cli.must("abort")
        return f"{said}\n" if said else ""

    def _taken_back(self, candidate: str) -> tuple[str, int]:
        """End a commit that was not confirmed; its name, and the seconds that it had left."""
        pending = self.pending()
        if pending is None:
            raise names.not_armed(self._target, "nothing was applied")
        self.check(candidate)
        self._abort(pending.checkpoint)
        return pending.checkpoint, max(1, int(pending.seconds))

    def _stage(self, name: str, candidate: str) -> None:
        """Put a candidate into a session of that name, and stay in it.

        Raises:
            CandidateError: a line was refused; the session is gone.
            BusyError: somebody else has a session or the configuration lock.
        """
        self._see_that_nobody_is_at_work()
        self._cli.must(f"configure session {name}")
        try:
            self._cli.must("rollback clean-config")
            self._cli.say("copy terminal: session-config", expect=r"control-d[^\n]*\n")
            said = self._cli.session.paste(
                candidate if candidate.endswith("\n") else f"{candidate}\n",
                end=CONTROL_D,
                expect=PROMPT,
            )
            # Errors follow what is echoed of the candidate, which has no such line of its own.
            refusal = re.search(r"^% .*$", said.replace("\r", ""), re.M)
            if refusal:
                raise _refused(self._target, candidate, refusal[0])
        except SwitchError:
            if self._cli.session.alive:
                self._cli.must("abort")
            raise

    def _see_that_nobody_is_at_work(self) -> None:
        """End our own sessions that nobody is in any more; refuse if somebody has one open.

        Raises:
            BusyError: with whose session it is.
        """
        for name, session in self._sessions().items():
            if session["state"] != "pending":
                continue
            users = [each.get("user", "?") for each in session.get("instances", {}).values()]
            if name.startswith("chapelle-") and not users:
                self._abort(name)
                continue
            raise names.busy(
                self._target, f"session {name} of {', '.join(users) or 'nobody who is there'}"
            )
        lock = self._cli.say("show configuration lock | json")
        holder = re.search(r'"username": "([^"]*)"', lock)
        if holder:
            raise names.busy(self._target, f"the configuration lock is held by {holder[1]}")

    def _abort(self, name: str) -> None:
        self._cli.must(f"configure session {name} abort")


def _refused(target: Target, candidate: str, said: str) -> CandidateError:
    """EOS counts the lines of what was pasted: `% Invalid input at line 7`."""
    found = re.search(r"at line (\d+)", said)
    lines = candidate.splitlines()
    number = int(found[1]) if found else 0
    line = lines[number - 1].strip() if 0 < number <= len(lines) else "some line"
    return names.refused(target, number, line, said.strip())
