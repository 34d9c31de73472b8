"""What a run did, as plain data: the journal keeps it, reports show it, `--json` prints it.

Times are seconds since the epoch (UTC).
"""

from collections.abc import Collection, Sequence

import msgspec

# Of a server that is provisioned.
STEPS = ("preflight", "configure", "verify", "write-back")

# Of a server that is brought up from nothing, before those of provisioning.
DEPLOY_STEPS = ("gate", "settings", "window", "boot", "install", "first-boot")

# Of a server that is erased and taken out.
RETIRE_STEPS = ("gate", "settings", "window", "boot", "erase", "certify", "write-back")

# Of a server that is restarted, and of one whose packages are upgraded first.
REBOOT_STEPS = ("preflight", "drain", "reboot", "verify", "restore", "write-back")
PATCH_STEPS = ("preflight", "drain", "patch", "reboot", "verify", "restore", "write-back")

# Of a switch whose configuration is pushed. Up to `checkpoint` nothing is touched; `revert` is the
# way back from a change that was not confirmed, `take-back` from one that was.
PUSH_STEPS = (
    "identify",
    "compare",
    "check",
    "diff",
    "checkpoint",
    "arm",
    "drain",
    "apply",
    "undrain",
    "re-diff",
    "post-check",
    "confirm",
    "persist",
    "revert",
    "take-back",
    "write-back",
)

# What a run of each kind does to a host, in order.
STEPS_OF = {
    "provision": STEPS,
    "rebuild": (*DEPLOY_STEPS, *STEPS),
    "retire": RETIRE_STEPS,
    "drift": STEPS[:-1],
    "reboot": REBOOT_STEPS,
    "patch": PATCH_STEPS,
    "push": PUSH_STEPS,
    "revert": PUSH_STEPS,
}

# Kinds of runs that take servers out of service and bring them back.
ROLLING_KINDS = ("reboot", "patch")

# Of a step. `unknown`: it was begun and nobody saw its end; it is checked, never guessed.
STEP_OUTCOMES = ("ok", "changed", "failed", "unreachable", "unknown", "skipped")

# Of a host: the worst of its steps. `pending`: the run stopped before its turn. A switch is
# `applied` or `reverted`: in the new configuration, or back in the old one.
HOST_OUTCOMES = (
    "unchanged",
    "changed",
    "applied",
    "reverted",
    "failed",
    "unreachable",
    "unknown",
    "pending",
)


def steps_for(wanted: Sequence[str], begun: Collection[str]) -> tuple[str, ...]:
    """The steps that make a host complete, of those that its run takes with most hosts.

    A host that began at its BMC had those of bare metal before.
    """
    bare = DEPLOY_STEPS[0] in begun and DEPLOY_STEPS[0] not in wanted
    return (*DEPLOY_STEPS, *wanted) if bare else tuple(wanted)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a role changed on a host, or would change in check mode.

    `kind` is what the batch module calls it: file, package, unit, user, group, sysctl, hostname...
    """

    role: str
    kind: str
    item: str
    before: str = ""
    after: str = ""
    diff: str = ""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a host is not what the model says.

    `area`: addresses, units, ports, time, certificate, firewall, identity...
    """

    area: str
    item: str
    expected: str
    found: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a switch is against what it shall be.

    `diff` is what a push would change, `drift` what others changed in our sections since a run last
    left them, `error` why the switch could not be looked at.
    """

    device: str
    differences: tuple[Difference, ...] = ()
    diff: str = ""
    drift: str = ""
    error: str = ""


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one step of one host ended. `finished` is None while it is at work, or unknown.

    `boot_id` is random(4)'s on the host, of a step that looked: whether a server has restarted
    since is told by it, also by a controller that has not seen it happen.
    """

    step: str
    outcome: str
    started: float
    finished: float | None = None
    message: str = ""
    changes: tuple[Change, ...] = ()
    differences: tuple[Difference, ...] = ()
    not_exercised: tuple[str, ...] = ()
    boot_id: str = ""


class HostResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one host fared. `position` is its lowest rack unit, `u_height` its height in units."""

    host: str
    device_id: int
    aisle: str
    rack: str
    role: str
    position: float | None
    u_height: float
    outcome: str
    status_before: str
    status_after: str
    steps: tuple[StepResult, ...] = ()


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one run ended; `stopped` says why it ended early.

    `kind` is provision, rebuild, retire, drift, reboot or patch of servers, push or revert of
    switches.
    """

    id: str
    kind: str
    target: str
    owner: str
    started: float
    finished: float | None
    snapshot: str
    plan: str
    commit: str
    scope: str
    dry_run: bool
    exit_code: int
    hosts: tuple[HostResult, ...]
    stopped: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a run, as it happens; what live displays follow.

    `kind`: run-started, batch-started, step-started, step-finished, host-finished, batch-finished,
    run-stopped, run-finished, note.
    """

    time: float
    kind: str
    host: str = ""
    step: str = ""
    outcome: str = ""
    batch: int = 0
    message: str = ""
