"""What people read of NetBox's content: tables of a snapshot, differences, findings."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from chapelle.model.datacentre import Datacentre
from chapelle.model.diff import ObjectChange
from chapelle.model.finding import Finding
from chapelle.model.records import Device
from chapelle.model.references import MODELS
from chapelle.model.snapshot import FORMAT, Snapshot
from chapelle.report.text import clean, plural, table

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def snapshot_lines(snapshot: Snapshot) -> list[str]:
    """What is in a snapshot: its hash, a table of the aisles, and how many objects of each kind."""
    dc = Datacentre(snapshot)
    size = len(snapshot.data) / 1e6
    lines = [f"snapshot {snapshot.hash}", f"format {FORMAT}, {size:.1f} MB", ""]
    lines += table(["aisle", "racks", "servers", "other devices", "by status"], _aisle_rows(dc))
    lines.append("")
    counts = [
        [kind, str(len(getattr(snapshot.content, name)))]
        for name, kind in MODELS.items()
        if getattr(snapshot.content, name)
    ]
    return lines + table(["kind", "objects"], counts)


def _aisle_rows(dc: Datacentre) -> list[list[str]]:
    by_aisle: dict[str | None, list[Device]] = {number: [] for number in dc.aisles}
    for device in dc.content.devices:
        by_aisle.setdefault(dc.aisle_number(device), []).append(device)
    rows = []
    for number, devices in by_aisle.items():
        aisle = dc.aisles[number].id if number else None
        racks = sum(rack.location == aisle for rack in dc.content.racks) if aisle else 0
        servers = [device for device in devices if dc.is_server(device)]
        statuses = sorted(Counter(server.status for server in servers).items())
        rows.append(
            [
                number or "none",
                str(racks),
                str(len(servers)),
                str(len(devices) - len(servers)),
                ", ".join(f"{count} {status}" for status, count in statuses),
            ]
        )
    return rows


def diff_lines(changes: Sequence[ObjectChange]) -> list[str]:
    """A line for each object added (+), removed (-) or changed (~), and for each changed field."""
    lines = []
    for change in changes:
        lines.append(clean(f"{_SIGNS[change.change]} {change.kind} {change.name}"))
        lines += [
            clean(f"    {field.field}: {_value(field.before)} -> {_value(field.after)}")
            for field in change.fields
        ]
    if not changes:
        return ["no difference"]
    counts = Counter(change.change for change in changes)
    total = ", ".join(f"{counts[name]} {name}" for name in _SIGNS if counts[name])
    return [*lines, "", total]


def _value(value: Any) -> str:
    if value is None or value == "":
        return "(nothing)"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def finding_lines(findings: Sequence[Finding], base: str) -> list[str]:
    """Findings as paragraphs, and a last line that counts them.

    Arguments:
        findings: what a check found.
        base: NetBox's address, for the objects' pages; empty when it is not known.
    """
    if not findings:
        return ["nothing found"]
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{finding.severity}: {finding.rule}")
        lines += [clean(f"  {ref.name}  {ref.url(base)}") for ref in finding.objects]
        lines.append(clean(f"    expected: {finding.expected}"))
        lines.append(clean(f"    found:    {finding.found}"))
        lines.append(clean(f"    to do:    {finding.remedy}"))
    counts = Counter(finding.severity for finding in findings)
    total = ", ".join(plural(counts[severity], severity) for severity in sorted(counts))
    return [*lines, "", total]


def findings_document(findings: Sequence[Finding], snapshot: str, base: str) -> dict[str, Any]:
    """Findings as plain data; each object with the address of its page."""
    plain = [msgspec.to_builtins(finding) for finding in findings]
    for finding, entry in zip(findings, plain, strict=True):
        for ref, item in zip(finding.objects, entry["objects"], strict=True):
            item["url"] = ref.url(base)
    return {"snapshot": snapshot, "findings": plain}
