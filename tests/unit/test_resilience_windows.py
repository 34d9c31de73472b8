"""Which windows are out together, and what that would lose."""

import datetime

import msgspec
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from chapelle.checks.resilience import windows
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.names import find, find_all
from chapelle.checks.resilience.touch import aisles, sites, touched
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.records import Content
from chapelle.model.resilience import WINDOWS, Window
from chapelle.model.snapshot import Snapshot

ZERO = datetime.datetime(2026, 12, 3, tzinfo=datetime.UTC)
_replace = msgspec.structs.replace


def hour(number: float) -> datetime.datetime:
    return ZERO + datetime.timedelta(hours=number)


def window(number: int, starts: float, ends: float, *names: str, state: str = "planned") -> Window:
    refs = tuple(find(plant(), name).ref for name in names)
    return Window(
        id=f"MW-2026-{number:04d}", elements=refs, starts=hour(starts), ends=hour(ends),
        owner="anna", reason="a test", state=state,
    )  # fmt: skip


PLANTS: dict[tuple[Window, ...], Plant] = {}


def plant(*known: Window) -> Plant:
    """The reference datacentre with these windows."""
    if known not in PLANTS:
        content = with_windows(reference.content(), known)
        PLANTS[known] = Plant(Datacentre(Snapshot(content)))
    return PLANTS[known]


def with_windows(content: Content, known: tuple[Window, ...]) -> Content:
    (site,) = content.sites
    fields = {**site.custom_fields, WINDOWS: msgspec.to_builtins(known)}
    return _replace(content, sites=(_replace(site, custom_fields=fields),))


# -- who is out when ------------------------------------------------------------------------------

STATES = st.sampled_from(["planned", "open", "closed"])


@st.composite
def some_windows(draw: st.DrawFn) -> list[Window]:
    spans = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), STATES), max_size=6))
    return [
        Window(id=f"W{number}", elements=(), starts=hour(start), ends=hour(start + length),
               owner="o", reason="r", state=state)
        for number, (start, length, state) in enumerate(spans)
    ]  # fmt: skip


MINUTE = 1 / 60


def out_at(known: list[Window], at: float, now: float) -> frozenset[str]:
    """Told once more, by hours: planned ones in their time, open ones for a minute at least."""
    found = set()
    for each in known:
        first, end = ((t - ZERO).total_seconds() / 3600 for t in (each.starts, each.ends))
        if each.state == "open":
            first, end = min(first, now), max(end, now + MINUTE)
        if each.state != "closed" and first <= at < end:
            found.add(each.id)
    return frozenset(found)


def instants(now: int) -> list[float]:
    """Between any two of them that follow each other, nothing begins or ends."""
    return [now, now + MINUTE / 2, *(now + half / 2 for half in range(1, 40))]


@given(known=some_windows(), now=st.integers(0, 15))
def test_every_set_that_is_out_at_some_time_is_found_and_no_other(
    known: list[Window], now: int
) -> None:
    found = [frozenset(w.id for w in out) for _, out in windows.together(known, hour(now))]
    assert len(found) == len(set(found))
    assert {*found, frozenset()} == {out_at(known, at, now) for at in instants(now)} | {frozenset()}


@given(known=some_windows(), now=st.integers(0, 15))
def test_during_a_window_only_its_own_time_counts(known: list[Window], now: int) -> None:
    for during in known:
        others = [other for other in known if other.id != during.id]
        mine = [at for at in instants(now) if during.id in out_at([during], at, now)]
        found = windows.together(known, hour(now), during=during)
        assert {frozenset(w.id for w in out) for _, out in found} == {
            out_at(others, at, now) for at in mine
        }
        for at, out in found:
            hours = (at - ZERO).total_seconds() / 3600
            assert frozenset(w.id for w in out) == out_at(others, hours, now)


# -- may it be? -----------------------------------------------------------------------------------


def test_one_side_may_be_taken_out_and_both_not() -> None:
    assert windows.judge(plant(), window(1, 8, 12, "panel-a2-a"), hour(0)).harmless
    verdict = windows.judge(plant(), window(1, 8, 12, "panel-a2-a", "panel-a2-b"), hour(0))
    assert not verdict.harmless
    assert {lost.reason for lost in verdict.lost} == {"power"}
    assert "compute-a2-01" in {lost.name for lost in verdict.lost}
    assert {lost.tenant for lost in verdict.lost} == {"Ville de Paris"}


