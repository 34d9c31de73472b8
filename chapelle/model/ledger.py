"""How much data the datacentre can hold, and what is left of it when something is lost.

All amounts are in units of 10^9 bytes (GB). "Usable" is data, each byte of it counted once: what
can be kept in the declared number of copies, each in another failure domain, on disks that are
filled no further than declared.
"""

import msgspec

from chapelle.model.disks import Holding
from chapelle.model.finding import Finding
from chapelle.model.resilience import Element


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One aisle's part, or another failure domain's.

    `usable` is its share of all; `stranded` is raw capacity that no copy can use, since too few
    other domains have room for the further copies.
    """

    name: str
    servers: int
    disks: int
    raw: int
    usable: int
    stranded: int


class Without(msgspec.Struct, frozen=True, kw_only=True):
    """What is left without something, together with what is out already.

    Arguments:
        kind: of what is lost, such as `leaf pair`.
        name: as a person says it.
        elements: what that is in NetBox.
        servers: names of the servers that hold data and are lost with it; not those out before.
        raw: what their disks have.
        affected: the most data that can have a copy less, of what must be held.
        copies: how many copies of each byte are left at the least.
        readable: whether all data can be read.
        writable: whether all data can be written.
        usable: what the rest can hold once all copies are made again.
        enough: whether that is what must be held.
    """

    kind: str
    name: str
    elements: tuple[Element, ...]
    servers: tuple[str, ...]
    raw: int
    affected: int
    copies: int
    readable: bool
    writable: bool
    usable: int
    enough: bool


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The whole account.

    Arguments:
        holding: what is declared.
        parts: the failure domains that copies are kept apart by.
        aisles: the same by aisle; equal to `parts` where copies are kept apart by aisle.
        servers: how many hold data, by their status in NetBox.
        disks: how many hold data.
        raw: what they have.
        usable: what they can hold.
        need: what they must hold.
        out: what is lost now: servers that are failed, offline, or without power.
        losses: what each further loss leaves, the worst of each kind first.
        kept: serial numbers of the disks that are to be kept as they are; they do not count.
        findings: why this is not enough, or not safe.
    """

    holding: Holding
    parts: tuple[Part, ...]
    aisles: tuple[Part, ...]
    servers: dict[str, int]
    disks: int
    raw: int
    usable: int
    need: int
    out: Without
    losses: tuple[Without, ...]
    kept: tuple[str, ...]
    findings: tuple[Finding, ...]
