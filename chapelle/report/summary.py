"""The end of a run in one screen: what happened, what failed, and what to do next."""

import sys
from pathlib import Path
from typing import TextIO

import msgspec

from chapelle.model.outcome import ROLLING_KINDS, RunResult
from chapelle.report import analysis
from chapelle.report.text import (
    BAD_OUTCOMES,
    STYLES,
    Page,
    duration,
    host_names,
    plural,
    target_name,
)

# Lines of each section, so that all of it fits a screen; the report has the rest.
_TROUBLES_SHOWN = 5
_CHANGES_SHOWN = 8
_ITEMS_NAMED = 2
_HOSTS_NAMED = 3

# What a dry run of a patch is for is the list.
_UPGRADES_NAMED = 100

# What a rolling run does to servers, in one word.
_DONE_TO = {"reboot": "restarted", "patch": "patched or restarted"}

_TONES = {"good": "bold green", "warn": "bold yellow", "bad": "bold red"}


def print_summary(
    result: RunResult,
    out: TextIO | None = None,
    *,
    netbox_url: str = "",
    report: Path | str = "",
) -> None:
    """Print how the run ended.

    Arguments:
        result: the run.
        out: where to, standard output if None.
        netbox_url: NetBox's address, printed where it is known.
        report: the HTML report's path.
    """
    page = Page(out or sys.stdout)
    _print_head(page, result)
    _print_troubles(page, result)
    if result.kind != "drift":
        _print_changes(page, result)
    _print_not_exercised(page, result)
    _print_next(page, result, netbox_url, str(report))


def print_json(result: RunResult, out: TextIO | None = None) -> None:
    """Print the result as one line of JSON, told from the lines of events by its `kind`, result."""
    line = msgspec.json.encode({"kind": "result", "result": result}).decode()
    print(line, file=out or sys.stdout, flush=True)


def headline(result: RunResult) -> str:
    """How the run ended, in one plain sentence."""
    counts = analysis.counts(result)
    total = f"{len(result.hosts)} {analysis.noun(result, len(result.hosts))}"
    bad = sum(counts.get(name, 0) for name in BAD_OUTCOMES)
    if analysis.all_as_intended(result):
        wanted = "they were before" if result.kind == "revert" else "NetBox says"
        text = f"Nothing to change: {len(result.hosts)} of {total} are as {wanted}."
    elif result.stopped:
        text = f"Stopped: {result.stopped.partition(chr(10))[0].rstrip('.')}."
    elif counts.get("pending"):
        text = f"Not finished: {counts['pending']} of {total} had no turn."
    elif bad:
        text = f"{bad} of {total} did not end well."
    else:
        text = _headline_of_changes(result, counts.get("changed", 0) + counts.get("applied", 0))
    return text


def _headline_of_changes(result: RunResult, changed: int) -> str:
    total = f"{len(result.hosts)} {analysis.noun(result, len(result.hosts))}"
    if result.kind == "drift":
        return f"{changed} of {total} are not as NetBox says."
    done = _DONE_TO.get(result.kind, "changed")
    if result.dry_run:
        return f"Dry run: {changed} of {total} would be {done}."
    if result.kind in ROLLING_KINDS:
        return f"{changed} of {total} were {done}; all are as NetBox says."
    wanted = "they were before" if result.kind == "revert" else "NetBox says"
    return f"{len(result.hosts)} of {total} are as {wanted}; {changed} had to be changed."


def _print_head(page: Page, result: RunResult) -> None:
    page.line()
    page.paragraph(headline(result), style=_TONES[analysis.tone(result)])
    for line in result.stopped.splitlines()[1:]:
        page.line(line)
    page.parts(analysis.styled_counts(result))
    took = duration(result.finished - result.started) if result.finished else "unfinished"
    page.paragraph(
        f"Run {result.id}: {analysis.kind(result)} {result.scope}, {took}, "
        f"target {target_name(result.target)}.",
        indent="  ",
    )
    moved = ", ".join(
        f"{count} {before} -> {after}"
        for (before, after), count in analysis.transitions(result).items()
    )
    if moved:
        page.paragraph(f"NetBox status: {moved}", indent="  ")


def _print_troubles(page: Page, result: RunResult) -> None:
    found = analysis.troubles(result)
    if not found:
        return
    page.title("What failed")
    for trouble in found[:_TROUBLES_SHOWN]:
        racks = host_names(trouble.racks, 2) or "no rack"
        step = f" in {trouble.step}" if trouble.step else ""
        page.paragraph(
            f"  {host_names(trouble.hosts)} ({racks}) {trouble.outcome}{step}: {trouble.message}",
            indent="    ",
            style=STYLES[trouble.outcome],
        )
        page.line(f"    next: {trouble.remedy}")
    rest = sum(len(trouble.hosts) for trouble in found[_TROUBLES_SHOWN:])
    if rest:
        page.line(f"  and {plural(rest, 'host')} more: see the report")


def _print_changes(page: Page, result: RunResult) -> None:
    groups = analysis.change_groups(result)
    if not groups:
        return
    page.title("What would change" if result.dry_run else "What changed")
    for group in groups[:_CHANGES_SHOWN]:
        where = (
            host_names(group.hosts)
            if len(group.hosts) <= _HOSTS_NAMED
            else plural(len(group.hosts), "host")
        )
        listed = result.dry_run and result.kind == "patch"
        items = _items(group, _UPGRADES_NAMED if listed else _ITEMS_NAMED)
        page.paragraph(f"  {group.role} on {where}: {items}", indent="    ")
    if len(groups) > _CHANGES_SHOWN:
        page.line(f"  and {len(groups) - _CHANGES_SHOWN} more: see the report")


def _items(group: analysis.ChangeGroup, most: int) -> str:
    parts = []
    for kind, items in group.items.items():
        if len(items) <= most:
            named = ", ".join(items)
            parts.append(named if named == kind else f"{kind} {named}")
        else:
            parts.append(plural(len(items), kind))
    return "; ".join(parts)


def _print_not_exercised(page: Page, result: RunResult) -> None:
    found = analysis.not_exercised(result)
    if found:
        page.title("Not exercised")
    for text, count in found.items():
        page.paragraph(f"  {text} ({plural(count, 'host')})", indent="    ")


def _print_next(page: Page, result: RunResult, netbox_url: str, report: str) -> None:
    page.line()
    if netbox_url:
        page.line(f"NetBox: {netbox_url}")
    if report:
        page.line(f"Report: {report}")
    command, purpose = next_command(result)
    if command:
        page.line(f"{purpose}: {command}")


def next_command(result: RunResult) -> tuple[str, str]:
    """What the reader may want to type next, and what for; both empty when there is nothing."""
    counts = analysis.counts(result)
    answer = ("", "")
    if result.kind == "drift":
        pass  # the table of differences ends with the command that mends them
    elif result.dry_run:
        if counts.get("changed"):
            answer = (f"invoke {result.kind} {result.scope}", "To do it")
    elif counts.get("pending") or counts.get("unknown"):
        answer = (analysis.resume(result), "To go on")
    elif any(counts.get(name) for name in BAD_OUTCOMES):
        answer = (f"invoke runs.show {result.id}", "Every step")
    elif result.kind in analysis.SWITCH_KINDS:
        answer = (f"invoke fabric.verify {result.scope}", "To see later that it stays so")
    else:
        answer = (f"invoke drift {result.scope}", "To see later that it stays so")
    return answer
