"""Reading the facts of an EOS switch: its JSON into plain data.

The shapes are those that Arista's models of `show` commands have (eAPI, the same as `| json` on
the command line).
"""

import re
from typing import Any

from chapelle.drivers.switch.cli import Cli
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour, Port, Vni

SUMMARIES = (
    ("ipv4", "show ip bgp summary vrf all"),
    ("ipv6", "show ipv6 bgp summary vrf all"),
    ("evpn", "show bgp evpn summary"),
)


def read(cli: Cli, identity: Identity) -> Facts:
    """Ask everything.

    Raises:
        SwitchError: an answer is not JSON, or a command is not known.
        UnreachableError: the session is lost.
    """
    tunnels = cli.data("show vxlan vni").get("vxlanIntfs", {}).get("Vxlan1", {})
    return Facts(
        identity=identity,
        neighbours=_neighbours(cli.data("show lldp neighbors")),
        bgp=tuple(
            sorted(peer for family, ask in SUMMARIES for peer in _bgp(family, cli.data(ask)))
        ),
        vnis=_vnis(cli, tunnels) if tunnels else (),
        ports=_ports(cli.data("show interfaces status")),
        routes=_routes(cli.data("show ip route vrf all summary")),
    )


def _neighbours(answer: dict[str, Any]) -> tuple[Neighbour, ...]:
    return tuple(
        sorted(
            Neighbour(
                interface=each["port"], system=each["neighborDevice"], port=each["neighborPort"]
            )
            for each in answer.get("lldpNeighbors", [])
        )
    )


def _bgp(family: str, answer: dict[str, Any]) -> list[BgpPeer]:
    return [
        BgpPeer(
            vrf=vrf,
            family=family,
            peer=_peer(name),
            established=peer["peerState"] == "Established",
            prefixes=int(peer.get("prefixAccepted", peer.get("prefixReceived", 0))),
        )
        for vrf, summary in answer.get("vrfs", {}).items()
        for name, peer in summary.get("peers", {}).items()
    ]


def _peer(name: str) -> str:
    """A neighbour by its address; one without is `fe80::1%Et49/1`, and is called by its port."""
    _, unnumbered, port = name.partition("%")
    return re.sub(r"^Et(?=\d)", "Ethernet", port) if unnumbered else name


def _vnis(cli: Cli, tunnels: dict[str, Any]) -> tuple[Vni, ...]:
    """What is bound to the VXLAN interface is up with it."""
    interface = cli.data("show interfaces Vxlan1")["interfaces"]["Vxlan1"]
    up = interface["lineProtocolStatus"] == "up"
    layer2 = [Vni(vni=int(vni), kind="L2", up=up) for vni in tunnels.get("vniBindings", {})]
    layer3 = [
        Vni(vni=int(vni), kind="L3", up=up, vrf=binding["vrfName"])
        for vni, binding in tunnels.get("vniBindingsToVrf", {}).items()
    ]
    return tuple(sorted([*layer2, *layer3]))


def _ports(answer: dict[str, Any]) -> tuple[Port, ...]:
    """`disabled` is what somebody shut down; `errdisabled` what the switch shut down itself."""
    return tuple(
        sorted(
            Port(
                name=name,
                enabled=status["linkStatus"] != "disabled",
                up=status["linkStatus"] == "connected",
            )
            for name, status in answer.get("interfaceStatuses", {}).items()
        )
    )


def _routes(answer: dict[str, Any]) -> dict[str, int]:
    return {vrf: int(each.get("totalRoutes", 0)) for vrf, each in answer.get("vrfs", {}).items()}
