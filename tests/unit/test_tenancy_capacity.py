"""What there is, what is let, what is left, what is stranded: of the reference datacentre."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import reference
from edits import edited, named, one
from test_tenancy_feasibility import (
    amperes,
    busy,
    city,
    let,
    panels,
    reserved,
    stands,
    unplugged,
)

from chapelle.checks.tenancy import capacity as account
from chapelle.model.capacity import Capacity, RackCapacity
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.report import capacity as report
from chapelle.settings import ROOT

TODAY = datetime.date(2026, 10, 1)


def of(content: Content) -> Capacity:
    return account.capacity(Datacentre(Snapshot(content)), TODAY)


def rack(found: Capacity, name: str) -> RackCapacity:
    (wanted,) = [rack for aisle in found.aisles for rack in aisle.racks if rack.name == name]
    return wanted


def names(aisle: int, first: int, last: int) -> tuple[str, ...]:
    return tuple(f"A{aisle}-R{number:02}" for number in range(first, last + 1))


@pytest.fixture(scope="module")
def three() -> Content:
    """The three tenants in their racks, and two racks reserved."""
    content = reference.content()
    for aisle in (1, 2):
        content = let(content, "ap-hp", names(aisle, 7, 18), 4000, "APHP-2026-01")
    content = let(content, "paris-habitat", names(3, 7, 18), 3000)
    content = let(content, "eau-de-paris", names(4, 7, 14), 5000)
    content = reserved(
        content, "A4-R20", "ap-hp", custom_fields={"held_until": "2026-10-31", "request": "X-1"}
    )
    return reserved(
        content, "A4-R21", "ap-hp", custom_fields={"held_until": "2026-09-30", "request": "X-1"}
    )


def test_racks_are_counted_by_use_and_held_against_what_is_to_be_let(three: Content) -> None:
    share = of(three).share
    assert share.racks == {"own": 24, "let": 44, "reserved": 1, "free": 27, "unused": 0}
    assert share.let == pytest.approx(44 / 96 * 100)
    assert share.target == 75


def test_each_panel_carries_half_now_and_all_when_the_other_is_out(three: Content) -> None:
    found = of(three)
    for number, promised in ((1, 48_000), (2, 48_000), (3, 36_000), (4, 40_000)):
        aisle = found.aisles[number - 1]
        watts = city(three, number) + promised
        assert [panel.name for panel in aisle.panels] == [
            f"panel-a{number}-a", f"panel-a{number}-b",
        ]  # fmt: skip
        first = aisle.panels[0]
        assert first.normal == pytest.approx(watts / 2000)
        assert first.worst == pytest.approx(watts / 1000)
        assert first.loss == f"panel panel-a{number}-b"
        assert first.limit == pytest.approx(152.0)
    worst = max(found.sources, key=lambda load: load.share or 0)
    assert (worst.kind, worst.limit) == ("ups", pytest.approx(570.0))
    everything = sum(city(three, number) for number in range(1, 5)) + 172_000
    assert worst.worst == pytest.approx(everything / 1000)


def test_what_is_left_is_what_the_feeds_of_free_racks_can_take(three: Content) -> None:
    aisle = of(three).aisles[0]
    assert aisle.left == pytest.approx(6 * 5.5)  # 5.59 kW a feed, in steps of half a kilowatt
    rest = (152_000 - city(three, 1) - 48_000) / 1000
    assert aisle.left + aisle.stranded == pytest.approx(rest, abs=0.5)
    assert aisle.ports.free == aisle.ports.total == 48
    free = sum(rack.units.free for rack in aisle.racks)
    assert free == 6 * 42


def test_where_the_panel_is_the_limit_it_is_shared_out() -> None:
    aisle = of(panels(reference.content(), 57)).aisles[1]
    left = (57 * 950 - city(reference.content(), 2)) / 1000
    assert aisle.left == pytest.approx(left, abs=0.5)
    assert aisle.left <= left
    assert aisle.stranded == 0


def test_a_rack_says_what_it_holds_bears_and_draws(three: Content) -> None:
    own = rack(of(three), "A1-R01")
    assert (own.use, own.tenant, own.units.filled, own.units.free) == (
        "own", "Ville de Paris", 18, 0,
    )  # fmt: skip
    assert (own.most_kilograms, own.power.alone) == (1000.0, pytest.approx(5.5936))
    theirs = rack(of(three), "A1-R07")
    assert (theirs.use, theirs.tenant, theirs.power.contracted) == ("let", "AP-HP", 4.0)
    assert theirs.until == datetime.date(2033, 6, 30)
    held = rack(of(three), "A4-R20")
    assert (held.use, held.tenant, held.units.free) == ("reserved", "AP-HP", 0)


def test_what_ends_within_thirty_days_or_has_ended_is_named(three: Content) -> None:
    assert [(e.kind, e.racks, e.days, e.reference) for e in of(three).ending] == [
        ("reservation", ("A4-R21",), -1, "X-1"),
        ("reservation", ("A4-R20",), 30, "X-1"),
    ]
    late = datetime.date(2033, 6, 15)
    leases = [
        e for e in account.capacity(Datacentre(Snapshot(three)), late).ending if e.kind == "lease"
    ]
    assert {e.days for e in leases} == {15}
    assert len(next(e for e in leases if e.tenant == "AP-HP").racks) == 24


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            lambda: edited(reference.content(), "power_feeds", named("A2-R10-B"),
                           status="offline"),
            "units without power on two sides that share nothing",
        ),
        (lambda: unplugged("pdu-a2-r10-b"), "units without a free outlet on both sides"),
        (
            lambda: panels(reference.content(), 31, ("panel-a2-a",)),
            "units without power: what its panels give under loss is promised",
        ),
        (
            lambda: busy(reference.content(), "leaf-a2-tb", set()),
            "power without a hand-off port on both leafs",
        ),
        (lambda: stands("compute-a2-01", "A2-R10"), "compute-a2-01 stands in it"),
        (
            lambda: edited(reference.content(), "racks", named("A2-R10"), max_weight=12),
            "units without weight: it bears no more",
        ),
    ],
)  # fmt: skip
def test_what_nobody_can_use_is_stranded(content: object, said: str) -> None:
    assert callable(content)
    assert said in rack(of(content()), "A2-R10").stranded


def test_an_empty_datacentre_has_nothing() -> None:
    found = of(Content())
    assert (found.aisles, found.sources, found.share.let) == ((), (), 0.0)
    assert "0 racks" in report.lines(found)[0]
    assert "<h1>" in report.page(found, "0" * 64)


# -- as it is read --------------------------------------------------------------------------------


def test_a_terminal_shows_a_row_of_racks_for_each_aisle(three: Content) -> None:
    lines = report.lines(of(three))
    assert "96 racks: 24 the operator's own, 44 let, 1 reserved, 27 free to let" in lines[0]
    assert lines[1] == "46 % of the racks in service are let, 1 % reserved; 75 % are to be let"
    assert "Aisle 1    ######AAAAAAAAAAAA......  A1-R01 to A1-R24" in lines
    assert "Aisle 4    ######CCCCCCCC.....?....  A4-R01 to A4-R24" in lines
    text = "\n".join(lines)
    assert "A1-R07..18" in text
    assert "1 day ago EXPIRED" in text
    assert max(map(len, lines)) <= 120


def test_json_has_every_rack(three: Content) -> None:
    document = json.loads(msgspec.json.encode(report.document(of(three), "f" * 64)))
    assert document["snapshot"] == "f" * 64
    assert sum(len(aisle["racks"]) for aisle in document["aisles"]) == 96
    assert document["ending"][0]["until"] == "2026-09-30"


def test_the_page_needs_nothing_and_takes_names_literally(three: Content) -> None:
    evil = "<script>alert('x')</script> {{ 7 * 7 }}"
    tenant = one(three, "tenants", lambda tenant: tenant.slug == "ap-hp")
    page = report.page(of(edited(three, "tenants", named(tenant.name), name=evil)), "f" * 64)
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    for name in ("A1-R01", "A4-R24", "Ends soon, or has ended", "to be let: 75 %"):
        assert name in page


def test_a_small_feed_is_what_one_side_gives() -> None:
    found = rack(of(amperes(reference.content(), "A2-R10", 16)), "A2-R10")
    assert found.power.alone == pytest.approx(230 * 16 * 0.8 * 0.95 / 1000)


# -- as it is typed -------------------------------------------------------------------------------


def typed(*words: str, state: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "CHAPELLE_STATE": str(state), "HOME": str(state)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_commands_end_as_they_say(three: Content, tmp_path: Path) -> None:
    snapshot = tmp_path / "three.snapshot"
    snapshot.write_bytes(Snapshot(three).data)
    taken = f"--snapshot={snapshot}"
    page = tmp_path / "capacity.html"
    done = typed("capacity", taken, "--day=2026-10-01", f"--html={page}", state=tmp_path)
    assert (done.returncode, page.exists()) == (0, True), done.stderr
    assert "44 let" in done.stdout

    request = ROOT / "inventory" / "tenants" / "eau-de-paris.yml"
    other = tmp_path / "other.yml"
    other.write_text(request.read_text().replace("EAUDEPARIS-2026-01", "EAUDEPARIS-2027-02"))
    asked = ("tenant.feasibility", str(other), taken, "--day=2027-01-15")
    done = typed(*asked, "--json", "--options=2", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["options"]) == 2

    other.write_text(other.read_text().replace("racks: 8", "racks: 80"))
    done = typed(*asked, state=tmp_path)
    assert done.returncode == 99
    assert "it cannot be offered" in done.stdout

    for words in ((*asked, "--options=0"), (*asked[:3], "--day=soon")):
        done = typed(*words, state=tmp_path)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
