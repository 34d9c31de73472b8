"""Sets of changes written to the real NetBox: all or nothing, whenever the writer is killed."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.change import Change, Create, encode
from chapelle.model.diff import diff
from chapelle.model.draft import Draft, apply
from chapelle.model.records import Content
from chapelle.netbox import changeset
from chapelle.netbox.access import (
    Session,
    UnreachableError,
    access,
    connect,
    get_json,
    getter,
    require,
)
from chapelle.netbox.changeset import work
from chapelle.netbox.reading import read_content
from chapelle.settings import Settings

pytestmark = pytest.mark.netbox

ROOT = Path(__file__).parents[2]

MODELS = (
    "dcim.rack", "dcim.rackreservation", "dcim.device", "dcim.cable", "ipam.vrf",
    "ipam.routetarget", "ipam.vlan", "ipam.prefix", "ipam.ipaddress", "ipam.asn", "vpn.l2vpn",
    "tenancy.tenant",
)  # fmt: skip
REQUEST = {"custom_fields": {"request": "R-1"}}


def quiet(_line: str) -> None:
    pass


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """A rack with a leaf and a PDU in it, and what hangs on the leaf from an earlier request."""

    settings: Settings
    seeder: Session
    made: dict[str, int]

    def session(self, mode: str = "tenancy") -> Session:
        return Session(access(self.settings, mode))

    def content(self) -> Content:
        return read_content(getter(connect(access(self.settings, "read"))))

    def patch(self, path: str, number: int, **change: Any) -> None:
        url = f"{self.seeder.granted.url}/api/{path}/{number}/"
        require(self.seeder.patch(url, json=change), 200)


@pytest.fixture(scope="module")
def room(netbox: Settings) -> Iterator[Room]:
    seeder = Session(access(netbox, "seed"))
    paths: list[str] = []

    def make(path: str, **content: Any) -> int:
        answer = seeder.post(f"{seeder.granted.url}/api/{path}/", json=content)
        require(answer, 201)
        paths.append(f"{path}/{answer.json()['id']}/")
        return int(answer.json()["id"])

    make("extras/custom-fields", name="request", type="text", object_types=MODELS)
    made = {"site": make("dcim/sites", name="Room", slug="room")}
    made["rack"] = make("dcim/racks", name="X1", site=made["site"], status="available")
    made["role"] = make("tenancy/contact-roles", name="Room desk", slug="room-desk")
    maker = make("dcim/manufacturers", name="Roommaker", slug="roommaker")
    for slug in ("tenant-edge", "tenant-leaf", "pdu"):
        made[f"{slug} role"] = make("dcim/device-roles", name=slug, slug=slug)
        made[slug] = make("dcim/device-types", manufacturer=maker, model=slug, slug=slug)
    kind = {"device_type": made["tenant-edge"]}
    make("dcim/interface-templates", **kind, name="et1", type="25gbase-x-sfp28")
    make("dcim/power-port-templates", **kind, name="PSU1", type="iec-60320-c14")
    for slug in ("tenant-leaf", "pdu"):
        made[f"{slug} device"] = make(
            "dcim/devices", name=f"x1-{slug}", device_type=made[slug], site=made["site"],
            role=made[f"{slug} role"], rack=made["rack"], status="active",
        )  # fmt: skip
    for name in ("swp1", "swp2", "swp3", "swp4"):
        made[name] = make(
            "dcim/interfaces", device=made["tenant-leaf device"], name=name, type="25gbase-x-sfp28"
        )
    made["outlet"] = make("dcim/power-outlets", device=made["pdu device"], name="1")
    made["old vlan"] = make("ipam/vlans", vid=999, name="old", site=made["site"], **REQUEST)
    require(
        seeder.patch(
            f"{seeder.granted.url}/api/dcim/interfaces/{made['swp3']}/",
            json={"mode": "tagged", "tagged_vlans": [made["old vlan"]]},
        ),
        200,
    )
    ends = {
        side: [{"object_type": "dcim.interface", "object_id": made[name]}]
        for side, name in (("a_terminations", "swp2"), ("b_terminations", "swp3"))
    }
    made["old cable"] = make("dcim/cables", **ends, **REQUEST)
    yield Room(settings=netbox, seeder=seeder, made=made)
    for path in ("dcim/cables", "ipam/vlans"):  # made again meanwhile, with other ids
        for found in get_json(seeder, f"{path}/", {"site": "room"})["results"]:
            require(seeder.delete(f"{seeder.granted.url}/api/{path}/{found['id']}/"), 204)
    for path in reversed(paths):
        require(seeder.delete(f"{seeder.granted.url}/api/{path}"), 204, 404)


# -- what is written ------------------------------------------------------------------------------


def ends(near: tuple[str, int], far: tuple[str, int]) -> dict[str, Any]:
    sides = zip(("a_terminations", "b_terminations"), (near, far), strict=True)
    return {side: [{"object_type": kind, "object_id": number}] for side, (kind, number) in sides}


def edge(draft: Draft, room: Room, **more: Any) -> tuple[int, int, int]:
    """The tenant's device in the rack: itself, its port and its power supply."""
    device = draft.create(
        "devices", name="edge-acme", device_type=room.made["tenant-edge"],
        role=room.made["tenant-edge role"], site=room.made["site"], rack=room.made["rack"],
        position=42, face="front", status="planned", **REQUEST, **more,
    )  # fmt: skip
    group = draft.create("interfaces", device=device, name="handoff", type="lag")
    port = draft.create("interfaces", device=device, name="et1", type="25gbase-x-sfp28", lag=group)
    supply = draft.create("power_ports", device=device, name="PSU1", type="iec-60320-c14")
    return device, port, supply


