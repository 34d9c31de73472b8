"""Rules about links, leaf pairs, and what everything hangs on."""

from collections.abc import Iterator, Sequence

from chapelle.checks.resilience.loss import NETWORK
from chapelle.checks.resilience.subject import Subject
from chapelle.checks.rules.scene import Fault
from chapelle.model import records as r
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import Element
from chapelle.model.status import DOWN, OUT_OF_SERVICE

LINKS = 2
SHOWN = 4


def leaf_diversity(subject: Subject) -> Iterator[Fault]:
    """A server has links to two leafs that stand in for each other."""
    network, dc = subject.plant.network, subject.dc
    for device in dc.content.devices:
        own = network.of_device.get(device.id, ())
        if device.status in OUT_OF_SERVICE or device.id in network.switches:
            continue
        if not own and not dc.is_server(device):
            continue
        ends = {network.links[number].other(device.id) for number in own} & network.switches
        leafs = [dc.devices[end] for end in ends if dc.devices[end].status not in DOWN]
        if not any(partner.id in ends for leaf in leafs for partner in dc.partners(leaf)):
            names = ", ".join(sorted(leaf.name or "" for leaf in leafs))
            yield Fault(
                objects=(dc.ref(device),),
                expected=f"{LINKS} links in service to the two leafs of a pair",
                found=names or "no link in service",
                remedy="cable the second port to the other leaf of the pair, or correct NetBox",
            )


def pair_power(subject: Subject) -> Iterator[Fault]:
    """Switches that stand in for each other do not hang on one element of power."""
    power = subject.plant.power
    for group in _groups(subject):
        cords = [
            port
            for switch in group
            if switch.id in power.devices
            for port in subject.plugged(power.devices[switch.id])
        ]
        powered = {power.owner[port].id for port in cords}
        if len(powered) < LINKS:
            continue
        common = frozenset.intersection(*(subject.above.of(port) for port in cords))
        if shared := subject.above.elements(common):
            yield Fault(
                objects=(shared[-1].ref, *(subject.dc.ref(switch) for switch in group)),
                expected=f"{_names(group)} on different sides of the power",
                found=f"all their cords hang on {shared[-1].kind} {shared[-1].name}",
                remedy="move a cord of one of them to the other side",
            )


def pair_rack(subject: Subject) -> Iterator[Fault]:
    """Switches that stand in for each other do not stand in one rack."""
    for group in _groups(subject):
        racks = {switch.rack for switch in group}
        rack = subject.dc.racks.get(next(iter(racks)) or 0)
        if len(racks) == 1 and rack:
            yield Fault(
                objects=(
                    ObjectRef(endpoint="dcim/racks", id=rack.id, name=rack.name),
                    *(subject.dc.ref(switch) for switch in group),
                ),
                expected=f"{_names(group)} in different racks",
                found=f"all in {rack.name}",
                remedy="move one of them, or have the finding waived until a day",
            )


def single_points(subject: Subject) -> Iterator[Fault]:
    """Nothing that can be taken out takes a device with it.

    Told once: devices that another rule names for the very reason are left out, and of elements in
    one line, whose loss does the same, the lowest is named.
    """
    known = subject.explained
    groups: dict[frozenset[int], list[Element]] = {}
    reasons: dict[frozenset[int], str] = {}
    for outcome in subject.sweep.harmful:
        lost = [item for item in outcome.lost if (item.id, item.reason == NETWORK) not in known]
        if lost:
            key = frozenset(item.id for item in lost)
            groups.setdefault(key, []).append(outcome.elements[0])
            reasons[key] = ", ".join(sorted({item.reason for item in lost}))
    for key, elements in groups.items():
        lowest, above = elements[-1], elements[:-1]
        more = f"; so does that of {_told(above)}" if above else ""
        names = sorted(subject.ref(number).name for number in key)
        yield Fault(
            objects=(lowest.ref, *(subject.ref(number) for number in sorted(key)[:SHOWN])),
            expected=f"{lowest.kind} {lowest.name} can be taken out without harm",
            found=f"its loss takes {_few(names)} ({reasons[key]}){more}",
            remedy="give them a way that does not hang on it",
        )


def _groups(subject: Subject) -> Iterator[tuple[r.Device, ...]]:
    """Leaf pairs, then all border leafs and all spines of each site; those of two or more."""
    dc = subject.dc
    seen: set[int] = set()
    for device in dc.devices_by_name.values():
        if device.id in seen or device.status in OUT_OF_SERVICE or dc.role_of(device) == "border":
            continue
        if partners := dc.partners(device):
            pair = (device, *partners)
            seen |= {switch.id for switch in pair}
            yield tuple(sorted(pair, key=lambda switch: switch.name or ""))
    for role in ("border", "spine"):
        sites: dict[int, list[r.Device]] = {}
        for device in dc.devices_by_name.values():
            if dc.role_of(device) == role and device.status not in OUT_OF_SERVICE:
                sites.setdefault(device.site, []).append(device)
        for switches in sites.values():
            if len(switches) >= LINKS:
                yield tuple(sorted(switches, key=lambda switch: switch.name or ""))


def _names(switches: Sequence[r.Device]) -> str:
    return " and ".join(switch.name or "" for switch in switches)


def _told(elements: Sequence[Element]) -> str:
    return ", ".join(f"{element.kind} {element.name}" for element in elements)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
