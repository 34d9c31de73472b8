"""What is asked of the BMCs of many servers at once; what changes them is in `bmc_change`.

A server whose BMC fails is told with the others; it keeps none of them from being done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chapelle.checks import hardware as gate
from chapelle.drivers.bmc import credentials, quirks
from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import Login, StrangerError, Target
from chapelle.errors import ChapelleError, InputError
from chapelle.lab import bmc as fleets
from chapelle.lab import ca, notes
from chapelle.lab.bmc_power import QEMU
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.hardware import QUIRKS, Hardware, Quirks
from chapelle.netbox.writeback import Writer
from chapelle.plan.scope import Scope, select
from chapelle.run import prepare
from chapelle.run.prepare import Scene
from chapelle.run.writing import WRITERS
from chapelle.settings import Settings

type Say = Callable[[str], None]
type Progress = Callable[[int, int], None]
type Value = str | bool | int | None

# BMCs spoken with at one time. Each takes its time to answer, and nothing of ours meanwhile.
AT_ONCE = 32


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A BMC that did not do what was asked, why, and what to do about it."""

    host: str
    message: str
    remedy: str = ""


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
    scene = prepare.scene(settings, say)
    selection = select(scene.dc, scope, statuses) if statuses else select(scene.dc, scope)
    for device in selection.left_out:
        say(f"{device.name} is left out: its status is {device.status}")
    devices = {device.name or "": device for device in selection.devices}
    return on_stand(settings, scene, devices, say)


def on_stand(settings: Settings, scene: Scene, devices: Mapping[str, r.Device], say: Say) -> Stand:
    """The BMCs of servers that are chosen already; with target lab, they are up.

    Raises:
        InputError: the quirks, the logins or NetBox's content are wrong.
        RefusedError: the logins are not private; or the lab needs root.
    """
    known = quirks.read(settings.root / QUIRKS)
    placed = {name: device for name, device in devices.items() if device.oob_ip}
    if settings.target == "lab":
        kinds = notes.kinds(notes.read(settings))
        backends = {name: QEMU for name in placed if kinds.get(name) == "qemu"}
        fleets.up(settings, scene.dc, placed, say, backends=backends)
    return Stand(
        dc=scene.dc,
        devices=dict(devices),
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
    authority, logins = trust(settings)
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


def trust(settings: Settings) -> tuple[Path, Path]:
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

    def visit(target: Target) -> T:
        with opened(target) as bmc:
            return work(bmc)

    return spread(where, visit, progress)


def opened(target: Target) -> Bmc:
    """A session; with the password that was about to become the one, where the old one is not."""
    try:
        return Bmc(target)
    except StrangerError:
        if target.login.next is None:
            raise
        return Bmc(with_next(target))


def with_next(target: Target) -> Target:
    """The BMC with the password that was about to become the one."""
    login = Login(user=target.login.user, password=target.login.next or "")
    return msgspec.structs.replace(target, login=login)


def spread[T](where: Stand, visit: Callable[[Target], T], progress: Progress) -> Outcome[T]:
    """As `each`, with BMCs that `visit` opens itself."""
    done: dict[str, T] = {}
    failed = list(where.unfit)
    with _pool(len(where.targets)) as pool:
        futures = {pool.submit(visit, target): name for name, target in where.targets.items()}
        for number, future in enumerate(as_completed(futures), start=1):
            name = futures[future]
            try:
                done[name] = future.result()
            except ChapelleError as error:
                failed.append(Failure(host=name, message=_line(error), remedy=error.remedy or ""))
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
            writer.hardware(device.id, name, seen[name])
        except ChapelleError as error:
            return Failure(host=name, message=_line(error))
        return None

    with ThreadPoolExecutor(WRITERS) as pool:
        failed += [failure for failure in pool.map(write, seen) if failure]
    return tuple(failed)
