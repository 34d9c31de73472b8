"""The tasks `reboot` and `patch`."""

from chapelle.errors import ExitCode
from chapelle.run.engine import DEFAULT_MAX_FAILED
from chapelle.settings import Settings
from chapelle.tasks._command import command
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.provision import SCOPE_HELP, carry_out, order_of

_HELP = {
    **SCOPE_HELP,
    "dry-run": "change nothing anywhere: show the plan and what servers that answer would get",
    "yes": "do not ask before servers of the site are touched",
    "resume": "go on with the run of this id; a server that has restarted is not restarted again",
    "max-failed": "servers that may fail before the run stops after a batch "
    f"(default {DEFAULT_MAX_FAILED}, with --resume too; a canary that fails always stops it)",
    "json": "print events as JSON, one a line, and the result as the last",
}


@command(help=_HELP)
def reboot(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
    resume: str | None = None,
    max_failed: str = str(DEFAULT_MAX_FAILED),
    json: bool = False,
) -> ExitCode:
    """Restart servers that are in service, a few at a time, and prove each.

    How many of a role at one time, and how long things may take, is said by inventory/rolling.yml.
    Only servers with status active are touched. For each:

    1. preflight: it answers, and is the machine that NetBox means.
    2. drain: the hooks in /etc/chapelle/drain.d are run; one that fails stops that server here.
    3. reboot: until it answers from another boot.
    4. verify: it is what NetBox says.
    5. restore: the hooks are run again, with the word restore.
    6. write-back: a journal entry in NetBox; one that did not come back becomes failed.

    The run stops as that of provision does, and when a server that did not come back leaves no room
    for the next one. Exit codes: 0 done, 1 stopped or the program failed, 2 bad input, 3 refused,
    4 locked by somebody else, 5 some servers failed.
    """
    scope = {"aisle": aisle, "rack": rack, "limit": limit}
    order = order_of("reboot", scope, {"resume": resume}, max_failed)
    return carry_out(Settings.load(), order, Terminal(json=json, yes=yes), dry_run=dry_run)


@command(help=_HELP)
def patch(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    dry_run: bool = False,
    yes: bool = False,
    resume: str | None = None,
    max_failed: str = str(DEFAULT_MAX_FAILED),
    json: bool = False,
) -> ExitCode:
    """Upgrade the packages of servers that are in service, and restart those that need it.

    As `invoke reboot`, with a step `patch` after drain: apt-get upgrade, configuration files stay
    as they are. A server is restarted only if a package asks for it (/run/reboot-required), and
    drained only if there is something to do. --dry-run lists what would be upgraded, by the package
    lists that the server has.
    """
    scope = {"aisle": aisle, "rack": rack, "limit": limit}
    order = order_of("patch", scope, {"resume": resume}, max_failed)
    return carry_out(Settings.load(), order, Terminal(json=json, yes=yes), dry_run=dry_run)
