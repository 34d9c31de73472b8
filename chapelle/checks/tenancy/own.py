"""What belongs to one tenant, what is the operator's, and hence what the tenant may be shown."""

from functools import cached_property

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

_STALE = "stale"


class Own:
    """The things of one tenant in a datacentre.

    Arguments:
        dc: the datacentre.
        slug: the tenant's slug.

    Raises:
        InputError: there is no such tenant, or it is the one who lets the space.
    """

    def __init__(self, dc: Datacentre, slug: str) -> None:
        self.dc = dc
        self.tenant = _tenant(dc, slug)
        self.racks = {rack.id: rack for rack in dc.content.racks if self._rents(rack)}
        sites = [dc.sites[rack.site] for rack in self.racks.values() if rack.site in dc.sites]
        self.site = next(iter([*sites, *dc.content.sites]), None)
        self.operator = dc.tenants.get((self.site.tenant if self.site else None) or 0)
        if self.operator and self.operator.id == self.tenant.id:
            raise InputError(
                "This tenant lets the space to the others.",
                where=f"tenant {slug}",
                expected="a tenant who rents",
                found=f"the tenant of site {self.site.name if self.site else ''}",
            )
        self.devices = {d.id: d for d in dc.content.devices if d.tenant == self.tenant.id}
        self.vrfs = {vrf.id: vrf for vrf in dc.content.vrfs if vrf.tenant == self.tenant.id}
        self.vlans = {vlan.id: vlan for vlan in dc.content.vlans if vlan.tenant == self.tenant.id}

    def shared(self, owner: int | None) -> bool:
        """Whether something of that owner's may be shown: the tenant's, the operator's, nobody's.

        Only for what tenants share by its nature, such as switches, PDUs and feeds.
        """
        return owner in (None, self.tenant.id, self.operator.id if self.operator else None)

    @cached_property
    def reservations(self) -> dict[int, tuple[r.RackReservation, ...]]:
        """The tenant's reservations in each rack; those that are stale do not count."""
        return self._reservations(of_tenant=True)

    def let_units(self, rack: r.Rack) -> tuple[int, ...]:
        """The units of a rack that are the tenant's: all but others', or those reserved for it."""
        if rack.tenant == self.tenant.id:
            others = self._reservations(of_tenant=False).get(rack.id, ())
            taken = {unit for reservation in others for unit in reservation.units}
            return tuple(unit for unit in range(1, rack.u_height + 1) if unit not in taken)
        units = {u for reservation in self.reservations.get(rack.id, ()) for u in reservation.units}
        return tuple(sorted(units))

    def aisle(self, rack: r.Rack) -> str:
        """The number of the aisle that a rack stands in, or the empty string."""
        aisles = self.dc.aisles.items()
        return next((n for n, place in aisles if self.dc.is_within(rack.location, place.id)), "")

    def _rents(self, rack: r.Rack) -> bool:
        """Whether the rack is the tenant's; units of a rack are, where nobody else has the rack."""
        if rack.tenant is None:
            return rack.id in self.reservations
        return rack.tenant == self.tenant.id

    def _reservations(self, *, of_tenant: bool) -> dict[int, tuple[r.RackReservation, ...]]:
        found: dict[int, tuple[r.RackReservation, ...]] = {}
        for each in self.dc.content.rack_reservations:
            mine = each.tenant == self.tenant.id
            if mine == of_tenant and each.status != _STALE:
                found[each.rack] = (*found.get(each.rack, ()), each)
        return found


def _tenant(dc: Datacentre, slug: str) -> r.Tenant:
    for tenant in dc.content.tenants:
        if tenant.slug == slug:
            return tenant
    raise InputError(
        f"There is no tenant {slug!r}.",
        where="the snapshot of NetBox",
        expected="the slug of a tenant: " + ", ".join(sorted(t.slug for t in dc.content.tenants)),
        found=repr(slug),
    )
