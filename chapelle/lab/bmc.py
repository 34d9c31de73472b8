"""The lab's BMCs: one process that is all of them, in the hub, on the addresses NetBox gives them.

They need no nodes: three hundred of them are one process. `lab.down` ends it with the lab, and
keeps its authority and logins, as it keeps the keys for SSH.
"""

import ipaddress
import os
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from cryptography import x509

from chapelle import process
from chapelle.errors import ChapelleError, InputError, RefusedError
from chapelle.lab import bmc_ca, ca, cgroup, files, wires
from chapelle.lab.bmc_machine import (
    FAULTS,
    FAULTS_FILE,
    FLEET_FILE,
    LOGIN_FILE,
    SERVING_FILE,
    Faults,
    Fleet,
    Logins,
    Machine,
    Part,
    Serving,
)
from chapelle.lab.notes import Say
from chapelle.lab.spec import Services
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import VIRTUAL_TYPES
from chapelle.settings import Settings

USER = "chapelle"
SIMULATED = "simulated"
GIGABYTE = 10**9
START_SECONDS = 300.0  # on a machine with much else to do
ANSWER_SECONDS = 10.0

_PROCESS, _WORDS = "process", "words"


def authority(settings: Settings) -> Path:
    """The file of the certificate that signs those of the lab's BMCs."""
    return _keys(settings) / bmc_ca.AUTHORITY


def credentials(settings: Settings) -> Path:
    """The file of the logins of the lab's BMCs."""
    return _keys(settings) / "credentials.yml"


def _keys(settings: Settings) -> Path:
    return settings.state / "bmc"


def folder(settings: Settings) -> Path:
    """Where the fleet's process has its files."""
    return settings.state / "lab" / "bmc"


# -- what machines there are ----------------------------------------------------------------------


def machine(dc: Datacentre, name: str, backend: str = SIMULATED) -> Machine:
    """A server as NetBox describes it, for its BMC to show.

    Arguments:
        dc: the datacentre.
        name: of the server.
        backend: what switches it.

    Raises:
        InputError: there is no such server, or it has no address out of band.
    """
    device = dc.device(name)
    address = dc.ip_addresses.get(device.oob_ip or 0)
    if not dc.is_server(device) or address is None:
        raise InputError(
            f"There can be no BMC of {name}.",
            where=f"device {name} in NetBox",
            expected="a server with an out-of-band address (oob_ip)",
            found="no such address" if dc.is_server(device) else f"role {dc.role_of(device)}",
        )
    kind = dc.device_types[device.device_type]
    return Machine(
        name=name,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}/{device.serial}")),
        address=address.address.partition("/")[0],
        serial=device.serial,
        manufacturer=dc.manufacturers[kind.manufacturer].name,
        model=kind.model,
        ports=tuple(
            port.mac_address or ""
            for port in sorted(dc.interfaces_by_device.get(device.id, ()), key=lambda p: p.name)
            if not port.mgmt_only and port.type not in VIRTUAL_TYPES
        ),
        disks=tuple(_disks(dc, device)),
        backend=backend,
    )


def _disks(dc: Datacentre, device: r.Device) -> Iterable[Part]:
    for item in dc.inventory_by_device.get(device.id, ()):
        role = dc.inventory_item_roles.get(item.role or 0)
        if role and role.slug == "disk":
            size = int(item.custom_fields.get("disk_size_gb") or 0) * GIGABYTE
            yield Part(serial=item.serial, size=size, model=item.part_id)


# -- up -------------------------------------------------------------------------------------------


def up(
    settings: Settings,
    dc: Datacentre,
    hosts: Iterable[str],
    say: Say = lambda _: None,
    *,
    backends: Mapping[str, str] | None = None,
) -> dict[str, Machine]:
    """See that the BMCs of these servers answer, beside those that do already.

    Arguments:
        settings: whose lab.
        dc: the datacentre that they are taken from.
        hosts: names of servers.
        say: told of each thing that is done, one line each.
        backends: what switches each, by name of the server; one that is not there keeps its own.

    Returns:
        All BMCs of the lab, by the name of their server.

    Raises:
        InputError: NetBox does not say enough of a server.
        RefusedError: not root; nothing was changed.
        ChapelleError: they do not start.
    """
    _require_root()
    files.directory(settings.state)
    path = settings.state / "lab.lock"
    with files.locked(path, lambda: say("another process is at work on the lab")):
        place, hub_path = folder(settings), ca.namespace_path(settings)
        known = machines(settings)
        chosen = {name: each.backend for name, each in known.items()} | dict(backends or {})
        # Those that were there follow what NetBox says of them now.
        names = {**dict.fromkeys(n for n in known if _has_bmc(dc, n)), **dict.fromkeys(hosts)}
        fleet = {name: machine(dc, name, chosen.get(name, SIMULATED)) for name in names}
        runs = _runs(place, hub_path)
        if fleet == known and fleet.keys() <= set(_serving(place).machines) and runs:
            return fleet
        addresses = {dc.ip_addresses[dc.device(name).oob_ip or 0].address for name in fleet}
        with wires.Hub(hub_path) as hub:
            # Before the fleet is told of them: it listens on them at once.
            hub.prepare([], Services(time=(), bmc=tuple(sorted(addresses))))
            prepare(settings, place, fleet)
            if not runs:
                say(f"starting BMCs of {len(fleet)} servers")
                start(place, _entering(settings, hub.namespace))
            wait(place, lambda serving: fleet.keys() == set(serving.machines))
    return fleet


def _require_root() -> None:
    if os.geteuid() != 0:
        raise RefusedError(
            "The lab's BMCs need root: they are in a network namespace.",
            expected="user id 0",
            found=f"user id {os.geteuid()}",
            remedy="run it with sudo",
        )


