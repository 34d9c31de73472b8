"""A few objects of our own in the test NetBox, for what locks and writes back."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chapelle.netbox.access import Session, access, get_json, require
from chapelle.settings import Settings

FIELDS: dict[str, dict[str, Any]] = {
    "chapelle_lock": {"type": "json", "object_types": ["dcim.location"]},
    "chapelle_run": {"type": "text", "object_types": ["dcim.device"]},
    "chapelle_facts": {"type": "json", "object_types": ["dcim.device"]},
}


class Playground(msgspec.Struct, frozen=True, kw_only=True):
    """Two aisles (slugs) and a device of their own, and sessions to look at them with."""

    settings: Settings
    aisles: tuple[str, str]
    device: int
    reader: Session
    seeder: Session

    def device_now(self) -> dict[str, Any]:
        return get_json(self.reader, f"dcim/devices/{self.device}/")

    def location(self, slug: str) -> dict[str, Any]:
        found: dict[str, Any] = get_json(self.reader, "dcim/locations/", {"slug": slug})
        return found["results"][0]

    def lock(self, slug: str) -> dict[str, Any] | None:
        lock: dict[str, Any] | None = self.location(slug)["custom_fields"]["chapelle_lock"]
        return lock

    def set_lock(self, slug: str, value: Any) -> None:
        change = {"custom_fields": {"chapelle_lock": value}}
        patch(self.seeder, f"dcim/locations/{self.location(slug)['id']}/", change)

    def set_device(self, **change: Any) -> None:
        patch(self.seeder, f"dcim/devices/{self.device}/", change)

    def journal(self) -> list[dict[str, Any]]:
        query = {"assigned_object_type": "dcim.device", "assigned_object_id": self.device}
        found: list[dict[str, Any]] = get_json(self.reader, "extras/journal-entries/", query)[
            "results"
        ]
        return found

    def changes(self) -> int:
        """How many changes the change log holds for the device."""
        query = {"changed_object_type": "dcim.device", "changed_object_id": self.device}
        count: int = get_json(self.reader, "core/object-changes/", query)["count"]
        return count


def patch(session: Session, path: str, change: dict[str, Any]) -> None:
    answer = session.patch(f"{session.granted.url}/api/{path}", json=change)
    require(answer, 200)


@pytest.fixture(scope="session")
def playground(netbox: Settings) -> Iterator[Playground]:
    """Made by the seeder, removed at the end; whether NetBox is seeded makes no difference."""
    seeder = Session(access(netbox, "seed"))
    made: list[str] = []

    def make(path: str, **content: Any) -> int:
        answer = seeder.post(f"{seeder.granted.url}/api/{path}/", json=content)
        require(answer, 201)
        made.append(f"{path}/{answer.json()['id']}/")
        return int(answer.json()["id"])

    for name, content in FIELDS.items():
        if not get_json(seeder, "extras/custom-fields/", {"name": name})["count"]:
            make("extras/custom-fields", name=name, **content)
    site = make("dcim/sites", name="Playground", slug="playground")
    for letter in "ab":
        make("dcim/locations", name=f"Play {letter}", slug=f"play-{letter}", site=site)
    maker = make("dcim/manufacturers", name="Playmaker", slug="playmaker")
    kind = make("dcim/device-types", manufacturer=maker, model="Play", slug="play")
    role = make("dcim/device-roles", name="Play", slug="play")
    device = make(
        "dcim/devices", name="play-1", device_type=kind, role=role, site=site, status="planned"
    )
    reader = Session(access(netbox, "read"))
    yield Playground(
        settings=netbox, aisles=("play-a", "play-b"), device=device, reader=reader, seeder=seeder
    )
    for path in reversed(made):
        require(seeder.delete(f"{seeder.granted.url}/api/{path}"), 204)


@pytest.fixture
def play(playground: Playground) -> Iterator[Playground]:
    """The playground with its device planned and its aisles unlocked."""
    yield playground
    playground.set_device(name="play-1", status="planned", custom_fields={"chapelle_facts": None})
    for slug in playground.aisles:
        playground.set_lock(slug, None)
