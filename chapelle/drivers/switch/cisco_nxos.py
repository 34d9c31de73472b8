"""Cisco NX-OS, by checkpoints and `configure replace`: patch, timer and rollback are the device's.

A candidate is a file on bootflash, sent over SFTP (`feature sftp-server`). `configure replace FILE
verify-only` judges it, `show-patch` shows what would be executed, `commit-timeout N` makes it run
and goes back to what ran after N seconds unless `configure replace commit` comes first. The replace
is atomic: if a command of the patch fails, the device restores what ran. So `arm` only notes what
`apply` then says: between the two nothing is armed, and nothing has changed. Which checkpoint a
running timer belongs to is in a file beside, since the device does not say.

`rollback running-config checkpoint NAME atomic` goes back when asked. The running configuration is
not the startup configuration until `persist`.

Sources: Cisco Nexus 9000 Series NX-OS System Management Configuration Guide, Release 10.2(x),
"Performing Configuration Replace" and "Configuring Rollback"; Nexus 9000 Series NX-OS Command
Reference (Show Commands), Release 9.3(x), `show config-replace status`; the shapes of JSON are
those of the NX-API reference of that release. Run against a stand-in only: see
docs/switch-platforms.md.
"""

import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chapelle.drivers.switch import names, nxos_facts
from chapelle.drivers.switch.cli import PROMPT, REFUSAL, Cli, configuration
from chapelle.drivers.switch.contract import Pending, SwitchError, Target
from chapelle.model.switch import Facts, Identity

CANDIDATE = "chapelle-candidate.cfg"
ARMED = "chapelle-armed"  # holds the name of the checkpoint that a timer belongs to

# Seconds that `commit-timeout` takes.
SHORTEST, LONGEST = 30, 3600

# The device keeps ten checkpoints, and others than we make some.
KEPT = 6

REPLACED = "Configure replace completed successfully"
UNCHANGED = "Rollback Patch is Empty"
PATCH = "#Generating Rollback Patch"
REPLACING = 900.0


