"""What takes a tenant out of the datacentre: withdrawn from the switches first, then released.

The first part leaves the switches nothing to carry, and puts the numbers into quarantine; the
second part, which follows when the switches have followed, gives the racks back. The tenant and
its contacts stay: they say who rented.
"""

import datetime
from collections.abc import Iterable
from typing import Any

import msgspec

from chapelle.errors import RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import Draft
from chapelle.model.tenancy import (
    AVAILABLE,
    CONTRACTED,
    EDGE,
    LET_UNTIL,
    LINK,
    QUARANTINE,
    REQUEST,
    Quarantined,
)
from chapelle.plan.tenancy import quarantine
from chapelle.plan.tenancy.plan import OFFBOARD, Item, TenancyPlan
from chapelle.plan.tenancy.pools import quarantine_of, site_of
from chapelle.plan.tenancy.work import by_slug

# Devices that an error names before it only counts the others.
_NAMED = 10

_INTERFACE = "dcim.interface"


def offboard(dc: Datacentre, tenant_slug: str, today: datetime.date) -> TenancyPlan:
    """Plan that a tenant gives everything back.

    Arguments:
        dc: the datacentre as it is.
        tenant_slug: who leaves.
        today: the day from which quarantine counts.

    Raises:
        InputError: there is no such tenant, or the site does not state its pools.
        RefusedError: equipment is in its racks or hangs on its ports, or it runs the datacentre;
            the error names it.
    """
    leaving = _Leaving(dc, by_slug(dc.content.tenants, tenant_slug, "tenant"), today)
    leaving.require_empty()
    leaving.freeze()
    freeze = len(leaving.draft.changes)
    leaving.release()
    changes = leaving.draft.changes
    _ = leaving.draft.content  # nothing may refer to what is gone
    return TenancyPlan(
        kind=OFFBOARD,
        tenant=tenant_slug,
        name=leaving.tenant.name,
        snapshot=dc.snapshot.hash,
        racks=tuple(sorted(rack.name for rack in leaving.racks)),
        aisles=leaving.aisles(),
        switches=leaving.switches() if changes else (),
        changes=changes,
        freeze=freeze,
        equipment=leaving.equipment() if changes else (),
        words=tuple(leaving.words),
    )


