"""Tasks of a tenant's own view: what it is given to read, and the file that both sides sign."""

from chapelle.tasks._command import command
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take

_NAME = "the tenant's slug in NetBox"
_SNAPSHOT = "read this snapshot file; by default a new one is taken"


@command(
    help={
        "name": _NAME,
        "out": "write JSON and CSV files into this directory",
        "json": "print all of it as one JSON document",
        "snapshot": _SNAPSHOT,
    }
)
def export(
    _context: object,
    name: str,
    out: str | None = None,
    json: bool = False,
    snapshot: str | None = None,
) -> None:
    """What a tenant may know of its racks, power, ports and networks, and nothing of a neighbour.

    Refused (3) when a label or a name in it tells of another tenant.
    """
    from pathlib import Path

    from chapelle import files
    from chapelle.checks.tenancy.view import view
    from chapelle.model.datacentre import Datacentre
    from chapelle.report import tenant_export

    taken, _ = read_or_take(snapshot)
    shown = view(Datacentre(taken), name)
    if out is not None:
        folder = files.directory(Path(out).expanduser())
        for file_name, content in tenant_export.files(shown):
            files.write(folder / file_name, content)
            if not json:
                print_lines([str(folder / file_name)])
    if json:
        print_json(shown)
    elif out is None:
        print_lines(tenant_export.lines(shown))
