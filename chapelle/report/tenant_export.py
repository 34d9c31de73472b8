"""A tenant's view as JSON, as CSV files for spreadsheets, and as a summary for the terminal."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from chapelle.model.tenant_view import TenantView
from chapelle.report.text import clean, plural, table

# What a spreadsheet takes for the beginning of a formula, also in its wide forms.
# Source: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# The lists of a view that become a file each; those of sessions and contacts are put together.
_LISTS = ("racks", "devices", "feeds", "outlets", "ports", "groups", "networks")


def json(view: TenantView) -> bytes:
    """The whole view as one JSON document, indented; the same view gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(view, order="deterministic"), indent=2) + b"\n"


def files(view: TenantView) -> Iterator[tuple[str, bytes]]:
    """The names of the files, and what is in them.

    CSV as in RFC 4180, in UTF-8 with a byte order mark, by which spreadsheets know the encoding.
    """
    yield f"{view.slug}.json", json(view)
    for name, rows in _tables(view):
        yield f"{view.slug}-{name}.csv", _csv(rows)


def _tables(view: TenantView) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "tenant", [{"what": name, "value": value} for name, value in _facts(view)]
    for name in _LISTS:
        yield name, [_row(each) for each in getattr(view, name)]
    yield "bgp", [_row(each) for each in view.bgp.sessions] if view.bgp else []
    evidence = view.acceptance.evidence if view.acceptance else ()
    yield "evidence", [_row(each) for each in evidence]
    sides = ((view.tenant, view.contacts), (view.operator, view.operator_contacts))
    yield "contacts", [{"of": side, **_row(each)} for side, people in sides for each in people]


def _facts(view: TenantView) -> Iterator[tuple[str, Any]]:
    for name in ("tenant", "slug", "site", "operator", "references", "vrfs", "snapshot"):
        yield name, getattr(view, name)
    if view.bgp:
        yield "asns", view.bgp.asns
        yield "allowed_prefixes", view.bgp.allowed
        yield "maximum_prefixes", view.bgp.maximum_prefixes


def _row(record: msgspec.Struct) -> dict[str, Any]:
    """A record as a line; devices in a rack are lines of another file."""
    row = {name: getattr(record, name) for name in record.__struct_fields__ if name != "slots"}
    if "let" in row:
        row["let"] = ranges(row["let"])
    return row


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in order as ranges: `1-4, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if rows:
        writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> str | int | float:
    """A value as a cell; a text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = clean(_text(value))
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "; ".join(map(_text, value))
    if isinstance(value, msgspec.Struct):
        parts = (_text(getattr(value, name)) for name in value.__struct_fields__)
        return " ".join(part for part in parts if part)
    return str(value)


def lines(view: TenantView) -> Iterator[str]:
    """The view in short, for a terminal."""
    yield clean(f"{view.tenant} ({view.slug}) at {view.site}: {', '.join(view.references) or '-'}")
    counted: Iterable[tuple[int, str]] = (
        (len(view.racks), "rack"),
        (len(view.devices), "device"),
        (len(view.feeds), "power feed"),
        (len(view.ports), "port"),
        (len(view.networks), "network"),
    )
    yield "  " + ", ".join(plural(number, noun) for number, noun in counted)
    racks = [
        (
            rack.name,
            ranges(rack.let),
            "" if rack.contracted_watts is None else f"{rack.contracted_watts} W",
            rack.request,
            str(rack.let_until or rack.held_until or ""),
        )
        for rack in view.racks
    ]
    if racks:
        yield ""
        yield from table(("RACK", "UNITS", "CONTRACTED", "REQUEST", "UNTIL"), racks)
    ports = [
        (
            port.device,
            port.name,
            f"{port.to_device or port.first_device} {port.to_port or port.first_port}",
            ", ".join(cable.label for cable in port.cables if cable.label),
        )
        for port in view.ports
    ]
    if ports:
        yield ""
        yield from table(("DEVICE", "PORT", "LEADS TO", "CABLE"), ports)
