"""What each tenant that a maintenance window touches is told: about its own things, nothing else.

A notice is put together from what may be in it (an allow-list): the tenant's own devices, racks and
feeds, the site's panels, sources and aisles, times, and whom to call. What an operator wrote as the
reason stays out, since it may name anybody. Whoever shows a notice has nothing else to show.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.names import Index
from chapelle.checks.resilience.touch import Touched, touched
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.maintenance import DeviceEffect, Notice, OwnDevice, OwnRack, Person, Work
from chapelle.model.resilience import Element, Outcome, Window

ROLE = "operations"

# What belongs to the site and to no tenant.
_SHARED = frozenset({"dcim/sites", "dcim/power-panels", "dcim/locations"})


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A window in a plant: its elements, what their loss does and what it touches."""

    plant: Plant
    window: Window
    site: r.Site
    zone: str
    elements: tuple[Element, ...]
    outcome: Outcome
    touched: Touched

    @property
    def dc(self) -> Datacentre:
        return self.plant.dc


def notices(plant: Plant, window: Window, *, site: int, zone: str) -> tuple[Notice, ...]:
    """A notice for each tenant whose devices, racks or feeds a window touches, by name.

    Arguments:
        plant: the datacentre.
        window: the window.
        site: the id of the site that sends them.
        zone: the time zone that they tell times in.
    """
    index = Index(plant)
    elements = tuple(e for ref in window.elements if (e := index.at(ref)) is not None)
    made = _Plan(
        plant=plant,
        window=window,
        site=plant.dc.sites[site],
        zone=zone,
        elements=elements,
        outcome=plant.lose(elements),
        touched=touched(plant, elements),
    )
    tenants = sorted(plant.dc.content.tenants, key=lambda tenant: tenant.name)
    found = (_notice(made, tenant) for tenant in tenants)
    return tuple(notice for notice in found if notice.devices or notice.racks or notice.feeds)


def _notice(made: _Plan, tenant: r.Tenant) -> Notice:
    dc = made.dc
    racks = {
        rack: feeds
        for rack, feeds in made.touched.racks.items()
        if dc.racks[rack].tenant == tenant.id
    }
    shown = {feed for feeds in racks.values() for feed in feeds}
    own_feeds = [f for f in made.touched.feeds - shown if dc.power_feeds[f].tenant == tenant.id]
    sender = _people(dc, "dcim.site", made.site.id)
    if not sender and made.site.tenant is not None:
        sender = _people(dc, "tenancy.tenant", made.site.tenant)
    return Notice(
        window=made.window.id,
        state=made.window.state,
        site=made.site.name,
        tenant=tenant.name,
        slug=tenant.slug,
        starts=made.window.starts,
        ends=made.window.ends,
        zone=made.zone,
        works=tuple(sorted({_work(dc, element, tenant) for element in made.elements})),
        devices=tuple(sorted(_devices(made, tenant))),
        racks=tuple(sorted(_rack(made, dc.racks[rack], feeds) for rack, feeds in racks.items())),
        feeds=tuple(sorted(dc.power_feeds[feed].name for feed in own_feeds)),
        to=_people(dc, "tenancy.tenant", tenant.id),
        sender=sender,
    )


def _work(dc: Datacentre, element: Element, tenant: r.Tenant) -> Work:
    """An element by its kind, and by its name if that is the reader's business."""
    ref = element.ref
    tables: dict[str, Mapping[int, r.Device | r.Rack | r.PowerFeed]] = {
        "dcim/devices": dc.devices,
        "dcim/racks": dc.racks,
        "dcim/power-feeds": dc.power_feeds,
    }
    record = tables.get(ref.endpoint, {}).get(ref.id)
    own = record is not None and record.tenant == tenant.id
    others = (
        word for other in dc.content.tenants if other.id != tenant.id for word in _words(other)
    )
    told = ref.name.casefold()
    if own or (ref.endpoint in _SHARED and not any(word in told for word in others)):
        return Work(kind=element.kind, name=ref.name)
    return Work(kind=element.kind)


def _rack(made: _Plan, rack: r.Rack, feeds: frozenset[int]) -> OwnRack:
    places = {("dcim/racks", rack.id), ("dcim/locations", rack.location)}
    left = [
        feed
        for feed in made.dc.content.power_feeds
        if feed.rack == rack.id and feed.status == "active" and feed.id not in feeds
    ]
    effect: Literal["feeds", "pdu", "dark", "off"]
    if any((e.ref.endpoint, e.ref.id) in places for e in made.elements):
        effect = "off"
    elif feeds:
        effect = "feeds" if left else "dark"
    else:
        effect = "pdu"
    names = sorted(made.dc.power_feeds[feed].name for feed in feeds)
    return OwnRack(name=rack.name, effect=effect, feeds=tuple(names))


def _words(tenant: r.Tenant) -> Iterator[str]:
    """What a name that tells of a tenant has in it."""
    yield from (tenant.name.casefold(), tenant.slug.casefold())


def _devices(made: _Plan, tenant: r.Tenant) -> Iterator[OwnDevice]:
    """The tenant's devices that are touched; twice where both power and network are."""
    dc = made.dc
    lost = {each.id for each in made.outcome.lost}
    for number in made.touched.devices | lost:
        device = dc.devices[number]
        if device.tenant != tenant.id:
            continue
        rack = dc.racks.get(device.rack or 0)
        for effect, parts in _effects(made, number, lost=number in lost):
            yield OwnDevice(
                name=dc.ref(device).name,
                effect=effect,
                rack=rack.name if rack and rack.tenant in (None, tenant.id) else "",
                parts=parts,
            )


def _effects(made: _Plan, device: int, *, lost: bool) -> list[tuple[DeviceEffect, tuple[str, ...]]]:
    """What happens to a device, and which of its ports lead nowhere."""
    found = made.touched
    cords, links = found.cords.get(device, ()), found.links.get(device, ())
    if device in found.off:
        return [("off", ())]
    if lost:
        return [("lost", (*cords, *links))]
    effects: list[tuple[DeviceEffect, tuple[str, ...]]] = []
    if cords:
        inlets = made.plant.power.of_device.get(device, ())
        effects.append(("dark" if inlets and len(cords) == len(inlets) else "cord", cords))
    if links:
        effects.append(("link", links))
    return effects or [("management", found.management[device])]


def _people(dc: Datacentre, object_type: str, number: int) -> tuple[Person, ...]:
    """The contacts with role `operations` of an object, in NetBox's order."""
    roles = {role.id for role in dc.content.contact_roles if role.slug == ROLE}
    contacts = {contact.id: contact for contact in dc.content.contacts}
    assigned: Iterable[r.ContactAssignment] = dc.content.contact_assignments
    found = (
        contacts.get(each.contact)
        for each in assigned
        if (each.object_type, each.object_id) == (object_type, number) and each.role in roles
    )
    return tuple(
        Person(name=each.name, title=each.title, email=each.email, phone=each.phone)
        for each in found
        if each
    )
