"""What people read of an answer to a tenant's request: options with remarks, and each "no"."""

from typing import Any

import msgspec

from chapelle.model.tenancy import Answer, Option, Refused, Request
from chapelle.report.text import clean, host_names, plural, wrap

# Runs of racks in one line; JSON has all.
_RUNS = 8


def answer_lines(request: Request, answer: Answer) -> list[str]:
    """The answer for a reader: what was asked, the options, what was refused, what would help."""
    lines = [*wrap(f"{request.reference}: {_asked(request)}"), ""]
    for number, option in enumerate(answer.options, start=1):
        lines += [*_option(number, option), ""]
    if not answer.options:
        lines += ["no option", ""]
    if answer.changes:
        lines.append("what would have to change, one of:")
        lines += [line for change in answer.changes for line in _item(change)]
        lines.append("")
    if answer.refused:
        lines.append("not offered:")
        lines += [line for refused in answer.refused for line in _item(_refused(refused))]
        lines.append("")
    if answer.options:
        return [*lines, f"{plural(len(answer.options), 'option')}; nothing was reserved"]
    return [*lines, "it cannot be offered"]


def _asked(request: Request) -> str:
    space = request.space
    what = plural(space.racks or 0, "rack") if space.racks else f"{space.units} units of a rack"
    each = f"{space.kw_per_rack:g} kW and {space.kg_per_rack:g} kg {'each' if space.racks else ''}"
    ports = plural(request.handoff.ports, "port")
    wishes = [
        f"in aisle {', '.join(map(str, space.aisles))}" if space.aisles else "",
        f"at most {space.at_most_per_aisle} an aisle" if space.at_most_per_aisle else "",
        "side by side" if space.contiguous else "",
        f"near {space.near}" if space.near else "",
        f"apart from {', '.join(space.apart_from)}" if space.apart_from else "",
    ]
    told = ", ".join(filter(None, [each.strip(), *wishes]))
    handoff = f"{request.handoff.kind.upper()} on {ports} of each leaf"
    return f"{what} for {request.tenant.name}, {told}; {handoff}"


def _option(number: int, option: Option) -> list[str]:
    racks = host_names(option.racks, _RUNS)
    units = f", units {_units(option.units)}" if option.units else ""
    lines = wrap(f"{number}. {racks}{units}", "   ")
    return lines + [line for remark in option.remarks for line in wrap(f"   - {remark}", "     ")]


def _units(units: tuple[int, ...]) -> str:
    names = host_names([f"U{unit:02}" for unit in units], len(units))
    return names.replace("U0", "U").replace("..0", "..")


def _refused(refused: Refused) -> str:
    if len(refused.racks) < 2:
        return f"{refused.subject}: {refused.reason}"
    if refused.subject.startswith("aisle"):
        return f"{refused.subject} ({plural(len(refused.racks), 'rack')}): {refused.reason}"
    return f"{host_names(refused.racks, _RUNS)}: {refused.reason}"


def _item(text: str) -> list[str]:
    return [clean(line) for line in wrap(f"  - {text}", "    ")]


def answer_document(request: Request, answer: Answer, snapshot: str) -> dict[str, Any]:
    """The same as plain data."""
    document: dict[str, Any] = msgspec.to_builtins(answer)
    return {
        "snapshot": snapshot,
        "request": request.reference,
        "tenant": request.tenant.slug,
        **document,
    }
