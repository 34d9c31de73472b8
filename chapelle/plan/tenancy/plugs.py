"""Cables of a tenant's equipment: to outlets, to the tenant pair, out of band, to patch panels.

A port is free when nothing is plugged into it and nothing is said of it. Of several the lowest is
taken, so that the same request gives the same plan.
"""

import ipaddress
import re
from collections.abc import Sequence

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import VTEP_ROLES
from chapelle.model.tenancy import LINK, CrossConnect
from chapelle.plan.tenancy.overlay import Overlay
from chapelle.plan.tenancy.work import Work, by_slug

# A port of the tenant's equipment: the device's name, the port's, and its id.
type Near = tuple[str, str, int]

_INTERFACE, _POWER_PORT, _OUTLET = "dcim.interface", "dcim.powerport", "dcim.poweroutlet"
_FRONT = "dcim.frontport"

# What cables are made of, as inventory/design/network.yml has it.
_FIBRE, _COPPER, _CORD = "smf", "cat6", "power"

_LONGEST_LABEL = 100


def _cable(work: Work, kind: str, a: tuple[str, int], b: tuple[str, int], label: str) -> None:
    work.create(
        "cables",
        type=kind,
        status="connected",
        label=label[:_LONGEST_LABEL],
        tenant=work.tenant,
        a_terminations=[{"object_type": a[0], "object_id": a[1]}],
        b_terminations=[{"object_type": b[0], "object_id": b[1]}],
    )
    work.words.append(f"cable {label}")


def _number(name: str) -> int:
    match = re.search(r"(\d+)$", name)
    return int(match[1]) if match else 0


# -- power ----------------------------------------------------------------------------------------


def power(work: Work, device: str, cords: dict[str, int], rack: r.Rack) -> None:
    """Plug the first cord into the rack's first PDU, and the second into the other side's.

    Raises:
        InputError: the rack has no two PDUs with a feed each.
        RefusedError: a PDU has no free outlet.
    """
    if all(work.draft.record("power_ports", port).cable for port in cords.values()):
        return
    for (cord, port), pdu in zip(sorted(cords.items()), _pdus(work, rack), strict=False):
        if work.draft.record("power_ports", port).cable is None:
            outlet = _outlet(work, pdu)
            label = f"{device} {cord} - {pdu.name} {outlet.name}"
            _cable(work, _CORD, (_POWER_PORT, port), (_OUTLET, outlet.id), label)


def _pdus(work: Work, rack: r.Rack) -> list[r.Device]:
    """The PDUs of a rack, one for each feed; that on the primary feed first."""
    found: dict[str, tuple[bool, str, r.Device]] = {}
    for device in work.dc.content.devices:
        if device.rack == rack.id and work.dc.role_of(device) == "pdu":
            for feed in work.dc.feeds(device):
                found[feed.name] = (feed.type != "primary", device.name or "", device)
    if len(found) < 2:
        raise InputError(
            f"Rack {rack.name} has no two sides of power.",
            where=f"rack {rack.name} in NetBox",
            expected="two PDUs, each on a feed of its own",
            found=", ".join(sorted(found)) or "none",
            remedy="enter PDUs and their feeds in NetBox, or choose another rack",
        )
    return [device for _, _, device in sorted(found.values(), key=lambda each: each[:2])]


def _outlet(work: Work, pdu: r.Device) -> r.PowerOutlet:
    outlets = [o for o in work.dc.content.power_outlets if o.device == pdu.id]
    for outlet in sorted(outlets, key=lambda outlet: (_number(outlet.name), outlet.name)):
        fits = outlet.type in (None, "iec-60320-c13")
        now: r.PowerOutlet = work.draft.record("power_outlets", outlet.id)
        if fits and now.cable is None:
            return now
    raise _none_free(work, "outlet", pdu.name or "")


# -- the tenant pair ------------------------------------------------------------------------------


def pair(work: Work, aisle: str, first: int, ports: int, kind: str) -> tuple[r.Device, ...]:
    """The two switches of an aisle that a tenant hangs on, or is to hang on.

    Arguments:
        work: the plan.
        aisle: the aisle's number.
        first: the first port of the tenant's equipment.
        ports: how many it needs on each of the two.
        kind: the type of these.

    Raises:
        InputError: there are none.
        RefusedError: no pair has that many ports of one number free.
    """
    pairs = _pairs(work, aisle)
    if not pairs:
        raise InputError(
            f"Aisle {aisle} has no pair of tenant leafs.",
            where=f"aisle {aisle} in NetBox",
            expected="two devices of role tenant-leaf, whose names differ in the last letter only",
            found="none",
        )
    known = work.dc.interfaces.get(first)
    peer = work.dc.peer_interface(known) if known else None
    for switches in pairs:
        there = peer is not None and peer.device in {switch.id for switch in switches}
        if there or (peer is None and len(_common(work, switches, kind)) >= ports):
            work.switches |= {switch.name or "" for switch in switches}
            return switches
    names = ", ".join(switch.name or "" for switches in pairs for switch in switches)
    raise _none_free(work, f"port of one number ({kind})", names)


