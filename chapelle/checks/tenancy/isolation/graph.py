"""A graph of what hands traffic on to what, whose each part is, and where it leads to another's.

An edge leads from what sends to what gets it. A part without a party hands on whatever it gets.
The search of a party goes through its own parts and through such ones, and ends at the first part
of another's: from there on it is the other's that reaches. So there is a finding at the very edge
that is wrong, and if there is none then nobody reaches anybody, directly or by way of others.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Mapping

import msgspec

type Node = tuple[Hashable, ...]
# What people look up: the list of NetBox's content, and the id there.
type Thing = tuple[str, int]


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why an edge is there.

    Arguments:
        rule: what it breaks where it leads to another party.
        cause: what is to be changed then; edges with one cause are one finding.
        remedy: how that is changed.
        via: the objects between its ends, in the direction of the edge.
        said: what a switch's own configuration says, where it is not as NetBox has it.
    """

    rule: str
    cause: Node
    remedy: str = ""
    via: tuple[Thing, ...] = ()
    said: str = ""


class Edge(msgspec.Struct, frozen=True):
    """From one part to another."""

    source: Node
    target: Node
    why: Why


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a party's traffic comes to be another's: the edges from a part of the one's to it."""

    source: str
    target: str
    edges: tuple[Edge, ...]


class Graph:
    """The parts of a datacentre, their parties, and the edges between them."""

    def __init__(self) -> None:
        self.parties: dict[Node, str | None] = {}
        self.things: dict[Node, tuple[Thing, ...]] = {}
        self._out: dict[Node, list[Edge]] = defaultdict(list)
        self._into: dict[Node, list[Edge]] = defaultdict(list)

    def add(self, node: Node, party: str | None, *things: Thing) -> Node:
        """Add a part that is of that party, or of nobody; `things` are what it is in NetBox."""
        self.parties[node] = party
        self.things[node] = things
        return node

    def lead(self, source: Node, target: Node, why: Why) -> None:
        """What is at `source` is handed on to `target`."""
        edge = Edge(source, target, why)
        self._out[source].append(edge)
        self._into[target].append(edge)

    def join(self, one: Node, other: Node, why: Why) -> None:
        """What is at either is handed on to the other."""
        self.lead(one, other, why)
        self.lead(other, one, msgspec.structs.replace(why, via=why.via[::-1]))

    def out(self, node: Node) -> list[Edge]:
        """The edges that lead away from a part."""
        return self._out.get(node, [])

    def nodes_of(self) -> Mapping[str, list[Node]]:
        """The parts of each party."""
        found: dict[str, list[Node]] = defaultdict(list)
        for node, party in self.parties.items():
            if party is not None:
                found[party].append(node)
        return found

    def crossings(self) -> Iterator[Crossing]:
        """Every edge by which a party comes to be at another's part, with the edges before it.

        Those before it lead through nobody's parts, and are the fewest that lead there.
        """
        for party, nodes in self.nodes_of().items():
            before: dict[Node, Edge] = {}
            pending = deque(nodes)
            while pending:
                node = pending.popleft()
                for edge in self.out(node):
                    other = self.parties.get(edge.target)
                    if other is None:
                        if edge.target not in before:
                            before[edge.target] = edge
                            pending.append(edge.target)
                    elif other != party:
                        yield Crossing(source=party, target=other, edges=self._back(before, edge))

    def _back(self, before: Mapping[Node, Edge], last: Edge) -> tuple[Edge, ...]:
        edges = [last]
        while self.parties.get(edges[-1].source) is None:
            edges.append(before[edges[-1].source])
        return tuple(reversed(edges))

    def nearest(
        self, start: Node, wanted: Callable[[Node], bool], *, back: bool = False
    ) -> tuple[Edge, ...]:
        """The shortest way within one party to a part that is wanted; none where there is none.

        Arguments:
            start: where it begins, or ends if `back`.
            wanted: tells what it leads to.
            back: whether it is the way from there to `start`.
        """
        party, edges_at = self.parties.get(start), self._into if back else self._out
        steps: dict[Node, Edge] = {}
        pending, seen = deque([start]), {start}
        while pending:
            node = pending.popleft()
            if wanted(node):
                return self._way(start, node, steps, back=back)
            for edge in edges_at.get(node, ()):
                following = edge.source if back else edge.target
                if following not in seen and self.parties.get(following) == party:
                    seen.add(following)
                    steps[following] = edge
                    pending.append(following)
        return ()

    def _way(
        self, start: Node, end: Node, steps: Mapping[Node, Edge], *, back: bool
    ) -> tuple[Edge, ...]:
        edges = []
        while end != start:
            edges.append(steps[end])
            end = steps[end].target if back else steps[end].source
        return tuple(edges if back else reversed(edges))
