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
    *,
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


@command(
    help={
        "name": _NAME,
        "out": "write the files into this directory (default: in the state directory)",
        "language": "fr, en or both",
        "on": "the day of the file, such as 2026-12-01 (default: today)",
        "acceptance": "acceptance.json of a run of tenant.accept (default: of the latest one here)",
        "snapshot": _SNAPSHOT,
    }
)
def handover(
    _context: object,
    *,
    name: str,
    out: str | None = None,
    language: str = "both",
    on: str | None = None,
    acceptance: str | None = None,
    snapshot: str | None = None,
) -> None:
    """Write the file that a tenant and the operator sign: HTML and PDF, in French and English.

    Racks with elevations, power, ports with patching and labels, addresses, what has to be set for
    LACP or BGP, contacts, rules of the house (inventory/tenant-rules.yml), evidence of the latest
    acceptance, and room for signatures. Nothing of a neighbour: refused (3) when a name in it tells
    of one.
    """
    from pathlib import Path

    from chapelle import files
    from chapelle.checks.tenancy.view import view
    from chapelle.model.datacentre import Datacentre
    from chapelle.report import handover as report
    from chapelle.report import handover_words
    from chapelle.run.tenancy import evidence
    from chapelle.settings import Settings

    settings = Settings.load()
    languages = handover_words.languages(language)
    rules = handover_words.rules(settings.root / "inventory" / "tenant-rules.yml")
    day = report.day(on)
    given = evidence.read(Path(acceptance).expanduser()) if acceptance else None
    taken, _ = read_or_take(snapshot)
    shown = view(Datacentre(taken), name, given or evidence.latest(settings, name))
    folder = Path(out).expanduser() if out else settings.state / f"handover-{shown.slug}"
    written = list(report.files(shown, languages, rules, day))
    files.directory(folder)
    for file_name, content in written:
        files.write(folder / file_name, content)
        print_lines([str(folder / file_name)])


@command(help={"name": _NAME, "json": "print the bodies for NetBox's API, /api/users/permissions/"})
def permissions(_context: object, *, name: str, json: bool = False) -> None:
    """What to grant a tenant's own read-only user in NetBox; nothing is entered.

    Nothing that has a cable: NetBox would show whose equipment is at the other end. What the
    tenant needs of that is in `tenant.export`.
    """
    from chapelle.netbox import tenant_permissions

    found = tenant_permissions.permissions(name)
    if json:
        print_json(found)
    else:
        print_lines(line for each in found for line in tenant_permissions.lines(each))
