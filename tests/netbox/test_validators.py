"""What NetBox refuses at save: each mistake, its legal neighbour, and old content that is wrong."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uv

from chapelle import process
from chapelle.netbox import server_database, server_install, server_web
from chapelle.netbox import server_postgres as postgres
from chapelle.netbox.access import Session, access, require
from chapelle.netbox.server_layout import Layout
from chapelle.settings import ROOT, Settings

pytestmark = pytest.mark.netbox

PACKAGE = ROOT / server_web.VALIDATORS

Json = dict[str, Any]


class Room(msgspec.Struct, kw_only=True):
    """A site of the operator's with two tenants; what is made in it is removed with it."""

    url: str
    seeder: Session
    made: list[str]
    site: int = 0
    role: int = 0
    box: int = 0
    other_box: int = 0
    tenants: dict[str, int]
    user: int

    def ask(self, method: str, path: str, content: Any) -> Any:
        return self.seeder.request(method, f"{self.url}/api/{path}/", json=content)

    def make(self, path: str, **content: Any) -> int:
        answer = self.ask("POST", path, content)
        require(answer, 201)
        self.made.append(f"{path}/{answer.json()['id']}")
        return int(answer.json()["id"])

    def refused(self, path: str, method: str = "POST", **content: Any) -> str:
        """NetBox's words for refusing this."""
        answer = self.ask(method, path, content)
        assert answer.status_code == 400, answer.text
        return " ".join(text for texts in answer.json().values() for text in texts)

    def patch(self, path: str, **content: Any) -> None:
        require(self.ask("PATCH", path, content), 200)

    def remove(self, path: str) -> None:
        require(self.seeder.delete(f"{self.url}/api/{path}/"), 204)
        self.made.remove(path)

    def device(self, name: str, tenant: str | None = None, **more: Any) -> int:
        content = {"site": self.site, "role": self.role, "device_type": self.box, "name": name}
        return self.make(
            "dcim/devices", **content, tenant=self.tenants[tenant] if tenant else None, **more
        )

    def port(self, device: int, name: str, kind: str = "interfaces", **more: Any) -> "End":
        if kind == "interfaces":
            more["type"] = "25gbase-x-sfp28"
        return kind, self.make(f"dcim/{kind}", device=device, name=name, **more)

    def cable(self, a: "End", b: "End", **more: Any) -> int:
        return self.make("dcim/cables", **between(a, b), **more)


End = tuple[str, int]


def ends(*found: End) -> list[Json]:
    kinds = {"power-ports": "powerport", "power-outlets": "poweroutlet", "power-feeds": "powerfeed"}
    kinds |= {"interfaces": "interface", "rear-ports": "rearport"}
    return [{"object_type": f"dcim.{kinds[kind]}", "object_id": pk} for kind, pk in found]


def between(a: End, b: End) -> Json:
    return {"a_terminations": ends(a), "b_terminations": ends(b)}


def sql(settings: Settings, statement: str) -> str:
    return postgres.sql(Layout.of(settings), statement, server_database.NAME)


@pytest.fixture(scope="module")
def everything(netbox: Settings) -> Iterator[Room]:
    seeder = Session(access(netbox, "seed"))
    user = int(sql(netbox, "SELECT id FROM users_user WHERE username = 'admin'"))
    room = Room(url=seeder.granted.url, seeder=seeder, made=[], tenants={}, user=user)
    for name in ("Operator", "North", "South"):
        slug = f"v-{name.lower()}"
        room.tenants[name] = room.make("tenancy/tenants", name=f"V {name}", slug=slug)
    room.site = room.make(
        "dcim/sites", name="V site", slug="v-site", tenant=room.tenants["Operator"]
    )
    room.role = room.make("dcim/device-roles", name="V role", slug="v-role")
    for field, name in (("box", "One"), ("other_box", "Two")):
        maker = room.make("dcim/manufacturers", name=f"V {name}", slug=f"v-{name}")
        kind = {"manufacturer": maker, "model": f"V {name}", "slug": f"v-box-{name}"}
        setattr(room, field, room.make("dcim/device-types", **kind, u_height=2))
    yield room
    clear(room, 0)


@pytest.fixture
def room(everything: Room) -> Iterator[Room]:
    kept = len(everything.made)
    yield everything
    clear(everything, kept)


