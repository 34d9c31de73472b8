"""Who reaches whom: proven from what NetBox says, and from what switches are seen to run.

Switches are read and nothing else: no lock is taken, and nothing is written anywhere. NetBox's
content need not be sound for that, unlike for a run: what is wrong with it is what is asked.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec

from chapelle.checks.tenancy.isolation import prove, prove_running
from chapelle.checks.tenancy.isolation.running.read import read
from chapelle.drivers.switch.contract import Target
from chapelle.errors import ChapelleError, ExitCode
from chapelle.fabric.platforms import FRR
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.isolation import Proof, Reading
from chapelle.model.switch import Kernel
from chapelle.plan.scope import Scope, select_switches
from chapelle.run.fabric import reach, survey
from chapelle.run.fabric.compare import require_serial
from chapelle.run.fabric.connecting import connecting
from chapelle.run.fabric.order import Connect
from chapelle.run.fabric.survey import Look
from chapelle.run.prepare import Say
from chapelle.settings import Settings

# What is said of switches whose kernels lack what their configuration speaks of.
NO_LINKS = "VLANs of ports, gateways, and the kernel's routes: not there (containers)"


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What was proven; `not_exercised` is what could not be looked at, with the switches."""

    proofs: tuple[Proof, ...]
    not_exercised: Mapping[str, tuple[str, ...]] = {}

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """All leaks, each once: what is wrong in NetBox runs on switches, too."""
        found: dict[tuple[str, str], Finding] = {}
        for proof in self.proofs:
            for leak in proof.leaks:
                found.setdefault((leak.rule, leak.remedy), leak)
        return tuple(found.values())

    @property
    def exit_code(self) -> ExitCode:
        """What it tells the shell: what was not looked at weighs more than a leak."""
        if any(proof.unread for proof in self.proofs):
            return ExitCode.HOSTS_FAILED
        return ExitCode.FINDINGS if self.leaks else ExitCode.OK


def applies(dc: Datacentre) -> bool:
    """Whether there is anybody to be kept apart: VRFs of more than one tenant."""
    return len({vrf.tenant for vrf in dc.content.vrfs if vrf.tenant is not None}) > 1


def from_intent(dc: Datacentre) -> Proven:
    """Prove it from what NetBox says."""
    return Proven(proofs=(prove(dc),))


def live(settings: Settings, dc: Datacentre, scope: Scope, say: Say, forks: int) -> Proven:
    """Prove it from what NetBox says, and from what the switches of a scope run.

    Raises:
        InputError: the scope means nothing.
    """
    selection = select_switches(dc, scope)
    for device in selection.left_out:
        say(f"{device.name} is left out: its status is {device.status}")
    say(f"reading {len(selection.devices)} switches")
    answers = _look(settings, dc, selection.devices, forks)
    readings = {name: each for name, each in answers.items() if isinstance(each, Reading)}
    unread = {name: each for name, each in answers.items() if isinstance(each, str)}
    return _proven(settings, dc, readings, unread)


def of_looks(
    settings: Settings, dc: Datacentre, looks: Mapping[str, Look | ChapelleError]
) -> Proven:
    """The same from looks at switches that somebody else took, with their facts."""
    readings, unread = {}, {}
    for name, look in looks.items():
        if isinstance(look, Look):
            kernel = look.facts.kernel if look.facts else None
            readings[name] = read(dc, dc.device(name), look.running, kernel)
        else:
            unread[name] = look.message
    return _proven(settings, dc, readings, unread)


def _proven(
    settings: Settings,
    dc: Datacentre,
    readings: Mapping[str, Reading],
    unread: Mapping[str, str],
) -> Proven:
    if not readings and not unread:
        return from_intent(dc)
    lacking = tuple(sorted(name for name in readings if not reach.has_links(settings, name)))
    return Proven(
        proofs=(prove(dc), prove_running(dc, readings, unread)),
        not_exercised={NO_LINKS: lacking} if lacking else {},
    )


# -- reading switches -----------------------------------------------------------------------------


def _look(
    settings: Settings, dc: Datacentre, devices: Iterable[r.Device], forks: int
) -> dict[str, Reading | str]:
    """What each switch does, or why it could not be read."""
    connect = connecting(settings)

    def one(device: r.Device) -> Reading | str:
        try:
            return _read(connect, dc, device, reach.target(settings, dc, device))
        except ChapelleError as error:
            return error.message
        except Exception as error:  # noqa: BLE001 - one odd answer must not hide all other switches
            slug = dc.platforms[device.platform].slug if device.platform in dc.platforms else "none"
            return survey.odd_answer(device.name or "", slug, error).message

    found = list(devices)
    with ThreadPoolExecutor(max_workers=forks) as pool:
        answers = pool.map(one, found)
        return {device.name or "": answer for device, answer in zip(found, answers, strict=True)}


def _read(connect: Connect, dc: Datacentre, device: r.Device, target: Target) -> Reading:
    """Read one switch.

    Raises:
        ChapelleError: it cannot be reached, is another one, or does not answer as it should.
    """
    with connect(target) as switch:
        require_serial(target, device.serial, switch.identify())
        running = switch.running()
        kernel: Kernel | None = None
        if target.platform == FRR.slug:
            kernel = switch.facts().kernel
    return read(dc, device, running, kernel)
