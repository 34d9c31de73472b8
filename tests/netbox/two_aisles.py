"""Two aisles of one rack each, with two servers, a leaf pair and two panels: quick to seed."""

from small_designs import tiny

from chapelle.netbox import access
from chapelle.netbox.expand import expand
from chapelle.netbox.seed import Client, Seeder
from chapelle.settings import Settings


def seed(settings: Settings) -> None:
    """Seed an empty NetBox with it."""
    session = access.connect(access.access(settings, "seed")).http_session
    client = Client(session.granted.url, session)
    Seeder(client, expand(tiny({"compute": 2}, aisles=2)), tag="chapelle", dry_run=False).run()
