"""Tasks of storage: room for data, what may be written to disks, what an erasure is worth."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chapelle.errors import ExitCode
from chapelle.settings import ROOT
from chapelle.tasks._command import command
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take

if TYPE_CHECKING:
    from chapelle.model.erasure import Certificate

_LAYOUT = ROOT / "inventory" / "storage.yml"
_OUT = "Write the PDFs, in French and in English, into this folder."


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

    layout = storage.read(_LAYOUT)
    judged, base = read_or_take(snapshot)
    found = account.ledger(Plant(Datacentre(judged)), layout.holding)
    if json:
        print_json(report.document(found, judged.hash, base))
    else:
        print_lines(report.lines(found, base))
    return ExitCode.FINDINGS if found.findings else ExitCode.OK


@command(
    help={
        "host": "A server.",
        "snapshot": "Look at this snapshot file; by default a new one is taken.",
        "json": "Print everything as one JSON document.",
    }
)
def disks(_context: object, host: str, snapshot: str | None = None, json: bool = False) -> ExitCode:
    """Say what each disk of a server is for, and what would be done to it when.

    That is: when it is built for the first time, rebuilt, or retired, by what NetBox says. What
    would stop any of these is told: exit code 99 when a rebuild would be refused.
    """
    from chapelle.model.datacentre import Datacentre
    from chapelle.model.disks import MODES, disks_of
    from chapelle.plan import disks as guard
    from chapelle.plan import storage
    from chapelle.report import disks as report

    layout = storage.read(_LAYOUT)
    judged, _ = read_or_take(snapshot)
    dc = Datacentre(judged)
    device = dc.device(host)
    known = disks_of(dc, device)
    places = storage.places(layout, dc.role_of(device), known)
    verdicts = {
        mode: guard.judge(host, device.status, mode, known, os_disks=layout.os.disks)
        for mode in MODES
    }
    if json:
        print_json(report.document(host, known, places, verdicts))
    else:
        print_lines(report.lines(host, known, places, verdicts))
    return ExitCode.FINDINGS if verdicts["rebuild"].stops else ExitCode.OK


@command(help={"file": "A certificate's JSON file.", "out": _OUT})
def certificate(_context: object, file: str, out: str | None = None) -> ExitCode:
    """Read a certificate of erasure again: exit code 0 for an erased disk, 99 for one that is not.

    Its hash must be that of its content, and its level the one that follows from what was done.
    """
    from chapelle.plan import erasure
    from chapelle.report import erasure as report

    made = erasure.read(Path(file).expanduser())
    if out:
        _write(made, out)
    print_lines(report.lines(made))
    return ExitCode.FINDINGS if made.assessment.level == "none" else ExitCode.OK


@command(
    help={
        "file": "The disk's certificate, or the report that it is not erased: its JSON file.",
        "technique": "How it was destroyed, such as: shredding, 6 mm.",
        "by": "Who did it.",
        "witness": "Who saw it.",
        "out": "Write the new certificate into this folder: JSON, and PDFs in both languages.",
    }
)
def destroyed(_context: object, file: str, technique: str, by: str, witness: str, out: str) -> None:
    """Add to a disk's certificate that a person has destroyed the disk.

    The level is then `destroy`, as a declaration: no program sees it. What was done before stays in
    the certificate, and the file that was read stays as it is.
    """
    from chapelle.model.erasure import Destruction
    from chapelle.plan import erasure
    from chapelle.report import erasure as report

    told = Destruction(technique=technique, by=by, witness=witness, at=time.time())
    made = erasure.destroyed(erasure.read(Path(file).expanduser()), told)
    _write(made, out)
    print_lines(report.lines(made))


def _write(made: "Certificate", out: str) -> None:
    from chapelle import files
    from chapelle.report import erasure as report

    folder = Path(out).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in report.files(made):
        files.write(folder / name, data)
        print(folder / name, file=sys.stderr)
