"""Maintenance windows: may these elements be out then, with all else that is out then?

A planned window is out from its start until before its end; an open one, even past its end, until
somebody closes it. What counts is who is out at one time: two windows that both
overlap a third one, but not each other, are never out together. What NetBox has as failed or
offline is out before and after (`loss`).
"""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.names import Index
from chapelle.checks.rules.scene import Fault
from chapelle.model.finding import ObjectRef
from chapelle.model.maintenance import Moment, Verdict
from chapelle.model.resilience import Element, Load, Lost, Outcome, Window

_SHOWN = 6
# A window that is open past its end is taken to be closed so soon at the earliest.
CLOSING = datetime.timedelta(minutes=1)

type Time = datetime.datetime


# -- who is out when ------------------------------------------------------------------------------


def counts(window: Window, now: Time) -> bool:
    """Whether a window is of any consequence from now on."""
    return window.state == "open" or (window.state == "planned" and window.ends > now)


def begins(window: Window, now: Time) -> Time:
    """When its elements go out; of a window that was opened early, that is at the latest now."""
    return min(window.starts, now) if window.state == "open" else window.starts


def ends(window: Window, now: Time) -> Time:
    """When its elements are back; of an open window, nobody knows that it is before it is said."""
    return max(window.ends, now + CLOSING) if window.state == "open" else window.ends


def is_out(window: Window, at: Time, now: Time) -> bool:
    """Whether its elements are out at that time, as far as is known now."""
    return window.state != "closed" and begins(window, now) <= at < ends(window, now)


def together(
    windows: Sequence[Window], now: Time, during: Window | None = None
) -> list[tuple[Time, tuple[Window, ...]]]:
    """Every set of windows that are out at one time, from now on, and when it first is.

    Arguments:
        windows: all windows.
        now: the time.
        during: look at the time of this window only, which is in no set itself.
    """
    known = [w for w in windows if counts(w, now) and (during is None or w.id != during.id)]
    at = [*known, during] if during else known
    # The set changes only when a window begins or ends.
    changes = {time for window in at for time in (begins(window, now), ends(window, now))}
    found: dict[frozenset[str], tuple[Time, tuple[Window, ...]]] = {}
    for time in sorted({max(time, now) for time in changes}):
        if during is None or is_out(during, time, now):
            out = tuple(window for window in known if is_out(window, time, now))
            found.setdefault(frozenset(window.id for window in out), (time, out))
    return list(found.values())


# -- may it be? -----------------------------------------------------------------------------------


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """What one set of elements loses beyond what smaller sets do."""

    lost: tuple[Lost, ...] = ()
    overloads: tuple[Load, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lost or self.overloads)

    @property
    def key(self) -> tuple[frozenset[int], frozenset[Element]]:
        """What is harmed, to compare by."""
        return frozenset(x.id for x in self.lost), frozenset(x.element for x in self.overloads)