def _pairs(work: Work, aisle: str) -> list[tuple[r.Device, r.Device]]:
    found = []
    for device in sorted(work.dc.devices_by_name.values(), key=lambda device: device.name or ""):
        if work.dc.role_of(device) == "tenant-leaf" and work.dc.aisle_number(device) == aisle:
            partners = work.dc.partners(device)
            found += [
                (device, other) for other in partners if (device.name or "") < str(other.name)
            ]
    return found


def _common(
    work: Work, switches: Sequence[r.Device], kind: str
) -> list[tuple[r.Interface, r.Interface]]:
    """The free ports that two switches have under one number."""
    one, other = (
        {_number(port.name): port for port in _free_ports(work, switch, kind)}
        for switch in switches
    )
    return [(one[number], other[number]) for number in sorted(one.keys() & other.keys())]


def hand_off(
    work: Work, near: Sequence[Near], switches: Sequence[r.Device], kind: str
) -> list[r.Interface]:
    """Plug two ports of the equipment into ports of one number of the two switches.

    Returns:
        The ports of the switches; what is plugged in already stays.

    Raises:
        RefusedError: no number is free on both, or one of the two hangs elsewhere already.
    """
    plugged = [work.dc.interfaces.get(port) for _, _, port in near]
    far = [work.dc.peer_interface(port) for port in plugged if port and port.cable]
    if far:
        there = [port for port in far if port]
        if [port.device for port in there] != [switch.id for switch in switches]:
            raise RefusedError(
                "A hand-off is not on both switches of the pair; nothing was changed.",
                where=", ".join(f"{device} {port}" for device, port, _ in near),
                expected=" and ".join(switch.name or "" for switch in switches),
                found=", ".join(str(work.dc.devices[port.device].name) for port in there) or "none",
                remedy="correct the cables in NetBox",
            )
        return there
    common = _common(work, switches, kind)
    if not common:
        names = " and ".join(switch.name or "" for switch in switches)
        raise _none_free(work, f"port of one number ({kind})", names)
    for (device, name, number), switch, port in zip(near, switches, common[0], strict=True):
        label = f"{device} {name} - {switch.name} {port.name}"
        _cable(work, _FIBRE, (_INTERFACE, number), (_INTERFACE, port.id), label)
    return list(common[0])


def link(work: Work, port: int, interface: r.Interface, overlay: Overlay) -> None:
    """Make the port of a switch a routed one in the tenant's VRF, with two addresses (RFC 3021).

    The even address is the switch's, the odd one that of the tenant's equipment.
    """
    switch = work.dc.devices[interface.device].name
    work.draft.update("interfaces", interface.id, vrf=overlay.vrf)
    if work.dc.addresses_by_interface.get(interface.id):
        return
    purpose = f"{work.request.tenant.slug}, {switch} {interface.name}"
    text = work.free.network("links", 31, purpose)
    work.create(
        "prefixes",
        prefix=text,
        status="active",
        vrf=overlay.vrf,
        tenant=work.tenant,
        role=by_slug(work.dc.content.roles, LINK, "IPAM role").id,
        scope_type="dcim.site",
        scope_id=work.site.id,
        description=f"{switch} {interface.name}",
    )
    for address, end in zip(_both(text), (interface.id, port), strict=True):
        work.create(
            "ip_addresses",
            address=address,
            status="active",
            vrf=overlay.vrf,
            tenant=work.tenant,
            assigned_object_type=_INTERFACE,
            assigned_object_id=end,
        )
    work.words.append(f"{text} on {switch} {interface.name}: the even address is the switch's")


def _both(text: str) -> tuple[str, str]:
    network = ipaddress.ip_network(text)
    return f"{network[0]}/{network.prefixlen}", f"{network[1]}/{network.prefixlen}"


def _free_ports(work: Work, device: r.Device, kind: str) -> list[r.Interface]:
    """The ports of a type that nothing is plugged into and nothing is said of, by number."""
    found = []
    for port in work.dc.interfaces_by_device.get(device.id, ()):
        now: r.Interface = work.draft.record("interfaces", port.id)
        if now.type == kind and work.dc.is_spare(now):
            found.append(now)
    return sorted(found, key=lambda port: _number(port.name))


