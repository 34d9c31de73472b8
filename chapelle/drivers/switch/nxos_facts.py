"""Reading the facts of an NX-OS switch: its JSON into plain data.

NX-OS writes a table as `TABLE_x` that holds `ROW_x`, which is an object when the table has one row
and a list when it has more; a protocol that does not run answers nothing (NX-API CLI reference).
"""

import re
from typing import Any

from chapelle.drivers.switch.cli import Cli
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour, Port, Vni

SUMMARIES = (
    ("ipv4", "show bgp ipv4 unicast summary vrf all"),
    ("ipv6", "show bgp ipv6 unicast summary vrf all"),
    ("evpn", "show bgp l2vpn evpn summary"),
)


def read(cli: Cli, identity: Identity) -> Facts:
    """Ask everything.

    Raises:
        SwitchError: an answer is not JSON, or a command is not known.
        UnreachableError: the session is lost.
    """
    return Facts(
        identity=identity,
        neighbours=_neighbours(cli.data("show lldp neighbors detail")),
        bgp=tuple(
            sorted(peer for family, ask in SUMMARIES for peer in _bgp(family, cli.data(ask)))
        ),
        vnis=_vnis(cli.data("show nve vni")),
        ports=_ports(cli.data("show interface brief")),
        routes=_routes(cli.data("show ip route summary vrf all")),
    )


def rows(answer: Any, table: str) -> list[dict[str, Any]]:
    """The rows of a table: a list, however many there are."""
    if not isinstance(answer, dict):
        return []
    found = (answer.get(f"TABLE_{table}") or {}).get(f"ROW_{table}", [])
    return found if isinstance(found, list) else [found]


def full_name(interface: str) -> str:
    """The name of an interface as the configuration has it: LLDP says Eth1/1."""
    return re.sub(r"^Eth(?=\d)", "Ethernet", interface)


def _neighbours(answer: Any) -> tuple[Neighbour, ...]:
    return tuple(
        sorted(
            Neighbour(
                interface=full_name(each["l_port_id"]),
                system=each["sys_name"],
                port=each["port_id"],
            )
            for each in rows(answer, "nbor_detail")
        )
    )


def _bgp(family: str, answer: Any) -> list[BgpPeer]:
    return [
        BgpPeer(
            vrf=vrf["vrf-name-out"],
            family=family,
            peer=peer["neighborid"],
            established=peer["state"] == "Established",
            prefixes=int(peer.get("prefixreceived") or 0),
        )
        for vrf in rows(answer, "vrf")
        for address_family in rows(vrf, "af")
        for subsequent in rows(address_family, "saf")
        for peer in rows(subsequent, "neighbor")
    ]


def _vnis(answer: Any) -> tuple[Vni, ...]:
    """The type has the VLAN or the VRF in brackets: `L2 [10]`, `L3 [red]`."""
    found = []
    for each in rows(answer, "nve_vni"):
        kind, _, bound = each["type"].partition(" ")
        found.append(
            Vni(
                vni=int(each["vni"]),
                kind=kind,
                up=each["vni-state"] == "Up",
                vrf=bound.strip("[] ") if kind == "L3" else "",
            )
        )
    return tuple(sorted(found))


def _ports(answer: Any) -> tuple[Port, ...]:
    return tuple(
        sorted(
            Port(
                name=each["interface"],
                enabled=each.get("state_rsn_desc") != "Administratively down",
                up=each["state"] == "up",
            )
            for each in rows(answer, "interface")
        )
    )


def _routes(answer: Any) -> dict[str, int]:
    return {
        vrf["vrf-name-out"]: int(summary["routes"])
        for vrf in rows(answer, "vrf")
        for family in rows(vrf, "addrf")
        if family.get("addrf", "ipv4") == "ipv4"
        for summary in rows(family, "summary")
    }
