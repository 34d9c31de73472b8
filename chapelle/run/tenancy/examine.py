"""Takes the evidence of an acceptance, area by area.

All that changes anything is the loss of leafs: ports of the tenant that are shut for a moment
(`chapelle.run.tenancy.withdraw`).
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from chapelle import process
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.tenancy.acceptance import links as links_of
from chapelle.checks.tenancy.acceptance import premises
from chapelle.checks.tenancy.acceptance.line import Agreed
from chapelle.checks.tenancy.acceptance.loss import SOON, Loss
from chapelle.errors import ChapelleError
from chapelle.model import records as r
from chapelle.model.acceptance import FAILED, NOT_MEASURED, Evidence, Line, Pings
from chapelle.model.datacentre import Datacentre
from chapelle.model.switch import Facts
from chapelle.run.fabric import looking, survey
from chapelle.run.fabric.known import store_of
from chapelle.run.fabric.order import Connect
from chapelle.run.fabric.steps import words
from chapelle.run.fabric.survey import Gear, Look, Looks
from chapelle.run.tenancy import isolation
from chapelle.run.tenancy.lines import Place, lines
from chapelle.run.tenancy.probing import Probing, Way
from chapelle.run.tenancy.withdraw import REVERT_SECONDS, Withdrawal, withdrawn
from chapelle.settings import Settings

# Echo requests while a leaf is lost, and seconds until its lines have to be up again.
LOST_REQUESTS = 50
BACK_SECONDS = 90.0
_POLL = 2.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator asks for.

    Arguments:
        tenant: its slug or name.
        probes: hosts that measure; in the lab the tenant's edges are, if none is named.
        readings: of meters, in kilowatt hours, by the feed's name.
        agreed: what the lines have to do.
        loss: whether leafs are lost in turn; else why not, in words.
    """

    tenant: str
    probes: tuple[Place, ...] = ()
    readings: Mapping[str, float] = {}
    agreed: Agreed = Agreed()
    loss: str = ""


