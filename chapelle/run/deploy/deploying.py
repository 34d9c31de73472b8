"""Brings several hosts up at once, behind one boot service that answers these hosts only."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chapelle.drivers.boot import BootService
from chapelle.model import records as r
from chapelle.model.boot import BootEvent
from chapelle.model.outcome import StepResult
from chapelle.plan.deploy import order as orders
from chapelle.plan.deploy.order import Ground
from chapelle.plan.plan import Plan
from chapelle.run import bmc, reach
from chapelle.run import boot as boot_place
from chapelle.run.deploy import site
from chapelle.run.deploy.certify import Evidence
from chapelle.run.deploy.clerk import Clerk
from chapelle.run.deploy.contact import Contact
from chapelle.run.deploy.escrow import Escrow
from chapelle.run.deploy.heard import Heard
from chapelle.run.deploy.host import GATE, LONG_STEPS, HostWork, Machine, Means
from chapelle.run.journal import Journal, Usual
from chapelle.run.prepare import Say, Scene
from chapelle.run.recorder import Recorder
from chapelle.settings import Settings

# What is told of hosts that have no window: who asks, and may not.
_TOLD = {"stranger", "closed", "refused", "expired"}


class Deploying:
    """What a run does to hosts before their own system answers.

    Arguments:
        settings: this installation.
        scene: what NetBox says.
        ground: what else orders are made of.
        plan: the run's plan.
        say: told of what is prepared.
        directory: the run's own, where evidence of erasure is kept.
    """

    def __init__(
        self,
        settings: Settings,
        scene: Scene,
        ground: Ground,
        plan: Plan,
        *,
        say: Say,
        directory: Path,
    ) -> None:
        self._settings = settings
        self.scene = scene
        self._ground = ground
        self._plan = plan
        self._say = say
        self._evidence = Evidence(directory)
        self.heard: dict[str, Heard] = {}

    def carry_out(
        self,
        hosts: Sequence[str],
        known: Mapping[str, Mapping[str, StepResult]],
        recorder: Recorder,
        must_stop: Callable[[], bool],
    ) -> list[str]:
        """Take hosts through their steps; the gate of each was begun. Those that came through.

        Arguments:
            hosts: which.
            known: their steps in this run before now.
            recorder: told of each step.
            must_stop: whether hosts are to be left as they are.

        Raises:
            ChapelleError: nothing can be begun: a BMC's login, the boot service; no host was
                touched. Or the journal cannot be written.
        """
        clerk = Clerk(recorder, must_stop)
        self.heard = {host: Heard(host) for host in hosts}
        devices = {name: self.scene.dc.device(name) for name in hosts}
        try:
            stand = bmc.on_stand(self._settings, self.scene, devices, self._say)
            usual = self._usual(recorder.journal, {each.device_type for each in devices.values()})
            machines = [
                self._machine(stand, device, known.get(name, {}), usual[device.device_type])
                for name, device in devices.items()
            ]
            service = BootService(
                boot_place.place(self._settings, self.scene.dc), self._names(), self._tell(clerk)
            )
            signer, escrow = site.signer(self._settings), Escrow(self._settings)
            service.__enter__()
        except BaseException:
            self._skip(hosts, recorder)
            raise
        try:
            means = Means(
                run=recorder.run,
                ground=self._ground,
                service=service,
                signer=signer,
                escrow=escrow,
                clerk=clerk,
                evidence=self._evidence,
            )
            with ThreadPoolExecutor(len(hosts), thread_name_prefix="deploy") as pool:
                works = [HostWork(m, means, self.heard[m.order.host]) for m in machines]
                futures = [pool.submit(work.carry_out) for work in works]
                clerk.pump(futures)
            return [name for name, future in zip(hosts, futures, strict=True) if future.result()]
        finally:
            service.__exit__(None, None, None)

    def _machine(
        self,
        stand: bmc.Stand,
        device: r.Device,
        known: Mapping[str, StepResult],
        usual: Mapping[str, Usual],
    ) -> Machine:
        name, dc = device.name or "", self.scene.dc
        made = orders.order(
            dc,
            device,
            self._ground,
            reach.kernels(self._settings).of(device),
            mode=orders.mode_of(self._plan.kind),
            status=self._plan.by_name[name].status,
        )
        address = dc.primary_ip4(device)
        return Machine(
            order=made,
            model=orders.model_of(dc, device, self._ground.quirks),
            stand=bmc.narrowed(stand, [name]),
            contact=Contact(
                self._settings, name, address.address.partition("/")[0] if address else name
            ),
            known=known,
            usual=usual,
        )

    def _usual(self, journal: Journal, models: Iterable[int]) -> dict[int, dict[str, Usual]]:
        """How long steps took lately, by the id of the device type and by step."""
        devices, target = self.scene.dc.content.devices, self._settings.target
        alike = {
            model: [each.name for each in devices if each.device_type == model and each.name]
            for model in models
        }
        return {
            model: journal.usual(LONG_STEPS, names, target=target) for model, names in alike.items()
        }

    def _names(self) -> dict[str, str]:
        """The host of each MAC address that NetBox knows."""
        dc = self.scene.dc
        return {
            port.mac_address.lower(): dc.devices[port.device].name or ""
            for port in dc.content.interfaces
            if port.mac_address and port.device in dc.devices
        }

    def _tell(self, clerk: Clerk) -> Callable[[BootEvent], None]:
        def tell(event: BootEvent) -> None:
            if event.kind == "broken":
                for heard in self.heard.values():
                    heard.event(event)
            elif event.host in self.heard:
                self.heard[event.host].event(event)
            elif event.kind in _TOLD:
                clerk.note(event.message)

        return tell

    @staticmethod
    def _skip(hosts: Sequence[str], recorder: Recorder) -> None:
        """Nothing was begun on these hosts after all."""
        now = time.time()
        for host in hosts:
            recorder.end(host, StepResult(step=GATE, outcome="skipped", started=now, finished=now))
