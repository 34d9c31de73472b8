"""The tasks `rebuild` and `retire`: servers whose disks are written anew, or erased for good."""

import msgspec

from chapelle.errors import ExitCode, InputError
from chapelle.run.engine import DEFAULT_MAX_FAILED
from chapelle.settings import Settings
from chapelle.tasks._command import command
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.provision import carry_out, order_of

_HELP = {
    "limit": "servers by name, with commas; no patterns",
    "active": "also servers that are in service (status active)",
    "dry-run": "change nothing anywhere: show the plan",
    "yes": "do not ask before servers of the site are touched",
    "resume": "go on with the run of this id, wherever each server is by now",
    "json": "print events as JSON, one a line, and the result as the last",
}


@command(
    help={
        **_HELP,
        "max-failed": "servers that may fail before the run stops after a batch "
        f"(default {DEFAULT_MAX_FAILED}; a canary that fails always stops it)",
    }
)
def rebuild(
    _context: object,
    *,
    limit: str | None = None,
    active: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    resume: str | None = None,
    max_failed: str = str(DEFAULT_MAX_FAILED),
    json: bool = False,
) -> ExitCode:
    """Install a server again, as it was; its data disks are kept and mounted.

    1. The BMC shows that it is the machine that NetBox means; its firmware is set.
    2. It boots the installer from the network, inside a boot window of its own.
    3. Its system disks are written anew. A data disk that is not its own is a stop.
    4. The new system lets us in with a host key that we signed, and is configured and verified.

    NetBox has it as staged meanwhile, and as active when all is done. Exit codes: as provision.
    """
    order = order_of("rebuild", _scope(limit, resume), {"resume": resume}, max_failed)
    order = msgspec.structs.replace(order, active=active)
    return carry_out(Settings.load(), order, Terminal(json=json, yes=yes), dry_run=dry_run)


@command(help=_HELP)
def retire(
    _context: object,
    *,
    limit: str | None = None,
    active: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    resume: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Erase all disks of a server, certify it, and take the server out.

    1. The BMC shows that it is the machine that NetBox means.
    2. It boots from the network, inside a boot window of its own, and erases disk by disk, by the
       strongest way that each offers; what reading back shows is judged here.
    3. A certificate of each disk is filed with the run, as JSON and as PDF; what was kept of the
       host's passphrase and headers is destroyed.
    4. NetBox gets the levels and the certificates' hashes, and status decommissioning. A disk that
       has reached no level makes it failed.

    A disk whose purpose in NetBox is keep is a stop. Exit codes: as provision.
    """
    order = order_of("retire", _scope(limit, resume), {"resume": resume}, "0")
    order = msgspec.structs.replace(order, active=active)
    return carry_out(Settings.load(), order, Terminal(json=json, yes=yes), dry_run=dry_run)


def _scope(limit: str | None, resume: str | None) -> dict[str, str | None]:
    """The servers by name: a pattern is nobody's name here.

    Raises:
        InputError: no name was given, or a pattern.
    """
    if (limit is None and resume is None) or any(sign in (limit or "") for sign in "*?["):
        raise InputError(
            "Servers that lose what is on their disks are named one by one.",
            where="the command line",
            expected="--limit with names of servers, such as compute-a2-01",
            found=repr(limit or ""),
        )
    return {"limit": limit}
