"""Maintenance windows as people read them in a terminal, and as JSON."""

import datetime
from collections.abc import Sequence
from typing import Any

import msgspec

from chapelle.model.maintenance import Verdict
from chapelle.model.resilience import Lost, Window
from chapelle.report.text import clean, host_names, moment, plural, table

_ELEMENTS = 3
_NAMES = 12


def window_lines(window: Window) -> list[str]:
    """One window: a line for each thing that it says."""
    facts = {
        "state": window.state,
        "starts": moment(window.starts.timestamp()),
        "ends": moment(window.ends.timestamp()),
        "elements": ", ".join(ref.name for ref in window.elements),
        "owner": window.owner,
        "reason": window.reason,
    }
    return [window.id, *(clean(f"  {name + ':':<10}{text}") for name, text in facts.items())]


def list_lines(windows: Sequence[Window], now: datetime.datetime) -> list[str]:
    """Windows as a table."""
    if not windows:
        return ["no maintenance window"]
    rows = []
    for window in windows:
        names = [ref.name for ref in window.elements]
        more = f" and {len(names) - _ELEMENTS} more" if len(names) > _ELEMENTS else ""
        rows.append(
            [
                window.id,
                state(window, now),
                _short(window.starts),
                _short(window.ends),
                ", ".join(names[:_ELEMENTS]) + more,
                window.owner,
                window.reason,
            ]
        )
    return table(["id", "state", "starts", "ends", "elements", "owner", "reason"], rows)


def state(window: Window, now: datetime.datetime) -> str:
    """A window's state in a word or two; `open, over` should have been closed."""
    over = window.ends <= now and window.state != "closed"
    return f"{window.state}, over" if over else window.state


def verdict_lines(verdict: Verdict) -> list[str]:
    """What a window would do: by tenant and rack the devices lost, then what is overloaded."""
    if verdict.harmless:
        loads = {load.element for each in verdict.moments for load in each.outcome.loads}
        return [f"nothing is lost, nothing overloaded; loads that change: {len(loads)}"]
    lines = [clean(f"no longer in NetBox: {ref.name}") for ref in verdict.missing]
    if verdict.windows:
        lines.append(f"out at the same time: {', '.join(verdict.windows)}")
    if verdict.lost:
        lines.append(f"{plural(len(verdict.lost), 'device')} would be lost:")
        lines += _lost_lines(verdict.lost)
    if verdict.overloads:
        rows = [
            [load.element.name, load.element.kind, f"{load.before:.0f} W", f"{load.after:.0f} W",
             f"{load.limit:.0f} W"]
            for load in verdict.overloads
        ]  # fmt: skip
        lines.append(f"{plural(len(rows), 'element')} would be overloaded:")
        lines += [
            f"  {line}" for line in table(["element", "kind", "before", "after", "may"], rows)
        ]
    return lines


def _lost_lines(lost: Sequence[Lost]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for device in lost:
        groups.setdefault((device.tenant or "no tenant", device.reason), []).append(device.name)
    return [
        clean(f"  {tenant}, {plural(len(names), 'device')} ({why}): {host_names(names, _NAMES)}")
        for (tenant, why), names in sorted(groups.items())
    ]


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON; `lost` and `overloads` are what the window adds to all others."""
    return {
        "window": verdict.window,
        "harmless": verdict.harmless,
        "lost": verdict.lost,
        "tenants": sorted({lost.tenant for lost in verdict.lost if lost.tenant}),
        "overloads": verdict.overloads,
        "with": verdict.windows,
        "missing": verdict.missing,
        "moments": [
            {"at": each.at, "windows": each.windows, "unmanaged": each.outcome.unmanaged}
            for each in verdict.moments
        ],
    }


def window_document(window: Window, now: datetime.datetime) -> dict[str, Any]:
    """A window as JSON, and whether it is over."""
    over = window.ends <= now and window.state != "closed"
    plain: dict[str, Any] = msgspec.to_builtins(window)
    return {**plain, "over": over}


def _short(time: datetime.datetime) -> str:
    """To the minute, in Paris as all times are told; without seconds and without UTC."""
    return moment(time.timestamp())[:16]
