"""What a switch is to do when it runs its intended configuration, for the checks after a change."""

from collections.abc import Collection, Iterator

import msgspec

from chapelle.checks.fabric import Expected, Peer
from chapelle.fabric.neighbours import neighbours
from chapelle.fabric.switch import Switch
from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.model.switch import Facts, Neighbour

FAMILIES = ("evpn", "ipv4")


def expected(dc: Datacentre, device: r.Device, intended: Switch, *, vnis: bool = True) -> Expected:
    """What a switch is to do, when all that it is cabled to is in service.

    Arguments:
        dc: the datacentre.
        device: the switch in NetBox.
        intended: its intent.
        vnis: whether its kernel can carry VXLAN and VRFs; where it cannot, none is expected.
    """
    cables = dict(_cables(dc, device))
    return Expected(
        serial=device.serial,
        peers=tuple(
            Peer(vrf="default", family=family, peer=port.name)
            for port in (intended.fabric if intended.router else ())
            for family in FAMILIES
        ),
        handoffs=_handoffs(intended) if vnis else {},
        vnis=_vnis(intended) if vnis else {},
        ports=_ports(intended),
        cables=cables,
        fabric=frozenset(
            name
            for name, neighbour in cables.items()
            if dc.role_of(dc.device(neighbour.system)) in SWITCH_ROLES
        ),
    )


def awaiting(wanted: Expected, ready: Collection[str]) -> Expected:
    """The same, where only these devices are in service: nothing is required towards others."""
    waiting = {name for name, far in wanted.cables.items() if far.system not in ready}
    absent = set(wanted.handoffs.values()) - set(ready)
    return msgspec.structs.replace(wanted, waiting=frozenset(waiting), absent=frozenset(absent))


def as_before(serial: str, before: Facts) -> Expected:
    """What a switch is to do when a change is taken back: what it did before that change.

    All sessions in VRFs are those of tenants, whose side may have gone in the meantime.
    """
    was_up = [
        Peer(vrf=peer.vrf, family=peer.family, peer=peer.peer)
        for peer in before.bgp
        if peer.established
    ]
    return Expected(
        serial=serial,
        peers=tuple(peer for peer in was_up if peer.vrf == "default"),
        handoffs={peer: "" for peer in was_up if peer.vrf != "default"},
        vnis={vni.vni: vni.kind for vni in before.vnis if vni.up},
        routes_bounded=False,
    )


def in_service(dc: Datacentre) -> set[str]:
    """The names of the devices that NetBox says are in service."""
    return {name for name, device in dc.devices_by_name.items() if device.status == "active"}


def _handoffs(intended: Switch) -> dict[Peer, str]:
    return {
        Peer(vrf=one.handoff.vrf, family=one.family, peer=one.name): one.handoff.peer
        for group in neighbours(intended).values()
        for one in group
    }


def _vnis(intended: Switch) -> dict[int, str]:
    layer2 = {vlan.overlay.vni: "L2" for vlan in intended.vlans if vlan.overlay}
    return layer2 | {vrf.overlay.vni: "L3" for vrf in intended.vrfs}


def _ports(intended: Switch) -> dict[str, bool]:
    used = [port.name for port in intended.fabric]
    used += [name for each in intended.attachments for name in each.ports]
    used += [each.name for each in intended.handoffs]
    return dict.fromkeys(used, True) | dict.fromkeys(intended.unused, False)


def _cables(dc: Datacentre, device: r.Device) -> Iterator[tuple[str, Neighbour]]:
    """What LLDP has to show on each port; management controllers of servers do not speak it."""
    for interface in dc.interfaces_by_device.get(device.id, ()):
        peer = dc.peer_interface(interface)
        far = dc.devices.get(peer.device) if peer else None
        if peer is None or far is None or not far.name:
            continue
        if dc.role_of(far) in SWITCH_ROLES or (dc.is_server(far) and not peer.mgmt_only):
            yield (
                interface.name,
                Neighbour(interface=interface.name, system=far.name, port=peer.name),
            )
