"""Asks the host what it is, and compares that with what is expected."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from ansible.plugins.action import ActionBase

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chapelle.checks import host as checks
from chapelle.drivers import node
from chapelle.model.outcome import Difference

DOCUMENTATION = "see plugins/modules/chapelle_observe.py"

HOOK_SECONDS = 300  # that each hook may take


class ActionModule(ActionBase):
    """See plugins/modules/chapelle_observe.py for the documentation."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("expect", "restore"))

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        expect = self._task.args.get("expect") or {}
        request = {"action": "observe", "expect": expect}
        result.update(node.ask(self._low_level_execute_command, variables, request))
        if result.get("failed"):
            return result
        ahead = bool(self._task.check_mode)
        differences = checks.differences(expect, result["observed"], ahead=ahead)
        drained = result["observed"]["drained"] if self._task.args.get("restore") else ""
        if drained and ahead:
            differences.append(
                Difference(
                    area="service",
                    item="drained",
                    expected="in service",
                    found=f"taken out of it by run {drained}",
                )
            )
        elif drained and not differences:
            request = {"action": "restore", "run": drained, "seconds": HOOK_SECONDS}
            result.update(node.ask(self._low_level_execute_command, variables, request))
            if result.get("failed"):
                return result
        result["differences"] = [msgspec.structs.asdict(each) for each in differences]
        result["not_exercised"] = list(checks.not_exercised(expect, result["observed"]))
        if differences and not self._task.check_mode:
            result["failed"] = True
            result["msg"] = "; ".join(
                f"{d.area} {d.item}: expected {d.expected}, found {d.found}" for d in differences
            )
        return result
