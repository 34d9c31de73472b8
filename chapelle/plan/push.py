"""A plan for a push: which switches get what, in which order, and the diff that was approved.

It is a `Plan` like any other, with the same file format. The intent of a switch has two parts: its
`configuration`, which NetBox and the code decide, and its `diff`, the SHA-256 of what would change
on the device itself; a push applies that diff or nothing.
"""

import hashlib
from collections.abc import Collection, Mapping

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import STEPS_OF
from chapelle.plan.apart import apart
from chapelle.plan.plan import (
    FORMAT,
    Plan,
    PlanHost,
    digest,
    moved_device,
    moved_ground,
    new_devices,
    place,
)
from chapelle.plan.rollout import MAX_BATCH, group_of, members, rollout
from chapelle.plan.scope import select_switches

CONFIGURATION = "configuration"
DIFF = "diff"


def build(
    dc: Datacentre,
    devices: Collection[r.Device],
    *,
    kind: str = "push",
    scope: str,
    target: str,
    commit: str,
    configurations: Mapping[str, str],
    diffs: Mapping[str, str],
    max_batch: int = MAX_BATCH,
) -> Plan:
    """Plan a push.

    Arguments:
        dc: the datacentre.
        devices: the switches.
        kind: push, or revert, which is a push of what was there before.
        scope: what the operator typed.
        target: lab or site.
        commit: what code will do it.
        configurations: what our sections shall be on each switch, by name.
        diffs: what would change on each, by name; empty where nothing would.
        max_batch: most switches at one time.

    Raises:
        InputError: a switch stands in no aisle.
    """
    hosts = tuple(
        place(
            dc,
            device,
            domain=group_of(dc, device),
            intent={
                CONFIGURATION: digest(configurations[device.name or ""]),
                DIFF: sha256(diffs[device.name or ""]),
            },
            steps=STEPS_OF[kind],
        )
        for device in sorted(devices, key=lambda device: device.name or "")
    )
    return Plan(
        format=FORMAT,
        kind=kind,
        target=target,
        scope=scope,
        snapshot=dc.snapshot.hash,
        commit=commit,
        hosts=hosts,
        batches=apart(dc, rollout(members(dc, devices), max_batch)),
        diffs={name: diff for name, diff in sorted(diffs.items()) if diff},
    )


def sha256(text: str) -> str:
    """The hash by which a diff is approved, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def moved(
    plan: Plan,
    dc: Datacentre,
    *,
    target: str,
    commit: str,
    configurations: Mapping[str, str],
    only: Collection[str] | None = None,
    own_statuses: Mapping[str, Collection[str]] | None = None,
) -> list[str]:
    """What is no longer as it was when a push was planned, one line each, devices left aside.

    Arguments:
        plan: the plan as it was made.
        dc: what NetBox says now.
        target: what is the target now.
        commit: what is the commit now.
        configurations: what our sections shall be now, by name, for those that NetBox still has.
        only: the switches that matter, when some are done already; None is all of them.
        own_statuses: by name, statuses that a run of this plan has itself set.
    """
    lines = moved_ground(plan, target=target, commit=commit)
    for host in plan.hosts:
        if only is None or host.name in only:
            statuses = (own_statuses or {}).get(host.name, ())
            lines += _moved_switch(host, dc, configurations, statuses)
    if only is None and plan.kind == "push":
        lines += new_devices(plan, lambda scope: select_switches(dc, scope).devices)
    return lines


def _moved_switch(
    host: PlanHost, dc: Datacentre, configurations: Mapping[str, str], statuses: Collection[str]
) -> list[str]:
    device, lines = moved_device(host, dc, statuses)
    if device is None:
        return lines
    if group_of(dc, device) != host.domain:
        lines.append(f"{host.name}: group was {host.domain}, now {group_of(dc, device)}")
    if digest(configurations.get(host.name, "")) != host.intent[CONFIGURATION]:
        lines.append(f"{host.name}: its intended configuration is another one now")
    return lines
