"""NetBox's device status as a state machine. The one table of legal transitions.

| status | what it means here |
|---|---|
| planned | in the plan; nothing of it is trusted yet |
| staged | a run is at work on it, or left it half done |
| active | configured and verified |
| failed | a run failed on it; the report says why |
| offline, inventory | taken out by a person; no run touches it, but `retire` |
| decommissioning | erased by `retire`, or taken out by a person; no run touches it |

Source: NetBox 4.7, dcim.choices.DeviceStatusChoices (the values).
"""

from chapelle.errors import RefusedError

TRANSITIONS: dict[str, frozenset[str]] = {
    "planned": frozenset({"staged"}),
    "staged": frozenset({"staged", "active", "failed", "decommissioning"}),
    # `failed` is for runs that take a server out of service themselves, to restart or patch it: one
    # that they do not bring back is not in service, whoever looks. What provisioning fails on
    # stays `active`: there the server was left in service.
    # A rebuild takes it to `staged` itself; whoever provisions it leaves it in service.
    "active": frozenset({"active", "failed", "staged", "decommissioning"}),
    "failed": frozenset({"staged", "decommissioning"}),
    "offline": frozenset({"decommissioning"}),
    "inventory": frozenset({"decommissioning"}),
    "decommissioning": frozenset(),
}

PROVISIONABLE = frozenset({"planned", "staged", "active", "failed"})

# The statuses of servers that may be built again: something of ours was there once.
REBUILDABLE = frozenset({"staged", "active", "failed"})

# The statuses of servers that may be erased. One whose erasure stopped half-way keeps its status,
# so that the same command goes on.
RETIRABLE = frozenset({"staged", "active", "failed", "offline", "inventory"})

# The statuses of servers that may be restarted and patched: what is in service.
IN_SERVICE = frozenset({"active"})

# What was in service, and gives nothing now.
DOWN = frozenset({"failed", "offline"})

# In stock, or on the way out: it needs no place, no cables and no address, and gives nothing.
OUT_OF_SERVICE = frozenset({"inventory", "decommissioning"})


def check_transition(device: str, current: str, wanted: str) -> None:
    """Make sure that `device` may go from status `current` to `wanted`.

    Raises:
        RefusedError: the table has no such transition; the legal ones are named.
    """
    if wanted in TRANSITIONS.get(current, frozenset()):
        return
    legal = ", ".join(sorted(TRANSITIONS.get(current, frozenset()))) or "none (a person decides)"
    raise RefusedError(
        f"{device} may not go from {current} to {wanted}.",
        where=f"device {device}",
        expected=f"a legal transition from {current}: {legal}",
        found=wanted,
        remedy="set a status in NetBox that a run may start from: planned, staged, active, failed",
    )
