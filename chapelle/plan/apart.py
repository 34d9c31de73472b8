"""Batches that take out nothing together: what a plan's order promises, proved by simulation.

Groups and domains come from names and direct neighbours. This comes from losing each batch on the
graph of power and network, which sees every path.
"""

from collections.abc import Iterable

from chapelle.checks.resilience import together
from chapelle.checks.resilience.loss import Plant
from chapelle.model.datacentre import Datacentre
from chapelle.plan.batches import Batch


def apart(dc: Datacentre, batches: Iterable[Batch]) -> tuple[Batch, ...]:
    """The batches, each cut where its devices together would take out what none does alone."""
    plant = Plant(dc)
    cut: list[Batch] = []
    for batch in batches:
        groups = together.apart(plant, [dc.devices_by_name[name] for name in batch.hosts])
        for group in groups:
            names = tuple(device.name or "" for device in group)
            domain = batch.domain
            if len(groups) > 1:
                domain = f"{', '.join(names)}: what may be away together"
            cut.append(Batch(number=len(cut) + 1, domain=domain, hosts=names, canary=batch.canary))
    return tuple(cut)
