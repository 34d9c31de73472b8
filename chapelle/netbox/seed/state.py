"""What NetBox has, as far as seeding has read it: ids by natural key, and what is not ours."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from chapelle.netbox.expand.desired import Desired, Item, Key, Ref
from chapelle.netbox.seed.client import Client
from chapelle.netbox.seed.kinds import CONTENT_TYPES, KINDS, Json, Kind


class State:
    """NetBox's records by kind and natural key."""

    def __init__(self, client: Client, desired: Desired) -> None:
        self.client = client
        self.desired = desired
        self.ids: dict[Ref, int] = {}
        self.records: dict[str, dict[Key, Json]] = {}
        self.others: dict[str, list[Json]] = {}
        self.ends: dict[int, list[Ref]] = defaultdict(list)

    @property
    def site_known(self) -> bool:
        """Whether NetBox has the design's site, so that there can be something at it."""
        return any(self.ids.get(Ref("sites", key), 0) > 0 for key in self.desired.of("sites"))

    def fields(self, name: str) -> list[str]:
        """The fields of a kind that seeding reads."""
        kind = KINDS[name]
        fields = {field for item in self.desired.of(name).values() for field in item.fields}
        fields -= {"a_terminations", "b_terminations"}
        if kind.tagged:
            fields.add("tags")
        if kind.cabled:
            fields.add("cable")
        return ["id", *sorted(fields | set(kind.key_fields))]

    def query(self, kind: Kind) -> dict[str, Any] | None:
        """Which part of a list concerns the design; None when there can be nothing."""
        if kind.scope == "site":
            sites = [key[0] for key in self.desired.of("sites")]
            return {"site": sites} if self.site_known else None
        if kind.scope == "types":
            types = [Ref("device_types", key) for key in self.desired.of("device_types")]
            known = [self.ids[ref] for ref in types if self.ids.get(ref, 0) > 0]
            return {"device_type_id": known} if known else None
        if kind.scope == "prefixes":
            prefixes = {item.fields["prefix"] for item in self.desired.of("prefixes").values()}
            return {"parent": sorted(prefixes)}
        return {}

    def fetch(self, name: str) -> list[Json]:
        """Read a kind's records. Touches nothing of the state, so it may run in a thread."""
        kind = KINDS[name]
        query = self.query(kind)
        if query is None:
            return []
        return self.client.read(kind.endpoint, self.fields(name), query)

    def take(self, name: str, records: Iterable[Json]) -> None:
        """Take what `fetch` read into the state. Of two with one key the lower id counts."""
        kind = KINDS[name]
        if kind.cabled:
            for ends in self.ends.values():
                ends[:] = [end for end in ends if end.kind != name]
        known: dict[Key, Json] = {}
        others: list[Json] = []
        wanted = self.desired.of(name)
        for record in records:
            if name == "cables":
                record["ends"] = _cable_key(self.ends.get(record["id"], []))
            key = kind.key(record)
            if key in wanted and key not in known:
                known[key] = record
                self.ids[Ref(name, key)] = record["id"]
            else:
                others.append(record)
            if kind.cabled and record["cable"]:
                self.ends[record["cable"]["id"]].append(Ref(name, key))
        self.records[name] = known
        self.others[name] = others

    def cable_of(self, end: Ref) -> Json | None:
        """The cable that is plugged into a port of the design, as the port's record tells it."""
        record = self.records.get(end.kind, {}).get(end.key)
        cable: Json | None = record["cable"] if record else None
        return cable

    def occupied(self, item: Item) -> str | None:
        """Why a cable that NetBox does not have yet cannot be plugged in, or None."""
        for end in [*item.fields["a_terminations"], *item.fields["b_terminations"]]:
            if end.kind in CONTENT_TYPES and (cable := self.cable_of(end)):
                return f"{' '.join(end.key)} has cable {cable['id']} ({cable['display']}) in it"
        return None

    def stale_and_foreign(self, name: str, tag: str) -> tuple[list[str], int]:
        """Names of objects that carry our tag but are not in the design; the number of others."""
        stale: list[str] = []
        foreign = 0
        if name == "device_addresses":  # the same list as devices
            return stale, foreign
        for record in self.others.get(name, []):
            if any(own["slug"] == tag for own in record.get("tags") or []):
                stale.append(" ".join(KINDS[name].key(record)) or f"#{record['id']}")
            else:
                foreign += 1
        return stale, foreign


def _cable_key(ends: list[Ref]) -> Key:
    """A cable's key; empty when it ends at something that the design does not know."""
    if len(ends) != 2:
        return ()
    low, high = sorted(ends, key=lambda ref: (ref.kind, ref.key))
    return (low.kind, *low.key, high.kind, *high.key)
