"""What those elements of power that racks share can carry more: now, and when one of them is out.

The load of a rack is linear in what it draws: half on either side, all on one side when the other
is out. So it is enough to know, once for each two places where racks hang, what share of a rack's
watts each element carries in each case.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.tenancy.supply import Side, too_much
from chapelle.model.resilience import Element

# A case and an element, by their numbers. Case 0 is as all is now; each other one is the loss of an
# element, and has its number and one.
type Place = tuple[int, int]

# A place, the share of a rack's watts that it carries, and the watts that it can carry more.
type Row = tuple[Place, float, float]

# What is no element that racks may share; what is wrong in there is judged rack by rack.
_INSIDE = frozenset({"pdu", "leg", "bank", "outlet", "cord"})

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
    """What is carried in each case before anything is added.

    Arguments:
        plant: the power as it is.
        racks: the sides of each rack that may draw more.
    """

    def __init__(self, plant: Plant, racks: Iterable[tuple[Side, ...]]) -> None:
        self._plant = plant
        power = plant.power
        self._shared = {
            node
            for node, element in enumerate(power.elements)
            if element.kind not in _INSIDE
            and (element.kind != "feed" or len(power.children[node]) > 1)
        }
        self._elements = {0: None, **{node + 1: power.elements[node] for node in self._shared}}
        self._dead: dict[int, frozenset[int]] = {0: frozenset()}
        self._loads: dict[int, dict[int, float]] = {0: {}}
        # For each element the cases in which it may carry more than as all is now.
        self._cases: dict[int, set[int]] = {node: {0} for node in self._shared}
        self._lose_each()
        self._rows: dict[tuple[tuple[int, ...], ...], tuple[Row, ...]] = {}
        for entries in {self.entries(sides) for sides in racks}:
            above = self._all_above(node for nodes in entries for node in nodes)
            for node in above:
                self._cases[node].update(other + 1 for other in above)

    def _lose_each(self) -> None:
        numbers = {self._plant.power.elements[node]: node for node in self._shared}
        for element, number in numbers.items():
            case = number + 1
            loads = self._plant.lose([element]).loads
            changed = {numbers[x.element]: x.after for x in loads if x.element in numbers}
            for node in changed:
                self._cases[node].add(case)
            self._loads[case] = changed
            self._dead[case] = self._plant.out([element]).nodes

    def _all_above(self, nodes: Iterable[int]) -> set[int]:
        """The shared elements that these nodes are, or may be fed by."""
        found: set[int] = set()
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending += self._plant.power.parents[node]
        return found & self._shared

    def above(self, sides: tuple[Side, ...]) -> set[Element]:
        """The shared elements that feed these sides, or may."""
        nodes = self._all_above(node for nodes in self.entries(sides) for node in nodes)
        return {self._plant.power.elements[node] for node in nodes}

    def strains(self) -> Iterator[list[Strain]]:
        """What each shared element carries before anything is added: now, then in each case."""
        for node in sorted(self._shared):
            yield [
                self.strain((case, node), 0.0)
                for case in sorted(self._cases[node])
                if node not in self._dead[case]
            ]

    def over(self) -> Strain | None:
        """What carries most of what it may not carry, before anything is added."""
        worst = [
            strain
            for strains in self.strains()
            for strain in strains
            if strain.limit and strain.watts > strain.limit + 1
        ]
        # Of equals the last, whose loss is the nearest.
        return max(reversed(worst), key=lambda s: round(s.share, 6), default=None)

    def rows(self, sides: tuple[Side, ...]) -> tuple[Row, ...]:
        """All that carries some of what is drawn from these sides, in each case that matters."""
        entries = self.entries(sides)
        if entries not in self._rows:
            limits = self._plant.power.limits
            above = self._all_above(node for nodes in entries for node in nodes)
            shares: dict[Place, float] = {}
            for case in sorted({case for node in above for case in self._cases[node]}):
                living = [way for nodes in entries if (way := list(self._way(case, nodes)))]
                for node in (node for way in living for node in way):
                    if node in above and limits[node] is not None and case in self._cases[node]:
                        shares[case, node] = shares.get((case, node), 0.0) + 1 / len(living)
            self._rows[entries] = tuple((p, share, self._room(p)) for p, share in shares.items())
        return self._rows[entries]

    def entries(self, sides: tuple[Side, ...]) -> tuple[tuple[int, ...], ...]:
        """Where these sides hang on what racks share: on the same, they are alike."""
        numbers = self._plant.power.numbers
        return tuple(
            tuple(self._entry(numbers["port", port]) for port in side.inlets) for side in sides
        )

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
        return (self._plant.power.limits[place[1]] or 0.0) - self._load(place)

    def _load(self, place: Place) -> float:
        case, node = place
        return self._loads[case].get(node, self._plant.state.load[node])

    def strain(self, place: Place, more: float) -> Strain:
        """What an element carries in a case with so many watts more."""
        case, node = place
        return Strain(
            element=self._plant.power.elements[node],
            loss=self._elements[case],
            watts=self._load(place) + more,
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
