"""What a tenant has put on its edge: addresses, a group or BGP, and LLDP. Ours only in the lab.

The port for management has routing of its own: what comes in by it goes out by it, and nothing else
does. So whatever the edge reaches otherwise, it reaches by its lines.

A container has no group and no VLANs, whatever the machine's kernel has: see `chapelle.lab.spec`.

Sources: systemd.network(5), systemd.netdev(5); FRRouting 8.4 user guide, "BGP"; lldpcli(8).
"""

import ipaddress

from chapelle.lab.spec import Node
from chapelle.lab.switch import DAEMONS_FILE, PROFILE, File, daemons, lldp, unit
from chapelle.lab.tenant import Handoff, Session, Vlan
from chapelle.model.tenancy import EDGE_GROUP

_NETWORK = "etc/systemd/network"
_HEADER = "# Written by the tenant, whom the lab plays.\n"

# So that whoever logs in may send echo requests (icmp(7)): a full kernel sees no capabilities of
# files, which the program would have them by.
_SYSCTL = f"{_HEADER}net.ipv4.ping_group_range = 0 2147483647\n"

# The routing table of the port for management.
_MANAGEMENT_TABLE = 100

_QUIET = "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"


def files(node: Node) -> dict[str, File]:
    """The files of an edge, by path without the leading slash."""
    handoff = node.handoff or Handoff()
    found = {
        **lldp(node.name),
        "etc/sysctl.d/05-install.conf": File(content=_SYSCTL),
        f"{_NETWORK}/05-install.network": File(content=_management(node)),
    }
    networks = _group(handoff) if node.kind == "uml" else {}
    if handoff.sessions:
        found[DAEMONS_FILE] = File(content=daemons(), mode=0o640, owner="frr")
        found["etc/frr/frr.conf"] = File(content=_routing(node, handoff), mode=0o640, owner="frr")
        networks |= _routed(handoff)
    used = {*handoff.members, *(session.port for session in handoff.sessions)}
    bare = [port.name for port in node.ports if port.dark and port.name not in used]
    if node.kind != "uml":
        bare += handoff.members
    networks["91-ports.network"] = _match(*sorted(bare)) + f"[Network]\n{_QUIET}"
    for name, text in networks.items():
        found[f"{_NETWORK}/{name}"] = File(content=text)
    return found


def units(node: Node) -> dict[str, str]:
    """The units that are enabled: the target of each link, by its path."""
    routes = node.handoff is not None and bool(node.handoff.sessions)
    return dict(map(unit, ["lldpd.service", *(["frr.service"] if routes else [])]))


def _match(*names: str) -> str:
    return f"{_HEADER}[Match]\nName={' '.join(names)}\n\n[Link]\nRequiredForOnline=no\n\n"


def _management(node: Node) -> str:
    table = f"Table={_MANAGEMENT_TABLE}\n"
    return (
        _match(node.management_port)
        + f"[Network]\n{_QUIET}\n"
        + f"[Address]\nAddress={node.address}\nAddPrefixRoute=no\n\n"
        + f"[RoutingPolicyRule]\nFrom={node.ip}\n{table}\n"
        + f"[Route]\nDestination={node.network}\n{table}\n"
        + f"[Route]\nGateway={node.gateway}\nGatewayOnLink=yes\n{table}"
    )


# -- a group with VLANs ---------------------------------------------------------------------------


def _group(handoff: Handoff) -> dict[str, str]:
    """The group of the hand-off, with a link a VLAN; the first gateway is that of all the rest."""
    if not handoff.members:
        return {}
    routed = next((vlan for vlan in handoff.vlans if vlan.gateways), None)
    names = "".join(f"VLAN={_link(vlan)}\n" for vlan in handoff.vlans)
    found = {
        "30-members.network": _match(*handoff.members) + f"[Network]\nBond={EDGE_GROUP}\n{_QUIET}",
        "30-group.netdev": f"{_HEADER}[NetDev]\nName={EDGE_GROUP}\nKind=bond\n\n[Bond]\n"
        "Mode=802.3ad\nMIIMonitorSec=100ms\nLACPTransmitRate=fast\n"
        "TransmitHashPolicy=layer3+4\n",
        "30-group.network": _match(EDGE_GROUP) + f"[Network]\n{_QUIET}{names}",
    }
    for vlan in handoff.vlans:
        name = _link(vlan)
        found[f"40-{name}.netdev"] = (
            f"{_HEADER}[NetDev]\nName={name}\nKind=vlan\n\n[VLAN]\nId={vlan.vid}\n"
        )
        addresses = "".join(f"Address={each}\n" for each in vlan.addresses)
        gateways = vlan.gateways if vlan is routed else ()
        found[f"40-{name}.network"] = (
            _match(name)
            + f"[Network]\n{_QUIET}{addresses}"
            + "".join(f"\n[Route]\nGateway={gateway}\n" for gateway in gateways)
        )
    return found


def _link(vlan: Vlan) -> str:
    return f"{EDGE_GROUP}.{vlan.vid}"


# -- routed ports ---------------------------------------------------------------------------------


def _routed(handoff: Handoff) -> dict[str, str]:
    """The routed ports, and an address of the edge's own in each network that it announces."""
    found = {
        f"30-{session.port}.network": _match(session.port)
        + f"[Network]\n{_QUIET}Address={session.address}\n"
        for session in handoff.sessions
    }
    owned = "".join(f"Address={ipaddress.ip_network(each)}\n" for each in handoff.owned)
    found["30-lo.network"] = f"{_HEADER}[Match]\nName=lo\n\n[Network]\n{owned}"
    return found


def _routing(node: Node, handoff: Handoff) -> str:
    """FRRouting's part: it tells what it has, and takes what it is told."""
    lines = [
        f"frr defaults {PROFILE}",
        f"hostname {node.name}",
        "log syslog informational",
        f"router bgp {handoff.asn}",
        f" bgp router-id {node.ip}",
        " no bgp ebgp-requires-policy",
        " no bgp network import-check",
        " no bgp default ipv4-unicast",
    ]
    for session in handoff.sessions:
        lines.append(f" neighbor {session.peer} remote-as {session.peer_asn}")
        lines.append(f" neighbor {session.peer} timers connect 10")
    for version in (4, 6):
        sessions = [s for s in handoff.sessions if _version(s) == version]
        if not sessions:
            continue
        lines.append(f" address-family ipv{version} unicast")
        lines += [
            f"  network {each}"
            for each in handoff.announced
            if ipaddress.ip_network(each).version == version
        ]
        lines += [f"  neighbor {session.peer} activate" for session in sessions]
        lines.append(" exit-address-family")
    return "".join(f"{line}\n" for line in lines)


def _version(session: Session) -> int:
    return ipaddress.ip_address(session.peer).version