class Examination:
    """One examination of one tenant.

    Arguments:
        settings: this installation.
        dc: what NetBox says.
        tenant: who is examined.
        wish: what the operator asks for.
        run: names the checkpoints on switches.
        connect: opens sessions with switches.
        say: told what is examined.
    """

    def __init__(
        self,
        settings: Settings,
        dc: Datacentre,
        tenant: r.Tenant,
        wish: Wish,
        *,
        run: str,
        connect: Connect,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._dc = dc
        self._tenant = tenant
        self._wish = wish
        self._run = run
        self._say = say
        self._connect = connect
        self.lines = lines(dc, tenant)
        self.evidence: list[Evidence] = []
        self._answers: Looks = {}
        self._looks: dict[str, Look] = {}
        self._gears: dict[str, Gear] = {}
        self._probing = Probing(settings, dc, tenant, wish.probes)

    @property
    def aisles(self) -> tuple[str, ...]:
        """The numbers of the aisles where the tenant has lines."""
        return tuple(sorted({line.aisle for line in self.lines}, key=int))

    def _note(self, found: Iterable[Evidence]) -> None:
        for each in found:
            self.evidence.append(msgspec.structs.replace(each, when=time.time()))

    # -- what switches say ------------------------------------------------------------------------

    def links(self) -> None:
        """Ask every switch of the tenant for its lines."""
        dc = self._dc
        names = sorted({line.switch for line in self.lines})
        self._say(f"asking {', '.join(names)}")
        self._gears = survey.gears(self._settings, dc, [dc.device(name) for name in names])
        store, forks = store_of(self._settings), looking.forks_of(None)
        self._answers = survey.survey(self._gears, self._connect, store, forks=forks, facts=True)
        self._looks, errors = looking.parted(self._answers)
        known = dc.devices_by_name.keys()
        for edge in links_of.edges(dc, self._tenant):
            reached = {line.switch for line in self.lines if line.edge == edge.name}
            if len(reached) != 2:
                self._note([links_of.missing(edge.name or "", len(reached))])
        for name, look in self._looks.items():
            self._note([links_of.configured(name, look.diff)])
        for line in self.lines:
            if line.switch in errors:
                self._note([links_of.unread(line, words(errors[line.switch]))])
            elif facts := self._looks[line.switch].facts:
                lacking = "; ".join(self._gears[line.switch].not_exercised)
                self._note(links_of.judge(line, facts, known, lacking))

    def measure(self) -> None:
        """Measure the lines from inside the tenant's network."""
        self._say("measuring the lines")
        self._note(self._probing.measure(self.aisles, self._wish.agreed))

    # -- the loss of a leaf -----------------------------------------------------------------------

    def losses(self) -> None:
        """Shut the tenant's ports of each leaf in turn, and see whether the others carry."""
        for aisle in self.aisles:
            here = [line for line in self.lines if line.aisle == aisle]
            for leaf in sorted({line.switch for line in here}):
                loss = Loss(leaf=leaf, lines=tuple(line for line in here if line.switch == leaf))
                others = tuple(line for line in here if line.switch != leaf)
                if refusal := self._why_not(loss, others):
                    self._note([refusal])
                    continue
                self._say(f"{leaf}: {', '.join(loss.ports)} are shut for a moment")
                self._note(self._lose(loss, others, self._probing.answering.get(aisle)))

    def _why_not(self, loss: Loss, others: Sequence[Line]) -> Evidence | None:
        if self._wish.loss:
            return loss.not_tried(self._wish.loss, NOT_MEASURED)
        names = (loss.leaf, *(line.switch for line in others))
        lacking = [gap for n in names if n in self._gears for gap in self._gears[n].not_exercised]
        if lacking:
            return loss.not_tried(f"not measured: {lacking[0]}", NOT_MEASURED)
        down = [str(line) for line, up in self._up((*loss.lines, *others)).items() if not up]
        if down or not others:
            why = f"down: {', '.join(down)}" if down else "no line by another leaf"
            return loss.not_tried(f"{why}; the tenant would have lost all", FAILED)
        return None

    def _lose(self, loss: Loss, others: Sequence[Line], way: Way | None) -> list[Evidence]:
        gear = self._gears[loss.leaf]
        what = Withdrawal(
            target=gear.target,
            serial=gear.expected.serial,
            ports=loss.ports,
            name=f"chapelle-{self._run}",
        )
        found: list[Evidence] = []
        settled: Pings | None = None
        whole: list[Pings] = []
        try:
            with contextlib.ExitStack() as stack:
                if way:
                    seconds = REVERT_SECONDS + BACK_SECONDS
                    watching = way.probe.watching(way.address, seconds=seconds)
                    whole = stack.enter_context(watching)
                with withdrawn(what, self._connect):
                    found.append(loss.seen(self._settled(others, way)))
                    settled = way.probe.ping(way.address, count=LOST_REQUESTS) if way else None
                found.append(loss.came_back(self._back(loss.lines)))
        except ChapelleError as error:
            return [*found, loss.not_shut(words(error))]
        if way and settled and whole:
            return [*found, loss.carried(settled, whole[0], f"ping from {way}")]
        why = "nothing answered before" if self._probing.places else self._probing.why_not
        return [*found, loss.no_packets(why)]

    def _settled(self, others: Sequence[Line], way: Way | None) -> dict[Line, bool]:
        """The lines by the other leaf, once traffic has found its way; at most some seconds."""
        end = time.monotonic() + SOON
        while True:
            answered = way is None or way.probe.ping(way.address, count=5).lost == 0
            up = self._up(others)
            if time.monotonic() > end or (answered and all(up.values())):
                return up
            time.sleep(_POLL)

    def _back(self, wanted: Sequence[Line]) -> list[Line]:
        """The lines that do not come up again in time."""
        end = time.monotonic() + BACK_SECONDS
        while True:
            down = [line for line, up in self._up(wanted).items() if not up]
            if not down or time.monotonic() > end:
                return down
            time.sleep(_POLL)

    def _up(self, wanted: Sequence[Line]) -> dict[Line, bool]:
        """Whether lines are up now; those of a switch that does not answer are not."""
        facts = {name: self._facts(name) for name in sorted({line.switch for line in wanted})}
        return {
            line: read is not None and links_of.is_up(line, read)
            for line in wanted
            for read in (facts[line.switch],)
        }

    def _facts(self, name: str) -> Facts | None:
        try:
            with self._connect(self._gears[name].target) as switch:
                return switch.facts()
        except ChapelleError:
            return None

    # -- what needs no switch ---------------------------------------------------------------------

    def isolation(self) -> None:
        """Prove that nobody reaches anybody, from intent and from what the switches run."""
        self._say("proving isolation")
        proven = isolation.of_looks(self._settings, self._dc, self._answers)
        for proof in proven.proofs:
            self._note(premises.isolation(proof))
        self._note(map(premises.not_looked_at, proven.not_exercised))

    def premises(self) -> None:
        """Judge power and meters."""
        self._say("judging power and meters")
        self._note(premises.power(Plant(self._dc), self._tenant))
        readings, owner = self._wish.readings, process.owner()
        self._note(premises.meters(self._dc, self._tenant, readings, owner))
