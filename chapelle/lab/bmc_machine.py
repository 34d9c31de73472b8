"""One server as its BMC of the lab shows it: what it is made of, its power, and what is wrong.

Time passes for it when it is asked: power changes a moment after it was told to, as in a real
machine, and what was pending is taken up when it starts.
"""

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from chapelle.lab.bmc_identity import Identity

# The files of a fleet's directory.
FLEET_FILE = "fleet.json"
FAULTS_FILE = "faults.json"
SERVING_FILE = "serving.json"
LOGIN_FILE = "login.json"

# What can be wrong with a BMC of the lab. A number says how often, or how many seconds.
FAULTS = {
    "unreachable": "closes each connection at once",
    "silent": "takes requests and never answers",
    "busy": "answers 503; with a number, that many times",
    "slow": "waits that many seconds before each answer",
    "lost-answer": "resets, or changes a password or its certificate, and closes the connection "
    "without an answer",
    "stranger": "has a certificate of an authority that nobody knows, until it is given another",
    "no-certificate": "has no certificate, and so cannot shake hands",
    "no-request": "has no service that makes requests for certificates",
    "refuses-certificate": "refuses each certificate that it is given",
    "stale-certificate": "takes a certificate, and serves the old one until it is restarted",
    "wrong-serial": "shows another serial number",
    "no-serial": "shows no serial number",
    "wrong-model": "shows another model",
    "swapped-ports": "shows the addresses of its first two ports crosswise",
    "missing-disk": "does not show its last disk",
    "foreign-disk": "shows another disk in the place of its last one",
    "stuck-power": "takes requests to change power, and does nothing",
    "stuck-settings": "takes settings, and starts with the old ones",
    "stuck-password": "takes another password, and keeps the old one",
    "forgets": "loses pending settings and what to boot from when power changes",
    "ignores-override": "takes what to boot from, and does not keep it",
    "boots-disk": "keeps what to boot from, and boots from disk",
    "picky-drive": "wants to be told how a medium is fetched, and a body to take it out",
    "stuck-drive": "takes a medium in or out, and does nothing",
}
Faults = Mapping[str, float]

POWER_SECONDS = 0.2
OTHER_SERIAL = "CHP000000000000"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A disk of a machine; `size` in bytes."""

    serial: str
    size: int
    model: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A server and where its BMC listens.

    `ports` are MAC addresses in the order of ports, `backend` is what switches it (by name, in
    chapelle.lab.bmc_server), `settings` are attributes of its firmware that are not as usual.
    """

    name: str
    uuid: str
    address: str
    serial: str
    manufacturer: str
    model: str
    ports: tuple[str, ...]
    disks: tuple[Part, ...]
    backend: str = "simulated"
    settings: dict[str, str] = {}


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What `fleet.json` says: the machines, and the TCP port of all BMCs."""

    machines: dict[str, Machine]
    port: int = 443


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who may log in to a BMC."""

    user: str
    password: str


class Logins(msgspec.Struct, frozen=True, kw_only=True):
    """What `login.json` says: who may log in, by server, and to those that are not named."""

    default: Login
    hosts: dict[str, Login] = {}


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What `serving.json` says: whom it serves, and what is wrong with them."""

    machines: tuple[str, ...] = ()
    faults: dict[str, dict[str, float]] = {}


class Answer(msgspec.Struct, frozen=True):
    """An answer of HTTP; no status for a connection that is closed without one."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Backend(Protocol):
    """What switches a machine behind its BMC: nothing but memory, or a virtual machine."""

    def state(self, host: str) -> str:
        """`On` or `Off`."""

    def power(self, host: str, action: str) -> None:
        """Switch `on` or `off`, or ask for a `shutdown`; none waits for what the machine does.

        After `off` it can be switched on at once: a restart is `off` and `on`.
        """

    def boot_source(self, host: str, source: str, mode: str) -> None:
        """What the next start is to boot from, in Redfish's words; called before `on`."""

    def medium(self, host: str, image: Path | None) -> None:
        """Put a copy of an image into the CD drive; none empties it. It may have power."""


