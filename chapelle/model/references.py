"""What refers to what in a snapshot, and how an object is called where its id says nothing.

NetBox's ids differ from one NetBox to another; natural names do not. Comparing two snapshots,
looking for references that lead nowhere, and naming an object to a person all start here.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from chapelle.model.finding import ObjectRef
from chapelle.model.records import ENDPOINTS, Content, Record, Termination

# The NetBox model (content type) that each list of `Content` holds.
MODELS: dict[str, str] = {
    "tags": "extras.tag",
    "regions": "dcim.region",
    "tenant_groups": "tenancy.tenantgroup",
    "tenants": "tenancy.tenant",
    "contacts": "tenancy.contact",
    "contact_roles": "tenancy.contactrole",
    "contact_assignments": "tenancy.contactassignment",
    "sites": "dcim.site",
    "locations": "dcim.location",
    "rack_roles": "dcim.rackrole",
    "racks": "dcim.rack",
    "rack_reservations": "dcim.rackreservation",
    "manufacturers": "dcim.manufacturer",
    "device_types": "dcim.devicetype",
    "device_roles": "dcim.devicerole",
    "platforms": "dcim.platform",
    "devices": "dcim.device",
    "inventory_item_roles": "dcim.inventoryitemrole",
    "inventory_items": "dcim.inventoryitem",
    "interfaces": "dcim.interface",
    "power_panels": "dcim.powerpanel",
    "power_feeds": "dcim.powerfeed",
    "power_ports": "dcim.powerport",
    "power_outlets": "dcim.poweroutlet",
    "front_ports": "dcim.frontport",
    "rear_ports": "dcim.rearport",
    "cable_bundles": "dcim.cablebundle",
    "cables": "dcim.cable",
    "route_targets": "ipam.routetarget",
    "vrfs": "ipam.vrf",
    "roles": "ipam.role",
    "vlan_groups": "ipam.vlangroup",
    "vlans": "ipam.vlan",
    "prefixes": "ipam.prefix",
    "ip_addresses": "ipam.ipaddress",
    "rirs": "ipam.rir",
    "asns": "ipam.asn",
    "l2vpns": "vpn.l2vpn",
    "l2vpn_terminations": "vpn.l2vpntermination",
}
LISTS: dict[str, str] = {model: name for name, model in MODELS.items()}

# Fields that refer to an object of the same kind everywhere.
_COMMON: dict[str, str] = {
    "tags": "tags",
    "region": "regions",
    "site": "sites",
    "location": "locations",
    "rack": "racks",
    "tenant": "tenants",
    "contact": "contacts",
    "manufacturer": "manufacturers",
    "device_type": "device_types",
    "platform": "platforms",
    "device": "devices",
    "primary_ip4": "ip_addresses",
    "primary_ip6": "ip_addresses",
    "oob_ip": "ip_addresses",
    "lag": "interfaces",
    "bridge": "interfaces",
    "untagged_vlan": "vlans",
    "tagged_vlans": "vlans",
    "vlan": "vlans",
    "vrf": "vrfs",
    "cable": "cables",
    "bundle": "cable_bundles",
    "power_panel": "power_panels",
    "power_port": "power_ports",
    "import_targets": "route_targets",
    "export_targets": "route_targets",
    "rir": "rirs",
    "l2vpn": "l2vpns",
}

# Fields whose name says too little: their list, and what they refer to there.
_SPECIAL: dict[str, dict[str, str]] = {
    "regions": {"parent": "regions"},
    "locations": {"parent": "locations"},
    "interfaces": {"parent": "interfaces"},
    "tenants": {"group": "tenant_groups"},
    "vlans": {"group": "vlan_groups", "role": "roles"},
    "prefixes": {"role": "roles"},
    "racks": {"role": "rack_roles"},
    "devices": {"role": "device_roles"},
    "inventory_items": {"role": "inventory_item_roles"},
    "contact_assignments": {"role": "contact_roles"},
}

# Pairs of fields that together refer to an object of any kind.
GENERIC: tuple[tuple[str, str], ...] = (
    ("object_type", "object_id"),
    ("scope_type", "scope_id"),
    ("assigned_object_type", "assigned_object_id"),
)


def record_type(list_name: str) -> type[Record]:
    """The class of the records in that list of `Content`."""
    item: type[Record] = Content.__annotations__[list_name].__args__[0]
    return item


def _references(list_name: str) -> dict[str, str]:
    fields = record_type(list_name).__struct_fields__
    special = _SPECIAL.get(list_name, {})
    return {
        field: special.get(field, _COMMON.get(field, ""))
        for field in fields
        if field in special or field in _COMMON
    }


# For each list: the fields that refer to other objects, and the list where these are found.
REFERENCES: dict[str, dict[str, str]] = {name: _references(name) for name in MODELS}


class Names:
    """The natural name of every object of one content, unique within its list."""

    def __init__(self, content: Content) -> None:
        self.content = content

    @cached_property
    def _records(self) -> dict[str, dict[int, Record]]:
        return {
            name: {record.id: record for record in getattr(self.content, name)} for name in MODELS
        }

    def records(self, list_name: str) -> dict[int, Record]:
        """The records of one list by id."""
        return self._records[list_name]

    @cached_property
    def _names(self) -> dict[str, dict[int, str]]:
        named: dict[str, dict[int, str]] = {}
        for list_name in MODELS:
            taken: dict[str, int] = {}
            named[list_name] = {}
            for record in getattr(self.content, list_name):
                name = self._plain(list_name, record)
                taken[name] = taken.get(name, 0) + 1
                if taken[name] > 1:
                    name = f"{name} ({taken[name]})"
                named[list_name][record.id] = name
        return named

    def name(self, list_name: str, object_id: int) -> str:
        """The natural name; of two objects with one name, the second is called `name (2)`."""
        return self._names[list_name].get(object_id, f"no such object (id {object_id})")

    def ref(self, list_name: str, object_id: int) -> ObjectRef:
        """How findings name an object."""
        return ObjectRef(
            endpoint=ENDPOINTS[list_name], id=object_id, name=self.name(list_name, object_id)
        )

    def of_type(self, content_type: str | None, object_id: int | None) -> str:
        """The natural name of what a generic reference leads to; empty for none."""
        if not content_type or object_id is None:
            return ""
        list_name = LISTS.get(content_type)
        if list_name is None:  # a kind that no snapshot holds, such as a circuit
            return f"{content_type} {object_id}"
        return self._bare(list_name, object_id)

    def _bare(self, list_name: str, object_id: int | None) -> str:
        record = self._records[list_name].get(object_id or 0)
        return self._plain(list_name, record) if record else f"id {object_id}"

    def _plain(self, list_name: str, record: Any) -> str:  # noqa: PLR0911 - one line a kind
        """The name as a person would say it; not unique where NetBox's content is not."""
        match list_name:
            case (
                "interfaces" | "front_ports" | "rear_ports"
                | "power_ports" | "power_outlets" | "inventory_items"
            ):  # fmt: skip
                return f"{self._bare('devices', record.device)} {record.name}"
            case "power_feeds":
                return f"{self._bare('power_panels', record.power_panel)} {record.name}"
            case "cables":
                ends = [self._ends(record.a_terminations), self._ends(record.b_terminations)]
                return " -- ".join(sorted(ends))
            case "ip_addresses":
                return f"{record.address} in {self._vrf(record)}"
            case "prefixes":
                return f"{record.prefix} in {self._vrf(record)}"
            case "vlans":
                group = self._bare("vlan_groups", record.group) if record.group else "no group"
                return f"{record.vid} ({record.name}) in {group}"
            case "asns":
                return f"AS{record.asn}"
            case "device_types":
                return f"{self._bare('manufacturers', record.manufacturer)} {record.model}"
            case "rack_reservations":
                units = ",".join(str(unit) for unit in record.units)
                return f"{self._bare('racks', record.rack)} U{units}"
            case "contact_assignments" | "l2vpn_terminations":
                return self._joined(list_name, record)
            case "devices":
                return record.name or f"(no name, id {record.id})"
            case _:
                return str(record.slug if hasattr(record, "slug") else record.name)

    def _joined(self, list_name: str, record: Any) -> str:
        """Of what only says that two others belong together."""
        if list_name == "contact_assignments":
            contact = self._bare("contacts", record.contact)
            return f"{contact} for {self.of_type(record.object_type, record.object_id)}"
        end = self.of_type(record.assigned_object_type, record.assigned_object_id)
        return f"{self._bare('l2vpns', record.l2vpn)} at {end}"

    def _ends(self, terminations: tuple[Termination, ...]) -> str:
        names = sorted(self.of_type(end.object_type, end.object_id) for end in terminations)
        return " + ".join(names) or "nowhere"

    def _vrf(self, record: Any) -> str:
        return f"VRF {self._bare('vrfs', record.vrf)}" if record.vrf else "the global table"


def references(list_name: str, record: Record) -> Iterator[tuple[str, str, int]]:
    """Every reference of a record by id, as (field, list that it leads to, id); tags are slugs."""
    for field, target in REFERENCES[list_name].items():
        value = getattr(record, field)
        if isinstance(value, int):
            yield field, target, value
        elif isinstance(value, tuple) and target != "tags":
            for item in value:
                yield field, target, item
    for type_field, id_field in GENERIC:
        list_of = LISTS.get(getattr(record, type_field, None) or "")
        object_id = getattr(record, id_field, None)
        if list_of and object_id is not None:
            yield id_field, list_of, object_id
    for mapping in getattr(record, "rear_ports", ()):
        yield "rear_ports", "rear_ports", mapping.rear_port
    for field in ("a_terminations", "b_terminations"):
        for end in getattr(record, field, ()):
            if end.object_type in LISTS:
                yield field, LISTS[end.object_type], end.object_id
