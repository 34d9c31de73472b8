"""One change to one switch: it ends in the old configuration or in the new one, and says which.

    identify -> compare -> check -> diff -> checkpoint -> arm -> [drain ->] apply [-> undrain]
             -> re-diff -> post-check -> confirm -> persist

Until `arm` nothing is touched. From then on the switch goes back by itself, with or without us, so
whatever goes wrong has one answer: take it back over a new session; if there is none, wait until
the switch has done it, and look. Each step is in the journal before it begins and after it ends.
"""

import time

from chapelle.checks.fabric import after_change
from chapelle.drivers.switch.contract import (
    BusyError,
    CandidateError,
    Switch,
    SwitchError,
    UnreachableError,
    UnwrittenError,
)
from chapelle.fabric import ownership
from chapelle.model.outcome import Change, Difference
from chapelle.model.switch import Facts, Identity
from chapelle.run.fabric import drain, management, papers
from chapelle.run.fabric.compare import drift, drifted, not_approved, require_serial
from chapelle.run.fabric.known import Store, digest
from chapelle.run.fabric.order import (
    ADOPT,
    APPLIED,
    FAILED,
    OVERWRITE,
    REVERTED,
    UNCHANGED,
    UNKNOWN,
    Connect,
    Ending,
    Limits,
    Log,
    Order,
    PostCheckError,
)
from chapelle.run.fabric.papers import Papers
from chapelle.run.fabric.steps import step, words

_POLL = 2.0  # seconds between two looks at a switch
_ROOM = 5.0  # seconds before the switch's own revert in which nothing new is begun
_GRACE = 60.0  # seconds after it in which the switch may still be at it


