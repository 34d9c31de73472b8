"""What a plan for a tenant would do, judged before anything is done: in memory, on what would be.

Only what is new counts: a datacentre with findings may let racks, as long as that adds none.
"""

import datetime
from collections.abc import Iterable

import msgspec

from chapelle.checks import netbox as checks
from chapelle.checks.resilience import check as resilience
from chapelle.checks.resilience.loss import Plant
from chapelle.errors import RefusedError
from chapelle.fabric import intent, links, ownership, render
from chapelle.fabric.platforms import FRR
from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import apply
from chapelle.model.finding import Finding
from chapelle.model.snapshot import Snapshot
from chapelle.plan.scope import switches
from chapelle.plan.tenancy.plan import TenancyPlan

# Findings that an error names before it only counts the others.
_NAMED = 8


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan would do: the datacentre when the switches have followed, and their diffs."""

    after: Datacentre
    diffs: dict[str, str]


def judge(dc: Datacentre, plan: TenancyPlan, now: datetime.datetime) -> Judged:
    """Judge a plan.

    Arguments:
        dc: the datacentre that it was made from.
        plan: the plan.
        now: the time, by which windows and waivers are over.

    Raises:
        RefusedError: it would make something worse, join two parties, or change a switch that it
            does not name; the error says what.
    """
    after = Datacentre(Snapshot(apply(dc.content, plan.changes[: plan.freeze])))
    _require_harmless(dc, after, now, plan)
    if plan.freeze < len(plan.changes):
        last = Datacentre(Snapshot(apply(dc.content, plan.changes)))
        _require_harmless(dc, last, now, plan)
    diffs = changed(dc, after)
    if strangers := sorted(diffs.keys() - set(plan.switches)):
        raise RefusedError(
            "The plan would change switches that it does not name; nothing was changed.",
            where=f"plan {plan.hash[:12]}",
            expected=f"changes on {', '.join(plan.switches) or 'no switch'}",
            found=f"changes on {', '.join(strangers)}",
            remedy="this is a mistake of chapelle's: report it with the plan (--plan-only)",
        )
    return Judged(after=after, diffs=diffs)


def _require_harmless(
    before: Datacentre, after: Datacentre, now: datetime.datetime, plan: TenancyPlan
) -> None:
    """Make sure that nothing is found afterwards that was not found before."""
    new = [
        *_added(checks.check(before), checks.check(after)),
        *_added(_resilience(before, now), _resilience(after, now)),
    ]
    if not new:
        return
    lines = [_line(finding) for finding in new]
    more = f"\n            and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    raise RefusedError(
        f"The plan would do harm: {len(new)} new findings; nothing was changed.",
        where=f"{plan.kind} {plan.name}, plan {plan.hash[:12]}",
        expected="no finding that is not there now",
        found="\n            ".join(lines[:_NAMED]) + more,
        remedy="choose other racks, or mend what the findings name",
    )


def _resilience(dc: Datacentre, now: datetime.datetime) -> tuple[Finding, ...]:
    return resilience.check(Plant(dc), now).findings


def _added(before: Iterable[Finding], after: Iterable[Finding]) -> list[Finding]:
    known = {_line(finding) for finding in before}
    return [finding for finding in after if _line(finding) not in known]


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
