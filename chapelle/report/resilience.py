"""What people read of resilience: verdicts and outcomes, as lines and as JSON."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from chapelle.model.resilience import Load, Lost, Outcome, Verdict, Waived
from chapelle.report import content
from chapelle.report.text import clean, host_names, plural, table, wrap

# Lines of each table, so that an outcome fits a screen or two; JSON has the rest.
_SHOWN = 12


def verdict_lines(verdict: Verdict, base: str) -> list[str]:
    """A verdict: its findings, what is waived, and what nobody has looked at.

    Arguments:
        verdict: what the check found.
        base: NetBox's address, for the objects' pages; empty when it is not known.
    """
    findings, waived = verdict.findings, verdict.waived
    lines = [*content.finding_lines(findings, base), ""] if findings else []
    if waived:
        lines.append(f"waived, and not counted: {len(waived)}")
        lines += [clean(f"  {_waived(item)}") for item in waived]
        lines.append("")
    if verdict.down:
        names = [f"{_noun(element.kind)} {element.name}" for element in verdict.down[:_SHOWN]]
        more = f" and {len(verdict.down) - _SHOWN} more" if len(verdict.down) > _SHOWN else ""
        lines += wrap(f"out before, by their status in NetBox: {', '.join(names)}{more}", "  ")
        lines.append("")
    elements, devices = plural(verdict.elements, "element"), plural(verdict.devices, "device")
    said = plural(len(findings), "finding") if findings else "no finding"
    lines.append(f"{elements} taken out in turn, {devices} watched")
    lines.append(f"{said} in what is modelled. Nobody has looked at:")
    return lines + [clean(f"  - {line}") for line in verdict.not_modelled]


def _waived(item: Waived) -> str:
    finding, waiver = item.finding, item.waiver
    until = f"until {waiver.expires}: {waiver.reason} ({waiver.owner})"
    return f"{finding.rule} of {finding.objects[0].name} {until}"


def verdict_document(verdict: Verdict, snapshot: str, base: str) -> dict[str, Any]:
    """The same as plain data; each object with the address of its page."""
    document: dict[str, Any] = msgspec.to_builtins(verdict)
    return {**document, **content.findings_document(verdict.findings, snapshot, base)}


def outcome_lines(outcome: Outcome) -> list[str]:
    """What the loss of some elements does: devices and tenants lost, and the load on the rest."""
    names = ", ".join(f"{element.kind} {element.name}" for element in outcome.elements)
    lines = [clean(f"without {names}:")]
    dark = Counter(element.kind for element in outcome.dark)
    if dark:
        told = ", ".join(plural(count, _noun(kind)) for kind, count in dark.items())
        lines.append(f"  goes dark: {told}")
    if outcome.reduced:
        lines.append(
            f"  go on with a cord or a link less: {plural(len(outcome.reduced), 'device')}"
        )
    if outcome.unmanaged:
        lines.append(f"  out of reach of management only: {host_names(outcome.unmanaged)}")
    lines += ["", *_lost_lines(outcome.lost)]
    if loads := _telling(outcome):
        rows = [_load_row(load) for load in loads[:_SHOWN]]
        lines += ["", *table(["carries more", "before", "after", "may carry", ""], rows)]
        if len(loads) > _SHOWN:
            lines.append(f"and {len(loads) - _SHOWN} more, less loaded ones; --json has them all")
    lines += ["", _sum(outcome)]
    return lines


def _noun(kind: str) -> str:
    return "PDU" if kind == "pdu" else kind


def _lost_lines(lost: Sequence[Lost]) -> list[str]:
    if not lost:
        return ["no device is lost"]
    rows = [[item.name, item.role, item.rack, item.tenant, item.reason] for item in lost[:_SHOWN]]
    lines = table(["lost", "role", "rack", "tenant", "to"], rows)
    if len(lost) > _SHOWN:
        lines.append(f"and {len(lost) - _SHOWN} more; --json has them all")
    tenants = Counter(item.tenant or "nobody" for item in lost)
    told = ", ".join(f"{name} ({count})" for name, count in tenants.most_common())
    return [*lines, clean(f"tenants: {told}")]


def _telling(outcome: Outcome) -> list[Load]:
    """The loads that grew and have a limit, those nearest to it first."""
    grown = [load for load in outcome.loads if load.after > load.before and load.limit]
    return sorted(grown, key=lambda load: (-_share(load), load.element))


def _share(load: Load) -> float:
    return load.after / load.limit if load.limit else 0.0


def _load_row(load: Load) -> list[str]:
    limit = f"{(load.limit or 0) / 1000:.1f} kW"
    note = f"{_share(load):.0%}"
    return [
        f"{_noun(load.element.kind)} {load.element.name}",
        f"{load.before / 1000:.1f} kW",
        f"{load.after / 1000:.1f} kW",
        limit,
        f"{note} OVERLOADED" if load.over else note,
    ]


def _sum(outcome: Outcome) -> str:
    if outcome.harmless:
        return "may be taken out: nothing is lost, and what lives on can carry it"
    parts = []
    if outcome.lost:
        parts.append(f"{plural(len(outcome.lost), 'device')} lost")
    if outcome.overloads:
        parts.append(f"{plural(len(outcome.overloads), 'element')} overloaded")
    return f"may NOT be taken out: {' and '.join(parts)}"


def sweep_lines(tried: int, harmful: int, worst: Sequence[Outcome]) -> list[str]:
    """What losing everything in turn does: how much of it harms, and the worst of that.

    Arguments:
        tried: losses that were tried.
        harmful: how many of them did harm.
        worst: those that harm most, or load something most.
    """
    rows = [
        [
            " + ".join(f"{_noun(e.kind)} {e.name}" for e in outcome.elements),
            str(len(outcome.lost)),
            ", ".join(sorted({item.tenant or "nobody" for item in outcome.lost})) or "-",
            _most(outcome),
        ]
        for outcome in worst
    ]
    said = f"{harmful} of them do harm" if harmful else "none of them does harm"
    return [
        f"{plural(tried, 'loss', 'losses')} tried, {said}",
        "",
        *table(["the worst, without", "lost", "tenants", "loaded most"], rows),
    ]


def _most(outcome: Outcome) -> str:
    loads = _telling(outcome)
    if not loads:
        return "-"
    over = " OVERLOADED" if loads[0].over else ""
    return f"{_noun(loads[0].element.kind)} {loads[0].element.name} {_share(loads[0]):.0%}{over}"


def outcome_document(outcome: Outcome, base: str) -> dict[str, Any]:
    """An outcome as plain data; each element with the address of its page."""
    document: dict[str, Any] = msgspec.to_builtins(outcome)
    for elements in (
        document["elements"],
        document["dark"],
        *([x["element"]] for x in document["loads"]),
    ):
        for element in elements:
            ref = element["ref"]
            ref["url"] = f"{base}/{ref['endpoint']}/{ref['id']}/"
    for load, item in zip(outcome.loads, document["loads"], strict=True):
        item["over"] = load.over
    return {**document, "harmless": outcome.harmless}
