"""Which racks a tenant is given: the best that can be offered, or those that the operator names.

Both are judged alike, by `chapelle.checks.tenancy.feasibility`.
"""

import datetime
from collections import Counter
from collections.abc import Sequence

import msgspec

from chapelle.checks.tenancy import feasibility
from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import AVAILABLE, REQUEST, Answer, Option, Request

# What is asked for a tenant that has some of its racks already is a request of its own.
_MORE = ".more"
_LONGEST_REFERENCE = 40

# Reasons that an error names before it only counts the others.
_NAMED = 8


def choose(
    dc: Datacentre, request: Request, names: Sequence[str], number: int, today: datetime.date
) -> Option:
    """The racks that a request is given besides those that it has.

    Arguments:
        dc: the datacentre.
        request: what is asked for.
        names: the racks that the operator wants for it; none, for the best offer.
        number: which of the offers, from 1.
        today: the day by which reservations have expired.

    Raises:
        InputError: the request or a rack's name has no meaning, or there is no such offer.
        RefusedError: nothing can be offered; the error says why.
    """
    held = [rack for rack in dc.content.racks if _is_held(dc, rack, request)]
    missing = (request.space.racks or 1) - len(held)
    chosen = [name for name in names if name not in {rack.name for rack in held}]
    if missing <= 0 and not chosen:
        return Option(racks=tuple(sorted(rack.name for rack in held)))
    asked = request if not held else _rest(request, held, missing)
    if chosen:
        dc = _only(dc, chosen)
    answer = feasibility.answer(dc, asked, today, max(number, 1))
    if not answer.options:
        raise _nothing(request, answer, chosen)
    if number > len(answer.options):
        raise InputError(
            "There is no such offer.",
            where="--option",
            expected=f"a number from 1 to {len(answer.options)}",
            found=str(number),
            remedy="see the offers with invoke tenant.feasibility",
        )
    option = answer.options[max(number, 1) - 1]
    _require_spread(dc, request, held, option)
    return option


def _is_held(dc: Datacentre, rack: r.Rack, request: Request) -> bool:
    tenant = dc.tenants.get(rack.tenant or 0)
    named = rack.custom_fields.get(REQUEST) == request.reference
    return named and tenant is not None and tenant.slug == request.tenant.slug


def _rest(request: Request, held: Sequence[r.Rack], missing: int) -> Request:
    """What a tenant asks for besides what it has."""
    if missing <= 0:
        raise InputError(
            "The request has all its racks, and others are named.",
            where=f"request {request.reference}, --racks",
            expected=f"{len(held)} racks or fewer: {', '.join(rack.name for rack in held)}",
            found="other racks",
            remedy="ask for more racks in the request first",
        )
    space = msgspec.structs.replace(request.space, racks=missing)
    reference = request.reference[: _LONGEST_REFERENCE - len(_MORE)] + _MORE
    return msgspec.structs.replace(request, reference=reference, space=space)


def _only(dc: Datacentre, names: Sequence[str]) -> Datacentre:
    """The datacentre with no other rack to let than these."""
    wanted = {dc.rack(name).id for name in names}
    racks = tuple(
        rack
        if rack.id in wanted or rack.status != AVAILABLE
        else msgspec.structs.replace(rack, status="reserved")
        for rack in dc.content.racks
    )
    return Datacentre(Snapshot(msgspec.structs.replace(dc.content, racks=racks)))


def _require_spread(
    dc: Datacentre, request: Request, held: Sequence[r.Rack], option: Option
) -> None:
    """Make sure that old and new racks together are not too many in one aisle."""
    most = request.space.at_most_per_aisle
    counted = Counter(rack.location for rack in [*held, *map(dc.rack, option.racks)])
    if most is not None and max(counted.values()) > most:
        raise RefusedError(
            "With those that it has, the tenant would have too many racks in one aisle.",
            where=f"request {request.reference}",
            expected=f"at most {most} in each",
            found=f"{max(counted.values())} with {', '.join(option.racks)}",
            remedy="name racks of other aisles with --racks",
        )


def _nothing(request: Request, answer: Answer, chosen: Sequence[str]) -> RefusedError:
    wanted = set(chosen)
    about = [
        refused
        for refused in answer.refused
        if not wanted
        or refused.subject == "the request"
        or wanted & {refused.subject, *refused.racks}
    ]
    lines = [f"{refused.subject}: {refused.reason}" for refused in about]
    more = f"\n            and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return RefusedError(
        "These racks cannot be offered; nothing was changed."
        if chosen
        else "Nothing can be offered; nothing was changed.",
        where=f"request {request.reference} of {request.tenant.name}",
        expected="racks that bear it, also with any one element out",
        found="\n            ".join(lines[:_NAMED]) + more or "no rack",
        remedy="; or ".join(answer.changes) or "invoke tenant.feasibility says more",
    )
