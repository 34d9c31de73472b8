"""Reads one request, does it, prints one line of JSON."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from .system import NodeError, System

# The result stands between two of these on a line: shells and PAM may print around it.
MARK = "=chapelle="


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what a request asks; a NodeError becomes a failed result that says everything it knows."""
    system = System(request.get("root", "/"), check=request.get("check", False))
    try:
        return _do(system, request)
    except NodeError as error:
        details = dict(error.details)
        return {
            "failed": True,
            "phase": error.phase,
            "msg": _message(error),
            "failure": {"message": error.message, **details},
            "changed": bool(error.done) and not system.check,
            "changes": error.done,
        }


def _do(system: System, request: Mapping[str, Any]) -> dict[str, Any]:
    match request["action"]:
        case "apply":
            from .apply import apply

            return apply(system, request)
        case "confirm":
            from .guard import confirm

            return confirm(system, request["token"])
        case "observe":
            from .observe import observe

            return {"changed": False, "observed": observe(system, request)}
        case "preflight" | "drain" | "patch" | "reboot" | "booted" | "restore" as step:
            from .rolling import STEPS

            return STEPS[step](system, request)
        case other:
            raise NodeError(f"There is no action {other!r}.", phase="preflight")


def _message(error: NodeError) -> str:
    d = error.details
    subject = ": ".join(text for text in (d["role"], d["item"]) if text)
    parts = [f"{subject}: {error.message}" if subject else error.message]
    parts += [f"{word}: {d[word]}" for word in ("expected", "found") if d[word]]
    if d["remedy"]:
        parts.append(f"to do: {d['remedy']}")
    return "; ".join(parts)


def main() -> None:
    """The request is all of standard input."""
    result = answer(json.loads(sys.stdin.buffer.read()))
    sys.stdout.write(f"\n{MARK}{json.dumps(result)}{MARK}\n")
    sys.stdout.flush()
