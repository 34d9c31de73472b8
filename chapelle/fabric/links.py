"""The kernel's side of a switch that runs FRRouting, as systemd-networkd's files. Pure.

FRRouting speaks BGP and fills the kernel's tables; bridges, VXLAN devices, bonds and VRFs are the
kernel's own and must be there:

- one VLAN-aware bridge with the ports and groups in it, and a VXLAN device a VLAN: it learns
  nothing by itself (EVPN says where a MAC address is) and answers for neighbours that EVPN knows;
- two links a routed VLAN. `gw<vid>` has the gateway's addresses and its MAC address, which all
  switches share: servers send to it. `vlan<vid>` is what the switch itself speaks with, for it asks
  where servers are: it has a MAC address of its own, since a server on two switches may send its
  answer to the other one, which brings it here by that address (FRRouting tells of it);
- a VRF device a VRF, and a bridge of its own with the VXLAN device of the VRF's VNI. All these
  bridges of a switch have its router MAC: with several, routed traffic would vanish;
- a port in a VRF for each tenant that routes itself, with the addresses of the link;
- a group a machine that hangs on several switches, whose LACP system is that of the segment, so
  that the machine takes the switches for one.

A VRF's table ends with a route that refuses: without it, what a tenant sends to nowhere would be
looked up in the fabric's own table.

Sources: systemd.netdev(5), systemd.network(5) of systemd 252 (Debian 12); FRRouting 8.4 user guide,
"EVPN" (kernel interfaces, multihoming); Linux, Documentation/networking/vrf.rst (the metric of the
last route).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from chapelle.fabric.render import FABRIC_MTU
from chapelle.fabric.switch import Attachment, Handoff, Overlay, Router, Switch, Vlan, Vrf
from chapelle.model import linkfile
from chapelle.model.linkfile import HEADER, PREFIX, SYSCTL

BRIDGE = "br0"

# Bytes of the longest IP packet inside the overlay: VXLAN over IPv4 adds 50 (RFC 7348, 5).
OVERLAY_MTU = FABRIC_MTU - 50

# Bytes where nobody asks for more.
PLAIN_MTU = 1500

# The highest metric that is not "unknown": the route that is taken when no other is.
LAST_METRIC = 4_278_198_272

# Both ends of a group say the same: servers' bonds are in chapelle.plan.networkd.
BOND = (
    ("Mode", "802.3ad"),
    ("MIIMonitorSec", "100ms"),
    ("LACPTransmitRate", "fast"),
    ("TransmitHashPolicy", "layer3+4"),
    ("MinLinks", "1"),
)

# A router that spreads flows over equal paths by their ports too, the inner ones of VXLAN included,
# and whose links answer for their own addresses only, and ask with no other.
ROUTER = """net.ipv4.ip_forward=1
net.ipv6.conf.all.forwarding=1
net.ipv4.fib_multipath_hash_policy=1
net.ipv6.fib_multipath_hash_policy=1
net.ipv4.conf.all.ignore_routes_with_linkdown=1
net.ipv4.conf.default.ignore_routes_with_linkdown=1
net.ipv6.conf.all.ignore_routes_with_linkdown=1
net.ipv6.conf.default.ignore_routes_with_linkdown=1
net.ipv4.conf.all.arp_ignore=1
net.ipv4.conf.all.arp_announce=2
"""

type File = dict[str, str]
type Sections = Sequence[tuple[str, Sequence[tuple[str, Any]]]]


def links(switch: Switch) -> list[File]:
    """The files that make the kernel's side of a switch.

    Returns:
        `path` and `content` of each, by path. Interfaces of management are in none of them, and
        ports that are unused neither: FRRouting shuts these down.
    """
    router = switch.router
    files = [_file(port.name, "network", _fabric_port(port.name)) for port in switch.fabric]
    if switch.vlans:
        files += _bridge(switch)
    for one in switch.attachments:
        files += _attachment(one)
    files += [_handoff(each) for each in switch.handoffs]
    if router:
        for vlan in switch.vlans:
            files += _vlan(router, vlan)
            if vlan.gateways:
                files += _gateway(switch, router, vlan)
        for vrf in switch.vrfs:
            files += _vrf(router, vrf)
        files.append({"path": SYSCTL, "content": HEADER + ROUTER})
    return sorted(files, key=lambda file: file["path"])


def text(switch: Switch) -> str:
    """The same as sections of its configuration: what `render` gives has none of them."""
    return linkfile.sections({file["path"]: file["content"] for file in links(switch)})


def _fabric_port(name: str) -> Sections:
    """A link-local address is all that an unnumbered session needs."""
    return [
        ("Match", [("Name", name)]),
        ("Link", [("MTUBytes", FABRIC_MTU), ("RequiredForOnline", "no")]),
        ("Network", [("LinkLocalAddressing", "ipv6"), ("IPv6AcceptRA", "no")]),
    ]


def _bridge(switch: Switch) -> list[File]:
    routed = [vlan for vlan in switch.vlans if vlan.gateways]
    mac = switch.router.router_mac if switch.router else None
    vlans = [("VLAN", _svi(vlan)) for vlan in routed]
    carried: list[tuple[str, Sequence[tuple[str, Any]]]] = [
        ("BridgeVLAN", [("VLAN", vlan.vid)]) for vlan in routed
    ]
    # What is sent to the gateway ends here, and is not flooded to the gateways of other switches.
    carried += [
        (
            "BridgeFDB",
            [
                ("MACAddress", switch.gateway_mac),
                ("VLANId", vlan.vid),
                ("AssociatedWith", "self"),
            ],
        )
        for vlan in routed
    ]
    return [
        _file(
            BRIDGE,
            "netdev",
            [
                _netdev(BRIDGE, "bridge", OVERLAY_MTU, mac=mac),
                (
                    "Bridge",
                    [
                        ("VLANFiltering", "yes"),
                        ("DefaultPVID", "none"),
                        ("STP", "no"),
                        ("MulticastSnooping", "no"),
                    ],
                ),
            ],
        ),
        _file(BRIDGE, "network", [*_quiet(BRIDGE, OVERLAY_MTU, vlans), *carried]),
    ]


def _attachment(one: Attachment) -> list[File]:
    member = one.group or None
    carried = _carried(one)
    in_bridge = [("Bridge", BRIDGE)]
    if member is None:
        port = one.ports[0]
        return [_file(port, "network", [*_quiet(port, OVERLAY_MTU, in_bridge), *carried])]
    system = one.segment.system_mac if one.segment else None
    bond = [*BOND, ("AdActorSystem", system)]
    return [
        *(
            _file(port, "network", _quiet(port, OVERLAY_MTU, [("Bond", member)]))
            for port in one.ports
        ),
        _file(member, "netdev", [_netdev(member, "bond", OVERLAY_MTU), ("Bond", bond)]),
        _file(member, "network", [*_quiet(member, OVERLAY_MTU, in_bridge), *carried]),
    ]


def _carried(one: Attachment) -> Sections:
    return [
        (
            "BridgeVLAN",
            [("VLAN", vid)] + ([("PVID", vid), ("EgressUntagged", vid)] * (vid == one.untagged)),
        )
        for vid in one.vids
    ]


def _handoff(one: Handoff) -> File:
    """A port in a VRF, with addresses: both ends of a routed link have one MTU."""
    six = "ipv6" if any(":" in session.local for session in one.sessions) else "no"
    addresses: Sections = [("Address", [("Address", session.local)]) for session in one.sessions]
    link = _quiet(one.name, one.mtu or PLAIN_MTU, [("VRF", one.vrf)], link_local=six)
    return _file(one.name, "network", [*link, *addresses])


def _svi(vlan: Vlan) -> str:
    return f"vlan{vlan.vid}"


def _vlan(router: Router, vlan: Vlan) -> list[File]:
    if vlan.overlay is None:
        return []
    name = f"vni{vlan.overlay.vni}"
    inside: Sections = [
        ("Bridge", [("NeighborSuppression", "yes"), ("Learning", "no")]),
        ("BridgeVLAN", [("VLAN", vlan.vid), ("PVID", vlan.vid), ("EgressUntagged", vlan.vid)]),
    ]
    return [
        _file(name, "netdev", _vxlan(name, vlan.overlay, router)),
        _file(name, "network", [*_quiet(name, OVERLAY_MTU, [("Bridge", BRIDGE)]), *inside]),
    ]


def _gateway(switch: Switch, router: Router, vlan: Vlan) -> list[File]:
    """The switch's own link in a routed VLAN, and the gateway on top of it.

    The network is reached by the former: the gateway's addresses bring no route. Its own address is
    the loopback's, which is nobody else's, so that no question seems to come from the gateway.
    """
    own, gateway, mtu = _svi(vlan), f"gw{vlan.vid}", vlan.mtu or PLAIN_MTU
    tables = {vrf.name: vrf.overlay.vni for vrf in switch.vrfs}
    routes: Sections = [
        (
            "Route",
            [
                ("Destination", str(ipaddress.ip_interface(address).network)),
                ("Table", tables[vlan.vrf or ""]),
            ],
        )
        for address in vlan.gateways
    ]
    addresses: Sections = [
        (
            "Address",
            [
                ("Address", address),
                ("AddPrefixRoute", "no"),
                # Other switches have the same address: nothing to be detected (RFC 4862, 5.4).
                ("DuplicateAddressDetection", "none"),
            ],
        )
        for address in vlan.gateways
    ]
    six = "ipv6" if any(":" in address for address in vlan.gateways) else "no"
    below = [("VRF", vlan.vrf), ("MACVLAN", gateway), ("Address", f"{router.loopback}/32")]
    above = [("VRF", vlan.vrf), ("IPv6DuplicateAddressDetection", 0)]
    vlan_id = ("VLAN", [("Id", vlan.vid)])
    mode = ("MACVLAN", [("Mode", "private")])
    return [
        _file(own, "netdev", [_netdev(own, "vlan", mtu, mac=router.router_mac), vlan_id]),
        _file(own, "network", [*_quiet(own, mtu, below, link_local=six), *routes]),
        _file(gateway, "netdev", [_netdev(gateway, "macvlan", mtu, mac=switch.gateway_mac), mode]),
        _file(gateway, "network", [*_quiet(gateway, mtu, above, link_local=six), *addresses]),
    ]


def _vrf(router: Router, vrf: Vrf) -> list[File]:
    """The VRF's device, and the bridge and VXLAN device of its VNI; its table has the VNI's number.

    A bridge apart from that of the VLANs needs no VLAN number of its own.
    """
    vni = vrf.overlay.vni
    bridge, vxlan = f"l3vni{vni}", f"vni{vni}"
    refuse: Sections = [
        (
            "Route",
            [
                ("Destination", everything),
                ("Type", "unreachable"),
                ("Metric", LAST_METRIC),
                ("Table", vni),
            ],
        )
        for everything in ("0.0.0.0/0", "::/0")
    ]
    made = ("Bridge", [("STP", "no"), ("MulticastSnooping", "no")])
    return [
        _file(vrf.name, "netdev", [_netdev(vrf.name, "vrf", None), ("VRF", [("Table", vni)])]),
        _file(vrf.name, "network", [*_quiet(vrf.name, None, []), *refuse]),
        _file(
            bridge,
            "netdev",
            [_netdev(bridge, "bridge", OVERLAY_MTU, mac=router.router_mac), made],
        ),
        _file(bridge, "network", _quiet(bridge, OVERLAY_MTU, [("VRF", vrf.name)])),
        _file(vxlan, "netdev", _vxlan(vxlan, vrf.overlay, router)),
        _file(
            vxlan,
            "network",
            [
                *_quiet(vxlan, OVERLAY_MTU, [("Bridge", bridge)]),
                ("Bridge", [("Learning", "no")]),
            ],
        ),
    ]


def _vxlan(name: str, overlay: Overlay, router: Router) -> Sections:
    return [
        _netdev(name, "vxlan", OVERLAY_MTU),
        (
            "VXLAN",
            [
                ("VNI", overlay.vni),
                ("Local", router.loopback),
                ("DestinationPort", 4789),
                ("MacLearning", "no"),
                ("Independent", "yes"),
            ],
        ),
    ]


# -- the files ------------------------------------------------------------------------------------


def _netdev(
    name: str, kind: str, mtu: int | None, *, mac: str | None = None
) -> tuple[str, list[tuple[str, Any]]]:
    return "NetDev", [("Name", name), ("Kind", kind), ("MTUBytes", mtu), ("MACAddress", mac)]


def _quiet(
    name: str, mtu: int | None, options: Iterable[tuple[str, Any]], *, link_local: str = "no"
) -> Sections:
    """A link that speaks for itself only as far as `options` say, and that nothing waits for."""
    return [
        ("Match", [("Name", name)]),
        ("Link", [("MTUBytes", mtu), ("RequiredForOnline", "no")]),
        (
            "Network",
            [
                ("LinkLocalAddressing", link_local),
                ("IPv6AcceptRA", "no"),
                ("ConfigureWithoutCarrier", "yes"),
                *options,
            ],
        ),
    ]


def _file(name: str, kind: str, sections: Sections) -> File:
    parts = [HEADER]
    for title, options in sections:
        lines = [f"{key}={value}\n" for key, value in options if value is not None]
        parts.append(f"[{title}]\n{''.join(lines)}")
    return {"path": f"{PREFIX}{name}.{kind}", "content": "\n".join(parts)}