def small(room: Room, content: Content) -> tuple[Change, ...]:
    """Each kind of change, and each way to make something."""
    draft = Draft(content)
    draft.create("route_targets", name="65000:1", **REQUEST)
    _, port, _ = edge(draft, room)
    draft.create(
        "cables", status="connected", **ends(("dcim.interface", port),
        ("dcim.interface", room.made["swp1"])), **REQUEST,
    )  # fmt: skip
    draft.update("racks", room.made["rack"], status="active", **REQUEST)
    (old,) = (v.id for v in content.vlans if v.vid == 999)
    draft.update("interfaces", room.made["swp3"], tagged_vlans=[])
    draft.delete("vlans", old)
    return draft.changes


def whole(room: Room, content: Content) -> tuple[Change, ...]:
    """All that a tenant gets."""
    draft = Draft(content)
    tenant = draft.create("tenants", name="Régie d'Acmé", slug="acme", **REQUEST)
    contact = draft.create("contacts", name="Acmé operations", email="ops@acme.example")
    draft.create(
        "contact_assignments", object_type="tenancy.tenant", object_id=tenant, contact=contact,
        role=room.made["role"],
    )  # fmt: skip
    target = draft.create("route_targets", name="65000:1", tenant=tenant, **REQUEST)
    vrf = draft.create(
        "vrfs", name="acme", rd="65000:1", tenant=tenant, import_targets=[target],
        export_targets=[target], **REQUEST,
    )  # fmt: skip
    vlan = draft.create(
        "vlans", vid=1000, name="acme-lan", status="active", site=room.made["site"],
        tenant=tenant, **REQUEST,
    )  # fmt: skip
    l2vpn = draft.create(
        "l2vpns", name="acme-lan", slug="acme-lan", type="vxlan-evpn", identifier=20000,
        tenant=tenant, import_targets=[target], export_targets=[target], **REQUEST,
    )  # fmt: skip
    draft.create(
        "l2vpn_terminations", l2vpn=l2vpn, assigned_object_type="ipam.vlan",
        assigned_object_id=vlan,
    )  # fmt: skip
    draft.create(
        "prefixes", prefix="10.80.0.0/24", status="active", vrf=vrf, vlan=vlan, tenant=tenant,
        **REQUEST,
    )  # fmt: skip
    draft.create(
        "ip_addresses", address="10.80.0.1/24", status="active", role="anycast", vrf=vrf,
        tenant=tenant, **REQUEST,
    )  # fmt: skip
    draft.create(
        "rack_reservations", rack=room.made["rack"], units=list(range(1, 43)), tenant=tenant,
        status="active", description="Request R-1", **REQUEST,
    )  # fmt: skip
    draft.update("racks", room.made["rack"], status="active", tenant=tenant, **REQUEST)
    _, port, supply = edge(draft, room, tenant=tenant)
    draft.create(
        "cables", status="connected", tenant=tenant, **REQUEST,
        **ends(("dcim.powerport", supply), ("dcim.poweroutlet", room.made["outlet"])),
    )  # fmt: skip
    draft.delete("cables", next(c.id for c in content.cables if c.custom_fields["request"]))
    swp2 = room.made["swp2"]
    draft.create(
        "cables", status="connected", tenant=tenant, **REQUEST,
        **ends(("dcim.interface", port), ("dcim.interface", swp2)),
    )  # fmt: skip
    draft.update("interfaces", swp2, vrf=vrf, mode="tagged", tagged_vlans=[vlan])
    draft.create(
        "ip_addresses", address="10.79.0.0/31", status="active", vrf=vrf, tenant=tenant,
        assigned_object_type="dcim.interface", assigned_object_id=swp2, **REQUEST,
    )  # fmt: skip
    return draft.changes


