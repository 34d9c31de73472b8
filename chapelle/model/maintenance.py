"""What is found out about a maintenance window, and what a tenant is told of it: plain types."""

import datetime
from typing import Literal

import msgspec

from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import Element, Load, Lost, Outcome, Window

# -- may the elements be taken out? ---------------------------------------------------------------


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """From `at` on, a window and others (`windows`, ids) are out at one time.

    `lost` and `overloads` are what the window adds to what the others do; `outcome` is all of it.
    """

    at: datetime.datetime
    windows: tuple[str, ...]
    outcome: Outcome
    lost: tuple[Lost, ...] = ()
    overloads: tuple[Load, ...] = ()

    @property
    def harmless(self) -> bool:
        """Whether the window adds no loss and no overload."""
        return not self.lost and not self.overloads


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a window would do, at each moment of it that differs. `missing` exist no longer."""

    window: Window
    moments: tuple[Moment, ...]
    missing: tuple[ObjectRef, ...] = ()

    @property
    def harmless(self) -> bool:
        """Whether all of it may be taken out."""
        return not self.missing and all(moment.harmless for moment in self.moments)

    @property
    def lost(self) -> tuple[Lost, ...]:
        """Every device that would be lost at some moment, once."""
        found = {lost.id: lost for moment in self.moments for lost in moment.lost}
        return tuple(sorted(found.values()))

    @property
    def overloads(self) -> tuple[Load, ...]:
        """Every element that would be overloaded at some moment, at its worst."""
        worst: dict[Element, Load] = {}
        for load in (load for moment in self.moments for load in moment.overloads):
            known = worst.get(load.element)
            if known is None or load.after > known.after:
                worst[load.element] = load
        return tuple(worst.values())

    @property
    def windows(self) -> tuple[str, ...]:
        """The other windows that have a part in the harm."""
        bad = (moment for moment in self.moments if not moment.harmless)
        return tuple(sorted({window for moment in bad for window in moment.windows}))


# -- what a tenant is told ------------------------------------------------------------------------


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to call."""

    name: str
    title: str = ""
    email: str = ""
    phone: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What is worked on. `name` is empty where it is no business of the reader."""

    kind: str
    name: str = ""


type DeviceEffect = Literal["off", "lost", "dark", "cord", "link", "management"]


class OwnDevice(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A device of the reader and one thing that happens to it; `parts` are its own ports concerned.

    `effect`: off (it is worked on itself), lost (it stops), dark (a PDU that gives no power), cord
    (it runs on its other supply), link (on its other network link), management (nobody reaches its
    management port).
    """

    name: str
    effect: DeviceEffect
    rack: str = ""
    parts: tuple[str, ...] = ()


class OwnRack(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A rack of the reader, and which of its feeds give no power.

    `effect`: feeds (another one is left), pdu (its feeds live, a PDU does not), dark (no feed is
    left), off (it is worked on itself).
    """

    name: str
    effect: Literal["feeds", "pdu", "dark", "off"]
    feeds: tuple[str, ...] = ()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What one tenant is told of one window. Holds nothing of any other tenant.

    `zone`: the time zone in which times are told. `to`: the tenant's own people. `sender`: the
    site's. `feeds`: feeds of the reader in racks of nobody.
    """

    window: str
    state: str
    site: str
    tenant: str
    slug: str
    starts: datetime.datetime
    ends: datetime.datetime
    zone: str
    works: tuple[Work, ...]
    devices: tuple[OwnDevice, ...] = ()
    racks: tuple[OwnRack, ...] = ()
    feeds: tuple[str, ...] = ()
    to: tuple[Person, ...] = ()
    sender: tuple[Person, ...] = ()
