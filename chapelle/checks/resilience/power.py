"""The power of a datacentre as a graph: who feeds whom, who carries how much, who may carry what.

Power flows from sources through panels, feeds, PDUs (their inlets, phase legs, outlet banks and
outlets) to the power ports of devices. A node lives as long as one of its parents lives, and is fed
by the first of them that does: that is a transfer switch; all others have one parent. Watts
throughout; what NetBox or a rating gives in volt-amperes counts times the power factor.

Source of the feeds' and legs' capacities: NetBox 4.7, dcim.models.power, PowerFeed.save.
"""

import math
from collections.abc import Collection

import msgspec

from chapelle.checks.resilience.stated import Stated
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import CAPACITY, MEASURED, UPS, Bank, Element
from chapelle.model.status import OUT_OF_SERVICE

type Key = tuple[str, int] | tuple[str, int, str]


class Device(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A device that draws power. `ports` are nodes; draw, shares and capacities are in watts.

    `shares`: what each port draws while all live. `capacities`: what each can draw; None: enough.
    """

    id: int
    ports: tuple[int, ...]
    draw: float
    shares: tuple[float, ...]
    capacities: tuple[float | None, ...]


class Power:
    """Nodes by number; parents always have lower numbers than their children.

    `ports` are the ids of the power ports that cords and inlets are, by node.
    """

    def __init__(self, dc: Datacentre, stated: Stated) -> None:
        builder = _Builder(dc, stated)
        self.elements: list[Element] = builder.elements
        self.limits: list[float | None] = builder.limits
        self.parents: list[tuple[int, ...]] = builder.parents
        self.of_device = builder.inlets
        self.numbers = builder.numbers
        self.ports = {n: key[1] for key, n in self.numbers.items() if key[0] == "port"}
        self.devices = builder.devices
        self.looped = builder.looped
        self.children: list[list[int]] = [[] for _ in self.parents]
        for node, parents in enumerate(self.parents):
            for parent in parents:
                self.children[parent].append(node)
        self.roots = builder.roots
        self.owner: dict[int, Device] = {
            port: device for device in self.devices.values() for port in device.ports
        }


class State:
    """Which nodes live, by which parent each is fed, and what each carries."""

    def __init__(self, power: Power, dead: Collection[int]) -> None:
        self.power = power
        self.fed_by: list[int | None] = []
        self.alive: list[bool] = []
        gone = set(dead)
        for node, parents in enumerate(power.parents):
            feeding = next((p for p in parents if self.alive[p]), None)
            lives = node not in gone and (feeding is not None or node in power.roots)
            self.alive.append(lives)
            self.fed_by.append(feeding if lives else None)
        self.load = [0.0] * len(power.parents)
        for device in power.devices.values():
            for port, watts in split(device, [self.alive[port] for port in device.ports]):
                at: int | None = port
                while at is not None:
                    self.load[at] += watts
                    at = self.fed_by[at]


def split(device: Device, alive: Collection[bool]) -> list[tuple[int, float]]:
    """What each live port draws: the device's whole draw, in the proportion of their shares.

    A device that its live power supplies cannot carry is off, and draws nothing.
    """
    if carried(device, alive):
        return []
    live = [(p, s) for p, s, a in zip(device.ports, device.shares, alive, strict=True) if a]
    total = sum(share for _, share in live)
    if not total:
        return [(port, device.draw / len(live)) for port, _ in live]
    return [(port, device.draw * share / total) for port, share in live]


def carried(device: Device, alive: Collection[bool]) -> str:
    """Why the device does not work on these ports: power, supplies; empty when it does."""
    live = [c for c, a in zip(device.capacities, alive, strict=True) if a]
    if not live:
        return "power"
    capacity = math.inf if None in live else sum(c for c in live if c is not None)
    return "supplies" if device.draw > capacity else ""


def per_ampere(dc: Datacentre, stated: Stated, feed: r.PowerFeed) -> float:
    """Watts for each ampere on one phase of the feed, the power factor taken in."""
    volts = abs(feed.voltage or 0) * _factor(dc, stated, feed)
    return volts / math.sqrt(3) if feed.phase == "three-phase" else volts


def _factor(dc: Datacentre, stated: Stated, feed: r.PowerFeed) -> float:
    panel = dc.power_panels.get(feed.power_panel)
    return 1.0 if feed.supply == "dc" or not panel else stated.of(panel.site).power_factor


class _Builder:
    """Makes the nodes in an order in which parents come first."""

    def __init__(self, dc: Datacentre, stated: Stated) -> None:
        self.dc = dc
        self.stated = stated
        self.elements: list[Element] = []
        self.limits: list[float | None] = []
        self.parents: list[tuple[int, ...]] = []
        self.numbers: dict[Key, int] = {}
        self.roots: set[int] = set()
        self.inlets: dict[int, list[int]] = {}
        self.devices: dict[int, Device] = {}
        self.looped: list[ObjectRef] = []
        self._open: set[Key] = set()
        outlets: dict[int, list[r.PowerOutlet]] = {}
        for outlet in dc.content.power_outlets:
            outlets.setdefault(outlet.device, []).append(outlet)
        self._distributors = outlets
        for site, sources in stated.sources.items():
            for name in sources.sources:
                self._source(site, name)
        for panel in dc.content.power_panels:
            self._panel(panel)
        for feed in dc.content.power_feeds:
            self._feed(feed)
        for device_id in outlets:
            for port in dc.power_ports_by_device.get(device_id, ()):
                self._port(port)
        for device in dc.content.devices:
            if device.status not in OUT_OF_SERVICE and device.id not in outlets:
                self._device(device)

    def _add(
        self, key: Key, element: Element, parents: tuple[int, ...], limit: float | None
    ) -> int:
        number = self.numbers[key] = len(self.parents)
        self.elements.append(element)
        self.parents.append(parents)
        self.limits.append(limit)
        return number

    # -- from the top down ------------------------------------------------------------------------

    def _source(self, site: int, name: str) -> int | None:
        key: Key = ("source", site, name)
        if key in self.numbers:
            return self.numbers[key]
        ref = ObjectRef(endpoint="dcim/sites", id=site, name=name)
        if key in self._open:
            self.looped.append(ref)
            return None
        sources = self.stated.of(site)
        source = sources.sources.get(name)
        self._open.add(key)
        fed_by = source.fed_by if source else ()
        parents = tuple(p for n in fed_by if (p := self._source(site, n)) is not None)
        self._open.discard(key)
        rating = source.capacity_kva if source else None
        limit = rating * 1000 * sources.power_factor if rating else None
        kind = source.kind if source else "source"
        node = self._add(key, Element(kind=kind, ref=ref), parents, limit)
        if not fed_by:
            self.roots.add(node)
        return node

    def _panel(self, panel: r.PowerPanel) -> None:
        ups = panel.custom_fields.get(UPS)
        above = self._source(panel.site, ups) if isinstance(ups, str) and ups else None
        rating = panel.custom_fields.get(CAPACITY)
        factor = self.stated.of(panel.site).power_factor
        limit = rating * 1000 * factor if isinstance(rating, int | float) and rating else None
        ref = ObjectRef(endpoint="dcim/power-panels", id=panel.id, name=panel.name)
        parents = () if above is None else (above,)
        node = self._add(("panel", panel.id), Element(kind="panel", ref=ref), parents, limit)
        if above is None:
            self.roots.add(node)

    def _feed(self, feed: r.PowerFeed) -> None:
        parent = self.numbers.get(("panel", feed.power_panel))
        ref = ObjectRef(endpoint="dcim/power-feeds", id=feed.id, name=feed.name)
        parents = () if parent is None else (parent,)
        limit = self._feed_limit(feed)
        self._add(("feed", feed.id), Element(kind="feed", ref=ref), parents, limit)

    def _feed_limit(self, feed: r.PowerFeed) -> float | None:
        if not feed.voltage or not feed.amperage:
            return None
        phases = math.sqrt(3) if feed.phase == "three-phase" else 1.0
        usable = (100 if feed.max_utilization is None else feed.max_utilization) / 100
        factor = _factor(self.dc, self.stated, feed)
        return abs(feed.voltage) * feed.amperage * phases * usable * factor

    def _port(self, port: r.PowerPort) -> int:
        """A power port: the inlet of a PDU, or a cord of a device."""
        key: Key = ("port", port.id)
        if key in self.numbers:
            return self.numbers[key]
        self._open.add(key)
        above = self._above(port)
        self._open.discard(key)
        distributes = port.device in self._distributors
        element = self._port_element(port, distributes)
        limit = float(port.maximum_draw) if distributes and port.maximum_draw else None
        node = self._add(key, element, above, limit)
        if distributes:
            self.inlets.setdefault(port.device, []).append(node)
            self._legs(port, element, node)
        return node

    def _port_element(self, port: r.PowerPort, distributes: bool) -> Element:
        ref = self._device_ref(port.device)
        name = f"{ref.name} {port.name}"
        if distributes:
            alone = len(self.dc.power_ports_by_device[port.device]) == 1
            return Element(
                kind="pdu", ref=ref if alone else msgspec.structs.replace(ref, name=name)
            )
        return Element(
            kind="cord", ref=ObjectRef(endpoint="dcim/power-ports", id=port.id, name=name)
        )

    def _device_ref(self, device_id: int) -> ObjectRef:
        device = self.dc.devices.get(device_id)
        if device is None:
            return ObjectRef(endpoint="dcim/devices", id=device_id, name=f"id {device_id}")
        return self.dc.ref(device)

    def _above(self, port: r.PowerPort) -> tuple[int, ...]:
        """What the port is plugged into; a cable that is not connected yet carries nothing."""
        cable = self.dc.cables.get(port.cable or 0)
        if cable is None or cable.status != "connected":
            return ()
        found = []
        for end in self.dc.peers("dcim.powerport", port.cable, port.id):
            if end.object_type == "dcim.powerfeed":
                found.append(self.numbers.get(("feed", end.object_id)))
            elif end.object_type == "dcim.poweroutlet":
                found.append(self._outlet(end.object_id))
        return tuple(node for node in found if node is not None)

    # -- inside a PDU -----------------------------------------------------------------------------

    def _legs(self, port: r.PowerPort, element: Element, node: int) -> None:
        """The phases of an inlet that hangs on a three-phase feed."""
        ends = self.dc.peers("dcim.powerport", port.cable, port.id)
        fed_by = [end.object_id for end in ends if end.object_type == "dcim.powerfeed"]
        feeds = [self.dc.power_feeds.get(number) for number in fed_by]
        feed = next((f for f in feeds if f and f.phase == "three-phase"), None)
        if feed is None:
            return
        whole = self._feed_limit(feed)
        for leg in "ABC":
            ref = msgspec.structs.replace(element.ref, name=f"{element.ref.name} leg {leg}")
            limit = whole / 3 if whole else None
            self._add(("leg", port.id, leg), Element(kind="leg", ref=ref), (node,), limit)

    def _outlet(self, outlet_id: int) -> int | None:
        key: Key = ("outlet", outlet_id)
        outlet = self.dc.power_outlets.get(outlet_id)
        if key in self.numbers or outlet is None:
            return self.numbers.get(key)
        inlets = self._inlets_of(outlet)
        if inlets is None:
            return None
        parents = tuple(self._leg(inlet, outlet) for inlet in inlets)
        if bank := self.stated.bank_of(outlet):
            parents = (self._bank(outlet, bank),)
        ref = self._device_ref(outlet.device)
        name = f"{ref.name} {outlet.name}"
        ref = ObjectRef(endpoint="dcim/power-outlets", id=outlet.id, name=name)
        return self._add(key, Element(kind="outlet", ref=ref), parents, None)

    def _inlets_of(self, outlet: r.PowerOutlet) -> list[r.PowerPort] | None:
        """The inlet that NetBox names; where it names none, all of them: a transfer switch."""
        ports = self.dc.power_ports_by_device.get(outlet.device, ())
        own = [port for port in ports if outlet.power_port in (None, port.id)]
        for port in own:
            if ("port", port.id) in self._open:  # a PDU that is plugged into itself
                self.looped.append(self._device_ref(outlet.device))
                return None
        for port in own:
            self._port(port)
        return own

    def _leg(self, inlet: r.PowerPort, outlet: r.PowerOutlet) -> int:
        leg = self.numbers.get(("leg", inlet.id, outlet.feed_leg or ""))
        return self.numbers["port", inlet.id] if leg is None else leg

    def _bank(self, outlet: r.PowerOutlet, bank: Bank) -> int:
        """A bank of outlets, all of them on what the first that is plugged says."""
        key: Key = ("bank", outlet.device, bank.name)
        if key in self.numbers:
            return self.numbers[key]
        plugged = {o.name: o for o in self._distributors[outlet.device] if o.cable is not None}
        first = next((plugged[name] for name in bank.outlets if name in plugged), outlet)
        # Where that one is plugged into its own PDU, the outlet that was asked for has to do.
        inlets = self._inlets_of(first)
        if inlets is None:
            first, inlets = outlet, self._inlets_of(outlet) or []
        parents = tuple(self._leg(inlet, first) for inlet in inlets)
        ref = self._device_ref(outlet.device)
        ref = msgspec.structs.replace(ref, name=f"{ref.name} bank {bank.name}")
        volts = self._volts(parents)
        limit = volts * bank.amperage if volts else None
        return self._add(key, Element(kind="bank", ref=ref), parents, limit)

    def _volts(self, parents: tuple[int, ...]) -> float | None:
        """Watts for each ampere on one phase of the feed above, the power factor taken in."""
        node: int | None = parents[0] if parents else None
        while node is not None:
            element = self.elements[node]
            if element.kind == "feed":
                return per_ampere(self.dc, self.stated, self.dc.power_feeds[element.ref.id])
            node = next(iter(self.parents[node]), None)
        return None

    # -- what draws -------------------------------------------------------------------------------

    def _device(self, device: r.Device) -> None:
        ports = self.dc.power_ports_by_device.get(device.id, ())
        if not ports:
            return
        shares = tuple(
            float(p.maximum_draw or 0 if p.allocated_draw is None else p.allocated_draw)
            for p in ports
        )
        measured = device.custom_fields.get(MEASURED)
        known = float(measured) if isinstance(measured, int | float) else 0.0
        self.devices[device.id] = Device(
            id=device.id,
            ports=tuple(self._port(port) for port in ports),
            draw=max(sum(shares), known),
            shares=shares,
            capacities=tuple(
                float(p.maximum_draw) if p.maximum_draw is not None else None for p in ports
            ),
        )
