"""Where the evidence of acceptances is kept: in the run's directory, for machines and for people.

Nothing removes it: it belongs to what both sides sign.
"""

from pathlib import Path

import msgspec

from chapelle import files
from chapelle.errors import ChapelleError
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
    files.write(folder / DOCUMENT, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return folder


def latest(settings: Settings, tenant: str) -> Acceptance | None:
    """The latest acceptance of the tenant with that slug; None before the first.

    Raises:
        ChapelleError: one that is there cannot be read.
    """
    for path in sorted((settings.state / "runs").glob(f"*/{DOCUMENT}"), reverse=True):
        made = _read(path)
        if made.tenant == tenant:
            return made
    return None


def _read(path: Path) -> Acceptance:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Acceptance)
    except (OSError, msgspec.DecodeError) as error:
        raise ChapelleError(
            "The evidence of an acceptance cannot be read.",
            where=str(path),
            expected="what tenant.accept wrote",
            found=str(error),
        ) from error
