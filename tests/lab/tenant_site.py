"""A small fabric with tenants in it, cut out of the reference datacentre.

Two spines, the tenant pairs of aisles 1 and 2, a border leaf, and the tenants' edges: AP-HP (a
group of ports) and Paris Habitat (BGP) in both aisles, Eau de Paris (a group) in one. Beside them a
leaf and a server of the city's, and the border leaf's own gateway of the management network.
"""

from full_site import only
from tenant_content import content

from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot

SPINES = ("spine-a1", "spine-a2")
PAIRS = (("leaf-a1-ta", "leaf-a1-tb"), ("leaf-a2-ta", "leaf-a2-tb"))
LEAFS = tuple(leaf for pair in PAIRS for leaf in pair)
BORDER = "border-a1"
CITY_LEAF, CITY = "leaf-a2-1a", "compute-a2-01"
SWITCHES = (*SPINES, *LEAFS, BORDER, CITY_LEAF)

HOSPITALS = ("edge-ap-hp-a1", "edge-ap-hp-a2")
HOUSING = ("edge-paris-habitat-a1", "edge-paris-habitat-a2")
WATER = "edge-eau-de-paris-a2"
EDGES = (*HOSPITALS, *HOUSING, WATER)

NAMES = (*SWITCHES, CITY, *EDGES)


def datacentre() -> Datacentre:
    """The fabric as a snapshot would show it."""
    return Datacentre(Snapshot(only(content(), set(NAMES))))
