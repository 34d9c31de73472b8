"""The network of a datacentre as a graph: which device hangs on which, and by way of what.

A server is connected while a live link leads to a live switch that reaches a live border leaf
through live switches. Out-of-band management is told apart: it carries nobody's work.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre

BORDER = "border"


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A connection between two devices, with the cables, panels and bundles that it runs through.

    `bundles` are ids of cable bundles, `panels` of patch panels. `ports`: ids of both interfaces.
    `managed`: those of the two devices that are managed by it; of a link that carries work, none.
    """

    ends: tuple[int, int]
    ports: tuple[int, int]
    cables: tuple[int, ...]
    panels: tuple[int, ...]
    bundles: tuple[int, ...]
    managed: tuple[int, ...]

    def other(self, device: int) -> int:
        """The device at the other end."""
        return self.ends[1] if self.ends[0] == device else self.ends[0]


class Network:
    """The links of one datacentre, by number, and what hangs on them."""

    def __init__(self, dc: Datacentre) -> None:
        self.links = list(_links(dc))
        self.of_device: dict[int, list[int]] = defaultdict(list)
        self.of_management: dict[int, list[int]] = defaultdict(list)
        self.managed_by: dict[int, list[int]] = defaultdict(list)
        self.of_cable: dict[int, list[int]] = defaultdict(list)
        self.of_panel: dict[int, list[int]] = defaultdict(list)
        self.of_bundle: dict[int, list[int]] = defaultdict(list)
        for number, link in enumerate(self.links):
            table = self.of_management if link.managed else self.of_device
            for end in link.ends:
                table[end].append(number)
            for end in link.managed:
                self.managed_by[end].append(number)
            for keys, places in (
                (link.cables, self.of_cable),
                (link.panels, self.of_panel),
                (link.bundles, self.of_bundle),
            ):
                for key in keys:
                    places[key].append(number)
        self.switches = {d.id for d in dc.content.devices if dc.role_of(d) in SWITCH_ROLES}
        borders = {d.id for d in dc.content.devices if dc.role_of(d) == BORDER}
        bordered = {dc.devices[number].site for number in borders}
        # A site without border leafs, such as one under construction, is its switches.
        self.roots = borders | {s for s in self.switches if dc.devices[s].site not in bordered}


class Reach:
    """What reaches a border leaf when some devices and links are gone; worked out as it is asked.

    Arguments:
        network: the network.
        dead: devices that are gone or dark.
        cut: links that are gone.
    """

    def __init__(self, network: Network, dead: Collection[int], cut: Collection[int]) -> None:
        self._network = network
        self._dead = dead
        self._cut = cut
        self._known: dict[int, bool] = {}

    def switch(self, switch: int) -> bool:
        """Whether the switch lives and reaches a live border leaf."""
        if switch in self._dead:
            return False
        if switch in self._known:
            return self._known[switch]
        seen = {switch}
        edge = [switch]
        found = switch in self._network.roots
        while edge and not found:
            at = edge.pop()
            for neighbour in self._neighbours(at):
                if neighbour in self._network.roots or self._known.get(neighbour):
                    found = True
                    break
                if neighbour not in seen:
                    seen.add(neighbour)
                    edge.append(neighbour)
        # All that were met hang together, so what holds of one holds of all.
        self._known.update(dict.fromkeys(seen, found))
        return found

    def _neighbours(self, at: int) -> Iterator[int]:
        for number in self._network.of_device.get(at, ()):
            other = self._network.links[number].other(at)
            if (
                number not in self._cut
                and other in self._network.switches
                and other not in self._dead
            ):
                yield other

    def device(self, device: int) -> bool:
        """Whether a device that is no switch has a live link to a switch that reaches one."""
        return self._any(self._network.of_device.get(device, ()), device)

    def managed(self, device: int) -> bool:
        """Whether a management port of the device leads to a switch that reaches one."""
        return self._any(self._network.managed_by.get(device, ()), device)

    def _any(self, links: Collection[int], device: int) -> bool:
        for number in links:
            other = self._network.links[number].other(device)
            if number not in self._cut and other in self._network.switches and self.switch(other):
                return True
        return False


def _links(dc: Datacentre) -> Iterator[Link]:
    """Every working connection once: both ports enabled, every cable connected."""
    seen: set[tuple[int, int]] = set()
    for interface in dc.content.interfaces:
        if interface.cable is None or not interface.enabled:
            continue
        for far in dc.paths.far("dcim.interface", interface.cable, interface.id):
            other = dc.interfaces.get(far.end.object_id)
            if far.end.object_type != "dcim.interface" or other is None or not other.enabled:
                continue
            ports = (min(interface.id, other.id), max(interface.id, other.id))
            cables = [dc.cables[number] for number in far.cables]
            if ports in seen or other.device == interface.device or not _connected(cables):
                continue
            seen.add(ports)
            yield Link(
                ends=(dc.interfaces[ports[0]].device, dc.interfaces[ports[1]].device),
                ports=ports,
                cables=far.cables,
                panels=tuple(sorted(set(far.panels))),
                bundles=tuple(sorted({c.bundle for c in cables if c.bundle is not None})),
                managed=tuple(sorted(i.device for i in (interface, other) if i.mgmt_only)),
            )


def _connected(cables: list[r.Cable]) -> bool:
    return all(cable.status == "connected" for cable in cables)
