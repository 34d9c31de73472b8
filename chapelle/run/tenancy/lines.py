"""The lines of a tenant, and how packets can be sent over them."""

import ipaddress
from collections.abc import Iterator, Mapping

import msgspec

from chapelle import lab
from chapelle.checks.tenancy.acceptance.links import edges
from chapelle.errors import InputError
from chapelle.fabric import attachments
from chapelle.fabric.platforms import Platform, platform
from chapelle.model import records as r
from chapelle.model.acceptance import Line
from chapelle.model.datacentre import VTEP_ROLES, Datacentre
from chapelle.model.tenancy import MAXIMUM_PREFIXES
from chapelle.settings import Settings


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A host in a tenant's network that we may log in to, behind its edge of an aisle.

    `host` is its name for OpenSSH, `address` its own in the tenant's network; empty if nobody said.
    """

    aisle: str
    host: str
    address: str = ""


def tenant(dc: Datacentre, name: str) -> r.Tenant:
    """The tenant with that slug or name.

    Raises:
        InputError: there is none.
    """
    for each in dc.content.tenants:
        if name in {each.slug, each.name}:
            return each
    raise InputError(
        f"There is no tenant {name!r}.",
        where="the snapshot of NetBox",
        expected=f"one of {', '.join(sorted(each.slug for each in dc.content.tenants))}",
        found=repr(name),
    )


def lines(dc: Datacentre, tenant: r.Tenant) -> tuple[Line, ...]:
    """All lines between a tenant's edges and the switches, in order of switch and port.

    Raises:
        InputError: NetBox says of a switch what no switch can be; as `chapelle.fabric`.
    """
    groups: dict[int, Mapping[str, str]] = {}
    found = []
    for edge in edges(dc, tenant):
        for near in dc.interfaces_by_device.get(edge.id, ()):
            far = None if near.mgmt_only else dc.peer_interface(near)
            switch = dc.devices.get(far.device) if far else None
            if far is None or switch is None or dc.role_of(switch) not in VTEP_ROLES:
                continue
            if switch.id not in groups:
                groups[switch.id] = _groups(dc, switch)
            found.append(_line(dc, near, far, groups[switch.id].get(far.name, "")))
    return tuple(sorted(found))


def _platform(dc: Datacentre, switch: r.Device) -> Platform:
    slug = dc.platforms[switch.platform].slug if switch.platform in dc.platforms else ""
    return platform(slug, where=f"device {switch.name} in NetBox")


def _groups(dc: Datacentre, switch: r.Device) -> dict[str, str]:
    """The group of each port that is in one."""
    found = attachments.ports(dc, switch, _platform(dc, switch)).attachments
    return {port: each.group for each in found for port in each.ports if each.group}


def _line(dc: Datacentre, near: r.Interface, far: r.Interface, group: str) -> Line:
    edge, switch = dc.devices[near.device], dc.devices[far.device]
    vrf = dc.vrfs.get(far.vrf or 0)
    own = dc.addresses_by_interface.get(near.id, ()) if vrf else ()
    most = vrf.custom_fields.get(MAXIMUM_PREFIXES) if vrf else None
    return Line(
        switch=switch.name or "",
        switch_port=far.name,
        edge=edge.name or "",
        port=near.name,
        aisle=dc.aisle_number(edge) or "",
        group=group,
        vrf=_platform(dc, switch).vrf(vrf.name) if vrf else "",
        peer=own[0].address.partition("/")[0] if own else "",
        most=most if isinstance(most, int) else None,
    )


# -- where packets can be sent from, and to -------------------------------------------------------


def in_the_lab(settings: Settings, dc: Datacentre, tenant: r.Tenant) -> list[Place]:
    """The tenant's edges of the lab: each is a probe with its own address.

    Containers are none: no frame of theirs gets through a switch.
    """
    known = lab.read(settings)
    found = []
    for device in edges(dc, tenant):
        host = known.hosts.get(device.name or "") if known else None
        if host is None or host.node.kind != "uml" or host.node.handoff is None:
            continue
        handoff = host.node.handoff
        own = [a.partition("/")[0] for v in handoff.vlans if v.gateways for a in v.addresses]
        own = [each for each in (*own, *handoff.owned) if ipaddress.ip_address(each).version == 4]
        address = own[0] if own else ""
        found.append(Place(aisle=host.aisle, host=host.node.name, address=address))
    return found


def gateways(dc: Datacentre, tenant: r.Tenant, aisle: str) -> Iterator[str]:
    """The IPv4 gateways of the VLANs that the tenant's edge in an aisle has, in order."""
    for device in edges(dc, tenant):
        if dc.aisle_number(device) != aisle:
            continue
        for interface in dc.interfaces_by_device.get(device.id, ()):
            for vlan in interface.tagged_vlans:
                for prefix in dc.prefixes_by_vlan.get(vlan, ()):
                    for each in dc.gateways_by_network.get((prefix.vrf, prefix.prefix), ()):
                        if ipaddress.ip_interface(each.address).version == 4:
                            yield each.address.partition("/")[0]
