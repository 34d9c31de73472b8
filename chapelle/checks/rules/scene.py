"""What every rule gets to see, and what it says."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.references import Names
from chapelle.model.status import OUT_OF_SERVICE


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong; a finding without its rule. The first object is the one to mend."""

    objects: tuple[ObjectRef, ...]
    expected: str
    found: str
    remedy: str

    def finding(self, rule: str, severity: str) -> Finding:
        """The finding that it is, by the rule that found it."""
        return Finding(
            rule=rule,
            severity=severity,
            objects=self.objects,
            expected=self.expected,
            found=self.found,
            remedy=self.remedy,
        )


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

    def devices_of(self, list_name: str, record: Any) -> tuple[ObjectRef, ...]:
        """The devices whose part that record is, or that it connects: a run must leave them out."""
        if list_name == "cables":
            return self.devices_on(record)
        if list_name == "ip_addresses":
            owner = self.owner(record)
            return (self.device_ref(owner),) if owner else ()
        return (self.device_ref(record.device),) if hasattr(record, "device") else ()

    def devices_on(self, cable: r.Cable) -> tuple[ObjectRef, ...]:
        """The devices that a cable reaches."""
        tables: dict[str, Mapping[int, r.Interface | r.PowerPort | r.PowerOutlet]] = {
            "dcim.interface": self.dc.interfaces,
            "dcim.powerport": self.dc.power_ports,
            "dcim.poweroutlet": self.dc.power_outlets,
        }
        found: dict[int, ObjectRef] = {}
        for end in (*cable.a_terminations, *cable.b_terminations):
            if port := tables.get(end.object_type, {}).get(end.object_id):
                found[port.device] = self.device_ref(port.device)
        return tuple(found.values())

    def owner(self, address: r.IPAddress) -> int | None:
        """The id of the device on whose interface an address is."""
        if address.assigned_object_type != "dcim.interface":
            return None
        interface = self.dc.interfaces.get(address.assigned_object_id or 0)
        return interface.device if interface else None

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
