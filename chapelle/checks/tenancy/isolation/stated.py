"""What NetBox itself says that joins parties: prefixes, addresses, L2VPNs, VRFs, and cables."""

from collections import defaultdict

import msgspec

from chapelle.checks.tenancy.isolation.graph import Graph, Node, Thing, Why
from chapelle.checks.tenancy.isolation.parties import UNDERLAY, Parties
from chapelle.model import records as r
from chapelle.model.paths import FRONT, REAR
from chapelle.model.references import LISTS

# What is the operator's and may be plugged into what a tenant has: by role, or a patch panel.
HANDOFF_ROLES = frozenset({"tenant-leaf", "oob", "pdu"})

GLOBAL_TABLE: Node = ("underlay",)
INTERFACE = "dcim.interface"


def host(device: r.Device, *, management: bool = False) -> Node:
    """The part that is a device, or its management controller or port."""
    return ("host", device.id, management)


def state(graph: Graph, parties: Parties) -> None:
    """Add what NetBox has, and how it is joined."""
    graph.add(GLOBAL_TABLE, UNDERLAY)
    hosts(graph, parties)
    records(graph, parties)
    for prefix in parties.dc.content.prefixes:
        _prefix(graph, parties, prefix)
    for address in parties.dc.content.ip_addresses:
        _address(graph, parties, address)
    _l2vpns(graph, parties)
    for cable in parties.dc.content.cables:
        _cable(graph, parties, cable)
    for interface in parties.dc.content.interfaces:
        _through_panels(graph, parties, interface)
        _routed(graph, parties, interface)


def hosts(graph: Graph, parties: Parties) -> None:
    """Add every device, and its management where it has a port for that."""
    for each in parties.dc.content.devices:
        graph.add(host(each), parties.of_device(each), ("devices", each.id))
    for interface in parties.dc.content.interfaces:
        device = parties.dc.devices.get(interface.device)
        if interface.mgmt_only and device:
            party = parties.of_device(device, management=True)
            graph.add(host(device, management=True), party, ("devices", device.id))


def records(graph: Graph, parties: Parties) -> None:
    """Add NetBox's VLANs, prefixes, L2VPNs, and VRFs."""
    content = parties.dc.content
    for vlan in content.vlans:
        graph.add(("vlan", vlan.id), parties.of_vlan(vlan), ("vlans", vlan.id))
    for prefix in content.prefixes:
        graph.add(("prefix", prefix.id), parties.of_prefix(prefix), ("prefixes", prefix.id))
    for l2vpn in content.l2vpns:
        graph.add(("l2vpn", l2vpn.id), parties.of_l2vpn(l2vpn), ("l2vpns", l2vpn.id))
    named: dict[str, list[r.VRF]] = defaultdict(list)
    for vrf in content.vrfs:
        node = graph.add(("vrf", vrf.id), parties.of_vrf(vrf), ("vrfs", vrf.id))
        for other in named[vrf.name]:  # switches know VRFs by their names
            why = Why(
                rule="shared-vrf",
                cause=("vrfs", other.id, vrf.id),
                remedy=f"give one of the VRFs {vrf.name} another name in NetBox",
            )
            graph.join(("vrf", other.id), node, why)
        named[vrf.name].append(vrf)


def _prefix(graph: Graph, parties: Parties, prefix: r.Prefix) -> None:
    node: Node = ("prefix", prefix.id)
    where = f"prefix {prefix.prefix}"
    default = prefix.prefix.endswith("/0")
    why = Why(
        rule="default-route" if default else "foreign-prefix",
        cause=("prefixes", prefix.id),
        remedy=f"correct the tenant, the VRF, or the VLAN of {where} in NetBox",
    )
    if prefix.vrf in parties.dc.vrfs:
        graph.join(node, ("vrf", prefix.vrf), why)
    elif prefix.vrf is None and parties.is_rented(graph.parties[node]):
        graph.join(node, GLOBAL_TABLE, why)
    if prefix.vlan in parties.dc.vlans:
        graph.join(node, ("vlan", prefix.vlan), why)


def _address(graph: Graph, parties: Parties, address: r.IPAddress) -> None:
    """An address in a VRF joins to it whoever has the address."""
    party, interface = parties.of_address(address), parties.interface_of(address)
    if party is None or address.vrf not in parties.dc.vrfs:
        return
    node = graph.add(("address", address.id), party, ("ip_addresses", address.id))
    why = Why(
        rule="foreign-address",
        cause=("ip_addresses", address.id),
        remedy=f"correct the VRF of address {address.address} in NetBox, or whose it is",
    )
    graph.join(node, ("vrf", address.vrf), why)
    device = parties.dc.devices.get(interface.device) if interface else None
    if interface and device and (interface.mgmt_only or not parties.is_switch(device)):
        graph.join(node, host(device, management=interface.mgmt_only), why)