def _has_bmc(dc: Datacentre, name: str) -> bool:
    device = dc.devices_by_name.get(name)
    return device is not None and dc.is_server(device) and device.oob_ip in dc.ip_addresses


def _entering(settings: Settings, namespace: int) -> Callable[[], None]:
    """What takes a new process into the lab: its group, its network, its own table of mounts."""
    groups = cgroup.Tree(settings)
    groups.make()
    enter_group = groups.entering(cgroup.HOLDER)
    hubs = ca.all_namespaces()

    def enter() -> None:
        enter_group()
        os.setns(namespace, os.CLONE_NEWNET)
        wires.own_mounts(hubs)

    return enter


def machines(settings: Settings) -> dict[str, Machine]:
    """The BMCs that the lab was asked for, by the name of their server."""
    try:
        data = (folder(settings) / FLEET_FILE).read_bytes()
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(data, type=Fleet).machines


def prepare(settings: Settings, place: Path, fleet: Mapping[str, Machine], port: int = 443) -> None:
    """Write what the fleet's process needs: machines, certificates, and who may log in.

    Arguments:
        settings: whose authority and login.
        place: the directory of the process's files.
        fleet: the machines by name.
        port: the TCP port of all BMCs.
    """
    keys = files.directory(_keys(settings))
    signer = bmc_ca.Authority(keys)
    login = credentials(settings)
    if not login.exists():
        password = secrets.token_urlsafe(18)
        files.write(login, f"default: {{user: {USER}, password: {password}}}\n")
    certificates = files.directory(place / "certificates")
    for name, each in fleet.items():
        # It names the address: a BMC that has moved gets another one.
        if not (certificates / f"{name}.pem").exists() or _address(place, name) != each.address:
            files.write(certificates / f"{name}.pem", signer.issue(name, each.address))
    if not (certificates / "stranger.pem").exists():
        files.write(certificates / "stranger.pem", bmc_ca.stranger("192.0.2.1"))
    known = msgspec.yaml.decode(login.read_bytes(), type=Logins)
    files.write(place / LOGIN_FILE, msgspec.json.encode(known))
    content = Fleet(machines=dict(fleet), port=port)
    files.write(place / FLEET_FILE, msgspec.json.encode(content))


def _address(place: Path, name: str) -> str:
    """The address that a machine's certificate was made for."""
    data = (place / "certificates" / f"{name}.pem").read_bytes()
    certificate = x509.load_pem_x509_certificates(data)[0]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = names.get_values_for_type(x509.IPAddress)
    return str(ipaddress.ip_address(str(found[0])))


def start(place: Path, enter: Callable[[], None] | None = None) -> "subprocess.Popen[bytes]":
    """Start the fleet's process; it does not end with ours.

    Arguments:
        place: the directory of its files.
        enter: called in the process before it becomes the fleet.
    """
    for name in (SERVING_FILE, _PROCESS):
        (place / name).unlink(missing_ok=True)
    with (place / _WORDS).open("wb") as words:
        child = subprocess.Popen(
            [sys.executable, "-m", "chapelle.lab.bmc_server", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
            preexec_fn=enter,  # noqa: PLW1509  (no other thread of ours runs)
            env={
                **process.environment(),
                "PYTHONPATH": os.pathsep.join(sys.path),
                "TMPDIR": str(place),
            },
        )
    files.write(place / _PROCESS, process.identity(child.pid))
    return child


def _runs(place: Path, hub: Path | None = None) -> bool:
    """Whether the fleet's process runs; and in the network of that hub, and not of a lost one."""
    try:
        name = (place / _PROCESS).read_text()
        network = Path(f"/proc/{process.pid_of(name)}/ns/net")
        there = hub is None or network.stat().st_ino == hub.stat().st_ino
    except FileNotFoundError:
        return False
    return there and process.alive(name)


def _serving(place: Path) -> Serving:
    try:
        return msgspec.json.decode((place / SERVING_FILE).read_bytes(), type=Serving)
    except FileNotFoundError:
        return Serving()


def wait(place: Path, done: Callable[[Serving], bool], seconds: float = START_SECONDS) -> None:
    """Wait until the fleet's process says that it has come that far.

    Raises:
        ChapelleError: it has not in time, or it has ended.
    """
    deadline = time.monotonic() + seconds
    while not done(_serving(place)):
        if time.monotonic() > deadline or not _runs(place):
            words = (place / _WORDS).read_text(errors="replace").strip().splitlines()
            raise ChapelleError(
                "The lab's BMCs do not do what was asked.",
                where=str(place),
                expected=f"that they serve within {seconds:.0f} s",
                found=words[-1] if words else "nothing was said",
                remedy="invoke lab.down, then the same command again",
            )
        time.sleep(0.02)


# -- faults ---------------------------------------------------------------------------------------


def set_faults(place: Path, faults: Mapping[str, Faults]) -> None:
    """Let BMCs have these faults and no others, by server; returns when they have.

    Raises:
        InputError: there is no such fault.
        ChapelleError: the fleet's process does not run.
    """
    for name, each in faults.items():
        for fault in each:
            if fault not in FAULTS:
                raise InputError(
                    "A BMC of the lab cannot have that fault.",
                    where=name,
                    expected=f"one of {', '.join(FAULTS)}",
                    found=repr(fault),
                )
    wanted = {name: {k: float(v) for k, v in each.items()} for name, each in faults.items()}
    files.write(place / FAULTS_FILE, msgspec.json.encode(wanted))
    wait(place, lambda serving: serving.faults == wanted, ANSWER_SECONDS)


def faults_of(place: Path) -> dict[str, dict[str, float]]:
    """The faults that BMCs have now, by server."""
    return _serving(place).faults
