"""Designs smaller than the reference datacentre, made of its parts."""

from collections.abc import Mapping

import msgspec

from chapelle.netbox import design
from chapelle.netbox.design import Design
from chapelle.netbox.design.schema import ServerRack
from chapelle.settings import ROOT

REFERENCE = design.load(design.folder(ROOT))
HEIGHT = {"compute": 1, "storage": 2, "database": 1, "infra": 1}

_replace = msgspec.structs.replace


def small(aisles: int, chosen: Mapping[int, Mapping[str, int]]) -> Design:
    """The reference design with fewer aisles, six racks and other servers."""
    site = REFERENCE.site
    site = _replace(site, sizing=None, aisles=_replace(site.aisles, numbers=f"1-{aisles}"))
    entries = [ServerRack(rack=rack, servers=dict(servers)) for rack, servers in chosen.items()]
    return _replace(
        REFERENCE,
        site=site,
        racks=_replace(REFERENCE.racks, racks=REFERENCE.racks.racks[:1]),
        servers=_replace(REFERENCE.servers, racks=entries),
    )


def tiny(servers: Mapping[str, int], aisles: int = 1) -> Design:
    """One rack an aisle with these servers, and the three switches that they hang on."""
    made = small(aisles, {1: servers})
    network = made.network
    known = {switch.name: switch for switch in network.switches}
    switches = [
        _replace(known["leaf-a{aisle}-1a"], rack=1, unit=42),
        _replace(known["leaf-a{aisle}-1b"], rack=1, unit=41),
        known["oob-a{aisle}-1"],
    ]
    network = _replace(network, switches=switches, attachments=network.attachments[:1], meshes=[])
    racks = [_replace(made.racks.racks[0], numbers=1)]
    return _replace(made, network=network, racks=_replace(made.racks, racks=racks))
