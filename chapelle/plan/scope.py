"""Which machines a command is about: `--aisle`, `--rack` or `--limit`, exactly validated.

The same words name servers to some commands (`select`) and switches to others (`select_switches`).
"""

import fnmatch
import re
from collections.abc import Collection, Iterable, Sequence

import msgspec

from chapelle.errors import InputError
from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.model.status import PROVISIONABLE

ALL = "all"
_AISLE = re.compile(r"[1-9][0-9]{0,3}|all")
_RACK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9*?\[][A-Za-z0-9._*?\[\]!-]{0,99}")

_SYNTAX = {
    "aisle": (_AISLE, "an aisle's number, several with commas, or all: --aisle=2, --aisle=1,2"),
    "rack": (_RACK, "a rack's name, or several with commas: --rack=A2-R01,A2-R02"),
    "limit": (_HOST, "hosts or patterns, with commas: --limit=compute-a2-01,storage-a2-*"),
}


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator typed: `kind` is aisle, rack or limit; `values` without doubles."""

    kind: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"--{self.kind}={','.join(self.values)}"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The machines of a scope by name, and those in it that no run may touch, for their status."""

    devices: tuple[r.Device, ...]
    left_out: tuple[r.Device, ...]


def parse(*, aisle: str | None = None, rack: str | None = None, limit: str | None = None) -> Scope:
    """Read the three arguments, of which exactly one says something.

    Raises:
        InputError: none or several were given, or the value has characters that no name has.
    """
    given = {
        kind: value
        for kind, value in (("aisle", aisle), ("rack", rack), ("limit", limit))
        if value is not None
    }
    if len(given) != 1:
        raise InputError(
            "Say which servers are meant.",
            where="the command line",
            expected="exactly one of --aisle, --rack and --limit",
            found=" and ".join(f"--{kind}" for kind in given) or "none of them",
            remedy="for instance: invoke provision --aisle=2",
        )
    ((kind, text),) = given.items()
    pattern, expected = _SYNTAX[kind]
    values = tuple(dict.fromkeys(text.split(",")))
    if wrong := [value for value in values if not pattern.fullmatch(value)]:
        raise InputError(
            f"--{kind} has a value that names nothing.",
            where="the command line",
            expected=expected,
            found=repr(wrong[0]),
        )
    if ALL in values:
        values = (ALL,) if kind == "aisle" else values
    return Scope(kind=kind, values=values)


def from_text(text: str) -> Scope:
    """Read a scope back from `str(scope)`, as plans and journals keep it.

    Raises:
        InputError: the text is no scope.
    """
    kind, separator, values = text.removeprefix("--").partition("=")
    if kind not in _SYNTAX or not separator:
        raise InputError("This is not a scope.", expected="such as --aisle=2", found=repr(text))
    return parse(**{kind: values})


def select(dc: Datacentre, scope: Scope, statuses: Collection[str] = PROVISIONABLE) -> Selection:
    """The servers that `scope` means.

    Arguments:
        dc: the datacentre.
        scope: which servers.
        statuses: those from which the run may start.

    Raises:
        InputError: an aisle, a rack or a host does not exist, or no server in the scope has a
            status from which the run may start.
    """
    chosen = _IN_SCOPE[scope.kind](dc, scope.values)
    devices = tuple(d for d in chosen if d.status in statuses)
    left_out = tuple(d for d in chosen if d.status not in statuses)
    if scope.kind == "limit":
        _require_workable(scope.values, left_out, statuses)
    if not devices:
        raise InputError(
            f"There is no server to work on in {scope}.",
            where="the snapshot of NetBox",
            expected=f"servers with status {', '.join(sorted(statuses))}",
            found=_by_status(left_out) or "no server at all",
            remedy="set the servers' status to planned in NetBox, or choose another scope"
            if set(statuses) >= PROVISIONABLE
            else "provision the servers first, or choose another scope",
        )
    return Selection(devices=devices, left_out=left_out)


def _require_workable(
    patterns: Iterable[str], left_out: Sequence[r.Device], statuses: Collection[str]
) -> None:
    """Who names a server means it: one that may not be worked on is not left out in silence."""
    named = [d for d in left_out if d.name in set(patterns)]
    if named:
        by_run = named[0].status in PROVISIONABLE
        raise InputError(
            f"{named[0].name} may not be worked on.",
            where=f"device {named[0].name} in NetBox",
            expected=f"status {', '.join(sorted(statuses))}",
            found=f"status {named[0].status}",
            remedy=f"bring it into service first: invoke provision --limit={named[0].name}"
            if by_run
            else "a person who knows why it has that status may set it to planned in NetBox",
        )


