"""The command line of a vendor's switch, in one Netmiko session: asking, JSON, and refusals."""

import json
import re
from pathlib import Path
from typing import Any

from chapelle.drivers.switch.contract import SwitchError, Target
from chapelle.drivers.switch.session import Session

# `name#`, `name>`, `name(config-s-chapel)#`; the name may change with what is applied.
PROMPT = r"(?:^|\n)[^\s#>]+[#>] ?$"

# What a device says of a line that it refuses. EOS and NX-OS begin with a per cent sign; NX-OS also
# says `ERROR:` and, of lines in a file, `Syntax error while parsing`.
REFUSAL = re.compile(r"^\s*(?:% ?\S.*|ERROR: .*|Error: .*|Syntax error while parsing .*)$", re.M)


class Cli:
    """A session without paging, of an account that is in privileged mode at once."""

    def __init__(self, target: Target, device_type: str, transcripts: Path | None) -> None:
        self.target = target
        self.session = Session(target, device_type, transcripts)

    def say(self, command: str, *, expect: str = PROMPT, timeout: float = 30.0) -> str:
        """Say a line and return the answer, without the prompt after it.

        Raises:
            UnreachableError: the session is lost, or no answer came in time.
        """
        said = self.session.ask(command, expect=expect, echo=True, timeout=timeout)
        return self.unprompted(said)

    def unprompted(self, said: str) -> str:
        """An answer without the prompt that ends it."""
        said = said.replace("\r", "")
        return re.sub(PROMPT, "\n", said).strip("\n") + "\n" if said.strip() else ""

    def must(self, command: str, *, done: str = "", timeout: float = 30.0) -> str:
        """Say a line that has to be accepted, and return the answer.

        Arguments:
            command: the line.
            done: what the answer has to have in it when it was done.
            timeout: seconds.

        Raises:
            SwitchError: the device refused it, or does not say that it was done.
            UnreachableError: as `say`.
        """
        answer = self.say(command, timeout=timeout)
        refusal = REFUSAL.search(answer)
        if refusal or done not in answer:
            raise SwitchError(
                f"{self.target.name} does not do what it was told: {command}",
                where=self.target.name,
                expected=done or "no error",
                found=refusal[0].strip() if refusal else answer.strip()[-300:] or "nothing",
                remedy="the session's transcript has what was said",
            )
        return answer

    def text(self, command: str, *, timeout: float = 60.0) -> str:
        """What a `show` command shows, which may have any line in it but a refusal at its start.

        Raises:
            SwitchError: the device refused the command.
            UnreachableError: as `say`.
        """
        answer = self.say(command, timeout=timeout)
        first = answer.lstrip("\n").partition("\n")[0]
        if REFUSAL.match(first):
            raise SwitchError(
                f"{self.target.name} does not know what it was asked: {command}",
                where=self.target.name,
                expected="an answer",
                found=first.strip(),
                remedy="is its release one of those in docs/switch-platforms.md?",
            )
        return answer

    def data(self, command: str) -> Any:
        """The answer to a `show` command as JSON; nothing at all is an empty object.

        Raises:
            SwitchError: the device refused the command, or its answer is not JSON.
            UnreachableError: as `say`.
        """
        answer = self.text(f"{command} | json")
        try:
            return json.loads(answer) if answer.strip() else {}
        except ValueError as error:
            raise SwitchError(
                f"{self.target.name} answers what is not JSON.",
                where=f"{self.target.name}: {command} | json",
                expected="JSON",
                found=answer.strip()[:200],
                remedy="is its release one of those in docs/switch-platforms.md?",
            ) from error


def configuration(text: str) -> str:
    """A configuration without what the device says about it: the comments before its first line."""
    lines = text.splitlines()
    while lines and (not lines[0].strip() or lines[0].startswith("!")):
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    return "".join(f"{line.rstrip()}\n" for line in lines)
