"""Which disks may be changed: the rules one by one, and for any disks at all."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import reference
from edits import edited, port
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.errors import ExitCode, RefusedError
from chapelle.model.disks import MODES, PURPOSES, Disk, Mode, Named, Observed, Verdict, disks_of
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.plan import disks as guard
from chapelle.plan import storage
from chapelle.settings import ROOT

LAYOUT = storage.read(ROOT / "inventory" / "storage.yml")
replace = msgspec.structs.replace

type Edit[T] = Callable[[T], T]


def disks(*kinds: str) -> list[Disk]:
    return [
        Disk(item=n, name=f"disk-{kind}-{n:02}", serial=f"S{n}", purpose=kind, size_gb=480)
        for n, kind in enumerate(kinds, start=1)
    ]


HOST = disks("os", "os", "data", "data")
MARKS = {disk.serial: Named(mark=f"mark-{disk.serial}") for disk in HOST}


def blank(known: Sequence[Disk] = HOST) -> list[Observed]:
    return [
        Observed(path=f"/dev/sd{chr(97 + n)}", serial=disk.serial, size_bytes=480 * 10**9)
        for n, disk in enumerate(known)
    ]


def built(known: Sequence[Disk] = HOST) -> list[Observed]:
    """The disks after we have built the host."""
    holds = {"os": ("gpt", "vfat", "linux_raid_member"), "data": ("crypto_LUKS",)}
    return [
        replace(seen, signatures=holds.get(disk.purpose, ("ntfs",)), mark=f"mark-{disk.serial}")
        for seen, disk in zip(blank(known), known, strict=True)
    ]


def judged(
    mode: Mode,
    known: Sequence[Disk] = HOST,
    observed: Sequence[Observed] | None = None,
    named: dict[str, Named] | None = None,
    status: str = "",
) -> Verdict:
    return guard.judge(
        "storage-a1-01",
        status or {"build": "planned", "rebuild": "active", "retire": "offline"}[mode],
        mode,
        known,
        os_disks=2,
        observed=observed,
        named=MARKS if named is None else named,
    )


def actions(verdict: Verdict) -> dict[str, str]:
    return {grant.serial: grant.action for grant in verdict.grants}


def at(found: list[Observed], index: int, **changes: object) -> list[Observed]:
    return [replace(o, **changes) if n == index else o for n, o in enumerate(found)]


# -- the table -------------------------------------------------------------------------------------


def test_a_first_build_writes_the_system_and_makes_data_disks_ready() -> None:
    verdict = judged("build", observed=blank())
    verdict.require()
    assert actions(verdict) == {"S1": "write", "S2": "write", "S3": "format", "S4": "format"}
    assert verdict.may_change == {"S1", "S2", "S3", "S4"}


def test_a_rebuild_writes_the_system_and_keeps_data() -> None:
    verdict = judged("rebuild", observed=built())
    verdict.require()
    assert actions(verdict) == {"S1": "write", "S2": "write", "S3": "mount", "S4": "mount"}
    assert verdict.may_change == {"S1", "S2"}


def test_retiring_erases_all() -> None:
    verdict = judged("retire", observed=built())
    verdict.require()
    assert verdict.may_change == {"S1", "S2", "S3", "S4"}
    assert set(actions(verdict).values()) == {"erase"}


def test_the_planner_asks_before_anybody_has_looked_at_the_machine() -> None:
    assert judged("build").may_change == {"S1", "S2", "S3", "S4"}


@pytest.mark.parametrize("mode", ["build", "rebuild"])
def test_what_is_to_be_kept_is_not_touched_whatever_is_on_it(mode: Mode) -> None:
    known = [*HOST[:3], replace(HOST[3], purpose="keep")]
    verdict = judged(mode, known, built(known))
    verdict.require()
    assert actions(verdict)["S4"] == "keep"
    assert "S4" not in verdict.may_change


def test_a_host_with_a_disk_to_be_kept_is_not_retired() -> None:
    known = [*HOST[:3], replace(HOST[3], purpose="keep")]
    verdict = judged("retire", known, built(known))
    assert verdict.may_change == frozenset()
    with pytest.raises(RefusedError) as caught:
        verdict.require()
    assert "disk-data-04 (S4)" in str(caught.value)
    assert "purpose keep" in str(caught.value)


@pytest.mark.parametrize("status", ["active", "failed", "offline"])
def test_what_was_in_service_is_not_built_for_the_first_time(status: str) -> None:
    with pytest.raises(RefusedError, match="rebuild it, which keeps its data disks"):
        judged("build", status=status).require()


# -- what stops a host -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("one of os, data, keep", {"purpose": ""}),
        ("one of os, data, keep", {"purpose": "scratch"}),
        ("a serial number, by which alone", {"serial": ""}),
        ("serial number S3 on one disk", {"serial": "S3"}),
    ],
)
def test_a_disk_that_netbox_does_not_describe_stops_the_host(
    mode: Mode, said: str, changes: dict[str, str]
) -> None:
    verdict = judged(mode, [*HOST[:3], replace(HOST[3], **changes)])
    assert verdict.may_change == frozenset()
    with pytest.raises(RefusedError) as caught:
        verdict.require()
    assert said in str(caught.value)
    assert "disk-data-04" in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
def test_a_host_without_disks_is_stopped(mode: Mode) -> None:
    assert judged(mode, []).stops


@pytest.mark.parametrize("mode", ["build", "rebuild"])
@pytest.mark.parametrize("kinds", [("os",), ("os", "os", "os"), ("data", "data")])
def test_another_number_of_system_disks_is_a_stop(mode: Mode, kinds: tuple[str, ...]) -> None:
    known = disks(*kinds)
    assert "2 disks with purpose os" in judged(mode, known).stops[0].expected
    assert not judged("retire", known).stops


DEVIATIONS: dict[str, tuple[str, Edit[list[Observed]]]] = {
    "a disk that NetBox does not know": (
        "no disk that NetBox does not know",
        lambda seen: [*seen, Observed(path="/dev/sdx", serial="S99")],
    ),
    "a disk without a serial number": (
        "/dev/sdx (no serial)",
        lambda seen: [*seen, Observed(path="/dev/sdx", serial=" ")],
    ),
    "a disk that is not there": ("disk-data-03 (S3)", lambda seen: seen[:2] + seen[3:]),
    "another disk in its place": ("S77", lambda seen: at(seen, 2, serial="S77")),
    "two disks of one serial number": (
        "serial number S3 on one disk",
        lambda seen: [*seen, replace(seen[2], path="/dev/sdx")],
    ),
    "a system disk in use": ("mounted on /mnt", lambda seen: at(seen, 0, mounted=("/mnt",))),
    "a disk of another size": ("found:    500.0 GB", lambda s: at(s, 3, size_bytes=500 * 10**9)),
    "a file system of somebody's": (
        "ntfs",
        lambda seen: at(seen, 0, signatures=("gpt", "ntfs"), mark="x"),
    ),
    "a mirror of somebody's": (
        "linux_raid_member",
        lambda seen: at(seen, 1, signatures=("linux_raid_member",), mark=""),
    ),
    "somebody's data beside our mark": (
        "zfs_member",
        lambda seen: at(seen, 0, signatures=("gpt", "zfs_member"), mark="mark-S1"),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DEVIATIONS)
def test_a_machine_that_is_otherwise_stops_the_host(mode: Mode, name: str) -> None:
    said, edit = DEVIATIONS[name]
    verdict = judged(mode, observed=edit(built()))
    assert verdict.may_change == frozenset()
    with pytest.raises(RefusedError) as caught:
        verdict.require()
    assert said in str(caught.value)


@pytest.mark.parametrize("mode", ["build", "retire"])
@pytest.mark.parametrize("what", ["crypto_LUKS", "xfs", "gpt", "LVM2_member", "zfs_member"])
def test_data_that_the_plan_did_not_name_stays(mode: Mode, what: str) -> None:
    seen = at(built() if mode == "retire" else blank(), 2, signatures=(what,), mark="another")
    assert judged(mode, observed=seen).may_change == frozenset()
    may = {**MARKS, "S3": Named(may_hold=(what,))}
    assert "S3" in judged(mode, observed=seen, named=may).may_change


def test_what_we_wrote_in_a_build_that_was_interrupted_is_known_again() -> None:
    seen = [built()[0], blank()[1], built()[2], blank()[3]]
    judged("build", observed=seen).require()
    assert judged("build", observed=seen, named={}).may_change == frozenset()


@pytest.mark.parametrize(
    ("signatures", "mark"), [((), ""), (("crypto_LUKS",), "another"), (("xfs",), "")]
)
def test_a_rebuild_stops_when_data_is_not_what_we_left(
    signatures: tuple[str, ...], mark: str
) -> None:
    verdict = judged("rebuild", observed=at(built(), 2, signatures=signatures, mark=mark))
    assert [stop.disk for stop in verdict.stops] == ["disk-data-03 (S3)"]
    assert "our data, of mark mark-S3" in verdict.stops[0].expected


def test_a_new_system_disk_in_a_rebuild_is_written() -> None:
    judged("rebuild", observed=at(built(), 0, signatures=(), mark="")).require()


@pytest.mark.parametrize(
    ("size_bytes", "stopped"), [(480_103_981_056, False), (489 * 10**9, False), (470 * 10**9, True)]
)
def test_makers_round_sizes(size_bytes: int, stopped: bool) -> None:
    seen = at(built(), 0, size_bytes=size_bytes)
    assert bool(judged("rebuild", observed=seen).stops) == stopped


def test_a_disk_without_a_size_in_netbox_is_a_stop() -> None:
    known = [*HOST[:3], replace(HOST[3], size_gb=None)]
    assert "disk_size_gb" in judged("build", known, blank(known)).stops[0].expected


def test_marks_are_one_however_a_tool_spells_them() -> None:
    judged("rebuild", observed=[replace(o, mark=o.mark.upper()) for o in built()]).require()


def test_every_stop_is_told() -> None:
    seen = [*built()[:2], Observed(path="/dev/sdx", serial="S99")]
    with pytest.raises(RefusedError) as caught:
        judged("rebuild", observed=seen).require()
    for told in ("/dev/sdx (S99)", "disk-data-03 (S3)", "disk-data-04 (S4)", "and 2 more"):
        assert told in str(caught.value)


# -- for any disks ---------------------------------------------------------------------------------

_serials = st.sampled_from(["", "S1", "S2", "S3", "S4"])
_signatures = st.sets(st.sampled_from(["gpt", "ext4", "crypto_LUKS", "ntfs"]), max_size=2)
_marks = st.sampled_from(["", "mark-S1", "mark-S2", "mark-S3", "mark-S4"])


@st.composite
def hosts(draw: st.DrawFn) -> tuple[list[Disk], list[Observed]]:
    purposes = draw(st.lists(st.sampled_from([*PURPOSES, ""]), min_size=1, max_size=4))
    known = [replace(disk, name=f"disk-{disk.item}") for disk in disks(*purposes)]
    if draw(st.integers(0, 4)) == 0:
        known = [replace(disk, serial=draw(_serials)) for disk in known]
    seen = [
        replace(o, signatures=tuple(draw(_signatures)), mark=draw(_marks)) for o in blank(known)
    ]
    if draw(st.integers(0, 4)) == 0:
        seen = [replace(o, serial=draw(_serials)) for o in seen]
    if draw(st.integers(0, 4)) == 0:
        seen = draw(st.permutations(seen))[: draw(st.integers(0, 4))]
    return known, list(seen)


@given(host=hosts(), mode=st.sampled_from(MODES), status=st.sampled_from(["planned", "active"]))
@settings(max_examples=500, deadline=None)
def test_nothing_but_what_may_be_changed_ever_is(
    host: tuple[list[Disk], list[Observed]], mode: Mode, status: str
) -> None:
    known, seen = host
    verdict = judged(mode, known, seen, status=status)
    for serial in verdict.may_change:
        (disk,) = [disk for disk in known if disk.serial == serial]
        (there,) = [o for o in seen if o.serial == serial]
        assert disk.purpose == "os" or (disk.purpose == "data" and mode != "rebuild")
        assert mode != "build" or status == "planned"
        assert not there.signatures or there.mark == f"mark-{serial}"
        assert "ntfs" not in there.signatures
    if verdict.may_change:
        assert {disk.serial for disk in known} == {o.serial for o in seen}
        assert len(seen) == len(known)
        assert all(disk.purpose in PURPOSES for disk in known)
        assert mode != "retire" or all(disk.purpose != "keep" for disk in known)


@given(mode=st.sampled_from(MODES), kept=st.integers(0, 3))
def test_a_host_in_order_is_not_stopped(mode: Mode, kept: int) -> None:
    known = disks("os", "os", "data", *(["keep"] * kept if mode != "retire" else []))
    for seen in [built(known)] + ([blank(known)] if mode != "rebuild" else []):
        assert judged(mode, known, seen).stops == ()


# -- the reference datacentre ----------------------------------------------------------------------


def test_every_server_of_the_reference_datacentre_may_be_built() -> None:
    dc = reference.datacentre()
    for device in dc.servers:
        known = disks_of(dc, device)
        verdict = guard.judge(
            device.name or "", device.status, "build", known, os_disks=LAYOUT.os.disks
        )
        verdict.require()
        assert verdict.may_change == {disk.serial for disk in known}
        places = storage.places(LAYOUT, dc.role_of(device), known)
        assert len(places) == (12 if dc.role_of(device) == "storage" else 0)


def test_a_data_disk_has_the_place_that_its_name_says() -> None:
    dc = reference.datacentre()
    device = dc.device("storage-a1-03")
    place = storage.places(LAYOUT, "storage", disks_of(dc, device))[6]
    assert (place.label, place.mount) == ("storage-07", "/srv/data/07")
    (disk,) = [disk for disk in disks_of(dc, device) if disk.name == "disk-data-07"]
    assert place.serial == disk.serial


@pytest.mark.parametrize(
    ("role", "names", "said"),
    [
        ("storage", ("disk-data-01", "sled-1"), "which S1 has"),
        ("storage", ("disk-data",), "no number of its own"),
        ("compute", ("disk-data-01",), "role compute"),
    ],
)
def test_a_data_disk_without_a_place_is_an_error(
    role: str, names: tuple[str, ...], said: str
) -> None:
    known = [
        replace(disk, name=name)
        for disk, name in zip(disks(*["data"] * len(names)), names, strict=True)
    ]
    with pytest.raises(storage.InputError, match=said):
        storage.places(LAYOUT, role, known)


# -- as it is typed -------------------------------------------------------------------------------


def typed(tmp_path: Path, content: Content) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "snapshot.json"
    file.write_bytes(Snapshot(content).data)
    words = ("storage.disks", "--host=storage-a1-03", f"--snapshot={file}")
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_command_says_what_is_done_to_each_disk(tmp_path: Path) -> None:
    done = typed(tmp_path, reference.content())
    assert done.returncode == ExitCode.OK, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    assert rows["disk-os-1"][4:] == ["os", "write", "write", "erase"]
    assert rows["disk-data-07"][4:] == [
        "data", "format", "mount", "erase", "storage-07", "on", "/srv/data/07",
    ]  # fmt: skip
    assert "refused" not in done.stdout


def test_the_command_says_what_stops_the_host(tmp_path: Path) -> None:
    content = reference.content()
    find = port(content, "storage-a1-03", "disk-data-07")
    spoilt = edited(content, "inventory_items", find, custom_fields={"disk_size_gb": 12000})
    done = typed(tmp_path, spoilt)
    assert done.returncode == ExitCode.FINDINGS, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("disk-data-07"))
    assert row.split()[4:] == ["(none)", "STOP", "STOP", "STOP"]
    assert "rebuild is refused: disk-data-07" in done.stdout
    assert "one of os, data, keep" in done.stdout
