"""What is free in the pools of a site, and the lowest of it.

A number is free when nothing in NetBox has it, wherever that is, and nobody handed it back too
short a time ago. L2VPNs and VRFs have VNIs out of one set of numbers, since a switch tells them
apart by nothing else; the numbers of their route targets are the same ones.
"""

import datetime
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.tenancy import POOLS, QUARANTINE, Pools, Quarantined

type Numbers = Literal["vids", "l2vnis", "l3vnis", "asns"]
type Networks = Literal["prefixes", "links"]
type Kind = Literal["vids", "l2vnis", "l3vnis", "asns", "prefixes", "links"]

# What a pool holds, for people.
WORDS: dict[str, str] = {
    "vids": "VLAN numbers",
    "l2vnis": "VNIs of VLANs",
    "l3vnis": "VNIs of VRFs",
    "asns": "AS numbers",
    "prefixes": "networks of tenants",
    "links": "networks between tenants and switches",
}

# The AS number that route targets and distinguishers of the fabric are made with (RFC 4360, 4).
TARGET_ASN = 4_200_000_000

# Holders that an error names before it only counts the others.
_NAMED = 6


class Taken(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that a plan takes from a pool, and what for."""

    kind: Kind
    value: str
    purpose: str


def target_name(vni: int) -> str:
    """The route target, and the distinguisher, that goes with a VNI."""
    return f"{TARGET_ASN}:{vni}"


def pools_of(site: r.Site) -> Pools:
    """What tenants of a site are given from.

    Raises:
        InputError: the site does not say.
    """
    found = site.custom_fields.get(POOLS)
    try:
        return msgspec.convert(found, Pools)
    except msgspec.ValidationError as error:
        raise _unreadable(site, POOLS, str(error) if found else "nothing") from error


def quarantine_of(site: r.Site) -> tuple[Quarantined, ...]:
    """What was handed back at a site, with the days until which it is kept.

    Raises:
        InputError: nobody can read it.
    """
    try:
        return msgspec.convert(site.custom_fields.get(QUARANTINE) or [], tuple[Quarantined, ...])
    except msgspec.ValidationError as error:
        raise _unreadable(site, QUARANTINE, str(error)) from error


def site_of(dc: Datacentre) -> r.Site:
    """The site that lets space: the one that states its pools.

    Raises:
        InputError: none does, or several do.
    """
    found = [site for site in dc.content.sites if site.custom_fields.get(POOLS)]
    if len(found) != 1:
        raise InputError(
            "It is not clear which site tenants are given space in.",
            where="sites in NetBox",
            expected=f"one with a custom field {POOLS}",
            found=", ".join(site.slug for site in found) or "none",
            remedy="fill the field in NetBox, or seed the design: invoke netbox.seed",
        )
    return found[0]


class Free:
    """What is free at a site on a day; what is taken from it is free no more.

    Arguments:
        dc: the datacentre.
        site: whose pools.
        today: the day on which quarantine counts.
    """

    def __init__(self, dc: Datacentre, site: r.Site, today: datetime.date) -> None:
        self.site = site
        self.pools = pools_of(site)
        self.taken: list[Taken] = []
        self._today = today
        self._kept = [one for one in quarantine_of(site) if one.until >= today]
        tenants = {tenant.id: tenant.name for tenant in dc.content.tenants}
        vnis = dict(_vnis(dc, tenants))
        self._numbers: dict[str, dict[int, str]] = {
            "vids": {vlan.vid: tenants.get(vlan.tenant or 0, "-") for vlan in dc.content.vlans},
            "l2vnis": vnis,
            "l3vnis": vnis,
            "asns": dict(_asns(dc, tenants)),
        }
        self._networks = [*_networks(dc, tenants)]
        for one in self._kept:
            self._keep(one)

    def number(self, kind: Numbers, purpose: str) -> int:
        """Take the lowest free number of a pool.

        Raises:
            RefusedError: none is left; the error says who has them.
        """
        first, last = getattr(self.pools, kind)
        used = self._numbers[kind]
        found = next((number for number in range(first, last + 1) if number not in used), None)
        if found is None:
            holders = [holder for number, holder in used.items() if first <= number <= last]
            size = last - first + 1
            raise self._exhausted(kind, f"{first} to {last}, {size} numbers", purpose, holders)
        self._take(kind, str(found), purpose)
        used[found] = f"this plan ({purpose})"
        return found

    def network(self, kind: Networks, length: int, purpose: str) -> str:
        """Take the lowest free IPv4 network of that length.

        Raises:
            RefusedError: none is left; the error says who has them.
        """
        pools = [ipaddress.ip_network(text) for text in getattr(self.pools, kind)]
        for pool in pools:
            if isinstance(pool, ipaddress.IPv4Network) and pool.prefixlen <= length:
                inside = [net for net, _ in self._networks if net.version == 4]
                if found := _lowest(pool, length, inside):
                    self._networks.append((found, f"this plan ({purpose})"))
                    self._take(kind, str(found), purpose)
                    return str(found)
        holders = [
            holder
            for net, holder in self._networks
            if any(net.version == pool.version and net.overlaps(pool) for pool in pools)
        ]
        words = f"{', '.join(map(str, pools)) or 'empty'}, asked for a /{length}"
        raise self._exhausted(kind, words, purpose, holders)

    def asn(self, asn: int, tenant: str) -> None:
        """Take an AS number that the tenant brings.

        Raises:
            RefusedError: somebody has it, or another tenant had it until lately.
        """
        holder = self._numbers["asns"].get(asn)
        if holder is not None and not self._was_own("asns", str(asn), tenant):
            raise RefusedError(
                f"AS number {asn} is not free.",
                where=f"the request of {tenant}",
                expected="an AS number that nobody else has here",
                found=f"it is that of {holder}",
                remedy="ask the tenant, or leave bgp.asn out to be given one from the pool",
            )
        self._numbers["asns"][asn] = f"this plan ({tenant})"

    def own_network(self, text: str, tenant: str) -> None:
        """Take a network that the tenant brings. Only what is inside our pools must be free.

        Raises:
            RefusedError: it is from a pool, and somebody has it, or another had it until lately.
        """
        network = ipaddress.ip_network(text)
        pools = map(ipaddress.ip_network, (*self.pools.prefixes, *self.pools.links))
        inside = any(p.version == network.version and p.overlaps(network) for p in pools)
        for other, holder in self._networks if inside else ():
            if other.version == network.version and other.overlaps(network):
                if self._was_own("prefixes", str(other), tenant):
                    continue
                raise RefusedError(
                    f"{network} is from a pool of ours and is not free.",
                    where=f"the request of {tenant}",
                    expected="a network of the tenant's own, or none, for one from the pool",
                    found=f"{other} is that of {holder}",
                )
        self._networks.append((network, f"this plan ({tenant})"))

    def _take(self, kind: Kind, value: str, purpose: str) -> None:
        self.taken.append(Taken(kind=kind, value=value, purpose=purpose))

    def _was_own(self, kind: str, value: str, tenant: str) -> bool:
        """Whether nothing but the tenant's own quarantine holds it."""
        return any(k.kind == kind and k.value == value and k.tenant == tenant for k in self._kept)

    def _keep(self, one: Quarantined) -> None:
        holder = f"quarantine until {one.until} ({one.tenant})"
        try:
            if one.kind in ("prefixes", "links"):
                self._networks.append((ipaddress.ip_network(one.value), holder))
            else:
                self._numbers[one.kind].setdefault(int(one.value), holder)
        except ValueError as error:
            raise _unreadable(self.site, QUARANTINE, f"{one.kind} {one.value!r}") from error

    def _exhausted(
        self, kind: Kind, size: str, purpose: str, holders: Iterable[str]
    ) -> RefusedError:
        counted = Counter(holders)
        named = [f"{holder}: {count}" for holder, count in counted.most_common(_NAMED)]
        if len(counted) > _NAMED:
            named.append(f"{len(counted) - _NAMED} others")
        kept = sorted(one.until for one in self._kept if one.kind == kind)
        freed = kept[0] + datetime.timedelta(days=1) if kept else None
        remedy = f"widen {POOLS} of site {self.site.slug} in inventory/design and in NetBox"
        if freed:
            remedy = f"wait: on {freed} quarantine gives {kept.count(kept[0])} back; or {remedy}"
        return RefusedError(
            f"The pool of {WORDS[kind]} ({kind}) is exhausted.",
            where=f"site {self.site.slug} in NetBox, custom field {POOLS}, for {purpose}",
            expected=f"something free in {size}",
            found="; ".join(named) or "nothing in it",
            remedy=remedy,
        )


type _Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _lowest(
    pool: ipaddress.IPv4Network, length: int, used: Iterable[_Network]
) -> ipaddress.IPv4Network | None:
    """The lowest network of that length in the pool that none of the others overlaps."""
    size = 1 << (32 - length)
    at, end = int(pool.network_address), int(pool.broadcast_address)
    spans = sorted((int(net.network_address), int(net.broadcast_address)) for net in used)
    for first, last in spans:
        if first >= at + size:
            break
        if last >= at:
            at = -(-(last + 1) // size) * size
    return ipaddress.IPv4Network((at, length)) if at + size - 1 <= end else None


def _vnis(dc: Datacentre, tenants: dict[int, str]) -> Iterator[tuple[int, str]]:
    for target in dc.content.route_targets:
        if match := re.fullmatch(rf"{TARGET_ASN}:(\d+)", target.name):
            yield int(match[1]), tenants.get(target.tenant or 0, "-")
    for l2vpn in dc.content.l2vpns:
        if l2vpn.identifier is not None:
            yield l2vpn.identifier, tenants.get(l2vpn.tenant or 0, "-")
    for vrf in dc.content.vrfs:
        owner = tenants.get(vrf.tenant or 0, "-")
        vni = vrf.custom_fields.get("l3vni")
        if isinstance(vni, int):
            yield vni, owner
        if match := re.fullmatch(rf"{TARGET_ASN}:(\d+)", vrf.rd or ""):
            yield int(match[1]), owner


def _asns(dc: Datacentre, tenants: dict[int, str]) -> Iterator[tuple[int, str]]:
    """AS numbers and who has them: a tenant, where one does, rather than the device."""
    for asn in dc.content.asns:
        yield asn.asn, "nobody that NetBox names"
    for device in dc.content.devices:
        number: Any = device.custom_fields.get("bgp_asn")
        if isinstance(number, int):
            yield number, device.name or f"device {device.id}"
    for asn in dc.content.asns:
        if asn.tenant in tenants:
            yield asn.asn, tenants[asn.tenant]


def _networks(dc: Datacentre, tenants: dict[int, str]) -> Iterator[tuple[_Network, str]]:
    """Every network that something is in; a container only says where others are from."""
    for prefix in dc.content.prefixes:
        if prefix.status != "container":
            network = ipaddress.ip_network(prefix.prefix, strict=False)
            yield network, tenants.get(prefix.tenant or 0, "-")
    for address in dc.content.ip_addresses:
        host = ipaddress.ip_interface(address.address).ip
        yield ipaddress.ip_network(host), tenants.get(address.tenant or 0, "-")


def _unreadable(site: r.Site, field: str, found: str) -> InputError:
    return InputError(
        f"What site {site.slug} says of its {field} cannot be read.",
        where=f"site {site.slug} in NetBox, custom field {field}",
        expected=f"what chapelle.model.tenancy says of {field}",
        found=found,
        remedy="correct the field in NetBox; inventory/design/tenancy.yml has one that is right",
    )