def test_what_overlaps_counts_and_what_only_follows_does_not() -> None:
    other = window(1, 8, 12, "panel-a2-a")
    far = window(2, 8, 12, "panel-a3-a")
    known = plant(other, far)
    late = windows.judge(known, window(3, 12, 14, "panel-a2-b"), hour(0))
    assert late.harmless
    clash = windows.judge(known, window(3, 11, 14, "panel-a2-b"), hour(0))
    assert not clash.harmless
    assert clash.windows == (other.id,)  # the third window has no part in it
    assert "lost of Ville de Paris" in windows.told(clash)


def test_windows_that_are_never_out_together_are_not_added_up() -> None:
    day = window(1, 0, 24, "pdu-a2-r01-a")  # overlaps both, which do not overlap
    morning, evening = window(2, 8, 12, "panel-a3-a"), window(3, 12, 16, "panel-a3-b")
    assert windows.judge(plant(day, morning, evening), day, hour(0)).harmless
    assert not list(windows.conflicts(plant(day, morning, evening), hour(0)))


def test_closed_and_past_windows_do_not_count_and_open_ones_do_until_closed() -> None:
    mine = window(9, 11, 14, "panel-a2-b", state="open")
    for other, harmless in [
        (window(1, 8, 20, "panel-a2-a", state="closed"), True),
        (window(1, 6, 9, "panel-a2-a"), True),
        (window(1, 6, 9, "panel-a2-a", state="open"), False),  # overdue: still out
        (window(1, 8, 20, "panel-a2-a"), False),
    ]:
        assert windows.judge(plant(other), mine, hour(11.5)).harmless is harmless, other


def test_what_others_lose_already_is_not_counted_against_a_window() -> None:
    both = window(1, 8, 12, "panel-a2-a", "panel-a2-b", state="open")
    known = plant(both)
    assert windows.judge(known, window(2, 9, 10, "pdu-a2-r01-a"), hour(8)).harmless
    assert not windows.judge(known, both, hour(8)).harmless
    # After the other one has ended, what it would lose itself counts.
    again = window(3, 10, 14, "panel-a2-a", "panel-a2-b")
    assert not windows.judge(known, again, hour(8)).harmless


def test_what_is_failed_now_counts() -> None:
    content = reference.content()
    devices = tuple(
        _replace(d, status="failed") if d.name == "pdu-a2-r01-b" else d for d in content.devices
    )
    broken = Plant(Datacentre(Snapshot(_replace(content, devices=devices))))
    verdict = windows.judge(broken, window(1, 8, 12, "pdu-a2-r01-a"), hour(0))
    assert verdict.lost
    assert {lost.rack for lost in verdict.lost if lost.reason == "power"} == {"A2-R01"}
    assert windows.judge(plant(), window(1, 8, 12, "pdu-a2-r01-a"), hour(0)).harmless


def test_an_overload_is_harm() -> None:
    content = reference.content()
    feeds = tuple(
        _replace(f, amperage=16) if f.name == "A2-R01-B" else f for f in content.power_feeds
    )
    tight = Plant(Datacentre(Snapshot(_replace(content, power_feeds=feeds))))
    verdict = windows.judge(tight, window(1, 8, 12, "pdu-a2-r01-a"), hour(0))
    assert not verdict.harmless
    assert not verdict.lost
    assert [load.element.name for load in verdict.overloads] == ["A2-R01-B"]
    assert "overloaded: A2-R01-B 4990 W of 2797 W" in windows.told(verdict)


def test_elements_that_are_gone_are_missing_and_nothing_else_breaks() -> None:
    gone = ObjectRef(endpoint="dcim/devices", id=99999, name="pdu-that-was")
    half = _replace(window(1, 8, 12, "panel-a2-a"), elements=(gone,))
    verdict = windows.judge(plant(half), half, hour(0))
    assert (verdict.missing, verdict.harmless, verdict.lost) == ((gone,), False, ())


# -- as findings ----------------------------------------------------------------------------------


def test_a_clean_calendar_gives_no_finding() -> None:
    known = (window(1, 8, 12, "panel-a2-a"), window(2, 13, 14, "panel-a2-b"))
    assert not list(windows.conflicts(plant(), hour(0)))
    assert not list(windows.conflicts(plant(*known), hour(0)))


def test_two_windows_that_lose_together_what_neither_does_alone_are_found_once() -> None:
    known = (
        window(1, 8, 12, "panel-a2-a"), window(2, 11, 14, "panel-a2-b"),
        window(3, 8, 14, "panel-a4-a"),
    )  # fmt: skip
    (fault,) = windows.conflicts(plant(*known), hour(0))
    assert [ref.name for ref in fault.objects] == ["MW-2026-0001", "MW-2026-0002"]
    assert fault.objects[0].endpoint == "dcim/sites"
    assert "Ville de Paris" in fault.found
    assert not list(windows.conflicts(plant(*known), hour(12)))  # the first is over