def clear(room: Room, kept: int) -> None:
    while len(room.made) > kept:
        room.remove(room.made[-1])


class Power(msgspec.Struct, frozen=True):
    """Two PDUs on two feeds, each with outlets; a third feed is free."""

    feeds: list[End]
    inlets: list[End]
    outlets: list[list[End]]
    inlet_cables: list[int]


@pytest.fixture
def power(room: Room) -> Power:
    panel = room.make("dcim/power-panels", site=room.site, name="V panel")
    feeds = [
        ("power-feeds", room.make("dcim/power-feeds", power_panel=panel, name=f"feed-{side}"))
        for side in "abc"
    ]
    inlets, outlets, cables = [], [], []
    for side, feed in zip("ab", feeds, strict=False):
        pdu = room.device(f"pdu-{side}", "Operator")
        inlets.append(room.port(pdu, "inlet", "power-ports"))
        behind = {"power_port": inlets[-1][1]}
        outlets.append([room.port(pdu, f"o{i}", "power-outlets", **behind) for i in range(4)])
        cables.append(room.cable(inlets[-1], feed))
    return Power(feeds, inlets, outlets, cables)


def cords(room: Room, name: str, count: int = 2) -> list[End]:
    device = room.device(name, "North")
    return [room.port(device, f"PSU{i}", "power-ports") for i in range(1, count + 1)]


def test_two_cords_into_one_feed_are_refused(room: Room, power: Power) -> None:
    one, two = cords(room, "server-1")
    room.cable(one, power.outlets[0][0])
    said = room.refused("dcim/cables", **between(two, power.outlets[0][1]))
    assert "PSU2 of server-1" in said
    assert "as PSU1 does" in said
    assert "power feed feed-a of V panel" in said
    assert "at most 1 of its 2 power ports" in said
    cable = room.cable(power.outlets[1][0], two, label="B")  # as well with its ends exchanged
    room.patch(f"dcim/cables/{cable}", label="B side")
    said = room.refused(f"dcim/cables/{cable}", "PATCH", a_terminations=ends(power.outlets[0][1]))
    assert "feed-a" in said
    room.patch(f"dcim/cables/{cable}", a_terminations=ends(power.outlets[1][1]))


def test_a_cord_that_moves_leaves_its_former_feed(room: Room, power: Power) -> None:
    """What the database says of the cable that is being moved does not count."""
    one, two = cords(room, "server-1")
    cable = room.cable(one, power.outlets[0][0])
    room.patch(f"dcim/cables/{cable}", a_terminations=ends(two))
    room.cable(one, power.outlets[1][0])


def test_a_feed_takes_half_of_many_cords_in_any_order(room: Room, power: Power) -> None:
    four = cords(room, "chassis", 4)
    room.cable(four[0], power.outlets[0][0])
    room.cable(four[1], power.outlets[0][1])
    said = room.refused("dcim/cables", **between(four[2], power.outlets[0][2]))
    assert "at most 2 of its 4" in said
    room.cable(four[2], power.outlets[1][0])
    room.cable(four[3], power.feeds[2])


def test_one_cable_with_two_plugs_is_two_cords(room: Room, power: Power) -> None:
    both = cords(room, "server-1")
    split = {"a_terminations": ends(power.outlets[0][0]), "b_terminations": ends(*both)}
    assert "PSU1, PSU2 of server-1 would all end in" in room.refused("dcim/cables", **split)


def test_a_pdu_s_inlet_is_judged_by_what_hangs_on_it(room: Room, power: Power) -> None:
    for number in range(2):
        one, two = cords(room, f"server-{number}")
        room.cable(one, power.outlets[0][number])
        room.cable(two, power.outlets[1][number])
    swap = f"dcim/cables/{power.inlet_cables[1]}"
    for feed in power.feeds[1:]:  # its own, which is right, and another that is as good
        room.patch(swap, b_terminations=ends(feed))
    for cable in power.inlet_cables:
        room.remove(f"dcim/cables/{cable}")
    room.cable(power.inlets[0], power.feeds[0])
    said = room.refused("dcim/cables", **between(power.inlets[1], power.feeds[0]))
    assert "PSU1, PSU2 of server-0 would all end in power feed feed-a" in said
    assert "So would those of 1 more device" in said


