"""Runs of the past: a table of them, and one of them in full."""

import sys
from collections.abc import Sequence
from typing import TextIO

from chapelle.model.outcome import STEPS_OF, HostResult, RunResult, StepResult, steps_for
from chapelle.report import analysis
from chapelle.report.text import (
    BAD_OUTCOMES,
    STYLES,
    Page,
    clean,
    duration,
    host_names,
    moment,
    plural,
    target_name,
)


def state(result: RunResult) -> str:
    """`done`, `stopped`, or `not ended`: at work, or its controller was killed."""
    if result.finished is None:
        return "not ended"
    return "stopped" if result.stopped else "done"


def print_runs(results: Sequence[RunResult], out: TextIO | None = None) -> None:
    """Print a table of runs, in the order given: one line each, cut to a terminal's width."""
    page = Page(out or sys.stdout)
    if not results:
        page.line("No runs yet. The first one: invoke provision --aisle=2")
        return
    rows = [
        (
            result.id,
            moment(result.started)[:16],
            analysis.kind(result),
            result.scope,
            state(result),
            str(result.exit_code) if result.finished is not None else "-",
            _took(result),
            ", ".join(text for text, _ in analysis.styled_counts(result)),
        )
        for result in results
    ]
    headers = ("run", "started", "kind", "scope", "state", "exit", "took", "hosts")
    page.table(headers, rows)


def _took(result: RunResult | StepResult) -> str:
    return duration(result.finished - result.started) if result.finished else "-"


def print_run(result: RunResult, out: TextIO | None = None, *, report: str = "") -> None:
    """Print one run: what it was, and what became of each host.

    A line for each host with the time of each step, then the bad ends in full, then what changed
    by role and hosts.
    """
    page = Page(out or sys.stdout)
    page.line(f"Run {result.id}", "bold")
    facts = {
        "what": f"{analysis.kind(result)} {result.scope}",
        "target": target_name(result.target),
        "started": moment(result.started),
        "took": _took(result),
        "state": state(result),
        "exit code": str(result.exit_code) if result.finished is not None else "-",
        "owner": result.owner,
        "commit": result.commit,
        "snapshot": result.snapshot,
        "plan": result.plan,
        "report": report,
    }
    for name, value in facts.items():
        if value:
            page.line(f"  {name:<10} {value}")
    for line in result.stopped.splitlines():
        page.line(f"  stopped    {line}", "bold red")
    page.parts(analysis.styled_counts(result))
    _print_hosts(page, result)
    _print_changes(page, result)
    if result.finished is None and result.kind != "drift":
        page.line()
        page.line(f"If it is no longer at work, to go on: {analysis.resume(result)}")


def _print_hosts(page: Page, result: RunResult) -> None:
    page.line()
    taken = {step.step for host in result.hosts for step in host.steps}
    names = sorted(taken, key=steps_for(STEPS_OF[result.kind], taken).index)
    rows = []
    for host in result.hosts:
        took = {step.step: _took(step) for step in host.steps}
        times = (took.get(name, "") for name in names)
        rows.append((host.host, host.rack, host.outcome, _statuses(host), *times))
    page.table(("host", "rack", "outcome", "status", *names), rows)
    for host in result.hosts:
        if host.outcome in BAD_OUTCOMES:
            page.line()
            page.line(
                f"{host.host} ({host.rack or 'no rack'}) {host.outcome}", STYLES[host.outcome]
            )
            _print_steps(page, host)


def _print_changes(page: Page, result: RunResult) -> None:
    for group in analysis.change_groups(result):
        page.title(
            f"{group.role}, on {plural(len(group.hosts), 'host')}: {host_names(group.hosts)}"
        )
        for kind, items in group.items.items():
            for item in items:
                page.line(f"  {kind} {item}")


def _statuses(host: HostResult) -> str:
    if host.status_before == host.status_after:
        return host.status_after
    return f"{host.status_before} -> {host.status_after}"


def _print_steps(page: Page, host: HostResult) -> None:
    for step in host.steps:
        took = _took(step)
        page.line(f"  {step.step:<11} {step.outcome:<11} {took}", STYLES[step.outcome])
        if step.message:
            page.paragraph(f"    {step.message}", indent="    ")
        for change in step.changes:
            states = f": {change.before or '-'} -> {change.after}" if change.after else ""
            page.line(clean(f"    {change.role} {change.kind} {change.item}{states}"))
        for difference in step.differences:
            page.line(
                f"    {difference.area} {difference.item}: "
                f"expected {difference.expected}, found {difference.found}"
            )
