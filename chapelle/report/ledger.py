"""What people read of the capacity ledger: lines and JSON."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec

from chapelle.model.disks import GB_PER_TB
from chapelle.model.ledger import Ledger, Part, Without
from chapelle.report import content
from chapelle.report.text import clean, host_names, plural, table, wrap

# Losses that are told one by one, of each kind that costs something.
_SHOWN = 6


def lines(ledger: Ledger, base: str) -> list[str]:
    """All of it for a terminal.

    Arguments:
        ledger: the account.
        base: NetBox's address, for the objects' pages; empty when it is not known.
    """
    holding = ledger.holding
    found = [
        f"to hold: {holding.need_tb} TB in {holding.copies} copies, each in another "
        f"{holding.apart}, on disks filled to {holding.fill_percent} %",
        "",
        *table(["aisle", "servers", "disks", "raw", "usable", "stranded"], _aisles(ledger)),
        "",
        verdict(ledger),
        *_out(ledger),
        "",
        *table(
            ["if this is lost", "servers", "raw", "copies left", "data", "then holds"],
            [row for kind in _kinds(ledger) for row in kind],
        ),
    ]
    if ledger.kept:
        found += ["", *wrap(f"to be kept, and not counted: {host_names(ledger.kept, 8)}", "  ")]
    if ledger.findings:
        found += ["", *content.finding_lines(ledger.findings, base)]
    return found


def terabytes(gigabytes: int) -> str:
    """`2611 TB`; to the tenth below a hundred."""
    amount = gigabytes / GB_PER_TB
    return f"{amount:.1f} TB" if 0 < amount < 100 else f"{amount:.0f} TB"


def _aisles(ledger: Ledger) -> list[list[str]]:
    rows = [_part(part) for part in ledger.aisles]
    servers = sum(part.servers for part in ledger.aisles)
    idle = sum(part.stranded for part in ledger.aisles)
    everything = Part(
        name="all",
        servers=servers,
        disks=ledger.disks,
        raw=ledger.raw,
        usable=ledger.usable,
        stranded=idle,
    )
    return [*rows, _part(everything)]


def _part(part: Part) -> list[str]:
    amounts = (part.raw, part.usable, part.stranded)
    return [part.name, str(part.servers), str(part.disks), *(terabytes(a) for a in amounts)]


def verdict(ledger: Ledger) -> str:
    """Whether what must be held can be held, in words."""
    spare = ledger.out.usable - ledger.need
    held = f"usable {terabytes(ledger.out.usable)}"
    if ledger.out.servers:
        held += " without what is out now"
    if spare < 0:
        return f"{held}, {terabytes(-spare)} less than needed"
    return f"{held}: enough, {terabytes(spare)} to spare ({spare / ledger.need * 100:.0f} %)"


def _out(ledger: Ledger) -> list[str]:
    """What is there by its status, and what is out."""
    counts = ", ".join(f"{count} {status}" for status, count in ledger.servers.items())
    found = [clean(f"servers: {counts or 'none'}")]
    if ledger.out.servers:
        names = host_names(ledger.out.servers)
        text = f"out now: {names}; {_copies(ledger.out, ledger)} copies of all data for certain"
        found += wrap(text, "  ")
    return found


def _copies(loss: Without, ledger: Ledger) -> str:
    return f"{loss.copies} of {ledger.holding.copies}"


def _kinds(ledger: Ledger) -> list[list[list[str]]]:
    """The rows of each kind of loss: those that cost something, alike ones together; then none."""
    found = []
    for kind, losses in groupby(ledger.losses, key=lambda loss: loss.kind):
        harmful: dict[tuple[Any, ...], list[Without]] = {}
        harmless = 0
        for loss in losses:
            if loss.servers:
                harmful.setdefault(_alike(loss), []).append(loss)
            else:
                harmless += 1
        alike = list(harmful.values())
        rows = [_row(kind, same, ledger) for same in alike[:_SHOWN]]
        if more := sum(len(same) for same in alike[_SHOWN:]):
            rows.append([f"{plural(more, kind)} more, less each", "", "", "", "", ""])
        if harmless:
            rows.append([f"any of {plural(harmless, kind)}", "0", "", "", "nothing lost", ""])
        found.append(rows)
    return found


def _alike(loss: Without) -> tuple[Any, ...]:
    return (len(loss.servers), loss.raw, loss.copies, loss.usable)


def _row(kind: str, same: Sequence[Without], ledger: Ledger) -> list[str]:
    loss = same[0]
    if len(same) == 1:
        name = f"{kind} {loss.name}"
    else:
        name = f"{kind}: each of {len(same)}, such as {loss.name}"
    return [
        name,
        str(len(loss.servers)),
        terabytes(loss.raw),
        _copies(loss, ledger),
        _data(loss),
        f"{terabytes(loss.usable)}: {'enough' if loss.enough else 'NOT ENOUGH'}",
    ]


def _data(loss: Without) -> str:
    if loss.writable:
        return "readable, writable"
    return "readable, NOT WRITABLE" if loss.readable else "NOT READABLE"


def document(ledger: Ledger, snapshot: str, base: str) -> dict[str, Any]:
    """The same as plain data; amounts in units of 10^9 bytes."""
    plain: dict[str, Any] = msgspec.to_builtins(ledger)
    return {**plain, **content.findings_document(ledger.findings, snapshot, base)}
