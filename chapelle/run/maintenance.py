"""Maintenance windows from beginning to end: planned, opened, closed; nothing is taken out by us.

Opening takes the aisles' locks first and then says `open` in NetBox; closing says `closed` first
and then gives the locks up. So whatever is killed in between, no window is ever open without its
lock, and the same command again does what is left. Journal entries come last.
"""

import datetime
from collections.abc import Callable, Sequence

import msgspec

from chapelle import process
from chapelle.checks.resilience import windows as judging
from chapelle.checks.resilience.check import WINDOW
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.names import Index, find_all
from chapelle.checks.resilience.notices import notices as notices_of
from chapelle.checks.resilience.touch import aisles as aisles_of
from chapelle.checks.resilience.touch import sites as sites_of
from chapelle.errors import InputError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.maintenance import Notice, Verdict
from chapelle.model.resilience import Element, Window
from chapelle.netbox import snapshot, window_lock
from chapelle.netbox.access import Session, access
from chapelle.netbox.lock_field import Share
from chapelle.netbox.windows import Calendar, Known, Page
from chapelle.run import zoned
from chapelle.settings import Settings

type Say = Callable[[str], None]
type Confirm = Callable[[Window, tuple[str, ...]], None]


class HarmError(RefusedError):
    """The window would lose or overload something; `verdict` says all of it."""

    def __init__(self, verdict: Verdict, what: str) -> None:
        self.verdict = verdict
        others = f"with {', '.join(verdict.windows)}, " if verdict.windows else ""
        missing = ", ".join(ref.name for ref in verdict.missing)
        super().__init__(
            f"{what} would do harm; nothing was changed.",
            where=", ".join(ref.name for ref in verdict.window.elements),
            expected="no device lost, no element overloaded",
            found=others + (judging.told(verdict) or f"no longer there: {missing}"),
            remedy="take out less at one time, or at another time"
            if not verdict.windows
            else f"another time, or less at one time: {', '.join(verdict.windows)} is out as well",
        )


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A window as an operator asks for it. Times without an offset are local in `zone`."""

    elements: str
    starts: str
    ends: str
    reason: str
    owner: str | None = None
    zone: str | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: the verdict on one window, if one was asked for, and findings."""

    findings: tuple[Finding, ...]
    verdict: Verdict | None = None
    netbox_url: str = ""


# -- planning -------------------------------------------------------------------------------------


def plan(settings: Settings, wish: Wish, say: Say, *, dry_run: bool = True) -> Verdict:
    """Plan a window, unless it would do harm; a dry run says what would be planned.

    Raises:
        InputError: the wish has no meaning.
        HarmError: devices would be lost, or something overloaded.
        ChapelleError: NetBox cannot be read or written.
    """
    plant, _ = _plant(settings, say)
    elements = find_all(plant, wish.elements)
    with Session(access(settings, "read" if dry_run else "write")) as session:
        calendar = Calendar(session)
        now = calendar.now()
        site = _site(plant, elements, calendar.pages())
        draft = _draft(wish, elements, site, now)
        made: list[Verdict] = []

        def make(known: Known, number: str) -> Window:
            window = msgspec.structs.replace(draft, id=number)
            made.append(judging.judge(plant, window, now, known))
            _require_harmless(made[-1], "This window")
            return window

        if dry_run:
            make([w for page in calendar.pages() for w in page.windows], draft.id)
            return made[-1]
        window = calendar.add(site.site, make)
        _note(calendar, window, "planned", say)
    return msgspec.structs.replace(made[-1], window=window)


def _draft(wish: Wish, elements: Sequence[Element], site: Page, now: datetime.datetime) -> Window:
    zone = wish.zone or site.zone or zoned.DEFAULT
    starts = zoned.parse(wish.starts, zone, "--starts")
    ends = zoned.parse(wish.ends, zone, "--ends")
    if ends <= starts or ends <= now:
        raise InputError(
            "The window ends before it begins." if ends <= starts else "The window is over.",
            where="--starts and --ends",
            expected="an end after the start, and after now",
            found=f"from {starts.isoformat()} to {ends.isoformat()}",
        )
    if not wish.reason.strip():
        raise InputError("--reason is empty.", where="the command line", expected="what is done")
    return Window(
        id="(not planned)",
        elements=tuple(element.ref for element in elements),
        starts=starts,
        ends=ends,
        owner=wish.owner or process.owner(),
        reason=" ".join(wish.reason.split()),
    )


