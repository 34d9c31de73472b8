"""The task `check`: judge what NetBox says."""

from chapelle.errors import ExitCode
from chapelle.tasks._command import command
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take


@command(
    help={
        "snapshot": "Judge this snapshot file; by default a new one is taken.",
        "json": "Print the findings as one JSON document.",
    }
)
def check(_context: object, snapshot: str | None = None, json: bool = False) -> ExitCode:
    """Judge what NetBox says: exit code 0 when nothing is found, 99 on any finding.

    Dangling references, double names, serial numbers, MAC addresses or addresses, devices without
    a rack, unknown roles or platforms, cables to nowhere, servers that cannot be reached, and so
    on. A finding names its objects, what was expected and found, and what to do.
    """
    from chapelle.checks import netbox
    from chapelle.model.datacentre import Datacentre
    from chapelle.report import content

    judged, base = read_or_take(snapshot)
    findings = netbox.check(Datacentre(judged))
    if json:
        print_json(content.findings_document(findings, judged.hash, base))
    else:
        print_lines(content.finding_lines(findings, base))
    return ExitCode.FINDINGS if findings else ExitCode.OK