def test_feeds_are_found_through_pdus_behind_pdus(room: Room, power: Power) -> None:
    one, two = cords(room, "server-1")
    room.cable(one, power.outlets[0][0])
    room.cable(two, power.outlets[1][0])
    for cable in power.inlet_cables:
        room.remove(f"dcim/cables/{cable}")
    upper = room.device("upper", "Operator")
    inlet = room.port(upper, "inlet", "power-ports")
    above = [room.port(upper, f"o{i}", "power-outlets", power_port=inlet[1]) for i in range(2)]
    room.cable(power.inlets[0], above[0])
    said = room.refused("dcim/cables", **between(power.inlets[1], above[1]))
    assert "PSU1, PSU2 of server-1 would all end in one PDU, at inlet inlet of upper" in said
    room.cable(power.inlets[1], power.feeds[1])
    assert "feed-b" in room.refused("dcim/cables", **between(inlet, power.feeds[1]))
    room.cable(inlet, power.feeds[0])


def test_two_cords_into_a_pdu_without_feed_are_refused(room: Room) -> None:
    pdu = room.device("pdu", "Operator")
    inlet = room.port(pdu, "inlet", "power-ports")
    outlets = [room.port(pdu, f"o{i}", "power-outlets", power_port=inlet[1]) for i in range(2)]
    one, two = cords(room, "server-1")
    room.cable(one, outlets[0])
    said = room.refused("dcim/cables", **between(two, outlets[1]))
    assert "one PDU, at inlet inlet of pdu" in said


def test_a_list_of_cables_is_refused_as_a_whole(room: Room, power: Power) -> None:
    """Each is judged with the ones before it in the list."""
    one, two = cords(room, "server-1")
    wrong = [between(one, power.outlets[0][0]), between(two, power.outlets[0][1])]
    answer = room.ask("POST", "dcim/cables", wrong)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["index"] == 1
    assert "PSU2 of server-1 would end in power feed feed-a" in str(error["errors"])
    right = [between(one, power.outlets[0][0]), between(two, power.outlets[1][1])]
    answer = room.ask("POST", "dcim/cables", right)
    require(answer, 201)
    room.made += [f"dcim/cables/{cable['id']}" for cable in answer.json()]


def test_a_cable_between_two_tenants_is_refused(room: Room) -> None:
    north, south = room.device("north-1", "North"), room.device("south-1", "South")
    near, far = room.port(north, "eno1"), room.port(south, "eno2")
    said = room.refused("dcim/cables", **between(near, far))
    assert "eno1 of north-1 (V North)" in said
    assert "eno2 of south-1 (V South)" in said
    rear = room.port(south, "rear", "rear-ports", type="lc")
    assert "south-1" in room.refused("dcim/cables", **between(near, rear))
    inlet = room.port(north, "PSU1", "power-ports")
    outlet = room.port(south, "o1", "power-outlets")
    assert "two tenants" in room.refused("dcim/cables", **between(inlet, outlet))


def test_a_hand_off_and_what_is_nobody_s_are_accepted(room: Room) -> None:
    north, switch = room.device("north-1", "North"), room.device("switch-1", "Operator")
    again, nobody = room.device("north-2", "North"), room.device("panel")
    room.cable(room.port(north, "eno1"), room.port(switch, "swp1"))
    room.cable(room.port(north, "eno2"), room.port(again, "eno2"))
    cable = room.cable(room.port(north, "eno3"), room.port(nobody, "rear", "rear-ports", type="lc"))
    room.patch(f"dcim/cables/{cable}", label="patch")
    outlet = room.port(switch, "o1", "power-outlets")
    room.cable(room.port(north, "PSU1", "power-ports"), outlet)


@pytest.fixture
def rack(room: Room) -> int:
    return room.make("dcim/racks", site=room.site, name="V rack", u_height=42)


def placed(rack: int, position: float) -> Json:
    return {"rack": rack, "position": position, "face": "front"}


def reservation(room: Room, rack: int, tenant: str | None, units: list[int], **more: Any) -> Json:
    whose = {"tenant": room.tenants[tenant] if tenant else None, "user": room.user}
    return {"rack": rack, "units": units, "description": "v", **whose, **more}