# -- out of band ----------------------------------------------------------------------------------


def out_of_band(work: Work, near: Near, aisle: str, overlay: Overlay) -> None:
    """Plug the equipment's management port into an out-of-band switch, in the tenant's VLAN.

    The switch's group to the border leafs carries the VLAN on.

    Raises:
        RefusedError: no port is free, or the one that it hangs on is in another VLAN.
        InputError: the aisle has no out-of-band switch, or one without a group of uplinks.
    """
    device, name, number = near
    own = work.dc.interfaces.get(number)
    port = work.dc.peer_interface(own) if own else None
    if port is None:
        port = _oob_port(work, aisle)
        switch = work.dc.devices[port.device]
        label = f"{device} {name} - {switch.name} {port.name}"
        _cable(work, _COPPER, (_INTERFACE, number), (_INTERFACE, port.id), label)
    switch = work.dc.devices[port.device]
    if port.untagged_vlan not in (None, overlay.out_of_band):
        vlan = work.dc.vlans.get(port.untagged_vlan)
        other = f"VLAN {vlan.name} of {work.holder(vlan)}" if vlan else "another VLAN"
        raise work.mixed(f"Port {port.name} of {switch.name}", other, f"device {switch.name}")
    work.draft.update("interfaces", port.id, mode="access", untagged_vlan=overlay.out_of_band)
    for group in _uplinks(work, switch):
        carried = work.draft.record("interfaces", group.id).tagged_vlans
        tagged = dict.fromkeys((*carried, overlay.out_of_band))
        work.draft.update("interfaces", group.id, tagged_vlans=tuple(tagged))
    work.switches.add(switch.name or "")


def _oob_port(work: Work, aisle: str) -> r.Interface:
    switches = [
        device
        for device in work.dc.devices_by_name.values()
        if work.dc.role_of(device) == "oob" and work.dc.aisle_number(device) == aisle
    ]
    for switch in sorted(switches, key=lambda device: device.name or ""):
        if ports := _free_ports(work, switch, "1000base-t"):
            return ports[-1]  # servers' controllers are counted from the first
    names = ", ".join(sorted(switch.name or "" for switch in switches))
    raise _none_free(work, "port", names or f"aisle {aisle}")


def _uplinks(work: Work, switch: r.Device) -> list[r.Interface]:
    """The groups by which an out-of-band switch reaches the switches that route."""
    groups = set()
    for port in work.dc.interfaces_by_device.get(switch.id, ()):
        peer = work.dc.peer_interface(port) if port.lag else None
        other = work.dc.devices.get(peer.device) if peer else None
        if other and work.dc.role_of(other) in VTEP_ROLES:
            groups.add(port.lag)
            work.switches.add(other.name or "")
    if not groups:
        raise InputError(
            f"{switch.name} has no group of uplinks to carry a VLAN on.",
            where=f"device {switch.name} in NetBox",
            expected="an interface of type lag with ports that are cabled to border leafs",
            found="none",
        )
    return [work.dc.interfaces[number] for number in sorted(filter(None, groups))]


# -- patch panels ---------------------------------------------------------------------------------


def panel_port(work: Work, asked: CrossConnect) -> r.FrontPort:
    """The front port that a cross-connect leads to.

    Raises:
        InputError: there is none of that name.
        RefusedError: the panel is another tenant's.
    """
    device = work.dc.device(asked.panel)
    if device.tenant not in (None, work.tenant, work.site.tenant):
        raise work.mixed(f"Panel {asked.panel}", work.holder(device), f"device {device.name}")
    fronts = [port for port in work.dc.content.front_ports if port.device == device.id]
    for port in fronts:
        if port.name == asked.port:
            found: r.FrontPort = work.draft.record("front_ports", port.id)
            return found
    raise InputError(
        f"{asked.panel} has no front port {asked.port}.",
        where=f"request {work.request.reference}, cross_connects",
        expected="the name of a front port of a patch panel",
        found=", ".join(port.name for port in fronts[:6]) or "a device without front ports",
    )


def cross_connect(work: Work, near: Near, port: r.FrontPort) -> None:
    """Plug the equipment into a panel's port."""
    device, name, number = near
    label = f"{device} {name} - {work.dc.devices[port.device].name} {port.name}"
    _cable(work, _FIBRE, (_INTERFACE, number), (_FRONT, port.id), label)


def _none_free(work: Work, what: str, where: str) -> RefusedError:
    return RefusedError(
        f"No {what} is free; nothing was changed.",
        where=f"{where} in NetBox",
        expected=f"a free {what} for {work.who}",
        found="none",
        remedy="free one, or choose racks in another aisle",
    )