class CiscoNxos:
    """One session with an NX-OS switch; see the contract for what each method does."""

    def __init__(self, target: Target, transcripts: Path | None = None) -> None:
        self._target = target
        self._cli = Cli(target, "cisco_nxos", transcripts)
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
        """See the contract; the serial number is the supervisor's processor board's."""
        version = self._cli.data("show version")
        return Identity(
            serial=version["proc_board_id"],
            hostname=version["host_name"],
            model=version.get("chassis_id", ""),
            version=version.get("nxos_ver_str") or version["sys_ver_str"],
        )

    def running(self) -> str:
        """See the contract."""
        text = configuration(self._cli.text("show running-config"))
        if not text.startswith("version "):
            raise SwitchError(
                f"{self._target.name} does not show its running configuration.",
                where=self._target.name,
                expected="a first line `version`",
                found=text[:80],
                remedy="try again",
            )
        return text

    def check(self, candidate: str) -> None:
        """See the contract."""
        self._see_that_nobody_is_at_work()
        self._put(CANDIDATE, candidate)
        said = self._replace("verify-only")
        if REFUSAL.search(said):
            raise self._refused(candidate, said)

    def diff(self, candidate: str) -> str:
        """See the contract: the patch that the device would execute."""
        self.check(candidate)
        return self._patch(self._replace("show-patch"))

    def checkpoint(self, name: str) -> str:
        """See the contract."""
        text = self.running()
        listed = self._cli.text("show checkpoint summary")
        ours = re.findall(r"^\d+\) (chapelle-[^:\s]+):?", listed, re.MULTILINE)
        for old in [each for each in ours if each == name] or ours[: -KEPT + 1]:
            self._cli.must(f"no checkpoint {old}")
        self._cli.must(f"checkpoint {names.checked(name)}", done="Done", timeout=120.0)
        return text

    def arm(self, name: str, seconds: int) -> None:
        """See the contract; the device is told together with the change."""
        pending = self.pending()
        if pending is not None or self._armed is not None:
            raise names.armed_already(self._target, pending)
        if not SHORTEST <= seconds <= LONGEST:
            raise names.no_such_time(self._target, seconds, SHORTEST, LONGEST)
        self._difference_from(name)
        self._armed = (name, seconds)

    def apply(self, candidate: str) -> None:
        """See the contract. The device applies all of it, or restores what ran.

        A second one while the timer of the first runs goes back first, so that the time that is
        left goes on to lead to the checkpoint.
        """
        name, seconds = self._armed or self._still_armed()
        self.check(candidate)
        if self._armed is None:
            self.revert(name)
        self._put(ARMED, f"{name}\n")
        said = self._replace(f"commit-timeout {seconds}")
        if REPLACED not in said:
            raise SwitchError(
                f"{self._target.name} refuses to apply the candidate.",
                where=self._target.name,
                expected=REPLACED,
                found=" / ".join(_complaints(said + self._log())) or said.strip()[-300:],
                remedy="it says whether it restored what ran; revert makes sure of it",
            )
        self._armed = None  # the device has it
        left = self._patch(self._replace("show-patch"))
        if left:
            raise names.partly(self._target, left)

    def confirm(self, name: str) -> None:
        """See the contract."""
        pending = self.pending()
        if pending is None or pending.checkpoint != names.checked(name):
            raise names.not_armed(self._target, f"it was not confirmed: {names.told(pending)}")
        self._cli.must("configure replace commit", timeout=60.0)
        self._armed = None
        if self.pending() is not None:
            raise names.not_armed(self._target, "its timer still runs after the confirmation")

    def revert(self, name: str) -> None:
        """See the contract.

        The timer, if one runs, is stopped last: whatever happens meanwhile, it would go back too.
        """
        if self._difference_from(name):
            command = f"rollback running-config checkpoint {name} atomic"
            self._cli.must(command, timeout=REPLACING)
        self._armed = None
        if self.pending() is not None:
            self._cli.must("configure replace commit", timeout=60.0)
        if self._difference_from(name) or self.pending() is not None:
            raise names.not_back(self._target, name)

    def persist(self) -> None:
        """See the contract."""
        if self.pending() is not None:
            raise names.not_confirmed(self._target)
        text = self.running()
        command = "copy running-config startup-config"
        self._cli.must(command, done="Copy complete", timeout=300.0)
        startup = configuration(self._cli.text("show startup-config"))
        if not startup == text == self.running():
            raise names.not_persisted(self._target)

    def pending(self) -> Pending | None:
        """See the contract."""
        status = self._cli.data("show config-replace status")
        left = re.match(r"\d+", str(status.get("commit_timeout_remaining", "")))
        if left is None or int(left[0]) == 0:
            return None
        name = self._cli.text(f"show file bootflash:{ARMED}").strip()
        return Pending(checkpoint=name, seconds=float(left[0]))

    def facts(self) -> Facts:
        """See the contract."""
        return nxos_facts.read(self._cli, self.identify())

    def _still_armed(self) -> tuple[str, int]:
        """What the device is armed with: the checkpoint's name, and the seconds that are left."""
        pending = self.pending()
        if pending is None:
            raise names.not_armed(self._target, "nothing was applied")
        seconds = int(pending.seconds)
        if seconds < SHORTEST:
            raise names.no_such_time(self._target, seconds, SHORTEST, LONGEST)
        return pending.checkpoint, seconds

    def _put(self, name: str, text: str) -> None:
        """Write a file on bootflash, which the SFTP server shows as /bootflash."""
        self._cli.session.put(f"/bootflash/{name}", text)

    def _replace(self, option: str) -> str:
        """Say `configure replace` of the candidate, and yes if it asks."""
        command = f"configure replace bootflash:{CANDIDATE} {option}"
        question = r"\(y/n\)[^\n]*$"
        said = self._cli.say(command, expect=f"{PROMPT}|{question}", timeout=REPLACING)
        if re.search(question, said.strip()):
            said += self._cli.say("y", timeout=REPLACING)
        return said

    def _patch(self, said: str) -> str:
        """What the device would execute; nothing if there is nothing to do."""
        before, found, patch = said.partition(PATCH)
        if not found:
            raise SwitchError(
                f"{self._target.name} does not say what would change.",
                where=self._target.name,
                expected=PATCH,
                found=before.strip()[-300:] or "nothing",
                remedy="is its release one of those in docs/switch-platforms.md?",
            )
        return "" if UNCHANGED in patch else patch.strip("\n") + "\n"

    def _difference_from(self, name: str) -> str:
        """What separates the running configuration from a checkpoint; SwitchError if none is."""
        command = f"show diff rollback-patch running-config checkpoint {names.checked(name)}"
        return self._patch(self._cli.text(command, timeout=120.0))

    def _log(self) -> str:
        return self._cli.text("show config-replace log exec")

    def _see_that_nobody_is_at_work(self) -> None:
        """Refuse if somebody has a configuration session, or a replacement is under way.

        Raises:
            BusyError: with whose it is.
        """
        summary: Any = self._cli.data("show configuration session summary")
        for each in nxos_facts.rows(summary, "session_summary"):
            found = f"configuration session {each['ssn-name']} of {each.get('username', '?')}"
            raise names.busy(self._target, found)
        status = self._cli.data("show config-replace status")
        if "progress" in str(status.get("operation_status", "")).lower():
            raise names.busy(self._target, "a configuration replacement is under way")

    def _refused(self, candidate: str, said: str) -> SwitchError:
        """The device names the command that it cannot parse, not the line's number."""
        complaints = _complaints(said)
        found = re.search(r"parsing '([^']*)'", said)
        lines = [line.strip() for line in candidate.splitlines()]
        line = found[1].strip() if found else "some line"
        number = lines.index(line) + 1 if line in lines else 0
        return names.refused(self._target, number, line, " / ".join(complaints))


def _complaints(said: str) -> list[str]:
    return [found.strip() for found in REFUSAL.findall(said)]
