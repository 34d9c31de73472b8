"""Expand interfaces and their addresses: bonds, VLAN interfaces, controllers, loopbacks."""

import ipaddress
from typing import Any

from chapelle.netbox.design.schema import Uplink
from chapelle.netbox.expand.addressing import ip_address
from chapelle.netbox.expand.context import Context, Machine, Network, mac
from chapelle.netbox.expand.desired import Ref


def expand(context: Context) -> None:
    """Add every interface of servers and switches, and their addresses."""
    tagged = {spec.role: spec.networks for spec in context.design.servers.roles}
    for server in context.servers:
        _server(context, server, tagged.get(server.role, []))
    for switch in context.switches:
        _switch(context, switch)


def interface(context: Context, machine: Machine, name: str, fields: dict[str, Any]) -> Ref:
    """Add one interface; its MAC address, if it has one, is NetBox's to change afterwards."""
    values = {"device": machine.ref, "name": name, **fields}
    return context.add(
        "interfaces",
        (machine.name, name),
        values,
        machine.origin,
        initial=("mac_address",),
        lane=machine.aisle,
    )


def _templates(context: Context, machine: Machine) -> dict[str, dict[str, Any]]:
    return {
        name: {"type": template.type, "mgmt_only": template.mgmt_only}
        for template in machine.type.interfaces
        for name in context.names(template.name, machine.origin)
    }


def _server(context: Context, server: Machine, tagged: list[str]) -> None:
    file = context.design.servers
    bond, controller = file.bond, file.bmc
    ports = _templates(context, server)
    for wanted in [*bond.members, controller.interface]:
        if wanted not in ports:
            expected = f"an interface of device type {server.type.slug}: {', '.join(ports)}"
            context.problem("servers.yml: bond or bmc", expected, repr(wanted))
    for name, fields in ports.items():
        if name in bond.members:
            fields["lag"] = Ref("interfaces", (server.name, bond.name))
        if name in bond.members or name == controller.interface:
            fields["mac_address"] = mac(server.name, name)
        interface(context, server, name, fields)

    native = context.network(bond.untagged, server.aisle, "servers.yml: bond.untagged")
    carried = [
        context.network(key, server.aisle, f"servers.yml: bond.tagged[{i}]")
        for i, key in enumerate(bond.tagged)
    ]
    # NetBox's IP addresses of a VLAN belong to the VLAN's interface, so the bond has one only.
    fields = {
        "type": "lag",
        "mtu": bond.mtu,
        "mode": "tagged",
        "untagged_vlan": native.vlan if native else None,
        "tagged_vlans": [n.vlan for n in carried if n and n.vlan],
    }
    bond_ref = interface(context, server, bond.name, fields)
    updates: dict[str, Any] = {}
    if native:
        updates["primary_ip4"] = _address(context, server, native, bond_ref, named=True)
    for key in tagged:
        _vlan_interface(context, server, key, bond_ref)
    oob = context.network(controller.network, server.aisle, "servers.yml: bmc.network")
    if oob:
        bmc_ref = Ref("interfaces", (server.name, controller.interface))
        updates["oob_ip"] = _address(context, server, oob, bmc_ref)
    _primary(context, server, updates)


def _vlan_interface(context: Context, server: Machine, key: str, bond: Ref) -> None:
    file = context.design.servers
    origin = f"servers.yml: roles of {server.role}"
    if key not in file.bond.tagged:
        expected = f"a tagged network of the bond: {', '.join(file.bond.tagged)}"
        context.problem(f"{origin}.networks", expected, repr(key))
        return
    network = context.network(key, server.aisle, f"{origin}.networks")
    if network is None:
        return
    if network.vlan is None:
        context.problem(f"{origin}.networks", "a prefix with a VLAN", repr(key))
        return
    fields = {
        "type": "virtual",
        "parent": bond,
        "mtu": file.bond.mtu,
        "mode": "access",
        "untagged_vlan": network.vlan,
    }
    ref = interface(context, server, f"{file.bond.name}.{network.vid}", fields)
    _address(context, server, network, ref)


