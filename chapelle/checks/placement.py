"""How much can be kept in several copies, each of them in another place: exact, in whole units.

Of `amount` units of data a place can hold each once at most. So `copies` of them fit into places of
sizes w if, and only if, the sum of min(w, amount) over all places is `copies` times `amount`: pour
the copies of one unit after the other round through the places, each filled up to min(w, amount);
no two copies of one unit then meet in one place, since none takes more than `amount` in a row
(McNaughton's wrap-around rule, Management Science 6, 1959, for machines instead of places).

The largest such amount is a minimum of averages: whichever j < copies places hold a copy of all,
the others together hold the `copies` - j further ones; and the j largest are the ones that bind.
"""

from collections.abc import Iterable, Sequence


def usable(sizes: Iterable[int], copies: int) -> int:
    """The most units that can be kept in that many copies, each copy in another place.

    Arguments:
        sizes: the room of each place, in units.
        copies: from 1.
    """
    ordered = sorted(sizes, reverse=True)
    if len(ordered) < copies:
        return 0
    left = sum(ordered)
    amounts = []
    for j in range(copies):
        amounts.append(left // (copies - j))
        left -= ordered[j]
    return min(amounts)


def stranded(sizes: Sequence[int], copies: int) -> tuple[int, ...]:
    """Of each place, the room beyond one copy of all that can be kept: nothing can use it."""
    most = usable(sizes, copies)
    return tuple(max(size - most, 0) for size in sizes)
