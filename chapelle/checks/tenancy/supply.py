"""What power a rack can be promised: each side by itself, and all above under every loss.

What a tenant was promised and does not draw yet is put into a hypothetical content as one device
for each rack, with a cord to either side, so that `chapelle.checks.resilience` judges it like any
other. Watts throughout.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from itertools import combinations

import msgspec

from chapelle.checks.resilience.above import Above
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.power import per_ampere
from chapelle.model import records as r
from chapelle.model.datacentre import POWER_ROLES, Datacentre
from chapelle.model.resilience import MEASURED, Element, Outcome
from chapelle.model.snapshot import Snapshot

PORT, OUTLET = "dcim.powerport", "dcim.poweroutlet"
_POWER = frozenset({PORT, OUTLET, "dcim.powerfeed"})


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two ways by which power comes into a rack.

    Arguments:
        pdu: the PDU.
        inlets: ids of the power ports that its outlets hang on; the first that lives feeds them.
        feed: the name of the feed that limits it.
        watts: what it may give, spread over its outlets; infinite where nobody says.
        outlets: the names of those that are free.
    """

    pdu: r.Device
    inlets: tuple[int, ...]
    feed: str
    watts: float
    outlets: tuple[str, ...]


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be drawn in a rack beyond what its devices draw."""

    rack: r.Rack
    sides: tuple[Side, ...]
    watts: float


def power_only(content: r.Content) -> r.Content:
    """The content without all that power does not ask for, which is most of it."""
    return msgspec.structs.replace(
        content,
        interfaces=(),
        inventory_items=(),
        ip_addresses=(),
        front_ports=(),
        rear_ports=(),
        cables=tuple(
            cable
            for cable in content.cables
            if any(end.object_type in _POWER for end in cable.a_terminations)
        ),
    )


def plant(content: r.Content, promises: Iterable[Promise] = ()) -> Plant:
    """The power of that content, in which what is promised is drawn."""
    ports, outlets, cables, devices = [], [], [], []
    device_id = _last(content.devices)
    port_id, outlet_id, cable_id = (
        _last(records) for records in (content.power_ports, content.power_outlets, content.cables)
    )
    for promise in promises:
        if promise.watts <= 0 or not promise.sides:
            continue
        device_id += 1
        devices.append(_phantom(device_id, promise))
        for side in promise.sides:
            port_id, outlet_id, cable_id = port_id + 1, outlet_id + 1, cable_id + 1
            cord = r.Termination(object_type=PORT, object_id=port_id)
            socket = r.Termination(object_type=OUTLET, object_id=outlet_id)
            name = f"promised {promise.rack.name}"
            inlet = side.inlets[0] if len(side.inlets) == 1 else None
            # Equal shares; the exact sum stands with the device.
            ports.append(
                r.PowerPort(
                    id=port_id, device=device_id, name=side.pdu.name or "", cable=cable_id,
                    allocated_draw=int(promise.watts / len(promise.sides)),
                )
            )  # fmt: skip
            outlets.append(
                r.PowerOutlet(
                    id=outlet_id, device=side.pdu.id, name=name, power_port=inlet, cable=cable_id
                )
            )
            cables.append(
                r.Cable(
                    id=cable_id, status="connected", a_terminations=(cord,),
                    b_terminations=(socket,),
                )
            )  # fmt: skip
    content = msgspec.structs.replace(
        content,
        devices=(*content.devices, *devices),
        power_ports=(*content.power_ports, *ports),
        power_outlets=(*content.power_outlets, *outlets),
        cables=(*content.cables, *cables),
    )
    return Plant(Datacentre(Snapshot(content)))


def _last(records: Collection[r.Record]) -> int:
    return max((record.id for record in records), default=0)


def _phantom(number: int, promise: Promise) -> r.Device:
    rack = promise.rack
    return r.Device(
        id=number, name=f"what {rack.name} is promised", device_type=0, role=0, site=rack.site,
        status="planned", location=rack.location, rack=rack.id, tenant=rack.tenant,
        custom_fields={MEASURED: promise.watts},
    )  # fmt: skip


# -- the sides of a rack --------------------------------------------------------------------------


class Sides:
    """Finds the two sides of racks in a plant."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._above = Above(plant.power)
        self._outlets: dict[int, list[r.PowerOutlet]] = {}
        for outlet in plant.dc.content.power_outlets:
            self._outlets.setdefault(outlet.device, []).append(outlet)

    def of(self, devices: Iterable[r.Device]) -> tuple[Side, ...]:
        """Of a rack with these devices: two that share nothing and give most, if there are two.

        Otherwise all that live; that no power comes to is none.
        """
        found = [
            side
            for device in devices
            if self._plant.dc.role_of(device) in POWER_ROLES
            for side in self._side(device)
        ]
        pairs = [pair for pair in combinations(found, 2) if self.diverse(pair)]
        best = max(pairs, key=lambda pair: min(side.watts for side in pair), default=None)
        return best or tuple(found)

    def diverse(self, sides: Collection[Side]) -> bool:
        """Whether these are two or more that have nothing in common, up to the last source."""
        power = self._plant.power
        above = [
            frozenset.intersection(*(self._above.of(power.numbers["port", n]) for n in side.inlets))
            for side in sides
        ]
        return len(above) > 1 and not frozenset.intersection(*above)

    def _side(self, pdu: r.Device) -> Iterator[Side]:
        outlets = self._outlets.get(pdu.id, [])
        power, alive = self._plant.power, self._plant.state.alive
        named = {outlet.power_port for outlet in outlets}
        own = [power.ports[node] for node in power.of_device.get(pdu.id, ())]
        inlets = tuple(port for port in own if named & {None, port})
        nodes = [power.numbers["port", port] for port in inlets]
        if not any(alive[node] for node in nodes):
            return
        watts, feed = min((self._limit(node, outlets) for node in nodes), key=lambda pair: pair[0])
        free = tuple(outlet.name for outlet in outlets if outlet.cable is None)
        yield Side(pdu=pdu, inlets=inlets, feed=feed, watts=watts, outlets=free)

    def _limit(self, inlet: int, outlets: list[r.PowerOutlet]) -> tuple[float, str]:
        """What an inlet may give, from its feed downwards, and the name of that feed."""
        power, watts = self._plant.power, math.inf
        for node in (inlet, *sorted(self._above.of(inlet), reverse=True)):
            limit, element = power.limits[node], power.elements[node]
            if element.kind in ("pdu", "feed") and limit is not None:
                watts = min(watts, limit)
            if element.kind == "feed":
                feed = self._plant.dc.power_feeds[element.ref.id]
                return min(watts, self._inside(feed, outlets, power.limits[node])), feed.name
        return watts, ""

    def _inside(
        self, feed: r.PowerFeed, outlets: list[r.PowerOutlet], whole: float | None
    ) -> float:
        """What the phases and the breakers of a PDU let through, over all of its outlets."""
        stated = self._plant.stated
        ampere = per_ampere(self._plant.dc, stated, feed)
        legs: dict[str, dict[str, float]] = {}
        for outlet in outlets:
            leg = (outlet.feed_leg or "") if feed.phase == "three-phase" else ""
            bank = stated.bank_of(outlet)
            name, watts = (bank.name, bank.amperage * ampere) if bank else ("", math.inf)
            legs.setdefault(leg, {})[name] = watts
        third = whole / 3 if whole else math.inf
        return sum(
            min(third if leg else math.inf, sum(banks.values())) for leg, banks in legs.items()
        )


