"""What templates show of the sessions with tenants: neighbours, and the filters of their routes.

What a tenant may announce is the networks that NetBox says it has, whole or in parts: it may have
the halves of one in two aisles, and shift traffic by announcing them. A private VRF is not the
Internet, where only the whole is right. Parts end at LONGEST_PART: a route a machine belongs in no
table that all switches of the tenant hold. Parts of a longer network than that there are none.

A tenant hears all that its VRF holds, which is nobody else's, but for the routes to single machines
that EVPN makes, and to our own loopbacks.

Extended communities are taken from what a tenant announces. A route target among them would bring
the route into the VRF that imports it: EVPN adds our targets to those that the route has already.
"""

import ipaddress

import msgspec

from chapelle.fabric.switch import Handoff, Session, Switch
from chapelle.model.tenancy import LONGEST_PART


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A session at a hand-off. `name` is the neighbour's address, `family` that of its routes."""

    handoff: Handoff
    session: Session

    @property
    def name(self) -> str:
        """The address of the neighbour."""
        return self.session.peer

    @property
    def family(self) -> str:
        """The family of its addresses, and of the routes of the session."""
        return _family(self.session.peer)

    @property
    def inbound(self) -> str:
        """The name of the filter of what it announces."""
        return _from(self.handoff.vrf, self.family)

    @property
    def outbound(self) -> str:
        """The name of the filter of what it is told."""
        return _to(self.family)


class Filter(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A list of prefixes, and the route map that permits only what the list does.

    `word` is what all platforms call its family by. Without `entries` nothing is permitted, which
    a list without entries would not say: to NX-OS that permits everything.
    """

    name: str
    word: str
    entries: tuple[str, ...]


def neighbours(switch: Switch) -> dict[str, tuple[Neighbour, ...]]:
    """The neighbours in each VRF of the switch, by port."""
    found: dict[str, tuple[Neighbour, ...]] = {vrf.name: () for vrf in switch.vrfs}
    for one in switch.handoffs:
        made = (Neighbour(handoff=one, session=session) for session in one.sessions)
        found[one.vrf] = (*found[one.vrf], *made)
    return found


def inbound(switch: Switch) -> tuple[Filter, ...]:
    """The filters of what tenants announce, a VRF and family each."""
    return tuple(
        sorted(
            {
                Filter(
                    name=_from(one.vrf, family),
                    word=_WORDS[family],
                    entries=tuple(map(_entry, _of(family, one.announced))),
                )
                for one in switch.handoffs
                for family in map(_family, (session.peer for session in one.sessions))
            }
        )
    )


def outbound(switch: Switch) -> tuple[Filter, ...]:
    """The filters of what tenants are told, one a family."""
    families = {_family(s.peer) for one in switch.handoffs for s in one.sessions}
    return tuple(
        Filter(name=_to(family), word=_WORDS[family], entries=_TOLD[family])
        for family in sorted(families)
    )


_WORDS = {"ipv4": "ip", "ipv6": "ipv6"}

# Everything but routes to single machines.
_TOLD = {"ipv4": ("0.0.0.0/0 le 31",), "ipv6": ("::/0 le 127",)}


def _family(text: str) -> str:
    return "ipv6" if ":" in text else "ipv4"


def _from(vrf: str, family: str) -> str:
    return f"CHAPELLE-FROM-{vrf}-{family.upper()}"


def _to(family: str) -> str:
    return f"CHAPELLE-TO-TENANTS-{family.upper()}"


def _of(family: str, networks: tuple[str, ...]) -> list[str]:
    return [network for network in networks if _family(network) == family]


def _entry(text: str) -> str:
    """A network in a list of prefixes, with its parts."""
    network = ipaddress.ip_network(text)
    longest = LONGEST_PART[network.version]
    return text if network.prefixlen >= longest else f"{text} le {longest}"
