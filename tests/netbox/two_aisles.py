"""Two aisles of one rack each, with two servers, a leaf pair and two panels: quick to seed."""

import msgspec
from small_designs import small

from chapelle.netbox import access
from chapelle.netbox.design import Design
from chapelle.netbox.expand import expand
from chapelle.netbox.seed import Client, Seeder
from chapelle.settings import Settings

_replace = msgspec.structs.replace


def design() -> Design:
    made = small(2, {1: {"compute": 2}})
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


def seed(settings: Settings) -> None:
    """Seed an empty NetBox with it."""
    session = access.connect(access.access(settings, "seed")).http_session
    client = Client(session.granted.url, session)
    Seeder(client, expand(design()), tag="chapelle", dry_run=False).run()
