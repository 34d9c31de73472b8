"""The networks of a tenant: its VRF, VLANs with their L2VPNs, prefixes, gateways, AS number."""

import ipaddress
from typing import Any

import msgspec

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.tenancy import (
    ANNOUNCED,
    MAXIMUM_PREFIXES,
    NETWORK,
    REQUEST,
    Network,
    vrf_name,
)
from chapelle.plan.tenancy.pools import target_name
from chapelle.plan.tenancy.work import Work, by_slug

L3VNI = "l3vni"

# The network for the tenant's own management controllers, and how long its prefix is.
OUT_OF_BAND = Network(name="oob", prefix_length=24)

# What NetBox, and every platform, takes as the name of a VLAN.
_LONGEST_NAME = 64

# For a tenant that does not say how much it announces: that much for each network, and at least so
# many, so that a summary or a host route in haste does not end the session.
_ROOM, _LEAST = 2, 10

# Addresses of the smallest network that has a gateway and somebody to use it.
_SMALLEST = 4

type IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """What the ports of the tenant need to know, as ids: the VRF, VLANs to tag, and the rest.

    `asn` is the number that the tenant speaks BGP as; None with hand-off `lacp`.
    """

    vrf: int
    vlans: tuple[int, ...] = ()
    out_of_band: int | None = None
    asn: int | None = None


def plan(work: Work) -> Overlay:
    """Make what is missing of the tenant's networks. What is there keeps its numbers.

    Raises:
        RefusedError: something of that name is another's, a pool is exhausted, or a network that
            is there would be another one.
        InputError: a network cannot be what the request says.
    """
    _require_names(work)
    vrf = _vrf(work)
    # Those that the tenant brings come first, so that none is given out of what it has.
    networks = sorted(work.request.networks, key=lambda network: network.prefix is None)
    asn = _asn(work) if work.request.handoff.kind == "bgp" else None
    for network in networks:
        if asn is None:
            _vlan(work, network, vrf)
        else:
            _prefix(work, network, vrf, None)
    oob = _vlan(work, OUT_OF_BAND, vrf) if work.request.out_of_band else None
    return Overlay(vrf=vrf, vlans=_handed_over(work), out_of_band=oob, asn=asn)


def full_name(work: Work, network: Network) -> str:
    """What the VLAN, the L2VPN and the prefix of a network are called."""
    return f"{work.request.tenant.slug}-{network.name}"


def _require_names(work: Work) -> None:
    names = [network.name for network in work.request.networks]
    names += [OUT_OF_BAND.name] if work.request.out_of_band else []
    twice = sorted({name for name in names if names.count(name) > 1})
    long = [n for n in names if len(n) + len(work.request.tenant.slug) >= _LONGEST_NAME]
    if twice or long:
        raise InputError(
            "Networks of the request cannot be called that.",
            where=f"request {work.request.reference}, networks",
            expected=f"each name once ({OUT_OF_BAND.name} is that of the out-of-band network), and "
            f"at most {_LONGEST_NAME} characters together with the tenant's slug",
            found=", ".join(twice or long),
        )


# -- the VRF --------------------------------------------------------------------------------------


def _vrf(work: Work) -> int:
    slug = work.request.tenant.slug
    found = next((v for v in work.dc.content.vrfs if v.tenant == work.tenant), None)
    if found is None:
        work.own("vrfs", lambda vrf: vrf.name == slug, f"VRF {slug}")
        return _new_vrf(work)
    work.draft.update("vrfs", found.id, custom_fields=_maximum(work))
    return found.id


def _new_vrf(work: Work) -> int:
    vni = work.free.number("l3vnis", f"VRF of {work.request.tenant.slug}")
    name = vrf_name(work.request.tenant.slug, vni)
    target = target_name(vni)
    number = work.create("route_targets", name=target, tenant=work.tenant)
    work.words.append(f"VRF {name}, VNI {vni}, route target {target}")
    return work.create(
        "vrfs",
        name=name,
        rd=target,
        tenant=work.tenant,
        import_targets=(number,),
        export_targets=(number,),
        custom_fields={L3VNI: vni, **_maximum(work)},
    )


