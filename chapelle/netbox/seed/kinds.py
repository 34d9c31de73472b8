"""The kinds of NetBox object that are seeded, in an order in which references can be made.

For each: its place in the REST API, how a record of NetBox gives the natural key that
`chapelle.netbox.expand` uses, which part of NetBox's list concerns us, and how many objects go into
one request. Source: NetBox 4.7, the serializers and filter sets of dcim, ipam, tenancy and extras.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from chapelle.netbox.expand.desired import Key

type Json = dict[str, Any]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of object.

    Arguments:
        endpoint: its list below `/api/`.
        key: a record's natural key.
        key_fields: the fields that `key` reads.
        scope: which records to read: `all`; `site`, those of the design's site; `types`, those of
            its device types; `prefixes`, those inside its prefixes.
        tagged: whether it carries our tag. Components belong to their device and carry none.
        cabled: whether it can end a cable.
        batch: objects in one request.
    """

    endpoint: str
    key: Callable[[Json], Key]
    key_fields: tuple[str, ...]
    scope: str = "all"
    tagged: bool = True
    cabled: bool = False
    batch: int = 100


def _slug(record: Json) -> Key:
    return (record["slug"],)


def _name(record: Json) -> Key:
    return (record["name"] or "",)


def _in_device(record: Json) -> Key:
    return (record["device"]["name"] or "", record["name"])


def _in_type(record: Json) -> Key:
    return ((record["device_type"] or {}).get("slug", ""), record["name"])


def _in_vrf(field: str) -> Callable[[Json], Key]:
    def key(record: Json) -> Key:
        value = record[field]
        bare = value if field == "prefix" else value.partition("/")[0]
        return ((record["vrf"] or {}).get("name", ""), bare)

    return key


def _vlan(record: Json) -> Key:
    return ((record["group"] or {}).get("slug", ""), str(record["vid"]))


def _assignment(record: Json) -> Key:
    if record["object_type"] != "tenancy.tenant" or not record["object"]:
        return (record["object_type"], str(record["object_id"]))
    contact, role = record["contact"]["name"], record["role"]
    return (record["object"]["slug"], contact, role["slug"] if role else "")


def _l2vpn_end(record: Json) -> Key:
    end = record["assigned_object"] or {}
    if record["assigned_object_type"] != "ipam.vlan" or not end:
        return (record["assigned_object_type"], str(record["assigned_object_id"]))
    return (record["l2vpn"]["slug"], str(end["vid"]), end["name"])


def _asn(record: Json) -> Key:
    return (str(record["asn"]),)


def _feed(record: Json) -> Key:
    return (record["power_panel"]["name"], record["name"])


def _cable(record: Json) -> Key:
    return tuple(record["ends"])  # put there by the reader


def _by_slug(endpoint: str, *, scope: str = "all") -> Kind:
    return Kind(endpoint=endpoint, key=_slug, key_fields=("slug",), scope=scope)


def _by_name(endpoint: str, *, tagged: bool = True, scope: str = "all") -> Kind:
    return Kind(endpoint=endpoint, key=_name, key_fields=("name",), tagged=tagged, scope=scope)


def _component(endpoint: str, **changes: Any) -> Kind:
    settings: dict[str, Any] = {"tagged": False, "cabled": True, **changes}
    return Kind(
        endpoint=endpoint,
        key=_in_device,
        key_fields=("device", "name"),
        scope="site",
        **settings,
    )


def _template(endpoint: str) -> Kind:
    fields = ("device_type", "name")
    return Kind(
        endpoint=endpoint, key=_in_type, key_fields=fields, scope="types", tagged=False, batch=200
    )


KINDS: dict[str, Kind] = {
    "tags": Kind(endpoint="extras/tags", key=_slug, key_fields=("slug",), tagged=False),
    "custom_field_choice_sets": _by_name("extras/custom-field-choice-sets", tagged=False),
    "custom_fields": _by_name("extras/custom-fields", tagged=False),
    "tenant_groups": _by_slug("tenancy/tenant-groups"),
    "tenants": _by_slug("tenancy/tenants"),
    "contact_roles": _by_slug("tenancy/contact-roles"),
    "contacts": _by_name("tenancy/contacts"),
    "contact_assignments": Kind(
        endpoint="tenancy/contact-assignments",
        key=_assignment,
        key_fields=("object_type", "object_id", "object", "contact", "role"),
    ),
    "regions": _by_slug("dcim/regions"),
    "sites": _by_slug("dcim/sites"),
    "locations": _by_slug("dcim/locations", scope="site"),
    "rack_roles": _by_slug("dcim/rack-roles"),
    "racks": _by_name("dcim/racks", scope="site"),
    "manufacturers": _by_slug("dcim/manufacturers"),
    "platforms": _by_slug("dcim/platforms"),
    "device_roles": _by_slug("dcim/device-roles"),
    "inventory_item_roles": _by_slug("dcim/inventory-item-roles"),
    "device_types": _by_slug("dcim/device-types"),
    "interface_templates": _template("dcim/interface-templates"),
    "power_port_templates": _template("dcim/power-port-templates"),
    "power_outlet_templates": _template("dcim/power-outlet-templates"),
    "rirs": _by_slug("ipam/rirs"),
    "asns": Kind(endpoint="ipam/asns", key=_asn, key_fields=("asn",)),
    "route_targets": _by_name("ipam/route-targets"),
    "vrfs": _by_name("ipam/vrfs"),
    "roles": _by_slug("ipam/roles"),
    "vlan_groups": _by_slug("ipam/vlan-groups"),
    "vlans": Kind(endpoint="ipam/vlans", key=_vlan, key_fields=("group", "vid")),
    "prefixes": Kind(endpoint="ipam/prefixes", key=_in_vrf("prefix"), key_fields=("vrf", "prefix")),
    "l2vpns": _by_slug("vpn/l2vpns"),
    "l2vpn_terminations": Kind(
        endpoint="vpn/l2vpn-terminations",
        key=_l2vpn_end,
        key_fields=("l2vpn", "assigned_object_type", "assigned_object_id", "assigned_object"),
    ),
    "power_panels": _by_name("dcim/power-panels", scope="site"),
    "power_feeds": Kind(
        endpoint="dcim/power-feeds",
        key=_feed,
        key_fields=("power_panel", "name"),
        scope="site",
        cabled=True,
    ),
    "devices": Kind(
        endpoint="dcim/devices", key=_name, key_fields=("name",), scope="site", batch=25
    ),
    "interfaces": _component("dcim/interfaces"),
    "power_ports": _component("dcim/power-ports"),
    "power_outlets": _component("dcim/power-outlets"),
    "inventory_items": _component("dcim/inventory-items", tagged=True, cabled=False),
    "ip_addresses": Kind(
        endpoint="ipam/ip-addresses",
        key=_in_vrf("address"),
        key_fields=("vrf", "address"),
        scope="prefixes",
    ),
    "device_addresses": Kind(
        endpoint="dcim/devices", key=_name, key_fields=("name",), scope="site", tagged=False
    ),
    "cables": Kind(endpoint="dcim/cables", key=_cable, key_fields=(), scope="site", batch=50),
}

# What NetBox makes by itself when a device is created, from the templates of its type.
FROM_TEMPLATES = ("interfaces", "power_ports", "power_outlets")

# What a cable ends at, as NetBox's generic references say it.
CONTENT_TYPES = {
    "interfaces": "dcim.interface",
    "power_ports": "dcim.powerport",
    "power_outlets": "dcim.poweroutlet",
    "power_feeds": "dcim.powerfeed",
}
