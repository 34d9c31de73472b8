"""The aisles as a picture (SVG): what is out, what goes dark, what goes on with half, by rack."""

from collections.abc import Collection

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import POWER_ROLES, Datacentre
from chapelle.model.resilience import Outcome
from chapelle.report import pages

# Racks in one row of the picture.
RACKS_A_ROW = 12

# Of a device or a PDU: taken out itself, lost by it, on half of its cords or links, untouched.
STATES = {
    "out": "taken out",
    "lost": "lost",
    "reduced": "goes on with a cord or a link less",
    "fine": "untouched",
}


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A device in a rack. `bottom` and `height` are in rack units, from the rack's foot."""

    name: str
    bottom: float
    height: float
    state: str


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """A PDU, drawn beside the rack. `load`: what it carries, of what its feed may, as a share."""

    name: str
    state: str
    load: float | None


class RackView(msgspec.Struct, frozen=True, kw_only=True):
    """A rack's front with its PDUs at its sides."""

    name: str
    units: int
    slots: tuple[Slot, ...]
    strips: tuple[Strip, ...]


class AisleView(msgspec.Struct, frozen=True, kw_only=True):
    """An aisle; racks that hold nothing but PDUs are only counted."""

    name: str
    racks: tuple[RackView, ...]
    empty: int


def draw(dc: Datacentre, outcome: Outcome, shares: dict[int, float]) -> str:
    """The picture of the aisles that are hit.

    Arguments:
        dc: the datacentre.
        outcome: what the loss does.
        shares: for each PDU by its id, what it carries then, as a share of what it may.
    """
    views = aisles(dc, outcome, shares)
    return (
        pages.environment()
        .get_template("elevation.svg")
        .render(
            title=", ".join(f"{e.kind} {e.name}" for e in outcome.elements),
            aisles=views,
            states=STATES,
            per_row=RACKS_A_ROW,
            harmless=outcome.harmless,
            lost=len(outcome.lost),
            overloads=len(outcome.overloads),
        )
    )


def aisles(dc: Datacentre, outcome: Outcome, shares: dict[int, float]) -> list[AisleView]:
    """What the picture shows: aisles where something is out or lost, else where it is reduced.

    Every aisle, when nothing is touched anywhere.
    """
    states = _states(dc, outcome)
    hit = {d for d, state in states.items() if state in ("out", "lost")}
    hit = hit or {d for d, state in states.items() if state == "reduced"}
    touched = {dc.devices[d].rack for d in hit}
    by_rack: dict[int, list[r.Device]] = {}
    for device in dc.content.devices:
        by_rack.setdefault(device.rack or 0, []).append(device)
    found = []
    for location in dc.aisles.values():
        racks = [rack for rack in dc.content.racks if rack.location == location.id]
        if touched and not touched & {rack.id for rack in racks}:
            continue
        views = [_rack(dc, rack, by_rack.get(rack.id, []), states, shares) for rack in racks]
        filled = tuple(view for view in views if view.slots)
        found.append(AisleView(name=location.name, racks=filled, empty=len(views) - len(filled)))
    return found


def _states(dc: Datacentre, outcome: Outcome) -> dict[int, str]:
    states = dict.fromkeys(dc.devices, "fine")
    states.update(dict.fromkeys(outcome.reduced, "reduced"))
    dark = {e.ref.id for e in outcome.dark if e.kind == "pdu"}
    states.update(dict.fromkeys(dark, "lost"))
    states.update({item.id: "lost" for item in outcome.lost})
    for element in outcome.elements:
        states.update(dict.fromkeys(_within(dc, element.ref.endpoint, element.ref.id), "out"))
    return states


def _within(dc: Datacentre, endpoint: str, number: int) -> Collection[int]:
    if endpoint == "dcim/devices":
        return [number]
    field = {"dcim/racks": "rack", "dcim/locations": "location"}.get(endpoint)
    return [d.id for d in dc.content.devices if field and getattr(d, field) == number]


def _rack(
    dc: Datacentre,
    rack: r.Rack,
    devices: list[r.Device],
    states: dict[int, str],
    shares: dict[int, float],
) -> RackView:
    slots = []
    strips = []
    for device in sorted(devices, key=lambda d: d.name or ""):
        name = device.name or f"id {device.id}"
        kind = dc.device_types.get(device.device_type)
        if dc.role_of(device) in POWER_ROLES:
            strips.append(Strip(name=name, state=states[device.id], load=shares.get(device.id)))
        elif device.position is not None:
            height = kind.u_height if kind else 1.0
            slots.append(
                Slot(name=name, bottom=device.position - 1, height=height, state=states[device.id])
            )
    return RackView(name=rack.name, units=rack.u_height, slots=tuple(slots), strips=tuple(strips))
