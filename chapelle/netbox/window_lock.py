"""The lock that an open maintenance window holds on aisles: nobody renews it.

It outlives the command that took it and ends when the window is closed, or at its end. Windows that
do no harm together may be open in one aisle together, and hold its lock together; a run's lock is
never taken from it. Taking and giving up again change nothing, so that a command that was killed is
finished by the next one.
"""

from collections.abc import Callable, Iterator, Sequence

from chapelle.errors import ChapelleError
from chapelle.netbox.access import Query, Session, get_json
from chapelle.netbox.lock_field import (
    ATTEMPTS,
    FIELD,
    Aisle,
    Field,
    Holder,
    Share,
    clock,
    holder_in,
    locked,
)

_PAGE = 500

type Say = Callable[[str], None]


def take(session: Session, slugs: Sequence[str], share: Share, say: Say) -> tuple[str, ...]:
    """Take the lock of every aisle for a window, or of none.

    Arguments:
        session: with the writer's token.
        slugs: of the aisles.
        share: the window; `since` counts only where it has none yet.
        say: told of an expired lock that is taken over.

    Returns: the aisles of which the window did not have the lock before.

    Raises:
        LockedError: a run holds one of them.
        InputError: there is no such location, or no custom field for the lock.
        ChapelleError: NetBox does not do as asked.
    """
    field = Field(session)
    taken: list[str] = []
    try:
        for slug in sorted(set(slugs)):
            field.find(slug)
            if _take(field, slug, share, say):
                taken.append(slug)
    except ChapelleError:
        for slug in taken:
            _give_up(field, slug, share.window)
        raise
    return tuple(taken)


def release(session: Session, window: str, slugs: Sequence[str] | None = None) -> tuple[str, ...]:
    """Give up the lock of a window on these aisles; by default wherever it has one.

    Returns: the aisles of which it had the lock.

    Raises:
        ChapelleError: NetBox does not do as asked.
    """
    field = Field(session)
    found = []
    for slug in held(session, window) if slugs is None else slugs:
        field.find(slug)
        if _give_up(field, slug, window):
            found.append(slug)
    return tuple(found)


def held(session: Session, window: str) -> tuple[str, ...]:
    """The slugs of the aisles whose lock a window has a share of."""
    return tuple(
        slug
        for slug, holder in _holders(session)
        if any(share.window == window for share in holder.windows)
    )


def _holders(session: Session) -> Iterator[tuple[str, Holder]]:
    query: Query = {"fields": "id,slug,name,custom_fields", "limit": _PAGE}
    offset = 0
    while True:
        page = get_json(session, "dcim/locations/", {**query, "offset": offset})
        for location in page["results"]:
            holder = holder_in(location["custom_fields"].get(FIELD), location["name"])
            if holder:
                yield location["slug"], holder
        offset += len(page["results"])
        if not page["next"] or not page["results"]:
            return


def _take(field: Field, slug: str, share: Share, say: Say) -> bool:
    """Whether the lock had to be taken."""
    for _ in range(ATTEMPTS):
        aisle = field.read(slug)
        other = aisle.holder
        if other and not other.windows:
            if aisle.now < other.expires:
                raise locked(slug, aisle.name, other)
            say(
                f"{aisle.name}: taking over the lock of run {other.run} ({other.owner}), which "
                f"expired at {clock(other.expires)}"
            )
        shares = {each.window: each for each in _live(aisle)}
        if share.window in shares and shares[share.window].expires == share.expires:
            return False
        shares[share.window] = share
        if field.write(slug, aisle, _holder(tuple(shares.values()))):
            return True
    raise field.contended(slug)


def _give_up(field: Field, slug: str, window: str) -> bool:
    """Whether there was anything to give up."""
    for _ in range(ATTEMPTS):
        aisle = field.read(slug)
        windows = aisle.holder.windows if aisle.holder else ()
        if all(share.window != window for share in windows):
            return False
        left = tuple(share for share in _live(aisle) if share.window != window)
        if field.write(slug, aisle, _holder(left) if left else None):
            return True
    raise field.contended(slug)


def _live(aisle: Aisle) -> list[Share]:
    """The shares of windows in an aisle's lock that have not expired."""
    windows = aisle.holder.windows if aisle.holder else ()
    return [share for share in windows if share.expires > aisle.now]


def _holder(shares: tuple[Share, ...]) -> Holder:
    """The holder that some windows are together."""

    def joined(words: list[str]) -> str:
        return ", ".join(dict.fromkeys(words))

    return Holder(
        run=joined([share.window for share in shares]),
        owner=joined([share.owner for share in shares]),
        host="",
        process="",  # none renews it
        reason=joined([share.reason for share in shares]),
        nonce="maintenance",
        since=min(share.since for share in shares),
        expires=max(share.expires for share in shares),
        windows=shares,
    )
