"""What brings a tenant into the datacentre, or gives it more: one plan, complete or refused.

What the tenant has already stays as it is, so that a request that was carried out gives an empty
plan, and one that asks for more gives the rest. Nothing of anybody else is changed but the
operator's own ports, to which the tenant is plugged in.
"""

import datetime

from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import Option, Request
from chapelle.plan.tenancy import edge, overlay, people, space
from chapelle.plan.tenancy.plan import ONBOARD, TenancyPlan
from chapelle.plan.tenancy.work import Work


def onboard(dc: Datacentre, request: Request, option: Option, today: datetime.date) -> TenancyPlan:
    """Plan everything that a request asks for.

    Arguments:
        dc: the datacentre as it is.
        request: what the tenant asks for.
        option: the racks that it gets besides those that it has; all of them may be named.
        today: the day by which reservations and quarantine count.

    Raises:
        InputError: NetBox or the request lacks something, or says what cannot be.
        RefusedError: something is another tenant's, is not free, or would be renumbered; or the
            request has lapsed.
    """
    space.require_current(request, today)
    work = Work(dc, request, today)
    people.plan(work)
    racks = space.plan(work, option)
    networks = overlay.plan(work)
    aisles = edge.plan(work, racks, networks)
    work.switches |= {device.name or "" for device in dc.borders}  # they have every VRF
    changes = work.draft.changes
    return TenancyPlan(
        kind=ONBOARD,
        tenant=request.tenant.slug,
        name=request.tenant.name,
        reference=request.reference,
        snapshot=dc.snapshot.hash,
        racks=tuple(rack.name for rack in racks),
        units=option.units,
        aisles=aisles,
        switches=tuple(sorted(work.switches)) if changes else (),
        taken=tuple(work.free.taken),
        changes=changes,
        freeze=len(changes),
        words=tuple(work.words),
    )
