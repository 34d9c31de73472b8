"""The tenant's own equipment where its lines begin: one device an aisle, and what it hangs on.

Odd ports lead to the first switch of the tenant pair and even ones to the second, to the same port
number of both. Whatever is plugged in already stays where it is.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.tenancy import (
    EDGE,
    EDGE_GROUP,
    EDGE_MANAGEMENT,
    EDGE_PORT,
    edge_address,
    edge_name,
)
from chapelle.plan.tenancy import plugs, space
from chapelle.plan.tenancy.overlay import Overlay
from chapelle.plan.tenancy.work import Work, by_slug

# What NetBox makes of device type `tenant-edge` (inventory/design/hardware.yml).
PORT_TYPE, MANAGEMENT_TYPE = "25gbase-x-sfp28", "1000base-t"
_PORTS = tuple(EDGE_PORT.format(number) for number in range(1, 5))
CROSS_PORTS = ("xc1", "xc2")
CORDS = ("PSU1", "PSU2")
_CORD_TYPE, _MAXIMUM, _ALLOCATED = "iec-60320-c14", 150, 75


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant's equipment in one aisle: its id, its name, and the ids of its ports by name."""

    aisle: str
    device: int
    name: str
    rack: r.Rack
    ports: dict[str, int]
    cords: dict[str, int]


def plan(work: Work, racks: Sequence[r.Rack], overlay: Overlay) -> tuple[str, ...]:
    """Make the tenant's equipment in every aisle where it has racks, and plug it in.

    Returns:
        The numbers of the aisles.

    Raises:
        RefusedError: something of that name, or a port, is another's; or no unit, outlet or port
            is free.
        InputError: a rack stands in no aisle, or a cross-connect leads where it cannot.
    """
    aisles: dict[str, list[r.Rack]] = {}
    for rack in racks:
        aisles.setdefault(_aisle(work, rack), []).append(rack)
    _require_aisles(work, aisles)
    for aisle in sorted(aisles, key=int):
        edge = _edge(work, aisle, aisles[aisle], overlay)
        plugs.power(work, edge.name, edge.cords, edge.rack)
        _hand_off(work, edge, overlay)
        if overlay.out_of_band is not None:
            port = edge.ports[EDGE_MANAGEMENT]
            plugs.out_of_band(work, (edge.name, EDGE_MANAGEMENT, port), aisle, overlay)
            _address(work, edge, port, overlay.out_of_band)
        _cross_connects(work, edge)
    if overlay.asn is None:
        _elsewhere(work, overlay)
    return tuple(sorted(aisles, key=int))


def _elsewhere(work: Work, overlay: Overlay) -> None:
    """Carry what is new to where other requests of the tenant have brought it, too."""
    for device in work.dc.content.devices:
        if device.tenant != work.tenant or work.dc.role_of(device) != EDGE:
            continue
        for group in work.dc.interfaces_by_device.get(device.id, ()):
            if group.name == EDGE_GROUP and group.type == "lag":
                work.draft.update("interfaces", group.id, **_carried(overlay))
        work.switches.update(work.dc.leaf_pair(device))


def _aisle(work: Work, rack: r.Rack) -> str:
    for number, location in work.dc.aisles.items():
        if work.dc.is_within(rack.location, location.id):
            return number
    raise InputError(
        f"Rack {rack.name} stands in no aisle.",
        where=f"rack {rack.name} in NetBox",
        expected="a location that is an aisle (slug aisle-<number>) or lies in one",
        found=f"location {rack.location}",
    )


def _require_aisles(work: Work, aisles: Iterable[str]) -> None:
    """Make sure that cross-connects begin where the tenant is."""
    lost = sorted({str(c.aisle) for c in work.request.cross_connects} - set(aisles), key=int)
    if lost:
        raise InputError(
            "A cross-connect begins in an aisle where the tenant has no rack.",
            where=f"request {work.request.reference}, cross_connects",
            expected=f"one of the aisles {', '.join(sorted(aisles, key=int))}",
            found=", ".join(lost),
        )


def _address(work: Work, edge: Edge, port: int, vlan: int) -> None:
    """Give the equipment an address out of band, by which it can be reached for its acceptance."""
    if work.draft.record("devices", edge.device).oob_ip is not None:
        return
    prefix = next(each for each in work.draft.content.prefixes if each.vlan == vlan)
    where = f"prefix {prefix.prefix} in NetBox"
    address = work.create(
        "ip_addresses",
        address=edge_address(prefix.prefix, int(edge.aisle), where),
        status="active",
        vrf=prefix.vrf,
        tenant=work.tenant,
        assigned_object_type="dcim.interface",
        assigned_object_id=port,
    )
    work.draft.update("devices", edge.device, oob_ip=address)


# -- the device -----------------------------------------------------------------------------------


def _edge(work: Work, aisle: str, racks: Sequence[r.Rack], overlay: Overlay) -> Edge:
    name = edge_name(work.request.tenant.slug, aisle)
    found: r.Device | None = work.own("devices", lambda d: d.name == name, f"Device {name}")
    if found is not None:
        return _known(work, aisle, found, overlay)
    rack = racks[0]
    fields: dict[str, Any] = {} if overlay.asn is None else {"bgp_asn": overlay.asn}
    position = float(space.top(work, rack))
    device = work.create(
        "devices",
        name=name,
        device_type=_device_type(work),
        role=by_slug(work.dc.content.device_roles, EDGE, "device role").id,
        site=rack.site,
        status="planned",
        location=rack.location,
        rack=rack.id,
        position=position,
        face="front",
        tenant=work.tenant,
        custom_fields=fields,
    )
    ports, cords = _ports(work, device, overlay), _cords(work, device)
    work.words.append(f"{name} in {rack.name} U{position:g}, status planned")
    return Edge(aisle=aisle, device=device, name=name, rack=rack, ports=ports, cords=cords)


