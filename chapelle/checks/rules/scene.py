"""What every rule gets to see, and what it says."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.references import Names

# Statuses of devices that need no place, no cables and no address: in stock, or on their way out.
OUT_OF_SERVICE = frozenset({"inventory", "decommissioning"})


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong; a finding without its rule. The first object is the one to mend."""

    objects: tuple[ObjectRef, ...]
    expected: str
    found: str
    remedy: str


class Scene:
    """A datacentre and the names of its objects."""

    def __init__(self, dc: Datacentre) -> None:
        self.dc = dc
        self.content = dc.content
        self.names = Names(dc.content)

    def ref(self, list_name: str, record: r.Record) -> ObjectRef:
        """How a finding names that record of that list."""
        return self.names.ref(list_name, record.id)

    def device_ref(self, device_id: int) -> ObjectRef:
        """How a finding names a device."""
        return self.names.ref("devices", device_id)

    @cached_property
    def placed(self) -> tuple[r.Device, ...]:
        """The devices that are in service, or shall be."""
        return tuple(d for d in self.content.devices if d.status not in OUT_OF_SERVICE)

    @cached_property
    def servers(self) -> tuple[r.Device, ...]:
        """The servers among them, those without a name too."""
        return tuple(device for device in self.placed if self.dc.is_server(device))


type Rule = Callable[[Scene], Iterator[Fault]]


def grouped[T](items: Iterable[T], key: Callable[[T], Any]) -> dict[Any, list[T]]:
    """The items by what `key` says of them; those of which it says nothing are left out."""
    groups: dict[Any, list[T]] = {}
    for item in items:
        value = key(item)
        if value is not None and value != "":
            groups.setdefault(value, []).append(item)
    return groups
