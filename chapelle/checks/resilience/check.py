"""Judges how a datacentre bears losses: findings, waivers, and what was not looked at.

It never says that a datacentre is compliant with anything; it says that there is no finding in what
is modelled.
"""

import datetime
from collections.abc import Callable, Iterator, Sequence

from chapelle.checks.resilience import rules_network, rules_power, rules_space, windows
from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.subject import Subject
from chapelle.checks.rules.scene import Fault
from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.resilience import SOURCES, Verdict, Waived, Waiver

type Rule = Callable[[Subject], Iterator[Fault]]

RULES: dict[str, tuple[str, Rule]] = {
    "resilience-data": ("error", rules_power.stated),
    "power-loop": ("error", rules_power.loops),
    "unknown-source": ("error", rules_power.unknown_sources),
    "cord-dangling": ("error", rules_power.dangling_cords),
    "single-cord": ("error", rules_power.single_cords),
    "cord-diversity": ("error", rules_power.cord_diversity),
    "supply-capacity": ("error", rules_power.supplies),
    "leaf-diversity": ("error", rules_network.leaf_diversity),
    "cords-swapped": ("warning", rules_power.swapped_cords),
    "draw-unknown": ("warning", rules_power.unknown_draws),
    "outlet-leg": ("warning", rules_power.legs),
    "overload": ("error", rules_power.overloads),
    "overload-after-loss": ("error", rules_power.overloads_after_loss),
    "pair-power": ("error", rules_network.pair_power),
    "pair-rack": ("warning", rules_network.pair_rack),
    "single-point-of-failure": ("error", rules_network.single_points),
    "rack-overlap": ("error", rules_space.overlaps),
    "rack-weight": ("error", rules_space.weights),
    "reserved-unit": ("error", rules_space.reserved_units),
    "foreign-rack": ("error", rules_space.foreign_racks),
}

# Rules that say why their first object, a device, may be lost, so that nobody has to say it again;
# whether that is to the network, or to power.
EXPLAINING = {
    "cord-dangling": False,
    "single-cord": False,
    "cord-diversity": False,
    "supply-capacity": False,
    "leaf-diversity": True,
}

# What is wrong with maintenance windows; `maintenance.check` tells it too.
WINDOW = "maintenance-window"

WAIVER_EXPIRED, WAIVER_UNUSED = "waiver-expired", "waiver-unused"

# What no NetBox says. A site may be as resilient as it likes here: nobody has looked.
NOT_MODELLED = (
    "the utility's connection, generators and their fuel, batteries' age and autonomy",
    "cooling: chillers, pumps, pipes, air flow",
    "fire, water, access, and the building itself",
    "control and monitoring of all these",
    "faults that spread: a breaker that trips, a fire that crosses an aisle",
)


def check(plant: Plant, now: datetime.datetime) -> Verdict:
    """Everything that a loss of one element would harm, and what else breaks the rules.

    Arguments:
        plant: the datacentre.
        now: the time, with its zone, by which waivers have expired and windows are over.
    """
    subject = Subject(plant)
    explained: set[tuple[int, bool]] = set()
    findings: list[Finding] = []
    for name, (severity, rule) in RULES.items():
        for fault in rule(subject):
            findings.append(fault.finding(name, severity))
            if name in EXPLAINING:
                explained.add((fault.objects[0].id, EXPLAINING[name]))
        subject.explained = frozenset(explained)
    findings += [fault.finding(WINDOW, "error") for fault in windows.conflicts(plant, now)]
    kept, waived = _waive(plant, findings, now.date())
    return Verdict(
        findings=tuple(sorted(kept, key=lambda f: (f.severity, f.rule, f.objects))),
        waived=waived,
        elements=subject.sweep.tried,
        devices=len(plant.power.devices.keys() | plant.network.of_device.keys()),
        down=plant.already_down,
        not_modelled=(*NOT_MODELLED, *_unrated(plant)),
    )


def _waive(
    plant: Plant, findings: Sequence[Finding], today: datetime.date
) -> tuple[list[Finding], tuple[Waived, ...]]:
    waivers = [(site, w) for site, known in plant.stated.waivers.items() for w in known]
    valid = {(w.rule, w.object): w for _, w in waivers if today <= w.expires}
    kept: list[Finding] = []
    waived: list[Waived] = []
    for finding in findings:
        waiver = valid.get((finding.rule, finding.objects[0].name))
        if waiver:
            waived.append(Waived(finding=finding, waiver=waiver))
        else:
            kept.append(finding)
    used = {(item.waiver.rule, item.waiver.object) for item in waived}
    for site, waiver in waivers:
        if today > waiver.expires:
            kept.append(_expired(plant, site, waiver).finding(WAIVER_EXPIRED, "error"))
        elif (waiver.rule, waiver.object) not in used:
            kept.append(_unused(plant, site, waiver).finding(WAIVER_UNUSED, "warning"))
    return kept, tuple(waived)


def _expired(plant: Plant, site: int, waiver: Waiver) -> Fault:
    return Fault(
        objects=(_site(plant, site),),
        expected=f"the waiver of {waiver.rule} for {waiver.object} renewed, or the cause mended",
        found=f"expired on {waiver.expires}; {waiver.owner}: {waiver.reason}",
        remedy="mend the cause and remove the waiver, or have its owner decide again",
    )


def _unused(plant: Plant, site: int, waiver: Waiver) -> Fault:
    return Fault(
        objects=(_site(plant, site),),
        expected=f"a finding {waiver.rule} of {waiver.object}, which is waived",
        found="none: the waiver hides nothing, and would hide a new one",
        remedy="remove the waiver",
    )


def _site(plant: Plant, site: int) -> ObjectRef:
    return ObjectRef(endpoint="dcim/sites", id=site, name=plant.dc.sites[site].name)


def _unrated(plant: Plant) -> Iterator[str]:
    """What carries something and has no limit that it could be held against."""
    power = plant.power
    kinds: dict[str, list[str]] = {}
    for element, limit, load in zip(power.elements, power.limits, plant.state.load, strict=True):
        if limit is None and load and element.kind not in ("outlet", "cord", "pdu"):
            kinds.setdefault(element.kind, []).append(element.name)
    for kind, names in kinds.items():
        yield f"the load on {kind} {', '.join(sorted(names))}: no rating is stated"
    if not any(sources.sources for sources in plant.stated.sources.values()):
        yield f"all above the panels: no site states its {SOURCES}"
