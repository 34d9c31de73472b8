"""Whose a thing of NetBox's is: a tenant's, the operator's, or that of the management of machines.

What has no tenant is nobody's: it has no party, and whoever reaches it reaches on through it.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from chapelle.model import records as r
from chapelle.model.datacentre import LOOPBACKS, SWITCH_ROLES, Datacentre
from chapelle.model.isolation import Party
from chapelle.model.references import Names

type Port = r.Interface | r.FrontPort | r.RearPort | r.PowerPort | r.PowerOutlet

# Keys of parties that are no tenants; those of tenants are slugs, which have no blank in them.
MANAGEMENT = "the management of machines"
UNDERLAY = "the fabric's own table"
_UNKNOWN = "unknown: "

# The role of prefixes and VLANs, and the name of the VRF, that machines are managed in.
_ROLE = "management"


class Parties:
    """Who is who in a datacentre. A party is named by its key; None is nobody."""

    def __init__(self, dc: Datacentre) -> None:
        self.dc = dc
        self.operators = {site.tenant for site in dc.content.sites if site.tenant is not None}
        self._roles = {role.id: role.slug for role in dc.content.roles}

    # -- parties ----------------------------------------------------------------------------------

    def tenant(self, tenant: int | None) -> str | None:
        """The party of a tenant's id."""
        record = self.dc.tenants.get(tenant or 0)
        return record.slug if record else None

    def party(self, key: str) -> Party:
        """The party of that key, with its name."""
        return Party(key=key, name=self._tenant_names.get(key, key.removeprefix(_UNKNOWN)))

    @cached_property
    def _tenant_names(self) -> dict[str, str]:
        return {tenant.slug: tenant.name for tenant in self.dc.content.tenants}

    def unknown(self, what: str) -> str:
        """The party of something that NetBox does not know."""
        return f"{_UNKNOWN}{what}"

    def is_rented(self, party: str | None) -> bool:
        """Whether a party is a tenant who rents: neither nobody, nor the operator's own."""
        return party in self._renting

    @cached_property
    def _renting(self) -> frozenset[str | None]:
        tenants = self.dc.content.tenants
        return frozenset(t.slug for t in tenants if t.id not in self.operators)

    # -- whose a thing is -------------------------------------------------------------------------

    def of_device(self, device: r.Device, *, management: bool = False) -> str | None:
        """Whose a device is; `management`: whose its management controller or port is."""
        own = self.tenant(device.tenant)
        return MANAGEMENT if management and not self.is_rented(own) else own

    def of_prefix(self, prefix: r.Prefix) -> str | None:
        """Whose a prefix is."""
        own = self.tenant(prefix.tenant)
        if self.is_rented(own):
            return own
        role = self._roles.get(prefix.role or 0)
        if role == LOOPBACKS:
            return UNDERLAY
        return MANAGEMENT if role == _ROLE else own

    def of_vlan(self, vlan: r.VLAN) -> str | None:
        """Whose a VLAN is."""
        own = self.tenant(vlan.tenant)
        managed = self._roles.get(vlan.role or 0) == _ROLE or self._manages(
            self.dc.prefixes_by_vlan.get(vlan.id, ())
        )
        return MANAGEMENT if managed and not self.is_rented(own) else own

    def of_vrf(self, vrf: r.VRF) -> str | None:
        """Whose a VRF is."""
        own = self.tenant(vrf.tenant)
        managed = vrf.name == _ROLE or self._manages(self._prefixes_by_vrf.get(vrf.id, ()))
        return MANAGEMENT if managed and not self.is_rented(own) else own

    def of_l2vpn(self, l2vpn: r.L2VPN) -> str | None:
        """Whose an L2VPN is: one of the operator's is of whom its VLANs are."""
        own = self.tenant(l2vpn.tenant)
        ends = {self.of_vlan(vlan) for vlan in self._vlans_by_l2vpn.get(l2vpn.id, ())}
        return MANAGEMENT if ends == {MANAGEMENT} and not self.is_rented(own) else own

    def of_address(self, address: r.IPAddress) -> str | None:
        """Whose an address is: of whom it is given to. Those of switches are on others' behalf."""
        own = self.tenant(address.tenant)
        if self.is_rented(own):
            return own
        interface = self.interface_of(address)
        device = self.dc.devices.get(interface.device) if interface else None
        if interface is None or device is None:
            return None
        if self.is_switch(device) and not interface.mgmt_only:
            return None
        return self.of_device(device, management=interface.mgmt_only)

    def interface_of(self, address: r.IPAddress) -> r.Interface | None:
        """The interface that an address is given to."""
        if address.assigned_object_type != "dcim.interface":
            return None
        return self.dc.interfaces.get(address.assigned_object_id or 0)

    def _manages(self, prefixes: Iterable[r.Prefix]) -> bool:
        """Whether these are prefixes of role management, all of them."""
        roles = {self._roles.get(prefix.role or 0) for prefix in prefixes}
        return roles == {_ROLE}

    # -- what belongs to what ---------------------------------------------------------------------

    @cached_property
    def names(self) -> Names:
        """What things are called."""
        return Names(self.dc.content)

    def vlan_of_address(self, address: r.IPAddress) -> r.VLAN | None:
        """The VLAN of the prefix that an address is from."""
        network = str(ipaddress.ip_interface(address.address).network)
        prefix = self.dc.prefixes_by_network.get((address.vrf, network))
        return self.dc.vlans.get(prefix.vlan or 0) if prefix else None

    def is_switch(self, device: r.Device) -> bool:
        """Whether it is one of the fabric's switches."""
        return device.id in self._switches

    @cached_property
    def _switches(self) -> frozenset[int]:
        devices = self.dc.content.devices
        return frozenset(device.id for device in devices if self.dc.role_of(device) in SWITCH_ROLES)

    def port(self, list_name: str, number: int) -> Port | None:
        """What a cable can be plugged into, from that list of NetBox's content."""
        return self._ports.get(list_name, {}).get(number)

    @cached_property
    def _ports(self) -> dict[str, dict[int, Port]]:
        content = self.dc.content
        lists: dict[str, tuple[Port, ...]] = {
            "interfaces": content.interfaces,
            "front_ports": content.front_ports,
            "rear_ports": content.rear_ports,
            "power_ports": content.power_ports,
            "power_outlets": content.power_outlets,
        }
        return {name: {port.id: port for port in ports} for name, ports in lists.items()}

    @cached_property
    def _prefixes_by_vrf(self) -> dict[int, list[r.Prefix]]:
        grouped: dict[int, list[r.Prefix]] = defaultdict(list)
        for prefix in self.dc.content.prefixes:
            if prefix.vrf is not None:
                grouped[prefix.vrf].append(prefix)
        return grouped

    @cached_property
    def _vlans_by_l2vpn(self) -> dict[int, list[r.VLAN]]:
        grouped: dict[int, list[r.VLAN]] = defaultdict(list)
        for end in self.dc.content.l2vpn_terminations:
            vlan = self.dc.vlans.get(end.assigned_object_id)
            if end.assigned_object_type == "ipam.vlan" and vlan:
                grouped[end.l2vpn].append(vlan)
        return grouped
