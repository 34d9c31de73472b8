"""What NetBox holds for the resilience of a site, and what losing something would do: plain types.

NetBox models nothing above a power panel, no waiver and no maintenance window. They stand in custom
fields of the site (JSON), so that a snapshot holds them and everybody sees them.
"""

import datetime
from typing import Annotated, Literal

import msgspec

from chapelle.model.finding import Finding, ObjectRef

# Custom fields: of sites, of power panels, of PDUs, of devices.
SOURCES = "power_sources"
WAIVERS = "resilience_waivers"
WINDOWS = "maintenance_windows"
UPS = "ups"
CAPACITY = "capacity_kva"
BANKS = "outlet_banks"
MEASURED = "measured_draw"

# Watts that a volt-ampere gives, where a site says nothing else. Server power supplies correct
# their power factor; 0.95 is the least that 80 PLUS Platinum asks of them (at half load).
POWER_FACTOR = 0.95

Text = Annotated[str, msgspec.Meta(min_length=1)]


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something above the panels: a switchboard, a UPS, a transfer switch.

    It lives as long as one of `fed_by` does, the first of them that lives feeds it; without any it
    is where power comes from. `capacity_kva` is what it may carry.
    """

    kind: Text
    fed_by: tuple[Text, ...] = ()
    capacity_kva: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Sources(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site's panels hang on, by name; panels name theirs in custom field `ups`."""

    power_factor: Annotated[float, msgspec.Meta(gt=0, le=1)] = POWER_FACTOR
    sources: dict[Text, Source] = {}


class Bank(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Outlets of a PDU behind one breaker, and what the breaker lets through."""

    name: Text
    amperage: Annotated[int, msgspec.Meta(ge=1)]
    outlets: tuple[Text, ...]


class Waiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that somebody has accepted, until a day (the last on which it counts).

    `object` is the name of the first object that the finding names.
    """

    rule: Text
    object: Text
    owner: Text
    reason: Text
    expires: datetime.date


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Elements that are out for maintenance at the same time. Times carry their zone.

    `state`: planned, open (the elements are out now), or closed.
    """

    id: Text
    elements: tuple[ObjectRef, ...]
    starts: datetime.datetime
    ends: datetime.datetime
    owner: Text
    reason: Text
    state: Literal["planned", "open", "closed"] = "planned"


# -- what losing something does -------------------------------------------------------------------


class Element(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that can be taken out, or fail. `kind`: source, panel, feed, pdu, switch..."""

    kind: str
    ref: ObjectRef

    @property
    def name(self) -> str:
        """Its name in NetBox."""
        return self.ref.name


class Lost(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A device that does its work no longer.

    `reason`: power (no live cord), supplies (the power supplies that live cannot carry it), or
    network (no way to a border leaf).
    """

    name: str
    id: int
    role: str
    tenant: str
    rack: str
    reason: str


class Load(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What an element carries, before and after, and may carry: watts; None: nobody says."""

    element: Element
    before: float
    after: float
    limit: float | None

    @property
    def over(self) -> bool:
        """Whether it carries more than it may; a watt more is the rounding of sums."""
        return self.limit is not None and self.after > self.limit + 1


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the loss of some elements does, beyond the elements themselves.

    `lost` are devices that worked before. `loads` are the elements that carry more or less than
    before and live on; `unmanaged` are devices whose management port leads nowhere any more.
    `dark` are sources, panels, feeds and PDUs that get no power any more; `reduced` the ids of
    devices that go on with a cord or a link less.
    """

    elements: tuple[Element, ...]
    lost: tuple[Lost, ...] = ()
    dark: tuple[Element, ...] = ()
    reduced: tuple[int, ...] = ()
    loads: tuple[Load, ...] = ()
    unmanaged: tuple[str, ...] = ()

    @property
    def overloads(self) -> tuple[Load, ...]:
        """The elements that carry more than they may, and more than before."""
        return tuple(load for load in self.loads if load.over and load.after > load.before)

    @property
    def harmless(self) -> bool:
        """Whether nothing is lost and nothing overloaded."""
        return not self.lost and not self.overloads


class Waived(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that does not count, and the waiver that says so."""

    finding: Finding
    waiver: Waiver


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: findings, errors first; what is waived; what nobody has looked at.

    `elements` were taken out in turn, while `devices` were watched: those that draw power or have a
    link. `down` is what was out before: failed, offline, or not in use yet.
    """

    findings: tuple[Finding, ...]
    waived: tuple[Waived, ...]
    elements: int
    devices: int
    down: tuple[Element, ...]
    not_modelled: tuple[str, ...]
