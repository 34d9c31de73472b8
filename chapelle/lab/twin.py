"""The lab as a whole: up, down, status.

What runs is found by looking at what runs. `lab.json` says what was asked for and is for others to
read; a lab whose `up` was killed at any instant is completed by the next `up` and removed by
`down`.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from chapelle.errors import ChapelleError, HostsFailedError, RefusedError
from chapelle.lab import (
    boot,
    ca,
    cabling,
    cgroup,
    files,
    image,
    limits,
    node,
    notes,
    qemu,
    spec,
    tang,
    timeserver,
    uml,
    wires,
)
from chapelle.lab.knocking import Knocking
from chapelle.model.datacentre import Datacentre
from chapelle.settings import Settings

Say = notes.Say

# What a node writes to its layer while it is configured, at most, as measured.
NODE_BYTES = 24 << 20

PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
}


State = Literal["up", "silent", "down", "off"]


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node's state: `up` (sshd answers), `silent` (runs, does not answer), `down` or `off`.

    A machine with disks is `off` as long as nobody switches it on; that is no fault.
    """

    name: str
    address: str
    rack: str
    state: State
    pid: int


def _lock(settings: Settings) -> Path:
    return settings.state / "lab.lock"


def _notify(settings: Settings) -> Path:
    return Path("/run") / f"chap-{settings.instance}.notify"


def up(
    settings: Settings,
    dc: Datacentre,
    hosts: Sequence[str],
    say: Say = lambda _: None,
    progress: boot.Progress = lambda _done, _total: None,
    *,
    kinds: Mapping[str, spec.Kind] | None = None,
) -> notes.Lab:
    """See that the nodes for these servers and switches run and answer, cabled as NetBox says.

    Nodes that run are left alone, but for cables that lead to others. Machines (kind `qemu`) are
    made and plugged in, and left switched off: see `chapelle.lab.power`.

    Arguments:
        settings: whose lab.
        dc: the datacentre that the nodes are taken from.
        hosts: names of servers and switches.
        say: told of each thing that is done, one line each.
        progress: told how many nodes of how many answer.
        kinds: what kind of node each is to be, by name; one that is not there keeps its kind, and
            a new one is `nspawn`.

    Raises:
        InputError: NetBox does not say enough of a server or switch.
        RefusedError: not root, a program is missing, or no space; nothing was changed.
        HostsFailedError: some nodes did not come up; the message names them.
    """
    _require_means()
    before = notes.kinds(notes.read(settings))
    chosen: dict[str, spec.Kind] = {**before, **(kinds or {})}
    still = [name for name in before if chosen[name] == "uml"]
    wanted = spec.nodes(dc, hosts, chosen, still)
    if any(each.kind == "uml" for each in wanted):
        _require(uml.missing(), f"apt-get install {uml.PACKAGE}")
    machines = [each for each in wanted if each.kind == "qemu"]
    _require_machines(machines)
    services = spec.services(dc)
    files.directory(settings.state)
    with files.locked(_lock(settings), lambda: say("another process is at work on the lab")):
        root = image.ensure(settings, say)
        known = notes.read(settings)
        ca.ensure(settings)
        groups = cgroup.Tree(settings)
        groups.make()
        doomed = notes.retired(dc, wanted, known, say)
        groups.kill(doomed)
        if not wires.is_namespace(ca.namespace_path(settings)):
            groups.kill(groups.running())  # whatever runs has lost its cables with the hub
        for name in doomed:
            shutil.rmtree(node.folder(settings) / name, ignore_errors=True)
        groups.kill(notes.recabled(wanted, known, say))
        running = groups.running()
        # Servers are reached through switches, so switches start first.
        booted = [each for each in wanted if each.kind != "qemu"]
        start = sorted((e for e in booted if e.name not in running), key=lambda e: not e.is_switch)
        _require_room(settings, start)
        lab = _intended(settings, dc, wanted, known, root=root, running=len(running), say=say)
        notes.write(settings, lab)
        with wires.Hub(Path(lab.netns)) as hub:
            for name in doomed:
                hub.unwire(known.hosts[name].node if known else lab.hosts[name].node)
            hub.prepare(wanted, services)
            if services.time:
                timeserver.start(settings, root, hub.namespace, groups)
            _make_machines(settings, machines, services, hub, groups)
            signer = ca.HostSigner(ca.folder(settings))
            for each in start:
                node.prepare(settings, each, root, signer)
            if start:
                say(f"starting {len(start)} nodes")
            nodes = {name: host.node for name, host in lab.hosts.items()}
            cables = cabling.Cabling(hub, nodes, lab.cables, groups.processes())
            namespaces = cables.connect(start, known.cables if known else ())
            boots = boot.Boot(
                settings,
                hub=hub,
                groups=groups,
                notify=_notify(settings),
                source=lab.source,
                progress=progress,
            )
            already = [each for each in booted if each.name in running]
            failures = boots.run(start, already, namespaces)
        lab = _note_processes(settings, groups, lab)
    if failures:
        raise HostsFailedError(
            f"{len(failures)} of {len(wanted)} nodes did not come up: "
            + ", ".join(failure.host for failure in failures),
            where="; ".join(f"{failure.host}: {failure.reason}" for failure in failures[:5]),
            remedy="invoke lab.up again; invoke lab.down throws the nodes away",
        )
    return lab


