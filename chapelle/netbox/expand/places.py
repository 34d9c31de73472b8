"""Expand who and where: tenancy, customization, the site, its aisles and racks."""

from typing import Any

import msgspec

from chapelle.model.resilience import SOURCES, WAIVERS
from chapelle.model.tenancy import POOLS
from chapelle.netbox.design.schema import Coloured, Named
from chapelle.netbox.expand.context import Context, RackPlace
from chapelle.netbox.expand.desired import Ref


def expand(context: Context) -> None:
    """Add the items of customization.yml, tenancy.yml, site.yml and racks.yml."""
    _customization(context)
    _tenancy(context)
    _site(context)
    _racks(context)


def named(context: Context, kind: str, things: list[Named] | list[Coloured], path: str) -> None:
    """Add things that have a name, a slug and perhaps a colour."""
    for i, thing in enumerate(things):
        origin = f"{path}[{i}]" if len(things) > 1 else path
        fields = {"name": thing.name, "slug": thing.slug, "description": thing.description}
        if isinstance(thing, Coloured):
            fields["color"] = thing.color
        context.add(kind, (thing.slug,), fields, origin)


def _customization(context: Context) -> None:
    file = context.design.customization
    named(context, "tags", [file.managed_tag], "customization.yml: managed_tag")
    for i, choice_set in enumerate(file.choice_sets):
        choices = {
            "name": choice_set.name,
            "extra_choices": [[value, label] for value, label in choice_set.choices.items()],
            "description": choice_set.description,
        }
        origin = f"customization.yml: choice_sets[{i}]"
        context.add("custom_field_choice_sets", (choice_set.name,), choices, origin)
    for i, field in enumerate(file.custom_fields):
        origin = f"customization.yml: custom_fields[{i}]"
        chosen = field.choice_set
        if (chosen is None) is (field.type == "select"):
            expected = "a choice_set for type select, and for no other type"
            context.problem(origin, expected, f"type {field.type}, choice_set {chosen}")
        fields: dict[str, Any] = {
            "name": field.name,
            "label": field.label,
            "type": field.type,
            "object_types": sorted(field.object_types),
            "choice_set": Ref("custom_field_choice_sets", (chosen,)) if chosen else None,
            "ui_editable": "yes" if field.editable else "no",
            "validation_minimum": field.minimum,
            "validation_maximum": field.maximum,
            "description": field.description,
        }
        context.add("custom_fields", (field.name,), fields, origin)


def _tenancy(context: Context) -> None:
    file = context.design.tenancy
    named(context, "tenant_groups", file.groups, "tenancy.yml: groups")
    named(context, "contact_roles", file.contact_roles, "tenancy.yml: contact_roles")
    for i, contact in enumerate(file.contacts):
        person = {
            "name": contact.name,
            "title": contact.title,
            "email": contact.email,
            "phone": contact.phone,
        }
        context.add("contacts", (contact.name,), person, f"tenancy.yml: contacts[{i}]")
    for i, tenant in enumerate(file.tenants):
        origin = f"tenancy.yml: tenants[{i}]"
        fields = {
            "name": tenant.name,
            "slug": tenant.slug,
            "group": Ref("tenant_groups", (tenant.group,)),
            "description": tenant.description,
        }
        owner = context.add("tenants", (tenant.slug,), fields, origin)
        for j, link in enumerate(tenant.contacts):
            context.add(
                "contact_assignments",
                (tenant.slug, link.contact, link.role),
                {
                    "object_type": "tenancy.tenant",
                    "object_id": owner,
                    "contact": Ref("contacts", (link.contact,)),
                    "role": Ref("contact_roles", (link.role,)),
                    "priority": link.priority,
                },
                f"{origin}.contacts[{j}]",
            )


def tenant(slug: str | None) -> Ref | None:
    """The tenant of that slug."""
    return Ref("tenants", (slug,)) if slug else None


def location(context: Context, aisle: int) -> Ref:
    """The location that is the aisle of that number."""
    slug = context.render(context.design.site.aisles.slug, "site.yml: aisles.slug", aisle=aisle)
    return Ref("locations", (slug,))


def _site(context: Context) -> None:
    file = context.design.site
    named(context, "regions", [file.region], "site.yml: region")
    site = file.site
    fields = {
        "name": site.name,
        "slug": site.slug,
        "region": Ref("regions", (file.region.slug,)),
        "tenant": tenant(site.tenant),
        "time_zone": site.time_zone,
        "physical_address": site.physical_address,
        "description": site.description,
        "status": "active",
        "custom_fields": {
            "dns_domain": site.domain,
            SOURCES: _sources(context),
            WAIVERS: msgspec.to_builtins(context.design.resilience.waivers),
            POOLS: _as_json(context.design.tenancy.pools),
        },
    }
    context.add("sites", (site.slug,), fields, "site.yml: site", initial=("status",))
    for aisle in context.aisles:
        name = context.render(file.aisles.name, "site.yml: aisles.name", aisle=aisle)
        ref = location(context, aisle)
        context.add(
            "locations",
            ref.key,
            {"name": name, "slug": ref.key[0], "site": context.site, "status": "active"},
            "site.yml: aisles",
            initial=("status",),
            lane=aisle,
        )


def _sources(context: Context) -> dict[str, Any]:
    """What the site says of its power, as `chapelle.model.resilience.Sources`."""
    power = context.design.power
    return {
        "power_factor": power.power_factor,
        "sources": {
            source.name: {
                "kind": source.kind,
                "fed_by": source.fed_by,
                "capacity_kva": source.capacity_kva,
            }
            for source in power.sources
        },
    }


def _racks(context: Context) -> None:
    file = context.design.racks
    named(context, "rack_roles", file.roles, "racks.yml: roles")
    for i, spec in enumerate(file.racks):
        origin = f"racks.yml: racks[{i}]"
        for number in context.numbers(spec.numbers, "racks.yml", f"racks[{i}].numbers"):
            for aisle in context.aisles:
                name = context.render(spec.name, f"{origin}.name", aisle=aisle, rack=number)
                place = RackPlace(name=name, aisle=aisle, number=number, spec=spec, origin=origin)
                if (aisle, number) in context.racks:
                    other = context.racks[aisle, number].origin
                    found = f"rack {number} of aisle {aisle}, which {other} has already"
                    context.problem(f"{origin}.numbers", "each rack number once", found)
                    continue
                context.racks[aisle, number] = place
                _rack(context, place)


def _rack(context: Context, place: RackPlace) -> None:
    spec = place.spec
    fields = {
        "name": place.name,
        "site": context.site,
        "location": location(context, place.aisle),
        "role": Ref("rack_roles", (spec.role,)),
        "tenant": tenant(spec.tenant),
        "status": spec.status,
        "u_height": spec.u_height,
        "max_weight": spec.max_weight_kg,
        "weight_unit": "kg" if spec.max_weight_kg else None,
    }
    # A rack that is let changes its status, role and tenant in NetBox.
    context.add(
        "racks",
        (place.name,),
        fields,
        place.origin,
        initial=("status", "role", "tenant"),
        lane=place.aisle,
    )


def _as_json(value: object) -> Any:
    """What NetBox gives back for a JSON field that holds this: lists and no tuples."""
    return msgspec.json.decode(msgspec.json.encode(value))
