"""Whether the lines by one leaf carry alone while those by the other are shut."""

from collections.abc import Mapping, Sequence

import msgspec

from chapelle.checks.tenancy.acceptance.links import SWITCH_VIEW
from chapelle.model.acceptance import (
    FAILED,
    LOSS,
    NOT_MEASURED,
    PASSED,
    Evidence,
    Line,
    Pings,
    Verdict,
)

# Seconds without an answer that nobody would call an outage: BGP gives a neighbour up after 9,
# LACP after 3 where the port does not lose its carrier.
SOON = 15.0


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf that is lost to a tenant: its `lines` are shut there."""

    leaf: str
    lines: tuple[Line, ...]

    @property
    def ports(self) -> tuple[str, ...]:
        """The ports that are shut."""
        return tuple(sorted({line.switch_port for line in self.lines}))

    def not_tried(self, why: str, verdict: Verdict = FAILED) -> Evidence:
        """Nobody tried; `failed` where that is because the tenant would have lost all."""
        return self._said(why, "nobody tried", verdict)

    def seen(self, others: Mapping[Line, bool]) -> Evidence:
        """What the switches say meanwhile; `others` are the lines by the other leaf, if up."""
        down = [str(line) for line, up in others.items() if not up]
        found = f"down: {', '.join(down)}" if down else f"{len(others)} lines up by the other leaf"
        return self._said(found, SWITCH_VIEW, FAILED if down or not others else PASSED)

    def not_shut(self, found: str) -> Evidence:
        """What went wrong when the ports were to be shut, or opened again."""
        return self._said(found, "the change of the switch", FAILED)

    def carried(self, settled: Pings, whole: Pings, way: str) -> Evidence:
        """What packets met.

        Arguments:
            settled: while the ports were shut and the other leaf carried.
            whole: from before they were shut until after they were open again.
            way: from where the packets went to where.
        """
        found = (
            f"{settled.lost} of {settled.sent} packets lost while shut; at most {whole.gap:.1f} s"
            " without an answer when they went and came back"
        )
        good = settled.sent > 0 and settled.lost == 0 and whole.gap <= SOON
        return self._said(found, way, PASSED if good else FAILED)

    def no_packets(self, why: str) -> Evidence:
        """That no packets were sent."""
        return self._said(f"not measured: {why}", "packets", NOT_MEASURED)

    def came_back(self, down: Sequence[Line]) -> Evidence:
        """What the switch says once its ports are open again; `down` are lines that are not up."""
        found = f"down: {', '.join(map(str, down))}" if down else "all up again"
        return Evidence(
            area=LOSS,
            item=self.leaf,
            what=f"{', '.join(self.ports)} opened again",
            expected="the lines are up as before",
            found=found,
            how=SWITCH_VIEW,
            verdict=FAILED if down else PASSED,
        )

    def _said(self, found: str, how: str, verdict: Verdict) -> Evidence:
        return Evidence(
            area=LOSS,
            item=self.leaf,
            what=f"{', '.join(self.ports)} shut",
            expected=f"the other leaf carries; at most {SOON:.0f} s without an answer",
            found=found,
            how=how,
            verdict=verdict,
        )
