"""The power of a tenant's racks, their meters, and whether nobody reaches anybody."""

from collections.abc import Iterator, Mapping

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.tenancy.acceptance.links import edges
from chapelle.model import records as r
from chapelle.model.acceptance import (
    FAILED,
    ISOLATION,
    METERS,
    NOT_MEASURED,
    PASSED,
    POWER,
    Evidence,
    Verdict,
)
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import ObjectRef
from chapelle.model.isolation import INTENT, Proof
from chapelle.model.records import ENDPOINTS
from chapelle.model.resilience import Element

NO_METER = "not measurable here: no meter (the PDU has no address for management)"
NO_DRIVER = "not measurable here: the PDU has an address, and nothing of ours reads its meter"
_NETBOX = "NetBox: power ports, cables, feeds"
_SIMULATED = "simulated on the graph of power (invoke resilience.simulate)"
_NOBODY = "nobody measured"
_APART = "no way from anybody to anybody else, but by policy"


def racks(dc: Datacentre, tenant: r.Tenant) -> tuple[r.Rack, ...]:
    """The racks that a tenant has, by name."""
    found = [rack for rack in dc.content.racks if rack.tenant == tenant.id]
    return tuple(sorted(found, key=lambda rack: rack.name))


def feeds(dc: Datacentre, rack: r.Rack) -> tuple[r.PowerFeed, ...]:
    """The feeds of a rack, by name."""
    found = [feed for feed in dc.content.power_feeds if feed.rack == rack.id]
    return tuple(sorted(found, key=lambda feed: feed.name))


# -- power ----------------------------------------------------------------------------------------


def power(plant: Plant, tenant: r.Tenant) -> Iterator[Evidence]:
    """What NetBox says of the feeds of a tenant's racks and of the cords of its edges."""
    for device in edges(plant.dc, tenant):
        yield _cords(plant.dc, device)
    for rack in racks(plant.dc, tenant):
        yield _sides(plant.dc, rack)
        for feed in feeds(plant.dc, rack):
            yield _without(plant, tenant, rack, feed)
            yield _live(plant.dc, feed)


def _cords(dc: Datacentre, device: r.Device) -> Evidence:
    found = dc.feeds(device)
    cords = len(dc.power_ports_by_device.get(device.id, ()))
    apart = len({feed.power_panel for feed in found}) == len(found) == cords
    return Evidence(
        area=POWER,
        item=device.name or "",
        what="feeds of its cords",
        expected=f"each of its {cords} cords at another feed, on another panel",
        found=", ".join(feed.name for feed in found) or "none",
        how=_NETBOX,
        verdict=PASSED if apart and cords > 1 else FAILED,
    )


def _sides(dc: Datacentre, rack: r.Rack) -> Evidence:
    found = feeds(dc, rack)
    panels = sorted(
        {dc.power_panels[f.power_panel].name for f in found if f.power_panel in dc.power_panels}
    )
    right = all(feed.status == "active" and feed.tenant == rack.tenant for feed in found)
    words = ", ".join(f"{feed.name} ({feed.status})" for feed in found) or "none"
    return Evidence(
        area=POWER,
        item=rack.name,
        what="feeds of the rack",
        expected="two active feeds from two panels, both the tenant's",
        found=f"{words} from {', '.join(panels) or 'nowhere'}",
        how=_NETBOX,
        verdict=PASSED if right and len(found) == len(panels) == 2 else FAILED,
    )


def _without(plant: Plant, tenant: r.Tenant, rack: r.Rack, feed: r.PowerFeed) -> Evidence:
    ref = ObjectRef(endpoint=ENDPOINTS["power_feeds"], id=feed.id, name=feed.name)
    outcome = plant.lose([Element(kind="feed", ref=ref)])
    bad = [f"{each.name} lost" for each in outcome.lost if each.tenant == tenant.name]
    bad += [
        f"{load.element.name} carries {load.after:.0f} W of {load.limit:.0f} W"
        for load in outcome.loads
        if load.limit is not None and load.after > load.limit
    ]
    return Evidence(
        area=POWER,
        item=rack.name,
        what=f"loss of {feed.name}",
        expected="nothing of the tenant's is lost, and the other side carries it",
        found="; ".join(bad) or "nothing lost, nothing overloaded",
        how=_SIMULATED,
        verdict=FAILED if bad else PASSED,
    )


def _live(dc: Datacentre, feed: r.PowerFeed) -> Evidence:
    """Whether there is voltage: nobody knows who has not measured."""
    pdu = _pdu_of(dc, feed)
    managed = pdu is not None and (pdu.primary_ip4 or pdu.primary_ip6 or pdu.oob_ip)
    return Evidence(
        area=POWER,
        item=(pdu.name if pdu else None) or feed.name,
        what=f"voltage of {feed.name}",
        expected="live",
        found=NO_DRIVER if managed else NO_METER,
        how=_NOBODY,
        verdict=NOT_MEASURED,
    )


def _pdu_of(dc: Datacentre, feed: r.PowerFeed) -> r.Device | None:
    for end in dc.peers("dcim.powerfeed", feed.cable, feed.id):
        port = dc.power_ports.get(end.object_id) if end.object_type == "dcim.powerport" else None
        if port is not None:
            return dc.devices.get(port.device)
    return None


# -- meters ---------------------------------------------------------------------------------------


def meters(
    dc: Datacentre, tenant: r.Tenant, readings: Mapping[str, float], owner: str
) -> Iterator[Evidence]:
    """The meters of a tenant's racks, one a feed, as somebody read them off.

    Arguments:
        dc: the datacentre.
        tenant: whose racks.
        readings: kilowatt hours by the feed's name.
        owner: who entered them.
    """
    for rack in racks(dc, tenant):
        for feed in feeds(dc, rack):
            reading = readings.get(feed.name)
            verdict: Verdict = NOT_MEASURED
            found, how = "no meter that we can read, and no reading was entered", _NOBODY
            if reading is not None:
                verdict = PASSED if reading == 0 else FAILED
                found, how = f"{reading:.1f} kWh", f"read off, and entered by {owner}"
            yield Evidence(
                area=METERS,
                item=feed.name,
                what="reading of the meter",
                expected="0.0 kWh",
                found=found,
                how=how,
                verdict=verdict,
            )


# -- isolation ------------------------------------------------------------------------------------


def isolation(proof: Proof) -> Iterator[Evidence]:
    """What a proof of isolation found: each leak, and each switch that could not be read."""
    bad = [
        (", ".join(ref.name for ref in leak.objects), f"{leak.rule}: {leak.found}")
        for leak in proof.leaks
    ]
    bad += list(proof.unread.items())
    good = ("tenants, operator, management", f"no way; {len(proof.paths)} are shared by policy")
    read = "what NetBox says" if proof.source == INTENT else "what the tenant's switches run"
    for item, found in bad or [good]:
        yield _proof(item, found, f"proven from {read} ({proof.switches} switches)", bool(bad))


def not_looked_at(what: str) -> Evidence:
    """What a proof from running switches could not see."""
    return Evidence(
        area=ISOLATION,
        item="the tenant's switches",
        what="proof",
        expected=_APART,
        found=f"not measured: {what}",
        how=_NOBODY,
        verdict=NOT_MEASURED,
    )


def _proof(item: str, found: str, how: str, bad: bool) -> Evidence:
    return Evidence(
        area=ISOLATION,
        item=item,
        what="proof",
        expected=_APART,
        found=found,
        how=how,
        verdict=FAILED if bad else PASSED,
    )
