"""Seeding a real NetBox: completely, once, again without writing, and after mishaps.

In order: the NetBox starts empty, and each test leaves it seeded.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chapelle.errors import ExitCode, InputError
from chapelle.netbox import access, design, server
from chapelle.netbox.access import Session, UnreachableError
from chapelle.netbox.design import Design
from chapelle.netbox.design.schema import ServerRack
from chapelle.netbox.expand import Desired, expand
from chapelle.netbox.seed import Client, Seeder, SeedResult
from chapelle.settings import ROOT, Settings

pytestmark = pytest.mark.netbox
replace = msgspec.structs.replace


def small() -> Design:
    """One aisle of the reference datacentre with two racks, three servers and three switches."""
    whole = design.load(design.folder(ROOT))
    used = {"compute-1u", "storage-2u", "database-1u", "infra-1u", "leaf-48x25", "oob-48x1"}
    types = [t for t in whole.hardware.device_types if t.slug in used or t.slug.startswith("pdu")]
    wanted = ("leaf-a{aisle}-1a", "leaf-a{aisle}-1b", "oob-a{aisle}-1")
    switches = [s for s in whole.network.switches if s.name in wanted]
    return replace(
        whole,
        site=replace(whole.site, sizing=None, aisles=replace(whole.site.aisles, numbers=1)),
        racks=replace(whole.racks, racks=[replace(whole.racks.racks[0], numbers="1-2")]),
        hardware=replace(whole.hardware, device_types=types),
        servers=replace(
            whole.servers, racks=[ServerRack(rack=1, servers={"storage": 1, "compute": 2})]
        ),
        network=replace(whole.network, switches=switches),
    )


@pytest.fixture(scope="module")
def settings(new_state) -> Iterator[Settings]:
    """An empty NetBox that only these tests use."""
    made = new_state()
    server.up(made, print)
    yield made
    server.down(made, print)


@pytest.fixture(scope="module")
def desired() -> Desired:
    return expand(small())


def session(settings: Settings, mode: str) -> Session:
    return access.connect(access.access(settings, mode)).http_session


def client(settings: Settings, mode: str = "seed") -> Client:
    opened = session(settings, mode)
    return Client(opened.granted.url, opened)


def seed(
    settings: Settings, desired: Desired, *, dry_run: bool = False, adopt: bool = False
) -> SeedResult:
    using = client(settings, "read" if dry_run else "seed")
    return Seeder(using, desired, tag="chapelle", dry_run=dry_run, adopt=adopt).run()


def one(settings: Settings, endpoint: str, **query: Any) -> dict[str, Any]:
    (found,) = access.get_json(session(settings, "seed"), f"{endpoint}/", query)["results"]
    return found


def write(settings: Settings, method: str, path: str, content: Any = None) -> dict[str, Any]:
    opened = session(settings, "seed")
    answer = opened.request(method, f"{opened.granted.url}/api/{path}", json=content)
    access.require(answer, 200, 201, 204)
    return answer.json() if answer.content else {}


def count(settings: Settings, endpoint: str) -> int:
    return access.get_json(session(settings, "read"), f"{endpoint}/", {"limit": 1})["count"]


def test_a_dry_run_writes_nothing_and_names_everything(
    settings: Settings, desired: Desired
) -> None:
    result = seed(settings, desired, dry_run=True)
    assert result.writes == 0
    assert (result.created + result.updated, result.unchanged) == (len(desired), 0)
    devices = next(kind for kind in result.kinds if kind.kind == "devices")
    assert "compute-a1-01" in devices.created
    assert count(settings, "dcim/sites") == count(settings, "extras/tags") == 0


class DyingClient(Client):
    """Its process is killed just before one of its writing requests."""

    lives = 0

    def _request(self, method: str, endpoint: str, **details: Any) -> Any:
        if method != "GET":
            self.lives -= 1
            if self.lives < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return super()._request(method, endpoint, **details)


def _die(settings: Settings, lives: int) -> None:
    opened = session(settings, "seed")
    dying = DyingClient(opened.granted.url, opened)
    dying.lives = lives
    Seeder(dying, expand(small()), tag="chapelle", dry_run=False).run()


def test_killed_half_way_and_again_then_finished_by_the_next(
    settings: Settings, desired: Desired
) -> None:
    for lives in (20, 22):  # among the small lists first, then among devices and what they have
        child = multiprocessing.get_context("spawn").Process(target=_die, args=(settings, lives))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert count(settings, "dcim/devices") > 0
    assert count(settings, "dcim/cables") == 0

    result = seed(settings, desired)
    assert result.conflicts == []
    assert result.unchanged > 0
    assert count(settings, "dcim/cables") == len(desired.of("cables"))
    assert count(settings, "dcim/interfaces") == len(desired.of("interfaces"))
    assert count(settings, "dcim/devices") == len(desired.of("devices"))


def test_again_makes_no_writing_request(settings: Settings, desired: Desired) -> None:
    using = client(settings)
    methods = []
    using.session.hooks["response"].append(
        lambda answer, **_: methods.append(answer.request.method)
    )
    result = Seeder(using, desired, tag="chapelle", dry_run=False).run()
    assert set(methods) == {"GET"}
    assert (result.created, result.updated, result.writes) == (0, 0, 0)
    assert result.unchanged == len(desired)
    assert result.foreign == 0
    assert not any(kind.stale for kind in result.kinds)


def test_what_came_of_it(settings: Settings) -> None:
    device = one(settings, "dcim/devices", name="compute-a1-01")
    assert device["status"]["value"] == "planned"
    assert device["primary_ip4"]["address"] == "10.64.1.11/24"
    assert device["oob_ip"]["address"] == "10.66.1.11/24"
    assert [tag["slug"] for tag in device["tags"]] == ["chapelle"]
    port = one(settings, "dcim/interfaces", device="compute-a1-01", name="eno1")
    assert port["lag"]["name"] == "bond0"
    assert port["mac_address"].startswith("02:")
    assert port["connected_endpoints"][0]["device"]["name"] == "leaf-a1-1a"
    cord = one(settings, "dcim/power-ports", device="compute-a1-01", name="PSU2")
    assert cord["connected_endpoints"][0]["device"]["name"] == "pdu-a1-r01-b"
    outlet = one(settings, "dcim/power-outlets", device="pdu-a1-r01-b", name="outlet-01")
    inlet = one(settings, "dcim/power-ports", id=outlet["power_port"]["id"])
    assert inlet["connected_endpoints"][0]["name"] == "A1-R01-B"


def test_only_what_differs_is_mended(settings: Settings, desired: Desired) -> None:
    bond = one(settings, "dcim/interfaces", device="compute-a1-02", name="bond0")
    write(settings, "PATCH", f"dcim/interfaces/{bond['id']}/", {"mtu": 1500})
    cable = one(settings, "dcim/interfaces", device="compute-a1-02", name="bmc")["cable"]
    write(settings, "DELETE", f"dcim/cables/{cable['id']}/")
    result = seed(settings, desired)
    created = {kind.kind: kind.created for kind in result.kinds if kind.created}
    updated = {kind.kind: kind.updated for kind in result.kinds if kind.updated}
    assert created == {"cables": ["interfaces compute-a1-02 bmc interfaces oob-a1-1 swp3"]}
    assert updated == {"interfaces": ["compute-a1-02 bond0"]}
    assert result.writes == 2
    assert seed(settings, desired).writes == 0


def test_what_runs_and_operators_write_is_left_alone(settings: Settings, desired: Desired) -> None:
    device = one(settings, "dcim/devices", name="compute-a1-01")
    changes = {"status": "active", "serial": "REPLACED", "custom_fields": {"chapelle_run": "r1"}}
    write(settings, "PATCH", f"dcim/devices/{device['id']}/", changes)
    disk = one(settings, "dcim/inventory-items", device="storage-a1-01", name="disk-data-03")
    keep = {"custom_fields": {"disk_purpose": "keep"}, "serial": "NEW-DISK"}
    write(settings, "PATCH", f"dcim/inventory-items/{disk['id']}/", keep)
    rack = one(settings, "dcim/racks", name="A1-R02")
    write(settings, "PATCH", f"dcim/racks/{rack['id']}/", {"status": "reserved"})
    assert seed(settings, desired).writes == 0
    assert one(settings, "dcim/devices", name="compute-a1-01")["serial"] == "REPLACED"


def test_others_are_left_alone_and_counted(settings: Settings, desired: Desired) -> None:
    like = one(settings, "dcim/devices", name="compute-a1-01")
    place = {key: like[key]["id"] for key in ("site", "rack", "device_type", "role")}
    theirs = write(settings, "POST", "dcim/devices/", {"name": "theirs", **place})
    tag = one(settings, "extras/tags", slug="chapelle")["id"]
    former = {"name": "compute-a1-99", "tags": [tag], **place}
    ours = write(settings, "POST", "dcim/devices/", former)
    result = seed(settings, desired)
    devices = next(kind for kind in result.kinds if kind.kind == "devices")
    assert (devices.foreign, devices.stale) == (1, ["compute-a1-99"])
    assert result.writes == 0
    for made in (theirs, ours):
        write(settings, "DELETE", f"dcim/devices/{made['id']}/")


def test_what_is_not_ours_is_used_or_named_and_adopted_when_asked(
    settings: Settings, desired: Desired
) -> None:
    other = write(settings, "POST", "extras/tags/", {"name": "theirs", "slug": "theirs"})
    platform = one(settings, "dcim/platforms", slug="frr")
    path = f"dcim/platforms/{platform['id']}/"
    write(settings, "PATCH", path, {"tags": [other["id"]]})
    result = seed(settings, desired)
    assert (result.writes, result.conflicts) == (0, []), "as the design says: used as it is"

    write(settings, "PATCH", path, {"name": "their FRR"})
    result = seed(settings, desired)
    assert result.writes == 0
    (conflict,) = result.conflicts
    assert "is not ours, and differs in name" in conflict

    result = seed(settings, desired, adopt=True)
    assert (result.updated, result.conflicts) == (1, [])
    adopted = one(settings, "dcim/platforms", slug="frr")
    assert adopted["name"] == platform["name"]
    assert {tag["slug"] for tag in adopted["tags"]} == {"theirs", "chapelle"}
    write(settings, "DELETE", f"extras/tags/{other['id']}/")


def test_a_device_that_is_not_ours_keeps_its_ports_and_cables(
    settings: Settings, desired: Desired
) -> None:
    device = one(settings, "dcim/devices", name="compute-a1-02")
    tags = [tag["id"] for tag in device["tags"]]
    eno1 = one(settings, "dcim/interfaces", device="compute-a1-02", name="eno1")
    write(settings, "PATCH", f"dcim/devices/{device['id']}/", {"tags": []})
    write(settings, "DELETE", f"dcim/cables/{eno1['cable']['id']}/")
    result = seed(settings, desired)
    assert result.writes == 0
    assert result.conflicts == ["1 cables of compute-a1-02, which is not ours"]
    write(settings, "PATCH", f"dcim/devices/{device['id']}/", {"tags": tags})
    result = seed(settings, desired)
    assert (result.created, result.updated, result.conflicts) == (1, 0, [])


def test_a_port_that_is_taken_is_a_conflict(settings: Settings, desired: Desired) -> None:
    eno1 = one(settings, "dcim/interfaces", device="compute-a1-02", name="eno1")
    wrong = one(settings, "dcim/interfaces", device="leaf-a1-1a", name="swp40")
    write(settings, "DELETE", f"dcim/cables/{eno1['cable']['id']}/")
    ends = {
        f"{side}_terminations": [{"object_type": "dcim.interface", "object_id": port["id"]}]
        for side, port in (("a", eno1), ("b", wrong))
    }
    made = write(settings, "POST", "dcim/cables/", ends)
    result = seed(settings, desired)
    (conflict,) = result.conflicts
    assert conflict.startswith("cable compute-a1-02 eno1 - leaf-a1-1a swp3: compute-a1-02 eno1 has")
    assert result.writes == 0
    write(settings, "DELETE", f"dcim/cables/{made['id']}/")
    assert seed(settings, desired).created == 1


def test_a_refusal_names_the_object_its_origin_and_netbox_s_words(settings: Settings) -> None:
    intended = small()
    tenants = [
        replace(tenant, slug="aphp") if tenant.slug == "ap-hp" else tenant
        for tenant in intended.tenancy.tenants
    ]
    spoilt = replace(intended, tenancy=replace(intended.tenancy, tenants=tenants))
    with pytest.raises(InputError) as caught:
        seed(settings, expand(spoilt))
    error = caught.value
    assert error.exit_code is ExitCode.BAD_INPUT
    assert "tenants 'aphp'" in error.message
    assert error.where == "tenancy.yml: tenants[1]"
    assert "unique" in error.found


class ForgetfulClient(Client):
    """NetBox does what it is asked to, and the answer to the first writing request is lost."""

    lost = False

    def _request(self, method: str, endpoint: str, **details: Any) -> Any:
        answer = super()._request(method, endpoint, **details)
        if method != "GET" and not self.lost:
            self.lost = True
            raise UnreachableError("NetBox does not answer.")
        return answer


def test_an_answer_that_is_lost_makes_nothing_twice(settings: Settings, desired: Desired) -> None:
    ids = [
        one(settings, "dcim/interfaces", device=name, name="eno2")["cable"]["id"]
        for name in ("compute-a1-01", "compute-a1-02")
    ]
    for number in ids:
        write(settings, "DELETE", f"dcim/cables/{number}/")
    opened = session(settings, "seed")
    forgetful = ForgetfulClient(opened.granted.url, opened)
    result = Seeder(forgetful, desired, tag="chapelle", dry_run=False).run()
    assert forgetful.lost
    assert result.writes == 1
    assert count(settings, "dcim/cables") == len(desired.of("cables"))
    assert seed(settings, desired).writes == 0
