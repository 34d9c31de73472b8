"""What a plan for a tenant would do, judged before anything is done: in memory, on what would be.

Only what is new counts: a datacentre with findings may let racks, as long as that adds none.
"""

import datetime

from chapelle.checks import netbox as checks
from chapelle.checks.resilience import check as resilience
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.tenancy import isolation
from chapelle.errors import FindingsError, RefusedError
from chapelle.fabric import intent, links, ownership, render
from chapelle.fabric.platforms import FRR
from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import apply
from chapelle.model.finding import Finding
from chapelle.model.snapshot import Snapshot
from chapelle.plan.scope import switches
from chapelle.plan.tenancy.plan import ONBOARD, TenancyPlan

# Findings that an error names before it only counts the others.
_NAMED = 8


def judge(dc: Datacentre, plan: TenancyPlan, now: datetime.datetime) -> dict[str, str]:
    """Judge a plan.

    Arguments:
        dc: the datacentre that it was made from.
        plan: the plan.
        now: the time, by which windows and waivers are over.

    Returns:
        What it changes on each switch, by name, for people to read.

    Raises:
        RefusedError: it would make something worse, join two parties, or change a switch that it
            does not name; the error says what.
    """
    frozen = Datacentre(Snapshot(apply(dc.content, plan.changes[: plan.freeze])))
    last = frozen
    if plan.freeze < len(plan.changes):
        last = Datacentre(Snapshot(apply(dc.content, plan.changes)))
    leaks = isolation.prove(dc).leaks
    found = set(map(_line, (*_faults(dc, now), *leaks)))
    if plan.kind == ONBOARD:  # nobody comes while somebody reaches somebody
        found -= set(map(_line, leaks))
    for after in {id(each): each for each in (frozen, last)}.values():
        all_of_it = (*_faults(after, now), *isolation.prove(after).leaks)
        new = [line for line in map(_line, all_of_it) if line not in found]
        if new:
            raise _harmful(plan, new)
    diffs = changed(dc, frozen)
    if strangers := sorted(diffs.keys() - set(plan.switches)):
        raise RefusedError(
            "The plan would change switches that it does not name; nothing was changed.",
            where=f"plan {plan.hash[:12]}",
            expected=f"changes on {', '.join(plan.switches) or 'no switch'}",
            found=f"changes on {', '.join(strangers)}",
            remedy="this is a mistake of chapelle's: report it with the plan (--plan-only)",
        )
    return diffs


def require_apart(dc: Datacentre) -> None:
    """Make sure that nobody reaches anybody.

    Raises:
        FindingsError: somebody does.
    """
    if leaks := isolation.prove(dc).leaks:
        raise FindingsError(
            f"{len(leaks)} ways lead from one party to another.",
            where="NetBox, as it is now",
            expected="none",
            found="\n            ".join(map(_line, leaks[:_NAMED])),
            remedy="invoke tenant.isolation says more; mend what it names",
        )


def _faults(dc: Datacentre, now: datetime.datetime) -> list[Finding]:
    """All that is wrong with a datacentre but leaks."""
    return [*checks.check(dc), *resilience.check(Plant(dc), now).findings]


def _harmful(plan: TenancyPlan, lines: list[str]) -> RefusedError:
    more = f"\n            and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return RefusedError(
        f"The plan would do harm: {len(lines)} findings; nothing was changed.",
        where=f"{plan.kind} {plan.name}, plan {plan.hash[:12]}",
        expected="no finding that is not there now, and nobody who reaches anybody",
        found="\n            ".join(lines[:_NAMED]) + more,
        remedy="choose other racks, or mend what the findings name",
    )


def _line(finding: Finding) -> str:
    """A finding in words, without the ids of what is not in NetBox yet."""
    names = ", ".join(reference.name for reference in finding.objects)
    return f"{finding.rule}: {names}: expected {finding.expected}, found {finding.found}"


def changed(before: Datacentre, after: Datacentre) -> dict[str, str]:
    """What the intended configuration of each switch changes, by name, for people to read.

    Raises:
        InputError: NetBox does not say enough of a switch.
    """
    found = {}
    for device in switches(after):
        name = device.name or ""
        slug = after.platforms[device.platform].slug if device.platform in after.platforms else ""
        texts = [_text(dc, name) for dc in (before, after)]
        if diff := ownership.diff(slug, *texts):
            found[name] = diff
    return found


def _text(dc: Datacentre, name: str) -> str:
    intended = intent.intent(dc, dc.device(name))
    files = links.text(intended) if intended.platform == FRR.slug else ""
    return files + render.render(intended)
