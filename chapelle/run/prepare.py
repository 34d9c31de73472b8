"""What a run needs before it begins: NetBox, a snapshot, sound content, hosts that can answer.

Each function does nothing when there is nothing to do, so that the first `provision` on a fresh
machine and the hundredth take the same way.
"""

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from chapelle import lab
from chapelle.checks import netbox as checks
from chapelle.errors import ChapelleError, HostsFailedError, InputError
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding, ObjectRef
from chapelle.netbox import access, changes, seed, server, snapshot
from chapelle.plan.plan import Plan
from chapelle.run.commit import commit
from chapelle.settings import Settings

Say = Callable[[str], None]

# Objects of a kind from which on its seeding is worth a line.
_MANY = 200

# Findings shown before the rest are only counted.
_SHOWN = 10


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now: NetBox's content, where it came from, and the code.

    `mark` is the moment in NetBox's change log that the content shows.
    """

    dc: Datacentre
    netbox_url: str
    commit: str
    mark: changes.Mark


def netbox(settings: Settings, say: Say) -> None:
    """See that our own NetBox runs and was seeded; another's is taken as it is.

    Raises:
        ChapelleError: it cannot be started, or the design cannot be brought into it.
    """
    if settings.external_netbox:
        return
    design = seed.digest(settings)
    if not server.exists(settings):
        seed.wanted(settings)  # a mistake in it is said before NetBox is set up, which takes long
    server.up(settings, say, design)
    if not _needs_seeding(settings):
        return
    with seed.alone(settings, say), _image_meanwhile(settings, say):
        if _needs_seeding(settings):  # nobody else has done it while we waited
            _seed(settings, design, say)


@contextmanager
def _image_meanwhile(settings: Settings, say: Say) -> Iterator[None]:
    """Make the lab's root image beside something long, if a lab of ours is to follow.

    It waits for the archive and for disks most of the time. What keeps it from being made is said
    by whoever needs it.
    """
    if settings.target != "lab" or os.geteuid() != 0:
        yield
        return
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="image") as pool:
        making = pool.submit(lab.make_image, settings, say)
        yield
    with suppress(ChapelleError):
        making.result()


def _needs_seeding(settings: Settings) -> bool:
    """Whether NetBox is empty, or its seeding was cut short.

    What people have changed after that is theirs, and not the design's any more.
    """
    # In this order: who seeds leaves the mark before the first object and takes it after the last.
    return _is_empty(settings) or _unfinished(settings).exists()


def _unfinished(settings: Settings) -> Path:
    return settings.state / "netbox" / "seeding"


def _is_empty(settings: Settings) -> bool:
    count: int = access.connect(access.access(settings, "read")).dcim.sites.count()
    return count == 0


def _seed(settings: Settings, design: str, say: Say) -> None:
    say("seeding NetBox with the design in inventory/design: minutes, once a machine")
    empty = _is_empty(settings)
    _unfinished(settings).touch()
    progress = seed.Lines(lambda line: say(f"  {line}"), least=_MANY)
    result = seed.seed(settings, dry_run=False, progress=progress)
    if result.conflicts:
        raise InputError(
            "The design could not be brought into NetBox.",
            where=result.url,
            found="; ".join(str(conflict) for conflict in result.conflicts[:3]),
            remedy="invoke netbox.seed says more",
        )
    _unfinished(settings).unlink(missing_ok=True)
    say(f"seeded: {result.created} objects in {result.seconds:.0f} s")
    if empty:
        server.keep_seeded(settings, design)


def scene(settings: Settings, say: Say) -> Scene:
    """Take a snapshot of what NetBox says now.

    Raises:
        ChapelleError: NetBox cannot be read, or the code has no commit.
    """
    taken = snapshot.take(settings, say)
    return Scene(
        dc=Datacentre(taken.snapshot),
        netbox_url=taken.meta.netbox_url,
        commit=commit(settings.root),
        mark=taken.meta.mark,
    )


def up_to_date(settings: Settings, known: Scene, say: Say) -> Scene:
    """What NetBox says now; it is read again only if its change log says that it must be.

    Raises:
        ChapelleError: NetBox cannot be read.
    """
    if not snapshot.moved(settings, known.mark):
        return known
    say("NetBox has changed since the snapshot; taking another")
    return scene(settings, say)


def require_sound(
    dc: Datacentre, device_ids: Collection[int], say: Say, also: Collection[str] = ()
) -> None:
    """Make sure that nothing in NetBox makes one of these devices unfit for a run.

    Arguments:
        dc: the datacentre.
        device_ids: the devices.
        say: told of the first findings.
        also: kinds of objects, by their place in NetBox' API, of which every one concerns them.

    Raises:
        InputError: there are findings of severity `error` about them; they are named.
    """
    findings = [
        finding
        for finding in checks.check(dc)
        if finding.severity == "error"
        and any(
            reference.endpoint in also or _concerns(dc, reference) & set(device_ids)
            for reference in finding.objects
        )
    ]
    if not findings:
        return
    for finding in findings[:_SHOWN]:
        say(_line(finding))
    raise InputError(
        f"NetBox's content makes devices of this scope unfit for a run: {len(findings)} findings.",
        where="; ".join(sorted({o.name for f in findings for o in f.objects})[:_SHOWN]),
        expected="no finding of severity error",
        found=_line(findings[0]),
        remedy="mend them in NetBox; invoke check lists them all",
    )


def _line(finding: Finding) -> str:
    names = ", ".join(reference.name for reference in finding.objects)
    return f"{finding.rule}: {names}: expected {finding.expected}, found {finding.found}"


def _concerns(dc: Datacentre, reference: ObjectRef) -> set[int]:
    """The ids of the devices that a finding about this object is about."""
    if reference.endpoint == "dcim/racks":
        return {device.id for device in dc.servers if device.rack == reference.id}
    return {reference.id} if reference.endpoint == "dcim/devices" else set()


def hosts(settings: Settings, dc: Datacentre, names: Collection[str], say: Say) -> None:
    """See that the hosts can answer: with target lab, that their twins run.

    A twin that does not come up is like a server that is down: the run will find it unreachable.
    """
    if settings.target != "lab":
        return
    last = [""]

    def progress(done: int, total: int) -> None:
        line = f"{done} of {total} nodes answer"
        if total and (done == total or done % 25 == 0) and line != last[0]:
            last[0] = line
            say(line)

    try:
        lab.up(settings, dc, sorted(names), say, progress)
    except HostsFailedError as error:
        say(str(error))


def nobody_answers(settings: Settings) -> bool:
    """Whether it is known, without asking them, that no host can answer: the lab is not up."""
    return settings.target == "lab" and lab.read(settings) is None


def statuses(plan: Plan, dc: Datacentre) -> dict[str, str]:
    """The status in NetBox of each host of a plan that NetBox still has, by name."""
    devices = {host.name: dc.devices.get(host.device_id) for host in plan.hosts}
    return {name: device.status for name, device in devices.items() if device}