def _maximum(work: Work) -> dict[str, Any]:
    handoff = work.request.handoff
    if handoff.kind != "bgp":
        return {}
    room = max(_LEAST, _ROOM * len(work.request.networks))
    return {MAXIMUM_PREFIXES: handoff.bgp.maximum_prefixes or room}


def _asn(work: Work) -> int:
    asked, slug = work.request.handoff.bgp.asn, work.request.tenant.slug
    own = [a.asn for a in work.dc.content.asns if a.tenant == work.tenant]
    if own:
        if asked not in (None, own[0]):
            raise _renumbered(work, "the AS number", str(own[0]), str(asked))
        return own[0]
    if asked is None:
        asn = work.free.number("asns", f"BGP of {slug}")
    else:
        asn = asked
        work.free.asn(asn, slug)
    registries = sorted(work.dc.content.rirs, key=lambda rir: (not rir.is_private, rir.id))
    if not registries:
        raise InputError(
            "NetBox has no registry that an AS number could be of.",
            where="RIRs in NetBox",
            expected="at least one, such as that of RFC 6996",
            found="none",
            remedy="invoke netbox.seed",
        )
    work.create("asns", asn=asn, rir=registries[0].id, tenant=work.tenant)
    work.words.append(f"AS number {asn}")
    return asn


# -- networks -------------------------------------------------------------------------------------


def _vlan(work: Work, network: Network, vrf: int) -> int:
    name = full_name(work, network)
    found = work.own("vlans", lambda vlan: vlan.name == name, f"VLAN {name}")
    if found is not None:
        if network is not OUT_OF_BAND:
            _require_reference(work, found, f"VLAN {name}")
        vlan: int = found.id
    else:
        vid = work.free.number("vids", name)
        vlan = work.create(
            "vlans", vid=vid, name=name, status="active", site=work.site.id, tenant=work.tenant
        )
        work.words.append(f"VLAN {vid} {name}")
    _l2vpn(work, vlan, name)
    text = _prefix(work, network, vrf, vlan)
    if network.routed:
        _gateway(work, vrf, text)
    return vlan


def _l2vpn(work: Work, vlan: int, name: str) -> None:
    if work.dc.l2vpns_by_vlan.get(vlan):
        return
    found = work.own("l2vpns", lambda l2vpn: name in (l2vpn.slug, l2vpn.name), f"L2VPN {name}")
    if found is None:
        vni = work.free.number("l2vnis", name)
        target = work.create("route_targets", name=target_name(vni), tenant=work.tenant)
        l2vpn = work.create(
            "l2vpns",
            name=name,
            slug=name,
            type="vxlan-evpn",
            status="active",
            identifier=vni,
            tenant=work.tenant,
            import_targets=(target,),
            export_targets=(target,),
        )
        work.words.append(f"L2VPN {name}, VNI {vni}")
    else:
        l2vpn = found.id
    work.draft.create(
        "l2vpn_terminations", l2vpn=l2vpn, assigned_object_type="ipam.vlan", assigned_object_id=vlan
    )


def _prefix(work: Work, network: Network, vrf: int, vlan: int | None) -> str:
    """The network's prefix, which is that of its VLAN, or has its name in the description."""
    name = full_name(work, network)
    role = by_slug(work.dc.content.roles, ANNOUNCED if vlan is None else NETWORK, "IPAM role")
    found = [
        p
        for p in work.dc.content.prefixes
        if (p.vlan == vlan if vlan is not None else p.description == name) and p.vrf == vrf
    ]
    brought = _brought(work, network)
    if found:
        _require_same(work, network, found[0], brought)
        return found[0].prefix
    if brought is None:
        text = work.free.network("prefixes", network.prefix_length, name)
    else:
        text = _own(work, network, brought, vrf)
    work.create(
        "prefixes",
        prefix=text,
        status="active",
        vrf=vrf,
        vlan=vlan,
        tenant=work.tenant,
        role=role.id,
        scope_type="dcim.site",
        scope_id=work.site.id,
        description=name,
    )
    work.words.append(f"prefix {text} ({name}{'' if vlan is not None else ', announced'})")
    return text


