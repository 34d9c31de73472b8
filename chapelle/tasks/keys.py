"""Tasks of keys: those that open the disks of servers."""

import sys

from chapelle.errors import ExitCode
from chapelle.settings import Settings
from chapelle.tasks._command import command, confirm
from chapelle.tasks.provision import SCOPE_HELP


@command(help={**SCOPE_HELP, "yes": "do not ask before servers of the site are touched"})
def rotate(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    yes: bool = False,
) -> ExitCode:
    """Give the disks of servers in service new keys, without a restart.

    The recovery passphrase is replaced, and the root is bound anew to the Tang servers (by their
    keys as they are now) and the TPM. Every new key has opened its disk before an old one goes.
    Stopped anywhere, the same command goes on. Exit codes: 0 done, 2 bad input, 4 locked, 5 some
    servers failed; their old keys are kept.
    """
    from chapelle.plan import scope as scopes
    from chapelle.run.deploy import rotate as running

    settings = Settings.load()
    scope = scopes.parse(aisle=aisle, rack=rack, limit=limit)
    if settings.target != "lab" and not yes:
        confirm(f"Replace the keys of the disks of servers of the site, {scope}?")
    found = running.rotate(settings, scope, _say)
    for name, why in found.failed.items():
        print(f"{name}: failed: {why}")
    print(f"{len(found.done)} servers have new keys, {len(found.failed)} failed")
    return ExitCode.HOSTS_FAILED if found.failed else ExitCode.OK


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