def _site(plant: Plant, elements: Sequence[Element], pages: Sequence[Page]) -> Page:
    """The site that the window is kept in: that of its first element that has one."""
    found = sites_of(plant, elements)
    for page in pages:
        if page.site == (found[0] if found else page.site):
            return page
    raise InputError(
        "No site in NetBox can hold the window.",
        where="NetBox, sites",
        expected="the site of the elements",
        found=f"{len(pages)} sites",
    )


# -- opening and closing --------------------------------------------------------------------------


def open_(
    settings: Settings, window_id: str, confirm: Confirm, say: Say, *, early: str | None = None
) -> tuple[Window, tuple[str, ...]]:
    """Open a window: its elements may be taken out from now on. Once more, it finishes that.

    Arguments:
        settings: which NetBox.
        window_id: the window.
        confirm: asked, with the aisles that will be locked; raises RefusedError for a no.
        say: told what happens.
        early: why it is opened before its start; None refuses that.

    Returns: the window, and the slugs of the aisles that it has locked.

    Raises:
        RefusedError: it is closed, or not now, or the answer is no.
        HarmError: with all that is out now, it would lose or overload something.
        LockedError: a run is at work in one of the aisles.
        ChapelleError: NetBox cannot be read or written.
    """
    with Session(access(settings, "write")) as session:
        calendar = Calendar(session)
        window, _ = calendar.find(window_id)
        _require_openable(window, calendar.now(), early)
        seen = snapshot.take(settings, say)
        plant = Plant(Datacentre(seen.snapshot))
        if window.state == "planned":
            _judge(plant, window, calendar.now(), _known(calendar))
        aisles = _aisles(plant, window)
        confirm(window, aisles)
        taken = window_lock.take(session, aisles, _share(window, calendar.now()), say)
        try:
            if snapshot.moved(settings, seen.meta.mark):  # while we asked
                plant, _ = _plant(settings, say)
            opened = calendar.change(window_id, _opening(plant, calendar.now(), early))
        except (RefusedError, InputError):  # and so it is not open
            window_lock.release(session, window_id, taken)
            raise
        early_because = early.strip() if early and calendar.now() < window.starts else ""
        why = f" Early: {early_because}." if early_because else ""
        _note(calendar, opened, "opened", say, why)
    return opened, aisles


def _share(window: Window, now: datetime.datetime) -> Share:
    return Share(
        window=window.id,
        owner=window.owner,
        reason=window.reason,
        since=now,
        expires=window.ends,
    )


def _opening(
    plant: Plant, now: datetime.datetime, early: str | None
) -> Callable[[Window, Known], Window]:
    """What makes a planned window an open one, if that is still right with all windows by then."""

    def edit(current: Window, others: Known) -> Window:
        _require_openable(current, now, early)
        if current.state == "planned":
            _judge(plant, current, now, others)
        return msgspec.structs.replace(current, state="open")

    return edit


def close(settings: Settings, window_id: str, say: Say) -> tuple[Window, tuple[str, ...]]:
    """Close a window: its elements work again, or it does not take place. Whenever that is.

    Returns: the window, and the slugs of the aisles whose lock it gave up.

    Raises:
        ChapelleError: there is no such window, or NetBox cannot be written.
    """
    with Session(access(settings, "write")) as session:
        calendar = Calendar(session)

        def edit(current: Window, _others: Known) -> Window:
            return msgspec.structs.replace(current, state="closed")

        window = calendar.change(window_id, edit)
        freed = window_lock.release(session, window_id)
        _note(calendar, window, "closed", say)
    return window, freed


