"""How long it takes to render the configurations of 50, 500 and 5,000 switches, on each platform.

    .venv/bin/python bench/render.py [--switches 50,500,5000] [--platforms frr,arista_eos]

A datacentre of so many switches is the reference datacentre so many times over, with tenants in it.
Every copy has its own devices, cables, addresses and VLANs; all share the tenants, their VRFs, and
the prefix of loopbacks. The pipeline is everything from the joined snapshot to text: intent and
templates, one switch after the other in one process. The first switch pays for the indexes of the
snapshot and for compiling the templates, and is part of the time.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]
import fabric_datacentre as fabric  # noqa: E402 - found by the path above

from chapelle.fabric import render  # noqa: E402
from chapelle.fabric.intent import intent  # noqa: E402
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre  # noqa: E402
from chapelle.model.records import Content  # noqa: E402
from chapelle.model.references import GENERIC, LISTS, REFERENCES  # noqa: E402
from chapelle.model.snapshot import Snapshot  # noqa: E402

# What each copy of the datacentre has for itself; the rest is shared.
OWN = frozenset({
    "locations", "racks", "devices", "interfaces", "cables", "vlans", "prefixes", "ip_addresses",
    "l2vpns", "l2vpn_terminations",
})  # fmt: skip
# Neither switches nor their intent look at these.
LEFT_OUT = ("power_panels", "power_feeds", "power_ports", "power_outlets", "inventory_items")
APART = 1_000_000  # ids from copy to copy


def copies(content: Content, count: int) -> Content:
    """The content so many times over."""
    lists: dict[str, tuple[Any, ...]] = {}
    for name in Content.__struct_fields__:
        records = () if name in LEFT_OUT else getattr(content, name)
        if name in OWN:
            lists[name] = tuple(
                _moved(name, record, number)
                for number in range(count)
                for record in records
                if number == 0 or name != "prefixes" or record.vrf is not None
            )
        else:
            lists[name] = records
    return Content(**lists)


def _moved(list_name: str, record: Any, number: int) -> Any:
    """A record as copy `number` has it: its own ids and names."""
    if number == 0:
        return record
    shift = APART * number

    def new(target: str, value: Any) -> Any:
        return value + shift if target in OWN and value is not None else value

    changes: dict[str, Any] = {"id": record.id + shift}
    for field, target in REFERENCES[list_name].items():
        value = getattr(record, field)
        if isinstance(value, tuple):
            changes[field] = tuple(new(target, item) for item in value)
        else:
            changes[field] = new(target, value)
    for type_field, id_field in GENERIC:
        if pointed := LISTS.get(getattr(record, type_field, None) or ""):
            changes[id_field] = new(pointed, getattr(record, id_field))
    for side in ("a_terminations", "b_terminations"):
        if hasattr(record, side):
            changes[side] = tuple(
                msgspec.structs.replace(
                    end, object_id=new(LISTS.get(end.object_type, ""), end.object_id)
                )
                for end in getattr(record, side)
            )
    if list_name == "devices":
        changes["name"] = f"p{number}-{record.name}"
    for field in ("prefix", "address"):
        if hasattr(record, field) and record.vrf is not None:
            changes[field] = _elsewhere(getattr(record, field), number)
    return msgspec.structs.replace(record, **changes)


def _elsewhere(text: str, number: int) -> str:
    """The same network of another copy: VRFs are shared, networks are not."""
    first, separator, rest = text.partition("." if "." in text else ":")
    return f"{int(first) + number if separator == '.' else first}{separator}" + (
        rest if separator == "." else rest.replace("db8:", f"db8:{number}:", 1)
    )


def measure(content: Content, count: int) -> tuple[int, float, float]:
    """Render `count` switches: how many there were, and the seconds of intent and of templates."""
    dc = Datacentre(Snapshot(content))
    wanted = [d for d in dc.content.devices if dc.role_of(d) in SWITCH_ROLES][:count]
    render.environment.cache_clear()
    began = time.perf_counter()
    switches = [intent(dc, device) for device in wanted]
    middle = time.perf_counter()
    size = sum(len(render.render(switch)) for switch in switches)
    assert size > 0
    return len(wanted), middle - began, time.perf_counter() - middle


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", default="50,500,5000")
    parser.add_argument("--platforms", default="frr,arista_eos,cisco_nxos")
    options = parser.parse_args()
    titles = ("switches", "intent", "templates", "a switch", "a second")
    print("platform    " + "".join(f"{title:>11}" for title in titles))
    for slug in options.platforms.split(","):
        one = fabric.on_platform(fabric.tenants(), slug)
        for count in (int(text) for text in options.switches.split(",")):
            made, first, second = measure(copies(one, -(-count // 50)), count)
            each = (first + second) / made
            print(
                f"{slug:<12}{made:>11,}{first:>10.2f}s{second:>10.2f}s"
                f"{each * 1000:>8.2f} ms{1 / each:>11,.0f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
