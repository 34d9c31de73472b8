"""The task `capacity`: what the datacentre has, what is let, and what is left."""

import datetime
import sys
from pathlib import Path

from chapelle.errors import ExitCode, InputError
from chapelle.tasks._command import command
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take


@command(
    help={
        "snapshot": "Look at this snapshot file; by default a new one is taken.",
        "day": "As of this day, such as 2027-03-31 (default: today).",
        "json": "Print everything as one JSON document.",
        "html": "Write a page with all racks into this file, too.",
    }
)
def capacity(
    _context: object,
    snapshot: str | None = None,
    day: str | None = None,
    json: bool = False,
    html: str | None = None,
) -> ExitCode:
    """Say what there is, what is let or reserved, what is left, and what is stranded.

    For each aisle and rack: units, power as all is now and with one side out, weight, ports. Power
    counts as if every tenant drew what it was promised. The share that is let stands against the
    one that is to be, and reservations and leases that end within 30 days are named.
    """
    from chapelle import files
    from chapelle.checks.tenancy import capacity as account
    from chapelle.model.datacentre import Datacentre
    from chapelle.report import capacity as report

    on = day_of(day)
    judged, _ = read_or_take(snapshot)
    found = account.capacity(Datacentre(judged), on)
    if html:
        files.write(Path(html).expanduser(), report.page(found, judged.hash).encode())
    if json:
        print_json(report.document(found, judged.hash))
    else:
        print_lines(report.lines(found))
    if html:
        print(f"page: {html}", file=sys.stderr)
    return ExitCode.OK


def day_of(text: str | None) -> datetime.date:
    """The day that somebody typed; today, if none.

    Raises:
        InputError: it is none.
    """
    if text is None:
        return datetime.datetime.now(datetime.UTC).date()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            "That is no day.",
            where="the command line: --day",
            expected="a day such as 2027-03-31",
            found=repr(text),
        ) from error