def _routed(graph: Graph, parties: Parties, interface: r.Interface) -> None:
    """A port in a VRF joins to it whoever has the port, or is plugged into one of a switch."""
    dc, device = parties.dc, parties.dc.devices.get(interface.device)
    if interface.vrf not in dc.vrfs or device is None:
        return
    vrf: Node = ("vrf", interface.vrf)
    why = Why(
        rule="vrf-on-foreign-port",
        cause=("interfaces", interface.id, "vrf"),
        remedy=f"correct the VRF of {device.name} {interface.name} in NetBox, or its cable",
        via=(("interfaces", interface.id), ("devices", device.id)),
    )
    if interface.mgmt_only or not parties.is_switch(device):
        graph.join(host(device, management=interface.mgmt_only), vrf, why)
        return
    for far in dc.paths.far(INTERFACE, interface.cable, interface.id):
        end = end_of(parties, far.end)
        if end and _is_host(parties, end):
            via = (end.thing, *(("cables", cable) for cable in reversed(far.cables)), *why.via)
            graph.join(_node(end), vrf, msgspec.structs.replace(why, via=via))


def _l2vpns(graph: Graph, parties: Parties) -> None:
    dc = parties.dc
    for end in dc.content.l2vpn_terminations:
        if end.assigned_object_type == "ipam.vlan" and end.assigned_object_id in dc.vlans:
            vlan: Node = ("vlan", end.assigned_object_id)
            l2vpn: Node = ("l2vpn", end.l2vpn)
            if l2vpn in graph.parties:
                why = Why(
                    rule="foreign-l2vpn",
                    cause=("l2vpn_terminations", end.id),
                    remedy="let the L2VPN end at a VLAN of its own tenant in NetBox",
                )
                graph.join(vlan, l2vpn, why)


# -- cables ---------------------------------------------------------------------------------------


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """What an end of a cable is plugged into; `kind` is its content type."""

    device: r.Device
    management: bool
    port: str
    kind: str
    thing: Thing


def end_of(parties: Parties, end: r.Termination) -> _End | None:
    """What an end of a cable is plugged into; None for a power feed, or what is not there."""
    list_name = LISTS.get(end.object_type, "")
    port = parties.port(list_name, end.object_id)
    device = parties.dc.devices.get(port.device) if port else None
    if port is None or device is None:
        return None
    return _End(
        device=device,
        management=isinstance(port, r.Interface) and port.mgmt_only,
        port=port.name,
        kind=end.object_type,
        thing=(list_name, end.object_id),
    )


def _cable(graph: Graph, parties: Parties, cable: r.Cable) -> None:
    """What a cable itself connects; what lies behind a patch panel is another matter."""
    for left in cable.a_terminations:
        for right in cable.b_terminations:
            one, other = end_of(parties, left), end_of(parties, right)
            if one and other and one.device.id != other.device.id:
                _connect(graph, parties, one, other, (cable.id,))


def _through_panels(graph: Graph, parties: Parties, interface: r.Interface) -> None:
    """What a port reaches behind patch panels."""
    cable = parties.dc.cables.get(interface.cable or 0)
    if cable is None or not _leads_to_panel(cable):
        return
    near = r.Termination(object_type=INTERFACE, object_id=interface.id)
    for far in parties.dc.paths.far(INTERFACE, cable.id, interface.id):
        one, other = end_of(parties, near), end_of(parties, far.end)
        if one and other and far.panels and one.thing < other.thing:
            _connect(graph, parties, one, other, far.cables)


def _leads_to_panel(cable: r.Cable) -> bool:
    ends = (*cable.a_terminations, *cable.b_terminations)
    return any(end.object_type in (FRONT, REAR) for end in ends)


def _connect(
    graph: Graph, parties: Parties, one: _End, other: _End, cables: tuple[int, ...]
) -> None:
    ends = (one, other)
    if not (all(_is_host(parties, end) for end in ends) or foreign(parties, *ends)):
        return
    names = " and ".join(f"{end.device.name} {end.port}" for end in ends)
    panel = len(cables) > 1 or {one.kind, other.kind} & {FRONT, REAR}
    why = Why(
        rule="cross-connect" if panel else "foreign-cable",
        cause=("cables", cables[0]),
        remedy=f"take away the cable between {names}",
        via=(one.thing, *(("cables", cable) for cable in cables), other.thing),
    )
    graph.join(_node(one), _node(other), why)


def _node(end: _End) -> Node:
    return host(end.device, management=end.management)


def _is_host(parties: Parties, end: _End) -> bool:
    """Whether traffic ends there, as it does not at a switch's ports, in power and in panels."""
    return end.kind == INTERFACE and (end.management or not parties.is_switch(end.device))


def foreign(parties: Parties, one: _End, other: _End) -> bool:
    """Whether a cable connects what a tenant has to what is not there for tenants."""
    owners = [parties.of_device(end.device) for end in (one, other)]
    if not any(map(parties.is_rented, owners)) or owners[0] == owners[1]:
        return False
    return not any(
        not parties.is_rented(owner) and _is_for_tenants(parties, end)
        for owner, end in zip(owners, (one, other), strict=True)
    )


def _is_for_tenants(parties: Parties, end: _End) -> bool:
    return end.kind in (FRONT, REAR) or parties.dc.role_of(end.device) in HANDOFF_ROLES
