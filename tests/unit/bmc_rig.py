"""BMCs of the reference datacentre on this machine's loopback, with the lab's own process."""

import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import reference

from chapelle.drivers.bmc import credentials, quirks
from chapelle.drivers.bmc.contract import Target
from chapelle.lab import bmc as fleets
from chapelle.lab.bmc_machine import Faults, Machine
from chapelle.model.datacentre import Datacentre
from chapelle.model.hardware import Family, Limits
from chapelle.settings import ROOT, Settings

QUIRKS = quirks.read(ROOT / "inventory" / "hardware-quirks.yml")
IMPATIENT = Limits(answer=3, power=10, shutdown=10, settings=3)


class Rig:
    """A fleet that runs, and how its BMCs are reached."""

    def __init__(self, state: Path, machines: Mapping[str, Machine], port: int) -> None:
        self.settings = Settings.load({"CHAPELLE_STATE": str(state)})
        self.place = fleets.folder(self.settings)
        self.machines = machines
        self.port = port
        self.dc: Datacentre = reference.datacentre()

    def target(self, host: str, *, patience: float = 20, limits: Limits = IMPATIENT) -> Target:
        machine = self.machines[host]
        model = QUIRKS.of(machine.manufacturer, machine.model)
        family: Family = msgspec.structs.replace(QUIRKS.family(model), seconds=limits)
        return Target(
            host=host,
            address=machine.address,
            port=self.port,
            login=credentials.read(fleets.credentials(self.settings)).of(host),
            authority=str(fleets.authority(self.settings)),
            family=family,
            model=model,
            patience=patience,
        )

    def faults(self, **faults: Faults) -> None:
        """Let hosts have faults, by name with underscores, and no others have any."""
        fleets.set_faults(self.place, {name.replace("_", "-"): f for name, f in faults.items()})


def machine(dc: Datacentre, name: str, number: int) -> Machine:
    address = f"127.{os.getpid() % 200 + 20}.{number // 250}.{number % 250 + 1}"
    return msgspec.structs.replace(fleets.machine(dc, name), address=address)


@contextmanager
def running(state: Path, names: list[str]) -> Iterator[Rig]:
    dc = reference.datacentre()
    machines = {name: machine(dc, name, number) for number, name in enumerate(names)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rig = Rig(state, machines, port)
    rig.place.mkdir(parents=True, exist_ok=True)
    fleets.prepare(rig.settings, rig.place, machines, port=port)
    process = fleets.start(rig.place)
    try:
        fleets.wait(rig.place, lambda serving: len(serving.machines) == len(machines))
        yield rig
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert "Traceback" not in (rig.place / "words").read_text()


def timed(began: float) -> float:
    return time.monotonic() - began
