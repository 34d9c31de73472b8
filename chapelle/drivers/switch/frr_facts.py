"""Reading the facts of an FRR switch: JSON of vtysh, lldpd, and the kernel into plain data.

Shapes of the answers: FRR 8.4.4, lldpd 1.0.16 and iproute2 6.1, as Debian 12 has them. vtysh prints
nothing, or `{}`, for a protocol that has no instance.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from chapelle.drivers.switch import frr_kernel
from chapelle.drivers.switch.contract import SwitchError
from chapelle.drivers.switch.shell import Shell
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour, Port, Vni

FAMILIES = {"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6", "l2VpnEvpn": "evpn"}

LINKS = "ip -details -json link show"
# Not installed, or switched off, is a protocol that the device does not run.
LLDP = "if systemctl -q is-enabled lldpd 2>/dev/null; then lldpcli -f json0 show neighbors; fi"

# Between two answers of one script: the record separator of ASCII.
BETWEEN = "\x1e"


def read(shell: Shell, identity: Identity) -> Facts:
    """Ask everything, in two scripts.

    Raises:
        SwitchError: a program that should answer does not, or answers what we do not understand.
        UnreachableError: the session is lost.
    """
    links, neighbours, bgp, evpn, tenants, *kernel = _answers(
        shell,
        [
            LINKS,
            LLDP,
            *map(_vtysh, ("bgp vrf all summary", "evpn vni", "vrf vni")),
            *frr_kernel.COMMANDS,
        ],
    )
    kinds = {link["ifname"]: link.get("linkinfo", {}).get("info_kind") for link in links}
    vrfs = ["default", *(name for name, kind in kinds.items() if kind == "vrf")]
    summaries = _answers(shell, [_vtysh(f"ip route vrf {vrf} summary") for vrf in vrfs])
    ports = _ports(links)
    return Facts(
        identity=identity,
        neighbours=_neighbours(neighbours),
        bgp=_bgp(bgp),
        vnis=_vnis(evpn, tenants, {port.name for port in ports if port.up}),
        ports=ports,
        routes={
            vrf: int(summary.get("routesTotal", 0))
            for vrf, summary in zip(vrfs, summaries, strict=True)
        },
        kernel=frr_kernel.kernel(links, *kernel),
    )


def _vtysh(what: str) -> str:
    return f"timeout 20 vtysh -c 'show {what} json'"


def _answers(shell: Shell, commands: Sequence[str]) -> list[Any]:
    """What each command printed, decoded; an empty answer is an empty object."""
    script = "\n".join(f"{command}; printf '{BETWEEN}'" for command in commands)
    text = shell.must(script, purpose="tell its state", timeout=90.0)
    found = []
    for command, answer in zip(commands, text.split(BETWEEN), strict=False):
        try:
            found.append(json.loads(answer) if answer.strip() else {})
        except ValueError as error:
            raise SwitchError(
                f"{shell.session.target.name} answers what is not JSON.",
                where=command,
                expected="JSON",
                found=answer.strip()[:200],
                remedy="is its FRRouting one of those in docs/switch-platforms.md?",
            ) from error
    return found


def _ports(links: Sequence[dict[str, Any]]) -> tuple[Port, ...]:
    """All interfaces of the kernel but the loopback; flags as in ip-link(8)."""
    return tuple(
        sorted(
            Port(
                name=link["ifname"],
                enabled="UP" in link["flags"],
                up={"UP", "LOWER_UP"} <= set(link["flags"]),
            )
            for link in links
            if "LOOPBACK" not in link["flags"]
        )
    )


def _neighbours(answer: dict[str, Any]) -> tuple[Neighbour, ...]:
    """Format json0 of lldpcli(8): each element is a list, and so is what it holds."""
    interfaces = [each for group in answer.get("lldp", []) for each in group.get("interface", [])]
    return tuple(
        sorted(
            Neighbour(interface=each["name"], system=_system(each), port=_port(each))
            for each in interfaces
        )
    )


def _system(interface: dict[str, Any]) -> str:
    chassis = (interface.get("chassis") or [{}])[0]
    return _value(chassis, "name") or _value(chassis, "id")


def _port(interface: dict[str, Any]) -> str:
    """The far port's name: a Linux host names it in the description, and its MAC as identity."""
    port = (interface.get("port") or [{}])[0]
    kind = (port.get("id") or [{}])[0].get("type", "")
    if kind in {"ifname", "local"}:
        return _value(port, "id")
    return _value(port, "descr") or _value(port, "id")


def _value(element: dict[str, Any], name: str) -> str:
    return str((element.get(name) or [{}])[0].get("value", ""))


def _bgp(answer: dict[str, Any]) -> tuple[BgpPeer, ...]:
    """`show bgp vrf all summary json`: by VRF, then by family."""
    return tuple(
        sorted(
            BgpPeer(
                vrf=vrf,
                family=FAMILIES.get(family, family),
                peer=name,
                established=peer["state"] == "Established",
                prefixes=int(peer.get("pfxRcd", 0)),
            )
            for vrf, families in answer.items()
            for family, summary in families.items()
            if isinstance(summary, dict)
            for name, peer in summary.get("peers", {}).items()
        )
    )


def _vnis(evpn: dict[str, Any], tenants: dict[str, Any], up: Collection[str]) -> tuple[Vni, ...]:
    """L2 ones are up with their VXLAN interface; L3 ones have a state of their own.

    An L3 VNI whose VRF or interface the kernel lacks is in `show vrf vni` only.
    """
    layer2 = [
        Vni(vni=each["vni"], kind="L2", up=each["vxlanIf"] in up, vrf=each.get("tenantVrf", ""))
        for each in evpn.values()
        if each["type"] == "L2"
    ]
    layer3 = [
        Vni(vni=each["vni"], kind="L3", up=each["state"] == "Up", vrf=each["vrf"])
        for each in tenants.get("vrfs", [])
    ]
    return tuple(sorted([*layer2, *layer3]))