def same(before: Content, after: Content) -> bool:
    return diff(before, after) == []


def test_a_tenant_comes_and_goes(room: Room, tmp_path: Path) -> None:
    before = room.content()
    changes = whole(room, before)
    said: list[str] = []
    file = tmp_path / "journal"
    result = changeset.write(room.session(), changes, file, said.append)
    after = room.content()
    assert same(apply(before, changes), after)  # what was planned is what NetBox holds
    assert result.outcome == "written"
    assert set(result.ids) == {(c.list_name, c.id) for c in changes if isinstance(c, Create)}
    tenant = result.ids["tenants", changes[0].id]
    assert next(t.name for t in after.tenants if t.id == tenant) == "Régie d'Acmé"
    assert said[0].startswith("1/21 made: tenancy.tenant Régie d'Acmé")
    assert changeset.resume(room.session(), file, quiet) == result
    with pytest.raises(RefusedError, match="begun already"):
        changeset.write(room.session(), changes, file, quiet)
    assert same(after, room.content())
    assert changeset.undo(room.session(), file, said.append).outcome == "undone"
    assert changeset.undo(room.session(), file, quiet).outcome == "undone"
    assert changeset.resume(room.session(), file, quiet).outcome == "undone"
    assert same(before, room.content())


# -- what is in the way ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(room: Room) -> Content:
    """The room before and after each test, but for ids."""
    return room.content()


def refused(room: Room, bare: Content, file: Path, list_name: str, **fields: Any) -> str:
    """Write a route target, and then what cannot be written; what is said. Nothing is left."""
    draft = Draft(bare)
    draft.create("route_targets", name="65000:1", **REQUEST)
    draft.create(list_name, **fields)
    with pytest.raises(RefusedError) as failed:
        changeset.write(room.session(), draft.changes, file, quiet)
    assert same(bare, room.content())
    return str(failed.value)


def test_what_moved_since_the_plan_is_seen_before_anything_is_written(
    room: Room, tmp_path: Path
) -> None:
    changes = small(room, room.content())
    room.patch("dcim/racks", room.made["rack"], status="reserved")
    with pytest.raises(RefusedError) as failed:
        changeset.write(room.session(), changes, tmp_path / "journal", quiet)
    room.patch("dcim/racks", room.made["rack"], status="available")
    said = str(failed.value)
    assert "dcim.rack X1 has been changed by somebody else" in said
    assert f"racks, id {room.made['rack']}, status" in said
    assert "'available'" in said
    assert "'reserved'" in said
    assert not (tmp_path / "journal").exists()


def test_what_moves_while_it_is_written_takes_everything_back(room: Room, tmp_path: Path) -> None:
    before = room.content()
    changes = small(room, before)
    said: list[str] = []

    def meddle(line: str) -> None:
        if not said:
            room.patch("dcim/racks", room.made["rack"], status="reserved")
        said.append(line)

    with pytest.raises(RefusedError, match=r"dcim\.rack X1 has been changed by somebody else"):
        changeset.write(room.session(), changes, tmp_path / "journal", meddle)
    room.patch("dcim/racks", room.made["rack"], status="available")
    assert any("removed: dcim.device edge-acme" in line for line in said)
    assert same(before, room.content())


def test_a_rule_of_netbox_takes_everything_back(room: Room, bare: Content, tmp_path: Path) -> None:
    vlan = {"name": "far", "status": "active", "site": room.made["site"], **REQUEST}
    said = refused(room, bare, tmp_path / "journal", "vlans", vid=5000, **vlan)
    assert "NetBox refuses to make ipam.vlan far" in said
    assert "status 400: vid:" in said


