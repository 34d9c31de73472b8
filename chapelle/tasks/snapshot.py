"""Tasks of snapshot: take NetBox's content, look at it, compare two."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chapelle.errors import ExitCode
from chapelle.model.snapshot import Snapshot
from chapelle.settings import Settings
from chapelle.tasks._command import command

# The modules that do the work are imported by the tasks that need them: each costs a tenth of a
# second or more, and every invoke command reads this file.


@command(
    help={
        "out": "Write the snapshot to this file, too.",
        "full": "Read everything, even what NetBox's change log says did not change.",
    }
)
def take(_context: object, out: str | None = None, full: bool = False) -> None:
    """Read NetBox and keep the snapshot as the latest one."""
    from chapelle import files
    from chapelle.netbox import snapshot

    taken = snapshot.take(Settings.load(), _progress, full=full)
    if out:
        files.write(Path(out), taken.snapshot.data)
    print_lines([f"snapshot {taken.snapshot.hash}", f"of {taken.meta.netbox_url}"])


@command(
    help={"file": "A snapshot file.", "json": "Print the content as JSON, as the file has it."}
)
def show(_context: object, file: str, json: bool = False) -> None:
    """What is in a snapshot file: its hash, its aisles, how many objects of each kind."""
    from chapelle.report import content

    snapshot = Snapshot.read(Path(file))
    if json:
        sys.stdout.write(snapshot.data.decode() + "\n")
    else:
        print_lines(content.snapshot_lines(snapshot))


@command(
    help={
        "before": "A snapshot file.",
        "after": "The snapshot file to compare it with.",
        "json": "Print the differences as one JSON document.",
    }
)
def diff(_context: object, before: str, after: str, json: bool = False) -> ExitCode:
    """What differs between two snapshot files, field by field: exit code 99 if anything does."""
    from chapelle.model.diff import diff as compare
    from chapelle.report import content

    left, right = Snapshot.read(Path(before)), Snapshot.read(Path(after))
    changes = compare(left.content, right.content)
    if json:
        print_json({"before": left.hash, "after": right.hash, "changes": changes})
    else:
        print_lines(content.diff_lines(changes))
    return ExitCode.FINDINGS if changes else ExitCode.OK


def read_or_take(path: str | None) -> tuple[Snapshot, str]:
    """The snapshot in that file, or a new one; and the address of the NetBox that it shows.

    A file says nothing of its NetBox, so that the address is the one in use, or empty.
    """
    from chapelle.netbox import snapshot

    settings = Settings.load()
    if path is None:
        taken = snapshot.take(settings, _progress)
        return taken.snapshot, taken.meta.netbox_url
    latest = snapshot.latest(settings)
    return Snapshot.read(Path(path)), latest.meta.netbox_url if latest else ""


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines on standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_json(document: Any) -> None:
    """Print one JSON document on standard output, indented."""
    import msgspec

    data = msgspec.json.encode(document, order="deterministic")
    sys.stdout.write(msgspec.json.format(data, indent=2).decode() + "\n")
