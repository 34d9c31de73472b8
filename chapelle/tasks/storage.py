"""Tasks of storage: how much data there is room for."""

from chapelle.errors import ExitCode
from chapelle.settings import ROOT
from chapelle.tasks._command import command
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take


@command(
    help={
        "snapshot": "Look at this snapshot file; by default a new one is taken.",
        "json": "Print everything as one JSON document.",
    }
)
def ledger(_context: object, snapshot: str | None = None, json: bool = False) -> ExitCode:
    """Say how much data fits: exit code 0 when it is enough and safe, 99 when it is not.

    Raw and usable, per aisle and in all, at the number of copies that inventory/storage.yml
    declares, against what is needed; and what is left when an aisle, a rack, a leaf pair, a source,
    a panel or a feed is lost.
    """
    from chapelle.checks import ledger as account
    from chapelle.checks.resilience.loss import Plant
    from chapelle.model.datacentre import Datacentre
    from chapelle.plan import storage
    from chapelle.report import ledger as report

    layout = storage.read(ROOT / "inventory" / "storage.yml")
    judged, base = read_or_take(snapshot)
    found = account.ledger(Plant(Datacentre(judged)), layout.holding)
    if json:
        print_json(report.document(found, judged.hash, base))
    else:
        print_lines(report.lines(found, base))
    return ExitCode.FINDINGS if found.findings else ExitCode.OK
