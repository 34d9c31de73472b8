"""Where the evidence of acceptances is kept: in the run's directory, for machines and for people.

Nothing removes it: it belongs to what both sides sign.
"""

from pathlib import Path
from typing import Any

import msgspec

from chapelle import files
from chapelle.errors import InputError
from chapelle.model.acceptance import Acceptance
from chapelle.model.snapshot import Snapshot
from chapelle.report import acceptance as report
from chapelle.settings import Settings

DOCUMENT, TEXT, SNAPSHOT = "acceptance.json", "acceptance.txt", "snapshot.json"


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
    files.write(folder / DOCUMENT, _json(made))
    return folder


def latest(settings: Settings, tenant: str) -> Acceptance | None:
    """The latest acceptance of a tenant (slug) on this machine; None where there was none.

    Raises:
        InputError: what was kept of one cannot be read.
    """
    kept = sorted((settings.state / "runs").glob(f"*/{DOCUMENT}"), reverse=True)
    return next((made for path in kept if (made := read(path)).tenant == tenant), None)


def read(path: Path) -> Acceptance:
    """What `tenant.accept` kept.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Acceptance)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(
            "The acceptance cannot be read.",
            where=str(path),
            expected="the file acceptance.json of a run of tenant.accept",
            found=str(error),
        ) from error


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"
