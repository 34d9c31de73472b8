"""Chooses racks out of those that can be offered: by aisle, side by side, near to something.

Greedy: aisles are filled one after the other from several starts, as far as the power of what they
share goes. Where racks of an aisle are alike, and the aisles' shares of what they hang on together
too, no other choice has more racks. Whoever offers a choice has it proven first.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from chapelle.checks.tenancy.headroom import Draft, Headroom
from chapelle.checks.tenancy.room import Spot

# From so many aisles a choice is begun, and spread evenly over up to so many.
_STARTS = 8
_SPREAD = 4

# Racks of another aisle are further than any of the same.
_BETWEEN_AISLES = 1000


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the racks shall be like: how many, watts in each, and how they stand.

    `reference` is that of the request: racks that are held for it are taken first.
    """

    count: int
    watts: float
    at_most: int | None = None
    contiguous: bool = False
    near: Spot | None = None
    reference: str = ""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Racks, in order, and the draft that they are in."""

    spots: tuple[Spot, ...]
    draft: Draft

    @property
    def by_aisle(self) -> dict[str, list[Spot]]:
        """The racks of each aisle."""
        grouped: dict[str, list[Spot]] = {}
        for spot in self.spots:
            grouped.setdefault(spot.aisle, []).append(spot)
        return grouped

    @property
    def gaps(self) -> int:
        """How many racks of others stand between."""
        return sum(_gaps(spots) for spots in self.by_aisle.values())


def choose(
    headroom: Headroom, offered: Sequence[Spot], wish: Wish, *, losses: bool = True
) -> list[Choice]:
    """The choices with all racks that are wished for, best first.

    Two of them have other aisles, or other numbers of racks in them.

    Arguments:
        headroom: what the racks' power has left.
        offered: racks that can be had.
        wish: how many, and what they shall be like.
        losses: whether power must suffice when something is out, too.
    """
    aisles: dict[str, list[Spot]] = {}
    for spot in offered:
        aisles.setdefault(spot.aisle, []).append(spot)
    found: dict[frozenset[tuple[str, int]], Choice] = {}
    for order, share in _orders(headroom, aisles, wish, losses=losses):
        choice = _along(Draft(headroom, losses=losses), [aisles[a] for a in order], wish, share)
        if len(choice.spots) == wish.count:
            counts = {aisle: len(spots) for aisle, spots in choice.by_aisle.items()}
            found.setdefault(frozenset(counts.items()), choice)
    return sorted(found.values(), key=lambda choice: _rank(choice, wish))


def distance(spot: Spot, other: Spot) -> int:
    """How many racks apart these are; more than any aisle has where they are in two."""
    if spot.aisle == other.aisle:
        return abs(spot.place - other.place)
    aisles = abs(int(spot.aisle or 0) - int(other.aisle or 0)) or 1
    return aisles * _BETWEEN_AISLES + abs(spot.place - other.place)


def _rank(choice: Choice, wish: Wish) -> tuple[object, ...]:
    worst = choice.draft.worst()
    return (
        -sum(_is_held(spot, wish) for spot in choice.spots),
        sum(distance(spot, wish.near) for spot in choice.spots) if wish.near else 0,
        len(choice.by_aisle),
        choice.gaps,
        round(worst.share, 2) if worst else 0.0,
        [(int(spot.aisle or 0), spot.place) for spot in choice.spots],
    )


def _is_held(spot: Spot, wish: Wish) -> bool:
    return any(r.custom_fields.get("request") == wish.reference for r in spot.held)


def _orders(
    headroom: Headroom, aisles: Mapping[str, list[Spot]], wish: Wish, *, losses: bool
) -> Iterator[tuple[list[str], int]]:
    """In which order aisles are filled, and with how many racks each at most."""
    holds = {
        aisle: len(_fill(Draft(headroom, losses=losses), spots, wish.count, wish)[0])
        for aisle, spots in aisles.items()
    }

    def by(start: str) -> list[str]:
        def key(aisle: str) -> tuple[object, ...]:
            apart = abs(int(aisle or 0) - int(start or 0))
            near = min(distance(s, wish.near) for s in aisles[aisle]) if wish.near else 0
            held = sum(_is_held(spot, wish) for spot in aisles[aisle])
            return (aisle != start, -held, near, -holds[aisle], apart)

        return sorted(aisles, key=key)

    best = by("")
    for start in best[:_STARTS]:
        yield by(start), wish.count
    for number in range(2, min(len(best), wish.count, _SPREAD) + 1):
        yield best, -(-wish.count // number)


def _along(draft: Draft, aisles: Sequence[list[Spot]], wish: Wish, share: int) -> Choice:
    spots: list[Spot] = []
    for aisle in aisles:
        if left := min(wish.count - len(spots), share):
            taken, draft = _fill(draft, aisle, left, wish)
            spots += taken
    spots.sort(key=lambda spot: (int(spot.aisle or 0), spot.place))
    return Choice(spots=tuple(spots), draft=draft)


def _fill(draft: Draft, spots: list[Spot], wanted: int, wish: Wish) -> tuple[list[Spot], Draft]:
    """As many racks of an aisle as are wanted and can be had, and the draft with them."""
    single = draft.copy()
    possible = [s for s in spots if single.add(s.sides, wish.watts - s.promised) is None]
    most = min(wanted, wish.at_most or wanted, len(possible))
    for count in range(most, 0, -1):
        for window in _windows(spots, count, wish):
            tried = draft.copy()
            if all(tried.add(s.sides, wish.watts - s.promised) is None for s in window):
                return window, tried
            if not wish.contiguous:
                break
        if not wish.contiguous:  # what hangs on other panels than its neighbours may have room
            tried = draft.copy()
            for spot in possible[:most]:
                tried.add(spot.sides, wish.watts - spot.promised)
            return possible[:most], tried
    return [], draft


def _windows(spots: list[Spot], count: int, wish: Wish) -> list[list[Spot]]:
    """So many racks that follow each other among those that can be had, the best first.

    Best is what is held for the request, near, side by side, and breaks up no long row.
    """
    run: dict[str, int] = {}  # how many racks side by side each one is among
    for number, spot in enumerate(spots):
        follows = number and spot.place == spots[number - 1].place + 1
        start = run[spots[number - 1].name] if follows else number
        run[spot.name] = start
    lengths = {start: sum(s == start for s in run.values()) for start in set(run.values())}

    def cost(first: int) -> tuple[int, ...]:
        window = spots[first : first + count]
        start = run[window[0].name]
        end = start + lengths[start]
        return (
            -sum(_is_held(spot, wish) for spot in window),
            sum(distance(spot, wish.near) for spot in window) if wish.near else 0,
            _gaps(window),
            int(start < first and first + count < end),
            lengths[start],
            first,
        )

    starts = [
        first
        for first in range(len(spots) - count + 1)
        if not wish.contiguous or not _gaps(spots[first : first + count])
    ]
    return [spots[first : first + count] for first in sorted(starts, key=cost)]


def _gaps(spots: Sequence[Spot]) -> int:
    return spots[-1].place - spots[0].place + 1 - len(spots)
