"""A plan for people: which hosts, in which batches, and what will happen to each."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import TextIO

from chapelle.model.outcome import DEPLOY_STEPS
from chapelle.plan.plan import Plan, PlanHost
from chapelle.report.text import Page, host_names, plural, target_name

# Of a planned server that begins at its BMC.
BARE = "planned, from nothing"

# What a run of kind provision does to a host, by the host's status in NetBox (see model.status).
_WILL_HAPPEN = {
    "planned": "configured for the first time, verified, then active",
    BARE: "begun at the BMC: installed from the network, configured, verified, then active",
    "staged": "left half done by an earlier run: configured, verified, then active",
    "failed": "tried again: configured, verified, then active",
    "active": "in service: compared, changed only where it differs, verified",
}

# Where the status makes no difference.
_SAME_FOR_ALL = {
    "rebuild": "taken out of service; system disks written anew and data disks kept; configured, "
    "verified, then active",
    "retire": "erased, all disks of it, for good; certified; then decommissioning",
    "drift": "compared and verified, nothing changed",
    "reboot": "drained, restarted, verified, restored",
    "patch": "drained, upgraded, restarted if that needs it, verified, restored",
}


def print_plan(plan: Plan, out: TextIO | None = None, *, file: str = "") -> None:
    """Print a plan.

    Arguments:
        plan: the plan.
        out: where to, standard output if None.
        file: where the plan was written, if it was.
    """
    page = Page(out or sys.stdout)
    servers = plural(len(plan.hosts), "server")
    racks = plural(len({host.rack for host in plan.hosts}), "rack")
    batches = plural(len(plan.batches), "batch", "batches")
    page.line(f"Plan: {plan.kind} {plan.scope}: {servers} in {racks}, {batches}", "bold")
    page.line(f"  target    {target_name(plan.target)}")
    page.line(f"  snapshot  {plan.snapshot}")
    page.line(f"  commit    {plan.commit}")
    page.line(f"  hash      {plan.hash}")
    _print_what_happens(page, plan)
    _print_batches(page, plan)
    _print_racks(page, plan)
    page.line()
    if file:
        page.line(f"To apply exactly this: invoke provision --plan {file}")
    else:
        page.line(f"To do it: invoke {plan.kind} {plan.scope}")


def _print_what_happens(page: Page, plan: Plan) -> None:
    page.title("What will happen")
    if plan.kind in _SAME_FOR_ALL:
        page.line(f"  {plural(len(plan.hosts), 'server')}: {_SAME_FOR_ALL[plan.kind]}")
    else:
        for status, count in sorted(Counter(map(_state, plan.hosts)).items()):
            doing = _WILL_HAPPEN.get(status, "no run touches this status")
            page.paragraph(f"  {count} {status}: {doing}", indent="    ")
    page.line(f"  each: {', '.join(_steps(plan.hosts))}")


def _state(host: PlanHost) -> str:
    """The host's status, and whether nothing of ours is on it yet."""
    return BARE if DEPLOY_STEPS[0] in host.steps else host.status


def _steps(hosts: Iterable[PlanHost]) -> list[str]:
    return list(dict.fromkeys(step for host in hosts for step in host.steps))


def _print_batches(page: Page, plan: Plan) -> None:
    page.title("Batches, in order")
    rows = [
        (
            f"  {batch.number}",
            str(len(batch.hosts)),
            ("canary, " if batch.canary else "") + batch.domain,
        )
        for batch in plan.batches
    ]
    page.table(("  batch", "hosts", "failure domain"), rows, whole=True)


def _print_racks(page: Page, plan: Plan) -> None:
    page.title("Hosts by rack")
    by_rack: dict[str, list[str]] = {}
    for host in sorted(plan.hosts, key=lambda host: (host.aisle, host.rack, host.name)):
        by_rack.setdefault(host.rack or "no rack", []).append(host.name)
    rows = [
        (f"  {rack}", str(len(names)), host_names(names, limit=20))
        for rack, names in by_rack.items()
    ]
    page.table(("  rack", "hosts", "names"), rows, whole=True)
