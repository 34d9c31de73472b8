"""How long `resilience.check` takes on 300, 3,000 and 30,000 servers, and how much memory.

    .venv/bin/python bench/resilience.py [--servers 300,3000,30000]

So many servers are the reference datacentre so many times over, each copy a site of its own with
its own sources, panels, racks, devices and cables. What resilience does not look at (addresses,
disks, VLANs) is left out. Every size is measured in a process of its own: the time to join the
snapshot and make the graphs, the time of the whole check, in which each element is taken out once
(N-1) and every rule is asked, and the peak memory of all of it, the content included. The exit
status is 1 when a goal is missed.
"""

import argparse
import datetime
import gc
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]
import reference  # noqa: E402 - found by the path above

from chapelle.checks.resilience.check import check  # noqa: E402
from chapelle.checks.resilience.loss import Plant  # noqa: E402
from chapelle.model.datacentre import Datacentre  # noqa: E402
from chapelle.model.records import Content  # noqa: E402
from chapelle.model.references import LISTS, REFERENCES  # noqa: E402
from chapelle.model.snapshot import Snapshot  # noqa: E402

# What each copy of the datacentre has for itself.
OWN = frozenset({
    "sites", "locations", "racks", "devices", "interfaces", "power_panels", "power_feeds",
    "power_ports", "power_outlets", "front_ports", "rear_ports", "cable_bundles", "cables",
})  # fmt: skip
SHARED = ("tags", "tenants", "tenant_groups", "device_types", "device_roles", "manufacturers")
NAMED = frozenset({"sites", "devices"})
APART = 1_000_000  # ids from copy to copy
EACH = 300  # servers of one copy
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

# Servers: seconds and mebibytes at the most.
GOALS: dict[int, tuple[float, float | None]] = {300: (1.0, None), 30_000: (60.0, 2048.0)}


def copies(content: Content, count: int) -> Content:
    """The content so many times over."""
    lists: dict[str, tuple[Any, ...]] = {name: getattr(content, name) for name in SHARED}
    for name in OWN:
        records = getattr(content, name)
        lists[name] = tuple(_moved(name, x, number) for number in range(count) for x in records)
    return Content(**lists)


def _moved(list_name: str, record: Any, number: int) -> Any:
    """A record as copy `number` has it: its own ids and names."""
    if number == 0:
        return record
    shift = APART * number
    changes: dict[str, Any] = {"id": record.id + shift}
    for field, target in REFERENCES[list_name].items():
        value = getattr(record, field)
        if target in OWN and isinstance(value, int):
            changes[field] = value + shift
    for side in ("a_terminations", "b_terminations"):
        if hasattr(record, side):
            changes[side] = tuple(_end(end, shift) for end in getattr(record, side))
    if list_name == "front_ports":
        changes["rear_ports"] = tuple(
            msgspec.structs.replace(mapping, rear_port=mapping.rear_port + shift)
            for mapping in record.rear_ports
        )
    if list_name in NAMED:
        changes["name"] = f"p{number}-{record.name}"
    return msgspec.structs.replace(record, **changes)


def _end(end: Any, shift: int) -> Any:
    own = LISTS.get(end.object_type) in OWN
    return msgspec.structs.replace(end, object_id=end.object_id + shift) if own else end


def work(dc: Datacentre) -> tuple[float, float, int]:
    """What is measured: seconds of the graphs and of the check, and how many elements it took."""
    began = time.perf_counter()
    plant = Plant(dc)
    middle = time.perf_counter()
    verdict = check(plant, NOW)
    assert not verdict.findings, "the reference datacentre bears the loss of anything"
    return middle - began, time.perf_counter() - middle, verdict.elements


def one(servers: int) -> dict[str, float]:
    """Measure one size in this process."""
    content = copies(reference.content(), -(-servers // EACH))
    gc.collect()
    began = time.perf_counter()
    dc = Datacentre(Snapshot(content))
    joined = time.perf_counter() - began
    graphs, checked, elements = work(dc)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counted = sum(1 for device in content.devices if dc.is_server(device))
    return {
        "servers": counted, "elements": elements, "graphs": joined + graphs, "check": checked,
        "memory": peak,
    }  # fmt: skip


def _missed(servers: int, found: dict[str, float]) -> str:
    seconds, memory = GOALS.get(servers, (None, None))
    if seconds is None:
        return ""
    took = found["graphs"] + found["check"]
    missed = took > seconds or (memory is not None and found["memory"] > memory)
    goal = f"under {seconds:g} s" + (f" and {memory / 1024:g} GiB" if memory else "")
    return f"{goal}: {'MISSED' if missed else 'met'}"


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", default="300,3000,30000")
    parser.add_argument("--one", type=int, help="measure this size in this process, as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one)))
        return 0
    titles = ("elements", "graphs", "check", "memory", "a server", "against first")
    print(f"{'servers':>9}" + "".join(f"{title:>14}" for title in titles) + "  goal")
    first: float | None = None
    goals = []
    for servers in (int(text) for text in options.servers.split(",")):
        command = [sys.executable, __file__, "--one", str(servers)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        each = (found["graphs"] + found["check"]) / found["servers"]
        first = first or each
        goals.append(_missed(servers, found))
        print(
            f"{found['servers']:>9,}{found['elements']:>14,}{found['graphs']:>13.2f}s"
            f"{found['check']:>13.2f}s{found['memory']:>10,.0f} MiB{each * 1000:>11.2f} ms"
            f"{each / first:>13.2f}x  {goals[-1]}",
            flush=True,
        )
    return 1 if any("MISSED" in goal for goal in goals) else 0


if __name__ == "__main__":
    sys.exit(main())
