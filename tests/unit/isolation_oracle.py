"""Who reaches whom, worked out again from docs/tenant-isolation.md in the dumbest way there is.

For tests only: every pair of things is asked whether one hands traffic on to the other, and nothing
is shared with `chapelle.checks.tenancy` but the records, the cables, and what switches intend.
"""

import ipaddress
from collections.abc import Hashable, Iterable
from itertools import product
from typing import Any

from chapelle.errors import InputError
from chapelle.fabric import intent
from chapelle.fabric.platforms import PLATFORMS
from chapelle.fabric.switch import Switch
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre

type Atom = tuple[Hashable, ...]

SWITCHES = {"leaf", "tenant-leaf", "spine", "border", "oob"}
FOR_TENANTS = {"tenant-leaf", "oob", "pdu"}
FABRIC, MANAGEMENT = "the fabric's own table", "the management of machines"
PORTS = {
    "dcim.interface": "interfaces", "dcim.frontport": "front_ports",
    "dcim.rearport": "rear_ports", "dcim.powerport": "power_ports",
    "dcim.poweroutlet": "power_outlets",
}  # fmt: skip


class World:
    """All atoms of one content, whose each is, and which hands on to which."""

    def __init__(self, dc: Datacentre) -> None:
        self.dc = dc
        self.content = dc.content
        self.owner: dict[Atom, str | None] = {}
        self.edges: set[tuple[Atom, Atom]] = set()
        self.role = {role.id: role.slug for role in self.content.roles}
        self.names = {tenant.id: tenant.name for tenant in self.content.tenants}
        self.landlords = {site.tenant for site in self.content.sites}
        self.records()
        self.cables()
        self.switches()

    # -- whose it is ------------------------------------------------------------------------------

    def rented(self, tenant: int | None) -> bool:
        return tenant in self.names and tenant not in self.landlords

    def whose(self, tenant: int | None, *, managing: bool = False) -> str | None:
        if managing and not self.rented(tenant):
            return MANAGEMENT
        return self.names.get(tenant or 0)

    def all_managing(self, prefixes: Iterable[r.Prefix]) -> bool:
        roles = [self.role.get(prefix.role or 0) for prefix in prefixes]
        return bool(roles) and all(role == "management" for role in roles)

    def vlan_owner(self, vlan: r.VLAN) -> str | None:
        on_it = [p for p in self.content.prefixes if p.vlan == vlan.id]
        managing = self.role.get(vlan.role or 0) == "management" or self.all_managing(on_it)
        return self.whose(vlan.tenant, managing=managing)

    def vrf_owner(self, vrf: r.VRF) -> str | None:
        in_it = [p for p in self.content.prefixes if p.vrf == vrf.id]
        return self.whose(vrf.tenant, managing=vrf.name == "management" or self.all_managing(in_it))

    def device(self, number: int, *, managing: bool) -> Atom:
        atom = ("device", number, managing)
        self.owner[atom] = self.whose(self.dc.devices[number].tenant, managing=managing)
        return atom

    def join(self, one: Atom, other: Atom) -> None:
        self.edges |= {(one, other), (other, one)}

    # -- NetBox itself ----------------------------------------------------------------------------

    def records(self) -> None:
        self.owner["fabric",] = FABRIC
        vlans = {v.id: v for v in self.content.vlans}
        for vlan in self.content.vlans:
            self.owner["vlan", vlan.id] = self.vlan_owner(vlan)
        for vrf in self.content.vrfs:
            self.owner["vrf", vrf.id] = self.vrf_owner(vrf)
        for one, other in product(self.content.vrfs, repeat=2):
            if one.id < other.id and one.name == other.name:
                self.join(("vrf", one.id), ("vrf", other.id))
        for prefix in self.content.prefixes:
            self.prefix(prefix)
        for l2vpn in self.content.l2vpns:
            ends = [
                vlans[e.assigned_object_id] for e in self.content.l2vpn_terminations
                if e.l2vpn == l2vpn.id and e.assigned_object_id in vlans
            ]  # fmt: skip
            managing = bool(ends) and all(self.vlan_owner(v) == MANAGEMENT for v in ends)
            self.owner["l2vpn", l2vpn.id] = self.whose(l2vpn.tenant, managing=managing)
            for vlan in ends:
                self.join(("l2vpn", l2vpn.id), ("vlan", vlan.id))
        for address in self.content.ip_addresses:
            self.address(address)
        for port in self.content.interfaces:
            self.port_in_vrf(port)

    def prefix(self, prefix: r.Prefix) -> None:
        atom = ("prefix", prefix.id)
        role = self.role.get(prefix.role or 0)
        whose = self.whose(prefix.tenant, managing=role == "management")
        if role == "loopbacks" and not self.rented(prefix.tenant):
            whose = FABRIC
        self.owner[atom] = whose
        if prefix.vrf:
            self.join(atom, ("vrf", prefix.vrf))
        elif self.rented(prefix.tenant):
            self.join(atom, ("fabric",))
        if prefix.vlan:
            self.join(atom, ("vlan", prefix.vlan))

    def address(self, address: r.IPAddress) -> None:
        port = self.dc.interfaces.get(address.assigned_object_id or 0)
        device = self.dc.devices[port.device] if port else None
        if address.vrf is None:
            return
        if port and device and (port.mgmt_only or self.dc.role_of(device) not in SWITCHES):
            holder = self.device(device.id, managing=port.mgmt_only)
            atom = ("address", address.id)
            explicit = self.rented(address.tenant)
            self.owner[atom] = self.names[address.tenant] if explicit else self.owner[holder]
            if self.owner[atom] is not None:
                self.join(atom, ("vrf", address.vrf))
                self.join(atom, holder)
        elif self.rented(address.tenant):
            self.owner["address", address.id] = self.names[address.tenant or 0]
            self.join(("address", address.id), ("vrf", address.vrf))

    def port_in_vrf(self, port: r.Interface) -> None:
        if port.vrf is None:
            return
        device = self.dc.devices[port.device]
        if port.mgmt_only or self.dc.role_of(device) not in SWITCHES:
            self.join(self.device(device.id, managing=port.mgmt_only), ("vrf", port.vrf))
            return
        for far in self.far(port):
            other = self.dc.devices[far.device]
            if far.mgmt_only or self.dc.role_of(other) not in SWITCHES:
                self.join(self.device(other.id, managing=far.mgmt_only), ("vrf", port.vrf))

    # -- cables -----------------------------------------------------------------------------------

    def far(self, port: r.Interface) -> list[r.Interface]:
        ends = self.dc.peers("dcim.interface", port.cable, port.id)
        return [self.dc.interfaces[e.object_id] for e in ends if e.object_type == "dcim.interface"]

    def ends(self, terminations: Iterable[r.Termination]) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for end in terminations:
            records = getattr(self.content, PORTS.get(end.object_type, ""), ())
            found += [(end.object_type, each) for each in records if each.id == end.object_id]
        return found

    def cables(self) -> None:
        for cable in self.content.cables:
            ends = self.ends(cable.a_terminations), self.ends(cable.b_terminations)
            for one, other in product(*ends):
                self.plugged(one, other)
        for port in self.content.interfaces:
            for far in self.far(port):
                self.plugged(("dcim.interface", port), ("dcim.interface", far))

    def plugged(self, one: tuple[str, Any], other: tuple[str, Any]) -> None:
        if one[1].device == other[1].device:
            return
        atoms, ends, free = [], 0, False
        for kind, port in (one, other):
            device = self.dc.devices[port.device]
            managing = getattr(port, "mgmt_only", False)
            atoms.append(self.device(device.id, managing=managing))
            switch = self.dc.role_of(device) in SWITCHES
            ends += kind == "dcim.interface" and (managing or not switch)
            panel = kind in ("dcim.frontport", "dcim.rearport")
            if not self.rented(device.tenant):
                free |= panel or self.dc.role_of(device) in FOR_TENANTS
        tenants = [self.dc.devices[port.device].tenant for _, port in (one, other)]
        foreign = tenants[0] != tenants[1] and any(map(self.rented, tenants)) and not free
        if ends == 2 or foreign:
            self.join(atoms[0], atoms[1])

    # -- switches ---------------------------------------------------------------------------------

    def switches(self) -> None:
        there: list[tuple[r.Device, Switch]] = []
        for device in self.content.devices:
            gone = device.status in ("inventory", "decommissioning")
            if self.dc.role_of(device) in SWITCHES and not gone:
                try:
                    there.append((device, intent.intent(self.dc, device)))
                except InputError:
                    continue
        things: list[tuple[Atom, Any]] = []
        for device, switch in there:
            things += self.on_switch(device, switch)
        for (one, a), (other, b) in product(things, repeat=2):
            if one != other and (a.vni == b.vni or {*a.import_targets} & {*b.export_targets}):
                self.edges.add((one, other))
        self.vni_owners(things)
        for device, switch in there:
            self.ports(device, switch, there)

    def on_switch(self, device: r.Device, switch: Switch) -> list[tuple[Atom, Any]]:
        kind = PLATFORMS[switch.platform]
        things: list[tuple[Atom, Any]] = []
        for vrf in switch.vrfs:
            same = [v for v in self.content.vrfs if kind.vrf(v.name) == vrf.name]
            atom = ("table", device.id, vrf.name)
            if atom not in self.owner:
                self.owner[atom] = self.owner["vrf", same[0].id]
                self.join(atom, ("vrf", same[0].id))
            if same[0].custom_fields["l3vni"] == vrf.overlay.vni:
                things.append((atom, vrf.overlay))
        for vlan in switch.vlans:
            atom = ("lan", device.id, vlan.vid)
            if vlan.overlay:
                things.append((atom, vlan.overlay))
            if vlan.vrf:
                self.join(atom, ("table", device.id, vlan.vrf))
        for port in self.dc.interfaces_by_device[device.id]:
            if not port.mgmt_only:
                self.carried(device, switch, port)
            elif port.cable is None:
                self.managed_in_band(device, switch, port)
        return things

    def carried(self, device: r.Device, switch: Switch, port: r.Interface) -> None:
        """Which record of NetBox's a VLAN on the switch is: one that a port of it carries."""
        for far in (*self.far(port), port):
            for end in (port, far):
                group = self.dc.interfaces.get(end.lag or 0) or end
                ids = {group.untagged_vlan, *group.tagged_vlans}
                for address in self.content.ip_addresses:
                    if address.assigned_object_id == end.id:
                        vlan = self.vlan_of(address)
                        ids |= {vlan.id} if vlan else set()
                for vlan in (v for v in self.content.vlans if v.id in ids):
                    for own in switch.vlans:
                        if (own.vid, own.name) == (vlan.vid, vlan.name):
                            atom = ("lan", device.id, vlan.vid)
                            self.owner[atom] = self.owner["vlan", vlan.id]
                            self.join(atom, ("vlan", vlan.id))

    def vlan_of(self, address: r.IPAddress) -> r.VLAN | None:
        network = str(ipaddress.ip_interface(address.address).network)
        found = [p for p in self.content.prefixes if p.vrf == address.vrf and p.prefix == network]
        return self.dc.vlans.get(found[-1].vlan or 0) if found else None

    def managed_in_band(self, device: r.Device, switch: Switch, port: r.Interface) -> None:
        for address in self.content.ip_addresses:
            vlan = self.vlan_of(address) if address.assigned_object_id == port.id else None
            if vlan and vlan.vid in {own.vid for own in switch.vlans}:
                self.join(self.device(device.id, managing=True), ("lan", device.id, vlan.vid))

    def vni_owners(self, things: list[tuple[Atom, Any]]) -> None:
        """A VNI is whose it is in NetBox, on whichever switch it is, and once only."""
        owners = [(("l2vpn", l2vpn.id), l2vpn.identifier) for l2vpn in self.content.l2vpns]
        owners += [(("vrf", vrf.id), vrf.custom_fields.get("l3vni")) for vrf in self.content.vrfs]
        numbered = [*owners, *((atom, overlay.vni) for atom, overlay in things)]
        for (one, vni), (other, same) in product(owners, numbered):
            if vni is not None and vni == same and one != other:
                self.join(one, other)

    def ports(self, device: r.Device, switch: Switch, there: list[tuple[r.Device, Switch]]) -> None:
        for one in switch.attachments:
            for name in one.ports:
                (port,) = [i for i in self.dc.interfaces_by_device[device.id] if i.name == name]
                for far in self.far(port):
                    other = self.dc.devices[far.device]
                    if far.mgmt_only or self.dc.role_of(other) not in SWITCHES:
                        atom = self.device(other.id, managing=far.mgmt_only)
                        for vid in one.vids:
                            self.join(atom, ("lan", device.id, vid))
                        continue
                    for there_device, there_switch in there:
                        if there_device.id == other.id:
                            self.trunk(device, one, there_switch, far)

    def trunk(self, device: r.Device, one: Any, switch: Switch, far: r.Interface) -> None:
        for other in switch.attachments:
            if far.name not in other.ports:
                continue
            for vid in one.vids:
                if vid == one.untagged:
                    arrives = other.untagged
                else:
                    arrives = vid if vid in other.vids else None
                if arrives is not None:
                    self.edges.add((("lan", device.id, vid), ("lan", far.device, arrives)))

    # -- the answer -------------------------------------------------------------------------------

    def pairs(self, *, through: bool) -> set[tuple[str, str]]:
        """Who reaches whom; `through` the parts of third parties, or only by nobody's."""
        out: dict[Atom, set[Atom]] = {}
        for one, other in self.edges:
            out.setdefault(one, set()).add(other)
        found = set()
        for party in {owner for owner in self.owner.values() if owner}:
            pending = [atom for atom, owner in self.owner.items() if owner == party]
            seen = set(pending)
            while pending:
                for atom in out.get(pending.pop(), set()) - seen:
                    owner = self.owner.get(atom)
                    if owner not in (None, party):
                        found.add((party, owner))
                    if owner in (None, party) or through:
                        seen.add(atom)
                        pending.append(atom)
        return {(one, other) for one, other in found if other is not None}
