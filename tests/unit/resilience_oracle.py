"""What fails if this fails, worked out again from docs/resilience.md in the dumbest way there is.

For tests only: everything is computed anew for each question, by iterating until nothing changes,
and nothing is shared with `chapelle.checks.resilience` or `chapelle.model.paths` but the records.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import msgspec

from chapelle.model import records as r
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import BANKS, CAPACITY, MEASURED, SOURCES, UPS, Bank, Sources

type Node = tuple[Hashable, ...]
INTERFACE, FRONT, REAR = "dcim.interface", "dcim.frontport", "dcim.rearport"
FEED, PORT, OUTLET = "dcim.powerfeed", "dcim.powerport", "dcim.poweroutlet"
UNUSED = ("inventory", "decommissioning")
SWITCHES = {"leaf", "tenant-leaf", "spine", "border", "oob"}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a loss does: `loads` has every node, changed or not, as (before, after, limit)."""

    lost: set[tuple[int, str]]
    loads: dict[Node, tuple[float, float, float | None]]
    dead: set[Node]
    unmanaged: set[int]

    @property
    def overloads(self) -> set[Node]:
        """What carries more than it may and more than before."""
        return {
            node
            for node, (before, after, limit) in self.loads.items()
            if limit is not None and after > limit + 1 and after > before + 1e-6
        }


def loads_and_losses(
    content: r.Content, lost: Iterable[ObjectRef], before: "State | None" = None
) -> Found:
    """What the loss of these does; `before` spares the reckoning of that."""
    before, after = before or State(content, ()), State(content, tuple(lost))
    elements = after.devices_out
    gone = {
        (device.id, reason)
        for device in content.devices
        if before.works(device) and device.id not in elements
        for reason in [after.trouble(device) or before.disconnected_by(after, device)]
        if reason
    }
    return Found(
        lost=gone,
        loads={
            node: (before.carried[node], after.carried[node], before.limit(node))
            for node in before.parents
        },
        dead=set(before.parents) - after.live,
        unmanaged={
            device.id
            for device in content.devices
            if device.id in (before.managed - after.managed) - elements
            and before.works(device)
            and not after.trouble(device)
        },
    )