class Simulated:
    """Machines that have no more than power."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[str, float]] = {}
        self._states: dict[str, str] = {}

    def state(self, host: str) -> str:
        """What it has become by now."""
        change = self._changes.get(host)
        if change and time.monotonic() >= change[1]:
            self._states[host] = change[0]
            del self._changes[host]
        return self._states.get(host, "Off")

    def power(self, host: str, action: str) -> None:
        """Change in a moment."""
        state = "On" if action == "on" else "Off"
        self._changes[host] = (state, time.monotonic() + POWER_SECONDS)

    def boot_source(self, host: str, source: str, mode: str) -> None:
        """A machine that is not there boots from nothing."""

    def medium(self, host: str, image: Path | None) -> None:
        """It has no drive either; its BMC says what it was told."""


class Board:
    """A machine's BMC: what it has been told. All of it is lost when the lab goes down.

    `booted` is what each start booted from, in order; `identity` its key and certificate.
    """

    def __init__(
        self, machine: Machine, login: Login, backend: Backend, identity: Identity
    ) -> None:
        self.machine = machine
        self.identity = identity
        self.login = login
        self.faults: Faults = {}
        self.lock = threading.RLock()
        self.bios: dict[str, Any] = {**FIRST_BIOS, **machine.settings}
        self.pending: dict[str, Any] = {}
        self.secure_boot = False
        self.secure_boot_wanted = False
        self.target = "None"
        self.enabled = "Disabled"
        self.mode = "UEFI"
        self.booted: list[str] = []
        self.answered = 0
        self._backend = backend

    def seen(self) -> Machine:
        """The machine as its BMC shows it."""
        machine, faults = self.machine, self.faults
        serial = OTHER_SERIAL if "wrong-serial" in faults else machine.serial
        ports, disks = list(machine.ports), list(machine.disks)
        if "swapped-ports" in faults:
            ports[:2] = reversed(ports[:2])
        if {"missing-disk", "foreign-disk"} & set(faults):
            last = disks.pop()
            if "foreign-disk" in faults:
                disks.append(msgspec.structs.replace(last, serial=OTHER_SERIAL))
        return msgspec.structs.replace(
            machine,
            serial="" if "no-serial" in faults else serial,
            model="Another model" if "wrong-model" in faults else machine.model,
            ports=tuple(ports),
            disks=tuple(disks),
        )

    def power_state(self) -> str:
        """`On` or `Off`."""
        return self._backend.state(self.machine.name)

    def reset(self, kind: str) -> None:
        """Do a reset of that type (DSP2046, ResetType)."""
        if "stuck-power" in self.faults:
            return
        name = self.machine.name
        if "forgets" in self.faults:
            self.pending = {}
            self.secure_boot_wanted = self.secure_boot
            self.target, self.enabled = "None", "Disabled"
        if kind == "GracefulShutdown":
            self._backend.power(name, "shutdown")
        elif kind == "ForceOff":
            self._backend.power(name, "off")
        elif kind in {"On", "ForceOn"}:
            if self.power_state() == "Off":
                self._start()
        elif "Restart" in kind:
            self._backend.power(name, "off")
            self._start()
        else:
            raise ValueError(kind)

    def _start(self) -> None:
        if "stuck-settings" not in self.faults:
            self.bios |= self.pending
            self.secure_boot = self.secure_boot_wanted
        self.pending = {}
        source = "Hdd" if self.enabled == "Disabled" else self.target
        if self.enabled == "Once":
            self.target, self.enabled = "None", "Disabled"
        if "boots-disk" in self.faults:
            source = "Hdd"
        self.booted.append(source)
        self._backend.boot_source(self.machine.name, source, self.mode)
        self._backend.power(self.machine.name, "on")

    def medium(self, image: Path | None) -> None:
        """Take an image for the CD drive, or empty it."""
        self._backend.medium(self.machine.name, image)

    def override(self, target: str | None, enabled: str | None, mode: str | None) -> None:
        """Take what to boot from."""
        if "ignores-override" in self.faults:
            return
        self.target = target or self.target
        self.enabled = enabled or ("Once" if target else self.enabled)
        self.mode = mode or self.mode


# What firmware comes with from its maker, in the words of family `generic`.
FIRST_BIOS = {
    "BootMode": "Bios",
    "TpmState": "Disabled",
    "ProcHyperthreading": "Enabled",
    "SerialConsole": "Disabled",
    "AcPowerRecovery": "Last",
    "EmbeddedSata": "Ahci",
}
