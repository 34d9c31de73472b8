"""Renders what roles want, asks the host to become it, and confirms over a new connection."""

from __future__ import annotations

import sys
import time
import uuid
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chapelle.drivers import node

DOCUMENTATION = "see plugins/modules/chapelle_apply.py"

_PATHS = {"type": "list", "elements": "str"}
_COMMAND = {"type": "list", "elements": "str"}
_OWNED = {
    "path": {"type": "str", "required": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str"},
}


def _items(**options: Any) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "options": options}


# The shape of a role's state; plugins/modules/chapelle_apply.py says what each part means.
STATE: dict[str, Any] = {
    "packages": {"type": "list", "elements": "str"},
    "packages_absent": {"type": "list", "elements": "str"},
    "groups": _items(
        name={"type": "str", "required": True},
        system={"type": "bool"},
        members={"type": "list", "elements": "str"},
    ),
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "comment": {"type": "str"},
            "shell": {"type": "str"},
            "system": {"type": "bool"},
        },
    },
    "directories": _items(**_OWNED, exclusive={"type": "bool"}, kept=_PATHS),
    "files": _items(
        **_OWNED,
        template={"type": "str"},
        content={"type": "str"},
        vars={"type": "dict"},
        validate=_COMMAND,
        sensitive={"type": "bool"},
    ),
    "links": _items(
        path={"type": "str", "required": True}, target={"type": "str", "required": True}
    ),
    "absent": _PATHS,
    "hostname": {"type": "str"},
    "units": _items(
        name={"type": "str", "required": True},
        enabled={"type": "bool"},
        state={"type": "str", "choices": ["started", "stopped"]},
        restart_on=_PATHS,
        reload_on=_PATHS,
        conditions={"type": "list", "elements": "str"},
    ),
    "commands": _items(run=_COMMAND, on=_PATHS),
    "ruleset": {
        "type": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "table": {"type": "str", "required": True},
        },
    },
    "guard": {
        "type": "dict",
        "options": {
            "seconds": {"type": "int", "required": True},
            "undo": {"type": "list", "elements": "list"},
        },
    },
}

# What the tag <role>_<phase> selects of a role's state.
PHASES = {
    "install": {"packages", "packages_absent"},
    "configure": STATE.keys() - {"packages", "packages_absent", "units", "commands", "ruleset"},
    "run": {"units", "commands", "ruleset", "guard"},
}

GOES_BACK = {"file", "link", "command", "ruleset"}  # kinds of change that a guard undoes
AFTER_ROLLBACK = 30.0  # seconds to wait for a host that goes back
PAUSE = 1.0  # seconds between attempts to reach it


