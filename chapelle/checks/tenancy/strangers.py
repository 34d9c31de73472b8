"""What would tell of a neighbour, looked for in what a tenant is shown.

The allow-list keeps neighbours' objects out of a view. It cannot know what people write: a cable's
label, a feed's or a device's name can tell of anybody. So the finished view is searched for all
that names a neighbour, and refused if it is found.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from chapelle.checks.tenancy.own import Own
from chapelle.errors import RefusedError
from chapelle.model import records as r

# How many places a refusal names.
_TOLD = 5


def refuse(own: Own, document: msgspec.Struct) -> None:
    """Make sure that nothing in the document names a neighbour of the tenant.

    Raises:
        RefusedError: something does; each place is named, with what it says.
    """
    found = list(leaks(own, document))
    if found:
        more = f", and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise RefusedError(
            "What the tenant would be shown names a neighbour; nothing was written.",
            where=f"tenant {own.tenant.slug}: " + ", ".join(place for place, _ in found[:_TOLD]),
            expected="nothing that belongs to another tenant",
            found="; ".join(repr(text) for _, text in found[:_TOLD]) + more,
            remedy="in NetBox change the label or name that says so, or whose the object is",
        )


def leaks(own: Own, document: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Each place in the document that names a neighbour, and the text there."""
    shown = [(place, str(value).casefold()) for place, value in _texts(document)]
    everything = "\n".join(text for _, text in shown)
    longer = sorted(_folded(_tenants(own, neighbours=False)), key=len, reverse=True)
    for word, whole in _patterns(own):
        if word not in everything:
            continue
        for place, text in shown:
            rest = text
            for each in longer:  # a tenant may be called Paris, and another one Paris Habitat
                if word in each:
                    rest = rest.replace(each, " ")
            if whole.search(rest):
                yield place, text


def _patterns(own: Own) -> Iterator[tuple[str, re.Pattern[str]]]:
    """The words that name neighbours, and how each is looked for: whole.

    A tenant may be named within a longer name, such as edge-NAME-a1. Other names may not: web-01 is
    another device than web-01-bis. Names that everybody uses, and those that the tenant itself has,
    tell nothing.
    """
    for word in sorted(_folded(_tenants(own, neighbours=True))):
        yield word, re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    known = _folded(_names(own, neighbours=False))
    for word in sorted(_folded(_names(own, neighbours=True)) - known):
        if _tells(word):
            yield word, re.compile(rf"(?<![\w-])(?<!\w\.){re.escape(word)}(?![\w-]|\.\w)")


def _tells(word: str) -> bool:
    """Whether a word is a name, and not one that everybody uses such as `web` or `mgmt`."""
    numbered = len(word) >= 4 and any(character.isdigit() for character in word)
    return numbered or (len(word) >= 8 and not word.isalpha())


def _folded(words: Iterable[str | None]) -> frozenset[str]:
    return frozenset(word.casefold() for word in words if word)


def _texts(document: msgspec.Struct) -> Iterator[tuple[str, str | int]]:
    def walk(place: str, value: Any) -> Iterator[tuple[str, str | int]]:
        if isinstance(value, dict):
            for name, each in value.items():
                yield from walk(f"{place}.{name}" if place else name, each)
        elif isinstance(value, list | tuple):
            for number, each in enumerate(value):
                yield from walk(f"{place}[{number}]", each)
        elif isinstance(value, str | int) and not isinstance(value, bool):
            yield place, value

    return walk("", msgspec.to_builtins(document))


def _tenants(own: Own, *, neighbours: bool) -> Iterator[str]:
    """What the neighbours are called; or else the tenant, the operator, the sites, their mail."""
    content = own.dc.content
    sites = () if neighbours else content.sites
    for named in (*sites, *(t for t in content.tenants if own.shared(t.id) is not neighbours)):
        yield from (named.name, named.slug)
    if not neighbours:
        yield from (contact.email for contact in _contacts(own, neighbours=False))


def _names(own: Own, *, neighbours: bool) -> Iterator[str | None]:
    """What the neighbours' things and people are called; or else the tenant's and operator's."""
    content = own.dc.content

    def of[T: r.Record](records: tuple[T, ...]) -> Iterator[T]:
        for record in records:
            if own.shared(record.tenant) is not neighbours:  # type: ignore[attr-defined]
                yield record

    for device in of(content.devices):
        yield from (device.name, device.serial, device.asset_tag)
    for rack in of(content.racks):
        yield from (rack.name, rack.serial, rack.asset_tag, rack.facility_id)
    yield from (feed.name for feed in of(content.power_feeds))
    yield from (vlan.name for vlan in of(content.vlans))
    yield from (vrf.name for vrf in of(content.vrfs))
    yield from (target.name for target in of(content.route_targets))
    yield from (l2vpn.name for l2vpn in of(content.l2vpns))
    yield from (str(asn.asn) for asn in of(content.asns))
    for prefix in _addressed(own, content.prefixes, neighbours=neighbours):
        yield prefix.prefix
    for address in _addressed(own, content.ip_addresses, neighbours=neighbours):
        yield from (address.address, str(ipaddress.ip_interface(address.address).ip))
    for contact in _contacts(own, neighbours=neighbours):
        yield from (contact.name, contact.email, contact.phone)


def _addressed[T: (r.Prefix, r.IPAddress)](
    own: Own, records: tuple[T, ...], *, neighbours: bool
) -> Iterator[T]:
    """Prefixes or addresses by their tenant, or if they have none by that of their VRF."""
    for record in records:
        vrf = own.dc.vrfs.get(record.vrf or 0)
        owner = record.tenant if record.tenant is not None else vrf.tenant if vrf else None
        if own.shared(owner) is not neighbours:
            yield record


def _contacts(own: Own, *, neighbours: bool) -> Iterator[r.Contact]:
    contacts = {contact.id: contact for contact in own.dc.content.contacts}
    for each in own.dc.content.contact_assignments:
        stranger = each.object_type == "tenancy.tenant" and not own.shared(each.object_id)
        contact = contacts.get(each.contact)
        if contact and stranger is neighbours:
            yield contact