def test_a_device_in_another_s_reserved_units_is_refused(room: Room, rack: int) -> None:
    made = room.make("dcim/rack-reservations", **reservation(room, rack, "North", [10, 11]))
    content = {"site": room.site, "role": room.role, "device_type": room.box, "name": "south-1"}
    content["tenant"] = room.tenants["South"]
    # Two units high: U9 and U10; and in part of U11.
    for position, clash in ((9, "U10"), (10, "U10, U11"), (11.5, "U11")):
        said = room.refused("dcim/devices", **content, **placed(rack, position))
        assert f"{clash} of rack V rack is reserved for V North (reservation {made}: v)" in said
        assert "found south-1 of V South" in said
    south = room.device("south-1", "South", **placed(rack, 8))
    room.patch(f"dcim/devices/{south}", position=12)
    assert "U11" in room.refused(f"dcim/devices/{south}", "PATCH", position=11)
    room.device("north-1", "North", **placed(rack, 10))
    room.patch(f"dcim/rack-reservations/{made}", description="w")


def test_units_that_are_nobody_s_or_no_longer_reserved_are_free(room: Room, rack: int) -> None:
    room.make("dcim/rack-reservations", **reservation(room, rack, "North", [1, 2]))
    room.make("dcim/rack-reservations", **reservation(room, rack, None, [3, 4]))
    stale = reservation(room, rack, "North", [5, 6], status="stale")
    made = room.make("dcim/rack-reservations", **stale)
    room.device("nobody", None, **placed(rack, 1))
    room.device("south-1", "South", **placed(rack, 3))
    room.device("south-2", "South", **placed(rack, 5))
    said = room.refused(f"dcim/rack-reservations/{made}", "PATCH", status="active")
    assert "south-2 of V South in U5, U6" in said


def test_a_reservation_over_another_s_device_is_refused(room: Room, rack: int) -> None:
    room.device("south-1", "South", **placed(rack, 20))
    room.device("north-1", "North", **placed(rack, 22))
    wrong = reservation(room, rack, "North", [21, 22, 23])
    said = room.refused("dcim/rack-reservations", **wrong)
    assert "south-1 of V South in U21" in said
    assert "north-1" not in said
    right = reservation(room, rack, "North", [22, 23])
    room.make("dcim/rack-reservations", **right)


def test_a_serial_number_is_one_device_s(room: Room) -> None:
    one = room.device("one", serial="AB12")
    content = {"site": room.site, "role": room.role, "device_type": room.other_box}
    said = room.refused("dcim/devices", **content, name="two", serial=" ab12 ")
    assert f"Serial number ab12 is that of one (device {one}) already" in said
    two = room.device("two", serial="AB13")
    assert "that of one" in room.refused(f"dcim/devices/{two}", "PATCH", serial="AB12")
    room.device("three", serial="")
    room.device("four", serial="")
    room.patch(f"dcim/devices/{one}", serial="ab12", status="planned")


def test_an_address_is_there_once_in_its_table(room: Room) -> None:
    vrf = room.make("ipam/vrfs", name="V vrf", enforce_unique=False)
    port = room.port(room.device("one"), "eno1")
    on = {"assigned_object_type": "dcim.interface", "assigned_object_id": port[1]}
    for table, name in ((vrf, "VRF V vrf"), (None, "the global table")):
        made = room.make("ipam/ip-addresses", address="198.51.100.5/24", vrf=table, **on)
        said = room.refused("ipam/ip-addresses", address="198.51.100.5/32", vrf=table)
        expected = f"198.51.100.5 is in {name} already: 198.51.100.5/24 on one eno1"
        assert f"{expected} (address {made})" in said
        shared = {"address": "198.51.100.5/24", "vrf": table, "role": "vrrp"}
        assert "at both" in room.refused("ipam/ip-addresses", **shared)  # the other is not shared
        room.patch(f"ipam/ip-addresses/{made}", role="vip")
        room.make("ipam/ip-addresses", **shared)
        said = room.refused(f"ipam/ip-addresses/{made}", "PATCH", role="loopback")
        assert "198.51.100.5" in said
    room.make("ipam/ip-addresses", address="2001:db8::1/64", vrf=vrf)
    assert "2001:db8::1" in room.refused("ipam/ip-addresses", address="2001:DB8:0::1/128", vrf=vrf)
    room.make("ipam/ip-addresses", address="2001:db8::1/64", vrf=None)


