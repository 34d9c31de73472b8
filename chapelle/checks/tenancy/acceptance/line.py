"""How fast a tenant's lines are, as far as somebody could measure from inside its network."""

import msgspec

from chapelle.model.acceptance import FAILED, LINES, NOT_MEASURED, PASSED, Evidence, Pings, Verdict


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What was agreed: megabits a second at least, milliseconds there and back at most."""

    megabits: float | None = None
    milliseconds: float | None = None


def latency(way: str, found: Pings, agreed: Agreed) -> Evidence:
    """Whether all echo requests were answered, and how soon.

    Arguments:
        way: from where to where.
        found: what became of them.
        agreed: what was agreed.
    """
    limit = agreed.milliseconds
    typical = found.typical
    soon = typical is not None and (limit is None or typical <= limit)
    time = "no answer" if typical is None else f"{typical:.2f} ms (median)"
    return Evidence(
        area=LINES,
        item=way,
        what="latency",
        expected="all answered" + (f", {limit:g} ms at most" if limit is not None else ""),
        found=f"{found.received} of {found.sent} answered, {time}",
        how="ping from inside the tenant's network",
        verdict=PASSED if soon and found.lost == 0 else FAILED,
    )


def throughput(way: str, megabits: float, agreed: Agreed) -> Evidence:
    """What came through one connection of TCP; `way` is from where to where."""
    least = agreed.megabits
    return Evidence(
        area=LINES,
        item=way,
        what="throughput",
        expected="data arrives (no rate was agreed)"
        if least is None
        else f"{least:g} Mbit/s at least",
        found=f"{megabits:.0f} Mbit/s",
        how="iperf3, one connection of TCP",
        verdict=PASSED if megabits > 0 and megabits >= (least or 0.0) else FAILED,
    )


def no_figure(item: str, what: str, why: str, verdict: Verdict = NOT_MEASURED) -> Evidence:
    """That there is no figure; `failed` where it went wrong while somebody measured."""
    return Evidence(
        area=LINES,
        item=item,
        what=what,
        expected="a figure, measured from inside the tenant's network",
        found=f"{verdict}: {why}",
        how="nobody measured",
        verdict=verdict,
    )
