"""Maintenance windows in a terminal."""

import datetime

import msgspec

from chapelle.model.finding import ObjectRef
from chapelle.model.maintenance import Moment, Verdict
from chapelle.model.resilience import Element, Load, Lost, Outcome, Window
from chapelle.report import maintenance as report

NOW = datetime.datetime(2026, 12, 3, 9, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


def element(name: str) -> Element:
    return Element(kind="feed", ref=ObjectRef(endpoint="dcim/power-feeds", id=1, name=name))


def window(**changes: object) -> Window:
    made = Window(
        id="MW-2026-0001", elements=(element("A1-R01-A").ref,), starts=NOW - HOUR, ends=NOW + HOUR,
        owner="anna", reason="a\x1b[31m test\nof it", state="open",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def verdict() -> Verdict:
    lost = tuple(
        Lost(name=f"web-{n:02d}", id=n, role="compute", tenant=tenant, rack="A1-R01", reason=why)
        for n, tenant, why in [(1, "AP-HP", "power"), (2, "AP-HP", "power"), (3, "", "network")]
    )
    load = Load(element=element("A1-R01-B"), before=1000.0, after=6000.0, limit=5000.0)
    moment = Moment(
        at=NOW, windows=("MW-2026-0002",), outcome=Outcome(elements=()), lost=lost,
        overloads=(load,),
    )  # fmt: skip
    worse = msgspec.structs.replace(load, after=7000.0)
    second = msgspec.structs.replace(moment, windows=(), lost=lost[:1], overloads=(worse,))
    gone = ObjectRef(endpoint="dcim/devices", id=9, name="pdu-that-was")
    return Verdict(window=window(), moments=(moment, second), missing=(gone,))


def test_what_is_lost_is_told_by_tenant_once_and_overloads_at_their_worst() -> None:
    lines = "\n".join(report.verdict_lines(verdict()))
    assert "no longer in NetBox: pdu-that-was" in lines
    assert "out at the same time: MW-2026-0002" in lines
    assert "3 devices would be lost:" in lines
    assert "AP-HP, 2 devices (power): web-01..02" in lines
    assert "no tenant, 1 device (network): web-03" in lines
    assert "1 element would be overloaded:" in lines
    assert "7000 W" in lines
    assert "6000 W" not in lines


def test_the_document_says_the_same() -> None:
    told = report.verdict_document(verdict())
    assert (told["harmless"], told["tenants"], told["with"]) == (
        False, ["AP-HP"], ("MW-2026-0002",),
    )  # fmt: skip
    assert {lost.id for lost in told["lost"]} == {1, 2, 3}
    assert msgspec.json.encode(told)


def test_a_window_cannot_write_to_the_terminal() -> None:
    for lines in (report.window_lines(window()), report.list_lines([window()], NOW)):
        assert not any("\x1b" in line or "\n" in line for line in lines)
    assert report.list_lines([], NOW) == ["no maintenance window"]


def test_what_should_have_been_closed_is_said() -> None:
    assert report.state(window(), NOW) == "open"
    assert report.state(window(ends=NOW), NOW) == "open, over"
    assert report.state(window(ends=NOW, state="closed"), NOW) == "closed"
    assert report.window_document(window(ends=NOW), NOW)["over"] is True
    many = window(elements=tuple(element(f"f{n}").ref for n in range(5)))
    assert "f0, f1, f2 and 2 more" in report.list_lines([many], NOW)[1]