# -- the proof ------------------------------------------------------------------------------------


def harm(before: Plant, after: Plant, racks: Collection[int]) -> Iterator[str]:
    """What is overloaded, or lost, in one plant and not in the other: now, or when anything is out.

    Of other racks' feeds and PDUs none is taken out: it puts no more on anything than the panel
    above does, which is.

    Arguments:
        before: as things are.
        after: with what would be promised as well.
        racks: the ids of the racks where that is.
    """
    power = after.power
    for node, limit in enumerate(power.limits):
        if limit is not None and after.state.load[node] > limit + 1:
            element = power.elements[node]
            load, earlier = after.state.load[node], _normal(before, element)
            if earlier is None or load > earlier + 1:
                yield too_much(element, None, load, limit)
    for element in after.elements:
        if _may_harm(after, element, racks):
            outcome = after.lose([element])
            if not outcome.harmless:
                yield from _more(outcome, before.lose([element]))


def _may_harm(plant: Plant, element: Element, racks: Collection[int]) -> bool:
    number = element.ref.id
    if element.kind == "feed":
        children = plant.power.children[plant.power.numbers["feed", number]]
        return len(children) > 1 or plant.dc.power_feeds[number].rack in racks
    if element.kind == "pdu":
        return plant.dc.devices[number].rack in racks
    return element.kind not in ("switch", "patch panel")


def _normal(plant: Plant, element: Element) -> float | None:
    for node, other in enumerate(plant.power.elements):
        if other == element:
            return plant.state.load[node]
    return None


def _more(outcome: Outcome, earlier: Outcome) -> Iterator[str]:
    known = {load.element: load.after for load in earlier.loads}
    loss = outcome.elements[0]
    for load in outcome.overloads:
        if load.after > known.get(load.element, 0.0) + 1:
            yield too_much(load.element, loss, load.after, load.limit or 0.0)
    lost = {item.name for item in earlier.lost}
    for item in outcome.lost:
        if item.name not in lost:
            yield f"{item.name} would be without power when {loss.kind} {loss.name} is out"


def too_much(element: Element, loss: Element | None, watts: float, limit: float) -> str:
    """That an element would carry more than it may."""
    when = f"when {loss.kind} {loss.name} is out" if loss else "with everything in service"
    share = math.ceil(watts / limit * 100)
    return (
        f"{element.kind} {element.name} would carry {share} % of what it may {when}: "
        f"{watts / 1000:.1f} of {limit / 1000:.1f} kW"
    )
