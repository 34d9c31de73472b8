"""What a datacentre has left on one day: units, power under loss, weight, ports, what is stranded.

Power counts as if everybody drew what was promised. What nobody can use is stranded: units of a
rack without power on both sides, power in an aisle without ports, power that no free rack can take.
"""

import datetime
import math
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from chapelle.checks.tenancy.headroom import Draft, Headroom
from chapelle.checks.tenancy.room import Room, Spot, day
from chapelle.model import records as r
from chapelle.model.capacity import (
    USES,
    AisleCapacity,
    Capacity,
    Ending,
    Load,
    Ports,
    RackCapacity,
    RackPower,
    Share,
    Units,
    Use,
)
from chapelle.model.datacentre import Datacentre
from chapelle.model.resilience import Element
from chapelle.model.tenancy import (
    AVAILABLE,
    HELD_UNTIL,
    LET_UNTIL,
    POOLS,
    REQUEST,
    TO_LET,
    Pools,
)

# How many days ahead the end of a reservation or a lease is told.
NOTICE_DAYS = 30

# Power is shared out in steps of so many watts, and a rack with less than one is without power.
STEP = 500.0


def capacity(dc: Datacentre, today: datetime.date) -> Capacity:
    """What there is, and what is left of it on that day."""
    return _Account(Room(dc, today)).capacity()