def test_a_missing_permission_takes_everything_back(
    room: Room, bare: Content, tmp_path: Path
) -> None:
    """A cable that no request names is not the tenancy's to plug in."""
    free = ends(("dcim.interface", room.made["swp1"]), ("dcim.interface", room.made["swp4"]))
    said = refused(room, bare, tmp_path / "journal", "cables", status="connected", **free)
    assert "NetBox refuses to make dcim.cable" in said
    assert "status 403" in said
    assert "docs/your-own-netbox.md" in said


def test_a_name_that_somebody_else_took_is_said(room: Room, bare: Content, tmp_path: Path) -> None:
    vlan = {"vid": 999, "name": "new", "status": "active", "site": room.made["site"], **REQUEST}
    said = refused(room, bare, tmp_path / "journal", "vlans", **vlan)
    assert "ipam.vlan new is there already" in said
    assert "ipam.vlan old" in said


def test_what_netbox_would_keep_otherwise_is_not_asked_for(
    room: Room, bare: Content, tmp_path: Path
) -> None:
    said = refused(room, bare, tmp_path / "journal", "contacts", name="Desk ")
    assert "NetBox made something else of tenancy.contact Desk" in said


def test_an_undo_deletes_nothing_that_others_need(room: Room, tmp_path: Path) -> None:
    before = room.content()
    file = tmp_path / "journal"
    result = changeset.write(room.session(), small(room, before), file, quiet)
    (device,) = (number for (name, _), number in result.ids.items() if name == "devices")
    room.patch("dcim/devices", device, status="active")
    with pytest.raises(ChapelleError, match="Not all that was written could be taken") as failed:
        changeset.undo(room.session(), file, quiet)
    assert "dcim.device edge-acme has been changed by somebody else" in failed.value.message
    assert "made ipam.routetarget 65000:1" in (failed.value.found or "")
    room.patch("dcim/devices", device, status="planned")
    url = f"{room.seeder.granted.url}/api/dcim/interfaces/"
    answer = room.seeder.post(url, json={"device": device, "name": "own", "type": "virtual"})
    require(answer, 201)
    with pytest.raises(ChapelleError, match="other things hang on it") as failed:
        changeset.resume(room.session(), file, quiet)
    assert "(own)" in (failed.value.found or "")
    require(room.seeder.delete(f"{url}{answer.json()['id']}/"), 204)
    assert changeset.resume(room.session(), file, quiet).outcome == "undone"
    assert same(before, room.content())


# -- answers that are lost ------------------------------------------------------------------------


class Lossy(Session):
    """A session that loses the answer to every writing request that NetBox has done, once each."""

    lost = 0

    def request(self, method: Any, url: Any, **details: Any) -> requests.Response:
        answer = super().request(method, url, **details)
        if str(method).upper() != "GET" and answer.ok:
            self.lost += 1
            raise UnreachableError("NetBox does not answer.", where=str(url))
        return answer


def test_an_answer_that_is_lost_is_looked_for_and_not_asked_for_again(
    room: Room, tmp_path: Path
) -> None:
    before = room.content()
    changes = whole(room, before)
    session = Lossy(access(room.settings, "tenancy"))
    changeset.write(session, changes, tmp_path / "journal", quiet)
    assert same(apply(before, changes), room.content())
    changeset.undo(session, tmp_path / "journal", quiet)
    assert same(before, room.content())
    assert session.lost >= 2 * (len(changes) - 2)


def test_a_netbox_that_stays_away_leaves_what_can_be_resumed(room: Room, tmp_path: Path) -> None:
    before = room.content()
    changes = small(room, before)
    session = Lossy(access(room.settings, "tenancy"))
    with pytest.raises(UnreachableError, match="written in part") as failed:
        changeset.write(session, changes, tmp_path / "journal", quiet, patience=0)
    assert f"resume, or undo, by {tmp_path / 'journal'}" in (failed.value.remedy or "")
    assert changeset.resume(room.session(), tmp_path / "journal", quiet).outcome == "written"
    assert same(apply(before, changes), room.content())
    changeset.undo(room.session(), tmp_path / "journal", quiet)
    assert same(before, room.content())


# -- what the token may not -----------------------------------------------------------------------


