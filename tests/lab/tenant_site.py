"""A small fabric with tenants in it, cut out of the reference datacentre by the real plans.

Two spines, the tenant pairs of aisles 1 and 2, a border leaf, and the tenants' edges: AP-HP (a
group of ports) and Paris Habitat (BGP) in both aisles, Eau de Paris (a group) in one. Beside them a
leaf and a server of the city's, and an out-of-band switch, by which the border leaf has the gateway
of management.
"""

import re
from functools import cache

import msgspec
import reference
import tenants
from full_site import only

from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot

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
    return made


def datacentre() -> Datacentre:
    """The fabric as a snapshot would show it; few ports, for FRRouting takes its time with each."""
    made = only(content(), set(NAMES))
    few = tuple(i for i in made.interfaces if i.cable or not SPARE.fullmatch(i.name))
    return Datacentre(Snapshot(msgspec.structs.replace(made, interfaces=few)))
