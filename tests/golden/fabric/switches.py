"""The switches of which there are golden configurations, and how each is made."""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent

sys.path[:0] = [path for path in (str(ROOT / "tests" / "unit"),) if path not in sys.path]
import fabric_datacentre as fabric  # noqa: E402 - found by the path above

from chapelle.fabric import links, render  # noqa: E402
from chapelle.fabric.intent import intent  # noqa: E402
from chapelle.fabric.platforms import PLATFORMS  # noqa: E402
from chapelle.fabric.switch import Switch  # noqa: E402
from tests.golden.fabric import coverage  # noqa: E402

# One of each role and of each kind of pair: leafs of servers, leafs of a tenant that routes itself
# on both and has one machine more on the first, leafs that nobody hangs on, a spine, a border leaf,
# an out-of-band switch.
NAMES = ("leaf-a1-1a", "leaf-a1-1b", "leaf-a1-ta", "leaf-a1-tb", "leaf-a2-ta", "spine-a1",
         "border-a1", "oob-a1-1")  # fmt: skip

# A rollout asks a switch's neighbours to prefer other ways.
DRAINED = ("spine-a1", "leaf-a1-1b", "leaf-a1-tb")


@cache
def switches() -> Mapping[tuple[str, str], Switch]:
    """What every golden switch shall do, by platform and name of the file."""
    found = {}
    for slug in PLATFORMS:
        dc = fabric.datacentre(fabric.on_platform(fabric.tenants(), slug))
        made = {name: intent(dc, dc.device(name)) for name in NAMES}
        found.update({(slug, name): switch for name, switch in made.items()})
        for name in DRAINED:
            drained = msgspec.structs.replace(made[name], drained=True)
            found[slug, f"{name}-drained"] = drained
        asymmetric = _with_an_imported_vlan(made["leaf-a1-1a"])
        found[slug, "leaf-a1-1a-importing"] = asymmetric
    return found


def _with_an_imported_vlan(switch: Switch) -> Switch:
    """A VLAN that imports what others export too, and exports its own only."""
    first, *others = switch.vlans
    assert first.overlay is not None
    imported = ("4200000000:10101", "4200000000:10199")
    overlay = msgspec.structs.replace(first.overlay, import_targets=imported)
    vlan = msgspec.structs.replace(first, overlay=overlay)
    return msgspec.structs.replace(switch, vlans=(vlan, *others))


def rendered() -> tuple[dict[Path, str], set[str]]:
    """The text of every golden file, and the branches of templates that none of them takes."""
    noted = coverage.environment()
    files: dict[Path, str] = {}
    for (slug, name), switch in switches().items():
        files[HERE / slug / f"{name}.conf"] = render.render(switch)
        noted.get_template(f"{slug}/switch.j2").render(render.context(switch))
        if slug == "frr":
            text = "".join(f"# {f['path']}\n{f['content']}\n" for f in links.links(switch))
            files[HERE / slug / f"{name}.links"] = text
    return files, noted.known - noted.taken


def covering(slug: str) -> dict[str, Switch]:
    """A few of a platform's golden switches that together take every branch of its templates."""
    taken: dict[str, set[str]] = {}
    for (platform, name), switch in switches().items():
        if platform == slug:
            noted = coverage.environment()
            noted.get_template(f"{slug}/switch.j2").render(render.context(switch))
            taken[name] = noted.taken
    missing = set().union(*taken.values())
    chosen: dict[str, Switch] = {}
    while missing:
        best = max(taken, key=lambda name: len(taken[name] & missing))
        chosen[best] = switches()[slug, best]
        missing -= taken[best]
    return chosen


def present() -> set[Path]:
    """The golden files that are in git's tree."""
    return {path for kind in ("conf", "links") for path in HERE.glob(f"*/*.{kind}")}