class ActionModule(ActionBase):
    """See plugins/modules/chapelle_apply.py for the documentation."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("roles", "identity"))

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        wanted = self._task.args.get("roles") or {}
        for name in wanted:
            self._check_arguments(name, variables)
        roles = {
            name: self._rendered(name, self._selected(name, dict(state or {}), variables))
            for name, state in wanted.items()
        }
        request: dict[str, Any] = {
            "action": "apply",
            "check": self._task.check_mode,
            "roles": roles,
            "partial": self._is_partial(variables),
            "token": uuid.uuid4().hex,
        }
        if identity := self._task.args.get("identity"):
            request["identity"] = {**identity, "now": time.time()}
        result.update(self._ask(request, variables))
        if confirm := result.get("confirm"):
            result.update(self._confirm(confirm, variables, result))
        if self._task.diff:
            result["diff"] = [_shown(change) for change in result.get("changes", ())]
        return result

    # -- what is wanted ---------------------------------------------------------------------------

    def _check_arguments(self, role: str, variables: dict[str, Any]) -> None:
        """The role's variables are as its argument_specs.yml says; saves a task a role and host."""
        try:
            path = self._find(role, "meta", "argument_specs.yml")
        except AnsibleActionFail:
            return  # a state without a role
        loaded = self._loader.load_from_file(path) or {}
        options = loaded.get("argument_specs", {}).get("main", {}).get("options", {})
        values = {name: variables[name] for name in options if name in variables}
        checked = ArgumentSpecValidator(options).validate(self._templar.template(values))
        if checked.error_messages:
            raise AnsibleActionFail(
                f"Variables of role {role}: {'; '.join(checked.error_messages)}"
            )

    @staticmethod
    def _is_partial(variables: dict[str, Any]) -> bool:
        return "all" not in variables.get("ansible_run_tags", ["all"])

    def _selected(
        self, role: str, state: dict[str, Any], variables: dict[str, Any]
    ) -> dict[str, Any]:
        """The parts of a role's state that the tags of this run ask for."""
        skipped = set(variables.get("ansible_skip_tags", ()))
        wanted = set(variables.get("ansible_run_tags", ["all"]))
        if role in skipped:
            return {}
        keys: set[str] = set()
        for phase, parts in PHASES.items():
            if wanted & {"all", role, f"{role}_{phase}"} and f"{role}_{phase}" not in skipped:
                keys |= parts
        return {key: value for key, value in state.items() if key in keys or key not in STATE}

    def _rendered(self, role: str, state: dict[str, Any]) -> dict[str, Any]:
        """The state with its shape checked and templates turned into content."""
        checked = ArgumentSpecValidator(STATE).validate(state)
        if checked.error_messages:
            raise AnsibleActionFail(f"Role {role}: {'; '.join(checked.error_messages)}")
        plain: dict[str, Any] = _without_none(checked.validated_parameters)
        for entry in plain.get("files", ()):
            if ("template" in entry) == ("content" in entry):
                raise AnsibleActionFail(
                    f"Role {role}, {entry['path']}: either template or content is expected"
                )
            own = entry.pop("vars", {})
            if "template" in entry:
                entry["content"] = self._render(role, entry.pop("template"), own)
        return plain

    def _render(self, role: str, name: str, own: dict[str, Any]) -> str:
        path = self._find(role, "templates", name)
        text = trust_as_template(self._loader.get_text_file_contents(path))
        templar = self._templar
        if own:
            templar = templar.copy_with_new_env(
                available_variables={**templar.available_variables, **own}
            )
        return str(templar.template(text))

    def _find(self, role: str, *parts: str) -> str:
        tried = [Path(folder, role, *parts) for folder in C.DEFAULT_ROLES_PATH]
        tried.append(ROOT.joinpath("roles", role, *parts))
        for path in tried:
            if path.is_file():
                return str(path)
        raise AnsibleActionFail(f"None of these is there: {', '.join(map(str, tried))}")

    # -- asking the host --------------------------------------------------------------------------

    def _ask(self, request: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        return node.ask(self._low_level_execute_command, variables, request)

    def _confirm(
        self, confirm: dict[str, Any], variables: dict[str, Any], result: dict[str, Any]
    ) -> dict[str, Any]:
        """Reach the host over a new connection and keep the change, or see it go back."""
        deadline = time.monotonic() + confirm["seconds"] + AFTER_ROLLBACK
        while True:
            try:
                self._connection.reset()
                answer = self._ask({"action": "confirm", "token": confirm["token"]}, variables)
            except AnsibleConnectionFailure as error:
                if time.monotonic() < deadline:
                    time.sleep(PAUSE)
                    continue
                raise AnsibleConnectionFailure(
                    f"After a change of {', '.join(confirm['paths'])} the host cannot be reached, "
                    f"nor {AFTER_ROLLBACK:.0f} s after it should have gone back: {error}"
                ) from error
            if answer.get("failed"):
                answer["changes"] = [
                    change
                    for change in result["changes"]
                    if change["role"] not in confirm["roles"] or change["kind"] not in GOES_BACK
                ]
                answer["changed"] = bool(answer["changes"])
                return answer
            return {}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


def _shown(change: dict[str, str]) -> dict[str, str]:
    """A change as Ansible's --diff prints it."""
    head = f"{change['role']}: {change['kind']} {change['item']}"
    states = " -> ".join(text for text in (change["before"], change["after"]) if text)
    return {"prepared": f"{head}: {states}\n{change['diff']}"}
