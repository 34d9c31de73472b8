"""What hangs on each port of a switch, by the cables in NetBox.

Which VLANs a port carries is said in NetBox by (first that speaks):

1. the port itself, or the group that it belongs to: an out-of-band switch's uplink;
2. the far port, or its group: a server's bond, whose untagged VLAN and VLAN interfaces count;
3. the VLAN of the prefix that the far port's address is from: a management controller.

A port that is in a VRF itself carries none: it is a routed one (see `handoff`). A port that nobody
says anything of is unused, and unused ports are shut down.
"""

import ipaddress
import re
from collections.abc import Iterable
from itertools import pairwise

import msgspec

from chapelle.errors import InputError
from chapelle.fabric import allocation
from chapelle.fabric.platforms import Platform
from chapelle.fabric.switch import Attachment, FabricPort, Segment
from chapelle.model import records as r
from chapelle.model.datacentre import ROUTING_ROLES, VTEP_ROLES, Datacentre

_SOFTWARE = frozenset({"virtual", "lag", "bridge"})

# What hangs on a port in one of these statuses is not there, or must not be.
_ABSENT = frozenset({"inventory", "decommissioning"})


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of a switch by use; each tuple is in order. The VLANs are ids of NetBox.

    `routed` are the ports that are in a VRF, each with what it is cabled to.
    """

    fabric: tuple[FabricPort, ...]
    attachments: tuple[Attachment, ...]
    routed: tuple[tuple[r.Interface, r.Interface], ...]
    unused: tuple[str, ...]
    management: tuple[str, ...]
    vlans: frozenset[int]


class _End(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the switch that is in use, what it is cabled to, and the VLANs that it carries."""

    near: r.Interface
    far: r.Interface
    device: r.Device
    untagged: int | None
    tagged: frozenset[int]


def ports(dc: Datacentre, device: r.Device, platform: Platform) -> Ports:
    """What every port of a switch is for.

    Raises:
        InputError: a cable leads where it must not, or NetBox lacks a number that is needed.
    """
    fabric: list[FabricPort] = []
    ends: list[_End] = []
    routed: list[tuple[r.Interface, r.Interface]] = []
    unused: list[str] = []
    management: list[str] = []
    for near in dc.interfaces_by_device.get(device.id, ()):
        if near.mgmt_only:
            management.append(near.name)
        elif near.type in _SOFTWARE:
            continue
        elif far := _far(dc, device, near):
            other = dc.devices[far.device]
            if near.vrf is not None:
                routed.append((near, far))
            elif _routes(dc, device) and _routes(dc, other) and not far.mgmt_only:
                fabric.append(_fabric_port(dc, device, near, far))
            elif end := _end(dc, near, far, other):
                ends.append(end)
            else:
                unused.append(near.name)
        else:
            unused.append(near.name)
    return Ports(
        fabric=tuple(sorted(fabric, key=lambda port: port_number(port.name))),
        attachments=_attachments(dc, device, platform, ends),
        routed=tuple(sorted(routed, key=lambda ends: port_number(ends[0].name))),
        unused=tuple(sorted(unused, key=port_number)),
        management=tuple(sorted(management)),
        vlans=frozenset(
            vlan for end in ends for vlan in (*end.tagged, end.untagged) if vlan is not None
        ),
    )


def port_number(name: str) -> int:
    """The number that a port's name ends with, such as 12 of `swp12` and of `Ethernet1/12`.

    Raises:
        InputError: it ends with none.
    """
    match = re.search(r"(\d+)$", name)
    if match is None:
        raise InputError(
            "A port of a switch has no number.",
            where=f"interface {name}",
            expected="a name that ends with a number, such as swp12 or Ethernet1/12",
            found=name,
            remedy="name the interface in NetBox as the switch does",
        )
    return int(match[1])


def _routes(dc: Datacentre, device: r.Device) -> bool:
    return dc.role_of(device) in ROUTING_ROLES


def _far(dc: Datacentre, device: r.Device, near: r.Interface) -> r.Interface | None:
    """What an enabled port is cabled to, when that is an enabled port of something present."""
    far = dc.peer_interface(near) if near.enabled else None
    if far is None or not far.enabled or far.device == device.id:
        return None
    other = dc.devices.get(far.device)
    return far if other and other.name and other.status not in _ABSENT else None


def _fabric_port(
    dc: Datacentre, device: r.Device, near: r.Interface, far: r.Interface
) -> FabricPort:
    other = dc.devices[far.device]
    roles = {dc.role_of(device), dc.role_of(other)}
    if "spine" not in roles or not roles & set(VTEP_ROLES):
        raise InputError(
            "A cable of the fabric does not lead from a leaf to a spine.",
            where=f"{device.name} {near.name} - {other.name} {far.name}",
            expected="one of them a spine, the other a leaf, tenant-leaf or border",
            found=" and ".join(sorted(roles)),
            remedy="correct the cable in NetBox",
        )
    return FabricPort(
        name=near.name, peer=other.name or "", peer_port=far.name, peer_asn=asn(other)
    )


