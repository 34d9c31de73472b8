"""What a tenant handed back, and how long nobody else gets it: caches and filters forget slowly."""

import datetime
import ipaddress

import msgspec

from chapelle.model import records as r
from chapelle.model.tenancy import Quarantined
from chapelle.plan.tenancy.pools import pools_of


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant had, by the pool that it may be from."""

    vids: list[int] = []
    l2vnis: list[int] = []
    l3vnis: list[int] = []
    asns: list[int] = []
    prefixes: list[str] = []
    links: list[str] = []


def quarantined(
    site: r.Site, given: Given, tenant: str, today: datetime.date
) -> tuple[Quarantined, ...]:
    """What goes into quarantine: that which is from the pools; the tenant keeps what it brought.

    Arguments:
        site: whose pools.
        given: what the tenant had.
        tenant: its slug.
        today: the day on which it is handed back.

    Raises:
        InputError: the site does not state its pools.
    """
    pools = pools_of(site)
    if not pools.quarantine_days:
        return ()
    until = today + datetime.timedelta(days=pools.quarantine_days)
    found = []
    for kind in ("vids", "l2vnis", "l3vnis", "asns"):
        first, last = getattr(pools, kind)
        found += [(kind, str(n)) for n in sorted(getattr(given, kind)) if first <= n <= last]
    for kind in ("prefixes", "links"):
        of = [ipaddress.ip_network(text) for text in getattr(pools, kind)]
        for text in sorted(set(getattr(given, kind))):
            network = ipaddress.ip_network(text)
            if any(p.version == network.version and p.overlaps(network) for p in of):
                found.append((kind, text))
    return tuple(
        msgspec.convert(
            {"kind": kind, "value": value, "until": until, "tenant": tenant}, Quarantined
        )
        for kind, value in found
    )
