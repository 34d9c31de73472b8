"""Along the cables, through patch panels."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.model import records as r
from chapelle.model.paths import Far, Paths

INTERFACE, FRONT, REAR = "dcim.interface", "dcim.frontport", "dcim.rearport"

type Port = tuple[str, int]


class Panels:
    """Interfaces and patch panels; what is cabled to what."""

    def __init__(self) -> None:
        self.last = 0
        self.fronts: dict[int, r.FrontPort] = {}
        self.rears: dict[int, r.RearPort] = {}
        self.cables: dict[int, r.Cable] = {}
        self.cable_of: dict[Port, int] = {}

    def _next(self) -> int:
        self.last += 1
        return self.last

    def interface(self) -> Port:
        return INTERFACE, self._next()

    def panel(self, order: list[int]) -> tuple[int, Port, list[Port]]:
        """A panel with one trunk: its id, the trunk, and a front port for each position."""
        device, rear = self._next(), self._next()
        self.rears[rear] = r.RearPort(id=rear, device=device, name="r", positions=len(order))
        fronts = []
        for position in order:
            way = r.PortMapping(position=1, rear_port=rear, rear_port_position=position)
            front = r.FrontPort(id=self._next(), device=device, name="f", rear_ports=(way,))
            self.fronts[front.id] = front
            fronts.append((FRONT, front.id))
        return device, (REAR, rear), fronts

    def cable(self, a: Port, b: Port) -> int:
        number = self._next()
        ends = [(r.Termination(object_type=t, object_id=i),) for t, i in (a, b)]
        self.cables[number] = r.Cable(
            id=number, status="connected", a_terminations=ends[0], b_terminations=ends[1]
        )
        self.cable_of |= {a: number, b: number}
        return number

    def far(self, port: Port) -> list[Far]:
        fields: dict[str, Any] = {}
        for name, kind, made in (
            ("front_ports", FRONT, self.fronts), ("rear_ports", REAR, self.rears),
        ):  # fmt: skip
            fields[name] = tuple(
                r.FrontPort(id=i, device=p.device, name="f", rear_ports=p.rear_ports,
                            cable=self.cable_of.get((kind, i)))
                if isinstance(p, r.FrontPort)
                else r.RearPort(id=i, device=p.device, name="r", positions=p.positions,
                                cable=self.cable_of.get((kind, i)))
                for i, p in made.items()
            )  # fmt: skip
        paths = Paths(r.Content(cables=tuple(self.cables.values()), **fields), self.cables)
        return paths.far(port[0], self.cable_of.get(port), port[1])

    def ends(self, port: Port) -> list[Port]:
        return [(far.end.object_type, far.end.object_id) for far in self.far(port)]


def test_a_cable_and_nothing_else() -> None:
    made = Panels()
    one, other = made.interface(), made.interface()
    number = made.cable(one, other)
    end = r.Termination(object_type=INTERFACE, object_id=other[1])
    assert made.far(one) == [Far(end=end, cables=(number,))]
    assert made.ends(other) == [one]


def test_through_two_panels_with_all_that_is_on_the_way() -> None:
    made = Panels()
    one, other = made.interface(), made.interface()
    near, near_trunk, near_fronts = made.panel([1, 2])
    away, away_trunk, away_fronts = made.panel([1, 2])
    first = made.cable(one, near_fronts[1])
    trunk = made.cable(near_trunk, away_trunk)
    last = made.cable(away_fronts[1], other)
    end = r.Termination(object_type=INTERFACE, object_id=other[1])
    assert made.far(one) == [Far(end=end, cables=(first, trunk, last), panels=(near, away))]


orders = st.integers(1, 6).flatmap(
    lambda size: st.tuples(*(st.permutations(range(1, size + 1)) for _ in range(4)))
)


@settings(max_examples=60, deadline=None)
@given(orders)
def test_every_position_of_two_trunks_leads_where_it_is_mapped(
    chosen: tuple[list[int], ...],
) -> None:
    """Interfaces, trunk, patch cables from front to front in order, trunk, interfaces."""
    made = Panels()
    one, two, three, four = (made.panel(list(order)) for order in chosen)
    left = [made.interface() for _ in chosen[0]]
    right = [made.interface() for _ in chosen[0]]
    made.cable(one[1], two[1])
    made.cable(three[1], four[1])
    for pairs in (zip(left, one[2]), zip(two[2], three[2]), zip(four[2], right)):  # noqa: B905
        for a, b in pairs:
            made.cable(a, b)
    for place, port in enumerate(left):
        middle = chosen[1].index(chosen[0][place])
        wanted = right[chosen[3].index(chosen[2][middle])]
        assert made.ends(port) == [wanted]
        assert made.ends(wanted) == [port]


def test_a_trunk_inside_a_trunk_keeps_both_positions() -> None:
    made = Panels()
    inner = [made.panel([2, 1, 3]) for _ in range(2)]
    outer = [made.panel([3, 2, 1]) for _ in range(2)]
    left, right = ([made.interface() for _ in range(3)] for _ in range(2))
    for ports, panel, within in zip((left, right), inner, outer, strict=True):
        for port, front in zip(ports, panel[2], strict=True):
            made.cable(port, front)
        made.cable(panel[1], within[2][1])
    made.cable(outer[0][1], outer[1][1])
    assert [made.ends(port) for port in left] == [[port] for port in right]


def test_a_path_that_ends_in_a_panel_reaches_nothing() -> None:
    made = Panels()
    one = made.interface()
    _, trunk, fronts = made.panel([1, 2])
    made.cable(one, fronts[0])
    assert made.ends(one) == []
    _, other_trunk, _ = made.panel([1, 2])
    made.cable(trunk, other_trunk)
    assert made.ends(one) == []


def test_a_path_that_goes_round_in_a_circle_ends() -> None:
    made = Panels()
    one = made.interface()
    _, trunk, fronts = made.panel([1, 2])
    _, other_trunk, others = made.panel([1, 2])
    made.cable(one, fronts[0])
    made.cable(trunk, other_trunk)
    made.cable(others[0], fronts[1])
    assert made.ends(one) == []


def test_an_interface_on_a_trunk_is_on_all_its_positions() -> None:
    made = Panels()
    breakout = made.interface()
    _, trunk, fronts = made.panel([2, 1, 3])
    ports = [made.interface() for _ in fronts]
    made.cable(breakout, trunk)
    for port, front in zip(ports, fronts, strict=True):
        made.cable(port, front)
    assert sorted(made.ends(breakout)) == ports
    assert all(made.ends(port) == [breakout] for port in ports)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_what_reaches_is_reached_the_other_way_round(sizes: list[int], chance: Any) -> None:
    """However badly it is patched: by the same cables and panels, from the other end."""
    made = Panels()
    interfaces = [made.interface() for _ in range(4)]
    panels = [made.panel(list(range(1, size + 1))) for size in sizes]
    free = [*interfaces, *(p[1] for p in panels), *(front for p in panels for front in p[2])]
    chance.shuffle(free)
    while len(free) > 1:
        made.cable(free.pop(), free.pop())
    for port in interfaces:
        own = r.Termination(object_type=port[0], object_id=port[1])
        for far in made.far(port):
            back = Far(end=own, cables=far.cables[::-1], panels=far.panels[::-1])
            assert back in made.far((far.end.object_type, far.end.object_id))