def test_three_windows_of_which_no_two_lose_anything_are_found() -> None:
    a, b = find(plant(), "leaf-a2-1a"), find(plant(), "leaf-a2-1b")
    spines = [find(plant(), f"spine-a{n}") for n in (1, 2, 3, 4)]
    assert plant().lose(spines[:3]).harmless
    assert not plant().lose(spines).harmless
    assert a != b
    known = tuple(window(n, 8, 12, f"spine-a{n}") for n in (1, 2, 3, 4))
    (fault,) = windows.conflicts(plant(*known, window(5, 9, 11, "pdu-a2-r01-a")), hour(0))
    assert [ref.name for ref in fault.objects] == [f"MW-2026-000{n}" for n in (1, 2, 3, 4)]


def test_a_window_that_loses_alone_is_found_and_not_again_in_each_pair() -> None:
    known = (window(1, 8, 12, "panel-a2-a", "panel-a2-b"), window(2, 8, 12, "panel-a3-a"))
    (fault,) = windows.conflicts(plant(*known), hour(0))
    assert [ref.name for ref in fault.objects] == ["MW-2026-0001"]


def test_overdue_dangling_and_double_windows_are_found() -> None:
    overdue = window(1, 8, 12, "pdu-a2-r01-a", state="open")
    gone = ObjectRef(endpoint="dcim/power-panels", id=99999, name="panel-that-was")
    dangling = _replace(window(2, 20, 22, "pdu-a3-r01-a"), elements=(gone,))
    double = window(2, 23, 24, "pdu-a4-r01-a")
    faults = list(windows.conflicts(plant(overdue, dangling, double), hour(13)))
    found = [(fault.objects[0].name, fault.found) for fault in faults]
    assert found[0][0] == "MW-2026-0001"
    assert "still open (owner anna)" in found[0][1]
    assert ("MW-2026-0002", "no longer there: panel-that-was") in found
    assert ("MW-2026-0002", "several") in found
    assert len(found) == 3
    assert not list(windows.conflicts(plant(_replace(dangling, state="closed")), hour(13)))


# -- what it touches ------------------------------------------------------------------------------


def test_a_panel_touches_the_cords_of_its_aisle_and_its_racks() -> None:
    elements = find_all(plant(), "panel-a2-a")
    found = touched(plant(), elements)
    server = plant().dc.device("compute-a2-01")
    assert found.cords[server.id] == ("PSU1",)
    assert server.id not in found.links
    assert not found.off
    racks = {plant().dc.racks[rack].name for rack in found.racks}
    assert racks == {f"A2-R{n:02d}" for n in range(1, 25)}
    assert all(len(feeds) == 1 for feeds in found.racks.values())
    assert aisles(plant(), elements, plant().lose(elements)) == ("aisle-2",)
    assert sites(plant(), elements) == (1,)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("pdu-a2-r01-a", ["aisle-2"]),
        ("A3-R07-A", ["aisle-3"]),
        ("leaf-a2-1a", [f"aisle-{n}" for n in (1, 2, 3, 4)]),  # a link of every spine
        ("compute-a2-01,compute-a3-01", ["aisle-2", "aisle-3"]),
        ("aisle-4", ["aisle-4"]),
        ("ups-a", [f"aisle-{n}" for n in (1, 2, 3, 4)]),
    ],
)
def test_the_aisles_of_what_is_touched(names: str, expected: list[str]) -> None:
    elements = find_all(plant(), names)
    found = aisles(plant(), elements, plant().lose(elements))
    assert set(expected) <= set(found)
    if names != "aisle-4":
        assert list(found) == expected
    assert sites(plant(), elements) == (1,)


def test_a_switch_touches_the_links_of_what_hangs_on_it() -> None:
    found = touched(plant(), find_all(plant(), "leaf-a2-1a"))
    server, leaf = (plant().dc.device(name) for name in ("compute-a2-01", "leaf-a2-1a"))
    assert found.links[server.id] == ("eno1",)
    assert found.off == {leaf.id}
    assert leaf.id not in found.links
    oob = touched(plant(), find_all(plant(), "oob-a2-1"))
    assert oob.management[server.id] == ("bmc",)


def test_a_power_cable_touches_one_cord() -> None:
    server = plant().dc.device("compute-a2-01")
    port = plant().dc.power_ports_by_device[server.id][0]
    found = touched(plant(), find_all(plant(), f"cable:{port.cable}"))
    assert found.cords == {server.id: (port.name,)}
    assert found.devices == {server.id}
    cable = find_all(plant(), f"cable:{port.cable}")
    assert aisles(plant(), cable, plant().lose(cable)) == ("aisle-2",)
