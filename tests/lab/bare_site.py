"""A lab with one machine, and all that brings it up: without NetBox, from the reference design."""

import shutil
import time
from pathlib import Path

import msgspec
import reference

from chapelle import lab
from chapelle.lab import power, qemu, tang
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import StepResult
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.netbox import changes
from chapelle.plan import plan as plans
from chapelle.plan import scope as scopes
from chapelle.plan.deploy import order as orders
from chapelle.plan.plan import Plan
from chapelle.run import reach
from chapelle.run.deploy import ground as grounds
from chapelle.run.deploy.contact import Contact
from chapelle.run.deploy.deploying import Deploying
from chapelle.run.filing import record
from chapelle.run.journal import Journal, steps_of
from chapelle.run.prepare import Scene
from chapelle.run.recorder import Recorder
from chapelle.settings import Settings

HOST = "compute-a2-01"
# Disks as small as an installation allows: what is erased is read and written in full.
OS_GB, DATA_GB = 6, 1
DATA_SERIAL = "DATA-A2-01"


def missing() -> str:
    """What this machine lacks for it."""
    lacking = {**qemu.missing(), **tang.missing()}
    names = ("dnsmasq", "mmdebstrap")
    return ", ".join([*lacking, *(name for name in names if not shutil.which(name))])


def content(status: str = "planned") -> Content:
    """The reference datacentre, in which the host has small disks, one of them for data."""
    whole = reference.content()
    host = next(d for d in whole.devices if d.name == HOST)
    items: list[r.InventoryItem] = []
    for item in whole.inventory_items:
        if item.device == host.id and item.custom_fields.get("disk_purpose") == "os":
            fields = {**item.custom_fields, "disk_size_gb": OS_GB}
            items.append(msgspec.structs.replace(item, custom_fields=fields))
        else:
            items.append(item)
    first = next(i for i in items if i.device == host.id)
    items.append(
        msgspec.structs.replace(
            first,
            id=max(i.id for i in items) + 1,
            name="disk-data-01",
            serial=DATA_SERIAL,
            custom_fields={"disk_purpose": "data", "disk_size_gb": DATA_GB},
        )
    )
    role = next(role.id for role in whole.device_roles if role.slug == "storage")
    devices = tuple(
        msgspec.structs.replace(d, status=status, role=role) if d.id == host.id else d
        for d in whole.devices
    )
    return msgspec.structs.replace(whole, inventory_items=tuple(items), devices=devices)


class Site:
    """The lab, and runs of bare metal in it.

    Arguments:
        settings: whose lab.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.power = power.Power(settings)
        self.journal = Journal(settings.state / "journal.sqlite")
        self.said: list[str] = []
        self.up()

    def up(self) -> None:
        """See that the machine is there, and all that serves it, the Tang servers too."""
        lab.up(self.settings, self.dc(), [HOST], kinds={HOST: "qemu"})

    @staticmethod
    def dc(status: str = "planned") -> Datacentre:
        return Datacentre(Snapshot(content(status)))

    def directory(self, run: str) -> Path:
        """Of a run."""
        return self.settings.state / "runs" / run

    def address(self) -> str:
        found = self.dc().primary_ip4(self.dc().device(HOST))
        assert found is not None
        return found.address.partition("/")[0]

    def contact(self) -> Contact:
        """The way to the system that the machine runs."""
        return Contact(self.settings, HOST, self.address())

    def answers(self, seconds: float) -> bool:
        """Whether it lets us in, in that time."""
        end = time.monotonic() + seconds
        while self.contact().installed_by() is None:
            if time.monotonic() > end:
                return False
            time.sleep(2)
        return True

    def pins(self) -> str:
        """Clevis' policy for it."""
        dc = self.dc()
        policy, prints = grounds.tang(self.settings, dc)
        found = orders.encryption(dc, dc.device(HOST), policy, prints)
        return msgspec.json.encode(orders.pins(found)).decode()

    def plan(self, kind: str, status: str) -> tuple[Plan, Scene]:
        dc = self.dc(status)
        mark = changes.Mark(ids=frozenset(), lowest=0, newest="")
        scene = Scene(dc=dc, netbox_url="", commit="c0ffee", mark=mark)
        said, host = self.said.append, dc.device(HOST)
        made = plans.build(
            dc, scopes.parse(limit=HOST), kind=kind, target="lab", commit="c0ffee",
            kernels=reach.kernels(self.settings),
            ground=grounds.ground(self.settings, dc, [host], said, make=True),
        )  # fmt: skip
        return made, scene

    def carry_out(
        self, kind: str, status: str, run: str, known: dict[str, StepResult] | None = None
    ) -> tuple[list[str], dict[str, StepResult]]:
        """Take the host through the steps of bare metal; who came through, and its steps."""
        made, scene = self.plan(kind, status)
        ground = grounds.of_plan(self.settings, scene.dc, made, self.said.append, make=True)
        assert ground is not None
        if known is None:
            self.journal.open_run(record(run, made), made.hosts)
        recorder = Recorder(
            self.journal, run, steps_of(kind, dry_run=False), lambda e: self.say(e.host, e.message)
        )
        recorder.begin([HOST], "gate")
        deploying = Deploying(
            self.settings,
            scene,
            ground,
            made,
            say=self.said.append,
            directory=self.directory(run),
        )
        came = deploying.carry_out([HOST], {HOST: known or {}}, recorder, lambda: False)
        return came, self.journal.steps(run, HOST)

    def say(self, *words: str) -> None:
        self.said.append(" ".join(words))
        print(f"{time.strftime('%T')} {' '.join(words)}", flush=True)

    def console(self) -> str:
        return power.console(self.settings, HOST).read_text(errors="replace")[-3000:]
