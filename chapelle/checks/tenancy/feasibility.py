"""Answers whether a tenant's request can be met: options, the best first, and why not the rest.

An option is offered when its racks bear the weight and have the units, when either side of each
rack gives the contracted power alone, when ports are free on both leafs of a tenant pair, and when
all that the racks hang on carries them beside everything that was promised before: now, and with
any one element out. The last is proven by `chapelle.checks.resilience` for each option.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence

import msgspec

from chapelle.checks.tenancy import choice, supply
from chapelle.checks.tenancy.choice import Choice, Wish
from chapelle.checks.tenancy.headroom import Headroom
from chapelle.checks.tenancy.remarks import of_choice, racks, refusal
from chapelle.checks.tenancy.room import Room, Spot
from chapelle.checks.tenancy.sorting import Sorting
from chapelle.errors import InputError
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import REQUEST, Answer, Option, Refused, Request

# How many options are shown, where nobody says.
OPTIONS = 5


def answer(
    dc: Datacentre, request: Request, today: datetime.date, options: int = OPTIONS
) -> Answer:
    """What can be offered for the request on that day.

    Arguments:
        dc: the datacentre.
        request: what is asked for.
        today: the day, by which reservations have expired.
        options: how many options at most.

    Raises:
        InputError: the request names an aisle, a rack or a tenant that does not exist, a day that
            is past, or a reference that is another tenant's.
    """
    room = Room(dc, today)
    if (held := _already(room, request)) is not None:
        return held
    _timely(request, today)
    _known(room, request)
    return Feasibility(room, request).answer(options)


class Feasibility:
    """One request against one datacentre."""

    def __init__(self, room: Room, request: Request) -> None:
        self.room = room
        self.request = request
        self.headroom = Headroom(room.plant, (spot.sides for spot in room.spots))

    def answer(self, options: int) -> Answer:
        """The options that are proven, and the reasons for each "no"."""
        sorting = Sorting(self.room, self.request, self.headroom)
        refused = list(sorting.refused)
        proven: list[Option] = []
        over = self.headroom.over()
        for found in self._choices(sorting):
            if len(proven) == options:
                break
            if harm := self._harm(found):
                names = tuple(spot.name for spot in found.spots)
                refused.append(refusal(names, f"together: {harm[0]}"))
                continue
            remarks = tuple(of_choice(self.room, self.request, found, sorting.offered, over))
            proven.append(
                Option(
                    racks=tuple(spot.name for spot in found.spots),
                    units=_units(found, self.request.space.units),
                    remarks=remarks,
                )
            )
        if proven:
            return Answer(options=tuple(proven), refused=tuple(refused))
        refused.insert(0, self._shortage(sorting))
        return Answer(options=(), refused=tuple(refused), changes=tuple(self._changes()))

    def possible(self, request: Request, *, losses: bool = True) -> list[Choice]:
        """The choices for another request of the same tenant, none of them proven."""
        sorting = Sorting(self.room, request, self.headroom, losses=losses)
        return choice.choose(self.headroom, sorting.offered, self._wish(request), losses=losses)

    def _choices(self, sorting: Sorting) -> list[Choice]:
        return choice.choose(self.headroom, sorting.offered, self._wish(self.request))

    def _wish(self, request: Request) -> Wish:
        space = request.space
        return Wish(
            count=space.racks or 1,
            watts=space.kw_per_rack * 1000,
            at_most=space.at_most_per_aisle,
            contiguous=space.contiguous,
            near=self.room.by_name[space.near] if space.near else None,
            reference=request.reference,
        )

    def _harm(self, found: Choice) -> list[str]:
        """What the choice would overload, judged with all of the plant."""
        watts = self.request.space.kw_per_rack * 1000
        after = self.room.with_promises((spot, watts) for spot in found.spots)
        return list(supply.harm(self.room.plant, after, {spot.rack.id for spot in found.spots}))

    # -- what would have to change ----------------------------------------------------------------

    def _shortage(self, sorting: Sorting) -> Refused:
        asked = self.request.space.racks or 1
        can = self._most(asked)
        if not sorting.offered:
            return Refused(subject="the request", reason="no rack can be offered")
        return Refused(
            subject="the request",
            reason=f"{racks(asked)} asked for; {racks(len(sorting.offered))} could be offered one "
            f"by one, {racks(can)} together",
        )

    def _most(self, asked: int) -> int:
        return _largest(0, asked, lambda count: bool(self.possible(_racks(self.request, count))))

    def _changes(self) -> Iterator[str]:
        """What would make it fit, each by itself."""
        space = self.request.space
        if (space.racks or 1) > 1 and (can := self._most(space.racks or 1)):
            yield f"fits with {racks(can)}"
        tenths = _largest(0, int(space.kw_per_rack * 10), lambda n: self._fits(kw_per_rack=n / 10))
        if tenths:
            yield f"fits with {tenths / 10:g} kW a rack"
        kilograms = _largest(0, int(space.kg_per_rack), lambda n: self._fits(kg_per_rack=float(n)))
        if kilograms and kilograms < int(space.kg_per_rack):
            yield f"fits with {kilograms} kg a rack"
        if space.units and (units := _largest(0, space.units, lambda n: self._fits(units=n))):
            yield f"fits with {units} units"
        yield from self._wishes()
        if both := self.possible(self.request, losses=False):
            yield f"fits only while both sides live: {self._without_losses(both[0])}"

    def _fits(self, **space: object) -> bool:
        changed = msgspec.structs.replace(self.request.space, **space)
        if not changed.kw_per_rack or not changed.kg_per_rack or changed.units == 0:
            return False
        return bool(self.possible(msgspec.structs.replace(self.request, space=changed)))

    def _wishes(self) -> Iterator[str]:
        space, request = self.request.space, self.request
        for field, without in (
            ("aisles", ()),
            ("at_most_per_aisle", None),
            ("contiguous", False),
            ("apart_from", ()),
        ):
            if getattr(space, field) and self._fits(**{field: without}):
                yield f"fits without the wish {field}"
        if request.handoff.ports > 1:
            handoff = msgspec.structs.replace(request.handoff, ports=1)
            if self.possible(msgspec.structs.replace(request, handoff=handoff)):
                yield "fits with one hand-off port on each leaf"
        if request.out_of_band and self.possible(msgspec.structs.replace(request, out_of_band=0)):
            yield "fits without an out-of-band port"

    def _without_losses(self, found: Choice) -> str:
        watts = self.request.space.kw_per_rack * 1000
        for spot in found.spots:
            if spot.alone < watts:
                weaker = min(spot.sides, key=lambda side: side.watts)
                return (
                    f"feed {weaker.feed} would carry {watts / weaker.watts * 100:.0f} % of what it "
                    f"may when the other side is out: {watts / 1000:.1f} of "
                    f"{weaker.watts / 1000:.1f} kW"
                )
        return str(found.draft.worst())


def _largest(none: int, most: int, fits: Callable[[int], bool]) -> int:
    """The largest number that fits, of those from one to the most; none where not even that."""
    least = none
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    return least


def _racks(request: Request, count: int) -> Request:
    space = msgspec.structs.replace(request.space, racks=count)
    return msgspec.structs.replace(request, space=space)


def _units(found: Choice, wanted: int | None) -> tuple[int, ...]:
    """The lowest units in one piece, or the lowest at all; the highest free one is the edge's."""
    free = found.spots[0].free[:-1] if wanted else ()
    if not wanted:
        return ()
    pieces = [free[i : i + wanted] for i in range(len(free) - wanted + 1)]
    whole = (piece for piece in pieces if piece[-1] - piece[0] == wanted - 1)
    return next(whole, free[:wanted])


