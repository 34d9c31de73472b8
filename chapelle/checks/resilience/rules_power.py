"""Rules about cords, power supplies and loads.

Source of what is asked: Uptime Institute, Tier Standard: Topology, Tier III: all equipment has two
cords, any element of a path can be taken out, and enough capacity remains.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from chapelle.checks.resilience.power import Device
from chapelle.checks.resilience.subject import Subject
from chapelle.checks.rules.scene import Fault
from chapelle.model.finding import ObjectRef
from chapelle.model.resilience import UPS, Element, Outcome
from chapelle.model.status import OUT_OF_SERVICE

CORDS = 2


def stated(subject: Subject) -> Iterator[Fault]:
    """Custom fields hold what they should."""
    for mistake in subject.plant.stated.mistakes:
        yield Fault(
            objects=(mistake.ref,),
            expected=f"custom field {mistake.field} as docs/resilience.md says",
            found=mistake.found,
            remedy="correct the field in NetBox, or in the design it is seeded from",
        )


def loops(subject: Subject) -> Iterator[Fault]:
    """Power comes from a source, and not from itself."""
    for ref in dict.fromkeys(subject.plant.power.looped):
        yield Fault(
            objects=(ref,),
            expected="power that comes down from a source",
            found="a loop: it is fed by what it feeds",
            remedy="correct the cables, or fed_by in the site's power_sources",
        )


def unknown_sources(subject: Subject) -> Iterator[Fault]:
    """A panel hangs on a source that its site states, as soon as it states one."""
    for panel in subject.dc.content.power_panels:
        known = subject.plant.stated.of(panel.site).sources
        if known and panel.custom_fields.get(UPS) not in known:
            yield Fault(
                objects=(ObjectRef(endpoint="dcim/power-panels", id=panel.id, name=panel.name),),
                expected=f"custom field {UPS}: one of {', '.join(sorted(known))}",
                found=str(panel.custom_fields.get(UPS) or "nothing"),
                remedy="enter what the panel hangs on, or add it to the site's power_sources",
            )
    for site, sources in subject.plant.stated.sources.items():
        for name, source in sources.sources.items():
            for above in source.fed_by:
                if above not in sources.sources:
                    yield Fault(
                        objects=(ObjectRef(endpoint="dcim/sites", id=site, name=name),),
                        expected=f"fed_by: one of {', '.join(sorted(sources.sources))}",
                        found=above,
                        remedy="correct the site's power_sources",
                    )


def dangling_cords(subject: Subject) -> Iterator[Fault]:
    """Every cord is plugged in, and so is every PDU's inlet."""
    power = subject.plant.power
    ports = {device.id: list(device.ports) for device in power.devices.values()}
    for number, inlets in power.of_device.items():
        device = subject.dc.devices.get(number)
        if device and device.status not in OUT_OF_SERVICE:
            ports[number] = inlets
    for number, nodes in ports.items():
        loose = [subject.port(node) for node in nodes if not subject.parents(node)]
        if loose:
            yield Fault(
                objects=(subject.ref(number),),
                expected="a connected cable from each power port to an outlet or a feed",
                found=f"none from {', '.join(loose)}",
                remedy="plug the cord, then enter the cable in NetBox",
            )


def single_cords(subject: Subject) -> Iterator[Fault]:
    """A device has two cords, or one to a transfer switch that has two diverse inlets."""
    for device in subject.plant.power.devices.values():
        plugged = subject.plugged(device)
        if len(device.ports) >= CORDS or not plugged:
            continue
        above = subject.above.of(plugged[0])
        single = [e for e in subject.above.elements(above) if e.kind != "pdu"]
        if single:
            yield Fault(
                objects=(subject.ref(device.id), single[-1].ref),
                expected="two power supplies, or a transfer switch before the one",
                found=f"{subject.port(plugged[0])} alone, behind {_names(single)}",
                remedy="put it behind a transfer switch, or have the finding waived until a day",
            )


def cord_diversity(subject: Subject) -> Iterator[Fault]:
    """The cords of a device share nothing on their way up, to the last source."""
    for device in subject.plant.power.devices.values():
        plugged = subject.plugged(device)
        if len(plugged) < CORDS:
            continue
        common = frozenset.intersection(*(subject.above.of(port) for port in plugged))
        if shared := subject.above.elements(common):
            ports = " and ".join(subject.port(port) for port in plugged)
            yield Fault(
                objects=(subject.ref(device.id), shared[-1].ref),
                expected="cords to different PDUs, feeds, panels and sources",
                found=f"{ports} share {_names(shared)}",
                remedy="move one cord to the other side",
            )


