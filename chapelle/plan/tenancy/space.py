"""The racks of a tenant: who has them, until when, what may be drawn there, and which feeds."""

import datetime

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.tenancy import (
    AVAILABLE,
    CONTRACTED,
    HELD_UNTIL,
    LET_UNTIL,
    REQUEST,
    Option,
    Request,
)
from chapelle.plan.tenancy.work import Work

_ACTIVE = "active"
_STALE = "stale"


def held(work: Work) -> list[r.Rack]:
    """The racks that the request has already, by name."""
    reference = work.request.reference
    found = [
        rack
        for rack in work.dc.content.racks
        if rack.tenant == work.tenant and rack.custom_fields.get(REQUEST) == reference
    ]
    return sorted(found, key=lambda rack: rack.name)


def require_current(request: Request, today: datetime.date) -> None:
    """Make sure that the request is neither over nor lapsed.

    Raises:
        RefusedError: it is.
    """
    lapsed = request.starts is None and request.held_until < today
    ended = request.ends is not None and request.ends < today
    if lapsed or ended:
        raise RefusedError(
            f"Request {request.reference} "
            + ("ended." if ended else "has lapsed: nothing was signed in time."),
            where=f"request {request.reference} of {request.tenant.name}",
            expected=f"ends (and held_until, unless starts says that it is signed) from {today} on",
            found=f"ends {request.ends}" if ended else f"held_until {request.held_until}",
            remedy="ask the tenant; then write other dates, or invoke tenant.offboard "
            f"{request.tenant.slug}",
        )


def plan(work: Work, option: Option) -> list[r.Rack]:
    """Give the racks of an option to the tenant, and keep those that it has.

    Returns:
        All racks of the request, by name, as they are before.

    Raises:
        InputError: there is no such rack, or a number of racks that the request does not ask for.
        RefusedError: a rack is somebody else's, or is not available.
    """
    before = held(work)
    racks = {rack.name: rack for rack in before}
    racks |= {name: work.dc.rack(name) for name in option.racks}
    _require_number(work, option, len(racks), len(before))
    for name in sorted(racks):
        _require_free(work, racks[name], before)
        _rack(work, racks[name], option)
    return [racks[name] for name in sorted(racks)]


def _require_number(work: Work, option: Option, number: int, before: int) -> None:
    asked = work.request.space.racks or 1
    units = len(set(option.units))
    if not before and work.request.space.units != (units or None):
        raise InputError(
            "The units are not as many as the request asks for.",
            where=f"request {work.request.reference}",
            expected=f"{work.request.space.units or 'no'} units",
            found=str(units or "none"),
        )
    if number != asked:
        raise InputError(
            "The racks are not as many as the request asks for.",
            where=f"request {work.request.reference}",
            expected=f"{asked} racks, {before} of which the tenant has",
            found=f"{number} with those that were chosen",
            remedy="choose as many as are missing; a tenant gives all its racks back with "
            "invoke tenant.offboard",
        )


def _require_free(work: Work, rack: r.Rack, before: list[r.Rack]) -> None:
    where = f"rack {rack.name}"
    if rack.tenant is not None and rack not in before:
        raise work.mixed(f"Rack {rack.name}", work.holder(rack), where)
    if rack not in before and rack.status != AVAILABLE:
        raise RefusedError(
            f"Rack {rack.name} is not to let now.",
            where=f"{where} in NetBox",
            expected=f"status {AVAILABLE}",
            found=f"status {rack.status}",
            remedy="choose another rack, or set its status in NetBox when it is free",
        )
    for device in work.dc.content.devices:
        stranger = device.position is not None and device.tenant != work.tenant
        if device.rack == rack.id and stranger:
            raise work.mixed(f"Rack {rack.name}", f"{device.name} of {work.holder(device)}", where)


def _rack(work: Work, rack: r.Rack, option: Option) -> None:
    request, count = work.request, len(work.draft.changes)
    space = request.space
    work.draft.update(
        "racks",
        rack.id,
        tenant=work.tenant,
        status=_ACTIVE,
        custom_fields={
            REQUEST: request.reference,
            CONTRACTED: round(space.kw_per_rack * 1000),
            LET_UNTIL: _day(request.ends),
        },
    )
    _reservation(work, rack, option)
    _feeds(work, rack)
    if len(work.draft.changes) > count:
        until = f" until {request.ends}" if request.ends else ""
        work.words.append(
            f"rack {rack.name}: to {request.tenant.name}{until}, {space.kw_per_rack:g} kW"
        )


def _reservation(work: Work, rack: r.Rack, option: Option) -> None:
    request = work.request
    wanted = set(range(1, rack.u_height + 1))
    if request.space.units:
        wanted = {*option.units, top(work, rack)}
    mine: r.RackReservation | None = None
    for each in work.dc.content.rack_reservations:
        if each.rack != rack.id:
            continue
        if each.tenant == work.tenant:
            mine = each
        elif wanted & set(each.units):
            _clear(work, rack, each)
    said = {
        "tenant": work.tenant,
        "status": _ACTIVE,
        "description": f"{request.reference}, {request.tenant.name}"[:200],
    }
    fields = {REQUEST: request.reference, HELD_UNTIL: request.held_until.isoformat()}
    if mine is None:
        units = tuple(sorted(wanted))
        work.create("rack_reservations", rack=rack.id, units=units, custom_fields=fields, **said)
    else:
        work.draft.update("rack_reservations", mine.id, custom_fields=fields, **said)


def top(work: Work, rack: r.Rack) -> int:
    """The highest unit of a rack that nothing is in: where the tenant's edge goes.

    Raises:
        RefusedError: it is full.
    """
    standing = [device for device in work.dc.content.devices if device.rack == rack.id]
    filled = {unit for device in standing for unit in work.dc.units(device)}
    free = [unit for unit in range(1, rack.u_height + 1) if unit not in filled]
    if not free:
        raise RefusedError(
            f"Rack {rack.name} is full; nothing was changed.",
            where=f"rack {rack.name} in NetBox",
            expected="a free unit for the tenant's equipment",
            found="none",
        )
    return max(free)


def _clear(work: Work, rack: r.Rack, other: r.RackReservation) -> None:
    """Remove somebody else's reservation if its day is past; else it holds.

    Raises:
        RefusedError: it holds.
    """
    until = other.custom_fields.get(HELD_UNTIL)
    lapsed = isinstance(until, str) and datetime.date.fromisoformat(until) < work.today
    holder = work.holder(other)
    if not lapsed and other.status != _STALE:
        held_by = f"{holder}, reserved until {until or '(open)'}"
        raise work.mixed(f"Rack {rack.name}", held_by, f"reservation {other.id} of {rack.name}")
    work.draft.delete("rack_reservations", other.id)
    work.words.append(f"rack {rack.name}: the reservation of {holder} lapsed ({until}) and goes")


def _feeds(work: Work, rack: r.Rack) -> None:
    for feed in work.dc.content.power_feeds:
        if feed.rack != rack.id:
            continue
        if feed.tenant not in (None, work.tenant):
            raise work.mixed(
                f"Power feed {feed.name}", work.holder(feed), f"power feed {feed.name}"
            )
        work.draft.update("power_feeds", feed.id, tenant=work.tenant)


def _day(day: datetime.date | None) -> str | None:
    return day.isoformat() if day else None
