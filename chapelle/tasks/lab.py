"""Tasks of lab: the twin of the datacentre on this machine."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from chapelle.errors import ExitCode, InputError
from chapelle.model.datacentre import Datacentre
from chapelle.settings import Settings
from chapelle.tasks._command import command

SCOPE_HELP = {
    "aisle": "The number of an aisle, such as 2.",
    "rack": "The name of a rack, such as A2-R01.",
    "hosts": "How many servers at most.",
    "kind": "nspawn (containers, unless they are uml already), or uml (a full kernel each).",
    "switches": "Also the switches: of an aisle all, of a rack its leafs; and all spines.",
    "edges": "Also the tenants' edges that stand there, if they have an address for management.",
    "machines": "Servers, with commas, to be machines with firmware and disks, switched off.",
}

PART_HELP = {name: SCOPE_HELP[name] for name in ("aisle", "rack")}


@command(help=SCOPE_HELP)
def up(
    _context: object,
    *,
    aisle: str | None = None,
    rack: str | None = None,
    hosts: str | None = None,
    switches: bool = False,
    edges: bool = False,
    kind: str | None = None,
    machines: str | None = None,
) -> None:
    """Start a node for each server asked for (all of them, unless you name machines).

    Nodes that run stay as they are, but for cables to nodes that join them. The servers are those
    of the latest snapshot of NetBox; one is taken if there is none.
    """
    from chapelle import lab
    from chapelle.lab import spec

    settings = Settings.load()
    chosen = spec.kind(kind) if kind else None
    dc = _datacentre(settings)
    bare = machines.split(",") if machines else []
    scoped = aisle is not None or rack is not None or hosts is not None
    names = spec.scope(dc, aisle=aisle, rack=rack, hosts=hosts) if scoped or not bare else []
    if switches:
        names += spec.switches(dc, aisle=aisle, rack=rack)
    if edges:
        names += spec.edges(dc, aisle=aisle, rack=rack)
    kinds: dict[str, spec.Kind] = dict.fromkeys(names, chosen) if chosen else {}
    kinds |= dict.fromkeys(bare, "qemu")
    names = list(dict.fromkeys(names + bare))
    with _progress() as progress:
        made = lab.up(settings, dc, names, _say, progress, kinds=kinds)
    for line in lab.not_exercised(made):
        print(f"not exercised: {line}")
    nodes = [name for name in names if made.hosts[name].node.kind != "qemu"]
    if off := len(names) - len(nodes):
        print(f"{off} machines are made, and left as they are: on, or switched off")
    if nodes:
        print(f"{len(nodes)} nodes answer; log in with: invoke lab.ssh {nodes[0]}")


@command(help=PART_HELP)
def down(_context: object, aisle: str | None = None, rack: str | None = None) -> None:
    """End all nodes of this state's lab, or those of an aisle or rack, and leave no disk."""
    from chapelle import lab

    settings = Settings.load()
    if aisle is None and rack is None:
        ended = lab.down(settings, _say)
        left = f"{ended} nodes ended; nothing of the lab is left"
        print(left if ended else "no node was running")
        return
    names = _part(settings, aisle, rack)
    print(f"{lab.end(settings, names, _say)} nodes ended, their disks thrown away")


@command(help={**PART_HELP, "json": "Print the nodes as JSON."})
def status(
    _context: object, aisle: str | None = None, rack: str | None = None, json: bool = False
) -> ExitCode:
    """Show how many nodes are up, and name those that are not: exit code 99 if there are any."""
    import msgspec

    from chapelle import lab

    settings = Settings.load()
    hosts = lab.status(settings)
    if aisle is not None or rack is not None:
        names = _part(settings, aisle, rack)
        hosts = [host for host in hosts if host.name in names]
    wrong = [host for host in hosts if host.state not in {"up", "off"}]
    if json:
        print(msgspec.json.encode(hosts).decode())
    elif not hosts:
        print("there is no lab; start one with: invoke lab.up --aisle=2")
    else:
        counts = Counter(host.state for host in hosts)
        print(f"{len(hosts)} nodes: " + ", ".join(f"{n} {state}" for state, n in counts.items()))
        for host in wrong:
            print(f"  {host.name:<20} {host.address:<15} {host.rack:<8} {host.state}")
        if wrong:
            print("start what is down with: invoke lab.up")
    return ExitCode.FINDINGS if wrong else ExitCode.OK