def asn(device: r.Device) -> int:
    """The AS number of a switch, from its custom field `bgp_asn`.

    Raises:
        InputError: there is none.
    """
    found = device.custom_fields.get("bgp_asn")
    if not isinstance(found, int):
        raise InputError(
            "A switch that routes has no AS number.",
            where=f"device {device.name} in NetBox",
            expected="custom field bgp_asn",
            found=repr(found),
            remedy="enter it in NetBox; no two leafs or border leafs share one",
        )
    return found


def loopback(dc: Datacentre, device: r.Device) -> str:
    """The loopback address of a switch, without its length.

    Raises:
        InputError: there is none, or more than one.
    """
    found = dc.loopbacks_by_device.get(device.id, ())
    if len(found) != 1 or not found[0].endswith("/32"):
        raise InputError(
            "A switch that routes has no loopback address, or several.",
            where=f"device {device.name} in NetBox",
            expected="one IPv4 address of role loopback and length 32 on an interface of its own",
            found=", ".join(found) or "none",
            remedy="enter it in NetBox, from a prefix of role loopbacks",
        )
    return found[0].removesuffix("/32")


# -- groups ---------------------------------------------------------------------------------------


def _end(dc: Datacentre, near: r.Interface, far: r.Interface, device: r.Device) -> _End | None:
    for speaker in (near, far):
        group = dc.interfaces.get(speaker.lag or 0) or speaker
        untagged, tagged = _vlans(dc, group)
        if untagged is not None or tagged:
            break
    else:
        untagged, tagged = _vlan_of_address(dc, far), frozenset()
    if untagged is None and not tagged:
        return None
    return _End(near=near, far=far, device=device, untagged=untagged, tagged=tagged - {untagged})


def _vlans(dc: Datacentre, interface: r.Interface) -> tuple[int | None, frozenset[int]]:
    """The VLANs of a port or group: the tagged ones of a server are those that it has links for."""
    tagged = set(interface.tagged_vlans)
    if dc.is_server(dc.devices[interface.device]):
        tagged &= {
            child.untagged_vlan
            for child in dc.interfaces_by_device.get(interface.device, ())
            if child.parent == interface.id and child.enabled
        }
    return interface.untagged_vlan, frozenset(tagged)


def _vlan_of_address(dc: Datacentre, interface: r.Interface) -> int | None:
    for address in dc.addresses_by_interface.get(interface.id, ()):
        network = ipaddress.ip_interface(address.address).network
        prefix = dc.prefixes_by_network.get((address.vrf, str(network)))
        if prefix and prefix.vlan is not None:
            return prefix.vlan
    return None


def _attachments(
    dc: Datacentre, device: r.Device, platform: Platform, ends: Iterable[_End]
) -> tuple[Attachment, ...]:
    bundles: dict[tuple[str, int], list[_End]] = {}
    for end in ends:
        own, far = end.near.lag, end.far.lag
        key = ("own", own) if own else ("far", far) if far else ("port", end.near.id)
        bundles.setdefault(key, []).append(end)
    found = [_attachment(dc, platform, bundle) for bundle in bundles.values()]
    found.sort(key=lambda attachment: attachment.number)
    for one, other in pairwise(found):
        if one.number == other.number:
            raise InputError(
                "Two ports of a switch have the same number.",
                where=f"device {device.name} in NetBox",
                expected="every port another number at the end of its name",
                found=f"{one.ports[0]} and {other.ports[0]}",
                remedy="a port that is broken out in several cannot be planned yet: use another",
            )
    return tuple(found)


def _attachment(dc: Datacentre, platform: Platform, bundle: list[_End]) -> Attachment:
    bundle.sort(key=lambda end: port_number(end.near.name))
    first = bundle[0]
    number = port_number(first.near.name)
    own = dc.interfaces.get(first.near.lag or 0)
    far = dc.interfaces.get(first.far.lag or 0)
    group = own.name if own else platform.group.format(number) if far else ""
    peers = dict.fromkeys(end.device.name or "" for end in bundle)
    speaker = far or first.far
    return Attachment(
        ports=tuple(end.near.name for end in bundle),
        number=number,
        group=group,
        peer=" ".join(peers),
        peer_port=speaker.name,
        untagged=_vid(dc, first.untagged),
        tagged=tuple(sorted(_vid(dc, vlan) or 0 for vlan in first.tagged)),
        mtu=speaker.mtu,
        segment=_segment(dc, far) if far and not own else None,
    )


def _vid(dc: Datacentre, vlan_id: int | None) -> int | None:
    vlan = dc.vlans.get(vlan_id or 0)
    return vlan.vid if vlan else None


def _segment(dc: Datacentre, group: r.Interface) -> Segment | None:
    """The Ethernet segment of a far group, when its ports reach more than one switch."""
    reached: dict[str, list[int]] = {}
    for member in dc.interfaces_by_device.get(group.device, ()):
        peer = dc.peer_interface(member) if member.lag == group.id and member.enabled else None
        switch = dc.devices.get(peer.device) if peer else None
        if peer and switch and switch.name and dc.role_of(switch) in VTEP_ROLES:
            reached.setdefault(switch.name, []).append(port_number(peer.name))
    if len(reached) < 2:
        return None
    first = min(reached)
    address = loopback(dc, dc.devices_by_name[first])
    return Segment(number=min(reached[first]), system_mac=allocation.segment_mac(address))
