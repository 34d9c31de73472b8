"""The reference datacentre with the three tenants of `inventory/tenants`, as plans leave it."""

import datetime
from functools import cache
from pathlib import Path

import reference

from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import apply
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import Option, Request
from chapelle.plan.tenancy import request as requests
from chapelle.plan.tenancy.onboard import onboard

INVENTORY = Path(__file__).parents[2] / "inventory" / "tenants"

# A day on which none of the requests has lapsed.
TODAY = datetime.date(2027, 1, 4)

# The order in which they come.
SLUGS = ("ap-hp", "paris-habitat", "eau-de-paris")

# AP-HP in two aisles; the others in one each, in which AP-HP is, too.
RACKS = {
    "ap-hp": tuple(f"A{aisle}-R{rack:02d}" for aisle in (1, 2) for rack in range(7, 19)),
    "paris-habitat": tuple(f"A3-R{rack:02d}" for rack in range(7, 19)),
    "eau-de-paris": tuple(f"A{aisle}-R{rack:02d}" for aisle in (2, 3) for rack in range(19, 23)),
}


@cache
def request(slug: str) -> Request:
    """What a tenant asks for."""
    return requests.read(INVENTORY / f"{slug}.yml")


@cache
def content(*slugs: str) -> Content:
    """The reference datacentre with these tenants, or with all three; they come in that order."""
    made = reference.content()
    for slug in slugs or SLUGS:
        made = onboarded(made, request(slug), RACKS[slug])
    return made


def onboarded(content: Content, asked: Request, racks: tuple[str, ...]) -> Content:
    """The content when a request was carried out in these racks."""
    dc = Datacentre(Snapshot(content))
    return apply(content, onboard(dc, asked, Option(racks=racks), TODAY).changes)


def datacentre(*slugs: str) -> Datacentre:
    return Datacentre(Snapshot(content(*slugs)))
