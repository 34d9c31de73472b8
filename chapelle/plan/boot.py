"""Boot windows made from the model: pure functions."""

import datetime
import ipaddress
from collections.abc import Mapping

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.boot import BootFile, BootWindow, Firmware
from chapelle.model.datacentre import Datacentre


def names(dc: Datacentre) -> dict[str, str]:
    """The device of each MAC address that NetBox knows, in lower case.

    Raises:
        InputError: two devices have one address; whoever asks with it could be either.
    """
    found: dict[str, str] = {}
    for interface in dc.content.interfaces:
        device = dc.devices.get(interface.device)
        if not interface.mac_address or device is None or interface.type in r.VIRTUAL_TYPES:
            continue
        mac, name = interface.mac_address.lower(), device.name or f"device {device.id}"
        other = found.setdefault(mac, name)
        if other != name:
            raise InputError(
                "Two devices have one MAC address.",
                where=f"devices {other} and {name}",
                expected="an address of its own for each port",
                found=mac,
                remedy="read the addresses off the machines, and correct NetBox",
            )
    return found


def window(
    dc: Datacentre,
    host: str,
    *,
    kernel: BootFile,
    initrd: BootFile,
    files: Mapping[str, BootFile],
    expires: datetime.datetime,
    firmware: Firmware,
    command_line: str = "",
) -> BootWindow:
    """The boot window of a server: its data ports, its primary address, its network's gateway.

    Raises:
        InputError: NetBox has no primary address of it, or no MAC address of a port.
    """
    device = dc.device(host)
    address = dc.primary_ip4(device)
    if address is None:
        raise _lacking(host, "a primary IPv4 address")
    ports = [
        interface
        for interface in dc.interfaces_by_device.get(device.id, ())
        if not interface.mgmt_only and interface.type not in r.VIRTUAL_TYPES
    ]
    macs = tuple(port.mac_address.lower() for port in ports if port.mac_address)
    if not ports or len(macs) < len(ports):
        lacking = ", ".join(port.name for port in ports if not port.mac_address)
        raise _lacking(host, f"a MAC address of each data port ({lacking or 'it has no port'})")
    found = BootWindow(
        host=host,
        macs=macs,
        address=address.address,
        gateway=_gateway(dc, address),
        expires=expires,
        kernel=kernel,
        initrd=initrd,
        files=dict(files),
        firmware=firmware,
        command_line=command_line,
    )
    found.validate()
    return found


def networks(dc: Datacentre) -> tuple[str, ...]:
    """The prefixes that servers' primary addresses are in, in order."""
    found = set()
    for server in dc.servers:
        if address := dc.primary_ip4(server):
            network = ipaddress.ip_interface(address.address).network
            if isinstance(network, ipaddress.IPv4Network):
                found.add(network)
    return tuple(str(network) for network in sorted(found))


def _gateway(dc: Datacentre, address: r.IPAddress) -> str:
    network = str(ipaddress.ip_interface(address.address).network)
    gateways = dc.gateways_by_network.get((address.vrf, network), ())
    return gateways[0].address.partition("/")[0] if gateways else ""


def _lacking(host: str, expected: str) -> InputError:
    return InputError(
        "NetBox does not say enough of a server to boot it over the network.",
        where=f"device {host}",
        expected=expected,
        found="none",
        remedy="enter it in NetBox",
    )