class _Leaving:
    """One tenant that leaves: what it has, and what becomes of it."""

    def __init__(self, dc: Datacentre, tenant: r.Tenant, today: datetime.date) -> None:
        self.dc = dc
        self.tenant = tenant
        self.today = today
        self.site = site_of(dc)
        self.draft = Draft(dc.content)
        self.words: list[str] = []
        self.racks = self._own("racks")
        self.vrfs = self._own("vrfs")
        self.vlans = self._own("vlans")
        self.l2vpns = self._own("l2vpns")
        self.prefixes = self._own("prefixes", in_vrf=True)
        self.addresses = self._own("ip_addresses", in_vrf=True)
        self.edges = [d for d in self._own("devices") if dc.role_of(d) == EDGE]

    def _own(self, list_name: str, *, in_vrf: bool = False) -> list[Any]:
        """What is the tenant's; `in_vrf`: also what has no tenant and is in one of its VRFs."""
        own = {vrf.id for vrf in self.vrfs} if in_vrf else set()
        return [
            record
            for record in getattr(self.dc.content, list_name)
            if record.tenant == self.tenant.id
            or (in_vrf and record.tenant is None and record.vrf in own)
        ]

    # -- whether it may ---------------------------------------------------------------------------

    def require_empty(self) -> None:
        """Make sure that nothing is left in the racks, and nothing on the ports.

        Raises:
            RefusedError: something is.
        """
        if self.tenant.id == self.site.tenant:
            raise RefusedError(
                f"{self.tenant.name} runs the datacentre and cannot leave it.",
                where=f"tenant {self.tenant.slug} in NetBox",
                expected="another tenant than that of the site",
                found=self.tenant.slug,
            )
        left = [*self._standing(), *self._hanging()]
        if left:
            raise RefusedError(
                f"Equipment of {self.tenant.name} is still here; nothing was changed.",
                where=f"racks {', '.join(sorted(rack.name for rack in self.racks)) or '(none)'}",
                expected="empty racks, and nothing on the ports but the tenant's edge",
                found=_counted(left),
                remedy="have it taken out; then take it out of its rack, and its cables out, in "
                "NetBox",
            )
        self._require_requested()

    def _require_requested(self) -> None:
        """Make sure that all networks that would go came with a request of the tenant's."""
        strange = [
            _SAID[name].format(record)
            for name, records in (
                ("vrfs", self.vrfs),
                ("l2vpns", self.l2vpns),
                ("vlans", self.vlans),
                ("prefixes", self.prefixes),
            )
            for record in records
            if not record.custom_fields.get(REQUEST)
        ]
        if strange:
            raise RefusedError(
                f"Not everything that {self.tenant.name} has in NetBox came with a request; "
                "nothing was changed.",
                where=f"tenant {self.tenant.slug} in NetBox",
                expected=f"the reference of a request in custom field {REQUEST} of each",
                found=_counted(strange),
                remedy="delete in NetBox what is not needed, or enter the reference there",
            )

    def _standing(self) -> list[str]:
        """What stands in the racks of the tenant, or is its own and stands anywhere."""
        racks = {rack.id: rack.name for rack in self.racks}
        edges = {device.id for device in self.edges}
        found = []
        for device in self.dc.content.devices:
            foreign = device.rack in racks and device.position is not None
            own = device.tenant == self.tenant.id and device.rack is not None
            if device.id not in edges and (foreign or own):
                rack = self.dc.racks[device.rack or 0]
                unit = f" U{device.position:g}" if device.position is not None else ""
                found.append(f"{device.name} of {self._holder(device)} in {rack.name}{unit}")
        return sorted(found)

    def _hanging(self) -> list[str]:
        """What is plugged into the tenant's ports, or into its equipment, and is not the house's.

        The house is the operator, whose switches and panels the equipment hangs on.
        """
        edges = {device.id for device in self.edges}
        found = set()
        for interface in self.dc.content.interfaces:
            near = self.dc.devices[interface.device]
            own = near.id in edges
            if not own and not (self._refers(interface) and interface.cable):
                continue
            peer = self.dc.peer_interface(interface)
            far = self.dc.devices.get(peer.device) if peer else None
            if far is None or far.id in edges or far.tenant == self.site.tenant:
                continue
            found.add(f"{far.name} of {self._holder(far)} on {near.name} {interface.name}")
        return sorted(found)

    def _refers(self, interface: r.Interface) -> bool:
        """Whether an interface is in one of the tenant's VLANs or VRFs."""
        vlans = {vlan.id for vlan in self.vlans}
        carried = {*interface.tagged_vlans, interface.untagged_vlan}
        return bool(carried & vlans) or interface.vrf in {vrf.id for vrf in self.vrfs}

    def _holder(self, record: Any) -> str:
        tenant = self.dc.tenants.get(record.tenant or 0)
        return tenant.name if tenant else "nobody"

    # -- first part: off the switches -------------------------------------------------------------

    def freeze(self) -> None:
        """Leave the switches nothing to carry; the numbers go into quarantine."""
        for edge in self.edges:
            for port in self.dc.interfaces_by_device.get(edge.id, ()):
                self._pull("interfaces", port.id)
            self.draft.update("devices", edge.id, primary_ip4=None, primary_ip6=None, oob_ip=None)
        for interface in self.dc.content.interfaces:
            if self._refers(interface):
                self._clear(interface)
        own = {l2vpn.id for l2vpn in self.l2vpns}
        ends = [end.id for end in self.dc.content.l2vpn_terminations if end.l2vpn in own]
        self._delete("l2vpn_terminations", ends)
        self._delete("l2vpns", own)
        self._delete("ip_addresses", (address.id for address in self.addresses))
        self._delete("prefixes", (prefix.id for prefix in self.prefixes))
        self._delete("vlans", (vlan.id for vlan in self.vlans))
        self._delete("vrfs", (vrf.id for vrf in self.vrfs))
        self._delete("route_targets", (target.id for target in self._own("route_targets")))
        asns = self._own("asns")
        self._delete("asns", (asn.id for asn in asns))
        self._quarantine(asns)

    def _clear(self, interface: r.Interface) -> None:
        """Take the tenant's networks off an interface."""
        vlans = {vlan.id for vlan in self.vlans}
        device = self.dc.devices[interface.device]
        if device.tenant not in (None, self.tenant.id, self.site.tenant):
            raise RefusedError(
                f"{self.tenant.name} is on another tenant's port; nothing was changed.",
                where=f"device {device.name} in NetBox, interface {interface.name}",
                expected=f"networks of {self._holder(device)} only",
                found=f"one of {self.tenant.name}",
                remedy="correct the interface in NetBox; invoke tenant.isolation says more",
            )
        tagged = tuple(vlan for vlan in interface.tagged_vlans if vlan not in vlans)
        untagged = None if interface.untagged_vlan in vlans else interface.untagged_vlan
        bare = untagged is None and not tagged
        own_vrf = interface.vrf in {vrf.id for vrf in self.vrfs}
        self.draft.update(
            "interfaces",
            interface.id,
            tagged_vlans=tagged,
            untagged_vlan=untagged,
            mode=None if bare else interface.mode,
            vrf=None if own_vrf else interface.vrf,
        )
        self.words.append(f"{device.name} {interface.name}: no network of {self.tenant.name}")

    def _quarantine(self, asns: Iterable[r.ASN]) -> None:
        links = {role.id for role in self.dc.content.roles if role.slug == LINK}
        given = quarantine.Given(
            vids=[vlan.vid for vlan in self.vlans],
            l2vnis=[l2vpn.identifier for l2vpn in self.l2vpns if l2vpn.identifier is not None],
            l3vnis=[n for vrf in self.vrfs if isinstance(n := vrf.custom_fields.get("l3vni"), int)],
            asns=[asn.asn for asn in asns],
            prefixes=[p.prefix for p in self.prefixes if p.role not in links],
            links=[p.prefix for p in self.prefixes if p.role in links],
        )
        back = quarantine.quarantined(self.site, given, self.tenant.slug, self.today)
        if not back:
            return
        there = [one for one in quarantine_of(self.site) if one.until >= self.today]
        kept: tuple[Quarantined, ...] = (*there, *back)
        self.draft.update(
            "sites", self.site.id, custom_fields={QUARANTINE: msgspec.to_builtins(kept)}
        )
        self.words += [f"{one.kind} {one.value}: in quarantine until {one.until}" for one in back]

    # -- second part: the racks -------------------------------------------------------------------

    def release(self) -> None:
        """Give the racks back: nobody's equipment in them, nobody's name on them."""
        for edge in self.edges:
            for cord in self.dc.power_ports_by_device.get(edge.id, ()):
                self._pull("power_ports", cord.id)
            items = self.dc.inventory_by_device.get(edge.id, ())
            self._delete("inventory_items", (item.id for item in items))
            ports = self.dc.interfaces_by_device.get(edge.id, ())
            ordered = sorted(ports, key=lambda port: (port.type == "lag", port.id))
            self._delete("interfaces", (port.id for port in ordered))
            cords = self.dc.power_ports_by_device.get(edge.id, ())
            self._delete("power_ports", (cord.id for cord in cords))
            self._delete("devices", [edge.id])
        self._delete("rack_reservations", (one.id for one in self._own("rack_reservations")))
        for feed in self._own("power_feeds"):
            self.draft.update("power_feeds", feed.id, tenant=None)
        for rack in self.racks:
            empty = {REQUEST: None, CONTRACTED: None, LET_UNTIL: None}
            self.draft.update("racks", rack.id, tenant=None, status=AVAILABLE, custom_fields=empty)
            self.words.append(f"rack {rack.name}: to let again")

    def _pull(self, list_name: str, number: int) -> None:
        """Pull the cable out of a port, if there is one."""
        cable = self.draft.record(list_name, number).cable
        if cable is not None:
            label = self.draft.record("cables", cable).label
            self.draft.delete("cables", cable)
            self.words.append(f"cable {label or cable}: pulled")

    def _delete(self, list_name: str, numbers: Iterable[int]) -> None:
        for number in numbers:
            record = self.draft.record(list_name, number)
            self.draft.delete(list_name, number)
            if said := _SAID.get(list_name):
                self.words.append(f"{said.format(record)}: withdrawn")

    # -- what and where ---------------------------------------------------------------------------

    def equipment(self) -> tuple[Item, ...]:
        """All equipment of the tenant's that NetBox knows of, by name."""
        edges = {device.id for device in self.edges}
        return tuple(
            sorted(self._item(device, device.id in edges) for device in self._own("devices"))
        )

    def _item(self, device: r.Device, leaves: bool) -> Item:
        kind = self.dc.device_types.get(device.device_type)
        rack = self.dc.racks.get(device.rack or 0)
        unit = f" U{device.position:g}" if device.position is not None else ""
        return Item(
            name=device.name or f"device {device.id}",
            model=kind.model if kind else "",
            serial=device.serial,
            asset_tag=device.asset_tag or "",
            place=f"{rack.name}{unit}" if rack else "",
            leaves=leaves,
        )

    def aisles(self) -> tuple[str, ...]:
        """The numbers of the aisles that the tenant is in."""
        places = {thing.location for thing in (*self.racks, *self.edges)}
        found = [
            number
            for number, aisle in self.dc.aisles.items()
            if any(self.dc.is_within(place, aisle.id) for place in places)
        ]
        return tuple(sorted(found, key=int))

    def switches(self) -> tuple[str, ...]:
        """The switches that a tenant in these aisles is on, and the border leafs."""
        aisles = set(self.aisles())
        near = [
            device
            for device in self.dc.devices_by_name.values()
            if self.dc.role_of(device) in ("tenant-leaf", "oob")
            and self.dc.aisle_number(device) in aisles
        ]
        return tuple(sorted(device.name or "" for device in (*near, *self.dc.borders)))


def _counted(names: list[str]) -> str:
    """The first of them, one a line, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return "\n            ".join(names[:_NAMED]) + more


# How people call things that are withdrawn; what only belongs to another one is not named.
_SAID = {
    "vlans": "VLAN {0.vid} {0.name}",
    "l2vpns": "L2VPN {0.name}, VNI {0.identifier}",
    "vrfs": "VRF {0.name}",
    "prefixes": "prefix {0.prefix}",
    "asns": "AS number {0.asn}",
    "devices": "device {0.name}",
}
