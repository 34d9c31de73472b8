"""Provisions a rack in the lab by this project, by plain Ansible and by pyinfra, and compares.

    .venv/bin/python bench/provision.py [--hosts 13] [--rack A2-R01] [--snapshot FILE]
    .venv/bin/python bench/provision.py --state DIRECTORY

Each tool gets the same nodes, fresh from the installer's image, and brings them to the same state:
playbooks/provision.yml; bench/provision/stock.yml (Ansible's own modules, also with pipelining);
bench/provision/deploy.py (pyinfra). That the state is the same is not believed: after each tool,
our roles in check mode and our verification must find nothing, and each tool's further runs must
change nothing. Each run logs in anew.

NetBox is not needed, only a snapshot of it. With --state, the directory of an installation whose
NetBox runs, the whole of `invoke provision` is timed there as well: snapshot, plan, lock, batches,
journal and write-back. It makes the servers active in that NetBox, and the lab must not be up.
All else leaves nothing: the lab has a state directory of its own, which is removed at the end.

Ours does more in its time: it verifies each host, its clock's synchronisation included, and what
could cut a host off goes back by itself unless confirmed over a new connection.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import environment  # noqa: E402
import peers  # noqa: E402

from chapelle import lab  # noqa: E402
from chapelle.drivers import ansible  # noqa: E402
from chapelle.errors import ChapelleError, InputError, RefusedError  # noqa: E402
from chapelle.lab import cgroup, spec  # noqa: E402
from chapelle.model.datacentre import Datacentre  # noqa: E402
from chapelle.model.snapshot import Snapshot  # noqa: E402
from chapelle.run.reach import socket_directory  # noqa: E402
from chapelle.settings import Settings  # noqa: E402

# How many times faster than a peer we want to be: first run, nothing to change.
GOALS = {"ansible": (5.0, 10.0), peers.PYINFRA: (1.0, 1.0)}

QUIET = 0.05  # CPU seconds in a second below which the nodes have settled
SETTLE = 60.0  # seconds to wait for that
SHOWN = 20  # differences, of a tool that leaves another state


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What one run took: seconds on the clock, CPU seconds here and on all nodes together."""

    seconds: float
    controller: float
    nodes: float
    changes: int = 0
    steps: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one tool."""

    first: list[Timing]
    again: list[Timing]


class Bench:
    """The rack's twins, and what it takes to let a tool work on them.

    `settings` are those of the lab; what the benchmark itself writes goes to `folder`.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        snapshot: Path,
        dc: Datacentre,
        hosts: Sequence[str],
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.snapshot = snapshot
        self.dc = dc
        self.hosts = tuple(hosts)
        self._usage = Path()

    def fresh(self) -> None:
        """Throw the nodes away and start new ones, as the installer leaves them."""
        lab.down(self.settings)
        twin = lab.up(self.settings, self.dc, self.hosts)
        # The lab's control group is the one above a node's.
        of_init = Path(f"/proc/{twin.hosts[self.hosts[0]].pid}/cgroup").read_text()
        above = of_init.rpartition("0::/")[2].partition(f"/{self.hosts[0]}/")[0]
        self._usage = cgroup.hierarchies()[0] / above / "cpu.stat"
        peers.write_inventories(self.settings, self.folder, self.dc, self.hosts, twin)
        self.settle()

    def nodes_cpu(self) -> float:
        """CPU seconds that all nodes together have used."""
        return int(self._usage.read_text().split()[1]) / 1e6

    def settle(self) -> None:
        """Wait until the nodes have nothing more to do for themselves."""
        deadline = time.monotonic() + SETTLE
        used = -1.0
        while (now := self.nodes_cpu()) - used > QUIET and time.monotonic() < deadline:
            used = now
            time.sleep(1)

    def output(self) -> str:
        """What the tool printed that ran last."""
        return (self.folder / "output").read_text()

    def run(self, tool: peers.Tool) -> Timing:
        """Run a tool once.

        Raises:
            ChapelleError: it fails.
        """
        result, errors = self.folder / "timing.json", self.folder / "errors"
        used = self.nodes_cpu()
        with (self.folder / "output").open("w") as stdout, errors.open("w") as stderr:
            subprocess.run(
                [sys.executable, "-I", str(peers.HERE / "timed.py"), str(result), *tool.command],
                stdout=stdout,
                stderr=stderr,
                cwd=ROOT,
                env={**_environ(self.folder), **tool.environ},
                check=True,
            )
        timing = json.loads(result.read_text())
        if timing["status"] != 0:
            raise ChapelleError(
                f"{tool.name} failed.",
                expected="exit status 0",
                found=f"exit status {timing['status']}:\n{self.output()[-3000:]}\n"
                f"{errors.read_text()[-3000:]}",
            )
        return Timing(
            seconds=timing["seconds"],
            controller=timing["cpu"],
            nodes=self.nodes_cpu() - used,
            changes=tool.changes(self.output()),
            steps=tool.steps(self.output()),
        )

    def differences(self) -> list[str]:
        """What our roles would change now, and what our verification finds."""
        found: list[str] = []
        seen: set[str] = set()

        def note(event: ansible.TaskEvent) -> None:
            result = event.result
            if event.kind in {"failed", "unreachable"}:
                found.append(f"{event.host}: {event.task}: {result.get('msg')}")
            if "differences" in result:
                seen.add(event.host)
            for change in result.get("changes", ()):
                found.append(
                    f"{event.host}: {change['kind']} {change['item']}: "
                    f"{change['before']} instead of {change['after']}\n{change['diff']}"
                )
            for each in result.get("differences", ()):
                found.append(
                    f"{event.host}: {each['area']} {each['item']}: "
                    f"{each['found']} instead of {each['expected']}"
                )

        book = ansible.Playbook(
            directory=self.folder / "check",
            name="check",
            playbook=ROOT / "playbooks" / "provision.yml",
            inventory=ROOT / "inventory" / "chapelle.yml",
            hosts=self.hosts,
            environment=peers.selection(self.snapshot, self.hosts),
            check=True,
        )
        shutil.rmtree(book.directory, ignore_errors=True)
        book.directory.mkdir()
        ending = ansible.run(self.settings, book, note, lambda: False)
        found += [f"{host}: was not looked at" for host in self.hosts if host not in seen]
        if ending.status != 0:
            found.append(ending.last_lines)
        for socket in socket_directory(self.settings).glob("*"):
            command = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "-"]
            subprocess.run(command, capture_output=True, check=False)
        return found