def select_switches(dc: Datacentre, scope: Scope) -> Selection:
    """The switches that `scope` means.

    Raises:
        InputError: an aisle, a rack or a switch does not exist, or no switch in the scope has a
            status from which a run may start.
    """
    chosen = [d for d in switches(dc) if _means(dc, scope, d)]
    if scope.kind == "limit":
        _require_all(dc, scope.values, chosen)
    devices = tuple(d for d in chosen if d.status in PROVISIONABLE)
    left_out = tuple(d for d in chosen if d.status not in PROVISIONABLE)
    if not devices:
        raise InputError(
            f"There is no switch to work on in {scope}.",
            where="the snapshot of NetBox",
            expected=f"switches with status {', '.join(sorted(PROVISIONABLE))}",
            found=_by_status(left_out) or "no switch at all",
            remedy="set the switches' status to planned in NetBox, or choose another scope",
        )
    return Selection(devices=devices, left_out=left_out)


def workable_switches(dc: Datacentre, scope: Scope) -> tuple[r.Device, ...]:
    """The switches of a scope that a run may work on, which may be none."""
    return tuple(d for d in switches(dc) if _means(dc, scope, d) and d.status in PROVISIONABLE)


def switches(dc: Datacentre) -> tuple[r.Device, ...]:
    """All named switches, by name."""
    found = [d for d in dc.devices_by_name.values() if dc.role_of(d) in SWITCH_ROLES]
    return tuple(sorted(found, key=lambda d: d.name or ""))


def _means(dc: Datacentre, scope: Scope, device: r.Device) -> bool:
    """Whether a device is in a scope; names of aisles and racks are looked up, so they exist."""
    if scope.kind == "aisle":
        numbers = set(dc.aisles) if scope.values == (ALL,) else set(scope.values)
        return dc.aisle_number(device) in {n for n in numbers if dc.aisle(n)}
    if scope.kind == "rack":
        return device.rack in {dc.rack(name).id for name in scope.values}
    return any(fnmatch.fnmatchcase(device.name or "", pattern) for pattern in scope.values)


def _require_all(dc: Datacentre, patterns: Iterable[str], chosen: Sequence[r.Device]) -> None:
    names = [device.name or "" for device in chosen]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            known = dc.devices_by_name.get(pattern)
            raise InputError(
                f"--limit names no switch: {pattern}",
                where="the snapshot of NetBox",
                expected="the name of a switch, or a pattern that matches some",
                found=f"a device with role {dc.role_of(known)}" if known else "no such device",
                remedy="list the names with: ansible-inventory --graph",
            )


def _by_status(devices: Sequence[r.Device]) -> str:
    statuses = sorted({d.status for d in devices})
    return ", ".join(f"{sum(d.status == s for d in devices)} {s}" for s in statuses)


def _in_aisles(dc: Datacentre, numbers: tuple[str, ...]) -> tuple[r.Device, ...]:
    if numbers != (ALL,):
        for number in numbers:
            dc.aisle(number)
    wanted = set(dc.aisles) if numbers == (ALL,) else set(numbers)
    return tuple(d for d in dc.servers if dc.aisle_number(d) in wanted)


def _in_racks(dc: Datacentre, names: tuple[str, ...]) -> tuple[r.Device, ...]:
    wanted = {dc.rack(name).id for name in names}
    return tuple(d for d in dc.servers if d.rack in wanted)


def _matching(dc: Datacentre, patterns: tuple[str, ...]) -> tuple[r.Device, ...]:
    chosen: dict[int, r.Device] = {}
    for pattern in patterns:
        found = [d for d in dc.servers if fnmatch.fnmatchcase(d.name or "", pattern)]
        if not found:
            raise InputError(
                f"--limit names no server: {pattern}",
                where="the snapshot of NetBox",
                expected="the name of a server, or a pattern that matches some",
                found=_nearest(dc, pattern),
                remedy="list the names with: ansible-inventory --graph",
            )
        chosen.update((d.id, d) for d in found)
    return tuple(sorted(chosen.values(), key=lambda d: d.name or ""))


def _nearest(dc: Datacentre, name: str) -> str:
    device = dc.devices_by_name.get(name)
    if device is not None:
        return f"{name} is a device with role {dc.role_of(device) or '(none)'}, not a server"
    return "no such device"


_IN_SCOPE = {"aisle": _in_aisles, "rack": _in_racks, "limit": _matching}
