"""Whoever typed the command, as far as a run speaks with them, and what they get in the end."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from chapelle.model.outcome import RunResult
from chapelle.plan.plan import Plan
from chapelle.run.recorder import Watcher


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended: its result, NetBox's address, and the report if there is one."""

    result: RunResult
    netbox_url: str
    report: Path | None = None


class Operator(Protocol):
    """Whoever typed the command, as far as a run speaks with them."""

    def say(self, line: str) -> None:
        """Tell one line about what is being prepared."""

    def present(self, plan: Plan) -> None:
        """Show a plan that is not going to be carried out."""

    def confirm(self, plan: Plan) -> None:
        """Ask whether the plan may be carried out, and raise RefusedError if not."""

    def watch(self, plan: Plan, took: float | None) -> AbstractContextManager[Watcher]:
        """Show a run as it happens; `took` is how many seconds such a run took before, if known."""

    def conclude(self, done: Done) -> None:
        """Tell how a run ended that another one follows."""
