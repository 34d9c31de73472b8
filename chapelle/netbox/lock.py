"""The lock of an aisle, held in NetBox: one writer for each aisle, whoever and wherever.

The lock is the custom field `chapelle_lock` of the aisle's location. It is taken by compare and
swap: read the location with its ETag, write with If-Match; of several that do so at one time NetBox
lets exactly one through and answers the others 412 (RFC 9110, 13.1.1). It expires, so that a
controller that died does not lock an aisle for ever, and is renewed while its holder lives. Time is
NetBox's (the header Date), so controllers' clocks need not agree.
"""

import contextlib
import datetime
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

from chapelle import process
from chapelle.errors import ChapelleError, LockedError
from chapelle.netbox.access import Session, UnreachableError, access
from chapelle.netbox.lock_field import ATTEMPTS, FIELD, Aisle, Field, Holder, clock, locked
from chapelle.settings import Settings

RELEASE_PATIENCE = 20.0  # seconds; after that the expiry does it

Say = Callable[[str], None]


class Lock:
    """A lock on some aisles. Made and released by `hold`."""

    def __init__(
        self, session: Session, slugs: Sequence[str], *, run: str, reason: str, ttl: float, say: Say
    ) -> None:
        self.slugs = sorted(set(slugs))  # one order for all, so that no two wait for each other
        self.run = run
        self.reason = reason
        self.ttl = ttl
        self._field = Field(session)
        self._say = say
        self._nonce = secrets.token_hex(8)
        self._found: list[str] = []
        self._since: datetime.datetime | None = None
        self._renewed = monotonic()
        self._lost: LockedError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether somebody else may hold it by now. Makes no request."""
        return self._lost is not None or monotonic() - self._renewed > self.ttl

    def check(self) -> None:
        """Make sure that we still hold the lock. Cheap: makes no request.

        Raises:
            LockedError: another holds it, or it could not be renewed before it expired.
        """
        if self._lost:
            raise self._lost
        if self.lost:
            raise LockedError(
                "The lock could not be renewed in time; somebody else may hold it now.",
                where=", ".join(self.slugs),
                expected=f"a renewal within {self.ttl:.0f} s",
                found=f"the last one {monotonic() - self._renewed:.0f} s ago",
                remedy=f"when NetBox is back: invoke provision --resume={self.run}",
            )

    def acquire(self) -> None:
        """Take the lock of every aisle, or of none; then keep it by renewal.

        Raises:
            LockedError: another holds one of them.
            InputError: there is no such location, or no custom field for the lock.
            ChapelleError: NetBox does not do as asked.
        """
        try:
            for slug in self.slugs:
                self._field.find(slug)
                self._found.append(slug)
                self._take(slug)
        except BaseException:
            self.release()
            raise
        self._thread.start()

    def release(self) -> None:
        """Give up what we hold. Never raises: the expiry does it where we cannot."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        deadline = monotonic() + RELEASE_PATIENCE
        for slug in self._found:
            try:
                _patiently(lambda slug=slug: self._give_up(slug), deadline)  # type: ignore[misc]
            except ChapelleError as error:
                self._say(
                    f"the lock of {slug} was not released ({error.message}); it expires by itself "
                    f"within {self.ttl:.0f} s"
                )

    def _take(self, slug: str) -> None:
        for _ in range(ATTEMPTS):
            read = monotonic()  # before: what expires is counted from NetBox's time of reading
            aisle = self._field.read(slug)
            held_by = aisle.holder
            if held_by and held_by.nonce != self._nonce:
                self._require_free(slug, aisle, held_by)
            self._since = self._since or aisle.now
            if self._field.write(slug, aisle, self._claim(aisle.now)):
                self._renewed = read
                return
        raise self._field.contended(slug)

    def _require_free(self, slug: str, aisle: Aisle, other: Holder) -> None:
        """Make sure that the other's lock may be taken over; say why."""
        told = f"{aisle.name}: taking over the lock of run {other.run} ({other.owner})"
        if aisle.now >= other.expires:
            self._say(f"{told}, which expired at {clock(other.expires)}")
        elif other.run == self.run and _is_dead(other):
            self._say(f"{told}, whose process is gone")
        else:
            raise locked(slug, aisle.name, other)

    def _keep(self) -> None:
        """Renew until told to stop, and notice when the lock is no longer ours."""
        wait = self.ttl / 3
        while not self._stop.wait(wait):
            began = monotonic()
            try:
                for slug in self.slugs:
                    self._renew(slug)
            except LockedError as error:
                self._lost = error
                self._say(str(error))
                return
            except ChapelleError:  # NetBox is away; `check` tells when that lasts too long
                wait = min(self.ttl / 10, 5.0)
            else:
                self._renewed = began
                wait = self.ttl / 3

    def _renew(self, slug: str) -> None:
        for _ in range(ATTEMPTS):
            aisle = self._field.read(slug)
            if aisle.holder is None or aisle.holder.nonce != self._nonce:
                raise _taken_away(slug, aisle)
            if self._field.write(slug, aisle, self._claim(aisle.now)):
                return
        raise self._field.contended(slug)

    def _give_up(self, slug: str) -> None:
        for _ in range(ATTEMPTS):
            aisle = self._field.read(slug)
            if aisle.holder is None or aisle.holder.nonce != self._nonce:
                return
            if self._field.write(slug, aisle, None):
                return
        raise self._field.contended(slug)

    def _claim(self, now: datetime.datetime) -> Holder:
        host = socket.gethostname()
        return Holder(
            run=self.run,
            owner=process.owner(),
            host=host,
            process=process.own(),
            reason=self.reason,
            nonce=self._nonce,
            since=self._since or now,
            expires=now + datetime.timedelta(seconds=self.ttl),
        )


@contextlib.contextmanager
def hold(
    settings: Settings,
    aisles: Sequence[str],
    *,
    run: str,
    reason: str,
    ttl: float = 300,
    say: Say | None = None,
) -> Iterator[Lock]:
    """Hold the lock of these aisles while the body runs; release it on every exit.

    Arguments:
        settings: which NetBox; the writer's token is used.
        aisles: slugs of locations.
        run: the run's id. A lock of the same run whose process is gone is taken over.
        reason: what for, for whoever is refused meanwhile.
        ttl: seconds without renewal after which others may take it.
        say: told of what was taken over or lost; else it is logged as a warning.

    Raises:
        LockedError: another holds one of them.
    """
    tell = say or logging.getLogger(__name__).warning
    with Session(access(settings, "write")) as session:
        lock = Lock(session, aisles, run=run, reason=reason, ttl=ttl, say=tell)
        lock.acquire()
        try:
            yield lock
        finally:
            lock.release()


def _patiently(action: Callable[[], None], deadline: float) -> None:
    while True:
        try:
            return action()
        except UnreachableError:
            if monotonic() > deadline:
                raise
            threading.Event().wait(1.0)


def _is_dead(other: Holder) -> bool:
    """Whether the holder's process is known to be gone: a boot or a process of this machine."""
    return other.host == socket.gethostname() and not process.alive(other.process)


def _taken_away(slug: str, aisle: Aisle) -> LockedError:
    if aisle.holder:
        found = f"run {aisle.holder.run} of {aisle.holder.owner} since {clock(aisle.holder.since)}"
    else:
        found = "no lock: somebody removed it"
    return LockedError(
        f"The lock of {aisle.name} is no longer ours.",
        where=f"location {slug} in NetBox, custom field {FIELD}",
        expected="our lock",
        found=found,
        remedy="find out who works there before going on",
    )
