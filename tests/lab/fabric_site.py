"""A small fabric on real FRR nodes, and a controller without NetBox: for tests of pushes.

Two leafs of a pair and the spine between them, cut out of the reference datacentre: few ports, all
protocols. What is asked of a switch beside our own sessions goes straight into its node.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import reference

from chapelle import lab
from chapelle.fabric import ownership
from chapelle.lab import faults
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import Event, RunResult
from chapelle.model.snapshot import Snapshot
from chapelle.plan import plan as plans
from chapelle.plan import push as pushes
from chapelle.plan.plan import Plan
from chapelle.run.fabric import survey
from chapelle.run.fabric.connecting import connecting
from chapelle.run.fabric.known import Store
from chapelle.run.fabric.order import STOP, Limits
from chapelle.run.fabric.rollout import Change, Rollout, Work
from chapelle.run.fabric.survey import Gear, Look
from chapelle.run.filing import new_id, record
from chapelle.run.folder import Folder
from chapelle.run.interrupt import Interrupt
from chapelle.run.journal import Journal
from chapelle.settings import Settings

A, B, SPINE = SWITCHES = ("leaf-a2-3a", "leaf-a2-3b", "spine-a2")
SERVER = "compute-a2-39"

UNIT = Path(__file__).parents[1] / "unit"

Watch = Callable[[Event], None]


def datacentre() -> Datacentre:
    """The three switches and one server, with the cables among them and nothing else."""
    content = reference.content()
    names = {*SWITCHES, SERVER}
    devices = tuple(
        msgspec.structs.replace(d, status="planned") for d in content.devices if d.name in names
    )
    ids = {device.id for device in devices}
    cables = tuple(c for c in content.cables if _ends(content, c) <= ids and _ends(content, c))
    kept = {cable.id for cable in cables}
    interfaces = tuple(
        i if i.cable in kept else msgspec.structs.replace(i, cable=None, cable_end=None)
        for i in content.interfaces
        if i.device in ids and (i.cable in kept or i.cable is None or i.mgmt_only)
    )
    few = tuple(i for i in interfaces if i.cable or not i.name.startswith("swp"))
    return Datacentre(
        Snapshot(msgspec.structs.replace(content, devices=devices, cables=cables, interfaces=few))
    )


def _ends(content: r.Content, cable: r.Cable) -> set[int]:
    """The devices that a network cable joins; none of another cable."""
    by_id = {interface.id: interface.device for interface in content.interfaces}
    ends = (*cable.a_terminations, *cable.b_terminations)
    if any(end.object_type != "dcim.interface" for end in ends):
        return set()
    return {by_id[end.object_id] for end in ends}


class Site:
    """The fabric and its controller. `sections` are what each switch is told to become."""

    def __init__(
        self,
        settings: Settings,
        *,
        start: bool = True,
        dc: Datacentre | None = None,
        names: Sequence[str] = SWITCHES,
    ) -> None:
        self.settings = settings
        self.dc = dc or datacentre()
        if start:
            lab.up(settings, self.dc, names)
        devices = [self.dc.device(name) for name in names]
        self.gears: dict[str, Gear] = survey.gears(settings, self.dc, devices)
        self.store = Store(settings.state)
        self.forks = 3
        self.connect = connecting(settings)

    # -- what a switch is -------------------------------------------------------------------------

    def vtysh(self, name: str, *commands: str) -> str:
        """Commands of vtysh on a switch, as somebody at its console types them."""
        words = " ".join(f"-c '{command}'" for command in commands)
        return faults.run(self.settings, name, f"vtysh {words}")

    def running(self, name: str) -> str:
        """Our sections as the switch runs them."""
        return ownership.owned("frr", self.vtysh(name, "show running-config no-header"))

    def startup(self, name: str) -> str:
        """Our sections as the switch starts with them."""
        return ownership.owned("frr", faults.run(self.settings, name, "cat /etc/frr/frr.conf"))

    def is_armed(self, name: str) -> bool:
        """Whether a revert is armed on the switch."""
        said = faults.run(self.settings, name, "ls /run/chapelle/armed 2>/dev/null || true")
        return bool(said.strip())

    def is_in(self, name: str, sections: str) -> bool:
        """Whether the switch runs these sections, starts with them, and is not armed."""
        found = {"running": self.running(name), "startup": self.startup(name)}
        differences = {
            what: diff for what, each in found.items()
            if (diff := ownership.diff("frr", each, sections))
        }  # fmt: skip
        for what, diff in differences.items():
            print(f"{name} {what}:\n{diff}")
        return not differences and not self.is_armed(name)

    # -- what is done to it -----------------------------------------------------------------------

    def with_line(self, name: str, line: str, section: str = "interface lo") -> str:
        """The switch's intended sections, and a line more in one of them."""
        text = self.gears[name].sections
        assert f"{section}\n" in text, text
        return text.replace(f"{section}\n", f"{section}\n {line}\n", 1)

    def looks(self, sections: Mapping[str, str]) -> dict[str, Look]:
        """A look at switches that are to become something else."""
        gears = {
            name: msgspec.structs.replace(self.gears[name], sections=text)
            for name, text in sections.items()
        }
        looks = survey.survey(gears, self.connect, self.store, forks=self.forks)
        assert all(isinstance(each, Look) for each in looks.values()), looks
        return {name: each for name, each in looks.items() if isinstance(each, Look)}

    def plan(self, sections: Mapping[str, str]) -> Plan:
        """A plan to make switches what is said."""
        looks = self.looks(sections)
        return pushes.build(
            self.dc,
            [self.dc.device(name) for name in sections],
            scope=f"--limit={','.join(sections)}",
            target="lab",
            commit="test",
            configurations=sections,
            diffs={name: look.diff for name, look in looks.items()},
        )

    def push(
        self,
        sections: Mapping[str, str],
        *,
        made: Plan | None = None,
        run: str | None = None,
        resumed: bool = False,
        watch: Watch = lambda _: None,
        drift: str = STOP,
        limits: Limits | None = None,
        serving: Collection[str] = (),
    ) -> RunResult:
        """Push to some switches; what came of it is in the journal too."""
        folder = Folder(self.settings.state / "runs", run or new_id())
        plan = made or self.plan(sections)
        with closing(self.journal()) as journal:
            if not resumed:
                folder.fill(plan, self.dc.snapshot)
                journal.open_run(record(folder.run, plan), plan.hosts)
            work = Work(
                plan=plan,
                run=folder.run,
                directory=folder.path,
                journal=journal.path,
                changes={name: self._change(name, text) for name, text in sections.items()},
                connect=self.connect,
                store=self.store,
                limits=limits or Limits(settle=30.0, steady=0.5, drain=0.5),
                forks=self.forks,
                serving=frozenset(serving),
                watch=watch,
                interrupt=Interrupt(),
                drift=drift,
            )
            return Rollout(work, journal).run()

    def push_killed(
        self,
        sections: Mapping[str, str],
        *,
        run: str,
        at: tuple[str, str],
        after: float = 0.0,
    ) -> Plan:
        """Push in a process that is killed when a step of a kind begins, or some seconds later."""
        plan = self.plan(sections)
        order = {
            "state": str(self.settings.state),
            "sections": dict(sections),
            "run": run,
            "plan": plans.encode(plan).decode(),
            "at": at,
            "after": after,
        }
        done = subprocess.run(
            [sys.executable, __file__],
            input=json.dumps(order),
            text=True,
            check=False,
            cwd=self.settings.root,
            env={**os.environ, "PYTHONPATH": f"{self.settings.root}:{UNIT}"},
        )
        assert done.returncode == -signal.SIGKILL, "the controller went on to its end"
        return plan

    def journal(self) -> Journal:
        """The journal, opened anew."""
        return Journal(self.settings.state / "journal.sqlite")

    def _change(self, name: str, sections: str) -> Change:
        gear = self.gears[name]
        return Change(target=gear.target, sections=sections, expected=gear.expected, path=gear.path)


def outcomes(result: RunResult) -> dict[str, str]:
    """Each switch's outcome."""
    return {host.host: host.outcome for host in result.hosts}


def step(result: RunResult, name: str, what: str) -> str:
    """What is said of one step of one switch."""
    steps = next(host.steps for host in result.hosts if host.host == name)
    return next(each.message for each in steps if each.step == what)


def taken(result: RunResult, name: str) -> Sequence[str]:
    """The steps that were taken with one switch."""
    return [each.step for h in result.hosts if h.host == name for each in h.steps]


def _push_until_killed() -> None:
    """The process of `push_killed`; its order comes on standard input."""
    order = json.load(sys.stdin)
    state = Path(order["state"])
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    site = Site(Settings.load({"CHAPELLE_STATE": str(state), **kept}), start=False)
    plan = state / "plan.json"
    plan.write_text(order["plan"])

    def watch(event: Event) -> None:
        if [event.kind, event.step] == order["at"]:
            threading.Timer(order["after"], lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            while not order["after"]:
                time.sleep(1)

    site.push(order["sections"], made=plans.read(plan), run=order["run"], watch=watch)


if __name__ == "__main__":
    _push_until_killed()
