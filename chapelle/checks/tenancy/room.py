"""What stands in each rack, who has it, and what is left: of space, weight, power and ports."""

import datetime
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.rules_space import KILOGRAMS
from chapelle.checks.tenancy import supply
from chapelle.checks.tenancy.supply import Promise, Side
from chapelle.model import records as r
from chapelle.model.datacentre import POWER_ROLES, Datacentre
from chapelle.model.status import OUT_OF_SERVICE
from chapelle.model.tenancy import CONTRACTED, HELD_UNTIL

TENANT_LEAF, OUT_OF_BAND = "tenant-leaf", "oob"

# The status of a reservation that holds nothing any more. Source: NetBox 4.7, dcim.choices,
# RackReservationStatusChoices.
STALE = "stale"


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A rack: what is in it and what it can bear.

    Arguments:
        rack: the rack.
        aisle: the number of its aisle; empty when it stands in none.
        place: which one it is of its aisle's racks, in the order of their names.
        standing: all devices in it but PDUs, whatever their status: they take up space.
        filled: the units that these take.
        kilograms: what stands in it weighs, PDUs included.
        most: what it bears (kilograms); None: nobody says.
        draw: what stands in it draws (watts).
        contracted: what its tenant was promised (watts).
        sides: its two sides, or what there is.
        diverse: whether these are two that share nothing.
        held: reservations that count; `expired` are those past their day, or stale.
    """

    rack: r.Rack
    aisle: str
    place: int
    standing: tuple[r.Device, ...]
    filled: frozenset[int]
    kilograms: float
    most: float | None
    draw: float
    contracted: float
    sides: tuple[Side, ...]
    diverse: bool
    held: tuple[r.RackReservation, ...]
    expired: tuple[r.RackReservation, ...]

    @property
    def name(self) -> str:
        """The rack's."""
        return self.rack.name

    @property
    def promised(self) -> float:
        """What counts against the power: what is contracted, or drawn where that is more."""
        return max(self.contracted, self.draw)

    @property
    def free(self) -> tuple[int, ...]:
        """The units that nothing fills, from the lowest."""
        return tuple(u for u in range(1, self.rack.u_height + 1) if u not in self.filled)

    @property
    def alone(self) -> float:
        """What the weaker side gives while the other is out (watts); 0 without two sides."""
        return min(side.watts for side in self.sides) if self.diverse else 0.0


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two tenant leafs that stand in for each other, and the ports that both have free."""

    first: r.Device
    second: r.Device
    free: tuple[str, ...]
    total: int


class Room:
    """All racks of a datacentre on one day."""

    def __init__(self, dc: Datacentre, today: datetime.date) -> None:
        self.dc = dc
        self.today = today
        self._content = supply.power_only(dc.content)
        self.bare = supply.plant(self._content)
        self._sides = supply.Sides(self.bare)
        self._reservations: dict[int, list[r.RackReservation]] = defaultdict(list)
        for reservation in dc.content.rack_reservations:
            self._reservations[reservation.rack].append(reservation)
        devices: dict[int, list[r.Device]] = defaultdict(list)
        for device in dc.content.devices:
            if device.rack is not None:
                devices[device.rack].append(device)
        self.spots = tuple(
            self._spot(rack, aisle, place, devices[rack.id])
            for aisle, racks in self._rows().items()
            for place, rack in enumerate(racks)
        )
        self.by_name = {spot.name: spot for spot in self.spots}

    # -- racks ------------------------------------------------------------------------------------

    def _rows(self) -> dict[str, list[r.Rack]]:
        """The racks of each aisle, in the order of their names; last those that are in none."""
        within: dict[int | None, str] = {None: ""}
        rows: dict[str, list[r.Rack]] = {number: [] for number in (*self.dc.aisles, "")}
        for rack in self.dc.content.racks:
            if rack.location not in within:
                within[rack.location] = next(
                    (
                        n
                        for n, a in self.dc.aisles.items()
                        if self.dc.is_within(rack.location, a.id)
                    ),
                    "",
                )
            rows[within[rack.location]].append(rack)
        for racks in rows.values():
            racks.sort(key=lambda rack: natural(rack.name))
        return rows

    def _spot(self, rack: r.Rack, aisle: str, place: int, devices: list[r.Device]) -> Spot:
        standing = tuple(d for d in devices if self.dc.role_of(d) not in POWER_ROLES)
        most = rack.max_weight
        held, expired = self._held(rack)
        contracted = rack.custom_fields.get(CONTRACTED)
        drawing = (self.bare.power.devices.get(device.id) for device in standing)
        sides = self._sides.of(devices)
        return Spot(
            rack=rack,
            aisle=aisle,
            place=place,
            standing=standing,
            filled=frozenset(unit for device in standing for unit in self.dc.units(device)),
            kilograms=sum(map(self._weight, devices)),
            most=None if not most else most * KILOGRAMS.get(rack.weight_unit or "kg", 1.0),
            draw=sum(device.draw for device in drawing if device),
            contracted=float(contracted) if isinstance(contracted, int | float) else 0.0,
            sides=sides,
            diverse=self._sides.diverse(sides),
            held=held,
            expired=expired,
        )

    def _weight(self, device: r.Device) -> float:
        kind = self.dc.device_types.get(device.device_type)
        if kind is None or not kind.weight:
            return 0.0
        return kind.weight * KILOGRAMS.get(kind.weight_unit or "kg", 1.0)

    def _held(
        self, rack: r.Rack
    ) -> tuple[tuple[r.RackReservation, ...], tuple[r.RackReservation, ...]]:
        held: list[r.RackReservation] = []
        expired: list[r.RackReservation] = []
        for reservation in self._reservations[rack.id]:
            until = day(reservation.custom_fields.get(HELD_UNTIL))
            over = reservation.status == STALE or (until is not None and until < self.today)
            (expired if over else held).append(reservation)
        return tuple(held), tuple(expired)

    def tenant(self, number: int | None) -> str:
        """The name of a tenant."""
        found = self.dc.tenants.get(number or 0)
        return found.name if found else "nobody"

    # -- power ------------------------------------------------------------------------------------

    @cached_property
    def plant(self) -> Plant:
        """The power as it is when everybody draws what was promised."""
        return self.with_promises(())

    def with_promises(self, more: Iterable[tuple[Spot, float]]) -> Plant:
        """The same, and these racks draw so much (watts, all in all)."""
        wanted = {spot.name: watts for spot, watts in more}
        promises = [
            Promise(
                rack=spot.rack,
                sides=spot.sides,
                watts=max(spot.promised, wanted.get(spot.name, 0.0)) - spot.draw,
            )
            for spot in self.spots
        ]
        return supply.plant(self._content, promises)

    # -- ports ------------------------------------------------------------------------------------

    @cached_property
    def _switches(self) -> dict[tuple[str, str], list[r.Device]]:
        """The switches that tenants are plugged into, by aisle and role."""
        found: dict[tuple[str, str], list[r.Device]] = defaultdict(list)
        for device in self.dc.devices_by_name.values():
            role = self.dc.role_of(device)
            if role in (TENANT_LEAF, OUT_OF_BAND) and device.status not in OUT_OF_SERVICE:
                found[self.dc.aisle_number(device) or "", role].append(device)
        return {key: sorted(some, key=lambda d: d.name or "") for key, some in found.items()}

    def pairs(self, aisle: str) -> tuple[Pair, ...]:
        """The pairs of tenant leafs of an aisle."""
        found = []
        for first in self._switches.get((aisle, TENANT_LEAF), ()):
            for second in self.dc.partners(first):
                if (first.name or "") < (second.name or ""):
                    free, total = self._ports(first)
                    others, _ = self._ports(second)
                    both = tuple(name for name in free if name in others)
                    found.append(Pair(first=first, second=second, free=both, total=total))
        return tuple(found)

    def out_of_band(self, aisle: str) -> tuple[tuple[r.Device, str], ...]:
        """The out-of-band switches of an aisle, each with its ports that are free."""
        switches = self._switches.get((aisle, OUT_OF_BAND), ())
        return tuple((switch, name) for switch in switches for name in self._ports(switch)[0])

    def _ports(self, switch: r.Device) -> tuple[list[str], int]:
        """The ports that machines are plugged into: those of the type that most are of.

        First those that are free, then how many there are.
        """
        physical = [
            port
            for port in self.dc.interfaces_by_device.get(switch.id, ())
            if port.type not in r.VIRTUAL_TYPES and not port.mgmt_only
        ]
        types = Counter(port.type for port in physical).most_common(1)
        ports = [port for port in physical if port.type == types[0][0]]
        free = [port.name for port in ports if self.dc.is_spare(port)]
        return sorted(free, key=natural), len(ports)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """By which rack 9 comes before rack 10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def day(value: object) -> datetime.date | None:
    """The day that a custom field holds; None where it holds none."""
    try:
        return datetime.date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