def swapped_cords(subject: Subject) -> Iterator[Fault]:
    """The first cord goes to the primary feed, so that people who see a label pull the right one.

    Where all first cords of a PDU end at a redundant feed, it is the PDUs that are swapped.
    """
    firsts: dict[int, list[tuple[Device, bool]]] = defaultdict(list)
    for device in subject.plant.power.devices.values():
        plugged = sorted(subject.plugged(device), key=lambda port: _order(subject.port(port)))
        types = [subject.feed_type(port) for port in plugged]
        if len(plugged) == CORDS and sorted(types) == ["primary", "redundant"]:
            pdu = subject.pdu(plugged[0])
            firsts[pdu].append((device, types[0] == "redundant"))
    for pdu, devices in firsts.items():
        wrong = [device for device, swapped in devices if swapped]
        if len(wrong) == len(devices) > 1 and pdu:
            yield Fault(
                objects=(subject.ref(pdu),),
                expected="the PDU of the first cords on the primary feed",
                found=f"on the redundant one, with {len(wrong)} devices",
                remedy="exchange the two PDUs' feeds in the rack, or correct NetBox",
            )
            continue
        for device in wrong:
            yield Fault(
                objects=(subject.ref(device.id),),
                expected="the first cord on the primary feed",
                found="on the redundant one: the cords are exchanged",
                remedy="exchange the cords, or correct NetBox",
            )


def supplies(subject: Subject) -> Iterator[Fault]:
    """The power supplies on one side can carry the device: 1+1, and not 2+0."""
    for device in subject.plant.power.devices.values():
        sides: Counter[frozenset[int]] = Counter()
        unlimited: set[frozenset[int]] = set()
        for port, capacity in zip(device.ports, device.capacities, strict=True):
            if not subject.parents(port):
                continue
            side = subject.above.of(port)
            sides[side] += int(capacity or 0)
            if capacity is None:
                unlimited.add(side)
        for side in sides:
            others = sides.keys() - {side}
            rest = sum(sides[other] for other in others)
            if others and not others & unlimited and rest < device.draw:
                yield Fault(
                    objects=(subject.ref(device.id),),
                    expected=f"supplies for {device.draw:.0f} W when a side is lost",
                    found=f"{rest} W: it is cabled twice and dies all the same",
                    remedy="fit stronger supplies, or spread it over more machines",
                )
                break


def unknown_draws(subject: Subject) -> Iterator[Fault]:
    """What a device draws is known; it would count for nothing otherwise."""
    for device in subject.plant.power.devices.values():
        if not device.draw:
            yield Fault(
                objects=(subject.ref(device.id),),
                expected="allocated_draw or maximum_draw on its power ports, in watts",
                found="neither",
                remedy="enter the draws in NetBox, best by the device type's templates",
            )


def legs(subject: Subject) -> Iterator[Fault]:
    """On three phases, an outlet that is plugged says which one it is on."""
    power = subject.plant.power
    for node, element in enumerate(power.elements):
        if element.kind != "outlet":
            continue
        parents = [p for p in power.parents[node] if power.elements[p].kind == "pdu"]
        if any(power.elements[c].kind == "leg" for p in parents for c in power.children[p]):
            yield Fault(
                objects=(element.ref,),
                expected="a feed leg (A, B or C)",
                found="none, on a three-phase feed",
                remedy="enter the leg of the outlet in NetBox",
            )


def overloads(subject: Subject) -> Iterator[Fault]:
    """As all is now, nothing carries more than it may."""
    power, state = subject.plant.power, subject.plant.state
    for node, limit in enumerate(power.limits):
        if limit is not None and state.load[node] > limit + 1:
            yield Fault(
                objects=(power.elements[node].ref,),
                expected=f"at most {limit:.0f} W",
                found=f"{state.load[node]:.0f} W with everything in service",
                remedy="move devices elsewhere",
            )


def overloads_after_loss(subject: Subject) -> Iterator[Fault]:
    """Whatever is lost, what lives on can carry it."""
    worst: dict[ObjectRef, tuple[float, float, Outcome]] = {}
    for outcome in subject.sweep.harmful:
        for load in outcome.overloads:
            if load.limit is not None and load.before <= load.limit + 1:
                known = worst.get(load.element.ref)
                if known is None or load.after > known[0]:
                    worst[load.element.ref] = (load.after, load.limit, outcome)
    for ref, (after, limit, outcome) in worst.items():
        lost = outcome.elements[0]
        yield Fault(
            objects=(ref, lost.ref),
            expected=f"at most {limit:.0f} W when {lost.kind} {lost.name} is out",
            found=f"{after:.0f} W",
            remedy="move devices elsewhere, or lower what they are allocated",
        )


def _names(elements: Iterable[Element]) -> str:
    return ", ".join(f"{e.kind} {e.name}" for e in elements)


def _order(name: str) -> tuple[int, str]:
    """By which PSU2 comes before PSU10."""
    return len(name), name
