"""Which devices may be out together: those whose joint loss harms no more than single ones do.

What the loss of a single device harms is a finding of `resilience.check`, and nobody's order of
work can help it. What only the loss of several harms is the fault of whoever takes them out
together.
"""

from collections.abc import Sequence

from chapelle.checks.resilience.loss import Plant
from chapelle.model import records as r
from chapelle.model.resilience import Outcome

type _Harmed = frozenset[tuple[str, int]]


def harm(plant: Plant, devices: Sequence[r.Device]) -> list[str]:
    """What is lost or overloaded when all of these are out, and by the loss of none of them alone.

    The names of devices and of overloaded elements, in order.
    """
    return _joint(plant, devices, {})


def apart(plant: Plant, devices: Sequence[r.Device]) -> list[tuple[r.Device, ...]]:
    """The devices in as few groups as a first fit finds, each of which may be out together."""
    alone: dict[int, _Harmed] = {}
    if not _joint(plant, devices, alone):
        return [tuple(devices)]
    groups: list[list[r.Device]] = []
    for device in devices:
        for group in groups:
            if not _joint(plant, [*group, device], alone):
                group.append(device)
                break
        else:
            groups.append([device])
    return [tuple(group) for group in groups]


def _joint(plant: Plant, devices: Sequence[r.Device], alone: dict[int, _Harmed]) -> list[str]:
    """As `harm`; `alone` remembers what the loss of each device harms by itself."""
    if len(devices) < 2:
        return []
    for device in devices:
        if device.id not in alone:
            alone[device.id] = _harmed(plant.lose([plant.element(device)]))
    own = {("lost", device.id) for device in devices}
    outcome = plant.lose([plant.element(device) for device in devices])
    joint = (
        _harmed(outcome)
        - own
        - frozenset[tuple[str, int]]().union(*(alone[device.id] for device in devices))
    )
    names = {("lost", item.id): item.name for item in outcome.lost}
    names |= {("over", load.element.ref.id): load.element.name for load in outcome.overloads}
    return sorted(names[key] for key in joint)


def _harmed(outcome: Outcome) -> _Harmed:
    over = {("over", load.element.ref.id) for load in outcome.overloads}
    return frozenset({("lost", item.id) for item in outcome.lost} | over)