def test_the_token_of_tenancy_reaches_nothing_that_is_not_a_tenants(room: Room) -> None:
    session = room.session()
    url = f"{session.granted.url}/api"
    leaf, port = room.made["tenant-leaf device"], room.made["swp1"]
    (vlan,) = (vlan.id for vlan in room.content().vlans if vlan.vid == 999)
    asked = {
        "delete a switch": session.delete(f"{url}/dcim/devices/{leaf}/"),
        "change a switch": session.patch(f"{url}/dcim/devices/{leaf}/", json={"serial": "x"}),
        "delete a switch's port": session.delete(f"{url}/dcim/interfaces/{port}/"),
        "delete a rack": session.delete(f"{url}/dcim/racks/{room.made['rack']}/"),
        "make a site": session.post(f"{url}/dcim/sites/", json={"name": "New", "slug": "new"}),
        "make a VLAN of nobody's": session.post(f"{url}/ipam/vlans/", json={"vid": 7, "name": "x"}),
        "make a device that is no edge": session.post(
            f"{url}/dcim/devices/",
            json={
                "name": "x",
                "role": room.made["pdu role"],
                "device_type": room.made["pdu"],
                "site": room.made["site"],
                **REQUEST,
            },
        ),
        "take a VLAN out of its request": session.patch(
            f"{url}/ipam/vlans/{vlan}/", json={"custom_fields": {"request": None}}
        ),
        "see users": session.get(f"{url}/users/users/"),
    }
    allowed = {name for name, answer in asked.items() if answer.status_code not in (403, 404)}
    assert allowed == set()


# -- killed at any instant ------------------------------------------------------------------------


MOMENT = 40  # ms in which a request leaves, and NetBox has not answered


class Instant(msgspec.Struct, frozen=True, kw_only=True):
    """When a writer is killed: `before` or `after` a line of its journal is on the disk.

    Before the line that tells an outcome, a request was made that nobody saw the end of; after the
    line that announces it, it was not made; some milliseconds after that, it is under way.
    """

    line: int
    when: str


def killed(room: Room, action: str, file: Path, changes: Sequence[Change], at: Instant) -> None:
    """Write or undo the changes in a process of its own, which is killed then."""
    plan = file.with_suffix(".plan")
    plan.write_bytes(encode(changes))
    arguments = [str(room.settings.state), action, str(file), str(plan), str(at.line), at.when]
    command = [sys.executable, str(Path(__file__).parent / "killed_writer.py"), *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def instants(file: Path) -> dict[str, list[Instant]]:
    """All instants that leave different traces, by what is known then."""
    found: dict[str, list[Instant]] = {"nothing": [], "unsent": [], "unseen": [], "under-way": []}
    kinds = [json.loads(line)["type"] for line in file.read_bytes().splitlines()]
    for line, (last, kind) in enumerate(itertools.pairwise(kinds), start=2):
        known = "unsent" if kind == "begun" else "nothing"
        found[known].append(Instant(line=line, when="after"))
        if kind == "begun":
            found["under-way"].append(Instant(line=line, when=str(MOMENT)))
        if last == "begun":
            found["unseen"].append(Instant(line=line, when="before"))
    return found


@pytest.mark.parametrize("one_in", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_a_writer_that_is_killed_at_any_line_is_finished_or_undone(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_in: int
) -> None:
    """At each instant that leaves other traces than the last, or at one in ten of them."""
    content = before = room.content()
    file = tmp_path / "whole"
    changeset.write(room.session(), small(room, before), file, quiet)
    after = room.content()
    every = instants(file)
    changeset.undo(room.session(), file, quiet)
    content = room.content()
    assert same(before, content)
    for known, listed in every.items():
        if known != "under-way":  # it was made, or never sent
            monkeypatch.setattr(work, "SETTLE", 0.3)
        else:
            monkeypatch.undo()
        for number, at in enumerate(listed[::one_in]):
            file = tmp_path / f"{known}-{number}"
            changes = small(room, content)
            killed(room, "write", file, changes, at)
            if number % 2:
                assert changeset.resume(room.session(), file, quiet).outcome == "written"
                assert same(after, room.content()), at
                # The way back has about as many lines, and is killed too.
                killed(room, "undo", file, changes, Instant(line=min(at.line, 8), when=at.when))
                assert changeset.resume(room.session(), file, quiet).outcome == "undone"
            else:
                assert changeset.undo(room.session(), file, quiet).outcome == "undone"
            content = room.content()
            assert same(before, content), at
