"""One host from its BMC to a system that lets us in, or to erased disks: step by step.

Each step is in the journal before it begins. A host that a run is gone on with is looked at first:
the system that it runs says which run installed it, and its BMC whether it has power.
"""

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from chapelle.drivers.bmc.client import Bmc
from chapelle.drivers.bmc.contract import Override
from chapelle.drivers.boot import BootService, Opened, media
from chapelle.errors import ChapelleError
from chapelle.lab.ca import HostSigner
from chapelle.model import deploy
from chapelle.model.boot import BootWindow
from chapelle.model.hardware import BootWay, Model
from chapelle.model.outcome import StepResult
from chapelle.plan.deploy import order as orders
from chapelle.plan.deploy.order import Ground
from chapelle.run import bmc, bmc_change
from chapelle.run.deploy.certify import Evidence
from chapelle.run.deploy.clerk import Clerk, StoppedError
from chapelle.run.deploy.contact import Contact
from chapelle.run.deploy.escrow import PASSPHRASE, Escrow
from chapelle.run.deploy.heard import Heard, complaint
from chapelle.run.journal import Usual
from chapelle.run.steps import one_line

GATE, SETTINGS, WINDOW, BOOT, INSTALL, FIRST_BOOT, ERASE = (
    "gate", "settings", "window", "boot", "install", "first-boot", "erase",
)  # fmt: skip
_DONE = {"ok", "changed"}

# A window closes with the step that it is for; this is the last resort. Disks of many terabytes
# take days to be overwritten.
_LONGEST = {"build": 12 * 3600, "rebuild": 12 * 3600, "erase": 14 * 86400}
_POLL_SECONDS = 3.0

# Steps that take their time, and by how much they may outlast what is usual before it is told.
LONG_STEPS = (BOOT, INSTALL, FIRST_BOOT, ERASE)
_MORE_THAN_USUAL = 1.5


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What one host is worked on with.

    Arguments:
        order: what the installer shall do, without secrets.
        model: what is known of the host's model.
        stand: the BMC of this host alone.
        contact: the way to the system that it runs.
        known: its steps in this run before now, if it is gone on with.
        usual: how long its long steps took lately on machines of its model.
    """

    order: deploy.Order
    model: Model
    stand: bmc.Stand
    contact: Contact
    known: Mapping[str, StepResult]
    usual: Mapping[str, Usual]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What all hosts of a run are worked on with."""

    run: str
    ground: Ground
    service: BootService
    signer: HostSigner
    escrow: Escrow
    clerk: Clerk
    evidence: Evidence


class _Step:
    """A step at work: what it says when it ends."""

    outcome = "ok"
    message = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = time.monotonic()
        self.was_told = False


