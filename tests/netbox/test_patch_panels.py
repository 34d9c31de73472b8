"""Patch panels, trunks and bundles of the real NetBox: read, and followed to the far end."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chapelle.model.datacentre import Datacentre
from chapelle.netbox import snapshot
from chapelle.netbox.access import Session, access, get_json, require
from chapelle.settings import Settings

pytestmark = pytest.mark.netbox


class Maker:
    """Makes objects as an operator would, and removes them in the other order."""

    def __init__(self, settings: Settings) -> None:
        self.session = Session(access(settings, "seed"))
        self.made: list[str] = []

    def __call__(self, path: str, **content: Any) -> int:
        answer = self.session.post(f"{self.session.granted.url}/api/{path}/", json=content)
        require(answer, 201)
        self.made.append(f"{path}/{answer.json()['id']}/")
        return int(answer.json()["id"])

    def cable(self, a: tuple[str, int], b: tuple[str, int], **more: Any) -> int:
        ends = {
            f"{side}_terminations": [{"object_type": f"dcim.{end[0]}", "object_id": end[1]}]
            for side, end in (("a", a), ("b", b))
        }
        return self("dcim/cables", status="connected", **ends, **more)

    def undo(self) -> None:
        for path in reversed(self.made):
            require(self.session.delete(f"{self.session.granted.url}/api/{path}"), 204)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: ports by name, cables by name, the bundle and the panels."""

    ports: dict[str, int]
    cables: dict[str, int]
    panels: dict[str, int]
    bundle: int


@pytest.fixture(scope="module")
def place(netbox: Settings) -> Iterator[Place]:
    """Two servers and two switches on two panels, with a trunk of two positions between these."""
    make = Maker(netbox)
    try:
        yield _made(make)
    finally:
        make.undo()


def _made(make: Maker) -> Place:
    site = make("dcim/sites", name="Patch", slug="patch")
    maker = make("dcim/manufacturers", name="Patchmaker", slug="patchmaker")
    role = make("dcim/device-roles", name="Patch", slug="patch")
    kind = make("dcim/device-types", manufacturer=maker, model="Patch", slug="patch")
    common = {"site": site, "role": role, "device_type": kind, "status": "active"}
    devices = {
        name: make("dcim/devices", name=name, **common)
        for name in ("server-1", "server-2", "switch-1", "switch-2", "panel-1", "panel-2")
    }
    ports = {
        name: make("dcim/interfaces", device=devices[name], name="eth0", type="1000base-t")
        for name in ("server-1", "server-2", "switch-1", "switch-2")
    }
    rears = {
        name: make("dcim/rear-ports", device=devices[name], name="rear", type="mpo", positions=2)
        for name in ("panel-1", "panel-2")
    }
    # The second panel's fronts are the other way round: position decides, and not the name.
    fronts = {
        (name, number): make(
            "dcim/front-ports", device=devices[name], name=f"front-{number}", type="lc",
            rear_ports=[{
                "position": 1, "rear_port": rears[name],
                "rear_port_position": number if name == "panel-1" else 3 - number,
            }],
        )
        for name in rears for number in (1, 2)
    }  # fmt: skip
    bundle = make("dcim/cable-bundles", name="trunk-7")
    cables = {"trunk": make.cable(
        ("rearport", rears["panel-1"]), ("rearport", rears["panel-2"]), bundle=bundle
    )}  # fmt: skip
    for number in (1, 2):
        for name, panel in ((f"server-{number}", "panel-1"), (f"switch-{number}", "panel-2")):
            cables[name] = make.cable(
                ("interface", ports[name]), ("frontport", fronts[panel, number])
            )
    panels = {name: devices[name] for name in rears}
    return Place(ports=ports, cables=cables, panels=panels, bundle=bundle)


def test_a_port_reaches_through_panels_what_its_position_leads_to(
    place: Place, netbox: Settings
) -> None:
    dc = Datacentre(snapshot.take(netbox, full=True).snapshot)
    for server, switch in (("server-1", "switch-2"), ("server-2", "switch-1")):
        near, far = dc.interfaces[place.ports[server]], dc.interfaces[place.ports[switch]]
        assert dc.peer_interface(near) == far
        assert dc.peer_interface(far) == near
        (path,) = dc.paths.far("dcim.interface", near.cable, near.id)
        assert set(path.cables) == {place.cables[n] for n in (server, "trunk", switch)}
        assert set(path.panels) == set(place.panels.values())
    assert dc.cables[place.cables["trunk"]].bundle == place.bundle
    assert [b.name for b in dc.content.cable_bundles if b.id == place.bundle] == ["trunk-7"]


def test_netbox_itself_says_the_same(place: Place, netbox: Settings) -> None:
    session = Session(access(netbox, "read"))
    for server, switch in (("server-1", "switch-2"), ("server-2", "switch-1")):
        found = get_json(session, f"dcim/interfaces/{place.ports[server]}/")
        assert [end["id"] for end in found["connected_endpoints"]] == [place.ports[switch]]
