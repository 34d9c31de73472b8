"""Tasks of bmc: servers as their BMCs see and switch them."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chapelle.errors import ExitCode, InputError
from chapelle.settings import Settings
from chapelle.tasks._command import command, confirm
from chapelle.tasks.provision import SCOPE_HELP
from chapelle.tasks.snapshot import print_json

if TYPE_CHECKING:
    from chapelle.run.bmc import Outcome, Stand

_JSON = {"json": "print the result as one JSON document"}
_CHANGING_FEW = {"yes": "do not ask before servers of the site are touched"}
_CHANGING = {
    "active": "also servers that are in service (status active)",
    **_CHANGING_FEW,
    "dry-run": "change nothing anywhere: show what would be done",
}


@command(help={**SCOPE_HELP, **_JSON})
def check(
    _context: object,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Ask BMCs whether servers are the machines that NetBox means, set as they should be.

    Serial number, model, MAC addresses of ports, disks by serial number and size; and the settings
    of the firmware that inventory/hardware-quirks.yml wants. Changes nothing. Exit codes: 0 all as
    it should be, 99 findings, 5 some BMCs could not be asked.
    """
    from chapelle.report import bmc as report
    from chapelle.run import bmc as running

    where = _stand(aisle, rack, limit)
    found = running.check(where, _progress())
    if json:
        print_json(report.document("bmc.check", where.snapshot, found.done, found.failed))
    else:
        report.print_check(found.done, found.failed, where.netbox_url)
    return _code(found, any(found.done.values()))


@command(
    help={
        **SCOPE_HELP,
        "write": "keep it in NetBox, in custom field chapelle_facts",
        **_JSON,
    }
)
def inventory(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    write: bool = False,
    json: bool = False,
) -> ExitCode:
    """Show what servers are made of, by their BMCs: processors, memory, disks, ports, firmware.

    With --write it is kept in NetBox; of a machine that is another than NetBox means nothing is
    kept, and it counts as failed. Exit codes: 0 done, 5 some BMCs could not be asked.
    """
    from chapelle.report import bmc as report
    from chapelle.run import bmc as running

    where = _stand(aisle, rack, limit)
    found = running.inventory(where, _progress())
    failed = found.failed
    if write:
        failed += running.keep(Settings.load(), where, found.done)
    if json:
        print_json(report.document("bmc.inventory", where.snapshot, found.done, failed))
    else:
        report.print_inventory(found.done, failed)
    return ExitCode.HOSTS_FAILED if failed else ExitCode.OK


