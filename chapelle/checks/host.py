"""What a host is against what the model and the roles expect of it: pure comparison.

`expect` is what the roles call `<role>_expect`, by role; `observed` is what the host said
(`plugins/module_utils/chapelle_node/observe.py`). An empty expectation is not compared.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from chapelle.model.outcome import Difference

Expect = Mapping[str, Mapping[str, Any]]
Observed = Mapping[str, Any]

NOTHING = "nothing"
DAY = 24 * 3600


def differences(
    expect: Expect, observed: Observed, now: float | None = None, *, ahead: bool = True
) -> list[Difference]:
    """All ways in which the host is not what is expected, in order of area and item.

    Arguments:
        expect: expectations by role.
        observed: what the host said.
        now: seconds since the epoch, for the certificate's validity; the clock's by default.
        ahead: also what will soon be wrong. Drift asks for it. A run that has just configured the
            host does not: the host does its work, and the run could not mend it.
    """
    moment = time.time() if now is None else now
    found = [
        *_identity(expect.get("base", {}), observed),
        *_certificate(expect.get("access", {}), observed, moment, ahead=ahead),
        *_sshd(expect.get("access", {}), observed),
        *_time(expect.get("time", {}), observed),
        *_links(expect.get("network", {}), observed),
        *_firewall(expect.get("firewall", {}), observed),
        *_units(expect, observed),
        *_listening(expect, observed),
    ]
    return sorted(found, key=lambda difference: (difference.area, difference.item))


def not_exercised(expect: Expect, observed: Observed) -> tuple[str, ...]:
    """What was intended for the host and could not be tried on it, one line each."""
    lines = [line for role in sorted(expect) for line in expect[role].get("not_exercised", ())]
    lines += [
        f"{name}: {_text(refused)} does not hold on this host"
        for role in sorted(expect)
        for name in expect[role].get("units", ())
        if (refused := _excused(expect[role], name, observed))
    ]
    return tuple(lines)


def _excused(expect: Mapping[str, Any], unit: str, observed: Observed) -> list[str]:
    """The conditions that keep a unit from starting, if the role says that all of them may."""
    refused: list[str] = observed.get("units", {}).get(unit, {}).get("refused_by", [])
    return refused if set(refused) <= set(expect.get("conditions", {}).get(unit, ())) else []


def _differs(area: str, item: str, expected: Any, found: Any) -> Iterator[Difference]:
    if expected != found:
        yield Difference(area=area, item=item, expected=_text(expected), found=_text(found))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | set):
        return ", ".join(str(each) for each in value) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value in (None, "") else str(value)


def _identity(expect: Mapping[str, Any], observed: Observed) -> Iterator[Difference]:
    if hostname := expect.get("hostname"):
        yield from _differs("identity", "hostname", hostname, observed["hostname"])
    serial, found = expect.get("serial"), observed["facts"]["serial"]
    if serial and found:
        yield from _differs("identity", "serial number", serial, found)
    if zone := expect.get("timezone"):
        yield from _differs("time", "time zone", zone, observed["timezone"])
    if resolvers := expect.get("resolvers"):
        yield from _differs("resolver", "name servers", resolvers, observed["resolvers"])


def _certificate(
    expect: Mapping[str, Any], observed: Observed, now: float, *, ahead: bool
) -> Iterator[Difference]:
    path = expect.get("certificate")
    if not path:
        return
    found = observed["certificate"]
    if "error" in found:
        yield from _differs("certificate", path, "a host certificate", found["error"])
        return
    yield from _differs("certificate", "kind", "host", found["kind"])
    missing = sorted(set(expect.get("principals", ())) - set(found["principals"]))
    if missing:
        yield Difference(
            area="certificate",
            item="principals",
            expected=_text(sorted(expect["principals"])),
            found=_text(found["principals"]),
        )
    if not found["after"] <= now < found["before"]:
        yield Difference(
            area="certificate",
            item="validity",
            expected="valid now",
            found=f"from {_moment(found['after'])} to {_moment(found['before'])}",
        )
    elif ahead and found["before"] - now < (days := expect.get("certificate_days", 0)) * DAY:
        key = path.removesuffix("-cert.pub") + ".pub"
        yield Difference(
            area="certificate",
            item="validity",
            expected=f"valid for {days} days more",
            found=f"until {_moment(found['before'])}; to do: let the host authority sign {key} "
            f"of this host again and put the certificate at {path}",
        )


def _moment(seconds: int) -> str:
    if seconds >= 2**63:
        return "for ever"
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _sshd(expect: Mapping[str, Any], observed: Observed) -> Iterator[Difference]:
    for option, value in expect.get("sshd", {}).items():
        yield from _differs("access", f"sshd {option}", value, observed["sshd"].get(option))


def _time(expect: Mapping[str, Any], observed: Observed) -> Iterator[Difference]:
    servers = expect.get("servers")
    if not servers:
        return
    clock = observed["time"]
    if not clock["synchronised"]:
        said = clock["says"] or "no answer"
        yield Difference(
            area="time", item="synchronisation", expected=f"with {_text(servers)}", found=said
        )
        return
    yield from _differs("time", "servers asked", sorted(servers), sorted(clock["sources"]))
    limit = float(expect.get("offset", 1.0))
    if abs(clock["offset"]) > limit:
        yield Difference(
            area="time",
            item="offset",
            expected=f"less than {limit} s",
            found=f"{clock['offset']:+.3f} s",
        )


def _links(expect: Mapping[str, Any], observed: Observed) -> Iterator[Difference]:
    links = observed["links"]
    for wanted in expect.get("links", ()):
        name = wanted["name"]
        found = links.get(name)
        if found is None:
            yield Difference(area="links", item=name, expected=wanted["kind"], found=NOTHING)
            continue
        if wanted["mac"]:
            yield from _differs("identity", f"{name} MAC address", wanted["mac"], found["mac"])
        if wanted["mtu"]:
            yield from _differs("links", f"{name} MTU", wanted["mtu"], found["mtu"])
        yield from _differs("links", f"{name} is up", True, found["up"])
        yield from _differs("links", f"{name} bond", wanted["bond"], found["bond"])
        if wanted["kind"] == "vlan":
            yield from _differs("links", f"{name} VLAN", wanted["vid"], found["vid"])
            yield from _differs("links", f"{name} parent", wanted["parent"], found["parent"])
        yield from _differs("addresses", name, wanted["addresses"], found["addresses"])
    gateways = sorted(link["gateway"] for link in expect.get("links", ()) if link["gateway"])
    if gateways:
        yield from _differs("routes", "default gateway", gateways, observed["gateways"])


def _firewall(expect: Mapping[str, Any], observed: Observed) -> Iterator[Difference]:
    if not expect.get("table"):
        return
    found = observed["firewall"]
    item = f"table {expect['table']}"
    if not found["loaded"]:
        yield Difference(
            area="firewall", item=item, expected="loaded", found=found.get("says") or "not loaded"
        )
    elif not found["matches"]:
        yield Difference(
            area="firewall",
            item=item,
            expected=f"the rules of {expect['path']}",
            found=found["says"] or "other rules",
        )


def _units(expect: Expect, observed: Observed) -> Iterator[Difference]:
    for role in sorted(expect):
        for name in expect[role].get("units", ()):
            if _excused(expect[role], name, observed):
                continue
            found = observed["units"].get(name, {"active": "unknown", "refused_by": []})
            why = f", {_text(found['refused_by'])} does not hold" if found["refused_by"] else ""
            yield from _differs("units", name, "active", found["active"] + why)


def _listening(expect: Expect, observed: Observed) -> Iterator[Difference]:
    listening = set(observed["listening"])
    for role in sorted(expect):
        for socket in expect[role].get("listen", ()):
            if socket not in listening:
                yield Difference(area="ports", item=socket, expected="listening", found=NOTHING)
