"""Compares and changes all leafs of the lab by this project, by a Netmiko loop, and by nornir.

    .venv/bin/python bench/push.py [--aisles 1,2,3,4] [--rounds 3]

All leafs, border leafs and spines of these aisles are FRR nodes, brought up by our own push from
nothing. Then all take turns, on the same nodes, and the best time of each counts:

- diff: read every switch, and compare it with what it should be;
- push: change one line on every leaf, and save it.

A push of ours is a transaction a switch: the diff is the approved one, a checkpoint is kept, a
revert is armed on the switch, post-checks come over a new session and hold for a while, and pairs
and spines are never away together. The peers send lines and save. What fails there is counted and
named; nothing undoes it. NetBox is not needed. The lab has a state directory of its own, which is
removed at the end.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "lab"), str(ROOT / "tests" / "unit")]

import environment  # noqa: E402
import reference  # noqa: E402
from fabric_site import Site, outcomes  # noqa: E402

from chapelle import lab  # noqa: E402
from chapelle.errors import ChapelleError  # noqa: E402
from chapelle.lab.switch import OPERATOR  # noqa: E402
from chapelle.model.datacentre import Datacentre  # noqa: E402
from chapelle.run.fabric import looking  # noqa: E402
from chapelle.run.fabric.order import Limits  # noqa: E402
from chapelle.settings import Settings  # noqa: E402

ROLES = ("leaf", "tenant-leaf", "border", "spine")
PEERS = {"Netmiko, one by one": 0, "nornir, 16 workers": 16, "nornir, 48 workers": 48}
OURS = "chapelle"
SECTION = "interface lo"
LIMITS = Limits(drain=0.5)


def main() -> None:
    """Measure and print one line for each, and the ratio."""
    parser = argparse.ArgumentParser(description="diff and push against Netmiko and nornir")
    parser.add_argument("--aisles", default="1,2,3,4", help="the aisles whose switches take part")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    wanted = parser.parse_args()
    # Whoever ends us early, such as timeout(1), wants 38 switches to end as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    programs = environment.programs(Settings.load(), say)
    with tempfile.TemporaryDirectory(prefix="chapelle-bench-") as folder:
        settings = Settings.load({**os.environ, "CHAPELLE_STATE": folder})
        try:
            site = bring_up(settings, wanted.aisles.split(","))
            for action in ("diff", "push"):
                measure(site, programs / "python", action, wanted.rounds)
        finally:
            lab.down(settings)


def bring_up(settings: Settings, aisles: Sequence[str]) -> Site:
    """The lab's switches, configured from nothing."""
    dc = reference.datacentre()
    names = [
        device.name or ""
        for device in dc.devices.values()
        if dc.role_of(device) in ROLES and aisle_of(dc, device) in aisles
    ]
    began = time.monotonic()
    site = Site(settings, dc=dc, names=sorted(names))
    site.forks = looking.forks_of(None)
    say(f"{len(names)} switches started in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    require(site.push(everything(site), limits=LIMITS))
    say(f"configured from nothing by {OURS} in {time.monotonic() - began:.0f} s")
    return site


def aisle_of(dc: Datacentre, device: Any) -> str:
    """The number of the aisle that a device stands in."""
    return dc.locations[device.location].slug.removeprefix("aisle-")


def everything(site: Site) -> dict[str, str]:
    """What each switch is to be."""
    return {name: gear.sections for name, gear in site.gears.items()}


def require(result: Any) -> None:
    """See that a run of ours went through."""
    bad = {name: each for name, each in outcomes(result).items() if each != "applied"}
    if bad:
        raise ChapelleError("A push of ours failed.", found=f"{bad}: {result.stopped}")


def measure(site: Site, python: Path, action: str, rounds: int) -> None:
    """Let all take turns at one thing, and print the figures."""
    leafs = [name for name in site.gears if "leaf" in name]
    times: dict[str, list[float]] = {name: [] for name in (OURS, *PEERS)}
    failures: dict[str, int] = dict.fromkeys(PEERS, 0)
    for number in range(rounds):
        words = f"round {number}"
        times[OURS].append(ours(site, leafs, action, words))
        for name, workers in PEERS.items():
            line = f"description {name} {words}"
            order = {"action": action, "workers": workers, "lines": [SECTION, line]}
            result = peer(site, python, leafs, order)
            times[name].append(result["seconds"])
            failures[name] += len(result["failed"])
            for switch, error in list(result["failed"].items())[:2]:
                say(f"  {name}: {switch}: {error}")
        if action == "push":  # what the peers left is overwritten
            restore(site, leafs)
    say(f"{action} of {len(leafs)} leafs, best of {rounds}:")
    best = min(times[OURS])
    for name, seconds in times.items():
        lost = f", {failures[name]} of {rounds * len(leafs)} failed" if name in failures else ""
        ratio = f"   ours takes {best / min(seconds):.2f} of that" if name != OURS else ""
        spread = statistics.median(seconds)
        say(f"  {name:<22}{min(seconds):8.1f} s (median {spread:.1f}){ratio}{lost}")


def ours(site: Site, leafs: Sequence[str], action: str, words: str) -> float:
    """Seconds that ours takes."""
    began = time.monotonic()
    if action == "diff":
        site.looks({name: site.gears[name].sections for name in leafs})
    else:
        require(site.push(described(site, leafs, words), limits=LIMITS))
    return time.monotonic() - began


def restore(site: Site, leafs: Sequence[str]) -> None:
    """Bring the leafs back to what they should be."""
    wanted = {name: site.gears[name].sections for name in leafs}
    require(site.push(wanted, drift="overwrite", limits=LIMITS))


def described(site: Site, leafs: Sequence[str], words: str) -> dict[str, str]:
    """Sections of the leafs with another description of one interface."""
    return {name: site.with_line(name, f"description {words}", SECTION) for name in leafs}


def peer(site: Site, python: Path, leafs: Sequence[str], what: dict[str, Any]) -> dict[str, Any]:
    """Let a peer do it, in the lab's namespace; seconds, and which switches failed and why."""
    target = site.gears[leafs[0]].target
    order = {
        **what,
        "user": OPERATOR,
        "key": target.key,
        "known_hosts": target.known_hosts,
        "switches": {
            name: {"address": site.gears[name].target.address, "wanted": site.gears[name].sections}
            for name in leafs
        },
    }
    command = ["nsenter", f"--net={target.namespace}", str(python), "bench/push/peers.py"]
    done = subprocess.run(
        command, cwd=ROOT, input=json.dumps(order), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ChapelleError("A peer ended with an error.", found=done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ChapelleError as error:
        sys.exit(f"error: {error}")