def _switch(context: Context, switch: Machine) -> None:
    file = context.design.network
    ports = _templates(context, switch)
    management = file.switches[switch.index].management
    if management.interface not in ports:
        expected = f"an interface of device type {switch.type.slug}"
        context.problem(f"{switch.origin}.management.interface", expected, management.interface)
        return
    ports[management.interface]["mac_address"] = mac(switch.name, management.interface)
    for i, uplink in enumerate(file.uplinks):
        if uplink.role == switch.role:
            _uplink(context, switch, uplink, ports, f"network.yml: uplinks[{i}]")
    for name, fields in ports.items():
        interface(context, switch, name, fields)
    ref = Ref("interfaces", (switch.name, management.interface))
    origin = "network.yml: management"
    if network := context.network(file.management.network, switch.aisle, origin):
        host = file.management.first + switch.index
        address = _host_address(
            context, switch, network, host=host, ref=ref, origin=origin, named=True
        )
        _primary(context, switch, {"primary_ip4": address})
    if switch.role in file.loopback.roles:
        _loopback(context, switch, ports)


def _uplink(
    context: Context,
    switch: Machine,
    uplink: Uplink,
    ports: dict[str, dict[str, Any]],
    origin: str,
) -> None:
    """Add the group, and make its ports part of it."""
    networks = [
        context.network(key, switch.aisle, f"{origin}.tagged[{i}]")
        for i, key in enumerate(uplink.tagged)
    ]
    fields = {
        "type": "lag",
        "mode": "tagged",
        "tagged_vlans": [network.vlan for network in networks if network and network.vlan],
    }
    lag = interface(context, switch, uplink.name, fields)
    for number in uplink.ports:
        name = context.render(context.design.network.port, "network.yml: port", port=number)
        if name in ports:
            ports[name]["lag"] = lag
        else:
            expected = f"a port of device type {switch.type.slug}"
            context.problem(f"{origin}.ports", expected, repr(name))


def _loopback(context: Context, switch: Machine, ports: dict[str, dict[str, Any]]) -> None:
    spec = context.design.network.loopback
    origin = "network.yml: loopback"
    if spec.interface not in ports:
        expected = f"an interface of device type {switch.type.slug}"
        context.problem(f"{origin}.interface", expected, repr(spec.interface))
        return
    network = context.network(spec.network, switch.aisle, f"{origin}.network")
    if network is None:
        return
    number = spec.first + spec.aisle_step * (switch.aisle - 1) + switch.index
    if address := context.host(network, number, origin):
        single = f"{ipaddress.IPv4Interface(address).ip}/32"
        ref = Ref("interfaces", (switch.name, spec.interface))
        values = {"role": "loopback"}
        ip_address(context, network, single, values, origin, aisle=switch.aisle, interface=ref)


def _address(
    context: Context, server: Machine, network: Network, ref: Ref, *, named: bool = False
) -> Ref | None:
    host = context.design.servers.first_host + server.index
    origin = "servers.yml: first_host"
    return _host_address(context, server, network, host=host, ref=ref, origin=origin, named=named)


def _host_address(
    context: Context,
    machine: Machine,
    network: Network,
    *,
    host: int,
    ref: Ref,
    origin: str,
    named: bool,
) -> Ref | None:
    address = context.host(network, host, origin)
    if address is None:
        return None
    domain = context.design.site.site.domain
    values = {"dns_name": f"{machine.name}.{domain}"} if named else {}
    return ip_address(context, network, address, values, origin, aisle=machine.aisle, interface=ref)


def _primary(context: Context, machine: Machine, fields: dict[str, Any]) -> None:
    context.add("device_addresses", (machine.name,), fields, machine.origin, lane=machine.aisle)
