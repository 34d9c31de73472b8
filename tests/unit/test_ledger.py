"""How much data fits, and what is left when something is lost: of the reference datacentre."""

import itertools
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec
import pytest
import reference
from edits import edited, named
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.checks import placement
from chapelle.checks.ledger import ledger
from chapelle.checks.resilience.loss import Plant
from chapelle.errors import ExitCode
from chapelle.model.datacentre import Datacentre
from chapelle.model.disks import Storage
from chapelle.model.ledger import Ledger, Without
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.netbox import design
from chapelle.plan import storage
from chapelle.settings import ROOT

LAYOUT = storage.read(ROOT / "inventory" / "storage.yml")
TB = 1000


def of(content: Content, **declared: object) -> Ledger:
    holding = msgspec.structs.replace(LAYOUT.holding, **declared)
    return ledger(Plant(Datacentre(Snapshot(content))), holding)


def loss(found: Ledger, kind: str, name: str) -> Without:
    (wanted,) = [each for each in found.losses if (each.kind, each.name) == (kind, name)]
    return wanted


def rules(found: Ledger) -> list[str]:
    return [finding.rule for finding in found.findings]


def disk_of(content: Content, server: str, disk: str):
    owner = next(device.id for device in content.devices if device.name == server)
    return lambda item: item.device == owner and item.name == disk


def out(content: Content, name: str, status: str = "failed") -> Content:
    return edited(content, "devices", named(name), status=status)


# -- how much fits, against oracles ----------------------------------------------------------------


@cache
def fits(room: tuple[int, ...], units: int, copies: int) -> bool:
    """Whether so many units fit, by trying every way to place each."""
    if units == 0:
        return True
    places = [i for i, left in enumerate(room) if left]
    for chosen in itertools.combinations(places, copies):
        left = tuple(sorted(size - (i in chosen) for i, size in enumerate(room)))
        if fits(left, units - 1, copies):
            return True
    return False


small = st.lists(st.integers(0, 4), max_size=5)


