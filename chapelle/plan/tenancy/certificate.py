"""The certificate that a tenant gave everything back: what, when, by which run, and what it is not.

It says what the toolkit did and what an operator confirmed; it certifies no erasure of media, which
the tenant's own equipment takes with it (NIST SP 800-88).
"""

import datetime

import msgspec

from chapelle.model.change import Delete, Update
from chapelle.model.tenancy import QUARANTINE, Quarantined
from chapelle.plan.tenancy.plan import Item, TenancyPlan

FORMAT = 1

# What no run can see, so that nobody reads it out of a certificate.
NOT_COVERED = (
    "badges and keys: the access list is the operator's to change",
    "final meter readings and the statement",
    "media: what left with the tenant's equipment is the tenant's to erase",
    "the state of the racks: the operator looks at each",
)


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant gave back.

    Arguments:
        tenant: its slug; `name` its name.
        run: the run that did it; `plan` and `snapshot` are the hashes of what it did from what.
        finished: when, in UTC.
        confirmed_by: who gave the command, and confirmed that the equipment is out.
        racks: that are to let again.
        equipment: what NetBox knew; those that leave were still in their racks in NetBox.
        withdrawn: what the switches do not carry any more, in words.
        quarantine: what is not handed out again, and until when.
        switches: that followed; empty where they were no part of the run.
        not_covered: what nobody looked at.
    """

    format: int = FORMAT
    tenant: str
    name: str
    run: str
    plan: str
    snapshot: str
    finished: datetime.datetime
    confirmed_by: str
    racks: tuple[str, ...]
    equipment: tuple[Item, ...]
    withdrawn: tuple[str, ...]
    quarantine: tuple[Quarantined, ...]
    switches: tuple[str, ...]
    not_covered: tuple[str, ...] = NOT_COVERED


def certificate(
    plan: TenancyPlan,
    *,
    run: str,
    finished: datetime.datetime,
    confirmed_by: str,
    switches: tuple[str, ...],
) -> Certificate:
    """The certificate of a plan that was carried out.

    Arguments:
        plan: the plan, of kind `tenant-offboard`.
        run: the run's id.
        finished: when it came to its end, in UTC.
        confirmed_by: who gave the command.
        switches: those that followed.
    """
    return Certificate(
        tenant=plan.tenant,
        name=plan.name,
        run=run,
        plan=plan.hash,
        snapshot=plan.snapshot,
        finished=finished,
        confirmed_by=confirmed_by,
        racks=plan.racks,
        equipment=plan.equipment,
        withdrawn=tuple(_withdrawn(plan)),
        quarantine=_quarantine(plan),
        switches=switches,
    )


# How the things are called that the switches do not carry any more.
_NAMED = {
    "vrfs": "VRF {name}",
    "vlans": "VLAN {vid} {name}",
    "l2vpns": "L2VPN {name}, VNI {identifier}",
    "prefixes": "prefix {prefix}",
    "asns": "AS number {asn}",
    "route_targets": "route target {name}",
}


def _withdrawn(plan: TenancyPlan) -> list[str]:
    return [
        _NAMED[change.list_name].format(**change.fields)
        for change in plan.changes
        if isinstance(change, Delete) and change.list_name in _NAMED
    ]


def _quarantine(plan: TenancyPlan) -> tuple[Quarantined, ...]:
    """What the plan puts into quarantine, without what was there before."""
    for change in plan.changes:
        if isinstance(change, Update) and QUARANTINE in change.after.get("custom_fields", {}):
            kept = change.after["custom_fields"][QUARANTINE]
            before = change.before["custom_fields"][QUARANTINE] or []
            return msgspec.convert([x for x in kept if x not in before], tuple[Quarantined, ...])
    return ()
