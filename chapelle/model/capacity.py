"""What a datacentre has, what is let or reserved of it, and what is left: plain types.

Kilowatts, kilograms, rack units. `alone` is what one side carries while the other is out.
"""

import datetime
from typing import Literal

import msgspec

# What a rack is: the operator's own, let, reserved, free to be let, or not in use yet.
type Use = Literal["own", "let", "reserved", "free", "unused"]
USES: tuple[Use, ...] = ("own", "let", "reserved", "free", "unused")


class Units(msgspec.Struct, frozen=True, kw_only=True):
    """Rack units: all, filled by devices, and of the others those of racks that are free."""

    total: int
    filled: int
    free: int


class RackPower(msgspec.Struct, frozen=True, kw_only=True):
    """Of one rack: what its devices draw, what its tenant was promised, what one side gives."""

    draw: float
    contracted: float
    alone: float


class RackCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """One rack.

    `until` is the last day of its lease or reservation; `stranded` says why what it has cannot be
    used, one reason each.
    """

    name: str
    use: Use
    tenant: str
    units: Units
    power: RackPower
    kilograms: float
    most_kilograms: float | None
    outlets: int
    until: datetime.date | None = None
    stranded: tuple[str, ...] = ()


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What an element carries when all that is promised is drawn: now, and at worst.

    `loss` is what is out then; the limit is None where nobody says it.
    """

    name: str
    kind: str
    normal: float
    worst: float
    loss: str
    limit: float | None

    @property
    def share(self) -> float | None:
        """Of what it may carry, at worst."""
        return self.worst / self.limit if self.limit else None


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Hand-off ports that both leafs have free, of how many; free out-of-band ports."""

    free: int
    total: int
    out_of_band: int


class AisleCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """One aisle: its racks, its panels, its ports.

    `left` is what its free racks can be promised all in all, under any loss, when no other aisle is
    promised more; `stranded` is in kilowatts what its panels could give and no free rack can take.
    """

    number: str
    name: str
    racks: tuple[RackCapacity, ...]
    panels: tuple[Load, ...]
    ports: Ports
    left: float
    stranded: float


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Racks by use, and of all in use the share that is let against the one that is to be."""

    racks: dict[str, int]
    let: float
    reserved: float
    target: int | None


class Ending(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A reservation or a lease whose last day is near, or past (`days` is negative then)."""

    until: datetime.date
    kind: Literal["reservation", "lease"]
    tenant: str
    racks: tuple[str, ...]
    days: int
    reference: str = ""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `sources` are what the panels hang on, the most loaded first."""

    day: datetime.date
    aisles: tuple[AisleCapacity, ...]
    sources: tuple[Load, ...]
    share: Share
    ending: tuple[Ending, ...]
