"""A tenant's ports, networks and sessions, as the tenant may see them."""

import ipaddress
from collections.abc import Iterator
from typing import Literal

from chapelle.checks.tenancy.own import Own
from chapelle.model import records as r
from chapelle.model import tenant_view as v
from chapelle.model.datacentre import SWITCH_ROLES
from chapelle.model.paths import FRONT, REAR
from chapelle.model.tenancy import ANNOUNCED, LINK, MAXIMUM_PREFIXES, NETWORK

# Bytes where nobody asks for more.
_PLAIN_MTU = 1500
_ASN = "bgp_asn"

type Use = Literal["network", "announced", "link", "out-of-band", "other"]
_USES: dict[str, Use] = {NETWORK: "network", ANNOUNCED: "announced", LINK: "link"}


class Wiring:
    """What the tenant's ports lead to, and what has to be set on them."""

    def __init__(self, own: Own) -> None:
        self._own = own
        self._interfaces = [
            interface
            for device in sorted(own.devices.values(), key=lambda d: own.dc.ref(d).name)
            for interface in own.dc.interfaces_by_device.get(device.id, ())
        ]
        self._panel_ports: dict[tuple[str, int], r.FrontPort | r.RearPort] = {
            **{(FRONT, port.id): port for port in own.dc.content.front_ports},
            **{(REAR, port.id): port for port in own.dc.content.rear_ports},
        }
        self._switch_ports = {
            near.id: far
            for near in self._interfaces
            if (far := own.dc.peer_interface(near)) and self._is_switch(far)
        }

    def _is_switch(self, interface: r.Interface) -> bool:
        """Whether the port is one of the operator's switches."""
        device = self._own.dc.devices.get(interface.device)
        return bool(
            device
            and device.id not in self._own.devices
            and self._own.dc.role_of(device) in SWITCH_ROLES
            and self._own.shared(device.tenant)
        )

    def _is_oob(self, interface: r.Interface) -> bool:
        return self._own.dc.role_of(self._own.dc.devices[interface.device]) == "oob"

    def _device(self, interface: r.Interface) -> str:
        return self._own.dc.ref(self._own.dc.devices[interface.device]).name

    # -- ports ------------------------------------------------------------------------------------

    def ports(self) -> tuple[v.Port, ...]:
        """The ports that are cabled to the operator's switches and panels, by device."""
        return tuple(port for near in self._interfaces if (port := self._port(near)))

    def _port(self, near: r.Interface) -> v.Port | None:
        own = self._own
        first, far = self._first(near), self._switch_ports.get(near.id)
        if first is None:
            return None
        use: Literal["network", "out-of-band", "cross-connect"] = "cross-connect"
        if far:
            use = "out-of-band" if self._is_oob(far) else "network"
        device = own.devices[near.device]
        rack = own.racks.get(device.rack or 0)
        return v.Port(
            use=use,
            device=own.dc.ref(device).name,
            name=near.name,
            label=near.label,
            type=near.type,
            rack=rack.name if rack else "",
            first_device=first[0],
            first_port=first[1],
            to_device=self._device(far) if far else "",
            to_port=far.name if far else "",
            cables=tuple(self._cables(near)),
        )

    def _first(self, near: r.Interface) -> tuple[str, str] | None:
        """What the port's own cable is plugged into, if that is the operator's to show."""
        dc = self._own.dc
        cable = dc.cables.get(near.cable or 0)
        for end in (*cable.a_terminations, *cable.b_terminations) if cable else ():
            panel = self._panel(end)
            if panel:
                return panel
            if end.object_type == "dcim.interface" and end.object_id != near.id:
                far = dc.interfaces.get(end.object_id)
                return (self._device(far), far.name) if far and self._is_switch(far) else None
        return None

    def _panel(self, end: r.Termination) -> tuple[str, str] | None:
        port = self._panel_ports.get((end.object_type, end.object_id))
        device = self._own.dc.devices.get(port.device) if port else None
        if port is None or device is None or not self._own.shared(device.tenant):
            return None
        return self._own.dc.ref(device).name, port.name

    def _cables(self, near: r.Interface) -> Iterator[v.Cable]:
        """The cable in the port, and those behind it that are the tenant's own."""
        dc = self._own.dc
        paths = dc.paths.far("dcim.interface", near.cable, near.id)
        ids = dict.fromkeys([near.cable, *(cable for path in paths for cable in path.cables)])
        for number in ids:
            cable = dc.cables.get(number or 0)
            if cable is None or not self._own.shared(cable.tenant):
                continue
            if cable.id == near.cable or cable.tenant == self._own.tenant.id:
                long = "" if cable.length is None else f"{cable.length:g}"
                yield v.Cable(
                    label=cable.label,
                    type=cable.type or "",
                    color=cable.color,
                    length=f"{long} {cable.length_unit or ''}".strip() if long else "",
                )

    # -- settings ---------------------------------------------------------------------------------

    def groups(self) -> tuple[v.Group, ...]:
        """The groups whose members lead to the operator's switches, by device."""
        found = []
        for group in self._interfaces:
            members = [i for i in self._interfaces if i.lag == group.id]
            far = [self._switch_ports[i.id] for i in members if i.id in self._switch_ports]
            if group.type == "lag" and far:
                untagged, tagged = self._vlans(group)
                found.append(
                    v.Group(
                        device=self._device(group),
                        name=group.name,
                        members=tuple(member.name for member in members),
                        switches=tuple(sorted({self._device(port) for port in far})),
                        mtu=group.mtu or _PLAIN_MTU,
                        mode=group.mode or "",
                        untagged=untagged,
                        tagged=tagged,
                    )
                )
        return tuple(found)

    def _vlans(self, group: r.Interface) -> tuple[int | None, tuple[int, ...]]:
        vlans = self._own.vlans
        untagged = vlans.get(group.untagged_vlan or 0)
        tagged = sorted(vlans[vlan].vid for vlan in group.tagged_vlans if vlan in vlans)
        return untagged.vid if untagged else None, tuple(tagged)

    def bgp(self) -> v.Bgp | None:
        """The sessions and what holds for all of them; None for a tenant without."""
        own = self._own
        sessions = tuple(s for near in self._interfaces for s in self._sessions(near))
        allowed = [each.prefix for each in networks(own, self) if each.use == "announced"]
        if not sessions and not allowed:
            return None
        limits = [vrf.custom_fields.get(MAXIMUM_PREFIXES) for vrf in own.vrfs.values()]
        asns = {each.asn for each in own.dc.content.asns if each.tenant == own.tenant.id}
        return v.Bgp(
            asns=tuple(sorted(asns | {session.asn for session in sessions if session.asn})),
            allowed=tuple(allowed),
            maximum_prefixes=next((n for n in limits if isinstance(n, int)), None),
            sessions=sessions,
        )

    def _sessions(self, near: r.Interface) -> Iterator[v.Session]:
        far = self._switch_ports.get(near.id)
        if far is None or far.vrf not in self._own.vrfs:
            return
        switch = self._own.dc.devices[far.device]
        for here in self._addresses(near):
            for there in self._addresses(far):
                one, other = map(ipaddress.ip_interface, (here, there))
                if one.network == other.network:
                    yield v.Session(
                        device=self._device(near),
                        port=near.name,
                        address=here,
                        asn=_asn(self._own.devices[near.device]),
                        switch=self._device(far),
                        switch_port=far.name,
                        switch_address=there,
                        switch_asn=_asn(switch),
                        mtu=near.mtu or _PLAIN_MTU,
                    )

    def _addresses(self, interface: r.Interface) -> list[str]:
        found = self._own.dc.addresses_by_interface.get(interface.id, ())
        return [each.address for each in found if each.vrf in self._own.vrfs]

    def out_of_band_vlans(self) -> frozenset[int]:
        """The tenant's VLANs on the out-of-band switches' ports that its ports lead to, by id."""
        ports = [far for far in self._switch_ports.values() if self._is_oob(far)]
        return frozenset(p.untagged_vlan for p in ports if p.untagged_vlan in self._own.vlans)


