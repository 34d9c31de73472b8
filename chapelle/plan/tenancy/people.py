"""The tenant itself, and whom to call."""

from chapelle.errors import RefusedError
from chapelle.model import tenancy
from chapelle.model.tenancy import REQUEST
from chapelle.plan.tenancy.work import Work, by_slug

_TENANT = "tenancy.tenant"


def plan(work: Work) -> None:
    """Make the tenant and its contacts, as far as they are not there.

    Raises:
        RefusedError: the reference is of another tenant's request, or the slug or the name is of
            somebody else.
        InputError: NetBox has no such contact role.
    """
    _tenant(work)
    _require_reference(work)
    for contact in work.request.tenant.contacts:
        _contact(work, contact)


def _tenant(work: Work) -> None:
    asked = work.request.tenant
    found = next((t for t in work.dc.content.tenants if t.slug == asked.slug), None)
    alike = next((t for t in work.dc.content.tenants if t.name == asked.name), None)
    other = found or alike
    if other and (other.slug, other.name) != (asked.slug, asked.name):
        raise RefusedError(
            "The tenant of the request is not the one that NetBox knows; nothing was changed.",
            where=f"tenant {other.slug} in NetBox",
            expected=f"{asked.name} with slug {asked.slug}, or neither of them",
            found=f"{other.name} with slug {other.slug}",
            remedy="write name and slug as NetBox has them, or choose others",
        )
    if found and found.id == work.site.tenant:
        raise RefusedError(
            f"{found.name} runs the datacentre and rents nothing in it.",
            where=f"request {work.request.reference}",
            expected="another tenant than that of the site",
            found=found.slug,
        )
    if found is None:
        work.tenant = work.create("tenants", name=asked.name, slug=asked.slug)
        work.words.append(f"tenant {asked.name} is new")
    else:
        work.tenant = found.id


def _require_reference(work: Work) -> None:
    """Make sure that nobody else's objects carry the reference of the request."""
    for list_name in ("racks", "rack_reservations", "devices", "vrfs", "vlans", "prefixes", "asns"):
        for record in getattr(work.dc.content, list_name):
            named = record.custom_fields.get(REQUEST)
            if named == work.request.reference and record.tenant not in (None, work.tenant):
                other = work.holder(record)
                what = f"Reference {named}"
                raise work.mixed(what, other, f"{list_name}, id {record.id}")


def _contact(work: Work, asked: tenancy.Contact) -> None:
    role = by_slug(work.dc.content.contact_roles, asked.role, "contact role")
    mine = [
        a
        for a in work.draft.content.contact_assignments
        if a.object_type == _TENANT and a.object_id == work.tenant
    ]
    number = _person(work, asked, {a.contact for a in mine})
    if not any(a.contact == number and a.role == role.id for a in mine):
        work.create(
            "contact_assignments",
            object_type=_TENANT,
            object_id=work.tenant,
            contact=number,
            role=role.id,
        )
        work.words.append(f"contact {asked.name} ({role.name})")


def _person(work: Work, asked: tenancy.Contact, own: set[int]) -> int:
    """The contact of that name, with what the request says of it.

    One whom others call too is theirs as well, and is not changed.
    """
    named = [c for c in work.draft.content.contacts if c.name == asked.name]
    said = {"title": asked.title, "phone": asked.phone, "email": asked.email}
    said = {field: value for field, value in said.items() if value}
    for contact in named:
        if all(getattr(contact, field) == value for field, value in said.items()):
            return contact.id
    others = {
        a.contact
        for a in work.dc.content.contact_assignments
        if (a.object_type, a.object_id) != (_TENANT, work.tenant)
    }
    for contact in named:
        if contact.id in own - others:
            work.draft.update("contacts", contact.id, **said)
            work.words.append(f"contact {asked.name} is changed")
            return contact.id
    return work.create("contacts", name=asked.name, **said)
