"""Takes one step with a server that is restarted or patched, and sees a restart through."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chapelle.drivers import node
from chapelle.errors import ChapelleError

DOCUMENTATION = "see plugins/modules/chapelle_roll.py"

STEPS = ("preflight", "drain", "patch", "reboot", "restore")
PAUSE = 1.0  # seconds between attempts to reach a server that restarts


class ActionModule(ActionBase):
    """See plugins/modules/chapelle_roll.py for the documentation."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(
        ("step", "run", "patch", "identity", "seconds", "boot_id", "resumed"),
    )

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        given = self._task.args
        step = str(given.get("step"))
        if step not in STEPS:
            raise AnsibleActionFail(f"step is {step!r}; expected one of {', '.join(STEPS)}")
        request: dict[str, Any] = {
            "action": step,
            "check": self._task.check_mode,
            "run": str(given.get("run", "")),
            "patch": bool(given.get("patch")),
            "seconds": int(given.get("seconds") or 0),
        }
        if step == "preflight":
            request["identity"] = {**given["identity"], "now": time.time()}
        if step == "reboot":
            request["before"] = str(given["boot_id"])
            answer = self._restart(request, variables, resumed=bool(given.get("resumed")))
        else:
            answer = self._ask(request, variables)
        result.update(answer)
        if not result.get("failed"):
            result["ended"] = step
        return result

    def _ask(self, request: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        return node.ask(self._low_level_execute_command, variables, request)

    def _restart(
        self, request: dict[str, Any], variables: dict[str, Any], *, resumed: bool
    ) -> dict[str, Any]:
        """Order the restart, and wait until the server answers from another boot.

        One that an earlier run may have told to restart need not answer at once.
        """
        began = time.monotonic()
        deadline = began + request["seconds"]
        if resumed:
            settled = {"action": "booted", "seconds": request["seconds"]}
            self._patiently(settled, variables, deadline)
        answer = self._ask(request, variables)
        if answer.get("failed") or not answer.get("ordered"):
            return answer
        before = request["before"]
        while True:
            time.sleep(PAUSE)
            left = max(1, int(deadline - time.monotonic()))
            asked = {"action": "booted", "seconds": left}
            answer = self._patiently(asked, variables, deadline)
            now = answer.get("boot_id", before)
            if now != before:
                took = time.monotonic() - began
                change = {"role": "reboot", "kind": "boot", "item": "id"}
                return {
                    "changed": True,
                    "changes": [{**change, "before": before, "after": now, "diff": ""}],
                    "boot_id": now,
                    "message": f"answers again after {took:.0f} s",
                }
            if time.monotonic() > deadline:
                return {
                    "failed": True,
                    "phase": "reboot",
                    "msg": f"It was told to restart, and {request['seconds']} s later it has not; "
                    "to do: look at what keeps it (systemctl list-jobs), then resume the run",
                }

    def _patiently(
        self, request: dict[str, Any], variables: dict[str, Any], deadline: float
    ) -> dict[str, Any]:
        """Ask until there is an answer.

        Raises:
            AnsibleConnectionFailure: there was none until the deadline.
        """
        while True:
            try:
                self._connection.reset()
                return self._ask(request, variables)
            except (AnsibleConnectionFailure, ChapelleError) as error:
                if time.monotonic() > deadline:
                    raise AnsibleConnectionFailure(
                        f"It was told to restart and did not come back in time: {error}"
                    ) from error
            time.sleep(PAUSE)
