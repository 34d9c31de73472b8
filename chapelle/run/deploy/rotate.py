"""New keys for the disks of hosts that run: Tang binding and recovery passphrase, one host a time.

The next passphrase is kept before a disk knows it, and takes the place of the old one when the host
says that every disk opens with it and none with the old. A rotation that was stopped anywhere is
gone on with by the same command.
"""

import base64
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError, InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.status import IN_SERVICE
from chapelle.netbox import lock
from chapelle.netbox.writeback import Writer
from chapelle.plan.deploy import order as orders
from chapelle.plan.scope import Scope, select
from chapelle.run import prepare
from chapelle.run.deploy import ground as grounds
from chapelle.run.deploy.contact import Contact
from chapelle.run.deploy.escrow import NEXT, PASSPHRASE, Escrow, new_passphrase
from chapelle.run.filing import new_id
from chapelle.run.steps import one_line
from chapelle.settings import Settings

_SCRIPT = Path(__file__).with_name("rotate.sh")
# Each passphrase is tried against each slot, and a try takes seconds on purpose.
_SECONDS = 1800.0
_AT_ONCE = 8


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Which hosts have new keys, and which not, with why."""

    done: tuple[str, ...]
    failed: Mapping[str, str]


def rotate(settings: Settings, scope: Scope, say: Callable[[str], None]) -> Outcome:
    """Rotate the keys of the hosts of a scope that are in service and whose passphrase we keep.

    Raises:
        InputError: the scope means no such host, or what is kept cannot be opened.
        LockedError: somebody else is at work there.
    """
    scene = prepare.scene(settings, say)
    escrow = Escrow(settings)
    devices = {}
    for device in select(scene.dc, scope, IN_SERVICE).devices:
        name = device.name or ""
        if escrow.has(name, PASSPHRASE) or escrow.has(name, NEXT):
            devices[name] = device
        else:
            say(f"{name} is left out: no passphrase of it is kept here")
    if not devices:
        raise InputError(
            f"There is no host in {scope} whose keys could be rotated.",
            where=str(settings.state / "escrow"),
            expected="the passphrase of a host that was brought up by us",
            found="none",
        )
    ready = _Ready(settings, scene.dc, devices, escrow, say)
    numbers = {scene.dc.aisle_number(device) for device in devices.values()}
    slugs = sorted(f"aisle-{number}" for number in numbers if number)
    with (
        lock.hold(settings, slugs, run=new_id(), reason=f"keys.rotate {scope}", say=say),
        ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rotate") as pool,
    ):
        results = dict(zip(devices, pool.map(ready.host, devices), strict=True))
    return Outcome(
        done=tuple(name for name, why in results.items() if not why),
        failed={name: why for name, why in results.items() if why},
    )


class _Ready:
    """What rotating needs, for all hosts."""

    def __init__(
        self,
        settings: Settings,
        dc: Datacentre,
        devices: Mapping[str, r.Device],
        escrow: Escrow,
        say: Callable[[str], None],
    ) -> None:
        self._dc = dc
        self._devices = devices
        self._escrow = escrow
        self._say = say
        self._policy, self._thumbprints = grounds.tang(settings, dc)
        self._writer = Writer(settings, patience=settings.netbox_patience)
        self._contacts = {
            name: Contact(settings, name, _address(dc, device)) for name, device in devices.items()
        }

    def host(self, name: str) -> str:
        """Rotate the keys of one host; why it failed, or nothing."""
        try:
            renew(self._contacts[name], self._escrow, self._pins(name))
            self._writer.journal(
                self._devices[name].id, "chapelle: keys of its disks rotated and proven", "success"
            )
        except ChapelleError as error:
            return one_line(f"{error.message} {error.found or ''}")
        self._say(f"{name}: new keys, each proven")
        return ""

    def _pins(self, name: str) -> str:
        encryption = orders.encryption(
            self._dc, self._devices[name], self._policy, self._thumbprints
        )
        return msgspec.json.encode(orders.pins(encryption)).decode()


def renew(contact: Contact, escrow: Escrow, pins: str) -> None:
    """Give one host's disks new keys.

    Arguments:
        contact: the way to the host.
        escrow: where its passphrases are kept.
        pins: clevis' policy for the new binding, as JSON.

    Raises:
        ChapelleError: the host could not be reached, or a key does not open; the old keys that are
            not yet replaced still open, and both passphrases are kept.
    """
    host = contact.host
    if not escrow.has(host, NEXT):
        escrow.keep(host, NEXT, new_passphrase().encode())
    new = escrow.open(host, NEXT).decode()
    old = escrow.open(host, PASSPHRASE).decode() if escrow.has(host, PASSPHRASE) else new
    done = contact.run(
        _SCRIPT.read_text(encoding="utf-8"), secret=f"{old}\n{new}\n{pins}\n", seconds=_SECONDS
    )
    if done.returncode != 0:
        raise ChapelleError(
            f"The keys of {host} are not rotated.",
            where=host,
            expected="every disk to open with its new keys",
            found=one_line(done.stderr) or f"exit status {done.returncode}",
            remedy="the same command again goes on; both passphrases are kept until then",
        )
    for line in done.stdout.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "header":
            name, _, data = rest.partition(" ")
            escrow.keep(host, f"header-{name}", base64.b64decode(data))
    escrow.replace(host)


def _address(dc: Datacentre, device: r.Device) -> str:
    found = dc.primary_ip4(device)
    return found.address.partition("/")[0] if found else device.name or ""
