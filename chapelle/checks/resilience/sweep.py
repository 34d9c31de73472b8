"""Loses every element in turn, or every two of them, and keeps what matters."""

import heapq
from collections.abc import Iterator
from itertools import combinations

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.model.resilience import Element, Outcome

# How bad an outcome is: a device that is lost weighs more than any load.
type Weight = tuple[int, float]

WORST = 10


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """How many losses were tried, the outcomes that did harm, and the worst, the worst first.

    Where nothing does harm, the worst are those that load something most.
    """

    tried: int
    harmful: tuple[Outcome, ...]
    worst: tuple[Outcome, ...]


def single(plant: Plant) -> Sweep:
    """Every element of the infrastructure by itself (N-1)."""
    return _tried(plant, ((element,) for element in plant.elements))


def pairs(plant: Plant) -> Sweep:
    """Every two elements at one time (N-2).

    Of elements that carry nothing none is tried, and of a feed and a PDU that hang in one line
    only the PDU: they are lost together in any case.
    """
    return _tried(plant, combinations([e for e in plant.elements if _matters(plant, e)], 2))


def weight(outcome: Outcome) -> Weight:
    """Devices lost; then the load of what is loaded most, as a share of what it may carry."""
    grown = (load for load in outcome.loads if load.after > load.before)
    return len(outcome.lost), max(
        (load.after / load.limit for load in grown if load.limit), default=0.0
    )


def _tried(plant: Plant, losses: Iterator[tuple[Element, ...]]) -> Sweep:
    tried = 0
    harmful = []
    heap: list[tuple[Weight, int, Outcome]] = []
    for elements in losses:
        tried += 1
        outcome = plant.lose(elements)
        if not outcome.harmless:
            harmful.append(outcome)
        entry = (weight(outcome), -tried, outcome)  # of equals, the first
        if len(heap) < WORST:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)
    worst = tuple(outcome for _, _, outcome in sorted(heap, reverse=True))
    return Sweep(tried=tried, harmful=tuple(harmful), worst=worst)


def _matters(plant: Plant, element: Element) -> bool:
    if element.kind == "feed":
        children = plant.power.children[plant.power.numbers["feed", element.ref.id]]
        return len(children) > 1 or any(plant.power.elements[c].kind != "pdu" for c in children)
    if element.kind == "pdu":
        return any(plant.state.load[node] for node in plant.power.of_device[element.ref.id])
    return True