class State:
    """One datacentre with some elements out."""

    def __init__(self, content: r.Content, lost: tuple[ObjectRef, ...]) -> None:
        self.content = content
        self.cables = {cable.id: cable for cable in content.cables}
        self.roles = {role.id: role.slug for role in content.device_roles}
        self.devices = {device.id: device for device in content.devices}
        self.ports = {port.id: port for port in content.power_ports}
        self.ports_of: dict[int, list[r.PowerPort]] = {}
        for port in content.power_ports:
            self.ports_of.setdefault(port.device, []).append(port)
        self.feeds = {feed.id: feed for feed in content.power_feeds}
        self.panels = {panel.id: panel for panel in content.power_panels}
        self.pdus = {outlet.device for outlet in content.power_outlets}
        self.sources = {
            site.id: msgspec.convert(site.custom_fields.get(SOURCES) or {}, Sources)
            for site in content.sites
        }
        self.devices_out = self._devices_out(lost)
        self.cables_out = {ref.id for ref in lost if ref.endpoint == "dcim/cables"} | {
            cable.id
            for cable in content.cables
            if (cable.bundle, "dcim/cable-bundles") in {(ref.id, ref.endpoint) for ref in lost}
        }
        self.banks = list(self._banks())
        self.parents = self._parents()
        self.live = self._live(lost)
        self.carried = self._carried()
        self.far_ends = self._far_ends()
        self.links = list(self._links())
        self.connected = self._connected()
        self.managed = {
            one.device
            for one, other in self.links
            if one.mgmt_only
            and other.device in self.connected
            and self.role(self.devices[other.device]) in SWITCHES
        }

    def _devices_out(self, lost: tuple[ObjectRef, ...]) -> set[int]:
        def inside(location: int | None, wanted: int) -> bool:
            parents = {place.id: place.parent for place in self.content.locations}
            for _ in parents:
                if location == wanted:
                    return True
                location = parents.get(location) if location else None
            return False

        return {
            device.id
            for device in self.content.devices
            for ref in lost
            if (ref.endpoint == "dcim/devices" and ref.id == device.id)
            or (ref.endpoint == "dcim/racks" and ref.id == device.rack)
            or (ref.endpoint == "dcim/locations" and inside(device.location, ref.id))
        }

    # -- power ------------------------------------------------------------------------------------

    def _parents(self) -> dict[Node, list[Node] | None]:
        """Every node with its parents in order; None for a root."""
        found: dict[Node, list[Node] | None] = {}
        for site, stated in self.sources.items():
            for name, source in stated.sources.items():
                above: list[Node] = [("source", site, other) for other in source.fed_by]
                found["source", site, name] = above or None
        for panel in self.content.power_panels:
            ups = panel.custom_fields.get(UPS)
            found["panel", panel.id] = [("source", panel.site, ups)] if ups else None
        for feed in self.content.power_feeds:
            found["feed", feed.id] = [("panel", feed.power_panel)]
        for port in self.content.power_ports:
            ends = self._plugged(port)
            found["port", port.id] = ends
            for kind, number in ends:
                if kind == "feed" and port.device in self.pdus and self._phases(number) == 3:
                    found.update({("leg", port.id, leg): [("port", port.id)] for leg in "ABC"})
        for outlet in self.content.power_outlets:
            bank = self._bank(outlet)
            plain = self._leg_or_inlet(outlet, found)
            if bank:
                found["outlet", outlet.id] = [("bank", outlet.device, bank.name)]
            else:
                found["outlet", outlet.id] = plain
        for device, bank in self.banks:
            first = self._first_plugged(device, bank)
            above = self._leg_or_inlet(first, found) if first else []
            found["bank", device, bank.name] = above
        return found

    def _plugged(self, port: r.PowerPort) -> list[Node]:
        cable = self.cables.get(port.cable or 0)
        if not cable or cable.status != "connected":
            return []
        ends = (*cable.a_terminations, *cable.b_terminations)
        kinds = {FEED: "feed", OUTLET: "outlet"}
        return [(kinds[end.object_type], end.object_id) for end in ends if end.object_type in kinds]

    def _phases(self, feed: Any) -> int:
        return 3 if self.feeds[feed].phase == "three-phase" else 1

    def _banks(self) -> Iterator[tuple[int, Bank]]:
        for device in self.content.devices:
            if stated := device.custom_fields.get(BANKS):
                yield from ((device.id, bank) for bank in msgspec.convert(stated, list[Bank]))

    def _bank(self, outlet: r.PowerOutlet) -> Bank | None:
        for device, bank in self.banks:
            if device == outlet.device and outlet.name in bank.outlets:
                return bank
        return None

    def _first_plugged(self, device: int, bank: Bank) -> r.PowerOutlet | None:
        for name in bank.outlets:
            for outlet in self.content.power_outlets:
                if outlet.device == device and outlet.name == name and outlet.cable:
                    return outlet
        return None

    def _leg_or_inlet(self, outlet: r.PowerOutlet, found: dict[Node, Any]) -> list[Node]:
        inlets = [port.id for port in self.ports_of.get(outlet.device, ())]
        wanted = inlets if outlet.power_port is None else [outlet.power_port]
        legs: dict[int, Node] = {inlet: ("leg", inlet, outlet.feed_leg) for inlet in wanted}
        return [leg if leg in found else ("port", inlet) for inlet, leg in legs.items()]

    def _live(self, lost: tuple[ObjectRef, ...]) -> set[Node]:
        out: set[Node] = {("feed", f.id) for f in self.content.power_feeds if f.status != "active"}
        for ref in lost:
            if ref.endpoint == "dcim/sites":
                out.add(("source", ref.id, ref.name))
            elif ref.endpoint == "dcim/power-panels":
                out.add(("panel", ref.id))
            elif ref.endpoint == "dcim/power-feeds":
                out.add(("feed", ref.id))
        for port in self.content.power_ports:
            down = port.device in self.devices_out
            if port.cable in self.cables_out:
                out.add(("port", port.id))
            if port.device in self.pdus and (down or self._out_already(port.device)):
                out.add(("port", port.id))
        return until_stable(
            lambda live: {
                node
                for node, parents in self.parents.items()
                if node not in out and (parents is None or any(above in live for above in parents))
            }
        )

    def _out_already(self, device: int) -> bool:
        return self.devices[device].status in ("failed", "offline", *UNUSED)

    def way_up(self, node: Node) -> list[Node]:
        """A living node and all that feeds it, up to the root."""
        way = [node]
        while parents := self.parents[way[-1]]:
            way.append(next(above for above in parents if above in self.live))
        return way

    def cords(self, device: r.Device) -> list[r.PowerPort]:
        """The power ports of what is no PDU."""
        return [] if device.id in self.pdus else self.ports_of.get(device.id, [])

    def live_cords(self, device: r.Device) -> list[r.PowerPort]:
        """Those that have power."""
        return [port for port in self.cords(device) if ("port", port.id) in self.live]

    def draw(self, device: r.Device) -> float:
        """What the device wants to draw."""
        if device.status in UNUSED:
            return 0.0
        stated = sum(share(port) for port in self.cords(device))
        return float(max(stated, device.custom_fields.get(MEASURED) or 0))

    def trouble(self, device: r.Device) -> str:
        """Why its power does not do, if so."""
        live = self.live_cords(device)
        if self.cords(device) and not live:
            return "power"
        most = [port.maximum_draw for port in live]
        if live and None not in most and sum(watts or 0 for watts in most) < self.draw(device):
            return "supplies"
        return ""

    def drawn(self) -> Iterator[tuple[Node, float]]:
        """What each cord draws."""
        for device in self.content.devices:
            if device.id in self.devices_out or self.trouble(device):
                continue
            live = self.live_cords(device)
            whole = sum(share(port) for port in live)
            for port in live:
                part = share(port) / whole if whole else 1 / len(live)
                yield ("port", port.id), part * self.draw(device)

    def _carried(self) -> dict[Node, float]:
        """What each node carries."""
        found: dict[Node, float] = dict.fromkeys(self.parents, 0.0)
        for cord, watts in self.drawn():
            for node in self.way_up(cord):
                found[node] += watts
        return found

    def limit(self, node: Node) -> float | None:  # noqa: PLR0911 - one line of the table each
        """What a node may carry."""
        match node:
            case ("source", int(site), str(name)):
                stated = self.sources[site]
                kva = stated.sources[name].capacity_kva
                return kva * 1000 * stated.power_factor if kva else None
            case ("panel", int(number)):
                panel = self.panels[number]
                kva = panel.custom_fields.get(CAPACITY)
                return kva * 1000 * self.sources[panel.site].power_factor if kva else None
            case ("feed", int(number)):
                feed = self.feeds[number]
                if not feed.voltage or not feed.amperage or not feed.max_utilization:
                    return None
                root = math.sqrt(3) if self._phases(number) == 3 else 1
                usable = feed.voltage * feed.amperage * root * feed.max_utilization / 100
                return usable * self._factor(feed)
            case ("port", int(number)):
                return self.ports[number].maximum_draw
            case ("leg", int(number), _):
                feed_node = (self.parents["port", number] or [])[0]
                whole = self.limit(feed_node)
                return whole / 3 if whole else None
            case ("bank", int(device), str(name)):
                return self._bank_limit(device, name)
            case _:
                return None

    def _factor(self, feed: r.PowerFeed) -> float:
        site = self.panels[feed.power_panel].site
        return 1.0 if feed.supply == "dc" else self.sources[site].power_factor

    def _bank_limit(self, device: int, name: str) -> float | None:
        bank = next(b for d, b in self.banks if d == device and b.name == name)
        node: Node = ("bank", device, name)
        for _ in self.parents:
            if node[0] == "feed":
                feed = self.feeds[node[1]]  # type: ignore[index]
                root = math.sqrt(3) if self._phases(feed.id) == 3 else 1
                return (feed.voltage or 0) / root * bank.amperage * self._factor(feed)
            above = self.parents.get(node)
            if not above:
                return None
            node = above[0]
        return None

    # -- network ----------------------------------------------------------------------------------

    def _links(self) -> Iterator[tuple[r.Interface, r.Interface]]:
        """Every pair of interfaces that a way of sound cables joins, both ways round."""
        interfaces = {one.id: one for one in self.content.interfaces}
        for one in self.content.interfaces:
            for end in self.reached(one):
                other = interfaces[end.object_id]
                if one.enabled and other.enabled and one.device != other.device:
                    yield one, other

    def reached(self, one: r.Interface) -> set[r.Termination]:
        """The interfaces at the end of every walk; a place is a port to leave and open trunks."""
        start = (r.Termination(object_type=INTERFACE, object_id=one.id), ())

        def further(places: set[Any]) -> set[Any]:
            onward = {place for place in places if place[0].object_type != INTERFACE} | {start}
            return places | {after for place in onward for after in self._steps(*place)}

        ends = {place[0] for place in until_stable(further)}
        return {end for end in ends if end.object_type == INTERFACE}

    def _steps(self, at: r.Termination, inside: tuple[int, ...]) -> Iterator[Any]:
        """Over a cable, and through the patch panel behind it where there is one."""
        for there in self.far_ends.get(at, ()):
            for end in there:
                yield from self._through(end, inside)

    def _far_ends(self) -> dict[r.Termination, list[tuple[r.Termination, ...]]]:
        found: dict[r.Termination, list[tuple[r.Termination, ...]]] = {}
        for cable in self.content.cables:
            if cable.status == "connected" and cable.id not in self.cables_out:
                for end in cable.a_terminations:
                    found.setdefault(end, []).append(cable.b_terminations)
                for end in cable.b_terminations:
                    found.setdefault(end, []).append(cable.a_terminations)
        return found

    def _through(self, end: r.Termination, inside: tuple[int, ...]) -> Iterator[Any]:
        if end.object_type == INTERFACE:
            yield end, inside
        for front in self.content.front_ports:
            for way in front.rear_ports:
                if self._panel_out(front.device):
                    continue
                if (end.object_type, end.object_id) == (FRONT, front.id) and len(inside) < 4:
                    out = r.Termination(object_type=REAR, object_id=way.rear_port)
                    yield out, (*inside, way.rear_port_position)
                if (end.object_type, end.object_id) == (REAR, way.rear_port) and (
                    not inside or inside[-1] == way.rear_port_position
                ):
                    yield r.Termination(object_type=FRONT, object_id=front.id), inside[:-1]

    def _panel_out(self, device: int) -> bool:
        return device in self.devices_out or self._out_already(device)

    def role(self, device: r.Device) -> str:
        """Its role."""
        return self.roles.get(device.role, "")

    def up(self, device: r.Device) -> bool:
        """Whether the device itself works: it is not out, and has the power that it needs."""
        return not (
            device.id in self.devices_out
            or self._out_already(device.id)
            or bool(self.trouble(device))
        )

    def _connected(self) -> set[int]:
        bordered = {d.site for d in self.content.devices if self.role(d) == "border"}
        switches = {d.id for d in self.content.devices if self.role(d) in SWITCHES and self.up(d)}
        borders = {
            number
            for number in switches
            if self.role(self.devices[number]) == "border"
            or self.devices[number].site not in bordered
        }
        data = [(a, b) for a, b in self.links if not a.mgmt_only and not b.mgmt_only]
        reached = until_stable(
            lambda found: (
                borders | {a.device for a, b in data if a.device in switches and b.device in found}
            )
        )
        others = {
            a.device
            for a, b in data
            if self.role(self.devices[a.device]) not in SWITCHES and b.device in reached
        }
        return reached | others

    def works(self, device: r.Device) -> bool:
        """Whether it can be lost at all."""
        return self.up(device)

    def disconnected_by(self, after: "State", device: r.Device) -> str:
        """`network` where it was connected here and is not there."""
        cut = device.id in self.connected and device.id not in after.connected
        return "network" if cut else ""


def share(port: r.PowerPort) -> int:
    """What a cord is said to draw."""
    return port.maximum_draw or 0 if port.allocated_draw is None else port.allocated_draw


def until_stable[T](step: Callable[[set[T]], set[T]]) -> set[T]:
    """What a step from nothing, repeated, comes to."""
    found: set[T] = set()
    while (more := step(found)) != found:
        found = more
    return found