def _ports(work: Work, device: int, overlay: Overlay) -> dict[str, int]:
    """What NetBox makes of the device's type, and the group of the hand-off; ids by name."""
    ports = {}
    if overlay.asn is None:
        ports[EDGE_GROUP] = work.draft.create(
            "interfaces", device=device, name=EDGE_GROUP, type="lag", **_carried(overlay)
        )
    for port in (*_PORTS, *CROSS_PORTS):
        ports[port] = work.draft.create(
            "interfaces",
            device=device,
            name=port,
            type=PORT_TYPE,
            lag=ports.get(EDGE_GROUP) if port in _used(work) else None,
        )
    ports[EDGE_MANAGEMENT] = work.draft.create(
        "interfaces", device=device, name=EDGE_MANAGEMENT, type=MANAGEMENT_TYPE, mgmt_only=True
    )
    return ports


def _cords(work: Work, device: int) -> dict[str, int]:
    return {
        cord: work.draft.create(
            "power_ports",
            device=device,
            name=cord,
            type=_CORD_TYPE,
            maximum_draw=_MAXIMUM,
            allocated_draw=_ALLOCATED,
        )
        for cord in CORDS
    }


def _known(work: Work, aisle: str, device: r.Device, overlay: Overlay) -> Edge:
    """The equipment that is there; its group carries the networks that are new, too."""
    ports = {i.name: i.id for i in work.dc.interfaces_by_device.get(device.id, ())}
    cords = {p.name: p.id for p in work.dc.power_ports_by_device.get(device.id, ())}
    wanted = {*_PORTS, *CROSS_PORTS, EDGE_MANAGEMENT}
    rack = work.dc.racks.get(device.rack or 0)
    if rack is None or not wanted <= ports.keys() or not set(CORDS) <= cords.keys():
        raise InputError(
            f"{device.name} is not as a tenant's equipment is.",
            where=f"device {device.name} in NetBox",
            expected=f"a rack, the ports {', '.join(sorted(wanted))}, and {', '.join(CORDS)}",
            found=", ".join(sorted(ports | cords)) or "no port",
            remedy=f"make it of device type {EDGE}, or rename it",
        )
    grouped = EDGE_GROUP in ports
    if grouped is not (overlay.asn is None):
        raise RefusedError(
            "The hand-off of a tenant cannot be changed while it is in use; nothing was changed.",
            where=f"device {device.name} in NetBox",
            expected="lacp, as it is" if grouped else "bgp, as it is",
            found=work.request.handoff.kind,
            remedy="let the tenant leave and come again, or ask for it as another tenant",
        )
    if grouped:
        for port in _used(work):
            work.draft.update("interfaces", ports[port], lag=ports[EDGE_GROUP])
    name = device.name or ""
    return Edge(aisle=aisle, device=device.id, name=name, rack=rack, ports=ports, cords=cords)


def _carried(overlay: Overlay) -> dict[str, Any]:
    """What a group says of its VLANs: in NetBox a mode without a VLAN means nothing."""
    return {"mode": "tagged" if overlay.vlans else None, "tagged_vlans": overlay.vlans}


def _used(work: Work) -> tuple[str, ...]:
    return _PORTS[: 2 * work.request.handoff.ports]


def _device_type(work: Work) -> int:
    found = next((kind for kind in work.dc.content.device_types if kind.slug == EDGE), None)
    if found is None:
        raise InputError(
            f"NetBox has no device type {EDGE}.",
            where="NetBox, device types",
            expected=f"one with slug {EDGE}, as inventory/design/hardware.yml has it",
            found="none",
            remedy="invoke netbox.seed",
        )
    return found.id


# -- what it hangs on -----------------------------------------------------------------------------


def _hand_off(work: Work, edge: Edge, overlay: Overlay) -> None:
    ports = work.request.handoff.ports
    pair = plugs.pair(work, edge.aisle, edge.ports[_PORTS[0]], ports, PORT_TYPE)
    for first in range(0, 2 * ports, 2):
        names = _PORTS[first : first + 2]
        near = [(edge.name, name, edge.ports[name]) for name in names]
        far = plugs.hand_off(work, near, pair, PORT_TYPE)
        if overlay.asn is not None:
            for (_, _, port), interface in zip(near, far, strict=True):
                plugs.link(work, port, interface, overlay)


def _cross_connects(work: Work, edge: Edge) -> None:
    asked = [c for c in work.request.cross_connects if str(c.aisle) == edge.aisle]
    ports = [plugs.panel_port(work, connect) for connect in asked]
    plugged = {p.cable: p for p in ports if p.cable is not None}
    free = []
    for name in CROSS_PORTS:
        cable = work.draft.record("interfaces", edge.ports[name]).cable
        if cable in plugged:
            del plugged[cable]
        elif cable is None:
            free.append(name)
    if plugged:
        port = next(iter(plugged.values()))
        raise RefusedError(
            "A port of a patch panel has a cable in it; nothing was changed.",
            where=f"request {work.request.reference}, cross_connects",
            expected="a port that nobody uses",
            found=f"{port.name} of {work.dc.devices[port.device].name}",
            remedy="choose another port",
        )
    wanted = [port for port in ports if port.cable is None]
    if len(wanted) > len(free):
        raise InputError(
            "There are more cross-connects than the equipment has ports for.",
            where=f"request {work.request.reference}, cross_connects in aisle {edge.aisle}",
            expected=f"at most {len(CROSS_PORTS)}",
            found=str(len(asked)),
        )
    for name, port in zip(free, wanted, strict=False):
        plugs.cross_connect(work, (edge.name, name, edge.ports[name]), port)
