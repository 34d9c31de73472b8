"""Whether each line of a tenant is up, by what its switch says."""

from collections.abc import Collection, Iterator

from chapelle.checks.fabric import is_named
from chapelle.model import records as r
from chapelle.model.acceptance import (
    FAILED,
    LINKS,
    NOT_MEASURED,
    PASSED,
    Evidence,
    Line,
    Verdict,
)
from chapelle.model.datacentre import Datacentre
from chapelle.model.status import OUT_OF_SERVICE
from chapelle.model.switch import Facts
from chapelle.model.tenancy import EDGE

SWITCH_VIEW = "the switch's own view"


def edges(dc: Datacentre, tenant: r.Tenant) -> tuple[r.Device, ...]:
    """The devices where a tenant's lines begin, by name."""
    found = [
        device
        for device in dc.devices_by_name.values()
        if device.tenant == tenant.id
        and dc.role_of(device) == EDGE
        and device.status not in OUT_OF_SERVICE
    ]
    return tuple(sorted(found, key=lambda device: device.name or ""))


def is_up(line: Line, facts: Facts) -> bool:
    """Whether a line carries something as far as its switch can tell."""
    up = {port.name for port in facts.ports if port.up}
    held = {line.switch_port, *([line.group] if line.group else [])} <= up
    established = {(peer.vrf, peer.peer) for peer in facts.bgp if peer.established}
    return held and (not line.routed or (line.vrf, line.peer) in established)


def unread(line: Line, why: str) -> Evidence:
    """A line whose switch does not answer."""
    return _said(line, "link", "an answer from the switch", why, FAILED)


def missing(edge: str, switches: int) -> Evidence:
    """An edge whose lines do not lead to two switches."""
    return Evidence(
        area=LINKS,
        item=edge,
        what="lines",
        expected="lines to both leafs of a pair",
        found=f"to {switches}",
        how="NetBox: cables",
        verdict=FAILED,
    )


def configured(switch: str, diff: str) -> Evidence:
    """Whether a switch runs what NetBox says; `diff` is what a push would change."""
    lines = [line for line in diff.splitlines() if line[:1] in {"+", "-"}]
    return Evidence(
        area=LINKS,
        item=switch,
        what="configuration",
        expected="as NetBox says",
        found=f"{len(lines)} lines differ: {lines[0]}" if lines else "no difference",
        how="read off the switch, and compared (invoke fabric.diff)",
        verdict=FAILED if lines else PASSED,
    )


def judge(
    line: Line, facts: Facts, names: Collection[str], lacking: str = ""
) -> Iterator[Evidence]:
    """What a switch says of one line.

    Arguments:
        line: the line.
        facts: what was read of its switch.
        names: those of all devices in NetBox.
        lacking: why groups and sessions cannot be there at all, such as in a container of the lab.
    """
    ports = {port.name: port for port in facts.ports}
    for what, name in (("port", line.switch_port), ("group", "" if lacking else line.group)):
        if name:
            port = ports.get(name)
            found = "not there" if port is None else "up" if port.up else "down"
            yield _said(line, f"{what} {name}", "up", found, PASSED if found == "up" else FAILED)
    wanted = f"{line.edge} {line.port}"
    yield _said(line, "neighbour (LLDP)", wanted, *_neighbour(line, facts, names))
    if lacking:
        what = "BGP session" if line.routed else f"group {line.group}"
        yield _said(line, what, "up", f"not measured: {lacking}", NOT_MEASURED)
    elif line.routed:
        yield _said(line, "BGP session", *_session(line, facts))


def _neighbour(line: Line, facts: Facts, names: Collection[str]) -> tuple[str, Verdict]:
    """Tenants' equipment may say nothing, or call itself as its owner likes."""
    seen = [each for each in facts.neighbours if each.interface == line.switch_port]
    if not seen:
        return "no neighbour tells its name", NOT_MEASURED
    words = ", ".join(f"{each.system} {each.port}" for each in seen)
    if any(is_named(each.system, line.edge) and each.port == line.port for each in seen):
        return words, PASSED
    if any(is_named(each.system, name) for each in seen for name in names):
        return words, FAILED
    return f"{words}: a name that NetBox does not know; compare it by eye", NOT_MEASURED


def _session(line: Line, facts: Facts) -> tuple[str, str, Verdict]:
    most = f", {line.most} prefixes at most" if line.most is not None else ""
    expected = f"with {line.peer} in VRF {line.vrf} established{most}"
    peer = next((p for p in facts.bgp if (p.vrf, p.peer) == (line.vrf, line.peer)), None)
    if peer is None or not peer.established:
        return expected, "not there" if peer is None else "down", FAILED
    within = line.most is None or peer.prefixes <= line.most
    return expected, f"established, {peer.prefixes} prefixes", PASSED if within else FAILED


def _said(line: Line, what: str, expected: str, found: str, verdict: Verdict) -> Evidence:
    return Evidence(
        area=LINKS,
        item=str(line),
        what=what,
        expected=expected,
        found=found,
        how=SWITCH_VIEW,
        verdict=verdict,
    )
