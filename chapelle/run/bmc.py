"""What is done to the BMCs of many servers at once: looked at, set, switched.

A server whose BMC fails is told with the others; it keeps none of them from being done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from chapelle.checks import hardware as gate
from chapelle.drivers.bmc import credentials, quirks
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import Target, UnsettledError
from chapelle.errors import ChapelleError, InputError, RefusedError
from chapelle.lab import bmc as fleets
from chapelle.lab import ca
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.hardware import QUIRKS, Hardware, Quirks
from chapelle.model.status import IN_SERVICE
from chapelle.netbox import lock
from chapelle.netbox.writeback import Writer
from chapelle.plan.scope import Scope, select
from chapelle.run import prepare
from chapelle.run.filing import new_id
from chapelle.run.writing import WRITERS
from chapelle.settings import Settings

type Say = Callable[[str], None]
type Progress = Callable[[int, int], None]
type Value = str | bool | int | None
Action = Literal["on", "off", "graceful", "cycle", "status"]
ACTIONS: tuple[Action, ...] = ("on", "off", "graceful", "cycle", "status")

# BMCs spoken with at one time. Each takes its time to answer, and nothing of ours meanwhile.
AT_ONCE = 32


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A BMC that did not do what was asked, and why."""

    host: str
    message: str


class Outcome[T](msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: by server, in the order of names, and who failed."""

    done: dict[str, T]
    failed: tuple[Failure, ...]


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """What commands about BMCs stand on: servers of a scope, and how their BMCs are reached.

    `unfit` are servers whose BMC cannot be reached, for NetBox does not say where it is.
    """

    dc: Datacentre
    devices: dict[str, r.Device]
    targets: dict[str, Target]
    unfit: tuple[Failure, ...]
    snapshot: str
    netbox_url: str


def stand(settings: Settings, scope: Scope, say: Say, statuses: Sequence[str] = ()) -> Stand:
    """Find the BMCs of a scope; with target lab, see that they are up.

    Arguments:
        settings: this installation.
        scope: which servers.
        say: told of what is done.
        statuses: those that a server must have; any from which a run may start, if empty.

    Raises:
        InputError: the scope, the quirks, the logins or NetBox's content are wrong.
        RefusedError: the logins are not private; or the lab needs root.
    """
    known = quirks.read(settings.root / QUIRKS)
    scene = prepare.scene(settings, say)
    selection = select(scene.dc, scope, statuses) if statuses else select(scene.dc, scope)
    for device in selection.left_out:
        say(f"{device.name} is left out: its status is {device.status}")
    devices = {device.name or "": device for device in selection.devices}
    placed = {name: device for name, device in devices.items() if device.oob_ip}
    if settings.target == "lab":
        fleets.up(settings, scene.dc, placed, say)
    return Stand(
        dc=scene.dc,
        devices=devices,
        targets=_targets(settings, scene.dc, placed, known),
        unfit=tuple(
            Failure(host=name, message="NetBox has no out-of-band address (oob_ip) of it")
            for name in devices.keys() - placed.keys()
        ),
        snapshot=scene.dc.snapshot.hash,
        netbox_url=scene.netbox_url,
    )


def _targets(
    settings: Settings, dc: Datacentre, devices: Mapping[str, r.Device], known: Quirks
) -> dict[str, Target]:
    authority, logins = _trust(settings)
    who = credentials.read(logins)
    in_lab = settings.target == "lab"
    namespace = str(ca.namespace_path(settings)) if in_lab else ""
    found = {}
    for name, device in devices.items():
        kind = dc.device_types[device.device_type]
        model = known.of(dc.manufacturers[kind.manufacturer].name, kind.model)
        address = dc.ip_addresses[device.oob_ip or 0]
        found[name] = Target(
            host=name,
            address=address.address.partition("/")[0],
            name="" if in_lab else address.dns_name,
            login=who.of(name),
            authority=str(authority),
            family=known.family(model),
            model=model,
            namespace=namespace,
        )
    return found


def _trust(settings: Settings) -> tuple[Path, Path]:
    """The files of who signs BMCs' certificates, and of who logs in.

    Raises:
        InputError: nobody said which.
    """
    if settings.target == "lab":
        return fleets.authority(settings), fleets.credentials(settings)
    return (
        _given("CHAPELLE_BMC_CA", settings.bmc_ca, "the PEM file of who signs BMCs' certificates"),
        _given("CHAPELLE_BMC_LOGINS", settings.bmc_logins, "the file of BMCs' logins"),
    )


def _given(name: str, path: Path | None, what: str) -> Path:
    if path is None or not path.is_file():
        raise InputError(
            "BMCs of the site cannot be trusted, or not be logged in to.",
            where=f"environment variable {name}",
            expected=what,
            found=str(path) if path else "not set",
            remedy="docs/bmc.md says what is in it",
        )
    return path


def narrowed(where: Stand, hosts: Sequence[str]) -> Stand:
    """Only these servers."""
    return msgspec.structs.replace(
        where,
        devices={name: where.devices[name] for name in hosts},
        targets={name: where.targets[name] for name in hosts},
        unfit=(),
    )


def joined[T](first: Mapping[str, T], then: Outcome[T], failed: Sequence[Failure]) -> Outcome[T]:
    """What came of two looks at different servers, and who failed in either."""
    return Outcome(
        done=dict(sorted({**first, **then.done}.items())),
        failed=tuple(sorted((*failed, *then.failed), key=lambda failure: failure.host)),
    )


def each[T](where: Stand, work: Callable[[Bmc], T], progress: Progress) -> Outcome[T]:
    """Do something with each BMC, many at one time.

    Arguments:
        where: the BMCs.
        work: what to do; what it returns is kept. A ChapelleError is the BMC's own failure.
        progress: told how many of how many are done.
    """
    done: dict[str, T] = {}
    failed = list(where.unfit)

    def visit(target: Target) -> T:
        with Bmc(target) as bmc:
            return work(bmc)

    with _pool(len(where.targets)) as pool:
        futures = {pool.submit(visit, target): name for name, target in where.targets.items()}
        for number, future in enumerate(as_completed(futures), start=1):
            name = futures[future]
            try:
                done[name] = future.result()
            except ChapelleError as error:
                failed.append(Failure(host=name, message=_line(error)))
            progress(number, len(where.targets))
    return Outcome(
        done=dict(sorted(done.items())), failed=tuple(sorted(failed, key=lambda f: f.host))
    )


@contextmanager
def _pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of which nothing more is begun after Ctrl-C."""
    pool = ThreadPoolExecutor(max(1, min(AT_ONCE, count)), thread_name_prefix="bmc")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _line(error: ChapelleError) -> str:
    parts = [error.message.rstrip(".")]
    parts += [f"expected {error.expected}"] if error.expected else []
    parts += [f"found {error.found}"] if error.found else []
    return ": ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]


# -- looking --------------------------------------------------------------------------------------


def check(where: Stand, progress: Progress) -> Outcome[tuple[Finding, ...]]:
    """Judge each server by its BMC: is it the one that is meant, and are its settings right?"""

    def look(bmc: Bmc) -> tuple[Finding, ...]:
        device, model = where.devices[bmc.target.host], bmc.target.model
        identity = gate.judge(where.dc, device, bmc.hardware(), model)
        return (*identity, *gate.judge_settings(where.dc, device, bmc.settings(), model))

    return each(where, look, progress)


def inventory(where: Stand, progress: Progress) -> Outcome[Hardware]:
    """What each server is made of."""
    return each(where, lambda bmc: bmc.hardware(), progress)


def keep(settings: Settings, where: Stand, seen: Mapping[str, Hardware]) -> tuple[Failure, ...]:
    """Write what servers are made of to NetBox, but of none that is another than NetBox means.

    Returns:
        Those that were not written, and why.
    """
    failed: list[Failure] = []
    writer = Writer(settings, patience=settings.netbox_patience)

    def write(name: str) -> Failure | None:
        device = where.devices[name]
        found = gate.judge(where.dc, device, seen[name], where.targets[name].model)
        if found:
            message = f"not written: expected {found[0].expected}, found {found[0].found}"
            return Failure(host=name, message=message)
        try:
            writer.hardware(device.id, name, msgspec.to_builtins(seen[name]))
        except ChapelleError as error:
            return Failure(host=name, message=_line(error))
        return None

    with ThreadPoolExecutor(WRITERS) as pool:
        failed += [failure for failure in pool.map(write, seen) if failure]
    return tuple(failed)


# -- changing -------------------------------------------------------------------------------------


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
