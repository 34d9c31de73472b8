"""Scopes and plans: what is accepted, what a plan names, and that it knows what has moved."""

from pathlib import Path

import msgspec
import pytest
from plan_datacentre import edited, two_aisles

from chapelle.errors import ChapelleError, ExitCode, InputError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.plan import plan as plans
from chapelle.plan import scope as scopes
from chapelle.plan.hostvars import WHOLE, Kernels

NOW = {"target": "lab", "commit": "c0ffee", "kernels": WHOLE}


def names(dc: Datacentre, **arguments: str) -> list[str | None]:
    return [device.name for device in scopes.select(dc, scopes.parse(**arguments)).devices]


def made(dc: Datacentre, scope: str = "--aisle=1") -> plans.Plan:
    return plans.build(dc, scopes.from_text(scope), kind="provision", **NOW)


# -- scope ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"aisle": "2"}, ["compute-a2-01"]),
        ({"aisle": "2,1,2"}, 7),
        ({"aisle": "all"}, 7),
        ({"rack": "A1-R02"}, ["compute-a1-02", "infra-a1-02", "storage-a1-02"]),
        ({"limit": "storage-*"}, ["storage-a1-01", "storage-a1-02"]),
        ({"limit": "compute-a1-02,compute-a?-01"}, 3),
    ],
)  # fmt: skip
def test_a_scope_means_servers(arguments: dict[str, str], expected: list[str] | int) -> None:
    found = names(two_aisles(), **arguments)
    assert (len(found) if isinstance(expected, int) else found) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "exactly one"),
        ({"aisle": "1", "rack": "A1-R01"}, "--aisle and --rack"),
        ({"aisle": "2; rm -rf /"}, "2; rm -rf /"),
        ({"aisle": ""}, "''"),
        ({"aisle": "2,"}, "''"),
        ({"aisle": "02"}, "'02'"),
        ({"rack": "A1-R01 --all"}, "A1-R01 --all"),
        ({"limit": "$(reboot)"}, "$(reboot)"),
        ({"limit": "all:&aisle_1"}, "all:&aisle_1"),
        ({"limit": "@/etc/passwd"}, "@/etc/passwd"),
        ({"aisle": "9"}, "one of 1, 2, 3"),
        ({"aisle": "3"}, "no server at all"),
        ({"rack": "A9-R01"}, "A9-R01"),
        ({"limit": "compute-a9-01"}, "no such device"),
        ({"limit": "leaf-A1-R01a"}, "role leaf"),
        ({"limit": "infra-a2-01"}, "status offline"),
        ({"limit": "infra-a2-0*"}, "1 offline"),
    ],
)
def test_a_wrong_scope_is_bad_input_and_says_what_is_legal(
    arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        names(two_aisles(), **arguments)
    assert said in str(caught.value)
    assert caught.value.exit_code is ExitCode.BAD_INPUT


def test_servers_out_of_service_are_left_out_and_named() -> None:
    selection = scopes.select(two_aisles(), scopes.parse(aisle="2"))
    assert [device.name for device in selection.left_out] == ["infra-a2-01"]


def test_a_scope_survives_its_text() -> None:
    for scope in (scopes.parse(aisle="1,2"), scopes.parse(limit="a*,b"), scopes.parse(rack="R-1")):
        assert scopes.from_text(str(scope)) == scope


# -- plan -----------------------------------------------------------------------------------------


def test_the_same_content_gives_the_same_plan() -> None:
    assert made(two_aisles()).hash == made(two_aisles()).hash


def test_a_plan_names_each_host_once_with_its_steps() -> None:
    plan = made(two_aisles())
    assert [host.name for host in plan.hosts] == sorted({host.name for host in plan.hosts})
    assert sorted(n for batch in plan.batches for n in batch.hosts) == sorted(plan.by_name)
    assert plan.hosts[0].steps == ("preflight", "configure", "verify", "write-back")
    assert plan.aisles == ("1",)


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    plan = made(two_aisles())
    file.write_bytes(plans.encode(plan))
    assert plans.read(file) == plan
    assert plans.read(file).hash == plan.hash


def test_an_altered_plan_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(plans.encode(made(two_aisles())).replace(b"infra-a1-02", b"infra-a1-03"))
    with pytest.raises(RefusedError) as caught:
        plans.read(file)
    assert caught.value.exit_code is ExitCode.REFUSED


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", None])
def test_what_is_no_plan_is_bad_input(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "plan.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError):
        plans.read(file)


# -- what has moved -------------------------------------------------------------------------------


def moved(after: Datacentre, scope: str = "--aisle=1", **options: object) -> list[str]:
    return plans.moved(made(two_aisles(), scope), after, **{**NOW, **options})  # type: ignore[arg-type]


def test_nothing_moved() -> None:
    assert moved(two_aisles()) == []


def test_each_movement_is_named() -> None:
    dc = two_aisles()
    host = dc.device("compute-a1-01")
    port = dc.interfaces_by_device[host.id][0]
    rack = dc.rack("A1-R02").id
    cases = {
        "renamed to compute-a1-99": edited(dc, "devices", host.id, name="compute-a1-99"),
        "gone from NetBox": edited(dc, "devices", host.id, id=0),
        "status was planned, now active": edited(dc, "devices", host.id, status="active"),
        "status was planned, now offline": edited(dc, "devices", host.id, status="offline"),
        "role was compute, now storage": edited(dc, "devices", host.id, role=2),
        "domain was A1-R01": edited(dc, "devices", host.id, rack=rack),
        "intent changed in network_links": edited(dc, "interfaces", port.id, mtu=1400),
    }
    for line, after in cases.items():
        found = moved(after)
        assert any(f"compute-a1-01: {line}" in text for text in found), (line, found)
        assert len(found) == 1, found


def test_a_new_host_in_the_scope_is_named() -> None:
    dc = two_aisles()
    back = edited(dc, "devices", dc.device("infra-a2-01").id, status="planned")
    assert moved(back, "--aisle=2") == ["infra-a2-01: new in --aisle=2"]


def test_movements_elsewhere_do_not_matter() -> None:
    dc = two_aisles()
    assert moved(edited(dc, "devices", dc.device("compute-a2-01").id, status="active")) == []


def test_other_code_target_or_kernel_is_a_movement() -> None:
    dc = two_aisles()
    assert moved(dc, commit="beef") == ["code: planned with commit c0ffee, now beef"]
    assert moved(dc, target="site") == ["target: planned for lab, now site"]
    lines = moved(dc, kernels=Kernels(own={"compute-a1-01": {"clock": False}}))
    assert lines == ["compute-a1-01: intent changed in time_not_exercised, time_sets_clock"]


def test_on_resume_only_the_hosts_left_matter_and_our_own_statuses_are_known() -> None:
    dc = two_aisles()
    staged = edited(dc, "devices", dc.device("compute-a1-01").id, status="staged")
    gone = edited(staged, "devices", dc.device("infra-a1-01").id, id=0)
    own = {"compute-a1-01": {"staged"}}
    assert moved(gone, only=["compute-a1-01"], own_statuses=own) == []
    assert moved(gone, only=["compute-a1-01"]) == ["compute-a1-01: status was planned, now staged"]


def test_errors_are_of_our_family() -> None:
    assert issubclass(InputError, ChapelleError)
    assert msgspec.json.encode(made(two_aisles()))
