"""The report of a run as one HTML page that needs nothing but itself.

The page is made of the template `templates/report.html`; here is what the template shows. All text
is escaped, and the page's own content security policy forbids scripts and requests.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from chapelle.model.outcome import HOST_OUTCOMES, Change, HostResult, RunResult, StepResult
from chapelle.report import analysis, pages
from chapelle.report.summary import headline
from chapelle.report.text import BAD_OUTCOMES, duration, host_names, moment

# Racks are drawn with this many units at least; NetBox's default height of a rack.
_RACK_UNITS = 42

# Each outcome has a sign besides its colour and pattern.
SIGNS = {
    "unchanged": "=",
    "changed": "~",
    "applied": "+",
    "reverted": "<",
    "failed": "!",
    "unreachable": "\N{MULTIPLICATION SIGN}",
    "unknown": "?",
    "pending": "\N{HORIZONTAL ELLIPSIS}",
}


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A server in an elevation. `top` is in units from the rack's upper edge, `height` in units."""

    host: HostResult
    top: float
    height: float
    label: str


class RackView(msgspec.Struct, frozen=True, kw_only=True):
    """A rack's front. `unplaced` are servers of which NetBox has no position."""

    name: str
    units: int
    slots: tuple[Slot, ...]
    unplaced: tuple[HostResult, ...]


class AisleView(msgspec.Struct, frozen=True, kw_only=True):
    """An aisle and the racks in it that the run touched."""

    number: str
    racks: tuple[RackView, ...]


class SharedDiff(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is the same on several hosts, shown once."""

    number: int
    change: Change
    hosts: tuple[str, ...]


def render(result: RunResult, *, netbox_url: str = "") -> str:
    """The page.

    Arguments:
        result: the run.
        netbox_url: NetBox's address, for links to devices; without one there are none.
    """
    environment = pages.environment(multiline=True)
    environment.filters |= {"duration": duration, "host_names": host_names}
    template = environment.get_template("report.html")
    return template.render(_content(result, netbox_url))


def _content(result: RunResult, netbox_url: str) -> dict[str, Any]:
    shared = shared_diffs(result)
    return {
        "run": result,
        "headline": headline(result),
        "tone": analysis.tone(result),
        "kind": analysis.kind(result),
        "noun": analysis.noun(result, 2),
        "facts": _facts(result),
        "counts": analysis.counts(result),
        "words": {name: analysis.word(result, name) for name in HOST_OUTCOMES},
        "signs": SIGNS,
        "troubles": [_trouble(result, host) for host in result.hosts if _is_bad(host)],
        "drift": analysis.drift_lines(result) if result.kind == "drift" else [],
        "mend": _mend(result),
        "aisles": elevations(result),
        "not_exercised": analysis.not_exercised(result),
        "change_groups": analysis.change_groups(result),
        "shared": shared,
        "shared_number": {diff.change: diff.number for diff in shared},
        "hosts": sorted(result.hosts, key=lambda h: (not _is_bad(h), h.aisle, h.rack, h.host)),
        "changes": analysis.changes,
        "differences": analysis.differences,
        "took": _took,
        "place": place,
        "netbox": netbox_url.rstrip("/") if netbox_url.startswith(("http://", "https://")) else "",
    }


def _is_bad(host: HostResult) -> bool:
    return host.outcome in BAD_OUTCOMES


def _facts(result: RunResult) -> dict[str, str]:
    ended = moment(result.finished) if result.finished is not None else "not ended"
    return {
        "Run": result.id,
        "What": f"{analysis.kind(result)} {result.scope}",
        "Started": moment(result.started),
        "Ended": ended,
        "Took": duration(result.finished - result.started) if result.finished is not None else "-",
        "Owner": result.owner,
        "Exit code": str(result.exit_code) if result.finished is not None else "-",
        "Commit": result.commit,
        "Plan": result.plan,
        "Snapshot": result.snapshot,
    }


def _trouble(result: RunResult, host: HostResult) -> dict[str, Any]:
    step = analysis.trouble_step(host)
    return {
        "host": host,
        "step": step.step if step else "-",
        "message": analysis.message(host),
        "remedy": analysis.remedy(result, host.outcome, [host]),
    }


def _mend(result: RunResult) -> str:
    drifted = [host for host in result.hosts if host.outcome == "changed"]
    if result.kind != "drift" or not drifted:
        return ""
    return analysis.again("provision", result, drifted)


def _took(step: StepResult) -> str:
    return duration(step.finished - step.started) if step.finished is not None else "no end seen"


def place(host: HostResult) -> str:
    """Where a host stands: `A2-R01 U7`."""
    rack = host.rack or "no rack"
    return f"{rack} U{_unit(host.position)}" if host.position is not None else rack


def _unit(position: float) -> str:
    return f"{position:g}"


def elevations(result: RunResult) -> list[AisleView]:
    """The racks of the run's servers, by aisle, in order of name."""
    racks: dict[tuple[str, str], list[HostResult]] = defaultdict(list)
    for host in result.hosts:
        racks[host.aisle, host.rack].append(host)
    aisles: dict[str, list[RackView]] = defaultdict(list)
    for (aisle, rack), hosts in sorted(racks.items(), key=lambda item: _by_number(*item[0])):
        aisles[aisle].append(_rack(result, rack, hosts))
    return [AisleView(number=number, racks=tuple(views)) for number, views in aisles.items()]


def _by_number(aisle: str, rack: str) -> tuple[int, str, str]:
    return (int(aisle) if aisle.isdecimal() else 0, aisle, rack)


def _rack(result: RunResult, name: str, hosts: Sequence[HostResult]) -> RackView:
    placed = [(host, host.position) for host in hosts if host.position is not None]
    tops = [position + host.u_height - 1 for host, position in placed]
    units = max([_RACK_UNITS, *(int(-(-top // 1)) for top in tops)])
    slots = [
        Slot(
            host=host,
            top=units - top,
            height=max(host.u_height, 0.5),
            label=_label(result, host),
        )
        for (host, _), top in zip(placed, tops, strict=True)
    ]
    return RackView(
        name=name or "no rack",
        units=units,
        slots=tuple(sorted(slots, key=lambda slot: slot.top)),
        unplaced=tuple(host for host in hosts if host.position is None),
    )


def _label(result: RunResult, host: HostResult) -> str:
    """What a pointer over the server says."""
    text = f"{host.host}, {place(host)}, {host.role}: {analysis.word(result, host.outcome)}"
    step = analysis.trouble_step(host)
    return f"{text} in {step.step}: {analysis.message(host)}" if step else text


def shared_diffs(result: RunResult) -> list[SharedDiff]:
    """Changes with a diff that two or more hosts have in common."""
    hosts: dict[Change, list[str]] = defaultdict(list)
    for host in result.hosts:
        for change in dict.fromkeys(analysis.changes(host)):
            if change.diff:
                hosts[change].append(host.host)
    common = [(change, names) for change, names in hosts.items() if len(names) > 1]
    return [
        SharedDiff(number=number, change=change, hosts=tuple(names))
        for number, (change, names) in enumerate(common, start=1)
    ]