# -- what a request may name ----------------------------------------------------------------------


def _timely(request: Request, today: datetime.date) -> None:
    for name in ("held_until", "starts", "ends"):
        day = getattr(request, name)
        if day is not None and day < today:
            raise InputError(
                f"The request's {name} is past.",
                where=f"request {request.reference}: {name}",
                expected=f"a day from {today} on",
                found=str(day),
                remedy="ask the tenant for a new date, and correct the file",
            )


def _known(room: Room, request: Request) -> None:
    for aisle in request.space.aisles:
        room.dc.aisle(str(aisle))
    if request.space.near is not None:
        room.dc.rack(request.space.near)
    slugs = sorted(tenant.slug for tenant in room.dc.content.tenants)
    for slug in request.space.apart_from:
        if slug not in slugs:
            raise InputError(
                f"There is no tenant {slug!r}.",
                where=f"request {request.reference}: space.apart_from",
                expected=f"one of {', '.join(slugs)}",
                found=repr(slug),
            )


def _already(room: Room, request: Request) -> Answer | None:
    """The answer to a request that has its racks."""
    has = [spot for spot in room.spots if spot.rack.custom_fields.get(REQUEST) == request.reference]
    if not has:
        return None
    owner = next((t for t in room.dc.content.tenants if t.id == has[0].rack.tenant), None)
    if owner is not None and owner.slug != request.tenant.slug:
        raise InputError(
            f"The reference {request.reference} is another tenant's.",
            where=f"rack {has[0].name}",
            expected="a reference that no other request has",
            found=f"a request of {owner.name}",
            remedy="give the request a reference of its own",
        )
    names = tuple(spot.name for spot in has)
    if len(has) != (request.space.racks or 1):
        return Answer(
            options=(),
            refused=(refusal(names, "these are the request's already, and it asks for others"),),
            changes=("ask for more, or less, under a reference of its own",),
        )
    units = _reserved(has, request) if request.space.units else ()
    remarks = ("the request has this already",)
    return Answer(options=(Option(racks=names, units=units, remarks=remarks),))


def _reserved(has: Sequence[Spot], request: Request) -> tuple[int, ...]:
    return tuple(
        sorted(
            unit
            for spot in has
            for reservation in spot.held
            if reservation.custom_fields.get(REQUEST) == request.reference
            for unit in reservation.units
        )
    )
