"""What a node of power cannot do without: all that it shares its fate with, from itself upwards."""

from chapelle.checks.resilience.power import Power
from chapelle.model.resilience import Element

# Told from top to bottom. What is inside a PDU is the PDU's.
_INSIDE = frozenset({"leg", "bank", "outlet", "cord"})


class Above:
    """For each node, the nodes whose loss is its own: its dominators."""

    def __init__(self, power: Power) -> None:
        self._power = power
        self._known: list[frozenset[int]] = []
        for node, parents in enumerate(power.parents):
            if power.elements[node].kind in _INSIDE:
                self._known.append(self._shared(parents))
            else:
                self._known.append(self._shared(parents) | {node})

    def _shared(self, parents: tuple[int, ...]) -> frozenset[int]:
        if len(parents) == 1:
            return self._known[parents[0]]  # the very same set: outlets and cords cost nothing
        known = [self._known[parent] for parent in parents]
        return frozenset.intersection(*known) if known else frozenset()

    def of(self, node: int) -> frozenset[int]:
        """The nodes; a transfer switch leaves only what its inputs have in common."""
        return self._known[node]

    def elements(self, nodes: frozenset[int]) -> tuple[Element, ...]:
        """What these nodes are, from the top down."""
        return tuple(dict.fromkeys(self._power.elements[node] for node in sorted(nodes)))
