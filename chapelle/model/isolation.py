"""Who reaches whom: what a switch does as far as that is the question, and what was proven of it.

A *party* is somebody whose traffic is nobody else's: a tenant, the operator, the management of
machines, the fabric's own routing table. What a switch does (`Reading`) is the same whether it was
intended or read off the switch.
"""

from collections.abc import Mapping

import msgspec

from chapelle.model.finding import Finding, ObjectRef

# The table of a switch in which no tenant is: the fabric's own.
GLOBAL = "default"

# Where what was proven was read.
INTENT, RUNNING = "intent", "running"


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Ports of a switch that lead out of the fabric, as one: a plain port, or a group of them.

    Arguments:
        ports: their names.
        untagged: the VLAN of untagged frames.
        tagged: the VLANs of tagged ones.
        table: the VRF that it is routed in; None where it is bridged.
    """

    ports: tuple[str, ...]
    untagged: int | None = None
    tagged: frozenset[int] = frozenset()
    table: str | None = None


class Lan(msgspec.Struct, frozen=True, kw_only=True):
    """A VLAN on a switch.

    Arguments:
        vid: its number.
        vni: its VXLAN network identifier, None where the switch only bridges it.
        imports: route targets that it learns from; `exports` those that it tells with. `*:101` is
            any that ends so.
        tag: in a bundle of VLANs that share targets, what tells them apart; 0 outside of one.
        tables: the VRFs of its gateways.
    """

    vid: int
    vni: int | None = None
    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    tag: int = 0
    tables: tuple[str, ...] = ()


class Leak(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A way from one table of a switch into another that no route target makes.

    `words` is the line that does it; `default` says that it takes whatever has no other way. `vid`
    is the VLAN whose gateway the way leads over, where it does.
    """

    into: str
    words: str
    default: bool = False
    vid: int | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What is taken from a BGP neighbour in a VRF: these networks or parts of them.

    None stands for whatever it says.
    """

    peer: str
    prefixes: tuple[str, ...] | None = None


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A VRF on a switch; the fields are those of `Lan`. `leaks` lead into other tables."""

    name: str
    vni: int | None = None
    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    leaks: tuple[Leak, ...] = ()
    accepted: tuple[Accepted, ...] = ()


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a switch does, as far as it decides who reaches whom. `source`: intent or running."""

    switch: str
    source: str = INTENT
    doors: tuple[Door, ...] = ()
    lans: tuple[Lan, ...] = ()
    tables: tuple[Table, ...] = ()


class Party(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Somebody who must not be reached by others: `key` tells them apart, `name` is for people."""

    key: str
    name: str


class Way(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that a party shares with another's equipment, and the reason why it may.

    `objects` lead from the one to the other.
    """

    party: str
    other: str
    reason: str
    objects: tuple[ObjectRef, ...] = ()


class Reach(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """All that a party has, by name and in order; `others` are the parties that it reaches.

    Whom those reach is told of them: nobody reaches anybody if nobody reaches a first one.
    """

    party: str
    vlans: tuple[str, ...] = ()
    vrfs: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about who reaches whom.

    Arguments:
        source: `intent` or `running`.
        leaks: each way from a party to another, once, by what is to be changed.
        paths: what is shared, and may be.
        reaches: what each party reaches.
        switches: how many switches were looked at.
        unread: why the others could not be, by name.
    """

    source: str
    leaks: tuple[Finding, ...]
    paths: tuple[Way, ...] = ()
    reaches: tuple[Reach, ...] = ()
    switches: int = 0
    unread: Mapping[str, str] = {}