def _require_machines(machines: Sequence[spec.Node]) -> None:
    if machines:
        lacking = {**qemu.missing(), **tang.missing()}
        _require(lacking, "apt-get install " + " ".join(sorted(set(lacking.values()))))


def _make_machines(
    settings: Settings,
    machines: Sequence[spec.Node],
    services: spec.Services,
    hub: wires.Hub,
    groups: cgroup.Tree,
) -> None:
    """Make what is there of machines before they are switched on, and what unlocks their disks."""
    if machines:
        tang.start(settings, services.tang, hub.namespace, groups)
    for each in machines:
        qemu.prepare(each, node.folder(settings) / each.name)
        hub.plug_taps(each)


def _require_room(settings: Settings, start: Sequence[spec.Node]) -> None:
    files.directory(node.folder(settings))
    new = [each for each in start if not (node.folder(settings) / each.name).exists()]
    files.require_space(settings.state, NODE_BYTES * len(new), f"{len(new)} more nodes")


def _intended(
    settings: Settings,
    dc: Datacentre,
    wanted: Sequence[spec.Node],
    known: notes.Lab | None,
    *,
    root: Path,
    running: int,
    say: Say,
) -> notes.Lab:
    """What the lab is to be; the kernel's limits are raised for it."""
    services = spec.services(dc)
    hosts = notes.hosts_of(dc, wanted, known)
    strangers = cgroup.nodes_on_machine() - running
    raised = limits.raise_for(len(hosts) + strangers, known.limits if known else {}, say)
    return notes.Lab(
        instance=settings.instance,
        netns=str(ca.namespace_path(settings)),
        started=known.started if known else time.time(),
        kernel=wires.kernel_support(),
        image=str(root),
        limits=raised,
        hosts=hosts,
        source=services.time[0].partition("/")[0] if services.time else "",
        cables=tuple(spec.cables(dc, [host.node for host in hosts.values()])),
    )


def _require_means() -> None:
    if os.geteuid() != 0:
        raise RefusedError(
            "The lab needs root: it makes containers and network namespaces.",
            expected="user id 0",
            found=f"user id {os.geteuid()}",
            remedy="run it with sudo",
        )
    missing = {p: package for p, package in PROGRAMS.items() if not shutil.which(p)}
    _require(missing, "run ./bootstrap once, or apt-get install " + " ".join(missing.values()))


def _require(missing: Mapping[str, str], remedy: str) -> None:
    if missing:
        raise RefusedError(
            "Programs that the lab needs are missing.",
            expected=", ".join(missing),
            found=f"nothing of {', '.join(missing.values())}",
            remedy=remedy,
        )


