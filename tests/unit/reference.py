"""A datacentre as a snapshot would show it, made from its design without a NetBox."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content, Record
from chapelle.model.references import MODELS, record_type
from chapelle.model.snapshot import OPERATIONAL_CUSTOM_FIELDS, Snapshot
from chapelle.netbox import design, expand
from chapelle.netbox.expand import Desired, Ref

DESIGN = Path(__file__).parents[2] / "inventory" / "design"


@cache
def content() -> Content:
    return content_of(expand.expand(design.load(DESIGN)))


def content_of(desired: Desired) -> Content:
    """What a snapshot would show of a NetBox that has nothing but this."""
    ids = {
        Ref(kind, key): number
        for kind in desired.items
        for number, key in enumerate(desired.of(kind), start=1)
    }
    plain = {
        kind: {ids[item.ref]: _plain(item.fields, ids) for item in desired.of(kind).values()}
        for kind in desired.items
    }
    _join(desired, plain, ids)
    return Content(
        **{
            name: tuple(_record(name, i, f) for i, f in plain[name].items())
            for name in MODELS
            if name in plain
        }
    )


def datacentre() -> Datacentre:
    return Datacentre(Snapshot(content()))


def _plain(fields: dict[str, Any], ids: dict[Ref, int]) -> dict[str, Any]:
    def value_of(value: Any) -> Any:
        if isinstance(value, Ref):
            return ids[value]
        return [value_of(item) for item in value] if isinstance(value, list) else value

    return {name: value_of(value) for name, value in fields.items()}


def _join(desired: Desired, plain: dict[str, Any], ids: dict[Ref, int]) -> None:
    """What NetBox itself enters: the far side of cables, and of addresses chosen for a device."""
    for item in desired.of("device_addresses").values():
        plain["devices"][ids[Ref("devices", item.key)]].update(_plain(item.fields, ids))
    for item in desired.of("cables").values():
        number = ids[item.ref]
        for side in ("a_terminations", "b_terminations"):
            ends = []
            for ref in item.fields[side]:
                plain[ref.kind][ids[ref]] |= {"cable": number, "cable_end": side[0].upper()}
                ends.append({"object_type": MODELS[ref.kind], "object_id": ids[ref]})
            plain["cables"][number][side] = ends


def _record(list_name: str, number: int, fields: dict[str, Any]) -> Record:
    record = record_type(list_name)
    # NetBox's own default, which the design leaves to it.
    fields = {"status": "active", **fields} if list_name == "inventory_items" else fields
    known = {name: fields[name] for name in record.__struct_fields__ if name in fields}
    if "tags" in record.__struct_fields__:
        known["tags"] = ("chapelle",)
    if "custom_fields" in known:
        known["custom_fields"] = {
            name: value
            for name, value in known["custom_fields"].items()
            if name not in OPERATIONAL_CUSTOM_FIELDS
        }
    return msgspec.convert({"id": number, **known}, record)
