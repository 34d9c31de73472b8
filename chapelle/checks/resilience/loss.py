"""Takes elements out of a datacentre and says what that does.

Exact, and only as much work as what hangs on the elements. What is out already (devices and feeds
that are failed or offline in NetBox) is out before and after. What does not work before, such as a
server that nobody has cabled yet, is no news afterwards.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property

import msgspec

from chapelle.checks.resilience.network import Network, Reach
from chapelle.checks.resilience.power import Power, State, carried, split
from chapelle.checks.resilience.stated import Stated
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.records import ENDPOINTS
from chapelle.model.resilience import Element, Load, Lost, Outcome
from chapelle.model.status import DOWN, OUT_OF_SERVICE

NETWORK = "network"

# What carries a load and is no element of its own: it is out when its PDU or device is.
_PARTS = frozenset({"pdu", "leg", "bank", "outlet", "cord"})
# Loads that nobody reads: an outlet carries what its cord does.
_UNTOLD = frozenset({"outlet", "cord"})


class Out(msgspec.Struct, frozen=True, kw_only=True):
    """What is out, by the parts that the graphs know: nodes of power, devices, links."""

    nodes: frozenset[int]
    devices: frozenset[int]
    links: frozenset[int]


class Plant:
    """One datacentre that can lose things; `power` and `network` are its graphs."""

    def __init__(self, dc: Datacentre) -> None:
        self.dc = dc
        self.stated = Stated(dc)
        self.power = Power(dc, self.stated)
        self.network = Network(dc)
        self.already_down = tuple(self._already_down())
        self.down = self._parts(self.already_down)
        self.state = State(self.power, self.down.nodes)
        self.dark = frozenset(
            device.id
            for device in self.power.devices.values()
            if carried(device, [self.state.alive[port] for port in device.ports])
        )
        self._dead = self.down.devices | self.dark
        reach = Reach(self.network, self._dead, self.down.links)
        linked = set(self.network.of_device)
        self._reached = {d for d in linked if d not in self._dead and self._reaches(reach, d)}
        managed = self.network.managed_by
        self._managed = {d for d in managed if d not in self._dead and reach.managed(d)}

    # -- what there is ----------------------------------------------------------------------------

    @cached_property
    def elements(self) -> tuple[Element, ...]:
        """Everything of the infrastructure that can be taken out for maintenance.

        No cords and no single cables: the loss of what they hang on includes theirs.
        """
        found = {e: None for e in self.power.elements if e.kind not in _PARTS}
        for device in self.dc.content.devices:
            is_ours = device.id in self.power.of_device or device.id in self.network.switches
            if device.status not in OUT_OF_SERVICE and (
                is_ours or device.id in self.network.of_panel
            ):
                found[self.element(device)] = None
        for bundle in self.dc.content.cable_bundles:
            ref = ObjectRef(endpoint=ENDPOINTS["cable_bundles"], id=bundle.id, name=bundle.name)
            found[Element(kind="bundle", ref=ref)] = None
        return tuple(found)

    def element(self, device: r.Device) -> Element:
        """A device as something that can be lost."""
        if device.id in self.power.of_device:
            kind = "pdu"
        elif device.id in self.network.switches:
            kind = "switch"
        else:
            kind = "patch panel" if device.id in self.network.of_panel else "device"
        return Element(kind=kind, ref=self.dc.ref(device))

    def _already_down(self) -> Iterator[Element]:
        for device in self.dc.content.devices:
            if device.status in DOWN | OUT_OF_SERVICE:
                yield self.element(device)
        for feed in self.dc.content.power_feeds:
            if feed.status != "active":
                ref = ObjectRef(endpoint=ENDPOINTS["power_feeds"], id=feed.id, name=feed.name)
                yield Element(kind="feed", ref=ref)

    # -- which parts of the graphs an element is --------------------------------------------------

    def _parts(self, elements: Iterable[Element]) -> Out:
        nodes: set[int] = set()
        devices: set[int] = set()
        links: set[int] = set()
        for element in elements:
            place, number = element.ref.endpoint, element.ref.id
            if place == "dcim/sites":
                nodes.add(self.power.numbers["source", number, element.ref.name])
            elif place == "dcim/power-panels":
                nodes.add(self.power.numbers["panel", number])
            elif place == "dcim/power-feeds":
                nodes.add(self.power.numbers["feed", number])
            elif place == "dcim/cables":
                self._cut([number], nodes, links)
            elif place == "dcim/cable-bundles":
                bundled = [c.id for c in self.dc.content.cables if c.bundle == number]
                self._cut(bundled, nodes, links)
            else:
                for device in self._devices(place, number):
                    devices.add(device)
                    nodes.update(self.power.of_device.get(device, ()))
                    links.update(self.network.of_panel.get(device, ()))
        return Out(nodes=frozenset(nodes), devices=frozenset(devices), links=frozenset(links))

    def _devices(self, place: str, number: int) -> list[int]:
        """The devices that are a device, in a rack, or somewhere in a location such as an aisle."""
        if place == "dcim/devices":
            return [number]
        devices = self.dc.content.devices
        if place == "dcim/racks":
            return [d.id for d in devices if d.rack == number]
        if place == "dcim/locations":
            return [d.id for d in devices if self.dc.is_within(d.location, number)]
        raise KeyError(place)

    def _cut(self, cables: Collection[int], nodes: set[int], links: set[int]) -> None:
        """A power cable is out as the port below it is."""
        for number in cables:
            links.update(self.network.of_cable.get(number, ()))
            cable = self.dc.cables[number]
            for end in (*cable.a_terminations, *cable.b_terminations):
                node = self.power.numbers.get(("port", end.object_id))
                if end.object_type == "dcim.powerport" and node is not None:
                    nodes.add(node)

    def pdu_shares(self, outcome: Outcome) -> dict[int, float]:
        """For each PDU by its id: what it carries after a loss, as a share of what its feed may."""
        after = {load.element: load.after for load in outcome.loads}
        shares: dict[int, float] = {}
        for device, inlets in self.power.of_device.items():
            ratios = [0.0]
            for node in inlets:
                above = self.state.fed_by[node]
                limit = self.power.limits[node] or (self.power.limits[above] if above else None)
                if limit:
                    load = after.get(self.power.elements[node], self.state.load[node])
                    ratios.append(load / limit)
            shares[device] = max(ratios)
        return shares

    # -- losing it --------------------------------------------------------------------------------

    def lose(self, elements: Collection[Element]) -> Outcome:
        """What the loss of these elements, together and at one time, does to all others."""
        out = self._parts(elements)
        dead, moved = self._without(out.nodes)
        lost, delta = self._shifted(out, dead, moved)
        dark = frozenset(device for device, _ in lost)
        near = self._near(out, dark, self.network.of_device)
        cut_off, unmanaged = self._cut_off(out, dark, near)
        lost += [(device, NETWORK) for device in cut_off]
        gone = {device for device, _ in lost} | out.devices | self._dead
        half = {owner.id for node in dead if (owner := self.power.owner.get(node))}
        half |= near & self._reached
        return Outcome(
            elements=tuple(elements),
            lost=tuple(sorted(self._lost(device, why) for device, why in lost)),
            dark=tuple(self._dark(dead - out.nodes)),
            reduced=tuple(sorted(half - gone)),
            loads=tuple(self._loads(delta, dead)),
            unmanaged=tuple(
                sorted(name for d in unmanaged if (name := self.dc.devices[d].name or f"id {d}"))
            ),
        )

    def out(self, elements: Collection[Element]) -> Out:
        """Everything that these elements take with them: all that they feed and nothing else does.

        Devices are those that are elements, or stand in them.
        """
        out = self._parts(elements)
        return msgspec.structs.replace(out, nodes=frozenset(self._without(out.nodes)[0]))

    def _without(self, nodes: Collection[int]) -> tuple[set[int], dict[int, int | None]]:
        """The nodes that die with these, and of those that live on fed otherwise, by what."""
        power, state = self.power, self.state
        dead: set[int] = set()
        moved: dict[int, int | None] = {}
        gone = {node for node in nodes if state.alive[node]}
        heap = sorted(gone)
        queued = set(heap)
        while heap:  # parents before children, since they have lower numbers
            node = heapq.heappop(heap)
            feeding = None
            if node in gone:
                dead.add(node)
            else:
                parents = (p for p in power.parents[node] if state.alive[p] and p not in dead)
                feeding = next(parents, None)
                if feeding is None and node not in power.roots:
                    dead.add(node)
                elif feeding == state.fed_by[node] and feeding not in moved:
                    continue
                else:
                    moved[node] = feeding
            for child in power.children[node]:
                if state.alive[child] and child not in queued:
                    queued.add(child)
                    heapq.heappush(heap, child)
        return dead, moved

    def _shifted(
        self, out: Out, dead: set[int], moved: dict[int, int | None]
    ) -> tuple[list[tuple[int, str]], dict[int, float]]:
        """The devices that stop for want of power, and what each node carries more, or less."""
        power, state = self.power, self.state
        touched = {owner.id for node in (*dead, *moved) if (owner := power.owner.get(node))}
        touched |= {device for device in out.devices if device in power.devices}
        lost: list[tuple[int, str]] = []
        delta: dict[int, float] = {}
        for device_id in touched:
            device = power.devices[device_id]
            before = [state.alive[port] for port in device.ports]
            after = [state.alive[port] and port not in dead for port in device.ports]
            for port, watts in split(device, before):
                self._carry(delta, port, -watts, {})
            if device_id in out.devices:
                continue
            for port, watts in split(device, after):
                self._carry(delta, port, watts, moved)
            why = carried(device, after)
            if why and device_id not in self._dead:
                lost.append((device_id, why))
        return lost, delta

    def _carry(
        self, delta: dict[int, float], port: int, watts: float, moved: dict[int, int | None]
    ) -> None:
        node: int | None = port
        while node is not None:
            delta[node] = delta.get(node, 0.0) + watts
            node = moved[node] if node in moved else self.state.fed_by[node]

    # -- the network ------------------------------------------------------------------------------

    def _near(
        self, out: Out, dark: frozenset[int], hanging: Mapping[int, Collection[int]]
    ) -> set[int]:
        """The devices with a link, of those in `hanging`, that is lost, or to a switch that is."""
        links = self.network.links
        near: set[int] = set()
        for switch in (out.devices | dark) & self.network.switches:
            near.update(links[number].other(switch) for number in hanging.get(switch, ()))
        for number in out.links:
            if number in hanging.get(links[number].ends[0], ()):
                near.update(links[number].ends)
        return near

    def _cut_off(
        self, out: Out, dark: frozenset[int], near: set[int]
    ) -> tuple[list[int], list[int]]:
        """The devices that lose the network, and those that lose management only."""
        dead = self._dead | out.devices | dark
        network = self.network
        near = near | self._near(out, dark, network.of_management)
        reach = Reach(network, dead, self.down.links | out.links)
        # A switch that is cut off takes with it what hangs on it, switches too.
        edge = [d for d in near if d in network.switches]
        while edge:
            switch = edge.pop()
            if switch in dead or reach.switch(switch):
                continue
            for number in (
                *network.of_device.get(switch, ()),
                *network.of_management.get(switch, ()),
            ):
                other = network.links[number].other(switch)
                if other not in near:
                    near.add(other)
                    if other in network.switches:
                        edge.append(other)
        cut_off = [
            d for d in near if d in self._reached and d not in dead and not self._reaches(reach, d)
        ]
        unmanaged = [
            d for d in near if d in self._managed and d not in dead and not reach.managed(d)
        ]
        return cut_off, unmanaged

    def _reaches(self, reach: Reach, device: int) -> bool:
        return reach.switch(device) if device in self.network.switches else reach.device(device)

    # -- as it is told ----------------------------------------------------------------------------

    def _lost(self, device_id: int, reason: str) -> Lost:
        device = self.dc.devices[device_id]
        tenant = self.dc.tenants.get(device.tenant or 0)
        rack = self.dc.racks.get(device.rack or 0)
        return Lost(
            name=self.dc.ref(device).name,
            id=device.id,
            role=self.dc.role_of(device),
            tenant=tenant.name if tenant else "",
            rack=rack.name if rack else "",
            reason=reason,
        )

    def _dark(self, nodes: Collection[int]) -> Iterator[Element]:
        """Sources, panels, feeds and PDUs among the nodes that have died."""
        inside = _PARTS - {"pdu"}
        for node in sorted(nodes):
            if self.power.elements[node].kind not in inside:
                yield self.power.elements[node]

    def _loads(self, delta: dict[int, float], dead: set[int]) -> Iterator[Load]:
        for node in sorted(delta):
            element = self.power.elements[node]
            if node in dead or element.kind in _UNTOLD or abs(delta[node]) < 0.5:
                continue
            before = self.state.load[node]
            yield Load(
                element=element,
                before=before,
                after=before + delta[node],
                limit=self.power.limits[node],
            )