@command(
    help={
        **SCOPE_HELP,
        "apply": "set them, restart the servers, and read them back",
        **_CHANGING,
        **_JSON,
    }
)
def settings(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    apply: bool = False,
    active: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> ExitCode:
    """Show which settings of firmware differ from what is wanted; with --apply, set them.

    What is wanted of each model is in inventory/hardware-quirks.yml. A server with nothing to set
    is not touched. The others are switched off and on, and what does not read back as it was set
    is a failure that names both values; a server that was off is off again afterwards. The aisles
    are locked meanwhile, and NetBox gets a journal entry of each server that was set.
    Exit codes: 0 done or nothing to do, 99 settings differ (without --apply), 3 refused, 4 locked,
    5 some BMCs failed.
    """
    from chapelle.report import bmc as report
    from chapelle.run import bmc
    from chapelle.run import bmc_change as running

    where = _stand(aisle, rack, limit)
    found = running.differences(where, _progress())
    done = False
    if apply and not dry_run and any(found.done.values()):
        loaded = Settings.load()
        hosts = [name for name, changes in found.done.items() if changes]
        chosen = bmc.narrowed(where, hosts)
        running.require_out_of_service(chosen, active=active)
        _confirm(chosen, "restarted, with other settings of their firmware", yes=yes)
        with running.held(loaded, chosen, "bmc.settings", _say):
            set_now = running.settle(chosen, _progress())
            texts = {
                name: "firmware: " + ", ".join(f"{c.setting} {c.wanted}" for c in changes)
                for name, changes in set_now.done.items()
                if changes
            }
            running.note(loaded, chosen, texts, _say)
        rest = {name: changes for name, changes in found.done.items() if not changes}
        found, done = bmc.joined(rest, set_now, found.failed), True
    if json:
        print_json(report.document("bmc.settings", where.snapshot, found.done, found.failed))
    else:
        report.print_settings(found.done, found.failed, done=done)
    return _code(found, not done and any(found.done.values()))


@command(
    help={
        **SCOPE_HELP,
        "action": "on, off (at once), graceful (asks the operating system), cycle, or status",
        **_CHANGING,
        **_JSON,
    }
)
def power(
    _context: object,
    *,
    action: str = "status",
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    active: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> ExitCode:
    """Show whether servers are on, or switch them, each once it has proved to be the one meant.

    The state is read before and after; nothing is sent to a server that is as it should be. The
    aisles are locked meanwhile, and NetBox gets a journal entry of each server that was switched.
    Exit codes: 0 done, 2 bad input, 3 refused, 4 locked, 5 some BMCs failed.
    """
    from chapelle.report import bmc as report
    from chapelle.run import bmc_change as running

    wanted = next((known for known in running.ACTIONS if known == action), None)
    if wanted is None:
        raise InputError(
            "There is no such action.",
            where="--action",
            expected=f"one of {', '.join(running.ACTIONS)}",
            found=repr(action),
        )
    where = _stand(aisle, rack, limit)
    if wanted == "status" or dry_run:
        found = running.power(where, "status", _progress())
    else:
        loaded = Settings.load()
        running.require_out_of_service(where, active=active)
        _confirm(where, f"switched: {wanted}", yes=yes)
        with running.held(loaded, where, f"bmc.power {wanted}", _say):
            found = running.power(where, wanted, _progress())
            texts = {name: f"power {wanted}" for name, (_, did) in found.done.items() if did}
            running.note(loaded, where, texts, _say)
    if json:
        print_json(report.document("bmc.power", where.snapshot, found.done, found.failed))
    else:
        report.print_power(found.done, found.failed)
    return _code(found, False)


@command(
    help={
        **SCOPE_HELP,
        "rotate": "give each BMC another password",
        **_CHANGING_FEW,
        **_JSON,
    }
)
def accounts(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    rotate: bool = False,
    yes: bool = False,
    json: bool = False,
) -> ExitCode:
    """Say whether our logins to BMCs work; with --rotate, give each BMC another password.

    The new passwords are written to the file of logins before any BMC has one, and each is proved
    by logging in with it. When it was killed, the same command again does what is left.
    Exit codes: 0 done, 3 refused, 4 locked, 5 some BMCs failed.
    """
    from chapelle.report import bmc as report
    from chapelle.run import bmc
    from chapelle.run import bmc_change as running

    where = _stand(aisle, rack, limit)
    if rotate:
        _confirm(where, "given another password of their BMC", yes=yes)
        with running.held(Settings.load(), where, "bmc.accounts", _say):
            found = running.rotate(Settings.load(), where, _progress(), _say)
    else:
        found = bmc.each(where, lambda _session: False, _progress())
    if json:
        print_json(report.document("bmc.accounts", where.snapshot, found.done, found.failed))
    else:
        report.print_accounts(found.done, found.failed)
    return _code(found, False)


@command(
    help={
        **SCOPE_HELP,
        "days": "how long a certificate must hold at least",
        "renew": "give those with findings another key and certificate",
        "fingerprints": "YAML file: SHA-256 of certificates that are known from elsewhere",
        **_CHANGING_FEW,
        "dry-run": _CHANGING["dry-run"],
        **_JSON,
    }
)
def certificate(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    limit: str | None = None,
    days: int = 30,
    renew: bool = False,
    fingerprints: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> ExitCode:
    """Show the certificates of BMCs: whose, by whom, how long; with --renew, replace them.

    A finding is a certificate that is missing, not of the authority that we trust, not for the
    BMC's name or address, or that ends in less than --days. With --renew each BMC with a
    finding makes a key of its own, which never leaves it, and a request, which the site's authority
    (CHAPELLE_BMC_SIGNER) signs. It is proved by connecting anew and logging in. A BMC with a
    certificate of somebody else's is logged in to only if --fingerprints says which one it has.
    Servers are not restarted. The aisles are locked meanwhile, and NetBox gets a journal entry of
    each server whose BMC was given one.
    Exit codes: 0 all as it should be, or renewed, 99 findings (without --renew), 3 refused,
    4 locked, 5 some BMCs failed.
    """
    from pathlib import Path

    from chapelle.report import bmc as report
    from chapelle.run import bmc, bmc_change
    from chapelle.run import bmc_certificate as running

    loaded = Settings.load()
    where = _stand(aisle, rack, limit)
    if fingerprints:
        where = running.pinned(where, Path(fingerprints))
    authority = running.signer(loaded) if renew else None
    found = running.look(where, _progress())
    wrong = running.findings(where, found.done, days)
    hosts = [name for name, each in wrong.items() if each]
    renewed = 0
    if authority and hosts and not dry_run:
        chosen = bmc.narrowed(where, hosts)
        _confirm(chosen, "given another certificate of their BMC", yes=yes)
        with bmc_change.held(loaded, chosen, "bmc.certificate", _say):
            new = running.renew(chosen, authority, _progress())
            texts = {n: f"certificate of its BMC, until {c.ends:%F}" for n, c in new.done.items()}
            bmc_change.note(loaded, chosen, texts, _say)
        wrong = {name: each for name, each in wrong.items() if name not in new.done}
        rest = {name: each for name, each in found.done.items() if name not in hosts}
        found, renewed = bmc.joined(rest, new, found.failed), len(new.done)
    if json:
        shown = {
            name: {"certificate": each, "findings": wrong.get(name, ())}
            for name, each in found.done.items()
        }
        print_json(report.document("bmc.certificate", where.snapshot, shown, found.failed))
    else:
        report.print_certificates(found.done, wrong, found.failed, where.netbox_url, renewed)
    return _code(found, any(wrong.values()))


def _stand(aisle: str | None, rack: str | None, limit: str | None) -> "Stand":
    from chapelle.plan import scope as scopes
    from chapelle.run import bmc as running

    scope = scopes.parse(aisle=aisle, rack=rack, limit=limit)
    return running.stand(Settings.load(), scope, _say)


def _confirm(where: "Stand", what: str, *, yes: bool) -> None:
    """Ask before servers of the site are touched; the lab's are nobody's."""
    from chapelle.report.text import host_names

    if yes or Settings.load().target == "lab":
        return
    names = list(where.devices)
    _say(f"{len(names)} servers of the site will be {what}:")
    _say(f"  {host_names(names, len(names))}")
    confirm("Go on?")


def _code(found: "Outcome[Any]", findings: bool) -> ExitCode:
    """Whose BMC could not be asked weighs more than what was found on others."""
    if found.failed:
        return ExitCode.HOSTS_FAILED
    return ExitCode.FINDINGS if findings else ExitCode.OK


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress() -> Callable[[int, int], None]:
    """A line for each quarter, where there are many."""
    shown = 0

    def line(done: int, total: int) -> None:
        nonlocal shown
        if total >= 20 and 4 * done // total > shown:
            shown = 4 * done // total
            _say(f"{done} of {total} BMCs")

    return line
