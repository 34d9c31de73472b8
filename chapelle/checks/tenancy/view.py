"""What one tenant may see: put together field by field from its own things, then searched.

An allow-list: each field is copied by its name, from objects that are the tenant's or that it must
know to work in its racks (the feeds and PDUs there, the switch ports that its own are patched to,
whom to call). Nothing is taken out of something larger. Whoever shows a view has nothing else.
"""

from collections.abc import Iterator

from chapelle.checks.tenancy import strangers, view_space
from chapelle.checks.tenancy.own import Own
from chapelle.checks.tenancy.view_network import Wiring, networks
from chapelle.errors import RefusedError
from chapelle.model.acceptance import Acceptance, for_tenant
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenant_view import Person, TenantView

OPERATIONS = "operations"


def view(dc: Datacentre, slug: str, acceptance: Acceptance | None = None) -> TenantView:
    """What the tenant of that slug may see.

    Arguments:
        dc: the datacentre.
        slug: the tenant's slug.
        acceptance: what the acceptance of its racks found, if there was one.

    Raises:
        InputError: there is no such tenant, or it is the one who lets the space.
        RefusedError: the acceptance is of another tenant; or something names a neighbour.
    """
    own = Own(dc, slug)
    if acceptance and acceptance.tenant != slug:
        raise RefusedError(
            "This is the acceptance of another tenant.",
            where=f"run {acceptance.run}",
            expected=f"one of {slug}",
            found=acceptance.tenant,
        )
    wiring, supply = Wiring(own), view_space.Supply(own)
    racks = view_space.racks(own)
    made = TenantView(
        tenant=own.tenant.name,
        slug=own.tenant.slug,
        site=own.site.name if own.site else "",
        operator=own.operator.name if own.operator else "",
        references=tuple(sorted({rack.request for rack in racks if rack.request})),
        vrfs=tuple(sorted(vrf.name for vrf in own.vrfs.values())),
        snapshot=dc.snapshot.hash,
        racks=racks,
        devices=view_space.devices(own),
        feeds=supply.feeds(),
        outlets=supply.outlets(),
        ports=wiring.ports(),
        groups=wiring.groups(),
        networks=networks(own, wiring),
        bgp=wiring.bgp(),
        contacts=tuple(_people(dc, "tenancy.tenant", own.tenant.id)),
        operator_contacts=tuple(_operators(own)),
        acceptance=for_tenant(acceptance) if acceptance else None,
    )
    strangers.refuse(own, made)
    return made


def _operators(own: Own) -> list[Person]:
    """Whom at the site to call: the operations contacts of the site, or else of its operator."""
    found = list(_people(own.dc, "dcim.site", own.site.id, OPERATIONS)) if own.site else []
    if not found and own.operator:
        found = list(_people(own.dc, "tenancy.tenant", own.operator.id, OPERATIONS))
    return found


def _people(dc: Datacentre, object_type: str, number: int, role: str = "") -> Iterator[Person]:
    """The contacts of an object, in NetBox's order; of that role, if one is named."""
    roles = {each.id: each for each in dc.content.contact_roles}
    contacts = {each.id: each for each in dc.content.contacts}
    for each in dc.content.contact_assignments:
        contact, held = contacts.get(each.contact), roles.get(each.role or 0)
        slug = held.slug if held else ""
        if (each.object_type, each.object_id) != (object_type, number) or contact is None:
            continue
        if role in ("", slug):
            yield Person(
                name=contact.name,
                role=slug,
                role_name=held.name if held else "",
                title=contact.title,
                email=contact.email,
                phone=contact.phone,
            )
