"""What is said of an option beside its racks, and of what is refused."""

from collections.abc import Iterator, Sequence

from chapelle.checks.tenancy.choice import Choice, distance
from chapelle.checks.tenancy.headroom import Strain
from chapelle.checks.tenancy.room import Room, Spot
from chapelle.model.tenancy import HELD_UNTIL, Refused, Request


def racks(count: int) -> str:
    """`1 rack`, `3 racks`."""
    return f"{count} rack{'' if count == 1 else 's'}"


def refusal(names: tuple[str, ...], reason: str) -> Refused:
    """Why some racks cannot be offered."""
    subject = names[0] if len(names) == 1 else racks(len(names))
    return Refused(subject=subject, reason=reason, racks=names)


def of_choice(
    room: Room,
    request: Request,
    choice: Choice,
    offered: Sequence[Spot],
    over: Strain | None,
) -> Iterator[str]:
    """What speaks for a choice and against it, the weightiest first.

    Arguments:
        room: the racks.
        request: what is asked for.
        choice: what is offered.
        offered: all racks that could be.
        over: what is promised too much already.
    """
    yield _places(choice)
    if request.space.near:
        near = room.by_name[request.space.near]
        apart = [distance(spot, near) for spot in choice.spots if spot.aisle == near.aisle]
        others = len(choice.spots) - len(apart)
        if apart:
            yield f"from {near.name} the nearest is {racks(min(apart))} away, the farthest " + (
                f"{max(apart)}" if not others else f"in another aisle ({racks(others)})"
            )
        else:
            yield f"in another aisle than {near.name}"
    if worst := choice.draft.worst():
        when = f"when {worst.loss.kind} {worst.loss.name} is out" if worst.loss else "at all times"
        yield (
            f"most loaded then: {worst.element.kind} {worst.element.name}, {worst.share:.0%} {when}"
            f" ({worst.watts / 1000:.1f} of {worst.limit / 1000:.1f} kW)"
        )
    weakest = min(choice.spots, key=lambda spot: spot.alone)
    watts = request.space.kw_per_rack * 1000
    yield (
        f"one side alone: {watts / 1000:.1f} of {weakest.alone / 1000:.1f} kW a rack "
        f"({watts / weakest.alone:.0%})"
    )
    yield f"leaves room for {racks(_left(choice, offered, watts))} of the same kind"
    yield from _warnings(room, choice)
    if over:
        yield f"promised too much before, and nothing is added to it: {over}"


def _left(choice: Choice, offered: Sequence[Spot], watts: float) -> int:
    """How many racks that are left could be had besides, as far as power goes."""
    draft, taken = choice.draft.copy(), {spot.name for spot in choice.spots}
    rest = [spot for spot in offered if spot.name not in taken]
    return sum(draft.add(spot.sides, watts - spot.promised) is None for spot in rest)


def _places(choice: Choice) -> str:
    """How many racks in which aisle, and whether they stand side by side."""
    parts = [f"{racks(len(spots))} in aisle {a}" for a, spots in choice.by_aisle.items()]
    if len(choice.spots) == len(parts):
        return ", ".join(parts)
    beside = f"{choice.gaps} of others between" if choice.gaps else "side by side"
    return f"{', '.join(parts)}; {beside}"


def _warnings(room: Room, choice: Choice) -> Iterator[str]:
    for spot in choice.spots:
        for reservation in spot.expired:
            until = reservation.custom_fields.get(HELD_UNTIL)
            ended = f"ended on {until}" if until else "is stale"
            yield (
                f"{spot.name}: the reservation for {room.tenant(reservation.tenant)} {ended}; "
                "delete it in NetBox"
            )
        if spot.most is None:
            yield f"{spot.name}: nobody says what weight it bears"
    silent = [spot.name for spot in room.spots if spot.held and not spot.promised]
    if silent:
        yield (
            f"{racks(len(silent))} reserved without a contracted power, such as {silent[0]}: "
            "nothing is counted for them"
        )