class HostWork:
    """The steps of one host; `carry_out` belongs to a thread of its own.

    Arguments:
        machine: the host.
        means: what all hosts share.
        heard: what is heard of it.
    """

    def __init__(self, machine: Machine, means: Means, heard: Heard) -> None:
        self._machine = machine
        self._means = means
        self._heard = heard
        self._host = machine.order.host
        self._seconds = means.ground.policy.seconds
        self._main = ERASE if machine.order.mode == "erase" else INSTALL

    def carry_out(self) -> bool:
        """Do what is left, its gate first, which the caller has begun; whether all went well."""
        try:
            self._gate()
            if not self._is_done(SETTINGS):
                self._settings()
            if not self._is_done(self._main) and not self._found_done():
                self._boot_and_do()
            if self._main == INSTALL:
                self._first_boot()
        except (ChapelleError, StoppedError):
            return False  # it is in the journal
        return True

    def _is_done(self, step: str) -> bool:
        return step in self._machine.known and self._machine.known[step].outcome in _DONE

    @contextmanager
    def _step(self, name: str, *, begun: bool = False) -> Iterator[_Step]:
        clerk, started, step = self._means.clerk, time.time(), _Step(name)
        if not begun:
            clerk.begin(self._host, name)
        try:
            yield step
        except StoppedError:
            clerk.end(self._host, name, "unknown", started, "stopped while at work on it")
            raise
        except ChapelleError as error:
            clerk.end(self._host, name, "failed", started, _line(error))
            raise
        clerk.end(self._host, name, step.outcome, started, step.message)

    # -- by its BMC -------------------------------------------------------------------------------

    def _gate(self) -> None:
        """It is the machine that NetBox means, as its BMC sees it."""
        with self._step(GATE, begun=True):
            self._by_bmc(lambda each: bmc_change.require_meant(self._machine.stand, each))

    def _settings(self) -> None:
        """Its firmware is set as its model wants it, by reading it back."""
        with self._step(SETTINGS) as step:
            changes = self._one(bmc_change.settle(self._machine.stand, lambda _done, _all: None))
            if changes:
                step.outcome = "changed"
                step.message = ", ".join(f"{each.setting} {each.wanted}" for each in changes)

    def _by_bmc[T](self, work: Callable[[Bmc], T], *, secret: str = "") -> T:
        """Have something done by its BMC; the secret is in no error."""
        outcome = bmc.each(self._machine.stand, work, lambda _done, _all: None)
        return self._one(outcome, secret=secret)

    def _one[T](self, outcome: bmc.Outcome[T], *, secret: str = "") -> T:
        for failure in outcome.failed:
            message = failure.message
            raise ChapelleError(message.replace(secret, "[...]") if secret else message)
        return outcome.done[self._host]

    # -- from the network -------------------------------------------------------------------------

    def _boot_and_do(self) -> None:
        """Open its boot window, boot it from the network, and wait for what the installer says."""
        means, made = self._means, self._machine.order
        end = datetime.timedelta(seconds=_LONGEST[made.mode])
        expires = datetime.datetime.now(datetime.UTC) + end
        with self._step(WINDOW):
            passphrase = self._passphrase()
            window = self._with_medium(
                orders.window(made, means.ground, self._machine.model, expires)
            )
            context = means.service.window(
                window,
                order=lambda: self._order(passphrase),
                on_report=self._reported,
                on_header=self._keep_header,
            )
            opened = context.__enter__()
        try:
            self._boot(opened)
            self._wait_for_installer()
        finally:
            context.__exit__(None, None, None)

    def _with_medium(self, window: BootWindow) -> BootWindow:
        """The window; if it is booted by virtual media, with what its BMC may fetch."""
        if orders.way(self._machine.model, self._means.ground) != "cd":
            return window
        return msgspec.structs.replace(
            window,
            medium=self._means.service.medium(window.firmware),
            bmc=self._machine.stand.targets[self._host].address,
        )

    def _passphrase(self) -> str:
        """What opens its disks. One that is rebuilt keeps it: its data disks know no other."""
        if self._machine.order.encryption is None:
            return ""
        if self._machine.order.mode == "rebuild":
            return self._means.escrow.open(self._host, PASSPHRASE).decode()
        return self._means.escrow.passphrase(self._host)

    def _order(self, passphrase: str) -> bytes:
        """The order, with a host key that is made and signed at this moment and kept nowhere."""
        made = self._machine.order
        keys: tuple[deploy.HostKey, ...] = ()
        if made.identity and made.network:
            address = made.network.address.partition("/")[0]
            names = dict.fromkeys([made.identity.hostname, made.identity.fqdn, address])
            key = self._means.signer.new(list(names))
            keys = (
                deploy.HostKey(
                    private=key.private.decode(),
                    public=key.public.decode(),
                    certificate=key.certificate.decode(),
                ),
            )
        done = orders.completed(made, self._means.run, host_keys=keys, passphrase=passphrase)
        return msgspec.json.encode(done)

    def _reported(self, data: bytes) -> bool:
        """The installer reports: what it says of erased disks is kept first."""
        said = msgspec.json.decode(data, type=deploy.Report)
        self._means.evidence.keep(self._host, said.erased)
        return self._heard.report(said)

    def _keep_header(self, name: str, data: bytes) -> None:
        self._means.escrow.keep(self._host, f"header-{name}", data)
        self._heard.header(name)

    def _boot(self, opened: Opened) -> None:
        with self._step(BOOT) as step:
            way = orders.way(self._machine.model, self._means.ground)
            mode = orders.firmware(self._machine.model)
            step.message = f"by {way}, {mode}"

            def start(each: Bmc) -> str:
                each.switch("off")
                before = each.insert(opened.medium_url) if way == "cd" else ""
                each.boot_next(Override(source=way, mode=mode, once=True))
                each.switch("on")
                return before

            self._heard.quiet()
            with self._medium_out_afterwards(way, opened.token):
                before = self._by_bmc(start, secret=opened.token)
                if before and not media.is_ours(before):
                    said = f"{media.shown(before)} was taken out of its virtual CD drive"
                    self._means.clerk.note(f"{self._host}: {said}")
                    step.message += f"; {said}"
                self._heard.quiet()
                while not self._heard.reports:
                    self._require_news(step, self._seconds.boot, "the installer to report")

    @contextmanager
    def _medium_out_afterwards(self, way: BootWay, token: str) -> Iterator[None]:
        """Empty its virtual CD drive on every exit, if it is booted from that.

        That this fails stops nothing: the medium counted for one boot, and its URL ends with the
        window.
        """
        try:
            yield
        finally:
            if way == "cd":
                try:
                    self._by_bmc(lambda each: each.eject(), secret=token)
                except ChapelleError as error:
                    note = f"{self._host}: its virtual CD drive was not emptied: {_line(error)}"
                    self._means.clerk.note(note)

    def _wait_for_installer(self) -> None:
        with self._step(self._main) as step:
            stage = ""
            while (said := self._heard.last) is None or said.outcome == "running":
                if said and said.stage != stage:
                    stage = said.stage
                    self._means.clerk.note(f"{self._host}: {self._heard.words}")
                self._require_news(step, self._seconds.silent, "news of the installer")
            if said.outcome != "done":
                raise ChapelleError(complaint(said))
            self._require_headers()
            step.outcome = "changed"
            step.message = f"{said.message} in {said.seconds:.0f} s"

    def _require_news(self, step: _Step, limit: float, what: str) -> None:
        """Wait a moment for news.

        Raises:
            StoppedError: the run is to stop.
            ChapelleError: the host was silent for too long; the last thing that it said is named.
        """
        self._heard.wait(1.0)
        self._means.clerk.rest(0)
        self._tell_if_slow(step)
        if self._heard.broken:
            raise ChapelleError(f"the boot service does not work any more: {self._heard.broken}")
        if self._heard.silent > limit:
            raise ChapelleError(
                f"stuck: {what} was expected within {limit:.0f} s; last heard: {self._heard.words}"
            )

    def _tell_if_slow(self, step: _Step) -> None:
        """Tell once that a step takes longer than it did lately; it has its time all the same."""
        usual = self._machine.usual.get(step.name)
        took = time.monotonic() - step.began
        if usual is None or step.was_told or took <= _MORE_THAN_USUAL * usual.longest:
            return
        step.was_told = True
        self._means.clerk.note(
            f"{self._host}: {step.name} has taken {took:.0f} s, and lately took "
            f"{usual.longest:.0f} s at most on machines of its model ({usual.times}); "
            f"last heard: {self._heard.words}"
        )

    def _require_headers(self) -> None:
        if self._main == ERASE:
            return
        made = self._machine.order
        wanted = {"root"} | {d.serial for d in made.disks if d.action in {"format", "mount"}}
        if missing := sorted(wanted - self._heard.headers):
            raise ChapelleError(
                "The installer is done, and backups of LUKS headers are missing.",
                expected=", ".join(sorted(wanted)),
                found=f"none of {', '.join(missing)}",
            )

    # -- its own system ---------------------------------------------------------------------------

    def _found_done(self) -> bool:
        """Of a host that is gone on with: whether it runs what this run has installed.

        A window that closed lets no installation end well, so one that was not seen to end is over
        when the host has no power. Until then it is waited for.
        """
        before = self._machine.known.get(INSTALL)
        if self._main != INSTALL or before is None or before.outcome != "unknown":
            return False
        deadline = time.monotonic() + self._seconds.first_boot
        while time.monotonic() < deadline:
            if self._machine.contact.installed_by() == self._means.run:
                for step in (WINDOW, BOOT, INSTALL):
                    with self._step(step) as seen:
                        seen.message = "found done: the system that answers is this run's"
                return True
            if self._by_bmc(lambda each: each.power()) == "off":
                return False
            self._means.clerk.rest(_POLL_SECONDS)
        return False

    def _first_boot(self) -> None:
        """It lets us in, shows a key that we signed, and is the system that this run installed."""
        if self._is_done(FIRST_BOOT):
            return
        with self._step(FIRST_BOOT) as step:
            deadline = time.monotonic() + self._seconds.first_boot
            while (found := self._machine.contact.installed_by()) != self._means.run:
                if time.monotonic() > deadline:
                    raise ChapelleError(
                        "It does not come up with the system that was installed.",
                        expected=f"an answer of the system of run {self._means.run}",
                        found="no answer" if found is None else f"that of run {found or '(none)'}",
                    )
                self._tell_if_slow(step)
                self._means.clerk.rest(_POLL_SECONDS)


def _line(error: ChapelleError) -> str:
    parts = [error.message.rstrip(".")]
    parts += [f"expected {error.expected}"] if error.expected else []
    parts += [f"found {error.found}"] if error.found else []
    return one_line("; ".join(parts))
