"""What was examined when a tenant's space was handed over: one piece of evidence for each thing.

Times are seconds since the epoch (UTC). Evidence says what was looked at and how, so that whoever
signs knows what was measured, what was read in NetBox, and what nobody could measure.
"""

from typing import Final, Literal

import msgspec

type Verdict = Literal["passed", "failed", "not measured"]
PASSED: Final = "passed"
FAILED: Final = "failed"
NOT_MEASURED: Final = "not measured"

# What evidence is about, in the order in which it is taken and told.
LINKS, LINES, LOSS, POWER, ISOLATION, METERS = AREAS = (
    "links",
    "lines",
    "loss of a leaf",
    "power",
    "isolation",
    "meters",
)

replace = msgspec.structs.replace


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was examined.

    Arguments:
        area: one of AREAS.
        item: the object, by its name.
        what: what of it was examined.
        expected: what it has to be.
        found: what it is.
        how: how that was found out.
        verdict: `passed`, `failed`, or `not measured` where nobody could tell; `found` says why.
        when: when; 0 until whoever looked has said it.
    """

    area: str
    item: str
    what: str
    expected: str
    found: str
    how: str
    verdict: Verdict
    when: float = 0.0


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """All evidence of one acceptance.

    `tenant` is a slug, `name` is for people; `run` names it, and where it is kept; `target` is
    `lab` or `site`; `snapshot` and `commit` are what it was judged by.
    """

    tenant: str
    name: str
    run: str
    owner: str
    target: str
    snapshot: str
    commit: str
    started: float
    finished: float
    evidence: tuple[Evidence, ...]

    def of(self, verdict: Verdict) -> tuple[Evidence, ...]:
        """The evidence with that verdict."""
        return tuple(each for each in self.evidence if each.verdict == verdict)

    @property
    def accepted(self) -> bool:
        """Whether nothing failed."""
        return not self.of(FAILED)


# Areas whose findings name the tenant's own equipment and nobody else's.
_OWN = frozenset({LINES, LOSS, METERS})


def for_tenant(made: Acceptance) -> Acceptance:
    """The acceptance as the tenant sees it: of isolation only whether it holds.

    What was found is left out where it may name somebody else's equipment.
    """
    worst = (FAILED, NOT_MEASURED, PASSED)
    proofs = sorted(
        (each for each in made.evidence if each.area == ISOLATION),
        key=lambda each: worst.index(each.verdict),
    )
    others = [each for each in made.evidence if each.area != ISOLATION]
    shown = (
        *(each if each.area in _OWN else replace(each, found="") for each in others),
        *(replace(each, item=made.name, expected="", found="", how="") for each in proofs[:1]),
    )
    return replace(made, evidence=shown)


class Line(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A port of a tenant's edge and the switch's port that it leads to.

    Arguments:
        switch: the switch; `switch_port` is its port.
        edge: the tenant's device; `port` is its port.
        aisle: the number of the aisle.
        group: of the switch, which the port belongs to; empty for a routed port.
        vrf: the routing table of a routed port, as the switch calls it.
        peer: the edge's address on a routed port, without length.
        most: how many prefixes may be taken from it; None: nobody says.
    """

    switch: str
    switch_port: str
    edge: str
    port: str
    aisle: str
    group: str = ""
    vrf: str = ""
    peer: str = ""
    most: int | None = None

    @property
    def routed(self) -> bool:
        """Whether BGP is spoken over it."""
        return bool(self.peer)

    def __str__(self) -> str:
        return f"{self.edge} {self.port} - {self.switch} {self.switch_port}"


class Pings(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some echo requests; times in milliseconds, `gap` in seconds.

    `gap` is the longest time without an answer, `typical` the median of the times there and back.
    """

    sent: int
    received: int
    gap: float
    typical: float | None = None

    @property
    def lost(self) -> int:
        """How many were not answered."""
        return max(0, self.sent - self.received)