@given(sizes=small, copies=st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_as_much_fits_as_every_way_of_placing_it_says(sizes: list[int], copies: int) -> None:
    most = placement.usable(sizes, copies)
    room = tuple(sorted(sizes))
    assert fits(room, most, copies)
    assert not fits(room, most + 1, copies)


@given(sizes=st.lists(st.integers(0, 10**4), max_size=8), copies=st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_what_is_said_to_fit_can_be_placed(sizes: list[int], copies: int) -> None:
    """Pour the copies round through the places: no two of one unit meet in one place."""
    most = placement.usable(sizes, copies)
    room = [place for place, size in enumerate(sizes) for _ in range(min(size, most))]
    assert len(room) >= copies * most
    for unit in range(most):
        assert len({room[unit + copy * most] for copy in range(copies)}) == copies


@given(sizes=small, copies=st.integers(1, 4), place=st.integers(0, 4))
def test_what_is_stranded_can_be_taken_away_and_no_more(
    sizes: list[int], copies: int, place: int
) -> None:
    idle = placement.stranded(sizes, copies)
    most = placement.usable(sizes, copies)
    assert placement.usable([s - i for s, i in zip(sizes, idle, strict=True)], copies) == most
    assert all(kept <= most for kept in (s - i for s, i in zip(sizes, idle, strict=True)))


# -- the reference datacentre ----------------------------------------------------------------------


def test_the_reference_datacentre_holds_what_it_must() -> None:
    found = of(reference.content())
    assert found.raw == 9216 * TB
    assert found.usable == 9216 * TB // 3 * 85 // 100
    assert found.disks == 768
    assert [(p.name, p.servers, p.disks, p.raw) for p in found.aisles] == [
        (str(n), 16, 192, 2304 * TB) for n in range(1, 5)
    ]
    assert sum(part.usable for part in found.aisles) == found.usable
    assert found.findings == ()
    assert found.servers == {"planned": 64}


def test_what_is_declared_is_what_the_datacentre_was_designed_for() -> None:
    sizing = design.load(reference.DESIGN).site.sizing
    declared = LAYOUT.holding
    assert (declared.copies, declared.fill_percent) == (sizing.copies, sizing.fill_percent)
    assert declared.need_tb == sizing.data_to_hold_tb


def test_an_aisle_lost_leaves_two_copies_and_no_room_for_the_third() -> None:
    found = loss(of(reference.content()), "aisle", "aisle-2")
    assert len(found.servers) == 16
    assert (found.copies, found.readable, found.writable) == (2, True, True)
    assert found.raw == 2304 * TB
    assert found.usable == 3 * 2304 * TB // 3 * 85 // 100
    assert not found.enough


def test_the_smallest_rack_lost_leaves_room_to_make_its_copies_again() -> None:
    found = loss(of(reference.content()), "rack", "A3-R06")
    assert (found.servers, found.raw) == (("storage-a3-16",), 144 * TB)
    assert found.affected == 144 * TB * 85 // 100
    assert found.enough


def test_a_leaf_pair_costs_the_servers_on_it_and_one_leaf_none() -> None:
    found = of(reference.content())
    pair = loss(found, "leaf pair", "leaf-a1-1a leaf-a1-1b")
    assert pair.servers == tuple(f"storage-a1-{n:02}" for n in range(1, 7))
    partner_gone = out(reference.content(), "leaf-a1-1b")
    assert loss(of(partner_gone), "leaf pair", "leaf-a1-1a leaf-a1-1b").servers == pair.servers


def test_what_has_a_second_feed_loses_nothing() -> None:
    found = of(reference.content())
    power = [each for each in found.losses if each.kind in ("source", "panel", "feed")]
    assert len(power) == 4 + 8 + 192
    assert not any(each.servers for each in power)
    dead_b = edited(reference.content(), "power_feeds", named("A1-R01-B"), status="offline")
    after = loss(of(dead_b), "feed", "A1-R01-A")
    assert after.servers == ("storage-a1-01", "storage-a1-02", "storage-a1-03")


def test_no_byte_has_fewer_copies_left_than_the_ledger_says() -> None:
    """Place every terabyte on a server, then take servers away: against what the ledger says."""
    found = of(reference.content())
    names = {n: [f"storage-a{n}-{i:02}" for i in range(1, 17)] for n in range(1, 5)}
    most = placement.usable([part.raw // TB for part in found.parts], 3)
    slots = [name for aisle in names.values() for name in aisle for _ in range(144)]
    assert len(slots) == 3 * most
    copies = [{slots[unit + copy * most] for copy in range(3)} for unit in range(most)]
    seen = set()
    for each in found.losses:
        left = [len(placed - set(each.servers)) for placed in copies]
        assert min(left) >= each.copies
        assert sum(count < 3 for count in left) * TB <= each.raw
        seen.add((each.kind, each.copies, min(left)))
    assert {("aisle", 2, 2), ("rack", 2, 2), ("leaf pair", 2, 2), ("feed", 3, 3)} <= seen


# -- what is out, and what does not count ----------------------------------------------------------


def test_what_is_out_counts_with_every_further_loss() -> None:
    found = of(out(reference.content(), "storage-a1-01"))
    assert found.out.servers == ("storage-a1-01",)
    assert (found.out.copies, found.out.enough) == (2, True)
    same, other = (loss(found, "aisle", f"aisle-{n}") for n in (1, 2))
    assert (same.copies, len(same.servers)) == (2, 15)
    assert (other.copies, other.readable, other.writable) == (1, True, False)
    told = [f for f in found.findings if f.rule == "storage-loss"]
    assert told
    assert all("written" in f.expected for f in told)
    assert "aisle-1" not in {f.objects[0].name for f in told}


def test_too_many_out_is_a_finding() -> None:
    content = reference.content()
    for number in (1, 2, 3):
        content = out(content, f"storage-a1-{number:02}", "offline")
    found = of(content)
    assert found.out.usable == (9216 - 3 * 144) * TB // 3 * 85 // 100
    assert "storage-need" in rules(found)
    assert "2489 TB" in next(f for f in found.findings if f.rule == "storage-need").found


def test_a_server_in_stock_is_not_there() -> None:
    found = of(out(reference.content(), "storage-a1-01", "inventory"))
    assert found.raw == (9216 - 144) * TB
    assert found.out.servers == ()
    assert found.parts[0].stranded == 0


def test_a_disk_to_be_kept_does_not_count_and_is_named() -> None:
    content = reference.content()
    find = disk_of(content, "storage-a1-01", "disk-data-03")
    disk = next(item for item in content.inventory_items if find(item))
    fields = {**disk.custom_fields, "disk_purpose": "keep"}
    found = of(edited(content, "inventory_items", find, custom_fields=fields))
    assert found.raw == (9216 - 12) * TB
    assert found.kept == (disk.serial,)


@pytest.mark.parametrize("status", ["failed", "offline", "decommissioning"])
def test_a_disk_that_does_not_work_does_not_count(status: str) -> None:
    content = reference.content()
    find = disk_of(content, "storage-a1-01", "disk-data-03")
    assert of(edited(content, "inventory_items", find, status=status)).raw == (9216 - 12) * TB


def test_a_disk_of_no_size_is_a_finding() -> None:
    content = reference.content()
    find = disk_of(content, "storage-a1-01", "disk-data-03")
    fields = {"disk_purpose": "data", "disk_size_gb": None}
    found = of(edited(content, "inventory_items", find, custom_fields=fields))
    assert found.raw == (9216 - 12) * TB
    assert rules(found) == ["storage-size"]
    assert [ref.name for ref in found.findings[0].objects] == ["disk-data-03", "storage-a1-01"]


def test_a_server_in_no_aisle_is_a_finding() -> None:
    found = of(edited(reference.content(), "devices", named("storage-a1-01"), location=None))
    assert rules(found) == ["storage-place"]
    assert found.raw == (9216 - 144) * TB


# -- other ways to keep copies apart ---------------------------------------------------------------


def test_copies_kept_apart_by_rack_do_not_outlive_an_aisle() -> None:
    found = of(reference.content(), apart="rack")
    assert len(found.parts) == 24
    assert found.usable == 9216 * TB // 3 * 85 // 100
    assert sum(part.usable for part in found.aisles) == pytest.approx(found.usable, abs=24)
    aisle = loss(found, "aisle", "aisle-2")
    assert (aisle.copies, aisle.readable) == (0, False)
    pair = loss(found, "leaf pair", "leaf-a1-1a leaf-a1-1b")
    assert (pair.copies, pair.readable, pair.writable) == (1, True, False)
    assert loss(found, "rack", "A1-R01").writable
    assert set(rules(found)) == {"storage-loss"}


def test_an_aisle_that_is_much_larger_has_room_that_nothing_can_use() -> None:
    content = reference.content()
    for device in content.devices:
        if (device.name or "").startswith(("storage-a2", "storage-a3", "storage-a4")) and (
            device.name or ""
        ) > f"{(device.name or '')[:10]}-02":
            content = out(content, device.name or "", "inventory")
    found = of(content)
    assert [part.raw for part in found.parts] == [2304 * TB, 288 * TB, 288 * TB, 288 * TB]
    # Each byte has two of its copies in the three small aisles.
    assert found.usable == 3 * 288 * TB // 2 * 85 // 100
    assert found.parts[0].stranded == 2304 * TB - 432 * TB
    assert "storage-need" in rules(found)


def test_fewer_aisles_than_copies_hold_nothing() -> None:
    assert of(reference.content(), copies=5, write=5).usable == 0


# -- the layout ------------------------------------------------------------------------------------


def layout(tmp_path: Path, old: str, new: str) -> Storage:
    path = tmp_path / "storage.yml"
    text = (ROOT / "inventory" / "storage.yml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return storage.read(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("write: 2", "write: 4", "holding.write"),
        ("role: storage\n", "role: compute\n", "holding.role"),
        ("apart: aisle", "apart: feed", "one of aisle, rack, server"),
        ("esp_mib: 512", "esp_mb: 512", "os.esp_mb"),
        ("  database:", "  datebase:", "data.datebase"),
        ('"{role}-{number:02d}"', '"{role}-of-{number:02d}"', "storage-of-01"),
        ('"{role}-{number:02d}"', '"{role}"', "data.storage.label"),
        ('"{role}-{number:02d}"', '"{host}-{number}"', "data.storage.label"),
        ('"/srv/data/{number:02d}"', '"srv/{number:02d}"', "data.storage.mount"),
        ("filesystem: xfs", "filesystem: btrfs", "data.storage.filesystem"),
    ],
)
def test_a_layout_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(storage.InputError) as caught:
        layout(tmp_path, old, new)
    assert said in str(caught.value)
    assert "storage.yml" in str(caught.value)


# -- as it is typed --------------------------------------------------------------------------------


def invoke(tmp_path: Path, content: Content, *more: str) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "snapshot.json"
    file.write_bytes(Snapshot(content).data)
    return subprocess.run(
        [sys.executable, "-m", "invoke", "storage.ledger", f"--snapshot={file}", *more],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_command_says_that_it_is_enough(tmp_path: Path) -> None:
    done = invoke(tmp_path, reference.content())
    assert done.returncode == ExitCode.OK, done.stderr
    assert "usable 2611 TB: enough, 111 TB to spare (4 %)" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("aisle: each of 4"))
    assert "2 of 3" in row
    assert "readable, writable" in row
    assert row.endswith("1958 TB: NOT ENOUGH")
    assert "any of 192 feeds" in done.stdout


def test_the_command_ends_with_99_when_it_is_not_enough(tmp_path: Path) -> None:
    content = reference.content()
    for number in (1, 2, 3):
        content = out(content, f"storage-a1-{number:02}", "offline")
    done = invoke(tmp_path, content, "--json")
    assert done.returncode == ExitCode.FINDINGS, done.stderr
    document = json.loads(done.stdout)
    assert document["out"]["servers"] == [f"storage-a1-{n:02}" for n in (1, 2, 3)]
    assert "storage-need" in {finding["rule"] for finding in document["findings"]}
    shown = invoke(tmp_path, content)
    assert "without what is out now, 11.2 TB less than needed" in shown.stdout
