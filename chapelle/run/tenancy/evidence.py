"""Where the evidence of acceptances is kept: in the run's directory, for machines and for people.

Nothing removes it: it belongs to what both sides sign.
"""

from pathlib import Path
from typing import Any

import msgspec

from chapelle import files
from chapelle.model.acceptance import Acceptance
from chapelle.model.snapshot import Snapshot
from chapelle.report import acceptance as report
from chapelle.settings import Settings

DOCUMENT, TEXT, SNAPSHOT = "acceptance.json", "acceptance.txt", "snapshot.json"
HANDOVER = "handover.json"


def keep(settings: Settings, made: Acceptance, snapshot: Snapshot) -> Path:
    """Write down an acceptance and what it was judged by; the directory.

    Raises:
        ChapelleError: it cannot be written.
    """
    runs = settings.state / "runs"
    folder = runs / made.run
    for directory in (runs, folder):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write(folder / SNAPSHOT, snapshot.data)
    files.write(folder / TEXT, "".join(f"{line}\n" for line in report.lines(made)).encode())
    files.write(folder / HANDOVER, _json(report.for_handover(made)))
    files.write(folder / DOCUMENT, _json(made))
    return folder


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"
