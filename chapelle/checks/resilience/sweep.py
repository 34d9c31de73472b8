"""Loses every element in turn, or every two of them, and keeps what matters."""

from collections.abc import Collection, Iterator
from itertools import combinations

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.model.resilience import Element, Outcome

# How bad an outcome is: a device that is lost weighs more than any overload.
type Weight = tuple[int, float]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """How many losses were tried, and the outcomes of those that did harm."""

    tried: int
    harmful: tuple[Outcome, ...]


def single(plant: Plant) -> Sweep:
    """Every element of the infrastructure by itself (N-1)."""
    return _tried(plant, ((element,) for element in plant.elements))


def pairs(plant: Plant) -> Sweep:
    """Every two elements at one time (N-2).

    Of elements that carry nothing none is tried, and of a feed and a PDU that hang in one line
    only the PDU: they are lost together in any case.
    """
    return _tried(plant, combinations([e for e in plant.elements if _matters(plant, e)], 2))


def worst(outcomes: Collection[Outcome], count: int) -> list[Outcome]:
    """The outcomes that do most harm, the worst first."""
    return sorted(outcomes, key=lambda o: (weight(o), o.elements), reverse=True)[:count]


def weight(outcome: Outcome) -> Weight:
    """Devices lost; then by how much the most overloaded element exceeds its limit, as a ratio."""
    ratios = [load.after / load.limit for load in outcome.overloads if load.limit]
    return len(outcome.lost), max(ratios, default=0.0)


def _tried(plant: Plant, losses: Iterator[tuple[Element, ...]]) -> Sweep:
    tried = 0
    harmful = []
    for elements in losses:
        tried += 1
        outcome = plant.lose(elements)
        if not outcome.harmless:
            harmful.append(outcome)
    return Sweep(tried=tried, harmful=tuple(harmful))


def _matters(plant: Plant, element: Element) -> bool:
    if element.kind == "feed":
        children = plant.power.children[plant.power.numbers["feed", element.ref.id]]
        return len(children) > 1 or any(plant.power.elements[c].kind != "pdu" for c in children)
    if element.kind == "pdu":
        return any(plant.state.load[node] for node in plant.power.of_device[element.ref.id])
    return True
