"""The task `tenant.isolation`: a proof that nobody reaches anybody."""

from chapelle.errors import ExitCode, InputError
from chapelle.tasks._command import command
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take


@command(
    help={
        "live": "Also read what switches run, foreign lines and the kernel's routes included.",
        "aisle": "With --live: only switches of aisles by number, such as 2 or 1,2.",
        "limit": "With --live: only switches by name or pattern, such as leaf-a2-ta,border-*.",
        "forks": "With --live: switches at a time (default 4, 8 for each core at most).",
        "snapshot": "Judge this snapshot file; by default a new one is taken.",
        "json": "Print the proof as one JSON document.",
    }
)
def isolation(
    _context: object,
    *,
    live: bool = False,
    aisle: str | None = None,
    limit: str | None = None,
    forks: int | None = None,
    snapshot: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Prove that no tenant, the operator and management reach each other, in any direction.

    VLANs, VNIs, route targets, VRFs, prefixes, addresses, cables, cross-connects, out-of-band
    ports, racks and reserved units. A leak names the whole way and the one thing to change; what is
    shared and may be is listed with its reason. Nothing is changed, on switches neither.

    Exit codes: 0 no leak, 99 leaks, 5 with --live: switches that could not be read.
    """
    from chapelle.model.datacentre import Datacentre
    from chapelle.plan import scope as scopes
    from chapelle.report import isolation as report
    from chapelle.run.fabric import looking
    from chapelle.run.tenancy import isolation as proving
    from chapelle.settings import Settings

    given = [name for name, value in (("--aisle", aisle), ("--limit", limit)) if value is not None]
    if given and not live:
        raise InputError(
            "Only what switches run can be asked of some of them.",
            where="the command line",
            expected=f"{' or '.join(given)} with --live",
            found=f"{' and '.join(given)} alone",
            remedy="leave it out: what NetBox says is judged as a whole",
        )
    scope = scopes.parse(aisle=aisle, limit=limit) if given else scopes.parse(aisle=scopes.ALL)
    judged, base = read_or_take(snapshot)
    dc = Datacentre(judged)
    if live:
        say = Terminal(json=json).say
        found = proving.live(Settings.load(), dc, scope, say, looking.forks_of(forks))
    else:
        found = proving.from_intent(dc)
    if json:
        print_json(report.document(found.proofs, found.not_exercised, judged.hash, base))
    else:
        print_lines(report.lines(found.proofs, found.leaks, found.not_exercised, base))
    return found.exit_code
