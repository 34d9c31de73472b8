"""The power switch of the lab's machines, and what each boots from: what a BMC does, without one.

A BMC in front of a node drives it by this. Nothing is held: what is on is found by looking at what
runs, and what a machine boots from is in a file beside its disks.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

import msgspec

from chapelle.errors import ChapelleError, InputError
from chapelle.lab import ca, cgroup, files, node, notes, qemu, qmp
from chapelle.lab.qemu import Firmware, Source
from chapelle.lab.spec import Node
from chapelle.settings import Settings

# Redfish's words for what a machine boots from, and by which firmware (DSP0268, ComputerSystem).
REDFISH_SOURCES: dict[str, Source] = {
    "Pxe": "network",
    "UefiHttp": "http",
    "Cd": "cd",
    "Hdd": "disk",
    "None": "disk",
}
REDFISH_MODES: dict[str, Firmware] = {"UEFI": "uefi", "Legacy": "bios"}

State = Literal["on", "off"]
# `shutdown` presses the button and leaves the rest to the system; the others act at once.
Action = Literal["on", "off", "reset", "shutdown"]


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine's firmware keeps: its kind, what comes first, and an override for once."""

    firmware: Firmware = "uefi"
    source: Source = "disk"
    once: Source | None = None


class Power:
    """All machines of one lab, by name.

    Arguments:
        settings: whose lab.
        hub: the hub's network namespace, if it is known under another path than the lab's own.

    Raises (each method):
        InputError: the lab has no such machine.
        ChapelleError: it does not obey.
    """

    def __init__(self, settings: Settings, hub: Path | None = None) -> None:
        self._settings = settings
        self._hub = hub or ca.namespace_path(settings)

    def state(self, host: str) -> State:
        """Whether a machine has power."""
        self._machine(host)
        return "on" if host in cgroup.Tree(self._settings).running() else "off"

    def setup(self, host: str) -> Setup:
        """What its firmware keeps."""
        path = self._home(self._machine(host)) / "setup.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Setup)
        except FileNotFoundError:
            return Setup()

    def boot_source(self, host: str, source: Source, *, once: bool = True) -> None:
        """Set what it boots from: at its next start only, or from then on."""
        with self._held(host) as each:
            setup = self.setup(host)
            if once:
                changed = msgspec.structs.replace(setup, once=source)
            else:
                changed = msgspec.structs.replace(setup, source=source, once=None)
            self._keep(each, changed)

    def firmware(self, host: str, kind: Firmware) -> None:
        """Set what kind of firmware it starts with next."""
        with self._held(host) as each:
            self._keep(each, msgspec.structs.replace(self.setup(host), firmware=kind))

    def medium(self, host: str, image: Path | None) -> None:
        """Put a copy of an image into its CD drive in place of what is there; none empties it."""
        with self._held(host) as each:
            kept = self._home(each) / qemu.MEDIUM
            if image is None:
                kept.unlink(missing_ok=True)
                command = qemu.ejecting()
            else:
                new = kept.with_suffix(".new")
                shutil.copyfile(image, new)
                new.replace(kept)
                command = qemu.inserting(kept)
            if self.state(host) == "on":
                qmp.ask(self._home(each), command)

    def power(self, host: str, action: Action) -> None:
        """Switch it. Switching on what is on, or off what is off, changes nothing."""
        with self._held(host) as each:
            on = self.state(host) == "on"
            if action == "on" and not on:
                self._start(each)
            elif action == "off" and on:
                cgroup.Tree(self._settings).kill([host])
            elif action == "reset" and on:
                self._reset(each)
            elif action == "shutdown" and on:
                qmp.ask(self._home(each), ("system_powerdown", {}))

    def _reset(self, each: Node) -> None:
        """A reset; what only QEMU's start can change needs a start."""
        if self.setup(each.name) == self._started(each):
            qmp.ask(self._home(each), ("system_reset", {}))
        else:
            cgroup.Tree(self._settings).kill([each.name])
            self._start(each)

    def _start(self, each: Node) -> None:
        setup, home = self.setup(each.name), self._home(each)
        source = setup.once or setup.source
        qemu.launch(
            each,
            home,
            firmware=setup.firmware,
            source=source,
            groups=cgroup.Tree(self._settings),
            hub=self._hub,
        )
        after = msgspec.structs.replace(setup, once=None)
        self._keep(each, after)
        files.write(home / "started.json", msgspec.json.encode(after))
        now, later = qemu.places(each, source), qemu.places(each, setup.source)
        changes = [  # from its next reset on
            {"path": f"/machine/peripheral/{name}", "property": "bootindex", "value": place}
            for name, place in later.items()
            if place != now[name]
        ]
        if changes:
            qmp.ask(home, *(("qom-set", change) for change in changes))

    def _started(self, each: Node) -> Setup | None:
        """What the machine that runs was started with, less what counted once."""
        with contextlib.suppress(FileNotFoundError):
            path = self._home(each) / "started.json"
            return msgspec.json.decode(path.read_bytes(), type=Setup)
        return None

    def _keep(self, each: Node, setup: Setup) -> None:
        files.write(self._home(each) / "setup.json", msgspec.json.encode(setup))

    def _home(self, each: Node) -> Path:
        return node.folder(self._settings) / each.name

    def _machine(self, host: str) -> Node:
        known = notes.read(self._settings)
        found = known.hosts.get(host) if known else None
        if found is None or found.node.machine is None:
            raise InputError(
                f"The lab has no machine {host!r}.",
                where="lab.json",
                expected="a node of kind qemu",
                found=repr(host) if found is None else found.node.kind,
                remedy=f"invoke lab.up --machines={host}",
            )
        return found.node

    @contextlib.contextmanager
    def _held(self, host: str) -> Iterator[Node]:
        """The machine, which nobody else switches meanwhile."""
        each = self._machine(host)
        with files.locked(self._home(each) / "lock", lambda: None):
            yield each


class RedfishPower:
    """The same switch for a BMC that tells at each start what to boot from, in Redfish's words.

    Arguments:
        settings: whose lab.

    Raises (each method):
        InputError: the lab has no such machine, or a machine knows nothing of that.
        ChapelleError: it does not obey.
    """

    def __init__(self, settings: Settings) -> None:
        self._power = Power(settings)

    def state(self, host: str) -> str:
        """`On` or `Off`."""
        return self._power.state(host).title()

    def power(self, host: str, action: str) -> None:
        """`on`, `off`, `reset` or `shutdown`."""
        for known in get_args(Action):
            if known == action:
                self._power.power(host, known)
                return
        raise _unknown(host, action, get_args(Action))

    def boot_source(self, host: str, source: str, mode: str) -> None:
        """What the next start is to boot from, and by which firmware."""
        if source not in REDFISH_SOURCES:
            raise _unknown(host, source, REDFISH_SOURCES)
        if mode not in REDFISH_MODES:
            raise _unknown(host, mode, REDFISH_MODES)
        self._power.firmware(host, REDFISH_MODES[mode])
        self._power.boot_source(host, REDFISH_SOURCES[source])


def _unknown(host: str, found: str, known: Iterable[str]) -> InputError:
    return InputError(
        "A machine of the lab cannot do this.",
        where=f"node {host}",
        expected=", ".join(known),
        found=repr(found),
    )


def console(settings: Settings, host: str) -> Path:
    """What a machine said on its serial port since it was made."""
    path = node.folder(settings) / host / qemu.CONSOLE
    if not path.parent.is_dir():
        raise ChapelleError(f"The lab has no machine {host}.", where=str(path))
    return path