def _brought(work: Work, network: Network) -> IPNetwork | None:
    """The network that the tenant brings, if it does."""
    if network.prefix is None:
        return None
    where = f"request {work.request.reference}, network {network.name}"
    try:
        wanted = ipaddress.ip_network(network.prefix)
    except ValueError as error:
        raise InputError(
            "This is no network.", where=where, expected="such as 10.20.0.0/24", found=str(error)
        ) from error
    odd = wanted.is_multicast or wanted.is_loopback or wanted.is_link_local or wanted.is_unspecified
    if odd or wanted.num_addresses < _SMALLEST:
        raise InputError(
            "This network cannot be a tenant's.",
            where=where,
            expected=f"unicast addresses, at least {_SMALLEST}",
            found=network.prefix,
        )
    return wanted


def _own(work: Work, network: Network, wanted: IPNetwork, vrf: int) -> str:
    """Take what the tenant brings, unless another of its networks has some of it."""
    for other in work.draft.content.prefixes:
        there = ipaddress.ip_network(other.prefix, strict=False)
        if other.vrf == vrf and there.version == wanted.version and there.overlaps(wanted):
            raise RefusedError(
                "Two networks of the tenant overlap; nothing was changed.",
                where=f"request {work.request.reference}, network {network.name}",
                expected=f"a network that is not in {there}",
                found=f"{wanted}; {there} is {other.description or 'in NetBox already'}",
            )
    work.free.own_network(str(wanted), work.request.tenant.slug)
    return str(wanted)


def _gateway(work: Work, vrf: int, text: str) -> None:
    """The first address of the network, which all switches share."""
    if work.dc.gateways_by_network.get((vrf, text)):
        return
    network = ipaddress.ip_network(text)
    work.create(
        "ip_addresses",
        address=f"{network[1]}/{network.prefixlen}",
        status="active",
        vrf=vrf,
        tenant=work.tenant,
        role="anycast",
    )
    work.words.append(f"gateway {network[1]}/{network.prefixlen}")


def _require_same(work: Work, network: Network, found: r.Prefix, brought: IPNetwork | None) -> None:
    there = ipaddress.ip_network(found.prefix)
    alike = network is OUT_OF_BAND or network.prefix_length == there.prefixlen
    if not (brought == there if brought else alike):
        wanted = network.prefix or f"one of /{network.prefix_length}"
        raise _renumbered(work, f"network {network.name}", found.prefix, wanted)


def _require_reference(work: Work, found: Any, what: str) -> None:
    """Make sure that an object of the tenant's is not that of another of its requests."""
    named = found.custom_fields.get(REQUEST)
    if named not in (None, work.request.reference):
        raise RefusedError(
            f"{what} is of another request of {work.request.tenant.name}; nothing was changed.",
            where=f"request {work.request.reference}",
            expected="a name that the tenant has no network of",
            found=f"{what} of request {named}",
            remedy="call the network otherwise",
        )


def _renumbered(work: Work, what: str, found: str, wanted: str) -> RefusedError:
    return RefusedError(
        f"The request would renumber {what}; nothing was changed.",
        where=f"request {work.request.reference}",
        expected=f"{found}, as it is now",
        found=wanted,
        remedy="add a network under another name; what is not used any more goes with the tenant",
    )


def _handed_over(work: Work) -> tuple[int, ...]:
    """The VLANs that the hand-off carries: all of the tenant's, but for the out-of-band one."""
    apart = full_name(work, OUT_OF_BAND)
    vlans = [v for v in work.draft.content.vlans if v.tenant == work.tenant and v.name != apart]
    return tuple(vlan.id for vlan in vlans)
