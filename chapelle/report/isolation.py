"""What people read of isolation: leaks, what is shared and may be, and what each party has."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from chapelle.model.finding import Finding, ObjectRef
from chapelle.model.isolation import RUNNING, Proof, Reach, Way
from chapelle.report import content
from chapelle.report.text import clean, host_names, plural, table, wrap

_SOURCES = {RUNNING: "from what switches run"}
_FROM_INTENT = "from what NetBox says"


def lines(
    proofs: Sequence[Proof],
    leaks: Sequence[Finding],
    not_exercised: Mapping[str, Sequence[str]],
    base: str,
) -> list[str]:
    """The proof for people.

    Arguments:
        proofs: from intent, and from running state if that was looked at.
        leaks: those of all proofs, each once.
        not_exercised: what could not be looked at, and on which switches.
        base: NetBox's address, for the objects' pages; empty when it is not known.
    """
    found = [*content.finding_lines(leaks, base), ""] if leaks else []
    last = proofs[-1]
    found += ["What is shared, and why it may be:", *_way_lines(last.paths), ""]
    found += ["What each has, and whom it reaches:", *_reach_lines(last.reaches), ""]
    for proof in proofs:
        found += [clean(f"{name} could not be read: {why}") for name, why in proof.unread.items()]
    for what, names in not_exercised.items():
        found += wrap(f"not looked at on {host_names(names)}: {what}", "  ")
    return found + [_sum(proof) for proof in proofs]


def _way_lines(ways: Iterable[Way]) -> list[str]:
    found: list[str] = []
    for way in ways:
        names = host_names(_short(way.objects), len(way.objects))
        found += wrap(f"  {way.party} <-> {names} ({way.other}): {way.reason}", "      ")
    return found or ["  nothing: there is no tenant"]


def _short(objects: Iterable[ObjectRef]) -> list[str]:
    return [ref.name for ref in objects]


def _reach_lines(reaches: Iterable[Reach]) -> list[str]:
    rows = [
        (
            reach.party,
            ", ".join(reach.vrfs) or "-",
            str(len(reach.vlans)),
            str(len(reach.switches)),
            str(len(reach.devices)),
            ", ".join(reach.others) or "nobody else",
        )
        for reach in reaches
        if reach.vrfs or reach.vlans or reach.devices
    ]
    headers = ("party", "VRFs", "VLANs", "switches", "devices", "reaches")
    return [f"  {line}" for line in table(headers, rows)]


def _sum(proof: Proof) -> str:
    source = _SOURCES.get(proof.source, _FROM_INTENT)
    switches = plural(proof.switches, "switch", "switches")
    if proof.leaks:
        return f"{source}, {switches}: {plural(len(proof.leaks), 'leak')}"
    said = f"{source}, {switches}: nobody reaches anybody else"
    return f"{said}, as far as was read" if proof.unread else said


def document(
    proofs: Sequence[Proof],
    not_exercised: Mapping[str, Sequence[str]],
    snapshot: str,
    base: str,
) -> dict[str, Any]:
    """The proof as plain data; each object with the address of its page."""
    return {
        "snapshot": snapshot,
        "proofs": [_proof(proof, base) for proof in proofs],
        "not_exercised": {what: list(names) for what, names in not_exercised.items()},
    }


def _proof(proof: Proof, base: str) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(proof)
    named = [*(leak.objects for leak in proof.leaks), *(way.objects for way in proof.paths)]
    for refs, entry in zip(named, [*plain["leaks"], *plain["paths"]], strict=True):
        for ref, item in zip(refs, entry["objects"], strict=True):
            item["url"] = ref.url(base)
    return plain


def leak_lines(leaks: Sequence[Finding], base: str) -> list[str]:
    """Leaks alone, for where something else is reported as well; nothing where there is none."""
    return ["tenants are not apart:", *content.finding_lines(leaks, base)] if leaks else []
