"""What differs from platform to platform, as data: the names of ports, and which lines are ours.

A platform is a slug of NetBox, an entry here, a folder of templates, and a driver.

Sources of the names and of how a configuration is shown: FRRouting 8.4 user guide; Arista EOS
User Manual, "Port Channels and LACP", "VXLAN", "EVPN"; Cisco Nexus 9000 Series NX-OS Interfaces
and VXLAN Configuration Guides, release 10.6.
"""

import re

import msgspec

from chapelle.errors import InputError
from chapelle.model import linkfile


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """One platform.

    Arguments:
        slug: of the platform in NetBox, and the name of the folder of its templates.
        group: the name of the link aggregation group of a number.
        owned: patterns of the sections that are ours, in the order in which the device shows
            them; a section is a line at the left margin with the indented lines below it.
        volatile: lines that say when or by what a configuration was written, not what it is.
        closing: lines that only end a section or separate it from the next.
        separator: the line between sections.
        free_text: the first line of text that people write as they like, None where it cannot have
            several lines. It ends with the mark that group `mark` matches, or else with `EOF`.
        idle: patterns of sections that mean nothing while no line is in them.
        longest_vrf: characters that a VRF's name may have.
        reserved_vrfs: VRFs that the device has by itself, or that it is managed in.
    """

    slug: str
    group: str
    owned: tuple[str, ...]
    volatile: str
    closing: str
    separator: str
    free_text: str | None = None
    idle: str
    longest_vrf: int
    reserved_vrfs: tuple[str, ...]

    def vrf(self, name: str) -> str:
        """What a VRF of NetBox is called on the device; those that it has itself are others."""
        return f"fabric-{name}" if name in self.reserved_vrfs else name

    def rank(self, header: str) -> int | None:
        """The place among our sections of the one with that first line; None when it is foreign."""
        for place, pattern in enumerate(self.owned):
            if re.fullmatch(pattern, header):
                return place
        return None


# The names of our lists and maps; those of a tenant have the name of its VRF in them.
_OURS = r"CHAPELLE-\S+"

FRR = Platform(
    slug="frr",
    group="bond{}",
    owned=(
        linkfile.OURS,
        r"frr defaults \S+",
        r"evpn mh .*",
        r"vrf (?!(?:default|mgmt)$)\S+",
        r"interface (?:lo|swp\d+\S*|bond\d+|uplink)",
        r"router bgp .*",
        rf"ip prefix-list {_OURS} .*",
        rf"ipv6 prefix-list {_OURS} .*",
        rf"route-map {_OURS} .*",
        r"bfd",
    ),
    volatile=r"frr version .*|Building configuration\.\.\.|Current configuration:|",
    closing=r"!|end|exit(?:-\S+)?",
    separator="!",
    # FRRouting keeps `bfd`, interfaces and, from version 10 on, VRFs, once they have been named.
    idle=r"bfd|interface \S+|vrf \S+",
    # The kernel's limit for the name of an interface, which a VRF is (IFNAMSIZ less its end).
    longest_vrf=15,
    reserved_vrfs=("default", "mgmt"),
)

EOS = Platform(
    slug="arista_eos",
    group="Port-Channel{}",
    owned=(
        r"service routing protocols model multi-agent",
        r"link tracking group CHAPELLE",
        r"vlan (?!1$)[\d,-]+",
        r"vrf instance (?!(?:default|MGMT)$)\S+",
        r"interface Port-Channel\d+",
        r"interface Ethernet\S+",
        r"interface Loopback0",
        r"interface Vlan\d+",
        r"interface Vxlan1",
        r"ip virtual-router mac-address .*",
        r"ip routing ipv6 interfaces",
        r"ip routing vrf (?!(?:default|MGMT)$)\S+",
        rf"ip prefix-list {_OURS}.*",
        rf"ipv6 prefix-list {_OURS}.*",
        r"ipv6 unicast-routing(?: vrf (?!(?:default|MGMT)$)\S+)?",
        rf"route-map {_OURS} .*",
        r"router bfd",
        r"router bgp \d+",
    ),
    volatile=r"! (?:Command|device|Startup-config|boot system).*|",
    closing=r"!|end",
    separator="!",
    free_text=r"banner (?:login|motd)",
    idle=r"interface Ethernet\S+",
    longest_vrf=100,
    reserved_vrfs=("default", "MGMT"),
)

NXOS = Platform(
    slug="cisco_nxos",
    group="port-channel{}",
    owned=(
        r"nv overlay evpn",
        r"feature bgp",
        r"feature fabric forwarding",
        r"feature interface-vlan",
        r"feature vn-segment-vlan-based",
        r"feature lacp",
        r"feature bfd",
        r"feature nv overlay",
        r"fabric forwarding anycast-gateway-mac .*",
        r"evpn multihoming",
        r"vlan [\d,-]+",
        rf"ip prefix-list {_OURS} .*",
        rf"ipv6 prefix-list {_OURS} .*",
        rf"ip extcommunity-list expanded {_OURS} .*",
        rf"route-map {_OURS} .*",
        r"vrf context (?!(?:default|management)$)\S+",
        r"interface Vlan(?!1$)\d+",
        r"interface port-channel\d+",
        r"interface nve1",
        r"interface Ethernet\S+",
        r"interface loopback0",
        r"evpn",
        r"router bgp \d+",
    ),
    volatile=r"!(?:Command|Running|Time|No configuration).*|version .*|",
    closing=r"",
    separator="",
    free_text=r"banner (?:motd|exec) (?P<mark>\^C|\S)(?P<rest>.*)",
    idle=r"interface Ethernet\S+",
    longest_vrf=32,
    reserved_vrfs=("default", "management"),
)

PLATFORMS = {platform.slug: platform for platform in (FRR, EOS, NXOS)}


def platform(slug: str, *, where: str) -> Platform:
    """The platform of that slug; `where` names what has it.

    Raises:
        InputError: there is none, or it is not a switch's.
    """
    found = PLATFORMS.get(slug)
    if found is None:
        raise InputError(
            "This platform is not one that we can write a switch's configuration for.",
            where=where,
            expected=f"one of {', '.join(PLATFORMS)}",
            found=slug or "none",
            remedy="choose the platform in NetBox, or add it: docs/fabric-configuration.md",
        )
    return found
