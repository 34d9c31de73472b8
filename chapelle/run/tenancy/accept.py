"""The command `tenant.accept` from beginning to end.

NetBox -> the tenant's lines -> yes -> lock -> links, lines, leafs lost, power, isolation, meters
       -> evidence on disk -> statuses in NetBox

When nothing failed, the tenant's edges become `active` in NetBox. What could not be measured does
not stand in the way: the evidence says it, and whoever signs reads it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chapelle import lab, process
from chapelle.checks.tenancy.acceptance.links import edges
from chapelle.checks.tenancy.acceptance.premises import feeds, racks
from chapelle.errors import HostsFailedError, InputError, RefusedError
from chapelle.lab.spec import Kind
from chapelle.model import records as r
from chapelle.model.acceptance import Acceptance
from chapelle.model.status import check_transition
from chapelle.netbox import lock
from chapelle.netbox.writeback import Writer
from chapelle.report.acceptance import summary
from chapelle.run import prepare
from chapelle.run.fabric.connecting import connecting
from chapelle.run.filing import new_id
from chapelle.run.prepare import Scene
from chapelle.run.tenancy import evidence
from chapelle.run.tenancy.examine import Examination, Wish
from chapelle.run.tenancy.lines import tenant as tenant_of
from chapelle.settings import Settings

type Say = Callable[[str], None]
# Asked before ports are shut, with what is to happen, a line for each switch; raises for a no.
type Confirm = Callable[[list[str]], None]

STAGED, ACTIVE = "staged", "active"
DRY_RUN = "not measured: a dry run shuts no port"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An acceptance, and where its evidence is; nowhere after a dry run."""

    acceptance: Acceptance
    folder: Path | None = None


def accept(
    settings: Settings, wish: Wish, say: Say, confirm: Confirm, *, dry_run: bool = True
) -> Done:
    """Examine what a tenant is handed over, keep the evidence, and tell NetBox.

    Arguments:
        settings: this installation.
        wish: what the operator asks for.
        say: told what happens.
        confirm: asked before ports are shut.
        dry_run: nothing is changed anywhere: no port is shut, nothing is written.

    Raises:
        InputError: there is no such tenant, it has no lines, or NetBox's content is wrong.
        RefusedError: the answer is no, or an edge has a status that nobody may change.
        LockedError: somebody is at work in one of the aisles.
        ChapelleError: NetBox cannot be read or written.
    """
    if not dry_run:
        prepare.netbox(settings, say)
    scene = prepare.scene(settings, say)
    tenant = tenant_of(scene.dc, wish.tenant)
    run, started = new_id(), time.time()
    if dry_run and not wish.loss:
        wish = msgspec.structs.replace(wish, loss=DRY_RUN)
    if not dry_run:
        _start(settings, scene, tenant, say)
    connect = connecting(settings)
    examination = Examination(settings, scene.dc, tenant, wish, run=run, connect=connect, say=say)
    _require_fit(scene, tenant, examination, wish)
    if not wish.loss:
        confirm(_to_be_shut(examination))
    with _held(settings, examination, tenant, run, say, dry_run=dry_run):
        examination.links()
        examination.measure()
        examination.losses()
        examination.isolation()
        examination.premises()
        made = Acceptance(
            tenant=tenant.slug,
            name=tenant.name,
            run=run,
            owner=process.owner(),
            target=settings.target,
            snapshot=scene.dc.snapshot.hash,
            commit=scene.commit,
            started=started,
            finished=time.time(),
            evidence=tuple(examination.evidence),
        )
        if dry_run:
            return Done(acceptance=made)
        folder = evidence.keep(settings, made, scene.dc.snapshot)
        writer = Writer(settings, patience=settings.netbox_patience)
        write_back(writer, edges(scene.dc, tenant), made)
    return Done(acceptance=made, folder=folder)


def _start(settings: Settings, scene: Scene, tenant: r.Tenant, say: Say) -> None:
    """In the lab, see that the tenant's edges run, each of the kind that its switches are of."""
    if settings.target != "lab":
        return
    known = lab.read(settings)
    if known is None:
        raise RefusedError(
            "There is no lab in which anything could be accepted.",
            expected="the tenant's switches and edges as nodes, configured by fabric.push",
            found="no lab",
            remedy="invoke lab.up --aisle=2 --switches --edges --kind=uml",
        )
    kinds: dict[str, Kind] = {}
    for device in edges(scene.dc, tenant):
        switches = [known.hosts.get(name) for name in scene.dc.leaf_pair(device)]
        if device.name and device.oob_ip:
            full = any(host is not None and host.node.kind == "uml" for host in switches)
            kinds[device.name] = "uml" if full else "nspawn"
    try:
        lab.up(settings, scene.dc, sorted(kinds), say, kinds=kinds)
    except HostsFailedError as error:
        say(str(error))


def _require_fit(scene: Scene, tenant: r.Tenant, examination: Examination, wish: Wish) -> None:
    found = edges(scene.dc, tenant)
    if not examination.lines:
        raise InputError(
            f"{tenant.name} has no lines that could be accepted.",
            where=f"tenant {tenant.slug} in NetBox",
            expected="devices of role tenant-edge that are cabled to switches",
            found=f"{len(found)} such devices, with no cable to a switch",
            remedy="invoke tenant.onboard first",
        )
    for device in found:
        if device.status not in {STAGED, ACTIVE}:
            check_transition(device.name or "", device.status, STAGED)
    known = {f.name for rack in racks(scene.dc, tenant) for f in feeds(scene.dc, rack)}
    if strange := sorted(wish.readings.keys() - known):
        raise InputError(
            "A reading is of no feed of this tenant's racks.",
            where="the command line: --meter",
            expected=f"feeds such as {', '.join(sorted(known)[:2]) or '(there are none)'}",
            found=", ".join(strange),
        )


def _to_be_shut(examination: Examination) -> list[str]:
    ports: dict[str, list[str]] = {}
    for line in examination.lines:
        ports.setdefault(line.switch, []).append(line.switch_port)
    return [f"{switch}: {', '.join(sorted(found))}" for switch, found in sorted(ports.items())]


@contextmanager
def _held(
    settings: Settings,
    examination: Examination,
    tenant: r.Tenant,
    run: str,
    say: Say,
    *,
    dry_run: bool,
) -> Iterator[None]:
    """Hold the lock of the tenant's aisles; a dry run needs none."""
    if dry_run:
        yield
        return
    slugs = [f"aisle-{number}" for number in examination.aisles]
    with lock.hold(settings, slugs, run=run, reason=f"accept {tenant.slug}", say=say):
        yield


def write_back(writer: Writer, devices: Iterable[r.Device], made: Acceptance) -> None:
    """Tell NetBox what came of it: each edge becomes `active` when nothing failed.

    Raises:
        RefusedError: somebody changed an edge meanwhile; it is left as it is.
        ChapelleError: NetBox stayed away, or refuses.
    """
    kind = "success" if made.accepted else "danger"
    text = f"chapelle: {summary(made)}\n\n- run `{made.run}`\n- commit `{made.commit[:12]}`"
    for device in devices:
        name = device.name or ""
        writer.journal(device.id, text, kind)
        if not made.accepted or device.status == ACTIVE:
            continue
        if device.status != STAGED:
            writer.set_status(device.id, name, device.status, STAGED, run=made.run)
        writer.set_status(device.id, name, STAGED, ACTIVE, run=made.run)
