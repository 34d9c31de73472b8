"""A plan for a push: which switches get what, in which order, and the diff that was approved.

It is a `Plan` like any other, with the same file format. The intent of a switch has two parts: its
`configuration`, which NetBox and the code decide, and its `diff`, the SHA-256 of what would change
on the device itself; a push applies that diff or nothing.
"""

import hashlib
from collections.abc import Collection, Mapping

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.plan.plan import FORMAT, STEPS_OF, Plan, PlanHost, digest, place
from chapelle.plan.rollout import MAX_BATCH, group_of, members, rollout
from chapelle.plan.scope import from_text, select_switches

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
        batches=rollout(members(dc, devices), max_batch),
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
    lines = []
    if plan.target != target:
        lines.append(f"target: planned for {plan.target}, now {target}")
    if plan.commit != commit:
        lines.append(f"code: planned with commit {plan.commit}, now {commit}")
    for host in plan.hosts:
        if only is None or host.name in only:
            statuses = (own_statuses or {}).get(host.name, ())
            lines += _moved_switch(host, dc, configurations, statuses)
    if only is None and plan.kind == "push":
        lines += _new_switches(plan, dc)
    return lines


def _moved_switch(
    host: PlanHost, dc: Datacentre, configurations: Mapping[str, str], statuses: Collection[str]
) -> list[str]:
    device = dc.devices.get(host.device_id)
    if device is None:
        return [f"{host.name}: gone from NetBox (device {host.device_id})"]
    if device.name != host.name:
        return [f"{host.name}: renamed to {device.name} (device {host.device_id})"]
    lines = []
    if device.status != host.status and device.status not in statuses:
        lines.append(f"{host.name}: status was {host.status}, now {device.status}")
    if group_of(dc, device) != host.domain:
        lines.append(f"{host.name}: group was {host.domain}, now {group_of(dc, device)}")
    if digest(configurations.get(host.name, "")) != host.intent[CONFIGURATION]:
        lines.append(f"{host.name}: its intended configuration is another one now")
    return lines


def _new_switches(plan: Plan, dc: Datacentre) -> list[str]:
    try:
        devices = select_switches(dc, from_text(plan.scope)).devices
    except InputError as error:
        return [f"{plan.scope}: {error.message}"]
    known = {host.device_id for host in plan.hosts}
    return [f"{d.name}: new in {plan.scope}" for d in devices if d.id not in known]