class Transaction:
    """One order, carried out once.

    Arguments:
        order: what is to be done.
        connect: opens a session with a switch.
        log: where each step is written down.
        kept: where its papers go.
        store: what is known of all switches.
        limits: how long things may take.
    """

    def __init__(
        self,
        order: Order,
        *,
        connect: Connect,
        log: Log,
        kept: Papers,
        store: Store,
        limits: Limits,
    ) -> None:
        self.order = order
        self.name = order.target.name
        self.platform = order.target.platform
        self.limits = limits
        self._connect = connect
        self._log = log
        self._kept = kept
        self._store = store
        self._began = time.monotonic()
        self._identity: Identity | None = None
        self._near = False  # whether the change touches the path that we manage it by
        self._armed = False  # whether the switch may be in anything but the old configuration
        self._fires = 0.0  # when the switch goes back by itself; 0 when it does not
        self._confirming = False
        self._startup = False  # whether what it starts with may be anything but the old one

    def run(self) -> Ending:
        """Carry the order out. Whatever goes wrong is in the ending."""
        try:
            with self._connect(self.order.target) as switch:
                prepared = self._prepare(switch)
                if prepared is None:
                    return self._ending(UNCHANGED)
                running, candidate = prepared
                before = self._checkpoint(switch, running, candidate)
                self._arm(switch)
                self._change(switch, candidate, before)
            with self._connect(self.order.target) as switch:
                self._post_check(switch, before)
                self._confirm(switch)
                return self._persist(switch, candidate)
        except Exception as error:  # noqa: BLE001 - whatever it is, the switch must not stay so
            return self._undo(error)

    # -- before anything is touched ---------------------------------------------------------------

    def _prepare(self, switch: Switch) -> tuple[str, str] | None:
        """Identify, compare, check, and diff.

        Returns:
            What runs and the candidate made from it, or None if nothing is to be done.
        """
        with step(self._log, "identify"):
            self._identify(switch)
        running = self._compare(switch)
        if running is None:
            return None
        candidate = ownership.merge(self.platform, running, self.order.sections)
        with step(self._log, "check"):
            switch.check(candidate)
        if self._differs(switch, running, candidate):
            return running, candidate
        self._note_unchanged(switch, running)
        return None

    def _identify(self, switch: Switch) -> None:
        self._identity = switch.identify()
        require_serial(self.order.target, self.order.expected.serial, self._identity)

    def _compare(self, switch: Switch) -> str | None:
        """What runs now; None when changes of others were adopted, so that this is all."""
        with step(self._log, "compare") as noted:
            if pending := switch.pending():
                raise BusyError(
                    f"{self.name} has an unconfirmed change on it.",
                    where=f"device {self.name}, checkpoint {pending.checkpoint}",
                    expected="no change under way",
                    found=f"one that it takes back by itself in {pending.seconds:.0f} s",
                    remedy="resume the run that began it, or wait",
                )
            running = switch.running()
            own = ownership.owned(self.platform, running)
            lines = drift(self.platform, self._store, self.name, own)
            if not lines:
                return running
            self._log.note(f"{self.name}: changed by others since the last run:\n{lines}")
            if self.order.drift == OVERWRITE:
                noted.message = "what others changed is overwritten"
                return running
            if self.order.drift != ADOPT:
                raise drifted(self.name, lines)
            self._store.keep(self.name, self.order.device_id, own, self.order.run)
            noted.message = "adopted: what others changed is known now"
        with step(self._log, "diff") as noted:
            noted.outcome, noted.message = "skipped", "left as it is: its changes were adopted"
        return None

    def _differs(self, switch: Switch, running: str, candidate: str) -> bool:
        with step(self._log, "diff") as noted:
            diff = ownership.diff(self.platform, running, candidate)
            own_words = switch.diff(candidate)
            self._kept.put(papers.DIFF, diff)
            self._kept.put(papers.DEVICE_DIFF, own_words)
            if not diff and not own_words:
                return False  # whatever was approved is there already
            if self.order.approved is not None and digest(diff) != self.order.approved:
                raise not_approved(self.name, diff)
            noted.outcome = "changed"
            lines = management.touched(diff, self.order.path)
        if lines:
            self._near = True
            self._log.note(
                f"{self.name}: this touches the path by which we manage it, so it gets "
                f"{self.limits.management} s to prove itself: {'; '.join(lines[:3])}"
            )
        return True

    def _note_unchanged(self, switch: Switch, running: str) -> None:
        """Know what is there; what an earlier run confirmed and did not write, is written now."""
        own = ownership.owned(self.platform, running)
        known = self._store.read(self.name)
        if known is not None and known.attempt:
            with step(self._log, "persist"):
                switch.persist()
        if known is None or known.attempt or known.sections != own:
            self._store.keep(self.name, self.order.device_id, own, self.order.run)

    def _checkpoint(self, switch: Switch, running: str, candidate: str) -> Facts:
        with step(self._log, "checkpoint"):
            before = switch.facts()
            checkpoint = switch.checkpoint(self.order.checkpoint)
            self._require_still(running, checkpoint)
            self._kept.put_facts(papers.BEFORE, before)
            self._kept.put(papers.SECTIONS, self.order.sections)
            self._kept.put(papers.CANDIDATE, candidate)
            self._kept.put(papers.CHECKPOINT, checkpoint)
            self._store.attempt(
                self.name,
                self.order.device_id,
                ownership.owned(self.platform, checkpoint),
                ownership.owned(self.platform, candidate),
                self.order.run,
            )
            if time.monotonic() - self._began > self.limits.before:
                raise SwitchError(
                    f"{self.name} took too long.",
                    where=f"device {self.name}",
                    expected=f"{self.limits.before:.0f} s at most before anything is changed",
                    found=f"{time.monotonic() - self._began:.0f} s",
                    remedy="see what slows it down, or raise --device-seconds",
                )
        return before

    def _require_still(self, running: str, checkpoint: str) -> None:
        """See that nobody changed the switch since: the candidate would silently undo that."""
        if diff := ownership.diff(self.platform, running, checkpoint):
            raise BusyError(
                f"Somebody changed {self.name} while its change was prepared.",
                where=f"device {self.name}",
                expected="the configuration that was compared",
                found=diff.strip().splitlines()[-1].strip(),
                remedy="let them finish, then plan and push again",
            )

    # -- the change -------------------------------------------------------------------------------

    def _arm(self, switch: Switch) -> None:
        seconds = self.limits.management if self._near else self.limits.revert
        self._armed = True  # even if nobody sees that it is
        self._fires = time.monotonic() + seconds
        with step(self._log, "arm") as noted:
            switch.arm(self.order.checkpoint, seconds)
            noted.message = f"goes back by itself in {seconds} s"

    def _change(self, switch: Switch, candidate: str, before: Facts) -> None:
        """Apply. Of a switch that is drained, this happens while nothing flows through it."""
        drained = self._drain(switch, before) if self.order.drain else False
        wanted = (drain.drained(self.platform, candidate) if drained else None) or candidate
        with step(self._log, "apply") as noted:
            self._apply(switch, wanted)
            noted.outcome = "changed"
            noted.changes = (
                Change(
                    role=self.platform,
                    kind="configuration",
                    item="configuration",
                    diff=self._kept.get(papers.DIFF) or "",
                ),
            )
        if drained:
            with step(self._log, "undrain"):
                if wanted != candidate:
                    self._apply(switch, candidate)
        with step(self._log, "re-diff"):
            self._require(switch, candidate)

    def _apply(self, switch: Switch, candidate: str) -> None:
        """Apply, and once more what did not go the first time.

        Where that is not atomic, what others still refer to is removed in a second pass only
        (measured with FRR 8.4.4: `no bfd`, while neighbours with BFD go in the same pass).
        """
        try:
            switch.apply(candidate)
        except (CandidateError, BusyError, UnreachableError):
            raise
        except SwitchError:
            if switch.pending() is None:
                raise
            switch.apply(candidate)

    def _drain(self, switch: Switch, before: Facts) -> bool:
        """Move the traffic away; whether that was done."""
        checkpoint = self._kept.get(papers.CHECKPOINT) or ""
        drained = drain.drained(self.platform, checkpoint)
        with step(self._log, "drain") as noted:
            noted.outcome = "skipped"
            if not any(peer.established for peer in before.bgp):
                noted.message = "no BGP session is established: nothing flows through it"
            elif drained is None:
                noted.message = drain.why_not(self.platform, checkpoint)
                self._log.note(f"{self.name} is not drained: {noted.message}")
            else:
                noted.outcome = "ok"
                switch.apply(drained)
                time.sleep(self.limits.drain)
        return noted.outcome == "ok"

    def _require(self, switch: Switch, wanted: str) -> None:
        running = switch.running()
        left = ownership.diff(self.platform, running, wanted) or switch.diff(wanted)
        if left:
            raise SwitchError(
                f"{self.name} took the configuration and runs something else.",
                where=f"device {self.name}",
                expected="no difference after it was applied",
                found=left.strip().splitlines()[-1].strip(),
                remedy="its platform shows a line otherwise than it is rendered",
            )

    def _post_check(self, switch: Switch, before: Facts) -> None:
        with step(self._log, "post-check") as noted:
            require_serial(self.order.target, before.identity.serial, switch.identify())
            noted.not_exercised = self.order.not_exercised
            end = time.monotonic() + self.limits.settle
            if self._fires:
                end = min(end, self._fires - _ROOM)
            good_since: float | None = None
            while True:
                after = switch.facts()
                differences = after_change(self.order.expected, before, after)
                noted.differences = tuple(differences)
                now = time.monotonic()
                if differences:
                    good_since = None
                elif good_since is None:
                    good_since = now  # a neighbour that is gone is not missed at once
                if good_since is not None and now - good_since >= self.limits.steady:
                    break
                pause = _POLL if good_since is None else good_since + self.limits.steady - now
                if now + pause > end:
                    raise PostCheckError(self.name, differences or [_unsteady(self.limits)])
                time.sleep(pause)
            self._kept.put_facts(papers.AFTER, after)

    def _confirm(self, switch: Switch) -> None:
        self._confirming = True
        with step(self._log, "confirm"):
            switch.confirm(self.order.checkpoint)
        self._fires = 0.0

    def _persist(self, switch: Switch, candidate: str) -> Ending:
        with step(self._log, "persist"):
            try:
                switch.persist()
            except UnwrittenError:
                raise
            except Exception:
                self._startup = True
                raise
        own = ownership.owned(self.platform, candidate)
        self._store.keep(self.name, self.order.device_id, own, self.order.run)
        return self._ending(APPLIED)

    # -- the way back -----------------------------------------------------------------------------

    def _undo(self, error: Exception) -> Ending:
        if not self._armed:
            return self._ending(FAILED, f"{words(error)}; nothing was touched")
        if self._confirming and self._fires:
            return self._after_confirm(words(error))
        return self._back(words(error))

    def _after_confirm(self, reason: str) -> Ending:
        """The switch was told to keep the change, and nobody saw whether it heard: look."""
        try:
            with self._connect(self.order.target) as switch:
                self._identify(switch)
                candidate = self._kept.get(papers.CANDIDATE) or ""
                if switch.pending() is None and self._runs(switch, candidate):
                    self._fires = 0.0
                    return self._persist(switch, candidate)
        except Exception as error:  # noqa: BLE001 - the way back tries again, and says what it finds
            reason = f"{reason}; {words(error)}"
        return self._back(reason)

    def _back(self, reason: str) -> Ending:
        """See that the old configuration is in force: by our hand, or by the switch's own."""
        end = max(self._fires, time.monotonic()) + _GRACE
        self._log.begin("revert")
        while True:
            try:
                with self._connect(self.order.target) as switch:
                    how = self._restore(switch)
                break
            except Exception as error:  # noqa: BLE001 - tried until the switch must have done it
                if time.monotonic() + _POLL > end:
                    found = f"{reason}; it could not be seen to run and start with the old: "
                    found += words(error)
                    self._log.end("revert", "unknown", found)
                    return self._ending(UNKNOWN, found)
            time.sleep(_POLL)
        self._store.give_up(self.name)
        self._log.end("revert", "ok", f"{reason}; {how}")
        return self._ending(REVERTED, f"{reason}; {how}")

    def _restore(self, switch: Switch) -> str:
        self._identify(switch)
        checkpoint = self._kept.get(papers.CHECKPOINT) or ""
        how = "it had gone back by itself"
        if switch.pending() is not None or not self._is_back(switch, checkpoint):
            switch.revert(self.order.checkpoint)
            how = "it was taken back"
            if not self._runs(switch, checkpoint):
                raise SwitchError(
                    f"{self.name} does not run its old configuration.",
                    where=f"device {self.name}",
                    expected=f"what its checkpoint {self.order.checkpoint} holds",
                    found="something else",
                )
        if self._startup:
            switch.persist()
        return how

    def _is_back(self, switch: Switch, checkpoint: str) -> bool:
        """Whether the old configuration runs. A switch that cannot even say is not back yet."""
        try:
            return self._runs(switch, checkpoint)
        except UnreachableError:
            raise
        except SwitchError:
            return False

    def _runs(self, switch: Switch, wanted: str) -> bool:
        return not ownership.diff(self.platform, switch.running(), wanted)

    # -- after a killed controller ----------------------------------------------------------------

    def resume(self) -> Ending | None:
        """End what a controller that is gone left under way.

        Returns:
            None: the switch is untouched or back in the old configuration, and the order can be
            carried out anew. Else what became of it.
        """
        checkpoint, candidate = self._kept.get(papers.CHECKPOINT), self._kept.get(papers.CANDIDATE)
        before = self._kept.facts(papers.BEFORE)
        if checkpoint is None or candidate is None or before is None:
            return None
        self._armed = self._startup = True
        self._fires = time.monotonic() + max(self.limits.revert, self.limits.management)
        try:
            with self._connect(self.order.target) as switch:
                self._identify(switch)
                pending = switch.pending()
                self._fires = time.monotonic() + pending.seconds if pending else 0.0
                running = switch.running()
                if self._owns(running, candidate):
                    self._log.note(f"{self.name} runs the new configuration: going on from there")
                    self._confirming = pending is None
                    self._post_check(switch, before)
                    if pending:
                        self._confirm(switch)
                    return self._persist(switch, candidate)
                if pending is None and self._is_left(running, checkpoint):
                    self._store.give_up(self.name)
                    return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the switch must not stay so
            return self._undo(error)
        ended = self._back("the run was cut short while the switch was being changed")
        return ended if ended.outcome == UNKNOWN else None

    def _owns(self, running: str, wanted: str) -> bool:
        """Whether our own sections are these, whatever others have done since."""
        own = [ownership.owned(self.platform, text) for text in (running, wanted)]
        return not ownership.diff(self.platform, *own)

    def _is_left(self, running: str, checkpoint: str) -> bool:
        """Whether the old configuration is in force, or others were at work on it since.

        Going back to the checkpoint would then undo what they did: it is drift, and is shown.
        """
        old = ownership.owned(self.platform, checkpoint)
        restored = ownership.merge(self.platform, running, old)
        foreign = bool(ownership.diff(self.platform, restored, checkpoint))
        return foreign or self._owns(running, checkpoint)

    def _ending(self, outcome: str, message: str = "") -> Ending:
        return Ending(outcome=outcome, message=message, identity=self._identity)


def _unsteady(limits: Limits) -> Difference:
    return Difference(
        area="switch",
        item="post-check",
        expected=f"as intended for {limits.steady:g} s on end",
        found="no time left before it goes back by itself",
    )
