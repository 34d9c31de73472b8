"""Along the cables, through patch panels: what a port reaches, and by way of what.

A cable that ends in a front port goes on at the rear port that NetBox maps it to, and the other way
round. Source: NetBox 4.7, dcim.models, PortMapping (a front port's position leads to a position of
a rear port) and CablePath.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from chapelle.model import records as r

FRONT, REAR = "dcim.frontport", "dcim.rearport"


class Far(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What a port reaches, with the ids of the cables and the patch panels on the way to it."""

    end: r.Termination
    cables: tuple[int, ...]
    panels: tuple[int, ...] = ()


class Paths:
    """The cables of one content, and how patch panels join them."""

    def __init__(self, content: r.Content, cables: Mapping[int, r.Cable]) -> None:
        self._cables = cables
        self._fronts = {port.id: port for port in content.front_ports}
        self._rears = {port.id: port for port in content.rear_ports}
        self._behind: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for front in content.front_ports:
            for mapping in front.rear_ports:
                place = (mapping.rear_port, mapping.rear_port_position)
                self._behind[place].append((front.id, mapping.position))

    def far(self, object_type: str, cable: int | None, own_id: int) -> list[Far]:
        """Every port that this one reaches, once each, in the order of the cable's ends.

        A path that ends in a patch panel reaches nothing. One that goes round in a circle is left
        where it meets itself.
        """
        start = r.Termination(object_type=object_type, object_id=own_id)
        return list(dict.fromkeys(self._follow(start, cable, (), (), ())))

    def _follow(
        self,
        own: r.Termination,
        cable_id: int | None,
        cables: tuple[int, ...],
        panels: tuple[int, ...],
        positions: tuple[int, ...],
    ) -> Iterator[Far]:
        """`positions` are those on the trunks that the path is inside of, the innermost last."""
        cable = self._cables.get(cable_id) if cable_id else None
        if cable is None or cable.id in cables:
            return
        cables = (*cables, cable.id)
        for end in cable.b_terminations if own in cable.a_terminations else cable.a_terminations:
            if end.object_type == FRONT:
                yield from self._into_front(end, cables, panels, positions)
            elif end.object_type == REAR:
                yield from self._into_rear(end, cables, panels, positions)
            else:
                yield Far(end=end, cables=cables, panels=panels)

    def _into_front(
        self,
        end: r.Termination,
        cables: tuple[int, ...],
        panels: tuple[int, ...],
        positions: tuple[int, ...],
    ) -> Iterator[Far]:
        front = self._fronts.get(end.object_id)
        for mapping in front.rear_ports if front else ():
            if rear := self._rears.get(mapping.rear_port):
                out = r.Termination(object_type=REAR, object_id=rear.id)
                through = (*panels, rear.device)
                inside = (*positions, mapping.rear_port_position)
                yield from self._follow(out, rear.cable, cables, through, inside)

    def _into_rear(
        self,
        end: r.Termination,
        cables: tuple[int, ...],
        panels: tuple[int, ...],
        positions: tuple[int, ...],
    ) -> Iterator[Far]:
        # A path that begins on a trunk, and not behind a front port, is on all its positions.
        rear = self._rears.get(end.object_id)
        wanted = positions[-1:] or tuple(range(1, (rear.positions if rear else 0) + 1))
        for position in wanted:
            for front_id, _ in self._behind.get((end.object_id, position), ()):
                front = self._fronts[front_id]
                out = r.Termination(object_type=FRONT, object_id=front.id)
                through = (*panels, front.device)
                yield from self._follow(out, front.cable, cables, through, positions[:-1])
