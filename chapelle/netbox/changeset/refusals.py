"""What makes a change impossible, said with the object's name, and what to do."""

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.change import Fields, part
from chapelle.netbox.changeset.objects import Found, label


def require(name: str, found: Found, wanted: Fields) -> None:
    """Make sure that an object has these values.

    Raises:
        RefusedError: it has others; the first is named.
    """
    if found.has(wanted):
        return
    now = part(found.fields, wanted)
    field = next(key for key in wanted if now[key] != wanted[key])
    raise RefusedError(
        f"{label(name, found.fields)} has been changed by somebody else.",
        where=f"{name}, id {found.id}, {field}",
        expected=repr(wanted[field]),
        found=repr(now[field]),
        remedy="see its change log in NetBox for who did; then plan again",
    )


def gone(name: str, number: int) -> RefusedError:
    """The object that is to be changed is not there."""
    return RefusedError(
        "An object is gone from NetBox.",
        where=f"{name}, id {number}",
        expected="an object of that id",
        found="none",
        remedy="see NetBox's change log for who deleted it; then plan again",
    )


def in_the_way(name: str, found: Found, wanted: Fields) -> RefusedError:
    """There is one already in the place of the object that is to be made."""
    return RefusedError(
        f"{label(name, wanted)} is there already.",
        where=f"{name}, id {found.id}",
        expected="nothing in its place",
        found=f"an object that was made by somebody else: {label(name, found.fields)}",
        remedy="take a new snapshot and plan again",
    )


def in_use(name: str, found: Found, hanging: tuple[str, ...]) -> RefusedError:
    """NetBox would silently delete or change something else with the object."""
    more = f" and {len(hanging) - 5} more" if len(hanging) > 5 else ""
    return RefusedError(
        f"{label(name, found.fields)} cannot be deleted: other things hang on it.",
        where=f"{name}, id {found.id}",
        expected="nothing",
        found=", ".join(hanging[:5]) + more,
        remedy="take these away in NetBox, or let the object stay",
    )


def require_as_asked(name: str, found: Found, wanted: Fields) -> None:
    """Make sure that NetBox wrote what it was asked for.

    Raises:
        RefusedError: it has made something else of it.
    """
    if found.has(wanted):
        return
    now = part(found.fields, wanted)
    field = next(key for key in wanted if now.get(key) != wanted[key])
    raise RefusedError(
        f"NetBox made something else of {label(name, wanted)}.",
        where=f"{name}, id {found.id}, {field}",
        expected=repr(wanted[field]),
        found=repr(now.get(field)),
        remedy="ask for what NetBox keeps: no space at either end of a text, for one",
    )


def contended(name: str, found: Found, times: int) -> ChapelleError:
    """Somebody writes the object all the time."""
    return ChapelleError(
        f"{label(name, found.fields)} changed each of {times} times that we tried to write it.",
        where=f"{name}, id {found.id}",
        remedy="see its change log in NetBox for who writes it",
    )
