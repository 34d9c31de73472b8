"""Expand a design into the objects that NetBox should contain. Pure: nothing is read or sent."""

from chapelle.netbox.design.problems import DesignError
from chapelle.netbox.design.schema import Design
from chapelle.netbox.expand import (
    addressing,
    checks,
    hardware,
    interfaces,
    machines,
    places,
    power,
    wiring,
)
from chapelle.netbox.expand.context import Context
from chapelle.netbox.expand.desired import Desired, Item, Ref

__all__ = ["Desired", "Item", "Ref", "expand"]


def expand(design: Design) -> Desired:
    """The objects of the design, which refer to each other by name.

    Raises:
        DesignError: the design contradicts itself: a reference to nothing, an overlap, an overfull
            rack, a name, serial number, address or VLAN that comes twice, an address outside its
            prefix, a rack that one feed cannot carry, or sums other than `sizing` says. All such
            mistakes are in it.
    """
    context = Context(design)
    for part in (places, hardware, addressing, machines, interfaces, power, wiring):
        part.expand(context)
    checks.check(context)
    if context.problems:
        raise DesignError(sorted(context.problems))
    return context.desired
