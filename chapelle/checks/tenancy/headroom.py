"""What those elements of power that racks share can carry more: now, and when one of them is out.

The load of a rack is linear in what it draws: half on either side, all on one side when the other
is out. So it is enough to know, once for each two places where racks hang, what share of a rack's
watts each element carries in each case.
"""

from collections.abc import Iterator, Mapping

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.tenancy.supply import Side, too_much
from chapelle.model.resilience import Element

# An element in a case, by their numbers; a case is nothing lost (0), or the loss of an element.
type Place = tuple[int, int]

# A place, the share of a rack's watts that it carries, and the watts that it can carry more.
type Row = tuple[Place, float, float]

# Watts by which a sum may be wrong.
_ROUNDING = 1e-6


class Strain(msgspec.Struct, frozen=True, kw_only=True):
    """What an element carries when another is out (None: none is), and may carry; watts."""

    element: Element
    loss: Element | None
    watts: float
    limit: float

    @property
    def share(self) -> float:
        """Of what it may carry."""
        return self.watts / self.limit

    def __str__(self) -> str:
        return too_much(self.element, self.loss, self.watts, self.limit)


class Headroom:
    """What is carried in each case before anything is added."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        power = plant.power
        kinds = [element.kind for element in power.elements]
        feeds = {n for n, kind in enumerate(kinds) if kind == "feed"}
        inside = {"pdu", "leg", "bank", "outlet", "cord"}
        self._shared = {
            node
            for node, kind in enumerate(kinds)
            if kind not in inside and (node not in feeds or len(power.children[node]) > 1)
        }
        self.cases: list[Element | None] = [None]
        self._dead: list[frozenset[int]] = [frozenset()]
        self._loads: list[dict[int, float]] = [
            {node: plant.state.load[node] for node in self._shared}
        ]
        numbers = {power.elements[node]: node for node in self._shared}
        for element in numbers:
            outcome = plant.lose([element])
            loads = dict(self._loads[0])
            for load in outcome.loads:
                if load.element in numbers:
                    loads[numbers[load.element]] = load.after
            self.cases.append(element)
            self._dead.append(plant.out([element]).nodes)
            self._loads.append(loads)
        self._rows: dict[tuple[tuple[int, ...], ...], tuple[Row, ...]] = {}

    def rows(self, sides: tuple[Side, ...]) -> tuple[Row, ...]:
        """All that carries some of what is drawn from these sides, in each case."""
        numbers = self._plant.power.numbers
        inlets = tuple(tuple(numbers["port", port] for port in side.inlets) for side in sides)
        key = tuple(tuple(map(self._entry, nodes)) for nodes in inlets)
        if key not in self._rows:
            shares: dict[Place, float] = {}
            for case in range(len(self.cases)):
                living = [way for nodes in inlets if (way := list(self._way(case, nodes)))]
                for node in (node for way in living for node in way):
                    if node in self._shared and self._plant.power.limits[node] is not None:
                        shares[case, node] = shares.get((case, node), 0.0) + 1 / len(living)
            self._rows[key] = tuple((p, share, self._room(p)) for p, share in shares.items())
        return self._rows[key]

    def _entry(self, node: int) -> int:
        """The first element above that racks share, from which on their ways are the same."""
        power = self._plant.power
        while node not in self._shared and len(power.parents[node]) == 1:
            node = power.parents[node][0]
        return node

    def _way(self, case: int, inlets: tuple[int, ...]) -> Iterator[int]:
        """The nodes from the first of the inlets that lives to where power comes from."""
        alive, dead = self._plant.state.alive, self._dead[case]
        nodes = inlets
        while living := [node for node in nodes if alive[node] and node not in dead]:
            yield living[0]
            nodes = self._plant.power.parents[living[0]]

    def _room(self, place: Place) -> float:
        case, node = place
        return (self._plant.power.limits[node] or 0.0) - self._loads[case][node]

    def strain(self, place: Place, more: float) -> Strain:
        """What an element carries in a case with so many watts more."""
        case, node = place
        return Strain(
            element=self._plant.power.elements[node],
            loss=self.cases[case],
            watts=self._loads[case][node] + more,
            limit=self._plant.power.limits[node] or 0.0,
        )


class Draft:
    """What would be added, rack by rack.

    Arguments:
        headroom: to what.
        losses: look at what is carried when something is out, and not only as all is now.
    """

    def __init__(self, headroom: Headroom, *, losses: bool = True) -> None:
        self._headroom = headroom
        self._losses = losses
        self._added: dict[Place, float] = {}

    def copy(self) -> "Draft":
        """The same, to go on from."""
        other = Draft(self._headroom, losses=self._losses)
        other._added = dict(self._added)
        return other

    def add(self, sides: tuple[Side, ...], watts: float) -> Strain | None:
        """Add what a rack draws, unless that is too much for something: that is returned."""
        sums: dict[Place, float] = {}
        over: dict[Place, float] = {}
        for place, share, room in self._headroom.rows(sides):
            sums[place] = more = self._added.get(place, 0.0) + share * watts
            if more > room + _ROUNDING and (self._losses or place[0] == 0):
                over[place] = more
        if over:
            return self._worst(over)
        self._added |= sums
        return None

    def worst(self) -> Strain | None:
        """What is loaded most of all that carries something of it."""
        return self._worst(self._added) if self._added else None

    def _worst(self, added: Mapping[Place, float]) -> Strain:
        """Of equals the one in the last case, whose loss is the nearest: a panel's, say."""
        strains = ((place, self._headroom.strain(place, more)) for place, more in added.items())
        return max(strains, key=lambda pair: (round(pair[1].share, 6), pair[0]))[1]
