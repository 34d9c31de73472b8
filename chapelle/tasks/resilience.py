"""Tasks of resilience: what fails if this fails."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from chapelle.errors import ExitCode, InputError
from chapelle.tasks._command import command
from chapelle.tasks.snapshot import print_json, print_lines, read_or_take

if TYPE_CHECKING:
    from chapelle.checks.resilience.loss import Plant

_SNAPSHOT = "Judge this snapshot file; by default a new one is taken."


@command(help={"snapshot": _SNAPSHOT, "json": "Print the verdict as one JSON document."})
def check(_context: object, snapshot: str | None = None, json: bool = False) -> ExitCode:
    """Find whatever cannot be taken out without harm: exit code 0 for nothing, 99 for findings.

    Every source, panel, feed, PDU, switch, patch panel and cable bundle is taken out in turn, on a
    graph of power and network made from NetBox: devices lost, and what the survivors carry then.
    Cords, power supplies, leaf pairs, loads, weights, reservations and waivers are judged as well.
    """
    import datetime

    from chapelle.checks.resilience.check import check as judge
    from chapelle.checks.resilience.loss import Plant
    from chapelle.model.datacentre import Datacentre
    from chapelle.report import resilience

    judged, base = read_or_take(snapshot)
    verdict = judge(Plant(Datacentre(judged)), datetime.datetime.now(datetime.UTC))
    if json:
        print_json(resilience.verdict_document(verdict, judged.hash, base))
    else:
        print_lines(resilience.verdict_lines(verdict, base))
    return ExitCode.FINDINGS if verdict.findings else ExitCode.OK


@command(
    help={
        "lose": "What is lost, all at one time: names with commas between, such as "
        "panel-a2-a,pdu-a2-r01-b; also a source, feed, device, rack, aisle-2, or cable:<id>.",
        "all": "Lose every element in turn, and show the worst ten.",
        "pairs": "With --all: every two of them at one time.",
        "svg": "Draw the aisles, with what goes dark, into this file; not with --all.",
        "snapshot": _SNAPSHOT,
        "json": "Print the outcome as one JSON document.",
    }
)
def simulate(
    _context: object,
    *,
    lose: str | None = None,
    all: bool = False,  # noqa: A002
    pairs: bool = False,
    svg: str | None = None,
    snapshot: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Say what the loss of some elements does: exit code 0 when it does no harm, 99 when it does.

    Devices and tenants lost and why, and what every survivor carries before and after. What is
    failed or offline in NetBox is out before and after.
    """
    from chapelle.checks.resilience.loss import Plant
    from chapelle.model.datacentre import Datacentre

    _require_one(lose, everything=all, pairs=pairs, svg=svg)
    judged, base = read_or_take(snapshot)
    plant = Plant(Datacentre(judged))
    if lose is None:
        return _everything(plant, base, pairs=pairs, json=json)
    return _some(plant, lose, base, svg=svg, json=json)


def _require_one(lose: str | None, *, everything: bool, pairs: bool, svg: str | None) -> None:
    given = [name for name, value in (("--lose", lose), ("--all", everything)) if value]
    if len(given) == 1 and not (pairs and lose) and not (svg and everything):
        return
    asked = [*given, *(["--pairs"] if pairs else []), *(["--svg"] if svg else [])]
    raise InputError(
        "Say what is to be lost.",
        where="the command line",
        expected="--lose=NAME[,NAME...] perhaps with --svg, or --all perhaps with --pairs",
        found=" ".join(asked) or "neither",
    )


def _some(plant: "Plant", lose: str, base: str, *, svg: str | None, json: bool) -> ExitCode:
    from chapelle import files
    from chapelle.checks.resilience import names
    from chapelle.report import elevation, resilience

    outcome = plant.lose(names.find_all(plant, lose))
    if svg:
        picture = elevation.draw(plant.dc, outcome, plant.pdu_shares(outcome))
        files.write(Path(svg).expanduser(), picture.encode())
    if json:
        print_json(resilience.outcome_document(outcome, base))
    else:
        print_lines(resilience.outcome_lines(outcome))
        if svg:
            print(f"picture: {svg}", file=sys.stderr)
    return ExitCode.OK if outcome.harmless else ExitCode.FINDINGS


def _everything(plant: "Plant", base: str, *, pairs: bool, json: bool) -> ExitCode:
    from chapelle.checks.resilience import sweep
    from chapelle.report import resilience

    swept = sweep.pairs(plant) if pairs else sweep.single(plant)
    if json:
        print_json(
            {
                "tried": swept.tried,
                "harmful": len(swept.harmful),
                "worst": [resilience.outcome_document(outcome, base) for outcome in swept.worst],
            }
        )
    else:
        print_lines(resilience.sweep_lines(swept.tried, len(swept.harmful), swept.worst))
    return ExitCode.FINDINGS if swept.harmful else ExitCode.OK
