"""A small fabric with tenants in it, cut out of the reference datacentre by the real plans.

Two spines, the tenant pairs of aisles 1 and 2, a border leaf, and the tenants' edges: AP-HP (a
group of ports) and Paris Habitat (BGP) in both aisles, Eau de Paris (a group) in one. Beside them a
leaf and a server of the city's, and an out-of-band switch, by which the border leaf has the gateway
of management.
"""

import re
from functools import cache

import fabric_datacentre as fabric
import msgspec
import reference
import tenants
from full_site import only

from chapelle.lab.tenant import host
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import EDGE_MANAGEMENT

SPINES = ("spine-a1", "spine-a2")
PAIRS = (("leaf-a1-ta", "leaf-a1-tb"), ("leaf-a2-ta", "leaf-a2-tb"))
LEAFS = tuple(leaf for pair in PAIRS for leaf in pair)
BORDER, MANAGEMENT = "border-a1", "oob-a1-1"
CITY_LEAF, CITY = "leaf-a2-1a", "compute-a2-01"
SWITCHES = (*SPINES, *LEAFS, BORDER, CITY_LEAF, MANAGEMENT)

HOSPITALS = ("edge-ap-hp-a1", "edge-ap-hp-a2")
HOUSING = ("edge-paris-habitat-a1", "edge-paris-habitat-a2")
WATER = "edge-eau-de-paris-a2"
EDGES = (*HOSPITALS, *HOUSING, WATER)

NAMES = (*SWITCHES, CITY, *EDGES)

# Ports that are left out where no cable is plugged in; one or two of a switch stay.
SPARE = re.compile(r"swp\d*[0-8]")

# A rack in each aisle: the lines are those of a tenant with twelve.
RACKS = {
    "ap-hp": ("A1-R07", "A2-R07"),
    "paris-habitat": ("A1-R13", "A2-R13"),
    "eau-de-paris": ("A2-R19",),
}


@cache
def content() -> Content:
    """The reference datacentre with the three tenants."""
    made = reference.content()
    for slug, racks in RACKS.items():
        asked = tenants.request(slug)
        space = msgspec.structs.replace(asked.space, racks=len(racks))
        made = tenants.onboarded(made, msgspec.structs.replace(asked, space=space), racks)
    for name in EDGES:
        made = managed(made, name)
    return made


def managed(content: Content, name: str) -> Content:
    """The content where an edge has an address by which one can log in to it."""
    dc = fabric.datacentre(content)
    edge = dc.device(name)
    if edge.oob_ip is not None:
        return content
    port = next(i for i in dc.interfaces_by_device[edge.id] if i.name == EDGE_MANAGEMENT)
    switch = dc.peer_interface(port)
    assert switch
    assert switch.untagged_vlan
    prefix = dc.prefixes_by_vlan[switch.untagged_vlan][0]
    address = r.IPAddress(
        id=fabric.next_id(content, "ip_addresses"),
        address=host(prefix.prefix, int(dc.aisle_number(edge) or 0), name),
        status="active",
        vrf=prefix.vrf,
        tenant=edge.tenant,
        assigned_object_type="dcim.interface",
        assigned_object_id=port.id,
    )
    content = fabric.added(content, "ip_addresses", address)
    return fabric.edited(content, "devices", edge, oob_ip=address.id)


def datacentre() -> Datacentre:
    """The fabric as a snapshot would show it; few ports, for FRRouting takes its time with each."""
    made = only(content(), set(NAMES))
    few = tuple(i for i in made.interfaces if i.cable or not SPARE.fullmatch(i.name))
    return Datacentre(Snapshot(msgspec.structs.replace(made, interfaces=few)))