def _environ(folder: Path) -> dict[str, str]:
    """Of our environment only what programs need, so that no setting of the user's has a part."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "USER") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(folder / "ansible")}


def measure(bench: Bench, tool: peers.Tool, first: int, again: int) -> Figures:
    """Run a tool on fresh nodes `first` times, and after the last of them `again` times more.

    Raises:
        ChapelleError: it fails, leaves another state than our roles want, or changes something
            where there is nothing to change.
    """
    figures = Figures(first=[], again=[])
    for _ in range(first):
        say(f"{tool.name}: fresh nodes")
        bench.fresh()
        say(f"{tool.name}: first run (load {os.getloadavg()[0]:.1f})")
        figures.first.append(bench.run(tool))
        bench.settle()
        if different := bench.differences():
            raise ChapelleError(
                f"{tool.name} leaves another state than our roles want.",
                where="\n".join(different[:SHOWN]),
                expected="no difference",
                found=f"{len(different)} differences",
            )
    for _ in range(again):
        bench.settle()
        say(f"{tool.name}: nothing to change (load {os.getloadavg()[0]:.1f})")
        timing = bench.run(tool)
        if timing.changes:
            raise ChapelleError(
                f"{tool.name} changes something where there is nothing to change.",
                expected="0 changes",
                found=f"{timing.changes} changes:\n{bench.output()[-3000:]}",
            )
        figures.again.append(timing)
    return figures


def say(line: str) -> None:
    """Tell on standard error what is going on; figures alone go to standard output."""
    print(line, file=sys.stderr, flush=True)


def report(figures: Mapping[str, Figures]) -> None:
    """Print the table, the ratios, and whether the goals are met."""
    print(f"{'':<22}{'first run':>10}{'CPU here':>10}{'on nodes':>10}"
          f"{'no change':>12}{'CPU here':>10}{'on nodes':>10}{'steps':>7}")  # fmt: skip
    for name, each in figures.items():
        cells = zip((_median(each.first), _median(each.again)), (10, 12), strict=True)
        row = "".join(
            f"{timing.seconds:>{width}.1f}{timing.controller:>10.1f}{timing.nodes:>10.1f}"
            for timing, width in cells
        )
        print(f"{name:<22}{row}{each.again[0].steps:>7}")
    print("seconds on the clock; CPU seconds of the controller, and of all nodes together; steps "
          "with nothing to change\n")  # fmt: skip
    for own in (peers.OURS, peers.WHOLE):
        for name in figures:
            if own in figures and name not in {peers.OURS, peers.WHOLE}:
                first, again = _ratios(figures[name], figures[own])
                goals = GOALS.get(name, (0.0, 0.0))
                print(f"{name} / {own}:".ljust(40)
                      + f"first run {first:.1f}{_judged(first, goals[0])}, "
                      + f"nothing to change {again:.1f}{_judged(again, goals[1])}")  # fmt: skip


def _ratios(peer: Figures, own: Figures) -> tuple[float, float]:
    return (
        _median(peer.first).seconds / _median(own.first).seconds,
        _median(peer.again).seconds / _median(own.again).seconds,
    )


def _judged(ratio: float, goal: float) -> str:
    if not goal:
        return ""
    return f" (goal {goal:g}: {'met' if ratio >= goal else 'MISSED'})"


def _median(timings: Sequence[Timing]) -> Timing:
    def of(field: str) -> float:
        return statistics.median(getattr(timing, field) for timing in timings)

    return Timing(seconds=of("seconds"), controller=of("controller"), nodes=of("nodes"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", default="13", help="how many servers of the rack (13)")
    parser.add_argument("--rack", default="A2-R01", help="which rack (A2-R01)")
    parser.add_argument("--snapshot", type=Path, help="a snapshot of NetBox; by default the latest")
    parser.add_argument("--state", type=Path, help="time invoke provision in this state as well")
    parser.add_argument("--first", type=int, default=1, help="first runs of each tool (1)")
    parser.add_argument("--again", type=int, default=2, help="runs with nothing to change (2)")
    parser.add_argument("--only", default="", help="names of tools, with semicolons between")
    return parser.parse_args()


def _snapshot(given: Path | None, settings: Settings) -> Path:
    path = given or settings.state / "snapshots" / "latest.json"
    if not path.is_file():
        raise InputError(
            "There is no snapshot to take the servers from.",
            where=str(path),
            expected="a file that invoke snapshot.take wrote",
            found="nothing",
            remedy="invoke netbox.up netbox.seed snapshot.take; or name one: --snapshot FILE",
        )
    return path.resolve()


def _versions(programs: Path) -> str:
    code = (
        "from importlib.metadata import version as v\n"
        "print(f\"ansible-core {v('ansible-core')}, pyinfra {v('pyinfra')}\", end='')"
    )
    command = [programs / "python", "-c", code]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return f"{found}; Python {platform.python_version()} here; kernel {platform.release()}"


@contextlib.contextmanager
def _laboratory(settings: Settings) -> Iterator[None]:
    """A lab that was not there before, and is not there afterwards.

    Raises:
        RefusedError: there is one, and it is not ours to throw away.
    """
    if lab.read(settings) is not None:
        raise RefusedError(
            "This state has a lab, which the benchmark would throw away.",
            where=str(settings.state),
            expected="no lab",
            found="one",
            remedy="invoke lab.down, if you do not need it",
        )
    try:
        yield
    finally:
        lab.down(settings)


def main() -> None:
    """Let each tool provision, and print what it took."""
    arguments = _arguments()
    settings = Settings.load()
    if arguments.state:
        state = arguments.state.expanduser().resolve()
        settings = msgspec.structs.replace(settings, state=state, target="lab")
    snapshot = _snapshot(arguments.snapshot, settings)
    dc = Datacentre(Snapshot.read(snapshot))
    hosts = spec.scope(dc, rack=arguments.rack, hosts=arguments.hosts)
    programs = environment.programs(settings, say)
    load = os.getloadavg()[0]
    if load > 1:
        say(f"the machine is busy (load {load:.1f}): the figures will be worth little")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    figures: dict[str, Figures] = {}

    def wanted(tool: peers.Tool) -> bool:
        return not arguments.only or tool.name in arguments.only.split(";")

    with tempfile.TemporaryDirectory(prefix="chapelle-bench-") as name:
        folder = Path(name).resolve()
        own = msgspec.structs.replace(settings, state=folder / "state", target="lab")
        bench = Bench(own, folder, snapshot, dc, hosts)
        tools = [peers.ours(own, snapshot, hosts), *peers.peers(own, folder, programs)]
        with _laboratory(own):
            for tool in filter(wanted, tools):
                figures[tool.name] = measure(bench, tool, arguments.first, arguments.again)
        tool = peers.whole(settings, hosts)
        if arguments.state and wanted(tool):
            bench = Bench(settings, folder, snapshot, dc, hosts)
            with _laboratory(settings):
                figures[tool.name] = measure(bench, tool, arguments.first, arguments.again)
    print(f"{len(hosts)} servers of rack {arguments.rack} in the lab on {os.cpu_count()} cores")
    print(
        f"load before {load:.1f}; medians of {arguments.first} first and {arguments.again} others"
    )
    print(_versions(programs))
    report(figures)


if __name__ == "__main__":
    try:
        main()
    except ChapelleError as problem:
        sys.exit(str(problem))