def test_what_was_wrong_before_stops_only_edits_of_it(room: Room, netbox: Settings) -> None:
    """A run writes a device's status also where somebody's import left a duplicate."""
    room.device("one", serial="AB12")
    two = room.device("two")
    sql(netbox, f"UPDATE dcim_device SET serial = ' ab12' WHERE id = {two}")  # noqa: S608
    room.patch(f"dcim/devices/{two}", status="planned")
    assert "that of one" in room.refused(f"dcim/devices/{two}", "PATCH", serial="Ab12")
    room.patch(f"dcim/devices/{two}", serial="AB13")


def python_of(settings: Settings) -> Path:
    return server_install.environment(Layout.of(settings)) / "bin" / "python"


@pytest.fixture(scope="module")
def inside(netbox: Settings) -> Json:
    """What a script in NetBox's own Python finds, where settings can be others."""
    done = subprocess.run(
        [python_of(netbox), Path(__file__).with_name("judge_inside.py")],
        env={**process.environment(), **server_web.environ(Layout.of(netbox))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_queries_are_few_and_do_not_grow_with_the_rack(inside: Json) -> None:
    """Two of these load the devices at the ends, which NetBox needs afterwards and finds loaded."""
    assert inside["small"] == inside["large"]
    assert len(inside["large"]) == 8
    assert min(inside["large"].values()) >= 1
    assert max(inside["large"].values()) <= 5


def test_where_the_operator_hands_off_can_be_set(inside: Json) -> None:
    judged = inside["judged"]
    accepted = {case for case, words in judged.items() if case.startswith("leaf") and not words}
    assert accepted == {"leaf, default", "leaf, roles", "leaf, operators"}
    accepted = {case for case, words in judged.items() if case.startswith("other") and not words}
    assert accepted == {"other, default", "other, operators"}
    assert "a device of role small-leaf of the operator" in judged["other, roles"]
    assert "expected one tenant at both ends. Look" in judged["leaf, none"]
    assert judged["power and roles"] == ""  # PDUs are plugged into, whatever their role


def test_what_was_wrong_before_can_be_refused_and_is_called_so(inside: Json) -> None:
    judged = inside["judged"]
    for what in ("cable", "serial"):
        assert judged[f"existing {what}, False"] == ""
        assert "It was so before this edit" in judged[f"existing {what}, True"]
    assert "so before" not in judged["serial anywhere"]


def test_serial_numbers_can_be_a_manufacturer_s(inside: Json) -> None:
    judged = inside["judged"]
    assert "Serial number same is that of serial-1" in judged["serial anywhere"]
    assert judged["serial per manufacturer"] == ""
    assert "that of serial-1" in judged["serial of one manufacturer"]


def test_a_misspelt_setting_is_said(inside: Json) -> None:
    said = inside["judged"]["unknown setting"]
    assert said.startswith("ImproperlyConfigured: PLUGINS_CONFIG['chapelle_netbox_validators']")
    assert "found operator:" in said


LOAD = """\
import os, sys
from importlib import import_module
from importlib.metadata import version
os.environ["DJANGO_SETTINGS_MODULE"] = "netbox.settings"
import django
django.setup()
from django.conf import settings
for paths in settings.CUSTOM_VALIDATORS.values():
    for path in paths:
        module, _, name = path.rpartition(".")
        loaded = import_module(module)
        assert loaded.__file__.startswith(sys.argv[1]), loaded.__file__
        getattr(loaded, name)()
        print(path)
print(version("chapelle-netbox-validators"))
"""


def test_the_package_can_be_installed_without_network(netbox: Settings, tmp_path: Path) -> None:
    python = python_of(netbox)
    target = tmp_path / "installed"
    alone = ("--offline", "--no-cache", "--no-deps", "--quiet")
    install = [uv.find_uv_bin(), "pip", "install", *alone, "--target", target, "--python", python]
    subprocess.run([*install, PACKAGE], check=True, env=process.environment())
    environ = {**server_web.environ(Layout.of(netbox)), "PYTHONPATH": str(target)}
    done = subprocess.run(
        [python, "-c", LOAD, str(target)],
        env={**process.environment(), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *paths, version = done.stdout.split()
    assert len(paths) == 6
    assert version == "0.1.0"
