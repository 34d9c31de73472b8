"""What every rule of resilience gets to see, and the questions that several of them ask."""

from functools import cached_property

from chapelle.checks.resilience import sweep
from chapelle.checks.resilience.above import Above
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.power import Device
from chapelle.checks.rules.scene import Scene
from chapelle.model.finding import ObjectRef


class Subject:
    """A datacentre, its graphs, and what the loss of each element does.

    `explained`: devices of which it has been said why they may be lost, each with whether that is
    to the network.
    """

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.dc = plant.dc
        self.above = Above(plant.power)
        self.explained: frozenset[tuple[int, bool]] = frozenset()

    @cached_property
    def scene(self) -> Scene:
        """The same datacentre as rules about NetBox's content see it."""
        return Scene(self.dc)

    @cached_property
    def sweep(self) -> sweep.Sweep:
        """Every element lost in turn."""
        return sweep.single(self.plant)

    def ref(self, device_id: int) -> ObjectRef:
        """How a finding names a device."""
        return self.dc.ref(self.dc.devices[device_id])

    def parents(self, node: int) -> tuple[int, ...]:
        """What a node of power hangs on."""
        return self.plant.power.parents[node]

    def plugged(self, device: Device) -> list[int]:
        """The cords of a device that are plugged into something."""
        return [port for port in device.ports if self.parents(port)]

    def port(self, node: int) -> str:
        """The name of the power port that a cord, or an inlet, is."""
        port = self.dc.power_ports.get(self.plant.power.ports[node])
        return port.name if port else ""

    def feed_type(self, node: int) -> str:
        """Primary or redundant, as NetBox says of the feed that a cord hangs on."""
        for above in self.above.of(node):
            element = self.plant.power.elements[above]
            if element.kind == "feed":
                feed = self.dc.power_feeds.get(element.ref.id)
                return (feed.type if feed else None) or ""
        return ""

    def pdu(self, node: int) -> int:
        """The id of the PDU that a cord hangs on; 0 when it hangs on none."""
        kinds = self.plant.power.elements
        return next(
            (
                kinds[n].ref.id
                for n in sorted(self.above.of(node), reverse=True)
                if kinds[n].kind == "pdu"
            ),
            0,
        )