class Bench:
    """A plant in which windows are tried out."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.index = Index(plant)

    def missing(self, window: Window) -> tuple[ObjectRef, ...]:
        """What a window names and the plant has no longer."""
        return tuple(ref for ref in window.elements if self.index.at(ref) is None)

    def lose(self, windows: Iterable[Window]) -> Outcome:
        """What all these windows, out at one time, do."""
        refs = chain.from_iterable(window.elements for window in windows)
        found = (self.index.at(ref) for ref in refs)
        return self.plant.lose(tuple(dict.fromkeys(e for e in found if e is not None)))


def judge(
    plant: Plant, window: Window, now: Time, windows: Sequence[Window] | None = None
) -> Verdict:
    """What a window would do at each moment of it, with all other windows that are out then.

    Only what it adds counts against it: what others lose without it is theirs.

    Arguments:
        plant: the datacentre, with what is failed or offline now.
        window: the window; other windows with its id are left out. With state `open`: from now on.
        now: the time.
        windows: all windows; by default those that the plant's snapshot shows.
    """
    bench = Bench(plant)
    known = all_of(plant) if windows is None else windows
    moments = tuple(
        _moment(bench, window, at, others) for at, others in together(known, now, during=window)
    )
    return Verdict(window=window, moments=moments, missing=bench.missing(window))


def all_of(plant: Plant) -> tuple[Window, ...]:
    """The windows of all sites."""
    return tuple(chain.from_iterable(plant.stated.windows.values()))


def _moment(bench: Bench, window: Window, at: Time, others: tuple[Window, ...]) -> Moment:
    harm, outcome = _added(bench, window, others)
    for other in others:  # leave out who has no part in it, so that the right ones are named
        fewer = tuple(kept for kept in others if kept.id != other.id)
        if harm and _added(bench, window, fewer)[0].key == harm.key:
            others = fewer
    names = tuple(other.id for other in others)
    return Moment(at=at, windows=names, outcome=outcome, lost=harm.lost, overloads=harm.overloads)


def _added(bench: Bench, window: Window, others: tuple[Window, ...]) -> tuple[Harm, Outcome]:
    outcome = bench.lose((*others, window))
    return _beyond(outcome, [bench.lose(others)] if others else []), outcome


def _beyond(outcome: Outcome, known: Iterable[Outcome]) -> Harm:
    """What an outcome has that none of the others has, or has worse."""
    lost: set[int] = set()
    loads: dict[Element, float] = {}
    for other in known:
        lost.update(each.id for each in other.lost)
        for load in other.overloads:
            loads[load.element] = max(load.after, loads.get(load.element, 0.0))
    return Harm(
        lost=tuple(each for each in outcome.lost if each.id not in lost),
        overloads=tuple(
            load for load in outcome.overloads if load.after > loads.get(load.element, 0.0) + 1
        ),
    )


# -- as findings ----------------------------------------------------------------------------------


def conflicts(plant: Plant, now: Time) -> Iterator[Fault]:
    """What is wrong with the windows that NetBox has: all three kinds below."""
    if not all_of(plant):
        return
    yield from clashing(plant, now)
    yield from overdue(plant, now)
    yield from dangling(plant, now)


def clashing(plant: Plant, now: Time) -> Iterator[Fault]:
    """Windows that lose something: one alone, or several that are out at one time together.

    Of several, only what fewer of them do not lose already.
    """
    sets = together(all_of(plant), now)
    bench = Bench(plant)
    seen: dict[frozenset[str], Outcome] = {}
    for size in (1, 2):
        for at, out in sets:
            for some in combinations(out, size):
                yield from _clash(bench, some, at, seen)
    for at, out in sets:
        yield from _clash(bench, out, at, seen)


def _clash(
    bench: Bench, some: tuple[Window, ...], at: Time, seen: dict[frozenset[str], Outcome]
) -> Iterator[Fault]:
    ids = frozenset(window.id for window in some)
    if not ids or ids in seen:
        return
    seen[ids] = outcome = bench.lose(some)
    harm = _beyond(outcome, [known for part, known in seen.items() if part < ids])
    if not harm:
        return
    for window in some if len(some) > 2 else ():
        fewer = tuple(kept for kept in some if kept.id != window.id)
        reduced = _beyond(bench.lose(fewer), [k for part, k in seen.items() if part < ids])
        if reduced.key == harm.key:
            some = fewer
    when = f"from {at.isoformat(timespec='minutes')}"
    yield Fault(
        objects=tuple(_ref(bench.plant, window) for window in some),
        expected="windows that lose nothing" if len(some) > 1 else "a window that loses nothing",
        found=f"{when} {' and '.join(window.id for window in some)}: {told(harm)}",
        remedy="plan one of them at another time"
        if len(some) > 1
        else "close it (invoke "
        "maintenance.close), and mend what it would lose before it is planned again",
    )


def overdue(plant: Plant, now: Time) -> Iterator[Fault]:
    """Windows that are open past their end."""
    for window in all_of(plant):
        if window.state == "open" and window.ends <= now:
            yield Fault(
                objects=(_ref(plant, window), *window.elements),
                expected=f"closed by {window.ends.isoformat(timespec='minutes')}",
                found=f"still open (owner {window.owner}); its lock has expired",
                remedy=f"when its elements work again: invoke maintenance.close {window.id}",
            )


def dangling(plant: Plant, now: Time) -> Iterator[Fault]:
    """Windows that name what is no longer there, and windows with one id."""
    seen: set[str] = set()
    bench: Bench | None = None
    for window in all_of(plant):
        if window.id in seen:
            yield Fault(
                objects=(_ref(plant, window),),
                expected=f"one window {window.id}",
                found="several",
                remedy="give one of them another id, in the site's field maintenance_windows",
            )
        seen.add(window.id)
        if not counts(window, now):
            continue
        bench = bench or Bench(plant)
        if missing := bench.missing(window):
            yield Fault(
                objects=(_ref(plant, window), *missing),
                expected="elements that NetBox has",
                found="no longer there: " + ", ".join(ref.name for ref in missing),
                remedy=f"close it and plan it anew: invoke maintenance.close {window.id}",
            )


def told(harm: Harm | Verdict | Moment) -> str:
    """The harm in one line: how many devices, whose, which, and what is overloaded."""
    parts = []
    if harm.lost:
        tenants = sorted({lost.tenant or "no tenant" for lost in harm.lost})
        names = _some([f"{lost.name} ({lost.reason})" for lost in harm.lost])
        parts.append(f"lost of {', '.join(tenants)}: {names}")
    if harm.overloads:
        loads = [f"{o.element.name} {o.after:.0f} W of {o.limit:.0f} W" for o in harm.overloads]
        parts.append(f"overloaded: {_some(loads)}")
    return "; ".join(parts)


def _ref(plant: Plant, window: Window) -> ObjectRef:
    """A window as findings name it: it stands in its site."""
    sites = (site for site, known in plant.stated.windows.items() if window in known)
    return ObjectRef(endpoint="dcim/sites", id=next(sites, 0), name=window.id)


def _some(words: list[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
