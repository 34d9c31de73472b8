"""What changes servers by their BMCs: settings of firmware, power, the passwords of BMCs.

A server that is not the machine that NetBox means is not touched.
"""

import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

import msgspec

from chapelle import files
from chapelle.checks import hardware as gate
from chapelle.drivers.bmc import credentials
from chapelle.drivers.bmc.accounts import change_password
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import (
    Login,
    StrangerError,
    Target,
    UnreachableError,
    UnsettledError,
)
from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.status import IN_SERVICE
from chapelle.netbox import lock
from chapelle.netbox.writeback import Writer
from chapelle.run.bmc import Outcome, Progress, Say, Stand, Value, each, spread, trust, with_next
from chapelle.run.filing import new_id
from chapelle.run.writing import WRITERS
from chapelle.settings import Settings

Action = Literal["on", "off", "graceful", "cycle", "status"]
ACTIONS: tuple[Action, ...] = ("on", "off", "graceful", "cycle", "status")

# Bytes of chance: twenty characters, which is what the older of BMCs take (IPMI 2.0, 22.30).
PASSWORD_BYTES = 15


def require_out_of_service(where: Stand, *, active: bool) -> None:
    """Make sure that no server that is in service is touched, unless that was asked for.

    Raises:
        RefusedError: there are some; they are named.
    """
    names = [name for name, device in where.devices.items() if device.status in IN_SERVICE]
    if names and not active:
        raise RefusedError(
            "Servers in service would be switched off or restarted; nothing was done.",
            where=", ".join(names[:10]),
            expected="servers that are not active, or the argument --active",
            found=f"{len(names)} active",
            remedy="invoke reboot takes servers out of service before; --active does not ask them",
        )


@contextmanager
def held(settings: Settings, where: Stand, reason: str, say: Say) -> Iterator[None]:
    """Hold the locks of the servers' aisles.

    Raises:
        LockedError: somebody else is at work there.
    """
    numbers = {where.dc.aisle_number(device) for device in where.devices.values()}
    slugs = sorted(f"aisle-{number}" for number in numbers if number)
    with lock.hold(settings, slugs, run=new_id(), reason=reason, say=say):
        yield


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is not as it is wanted: its value now."""

    setting: str
    wanted: str
    found: Value


def differences(where: Stand, progress: Progress) -> Outcome[tuple[Change, ...]]:
    """Which settings of each server are not as its model wants them."""
    return each(where, _differences, progress)


def _differences(bmc: Bmc) -> tuple[Change, ...]:
    now = bmc.settings()
    wanted = bmc.target.model.wanted
    return tuple(
        Change(setting=name, wanted=word, found=now.get(name))
        for name, word in wanted.items()
        if now.get(name) != word
    )


def settle(where: Stand, progress: Progress) -> Outcome[tuple[Change, ...]]:
    """Bring the settings of servers to what is wanted, and prove it by reading them.

    Each is judged first: a machine that is another than NetBox means is not touched. One with
    nothing to change is not restarted.
    """

    def work(bmc: Bmc) -> tuple[Change, ...]:
        require_meant(where, bmc)
        changes = _differences(bmc)
        if not changes:
            return ()
        wanted = {change.setting: change.wanted for change in changes}
        bmc.set(wanted)
        now = bmc.settle(wanted)
        wrong = {name: now.get(name) for name, word in wanted.items() if now.get(name) != word}
        if wrong:
            raise UnsettledError(
                f"Settings of {bmc.target.host} did not take",
                expected=", ".join(f"{name} {wanted[name]}" for name in wrong),
                found=", ".join(f"{name} {value}" for name, value in wrong.items()),
            )
        return changes

    return each(where, work, progress)


def require_meant(where: Stand, bmc: Bmc) -> None:
    """Make sure that a server is the machine that NetBox means.

    Raises:
        RefusedError: it is not; expected and found are said.
    """
    host = bmc.target.host
    found = gate.judge(where.dc, where.devices[host], bmc.hardware(), bmc.target.model)
    if found:
        raise RefusedError(
            f"{host} is not the machine that NetBox means, and was not touched",
            expected=found[0].expected,
            found=found[0].found,
        )


def power(where: Stand, action: Action, progress: Progress) -> Outcome[tuple[str, bool]]:
    """Switch each server, once it has proved to be the one that is meant.

    Returns:
        Of each its power now, and whether that was changed.
    """

    def work(bmc: Bmc) -> tuple[str, bool]:
        if action == "status":
            return bmc.power(), False
        require_meant(where, bmc)
        if action == "cycle":
            bmc.cycle()
            return "on", True
        wanted: Literal["on", "off"] = "on" if action == "on" else "off"
        return wanted, bmc.switch(wanted, graceful=action == "graceful")

    return each(where, work, progress)


def note(settings: Settings, where: Stand, texts: Mapping[str, str], say: Say) -> None:
    """Write a journal entry in NetBox about each of these servers; who cannot be told is said."""
    writer = Writer(settings, patience=settings.netbox_patience)

    def write(name: str) -> None:
        try:
            writer.journal(where.devices[name].id, f"chapelle: {texts[name]}", "info")
        except ChapelleError as error:
            say(f"NetBox was not told of {name}: {error.message}")

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, texts))


# -- passwords ------------------------------------------------------------------------------------


def rotate(settings: Settings, where: Stand, progress: Progress, say: Say) -> Outcome[bool]:
    """Give each BMC another password of chance, and keep it in the file of logins.

    The new password is in the file before any BMC has it, beside the old one. So whatever is killed
    in between, the file has the one that holds, and the same command again finds out which it is.

    Raises:
        RefusedError: the file is not private.
        InputError: the file is wrong.
    """
    _, path = trust(settings)
    busy = "another process changes the passwords of BMCs"
    with files.locked(path.with_name(f"{path.name}.lock"), lambda: say(busy)):
        known = credentials.read(path)
        logins = {host: _with_chance(known.of(host)) for host in where.targets}
        credentials.write(path, _with(known, logins))

        def visit(target: Target) -> bool:
            return _rotate(where, msgspec.structs.replace(target, login=logins[target.host]))

        outcome = spread(where, visit, progress)
        held = {host: _settled(logins[host]) for host in outcome.done}
        credentials.write(path, _with(credentials.read(path), held))
    return outcome


def _with_chance(login: Login) -> Login:
    """A login with the password to come; one that was to come already may be there, and stays."""
    if login.next is not None:
        return login
    return msgspec.structs.replace(login, next=secrets.token_urlsafe(PASSWORD_BYTES))


def _settled(login: Login) -> Login:
    return Login(user=login.user, password=login.next or login.password)


def _with(known: credentials.Credentials, logins: Mapping[str, Login]) -> credentials.Credentials:
    return msgspec.structs.replace(known, hosts={**known.hosts, **logins})


def _rotate(where: Stand, target: Target) -> bool:
    """Change one password. A refusal of the old one, or no answer, may mean that it is done."""
    doubt: ChapelleError | None = None
    try:
        with Bmc(target) as bmc:
            require_meant(where, bmc)
            change_password(bmc, target.login.next or "")
    except (StrangerError, UnreachableError) as error:
        doubt = error
    try:
        with Bmc(with_next(target)):
            return True
    except StrangerError as error:
        raise doubt or UnsettledError(
            f"The BMC of {target.host} took another password, and does not know it",
            expected="that we can log in with it",
            found="our login is refused",
        ) from error
