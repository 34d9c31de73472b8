"""Sorts the racks of a datacentre into those that can be offered for a request, and the others."""

import math
from collections.abc import Iterator

from chapelle.checks.tenancy.headroom import Draft, Headroom
from chapelle.checks.tenancy.remarks import refusal
from chapelle.checks.tenancy.room import Room, Spot
from chapelle.model import records as r
from chapelle.model.tenancy import (
    AVAILABLE,
    HELD_UNTIL,
    LET_UNTIL,
    TO_LET,
    Refused,
    Request,
    edge_name,
)


class Sorting:
    """The racks that can be offered one by one, and the reason for each other.

    Arguments:
        room: the racks.
        request: what is asked for.
        headroom: what the racks' power has left.
        losses: whether power must suffice when a side is out, too.
    """

    def __init__(
        self, room: Room, request: Request, headroom: Headroom, *, losses: bool = True
    ) -> None:
        self._room = room
        self._request = request
        self._headroom = headroom
        self._losses = losses
        self._watts = request.space.kw_per_rack * 1000
        tenants = room.dc.content.tenants
        self._own = next((t.id for t in tenants if t.slug == request.tenant.slug), None)
        self._operators = {site.tenant for site in room.dc.content.sites if site.tenant}
        self._roles = {role.id: role for role in room.dc.content.rack_roles}
        self.offered: list[Spot] = []
        self.refused: list[Refused] = []
        self._sort()

    def _sort(self) -> None:
        aisles = {aisle: self._aisle(aisle) for aisle in (*self._room.dc.aisles, "")}
        by_reason: dict[str, list[str]] = {}
        for aisle, reason in aisles.items():
            spots = [spot for spot in self._room.spots if spot.aisle == aisle]
            names = tuple(spot.name for spot in spots)
            if reason and names:
                subject = f"aisle {aisle}" if aisle else "in no aisle"
                self.refused.append(Refused(subject=subject, reason=reason, racks=names))
                continue
            for spot in spots:
                why = next(self._reasons(spot), None)
                if why is None:
                    self.offered.append(spot)
                else:
                    by_reason.setdefault(why, []).append(spot.name)
        self.refused += [refusal(tuple(names), why) for why, names in by_reason.items()]

    # -- aisles -----------------------------------------------------------------------------------

    def _aisle(self, aisle: str) -> str | None:
        """Why no rack of an aisle can be offered."""
        request, space = self._request, self._request.space
        if not aisle:
            return "the rack stands in no aisle, so that no tenant leafs lead to it"
        if space.aisles and int(aisle) not in space.aisles:
            return f"only {_listed(space.aisles)} asked for"
        if neighbour := self._apart(aisle):
            return f"{neighbour} has racks in it, and the request is to be apart from it"
        if edge_name(request.tenant.slug, aisle) in self._room.dc.devices_by_name:
            return None  # the tenant is connected here already
        return self._ports(aisle)

    def _apart(self, aisle: str) -> str | None:
        slugs = set(self._request.space.apart_from)
        for spot in self._room.spots:
            tenants = {spot.rack.tenant, *(reservation.tenant for reservation in spot.held)}
            for number in tenants if spot.aisle == aisle and slugs else ():
                tenant = self._room.dc.tenants.get(number or 0)
                if tenant and tenant.slug in slugs:
                    return tenant.name
        return None

    def _ports(self, aisle: str) -> str | None:
        pairs, wanted = self._room.pairs(aisle), self._request.handoff.ports
        if not pairs:
            return "it has no pair of tenant leafs"
        if all(len(pair.free) < wanted for pair in pairs):
            names = " and ".join(f"{pair.first.name}, {pair.second.name}" for pair in pairs)
            has = max(len(pair.free) for pair in pairs)
            return f"{wanted} free on both leafs under one number asked for; {names}: {has}"
        if self._request.out_of_band and not self._room.out_of_band(aisle):
            return "no port of an out-of-band switch is free"
        return None

    # -- racks ------------------------------------------------------------------------------------

    def _reasons(self, spot: Spot) -> Iterator[str]:
        """Why the rack cannot be offered, the weightiest first."""
        yield from self._taken(spot)
        yield from self._reserved(spot)
        yield from self._occupied(spot)
        yield from self._space(spot)
        yield from self._power(spot)

    def _taken(self, spot: Spot) -> Iterator[str]:
        rack = spot.rack
        if rack.tenant in self._operators:
            yield f"{self._room.tenant(rack.tenant)} uses it itself"
        elif rack.tenant is not None:
            until = rack.custom_fields.get(LET_UNTIL)
            yield f"let to {self._room.tenant(rack.tenant)}" + (f" until {until}" if until else "")
        role = self._roles.get(rack.role or 0)
        if role is None or role.slug != TO_LET:
            yield f"its role is {role.name if role else 'none'}, and not {TO_LET}"
        if rack.status != AVAILABLE:
            yield f"its status is {rack.status}, and not {AVAILABLE}"

    def _reserved(self, spot: Spot) -> Iterator[str]:
        for reservation in spot.held:
            if reservation.tenant != self._own or self._own is None:
                until = reservation.custom_fields.get(HELD_UNTIL)
                told = f" until {until}" if until else ", without an end"
                yield f"reserved for {self._room.tenant(reservation.tenant)}{told}"

    def _occupied(self, spot: Spot) -> Iterator[str]:
        strange = [device for device in spot.standing if self._strange(device)]
        if strange:
            more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
            owner = self._room.tenant(strange[0].tenant)
            yield f"holds {strange[0].name or 'a device'} of {owner}{more}"

    def _strange(self, device: r.Device) -> bool:
        """Whether it is somebody else's; what of the operator's fills no unit may stay."""
        if device.tenant in self._operators and device.position is None:
            return False
        return device.tenant is None or device.tenant != self._own

    def _space(self, spot: Spot) -> Iterator[str]:
        wanted = self._request.space.units or 1
        if len(spot.free) < wanted + 1:
            yield f"{len(spot.free)} units free; {wanted} and one for the tenant's edge asked for"
        more = self._request.space.kg_per_rack
        if spot.most is not None and spot.kilograms + more > spot.most:
            left = spot.most - spot.kilograms
            yield f"bears {left:.0f} kg more; {more:.0f} kg asked for"

    # -- power ------------------------------------------------------------------------------------

    def _power(self, spot: Spot) -> Iterator[str]:
        if not spot.diverse:
            yield "it has no two PDUs with power that share nothing, up to the source"
            return
        for side in spot.sides:
            if not side.outlets:
                yield f"{side.pdu.name} has no free outlet"
        weaker = min(spot.sides, key=lambda side: side.watts)
        if math.isinf(weaker.watts):
            yield "nobody says what its feeds may carry"
        alone = weaker.watts if self._losses else sum(side.watts for side in spot.sides)
        if self._watts > alone + 1e-6:
            yield (
                f"one side alone gives {weaker.watts / 1000:.1f} kW; "
                f"{self._watts / 1000:.1f} kW asked for"
            )
        draft = Draft(self._headroom, losses=self._losses)
        if strain := draft.add(spot.sides, self._watts - spot.promised):
            yield str(strain)


def _listed(aisles: tuple[int, ...]) -> str:
    word = "aisle" if len(aisles) == 1 else "aisles"
    return f"{word} {', '.join(map(str, aisles))}"
