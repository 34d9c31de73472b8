"""Switches for people: diffs that several have in common, a plan for a push, and judgements."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import msgspec

from chapelle.model.finding import Finding
from chapelle.model.outcome import Judgement
from chapelle.plan.plan import Plan
from chapelle.report import content
from chapelle.report.text import Page, host_names, plural, target_name

_HEADERS = ("switch", "area", "item", "expected", "found")
_STYLES = {"+": "green", "-": "red"}

# Lines of one diff that are shown to somebody who is asked; --dry-run and fabric.diff show all.
_LONGEST = 60


def grouped(diffs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The switches by their diff, most switches first; those without one are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, diff in diffs.items():
        if diff:
            found[diff].append(name)
    ordered = sorted(found.items(), key=lambda item: (-len(item[1]), item[1]))
    return {diff: tuple(names) for diff, names in ordered}


def print_diffs(
    diffs: Mapping[str, str], out: TextIO | None = None, *, longest: int | None = None
) -> None:
    """Print each diff once, above it the switches that have it.

    Arguments:
        diffs: by switch.
        out: where to, standard output if None.
        longest: lines of one diff that are shown; None: all.
    """
    page = Page(out or sys.stdout)
    for diff, names in grouped(diffs).items():
        page.title(f"{plural(len(names), 'switch', 'switches')}: {host_names(names, len(names))}")
        lines = diff.splitlines()
        for line in lines[:longest]:
            page.line(line, _STYLES.get(line[:1], ""))
        if longest is not None and len(lines) > longest:
            page.line(f"  and {len(lines) - longest} lines more: invoke fabric.diff shows all")
    same = [name for name, diff in diffs.items() if not diff]
    if same:
        page.line()
        page.line(f"nothing to change on {plural(len(same), 'switch', 'switches')}")


def print_push(
    plan: Plan, out: TextIO | None = None, *, file: str = "", brief: bool = False
) -> None:
    """Print a plan for a push: the switches in their order, and what would change on them.

    Arguments:
        plan: the plan.
        out: where to, standard output if None.
        file: where the plan was written, if it was.
        brief: whether long diffs are cut.
    """
    page = Page(out or sys.stdout)
    changed = len(plan.diffs)
    switches = plural(len(plan.hosts), "switch", "switches")
    page.line(f"Plan: {plan.kind} {plan.scope}: {changed} of {switches} would change", "bold")
    page.line(f"  target    {target_name(plan.target)}")
    page.line(f"  snapshot  {plan.snapshot}")
    page.line(f"  commit    {plan.commit}")
    page.line(f"  hash      {plan.hash}")
    page.title("Batches, in order")
    rows = [
        (
            f"  {batch.number}",
            ("canary, " if batch.canary else "") + batch.domain,
            host_names(batch.hosts, len(batch.hosts)),
        )
        for batch in plan.batches
    ]
    page.table(("  batch", "what", "switches"), rows, whole=True)
    diffs = {host.name: plan.diffs.get(host.name, "") for host in plan.hosts}
    print_diffs(diffs, out, longest=_LONGEST if brief else None)
    page.line()
    if file:
        page.line(f"To apply exactly this: invoke fabric.push --plan {file}")
    elif plan.kind == "push" and not brief:
        page.line(f"To do it: invoke fabric.push {plan.scope}")


def print_judgements(
    judgements: Sequence[Judgement], out: TextIO | None = None, *, scope: str = ""
) -> None:
    """Print a table with a line for each difference, and what could not be looked at.

    Arguments:
        judgements: what was found.
        out: where to, standard output if None.
        scope: what the operator typed, for the command that mends it.
    """
    page = Page(out or sys.stdout)
    rows = [
        (each.device, d.area, d.item, d.expected, d.found)
        for each in judgements
        for d in each.differences
    ]
    if rows:
        page.table(_HEADERS, rows)
        page.line()
    for each in judgements:
        if each.error:
            page.line(f"{each.device} could not be looked at: {each.error}", "bold red")
    total = plural(len(judgements), "switch", "switches")
    bad = [each for each in judgements if each.differences]
    silent = [each for each in judgements if each.error]
    if not bad and not silent:
        page.line(f"{len(judgements)} of {total} are as NetBox says.", "bold green")
    if bad:
        page.line(f"{plural(len(rows), 'difference')} on {len(bad)} of {total}", "bold yellow")
        page.line(f"What a push would change: invoke fabric.diff {scope}")


def judgements_document(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Judgements as plain data."""
    return {"kind": "verify", "switches": [msgspec.to_builtins(each) for each in judgements]}


def print_cabling(
    findings: Sequence[Finding],
    errors: Mapping[str, str],
    base: str,
    out: TextIO | None = None,
) -> None:
    """Print how the cables differ from NetBox's, and which switches could not be asked.

    Arguments:
        findings: what was found.
        errors: why not, by switch.
        base: NetBox's address.
        out: where to, standard output if None.
    """
    page = Page(out or sys.stdout)
    for line in content.finding_lines(findings, base):
        page.line(line)
    for name, why in errors.items():
        page.line(f"{name} could not be asked: {why}", "bold red")
