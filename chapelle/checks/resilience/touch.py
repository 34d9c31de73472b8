"""What a loss touches without harming it: who loses a cord or a link, and in which aisles."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import Element, Outcome

type Ports = dict[int, tuple[str, ...]]


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """All by id.

    `off`: devices that are elements, or stand in one. Other devices, PDUs too, lose these ports:
    `cords` of power, `links` of the network, `management`. `feeds` give no power any more; `racks`
    hold what is off or have a feed or PDU that gives none, with the feeds.
    """

    off: frozenset[int]
    cords: Ports
    links: Ports
    management: Ports
    feeds: frozenset[int]
    racks: dict[int, frozenset[int]]

    @property
    def devices(self) -> frozenset[int]:
        """All devices that are touched."""
        return frozenset((*self.off, *self.cords, *self.links, *self.management))


def touched(plant: Plant, elements: Collection[Element]) -> Touched:
    """What the loss of these elements touches."""
    out = plant.out(elements)
    dc = plant.dc
    cords: dict[int, list[str]] = defaultdict(list)
    racks: dict[int, set[int]] = {
        rack: set() for device in out.devices if (rack := dc.devices[device].rack) is not None
    }
    racks |= {e.ref.id: set() for e in elements if e.ref.endpoint == "dcim/racks"}
    feeds = set()
    for node in out.nodes:
        ref = plant.power.elements[node].ref
        if ref.endpoint == "dcim/power-feeds":
            feeds.add(ref.id)
            if (rack := dc.power_feeds[ref.id].rack) is not None:
                racks.setdefault(rack, set()).add(ref.id)
        elif ref.endpoint == "dcim/devices" and (rack := dc.devices[ref.id].rack) is not None:
            racks.setdefault(rack, set())
    for node in sorted(out.nodes & plant.power.ports.keys()):
        port = dc.power_ports[plant.power.ports[node]]
        if port.device not in out.devices:
            cords[port.device].append(port.name)
    links, management = _links(plant, out.devices, out.links)
    return Touched(
        off=out.devices,
        cords=_sorted(cords),
        links=_sorted(links),
        management=_sorted(management),
        feeds=frozenset(feeds),
        racks={rack: frozenset(found) for rack, found in racks.items()},
    )


def _links(
    plant: Plant, off: Collection[int], cut: Collection[int]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    network = plant.network
    gone = set(cut)
    for device in off:
        gone.update(network.of_device.get(device, ()), network.of_management.get(device, ()))
    links: dict[int, list[str]] = defaultdict(list)
    management: dict[int, list[str]] = defaultdict(list)
    for number in gone:
        link = network.links[number]
        table = management if link.managed else links
        for end, port in zip(link.ends, link.ports, strict=True):
            if end not in off:
                table[end].append(plant.dc.interfaces[port].name)
    return links, management


def _sorted(ports: dict[int, list[str]]) -> Ports:
    return {device: tuple(sorted(set(names))) for device, names in ports.items()}


# -- where it is ----------------------------------------------------------------------------------


def aisles(plant: Plant, elements: Collection[Element], outcome: Outcome) -> tuple[str, ...]:
    """The slugs of the aisles of the elements, of what they touch, and of all that carries more."""
    found = touched(plant, elements)
    dc = plant.dc
    refs = [*(e.ref for e in elements), *(load.element.ref for load in outcome.loads)]
    places: set[int | None] = set()
    for ref in refs:
        places.update(_places(dc, ref))
    for device in (*found.devices, *(lost.id for lost in outcome.lost)):
        places.add(dc.devices[device].location)
    for rack in (*found.racks, *_racks(dc, found.feeds)):
        places.add(dc.racks[rack].location)
    return tuple(sorted({slug for place in places if (slug := _aisle(dc, place))}))


def sites(plant: Plant, elements: Collection[Element]) -> tuple[int, ...]:
    """The ids of the sites of the elements, that of the first one first."""
    found: dict[int, None] = {}
    for element in elements:
        number = element.ref.id
        if element.ref.endpoint == "dcim/sites":
            found[number] = None
            continue
        for place in _places(plant.dc, element.ref):
            if location := plant.dc.locations.get(place or 0):
                found[location.site] = None
        if record := _placed(plant.dc, element.ref):
            found[record.site] = None
    return tuple(found)


class _Placed(msgspec.Struct):
    site: int
    location: int | None


def _placed(dc: Datacentre, ref: ObjectRef) -> _Placed | None:
    """Where something stands that says so itself."""
    tables: dict[str, Mapping[int, r.Device | r.Rack | r.PowerPanel]] = {
        "dcim/devices": dc.devices,
        "dcim/racks": dc.racks,
        "dcim/power-panels": dc.power_panels,
    }
    record = tables.get(ref.endpoint, {}).get(ref.id)
    return _Placed(record.site, record.location) if record else None


def _places(dc: Datacentre, ref: ObjectRef) -> Iterator[int | None]:
    """The locations of an object, and of what it joins."""
    if ref.endpoint == "dcim/locations":
        yield ref.id
    elif ref.endpoint == "dcim/power-feeds" and (feed := dc.power_feeds.get(ref.id)):
        if rack := dc.racks.get(feed.rack or 0):
            yield rack.location
        if panel := dc.power_panels.get(feed.power_panel):
            yield panel.location
    elif ref.endpoint in ("dcim/cables", "dcim/cable-bundles"):
        yield from _ends(dc, ref)
    elif placed := _placed(dc, ref):
        yield placed.location


def _ends(dc: Datacentre, ref: ObjectRef) -> Iterator[int | None]:
    field = "id" if ref.endpoint == "dcim/cables" else "bundle"
    tables: dict[str, Mapping[int, r.Interface | r.PowerPort | r.PowerOutlet]] = {
        "dcim.interface": dc.interfaces,
        "dcim.powerport": dc.power_ports,
        "dcim.poweroutlet": dc.power_outlets,
    }
    for cable in dc.content.cables:
        if getattr(cable, field) != ref.id:
            continue
        for end in (*cable.a_terminations, *cable.b_terminations):
            port = tables.get(end.object_type, {}).get(end.object_id)
            if port and (device := dc.devices.get(port.device)):
                yield device.location


def _racks(dc: Datacentre, feeds: Iterable[int]) -> Iterator[int]:
    for feed in feeds:
        if (rack := dc.power_feeds[feed].rack) is not None:
            yield rack


def _aisle(dc: Datacentre, location: int | None) -> str:
    """The slug of the aisle that a location is, or is in."""
    known = {place.id: place.slug for place in dc.aisles.values()}
    seen: set[int] = set()
    while location is not None and location not in seen:
        if location in known:
            return known[location]
        seen.add(location)
        place = dc.locations.get(location)
        location = place.parent if place else None
    return ""