def _note_processes(settings: Settings, groups: cgroup.Tree, lab: notes.Lab) -> notes.Lab:
    running = groups.running()
    hosts = {
        name: msgspec.structs.replace(host, pid=running.get(name, 0))
        for name, host in lab.hosts.items()
    }
    lab = msgspec.structs.replace(lab, hosts=hosts)
    notes.write(settings, lab)
    return lab


def status(settings: Settings) -> list[HostStatus]:
    """How each node that was asked for is, by name; empty without a lab.

    Raises:
        ChapelleError: the lab's notes cannot be read.
    """
    known = notes.read(settings)
    if known is None:
        return []
    running = cgroup.Tree(settings).running()
    answering: set[str] = set()
    path = Path(known.netns)
    if wires.is_namespace(path):
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            asked = [host.address for name, host in known.hosts.items() if name in running]
            with Knocking(namespace, known.source) as knocking:
                answering = knocking.answered(asked, seconds=3)
        finally:
            os.close(namespace)
    found = []
    for name, host in known.hosts.items():
        state: State = "off" if host.node.kind == "qemu" else "down"
        if name in running:
            state = "up" if host.address in answering else "silent"
        found.append(
            HostStatus(
                name=name,
                address=host.address,
                rack=host.rack,
                state=state,
                pid=running.get(name, 0),
            )
        )
    return found


def end(settings: Settings, hosts: Collection[str], say: Say = lambda _: None) -> int:
    """End some nodes and forget them, their disks too. Returns how many of them were running.

    Their cables go with them; `up` makes them anew. The last ones take the lab with them.

    Raises:
        RefusedError: not root.
        ChapelleError: something does not go.
    """
    _require_means()
    with files.locked(_lock(settings), lambda: say("another process is at work on the lab")):
        known = notes.read(settings)
        left = {n: h for n, h in known.hosts.items() if n not in hosts} if known else {}
        if known and left:
            groups = cgroup.Tree(settings)
            running = groups.running().keys() & set(hosts)
            groups.kill(running)
            for name in hosts:
                shutil.rmtree(node.folder(settings) / name, ignore_errors=True)
            cables = tuple(c for c in known.cables if c.a.node in left and c.b.node in left)
            notes.write(settings, msgspec.structs.replace(known, hosts=left, cables=cables))
            return len(running)
    return down(settings, say)


def down(settings: Settings, say: Say = lambda _: None) -> int:
    """End the lab and leave nothing of it but its keys. Returns how many nodes it had running.

    Raises:
        RefusedError: not root.
        ChapelleError: something does not go.
    """
    _require_means()
    if not settings.state.is_dir():
        return 0
    with files.locked(_lock(settings), lambda: say("another process is at work on the lab")):
        groups = cgroup.Tree(settings)
        running = groups.running()
        if running:
            say(f"ending {len(running)} nodes")
        groups.remove()
        wires.remove_hub(ca.namespace_path(settings))
        _restore_limits(settings, say)
        shutil.rmtree(settings.state / "lab", ignore_errors=True)
        _notify(settings).unlink(missing_ok=True)
        # What systemd-nspawn, killed, could not take away itself.
        for place in Path("/run/systemd/nspawn").glob(f"*/{node.machine_name(settings, '*')}"):
            with contextlib.suppress(OSError):
                place.rmdir()
        for name in ("config", "known_hosts", "ssh", "sftp", "scp", ca.SWITCH_KEYS):
            (ca.folder(settings) / name).unlink(missing_ok=True)
    return len(running)


def _restore_limits(settings: Settings, say: Say) -> None:
    others = [p for p in ca.all_namespaces() if p != ca.namespace_path(settings)]
    with contextlib.suppress(ChapelleError):
        known = notes.read(settings)
        if known and known.limits and any(map(wires.is_namespace, others)):
            say("leaving the kernel's limits as they are: another lab needs them")
        elif known:
            limits.restore(known.limits, say)