def networks(own: Own, wiring: Wiring) -> tuple[v.Network, ...]:
    """The tenant's prefixes, and its VLANs without one, by use, number and prefix."""
    roles = {role.id: role.slug for role in own.dc.content.roles}
    out_of_band = wiring.out_of_band_vlans()
    found = []
    with_prefix = set()
    for prefix in own.dc.content.prefixes:
        if not _is_own(own, prefix.tenant, prefix.vrf):
            continue
        with_prefix.add(prefix.vlan)
        vlan = own.vlans.get(prefix.vlan or 0)
        use = _USES.get(roles.get(prefix.role or 0, ""), "other")
        if vlan:
            use = "out-of-band" if vlan.id in out_of_band else "network"
        found.append(_network(own, use, vlan, prefix))
    for vlan in own.vlans.values():
        if vlan.id not in with_prefix:
            use = "out-of-band" if vlan.id in out_of_band else "network"
            found.append(_network(own, use, vlan, None))
    order = ("network", "announced", "link", "out-of-band", "other")
    return tuple(sorted(found, key=lambda n: (order.index(n.use), n.vid or 0, _sortable(n))))


def _network(own: Own, use: Use, vlan: r.VLAN | None, prefix: r.Prefix | None) -> v.Network:
    gateways: tuple[r.IPAddress, ...] = ()
    if prefix:
        gateways = own.dc.gateways_by_network.get((prefix.vrf, prefix.prefix), ())
    return v.Network(
        use=use,
        name=vlan.name if vlan else "",
        vid=vlan.vid if vlan else None,
        prefix=prefix.prefix if prefix else "",
        gateways=tuple(g.address for g in gateways if _is_own(own, g.tenant, g.vrf)),
    )


def _is_own(own: Own, tenant: int | None, vrf: int | None) -> bool:
    """Whether a prefix or address is the tenant's: by its tenant, or if it has none by its VRF."""
    return tenant == own.tenant.id or (tenant is None and vrf in own.vrfs)


def _sortable(network: v.Network) -> tuple[int, bytes, str]:
    if not network.prefix:
        return 0, b"", network.name
    parsed = ipaddress.ip_network(network.prefix, strict=False)
    return parsed.version, parsed.network_address.packed, network.prefix


def _asn(device: r.Device) -> int | None:
    asn = device.custom_fields.get(_ASN)
    return asn if isinstance(asn, int) else None