class _Account:
    def __init__(self, room: Room) -> None:
        self._room = room
        self._dc = room.dc
        self._headroom = Headroom(room.plant, (spot.sides for spot in room.spots))
        self._operators = {site.tenant for site in room.dc.content.sites if site.tenant}
        self._roles = {role.id: role.slug for role in room.dc.content.rack_roles}
        self._uses = {spot.name: self._use(spot) for spot in room.spots}
        self._loads = self._all_loads()

    def capacity(self) -> Capacity:
        """All of it."""
        sources = [load for _, load in self._loads if load.kind not in ("panel", "feed")]
        return Capacity(
            day=self._room.today,
            aisles=tuple(self._aisle(number) for number in self._dc.aisles),
            sources=tuple(sorted(sources, key=lambda load: (-(load.share or 0.0), load.name))),
            share=self._share(),
            ending=tuple(sorted(self._ending())),
        )

    def _use(self, spot: Spot) -> Use:
        rack = spot.rack
        if rack.tenant in self._operators:
            return "own"
        if rack.tenant is not None:
            return "let"
        if self._roles.get(rack.role or 0) != TO_LET or rack.status not in (AVAILABLE, "reserved"):
            return "unused"
        return "reserved" if spot.held or rack.status == "reserved" else "free"

    # -- racks ------------------------------------------------------------------------------------

    def _rack(self, spot: Spot, ports: Ports, watts: float) -> RackCapacity:
        use = self._uses[spot.name]
        tenant, until = spot.rack.tenant, day(spot.rack.custom_fields.get(LET_UNTIL))
        if use == "reserved" and spot.held:
            tenant = spot.held[0].tenant
            until = day(spot.held[0].custom_fields.get(HELD_UNTIL))
        reserved = {unit for reservation in spot.held for unit in reservation.units}
        free = [unit for unit in spot.free if unit not in reserved]
        known = spot.diverse and not math.isinf(spot.alone)
        return RackCapacity(
            name=spot.name,
            use=use,
            tenant=self._room.tenant(tenant) if tenant else "",
            units=Units(
                total=spot.rack.u_height,
                filled=len(spot.filled),
                free=len(free) if use == "free" else 0,
            ),
            power=RackPower(
                draw=spot.draw / 1000,
                contracted=spot.contracted / 1000,
                alone=spot.alone / 1000 if known else 0.0,
            ),
            kilograms=spot.kilograms,
            most_kilograms=spot.most,
            outlets=min((len(side.outlets) for side in spot.sides), default=0),
            until=until,
            stranded=tuple(self._stranded(spot, ports, watts)) if use == "free" else (),
        )

    def _stranded(self, spot: Spot, ports: Ports, watts: float) -> Iterator[str]:
        """Why what a free rack has cannot be used."""
        if not spot.diverse:
            yield "units without power on two sides that share nothing"
        elif not all(side.outlets for side in spot.sides):
            yield "units without a free outlet on both sides"
        elif watts < STEP:
            yield "units without power: what its panels give under loss is promised"
        elif not ports.free:
            yield "power without a hand-off port on both leafs"
        if spot.diverse and len(spot.free) < 2:
            yield "power without units"
        if spot.most is not None and spot.kilograms >= spot.most:
            yield "units without weight: it bears no more"
        if strange := [d for d in spot.standing if d.position is not None]:
            yield f"{strange[0].name or 'a device'} stands in it"

    # -- aisles -----------------------------------------------------------------------------------

    def _aisle(self, number: str) -> AisleCapacity:
        spots = [spot for spot in self._room.spots if spot.aisle == number]
        pairs = self._room.pairs(number)
        ports = Ports(
            free=sum(len(pair.free) for pair in pairs),
            total=sum(pair.total for pair in pairs),
            out_of_band=len(self._room.out_of_band(number)),
        )
        free = [spot for spot in spots if self._uses[spot.name] == "free" and spot.diverse]
        watts = self._shared_out(free)
        return AisleCapacity(
            number=number,
            name=self._dc.aisles[number].name,
            racks=tuple(self._rack(spot, ports, watts.get(spot.name, 0.0)) for spot in spots),
            panels=tuple(self._panels(spots)),
            ports=ports,
            left=sum(watts.values()) / 1000,
            stranded=max(0.0, self._beyond(spots) - sum(watts.values())) / 1000,
        )

    def _shared_out(self, free: Iterable[Spot]) -> dict[str, float]:
        """What each free rack of an aisle can be promised, a step for each in turn."""
        draft, watts = Draft(self._headroom), {spot.name: 0.0 for spot in free}
        growing = list(free)
        while growing:
            growing = [
                spot
                for spot in growing
                if watts[spot.name] + STEP <= spot.alone < math.inf
                and draft.add(spot.sides, STEP) is None
            ]
            for spot in growing:
                watts[spot.name] += STEP
        return watts

    def _beyond(self, spots: Iterable[Spot]) -> float:
        """What the panels of an aisle could give under any loss, if racks could take it."""
        draft, watts = Draft(self._headroom), 0.0
        for spot in {self._headroom.entries(spot.sides): spot for spot in spots}.values():
            while spot.diverse and draft.add(spot.sides, STEP) is None:
                watts += STEP
                if watts > 1e8:  # nobody says what anything may carry
                    return 0.0
        return watts

    def _panels(self, spots: Iterable[Spot]) -> Iterator[Load]:
        above = {e for spot in spots for e in self._headroom.above(spot.sides) if e.kind == "panel"}
        yield from sorted(
            (load for element, load in self._loads if element in above), key=lambda load: load.name
        )

    def _all_loads(self) -> list[tuple[Element, Load]]:
        found = []
        for strains in self._headroom.strains():
            # Of equals the last, whose loss is the nearest.
            normal, worst = strains[0], max(reversed(strains), key=lambda s: round(s.watts, 3))
            loss = f"{worst.loss.kind} {worst.loss.name}" if worst.loss else ""
            load = Load(
                name=normal.element.name,
                kind=normal.element.kind,
                normal=normal.watts / 1000,
                worst=worst.watts / 1000,
                loss=loss,
                limit=normal.limit / 1000 if normal.limit else None,
            )
            found.append((normal.element, load))
        return found

    # -- all in all -------------------------------------------------------------------------------

    def _share(self) -> Share:
        counts = Counter(self._uses.values())
        used = sum(counts[use] for use in USES if use != "unused")
        return Share(
            racks={use: counts[use] for use in USES},
            let=counts["let"] / used * 100 if used else 0.0,
            reserved=counts["reserved"] / used * 100 if used else 0.0,
            target=self._target(),
        )

    def _target(self) -> int | None:
        for site in self._dc.content.sites:
            try:
                return msgspec.convert(site.custom_fields[POOLS], Pools, strict=False).share_to_let
            except (KeyError, msgspec.ValidationError):
                continue
        return None

    def _ending(self) -> Iterator[Ending]:
        """Reservations and leases that end soon, or should have; racks that end together once."""
        grouped: dict[tuple[datetime.date, str, str, str], list[str]] = {}
        for spot in self._room.spots:
            for until, kind, tenant, reference in self._ends(spot):
                if until is not None and (until - self._room.today).days <= NOTICE_DAYS:
                    key = (until, kind, self._room.tenant(tenant), reference)
                    grouped.setdefault(key, []).append(spot.name)
        for (until, kind, name, reference), racks in grouped.items():
            yield Ending(
                until=until,
                kind="lease" if kind == "lease" else "reservation",
                tenant=name,
                racks=tuple(racks),
                days=(until - self._room.today).days,
                reference=reference,
            )

    def _ends(self, spot: Spot) -> Iterator[tuple[datetime.date | None, str, int | None, str]]:
        rack = spot.rack
        if self._uses[spot.name] == "let":
            until = day(rack.custom_fields.get(LET_UNTIL))
            yield until, "lease", rack.tenant, _reference(rack)
        for reservation in (*spot.held, *spot.expired):
            until = day(reservation.custom_fields.get(HELD_UNTIL))
            yield until, "reservation", reservation.tenant, _reference(reservation)


def _reference(record: r.Rack | r.RackReservation) -> str:
    return str(record.custom_fields.get(REQUEST) or "")
