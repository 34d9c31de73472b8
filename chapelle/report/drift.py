"""Drift: a table with one line for each way in which a host is not as NetBox says."""

import sys
from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from chapelle.model.finding import Finding
from chapelle.model.outcome import Judgement, RunResult
from chapelle.report import analysis
from chapelle.report.text import Page, host_names, plural

_HEADERS = ("host", "area", "item", "expected", "found")


def print_drift(result: RunResult, out: TextIO | None = None, *, grouped: bool = False) -> None:
    """Print the table and the command that mends all of it; nothing when there is no difference.

    On a terminal cells are cut to its width. A file or a pipe gets them whole, one line each, so
    that every line names its host.

    Arguments:
        result: a run of kind drift.
        out: where to, standard output if None.
        grouped: one line for a difference that several hosts have in common.
    """
    lines = analysis.drift_lines(result, grouped=grouped)
    if not lines:
        return
    page = Page(out or sys.stdout)
    rows = [(_hosts(line), line.area, line.item, line.expected, line.found) for line in lines]
    page.table(_HEADERS, rows)
    hosts = [host for host in result.hosts if analysis.changes(host) or analysis.differences(host)]
    total = plural(sum(len(line.hosts) for line in lines), "difference")
    page.line()
    page.line(f"{total} on {len(hosts)} of {plural(len(result.hosts), 'server')}")
    page.line(f"To mend it: {analysis.again('provision', result, hosts)}")


def _hosts(line: analysis.DriftLine) -> str:
    names = host_names(line.hosts, 2)
    return names if len(line.hosts) == 1 else f"{names} ({len(line.hosts)})"


def document(
    result: RunResult, switches: Sequence[Judgement] = (), leaks: Sequence[Finding] = ()
) -> dict[str, Any]:
    """The differences as plain data, each with its host and the command that mends it."""
    return {
        "kind": "drift",
        "run": result.id,
        "scope": result.scope,
        "snapshot": result.snapshot,
        "servers": len(result.hosts),
        "outcomes": analysis.counts(result),
        "differences": [
            {
                "host": line.hosts[0],
                "area": line.area,
                "item": line.item,
                "expected": line.expected,
                "found": line.found,
                "mend": f"invoke provision --limit={line.hosts[0]}",
            }
            for line in analysis.drift_lines(result)
        ],
        "switches": [msgspec.to_builtins(each) for each in switches],
        "leaks": [msgspec.to_builtins(each) for each in leaks],
    }


def print_json(
    result: RunResult,
    out: TextIO | None = None,
    *,
    switches: Sequence[Judgement] = (),
    leaks: Sequence[Finding] = (),
) -> None:
    """Print `document` as one line of JSON, told from the lines of events by its `kind`, drift."""
    line = msgspec.json.encode(document(result, switches, leaks)).decode()
    print(line, file=out or sys.stdout, flush=True)
