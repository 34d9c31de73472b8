"""How a plan for a tenant is carried out, gone on with, and taken back.

NetBox is written first, under the locks of all aisles, and the switches follow it with locks of
their own. So whatever is killed at any instant, NetBox says what is intended, the papers say how
far the run came, and the same command again does what is left.

begun -> NetBox, first part -> frozen -> switches -> followed -> NetBox, second part -> done
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from chapelle.errors import ChapelleError, ExitCode, HostsFailedError, RefusedError
from chapelle.model.change import Change, Ids
from chapelle.model.datacentre import Datacentre
from chapelle.netbox import changeset, lock, snapshot
from chapelle.netbox.access import Session, access
from chapelle.netbox.changeset.journal import opened
from chapelle.plan.scope import Scope
from chapelle.plan.tenancy.plan import TenancyPlan
from chapelle.run.fabric import looking, push
from chapelle.run.operator import Done, Operator
from chapelle.run.tenancy.papers import FREEZE, RELEASE, Papers
from chapelle.settings import Settings

type Say = Callable[[str], None]

# Changes after which a line says how far it is.
_EVERY = 25

# What a switch is when nothing of a push is left on it.
_BACK = frozenset({"unchanged", "reverted", "failed", "unreachable", "pending"})


class Carrying:
    """One run for a tenant.

    Arguments:
        settings: this installation.
        papers: those of the run, which has begun.
        dc: the datacentre, for its aisles.
        operator: who is told, and watches the switches.
        again: the command that goes on with the run, and with ` --undo` takes it back.
    """

    def __init__(
        self, settings: Settings, papers: Papers, dc: Datacentre, operator: Operator, again: str
    ) -> None:
        self._settings = settings
        self._papers = papers
        self._plan = papers.plan
        self._dc = dc
        self._operator = operator
        self._again = again

    # -- forwards ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Do what is left, from whatever stage.

        Raises:
            RefusedError: NetBox has moved, or refuses a change: nothing was changed.
            LockedError: somebody is at work in an aisle.
            HostsFailedError: switches did not follow; the error says what was done about it.
            ChapelleError: NetBox is away: the same command again does what is left.
        """
        if self._papers.state.stage == "begun":
            self._first()
        if self._papers.state.stage in ("frozen", "following"):
            self._follow()
        if self._papers.state.stage == "followed":
            self._second()

    def _first(self) -> None:
        fresh = not self._papers.journal(FREEZE).exists()
        try:
            with self._locks():
                if fresh:
                    require_unmoved(self._settings, self._plan, self._operator.say)
                self._operator.say(f"NetBox: {self._plan.freeze} changes")
                self._write(FREEZE)
                self._papers.note(stage="frozen")
        except ChapelleError:
            if self._is_blank():
                self._papers.note(stage="undone")
            raise

    def _is_blank(self) -> bool:
        """Whether nothing of the first part is in NetBox, and nothing will be."""
        path = self._papers.journal(FREEZE)
        if not path.exists():
            return True
        with opened(path) as journal:
            return journal.state.outcome == "undone"

    def _follow(self) -> None:
        """Have the switches follow; if they cannot, and none was touched, NetBox goes back."""
        state = self._papers.state
        if not state.switches:
            self._papers.note(stage="followed")
            return
        first = state.stage == "frozen"
        self._papers.note(stage="following")
        try:
            done = self._push()
        except ChapelleError as error:
            if first:
                self._back(error.message)
            raise
        if done.result.exit_code == ExitCode.OK:
            self._papers.note(stage="followed")
            return
        if first and _is_back(done):
            self._back("the switches did not follow, and are as they were")
            raise _not_followed(done, f"mend the cause, then {self._again}")
        raise _not_followed(
            done,
            f"NetBox says what is intended, and not every switch does it. When all switches "
            f"answer: {self._again}; or, to take everything back: {self._again} --undo",
        )

    def _second(self) -> None:
        if self._part(RELEASE):
            with self._locks():
                self._operator.say(f"NetBox: {len(self._part(RELEASE))} changes more")
                self._write(RELEASE)
        self._papers.note(stage="done")

    # -- backwards --------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take everything back: NetBox first, then the switches.

        Raises:
            RefusedError: somebody has changed since what would be taken back.
            HostsFailedError: a switch did not follow; the same command again goes on.
            ChapelleError: NetBox is away: the same command again goes on.
        """
        touched = self._papers.state.stage not in ("begun", "frozen")
        with self._locks():
            self._take_back()
            if touched:
                self._papers.note(stage="undoing")
        if touched and self._papers.state.switches:
            done = self._push()
            if done.result.exit_code != ExitCode.OK:
                raise _not_followed(done, f"when all switches answer: {self._again} --undo")
        self._papers.note(stage="undone")

    def _back(self, why: str) -> None:
        """Take NetBox back after switches that did not follow."""
        self._operator.say(f"taking back what NetBox was told: {why}")
        with self._locks():
            self._take_back()
        self._papers.note(stage="undone")

    def _take_back(self) -> None:
        """Take both parts back in NetBox; what the second has made again has other ids then."""
        ids: Ids = {}
        with Session(access(self._settings, "tenancy")) as session:
            for part in (RELEASE, FREEZE):
                path = self._papers.journal(part)
                if path.exists():
                    ids = changeset.undo(session, path, sparsely(self._operator.say), ids=ids).ids

    # -- the steps --------------------------------------------------------------------------------

    @contextmanager
    def _locks(self) -> Iterator[None]:
        """Hold the locks of all aisles, so that nobody else plans with what we take."""
        with lock.hold(
            self._settings,
            [location.slug for location in self._dc.aisles.values()],
            run=self._papers.run,
            reason=f"{self._plan.kind} {self._plan.reference or self._plan.tenant}",
            say=self._operator.say,
        ):
            yield

    def _part(self, part: str) -> Sequence[Change]:
        changes, freeze = self._plan.changes, self._plan.freeze
        return changes[:freeze] if part == FREEZE else changes[freeze:]

    def _write(self, part: str) -> None:
        """Write a part of the plan to NetBox, or finish that."""
        path, say = self._papers.journal(part), sparsely(self._operator.say)
        with Session(access(self._settings, "tenancy")) as session:
            if path.exists():
                result = changeset.resume(session, path, say)
            else:
                result = changeset.write(session, self._part(part), path, say)
        if result.outcome == "undone":
            raise RefusedError(
                "What was begun in NetBox had to be taken back; nothing was changed.",
                where=str(path),
                expected="all changes written",
                found="all of them taken back",
                remedy=f"{self._again}; it plans anew",
            )

    def _push(self) -> Done:
        """Have the switches do what NetBox says by now."""
        scope = Scope(kind="limit", values=self._papers.state.switches)
        order = push.Order(scope=scope, forks=looking.forks_of(None))
        done = push.push(self._settings, order, self._operator)
        self._papers.note(pushes=(*self._papers.state.pushes, done.result.id))
        self._operator.conclude(done)
        return done


def require_unmoved(settings: Settings, plan: TenancyPlan, say: Say) -> None:
    """Make sure that NetBox holds what the plan was made from.

    Raises:
        RefusedError: it does not.
    """
    now = snapshot.take(settings, say).snapshot.hash
    if now != plan.snapshot:
        raise RefusedError(
            "The plan no longer holds: NetBox has changed since it was made. Nothing was changed.",
            where=f"plan {plan.hash[:12]}",
            expected=f"snapshot {plan.snapshot[:12]}",
            found=f"snapshot {now[:12]}",
            remedy="plan again, and read what is different",
        )


def sparsely(say: Say) -> Say:
    """Tell every so many of the lines that begin with `<number>/<total>`, and the last one."""
    count = 0

    def tell(line: str) -> None:
        nonlocal count
        count += 1
        place, _, total = line.partition(" ")[0].partition("/")
        if count % _EVERY == 0 or place == total:
            say(f"  {line}")

    return tell


def _is_back(done: Done) -> bool:
    """Whether nothing of a push is left on any switch."""
    return all(host.outcome in _BACK for host in done.result.hosts)


def _not_followed(done: Done, remedy: str) -> HostsFailedError:
    outcomes = ", ".join(f"{host.host} {host.outcome}" for host in done.result.hosts)
    return HostsFailedError(
        "The switches do not do what NetBox was to say.",
        where=f"run {done.result.id}: invoke runs.show {done.result.id}",
        expected="every switch in the new configuration",
        found=f"{done.result.stopped or 'see the run'} ({outcomes})",
        remedy=remedy,
    )