def _require_openable(window: Window, now: datetime.datetime, early: str | None) -> None:
    if window.state == "open" and now < window.ends:
        return
    said = f"{window.id} is {window.state}, from {window.starts.isoformat(timespec='minutes')} "
    said += f"to {window.ends.isoformat(timespec='minutes')}"
    if window.state == "closed":
        remedy = "plan another; if a lock was left behind: invoke maintenance.close " + window.id
    elif now >= window.ends:
        remedy = (
            f"close it when all works again (invoke maintenance.close {window.id}); plan another"
        )
    elif now < window.starts and not (early and early.strip()):
        remedy = "wait, or say why it cannot: --early='...'"
    else:
        return
    raise RefusedError(
        f"{window.id} cannot be opened now.",
        where=", ".join(ref.name for ref in window.elements),
        expected=f"a planned window, and a time within it; it is {now.isoformat()}",
        found=said,
        remedy=remedy,
    )


def _judge(plant: Plant, window: Window, now: datetime.datetime, known: Known) -> None:
    """Judge a window as if it were open from now on."""
    as_open = msgspec.structs.replace(window, state="open")
    _require_harmless(judging.judge(plant, as_open, now, known), window.id)


def _require_harmless(verdict: Verdict, what: str) -> None:
    if not verdict.harmless:
        raise HarmError(verdict, what)


def _aisles(plant: Plant, window: Window) -> tuple[str, ...]:
    index = Index(plant)
    elements = [e for ref in window.elements if (e := index.at(ref)) is not None]
    return aisles_of(plant, elements, plant.lose(elements))


def _note(calendar: Calendar, window: Window, what: str, say: Say, more: str = "") -> None:
    times = f"{window.starts.isoformat(timespec='minutes')} to "
    times += window.ends.isoformat(timespec="minutes")
    text = f"by {process.owner()}. Maintenance from {times}, owner {window.owner}: {window.reason}."
    kind = {"planned": "info", "opened": "warning", "closed": "success"}[what]
    calendar.note(window.elements, f"{window.id} {what}", text + more, kind, say)


# -- looking --------------------------------------------------------------------------------------


def check(settings: Settings, window_id: str | None, say: Say) -> Checked:
    """What is wrong with one window, or with all.

    Raises:
        InputError: there is no such window.
        ChapelleError: NetBox cannot be read.
    """
    plant, url = _plant(settings, say)
    with Session(access(settings, "read")) as session:
        calendar = Calendar(session)
        now = calendar.now()
        window = calendar.find(window_id)[0] if window_id else None
        known = _known(calendar)
    findings = tuple(
        fault.finding(WINDOW, "error")
        for fault in judging.conflicts(plant, now)
        if window_id is None or window_id in {ref.name for ref in fault.objects}
    )
    judged = window is not None and judging.counts(window, now)
    verdict = judging.judge(plant, window, now, known) if window and judged else None
    return Checked(findings=findings, verdict=verdict, netbox_url=url)


def listed(settings: Settings, *, every: bool) -> tuple[tuple[Window, ...], datetime.datetime]:
    """The windows by their start, and NetBox's time; those that are of no more consequence too?

    Raises:
        ChapelleError: NetBox cannot be read.
    """
    with Session(access(settings, "read")) as session:
        calendar = Calendar(session)
        now = calendar.now()
        found = [w for w in _known(calendar) if every or judging.counts(w, now)]
    return tuple(sorted(found, key=lambda window: (window.starts, window.id))), now


def notices(settings: Settings, window_id: str, say: Say) -> tuple[Notice, ...]:
    """What each tenant that a window touches is told.

    Raises:
        InputError: there is no such window.
        ChapelleError: NetBox cannot be read.
    """
    plant, _ = _plant(settings, say)
    with Session(access(settings, "read")) as session:
        window, page = Calendar(session).find(window_id)
    return notices_of(plant, window, site=page.site, zone=page.zone or zoned.DEFAULT)


def _plant(settings: Settings, say: Say) -> tuple[Plant, str]:
    taken = snapshot.take(settings, say)
    return Plant(Datacentre(taken.snapshot)), taken.meta.netbox_url


def _known(calendar: Calendar) -> tuple[Window, ...]:
    return tuple(window for page in calendar.pages() for window in page.windows)
