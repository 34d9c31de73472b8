"""Checks of the whole: what only the expanded design can show."""

import ipaddress
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

from chapelle.netbox.expand.context import Context
from chapelle.netbox.expand.desired import Desired, Item, Ref, refs


def check(context: Context) -> None:
    """Note every problem of the expanded design."""
    _references(context)
    _one_cable_a_port(context)
    _unique(context)
    _one_use_of_a_vni(context)
    _prefixes(context)
    _one_feed_carries_a_rack(context)
    _sizing(context)


def _references(context: Context) -> None:
    for item in context.desired:
        for field, value in item.fields.items():
            for ref in refs(value):
                if not context.desired.has(ref):
                    what = ref.kind.replace("_", " ").removesuffix("s")
                    expected = f"{field} of {item.name} to be a {what} of the design"
                    context.problem(item.origin, expected, repr(" ".join(ref.key)))


def _ends(item: Item) -> Iterator[Ref]:
    yield from item.fields["a_terminations"]
    yield from item.fields["b_terminations"]


def _one_cable_a_port(context: Context) -> None:
    used: dict[Ref, Item] = {}
    for item in context.desired.of("cables").values():
        for end in _ends(item):
            other = used.setdefault(end, item)
            if other is not item:
                found = f"two: {item.fields['label']!r} and {other.fields['label']!r}"
                context.problem(item.origin, f"one cable in {' '.join(end.key)}", found)


def _unique(context: Context) -> None:
    """Names, asset data and numbers that must not come twice although their keys differ."""
    for kinds, field in (
        (("devices", "inventory_items"), "serial"),
        (("interfaces",), "mac_address"),
        (("ip_addresses",), "dns_name"),
        (("vlans",), "vid"),
        (("vrfs",), "rd"),
    ):
        seen: dict[object, Item] = {}
        for kind in kinds:
            for item in context.desired.of(kind).values():
                value = item.fields.get(field)
                if not value:
                    continue
                other = seen.setdefault(value, item)
                if other is not item:
                    found = f"{value} of {item.name} and of {other.name}"
                    origin = _serial_origin(context, item) if field == "serial" else item.origin
                    context.problem(origin, f"every {field} once", found)
    names = Counter(item.key[0].lower() for item in context.desired.of("devices").values())
    for item in context.desired.of("devices").values():
        if names[item.key[0].lower()] > 1:
            found = f"{item.name} in two spellings"
            context.problem(item.origin, "device names that differ not only in case", found)


def _one_use_of_a_vni(context: Context) -> None:
    """L2VPNs and VRFs draw their VNIs from one set of numbers: a VNI is the tenant's isolation."""
    seen: dict[int, Item] = {}
    used = [(item.fields["identifier"], item) for item in context.desired.of("l2vpns").values()]
    used += [
        (item.fields["custom_fields"]["l3vni"], item)
        for item in context.desired.of("vrfs").values()
        if "custom_fields" in item.fields
    ]
    for vni, item in used:
        other = seen.setdefault(vni, item)
        if other is not item:
            found = f"{vni} of {item.name} and of {other.name}"
            context.problem(item.origin, "every VNI once", found)


def _serial_origin(context: Context, item: Item) -> str:
    name = item.key[0]
    own = item.kind == "devices" and name in context.design.servers.serials
    return f"servers.yml: serials.{name}" if own else item.origin


def _prefixes(context: Context) -> None:
    """Prefixes of one VRF overlap only when one is a container of the other."""
    by_vrf: dict[str | None, list[tuple[ipaddress.IPv4Network, str, str]]] = defaultdict(list)
    for network in context.networks.values():
        entry = (network.network, network.spec.status, network.origin)
        by_vrf[network.spec.vrf].append(entry)
    for vrf, entries in by_vrf.items():
        entries.sort(key=lambda entry: (entry[0].network_address, entry[0].prefixlen))
        for (low, low_status, _), (high, _, origin) in itertools.pairwise(entries):
            if low.overlaps(high) and low_status != "container":
                expected = f"prefixes of VRF {vrf or '(global)'} that do not overlap"
                context.problem(f"{origin}.prefix", expected, f"{low} and {high}")


def draws(desired: Desired, rack: Ref) -> dict[str, int]:
    """What each PDU of a rack carries when the other side is lost, in watts."""
    inside = {item.key[0] for item in desired.of("devices").values() if item.fields["rack"] == rack}
    carried: dict[str, int] = {}
    for item in desired.of("cables").values():
        ends = {end.kind: end for end in _ends(item)}
        port, outlet = ends.get("power_ports"), ends.get("power_outlets")
        if port is None or outlet is None or outlet.key[0] not in inside:
            continue
        watts = desired.of("power_ports")[port.key].fields.get("maximum_draw", 0)
        carried[outlet.key[0]] = carried.get(outlet.key[0], 0) + watts
    return carried


def _one_feed_carries_a_rack(context: Context) -> None:
    feeds = context.design.power.feeds
    factor = 3**0.5 if feeds.phase == "three-phase" else 1
    limit = int(feeds.voltage * feeds.amperage * factor * feeds.max_utilization / 100)
    if any(p.path.startswith(("outlets", "cords")) for p in context.problems):
        return
    known = context.desired.of("power_ports")
    if any(
        end.kind == "power_ports" and end.key not in known
        for item in context.desired.of("cables").values()
        for end in _ends(item)
    ):
        return
    for place in context.racks.values():
        for pdu, watts in draws(context.desired, place.ref).items():
            if watts > limit:
                expected = f"at most {limit} W on one feed of rack {place.name}"
                context.problem("power.yml: feeds", expected, f"{watts} W on {pdu}")


def _sizing(context: Context) -> None:
    sizing = context.design.site.sizing
    if sizing is None:
        return
    path = "site.yml: sizing"
    _expect(context, f"{path}.aisles", sizing.aisles, len(context.aisles), "aisles")
    for aisle in context.aisles:
        racks = [place for place in context.racks.values() if place.aisle == aisle]
        what = f"racks in aisle {aisle}"
        _expect(context, f"{path}.racks_per_aisle", sizing.racks_per_aisle, len(racks), what)
        roles = Counter(server.role for server in context.servers if server.aisle == aisle)
        for role in sorted({*roles, *sizing.servers_per_aisle}):
            expected = sizing.servers_per_aisle.get(role, 0)
            what = f"{role} servers in aisle {aisle}"
            _expect(context, f"{path}.servers_per_aisle", expected, roles[role], what)
    for place in context.racks.values():
        what = f"units in rack {place.name}"
        found = place.spec.u_height
        _expect(context, f"{path}.units_per_rack", sizing.units_per_rack, found, what)
    disks = [
        item.fields["custom_fields"] for item in context.desired.of("inventory_items").values()
    ]
    raw = sum(disk["disk_size_gb"] for disk in disks if disk["disk_purpose"] == "data") / 1000
    _expect(context, f"{path}.raw_data_tb", sizing.raw_data_tb, round(raw), "TB on data disks")
    usable = raw * sizing.fill_percent / 100 / sizing.copies
    if usable < sizing.data_to_hold_tb:
        wanted = f"room for {sizing.data_to_hold_tb} TB"
        context.problem(f"{path}.data_to_hold_tb", wanted, f"{usable:.0f} TB usable")


def _expect(context: Context, origin: str, expected: int, found: int, what: str) -> None:
    if expected != found:
        context.problem(origin, f"{expected} {what}", f"{found} {what}")