@command(
    help={
        "host": "The name of a node.",
        "command": "What to run there instead of a shell.",
        "user": "Another user than deploy; `operator` on a switch is in vtysh.",
    }
)
def ssh(_context: object, host: str, command: str | None = None, user: str | None = None) -> None:
    """Log in to a node as `deploy`; or run one command there: invoke lab.ssh HOST -c 'COMMAND'."""
    from chapelle import lab
    from chapelle.lab import ca

    settings = Settings.load()
    known = lab.read(settings)
    if known is None or host not in known.hosts:
        raise InputError(
            f"The lab has no node {host!r}.",
            where="lab.json",
            expected="the name of a node",
            found=repr(host),
            remedy="list them with: invoke lab.status --json; start them with: invoke lab.up",
        )
    ca.issue_user_certificate(settings)
    program = str(ca.folder(settings) / "ssh")
    sys.stdout.flush()
    login = ["-l", user] if user else []
    os.execv(program, [program, *login, host, *([command] if command else [])])  # noqa: S606


@command(
    help={
        "hosts": "Servers by name, with commas.",
        "faults": "What is wrong with their BMCs, with commas, such as wrong-serial,busy=3.",
        "clear": "Take all faults of all BMCs away first.",
    }
)
def bmc(
    _context: object,
    hosts: str | None = None,
    faults: str | None = None,
    clear: bool = False,
) -> None:
    """Let BMCs of the lab misbehave, or show how they do. Without --faults those hosts are mended.

    The lab's BMCs start with the first command that asks them, such as invoke bmc.check.
    """
    from chapelle.lab import bmc as fleets
    from chapelle.lab.bmc_machine import FAULTS

    settings = Settings.load()
    place = fleets.folder(settings)
    now = {} if clear else fleets.faults_of(place)
    for host in hosts.split(",") if hosts else ():
        if host not in fleets.machines(settings):
            raise InputError(
                f"The lab has no BMC of {host!r}.",
                where=str(place),
                expected="a server whose BMC has been asked once",
                found=repr(host),
                remedy=f"invoke bmc.check --limit={host}",
            )
        now[host] = _faults(faults or "")
    if hosts or clear:
        fleets.set_faults(place, {host: each for host, each in now.items() if each})
    if not any(now.values()):
        print(f"no BMC has a fault; it could be one of: {', '.join(FAULTS)}")
    for host, each in sorted(now.items()):
        for fault in each:
            print(f"{host:<20} {fault}: {FAULTS[fault]}")


def _faults(text: str) -> dict[str, float]:
    """Faults as a person typed them.

    Raises:
        InputError: what stands after `=` is no number.
    """
    found = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            found[name] = float(value or 0)
        except ValueError as error:
            raise InputError(
                "A fault has a value that is no number.",
                where="--faults",
                expected="such as busy=3 or slow=0.5",
                found=repr(part),
            ) from error
    return found


def _part(settings: Settings, aisle: str | None, rack: str | None) -> set[str]:
    """The nodes of the lab that stand there, switches too.

    Raises:
        InputError: there is none.
    """
    from chapelle import lab

    known = lab.read(settings)
    found = {
        name
        for name, host in (known.hosts if known else {}).items()
        if aisle in {None, host.aisle} and rack in {None, host.rack}
    }
    if not found:
        raise InputError(
            "The lab has no node there.",
            where="lab.json",
            expected="an aisle's number or a rack's name with nodes of the lab",
            found=", ".join(filter(None, (aisle, rack))),
            remedy="list its nodes with: invoke lab.status --json",
        )
    return found


def _datacentre(settings: Settings) -> Datacentre:
    from chapelle.netbox import snapshot

    taken = snapshot.latest(settings) or snapshot.take(settings, _say)
    return Datacentre(taken.snapshot)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, a line for each quarter otherwise."""
    if not sys.stderr.isatty():
        shown = 0

        def line(done: int, total: int) -> None:
            nonlocal shown
            if total and 4 * done // total > shown:
                shown = 4 * done // total
                _say(f"{done} of {total} nodes answer")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    bar = Progress(
        "nodes",
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    task = bar.add_task("nodes", total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)
