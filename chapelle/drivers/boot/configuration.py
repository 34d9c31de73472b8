"""dnsmasq's files, made from the open boot windows.

Nobody is answered but the MAC addresses of open windows (`dhcp-ignore=tag:!known`), each with its
own address and its own boot file. TFTP gives every address a directory of its own
(`tftp-unique-root`), and only those of open windows have one.
Sources: dnsmasq(8) 2.90; RFC 4578 (client architectures); UEFI 2.10, 24.7 (HTTP boot).
"""

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from chapelle.errors import InputError
from chapelle.model.boot import BootWindow, Firmware

USER = "dnsmasq"

# What the firmware loads: iPXE, as Debian builds it. The one for BIOS drives the card by the card's
# own program, the one for UEFI by the firmware's.
LOADERS: dict[Firmware, Path] = {
    "bios": Path("/usr/lib/ipxe/undionly.kpxe"),
    "uefi": Path("/usr/lib/ipxe/snponly.efi"),
}
LEASE = "1h"
INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")

# Client architectures (IANA, "Processor Architecture Types"), of x86-64: 0 is BIOS, 7 and 9 are
# UEFI, 16 is UEFI over HTTP.
_MATCHES = (
    "dhcp-match=set:bios,option:client-arch,0\n"
    "dhcp-match=set:uefi,option:client-arch,7\n"
    "dhcp-match=set:uefi,option:client-arch,9\n"
    "dhcp-match=set:http,option:client-arch,16\n"
    "dhcp-userclass=set:ipxe,iPXE\n"
    "dhcp-option-force=tag:http,option:vendor-class,HTTPClient\n"
)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a boot service works.

    Arguments:
        run: a directory for it alone, made and taken away by it; short, and not in a home.
        address: ours, by which hosts reach us.
        networks: the prefixes that are served: our links', and those of relays that reach us.
        interfaces: the links on which DHCP is heard.
        http_port, https_port: 0 for any that is free.
        namespace: the network namespace to work in, or None for the machine's own.
    """

    run: Path
    address: str
    networks: tuple[str, ...]
    interfaces: tuple[str, ...]
    http_port: int = 8080
    https_port: int = 8443
    namespace: Path | None = None

    @property
    def hosts(self) -> Path:
        """The file of reservations."""
        return self.run / "hosts"

    @property
    def options(self) -> Path:
        """The file of options for each reservation."""
        return self.run / "options"

    @property
    def tftp(self) -> Path:
        """The root of TFTP."""
        return self.run / "tftp"

    def require_served(self, window: BootWindow) -> None:
        """Make sure that the window's address is in a network that is served.

        Raises:
            InputError: it is not.
        """
        address = ipaddress.IPv4Address(window.ip)
        if not any(address in ipaddress.IPv4Network(each) for each in self.networks):
            raise InputError(
                "The boot service does not serve this host's network.",
                where=f"host {window.host}",
                expected=f"an address in one of {', '.join(self.networks)}",
                found=window.address,
            )


def tftp_file(place: Place) -> str:
    """The configuration of what gives files away."""
    return (
        f"{_common(place)}enable-tftp\ntftp-root={place.tftp}\ntftp-unique-root=ip\n"
        "tftp-secure\ntftp-single-port\n"
    )


def dhcp_file(place: Place) -> str:
    """The configuration of what gives addresses away, without any host."""
    ranges = ""
    for text in place.networks:
        network = ipaddress.IPv4Network(text)
        ranges += f"dhcp-range={network.network_address},static,{network.netmask},{LEASE}\n"
    return (
        f"{_common(place)}log-dhcp\nno-ping\ndhcp-leasefile={place.run / 'leases'}\n"
        f"{ranges}{_MATCHES}"
        f"dhcp-hostsfile={place.hosts}\ndhcp-optsfile={place.options}\n"
        "dhcp-ignore=tag:!known\n"
    )


def _common(place: Place) -> str:
    for name in place.interfaces:
        if not INTERFACE.fullmatch(name):
            raise InputError(
                "This is no name of a network interface.",
                where="the boot service",
                expected="letters, digits, and the signs . _ -",
                found=repr(name),
            )
    return (
        "# Written by chapelle.\n"
        f"port=0\nno-hosts\nno-resolv\nuser={USER}\nkeep-in-foreground\nlog-facility=-\npid-file=\n"
        f"{''.join(f'interface={name}\n' for name in place.interfaces)}"
        "except-interface=lo\nbind-dynamic\n"
    )


def hosts_file(windows: Iterable[BootWindow]) -> str:
    """The reservations: whichever port of a host asks first has its address."""
    return "".join(
        f"{','.join(window.macs)},set:{window.host},{window.ip},{LEASE}\n" for window in windows
    )


def options_file(windows: Iterable[tuple[BootWindow, str]]) -> str:
    """What each host is told to load; with each window the URL of what is its alone.

    iPXE is told the URL of a script, a firmware that boots over HTTP that of iPXE, and a firmware
    that knows TFTP only iPXE's name. One of the other kind is told nothing.
    """
    lines = []
    for window, url in windows:
        tag = f"tag:{window.host}"
        lines.append(f"{tag},tag:ipxe,option:bootfile-name,{url}/ipxe")
        lines.append(f"{tag},tag:!ipxe,tag:{window.firmware},option:bootfile-name,"
                     f"{LOADERS[window.firmware].name}")  # fmt: skip
        if window.firmware == "uefi":
            lines.append(f"{tag},tag:!ipxe,tag:http,option:bootfile-name,{url}/boot.efi")
        # An option without a value: dnsmasq would send its own address as the router.
        lines.append(f"{tag},option:router{f',{window.gateway}' if window.gateway else ''}")
    return "".join(f"{line}\n" for line in lines)
