"""What people read of a tenant that comes or leaves: the plan, how it ended, the certificate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import msgspec

from chapelle.model.change import Create, Delete
from chapelle.plan.tenancy.certificate import Certificate
from chapelle.plan.tenancy.plan import Item, TenancyPlan
from chapelle.plan.tenancy.pools import WORDS
from chapelle.report import fabric
from chapelle.report.text import clean, host_names, plural, wrap

_TITLES = {"tenant-onboard": "comes", "tenant-offboard": "leaves"}

# Runs of names in one line.
_RUNS = 12

# Lines of cables and the like that are shown to somebody who is asked; --dry-run shows all.
_LONGEST = 40


def plan_lines(
    plan: TenancyPlan, diffs: Mapping[str, str], *, brief: bool = False, back: bool = False
) -> list[str]:
    """A plan for a reader: where, what from which pool, what else, and which switches follow.

    Arguments:
        plan: the plan.
        diffs: what it changes on each switch, by name.
        brief: whether a long plan is cut.
        back: whether the plan was carried out, as far as it came, and is to be taken back.
    """
    what = f" ({plan.reference})" if plan.reference else ""
    title = f"{plan.name}{what} {_TITLES[plan.kind]}{': to be taken back' if back else ''}"
    lines = [*_wrapped(title, ""), f"  plan      {plan.hash}"]
    lines.append(f"  snapshot  {plan.snapshot}")
    if plan.empty:
        return [*lines, "", "nothing to do: NetBox says all of it already"]
    racks = host_names(plan.racks, _RUNS)
    lines += _wrapped(f"racks     {racks or '-'} in aisle {', '.join(plan.aisles) or '-'}")
    lines.append(f"  NetBox    {_counted(plan)}")
    switches = plan.switches if back else tuple(diffs)
    names = host_names(switches, _RUNS)
    many = plural(len(switches), "switch", "switches")
    follow = f"{many}: {names}" if switches else "none changes"
    lines += _wrapped(f"switches  {follow}")
    lines += [] if back else _equipment(plan.equipment)
    lines += ["", "what is taken back, as far as it was done:" if back else "what changes:"]
    shown = plan.words[:_LONGEST] if brief else plan.words
    lines += [line for words in shown for line in _wrapped(f"- {words}")]
    if len(shown) < len(plan.words):
        lines.append(f"  and {len(plan.words) - len(shown)} lines more: --dry-run shows all")
    if plan.taken:
        counted = Counter(one.kind for one in plan.taken)
        lines += ["", "back to the pools:" if back else "from the pools:"]
        lines += [f"  - {WORDS[kind]}: {_taken(plan, kind)}" for kind in counted]
    return lines


def print_diffs(
    diffs: Mapping[str, str], out: TextIO | None = None, *, brief: bool = False
) -> None:
    """Print what changes on the switches, each diff once."""
    if diffs:
        fabric.print_diffs(diffs, out, longest=_LONGEST if brief else None)


def outcome_lines(plan: TenancyPlan, stage: str, run: str, papers: str) -> list[str]:
    """How a run ended, for a reader."""
    name = clean(plan.name)
    said = {
        "done": f"{name} is in" if plan.kind == "tenant-onboard" else f"{name} has left",
        "undone": f"{name}: all is as it was before",
    }
    lines = [said.get(stage, f"{name}: {stage}"), f"  run     {run}", f"  papers  {papers}"]
    if stage == "done" and plan.kind == "tenant-offboard":
        lines.append(f"  certificate  {papers}/certificate.txt")
    return lines


def document(plan: TenancyPlan, diffs: Mapping[str, str], stage: str, run: str) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "kind": plan.kind,
        "tenant": plan.tenant,
        "reference": plan.reference,
        "run": run,
        "outcome": stage or "planned",
        "hash": plan.hash,
        "plan": msgspec.to_builtins(plan),
        "diffs": dict(diffs),
    }


def certificate_lines(made: Certificate) -> list[str]:
    """A certificate as plain text, to be printed and signed."""
    return [
        *_wrapped(f"Certificate of release: {made.name}", ""),
        "",
        f"  run           {made.run}",
        f"  finished      {made.finished:%Y-%m-%d %H:%M:%S} UTC",
        f"  confirmed by  {clean(made.confirmed_by)}",
        f"  plan          {made.plan}",
        f"  snapshot      {made.snapshot}",
        "",
        *_section("Racks released", [host_names(made.racks, len(made.racks))]),
        *_section(
            "Equipment, in against out",
            [_item(item) for item in made.equipment],
            "none was known to NetBox",
        ),
        *_section("Withdrawn", made.withdrawn),
        *_section(
            "In quarantine: not handed out again up to and on that day",
            [f"{WORDS[one.kind]}: {one.value} until {one.until}" for one in made.quarantine],
        ),
        *_section(
            "Switches that followed",
            [host_names(made.switches, len(made.switches))] if made.switches else [],
            "none: they were no part of this run",
        ),
        *_section("Not covered by this certificate", made.not_covered),
        "For the operator:                       For the tenant:",
        "",
        "",
        "______________________________          ______________________________",
    ]


def _section(title: str, items: Sequence[str], none: str = "none") -> list[str]:
    lines = [title] + [line for item in items for line in _wrapped(f"- {item}")]
    return [*lines, *([] if items else [f"  {none}"]), ""]


def _equipment(items: Sequence[Item]) -> list[str]:
    out = [item for item in items if item.leaves]
    if not out:
        return []
    lines = ["", "yes confirms that this equipment is out of its rack:"]
    return lines + [line for item in out for line in _wrapped(f"- {_item(item)}")]


def _item(item: Item) -> str:
    marks = [item.model, f"serial {item.serial or '(none)'}"]
    marks += [f"asset {item.asset_tag}"] if item.asset_tag else []
    where = f"in {item.place}" if item.place else "out before"
    out = "; out with this run" if item.leaves else ""
    return f"{item.name} ({', '.join(filter(None, marks))}): {where}{out}"


def _counted(plan: TenancyPlan) -> str:
    kinds = Counter(
        "made" if isinstance(c, Create) else "deleted" if isinstance(c, Delete) else "changed"
        for c in plan.changes
    )
    return ", ".join(f"{kinds[kind]} {kind}" for kind in ("made", "changed", "deleted"))


def _taken(plan: TenancyPlan, kind: str) -> str:
    values = [one.value for one in plan.taken if one.kind == kind]
    return host_names(values, _RUNS) if kind not in ("prefixes", "links") else ", ".join(values)


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return [clean(line) for line in wrap(f"{indent}{clean(text)}", f"{indent}  ")]
