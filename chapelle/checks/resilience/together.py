"""Which devices may be out together: those whose joint loss harms no more than single ones do.

What the loss of a single device harms is a finding of `resilience.check`, and nobody's order of
work can help it. What only the loss of several harms is the fault of whoever takes them out
together.
"""

from collections.abc import Sequence

from chapelle.checks.resilience.loss import Plant
from chapelle.model import records as r
from chapelle.model.resilience import Outcome


def harm(plant: Plant, devices: Sequence[r.Device]) -> list[str]:
    """What is lost or overloaded when all of these are out, and by the loss of none of them alone.

    The names of devices and of overloaded elements, in order.
    """
    if len(devices) < 2:
        return []
    own = {device.id for device in devices}
    alone: set[tuple[str, int]] = set()
    for device in devices:
        alone |= _harmed(plant.lose([plant.element(device)]))
    outcome = plant.lose([plant.element(device) for device in devices])
    joint = _harmed(outcome) - alone
    names = {("lost", item.id): item.name for item in outcome.lost if item.id not in own}
    names |= {("over", load.element.ref.id): load.element.name for load in outcome.overloads}
    return sorted(names[key] for key in joint if key in names)


def apart(plant: Plant, devices: Sequence[r.Device]) -> list[tuple[r.Device, ...]]:
    """The devices in as few groups as a first fit finds, each of which may be out together."""
    groups: list[list[r.Device]] = []
    for device in devices:
        for group in groups:
            if not harm(plant, [*group, device]):
                group.append(device)
                break
        else:
            groups.append([device])
    return [tuple(group) for group in groups]


def _harmed(outcome: Outcome) -> set[tuple[str, int]]:
    over = {("over", load.element.ref.id) for load in outcome.overloads}
    return {("lost", item.id) for item in outcome.lost} | over
