"""The certificate of a disk's erasure for people: HTML and PDF, French and English.

It shows what a `Certificate` holds and nothing else; the same certificate gives the same bytes. Its
JSON (`plan.erasure.encode`) is what counts, and its hash stands on each page's certificate.
"""

import datetime
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from chapelle.model.erasure import Certificate, Reading, Remark, Step, Verification
from chapelle.plan import erasure
from chapelle.report import handover, pages
from chapelle.report.numerals import Numerals
from chapelle.report.text import clean

_TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("fr", "en")

# In which evidence tells times.
_ZONE = "Europe/Paris"

type Table = dict[str, str]


class Words(Numerals, frozen=True, kw_only=True):
    """All that a certificate says in one language; what is in braces is filled in here."""

    title: str
    title_none: str
    language: str
    colon: str
    page: str
    none: str
    bytes: str
    gigabytes: str
    unknown: str
    standard: str
    levels: Table
    meanings: Table
    sections: Table
    labels: Table
    kinds: Table
    answers: Table
    columns: Table
    outcomes: Table
    rows: Table
    methods: Table
    read: str
    signatures: str
    not_read: str
    nothing_done: str
    remarks: Table
    destruction: str
    sign: str
    sign_fields: tuple[str, ...]


def words(language: str) -> Words:
    """The words of a language, one of LANGUAGES."""
    return msgspec.yaml.decode((_TEMPLATES / f"erasure.{language}.yml").read_bytes(), type=Words)


def lines(made: Certificate) -> list[str]:
    """What a certificate says, for a terminal."""
    said = words("en")
    result, assessment = made.result, made.assessment
    found = [
        f"disk {result.serial} ({result.model or said.unknown}), {made.name} of {result.host}",
        f"level: {said.levels[assessment.level]}",
        *(f"  {_remark(remark, said)}" for remark in assessment.why),
        *([f"  {_destruction(made, said)}"] if made.destruction else []),
        "done:",
        *(f"  {said.methods[s.method]}: {said.outcomes[s.outcome]}" for s in result.steps),
        "not measured:",
        *(f"  {_remark(remark, said)}" for remark in assessment.not_measured),
        f"sha256: {erasure.digest(made)}",
    ]
    return [clean(line) for line in found]


def files(made: Certificate, languages: Sequence[str] = LANGUAGES) -> Iterator[tuple[str, bytes]]:
    """The names of the files, and what is in them: the JSON, and a PDF in each language."""
    stem = "erasure-" + re.sub(r"[^A-Za-z0-9._-]", "_", made.result.serial)
    yield f"{stem}.json", erasure.encode(made)
    for language in languages:
        yield f"{stem}-{language}.pdf", handover.pdf(html(made, language))


def html(made: Certificate, language: str) -> str:
    """The certificate as one HTML page that needs nothing but itself; `language`: fr or en."""
    said = words(language)
    level = made.assessment.level
    return (
        pages.environment()
        .get_template("erasure.html")
        .render(
            made=made,
            result=made.result,
            assessment=made.assessment,
            w=said,
            title=said.title_none if level == "none" else said.title,
            disk=list(_disk(made, said)),
            run=list(_run(made, said)),
            steps=[_step(step, said) for step in made.result.steps],
            **_verification(made, said),
            why=[_remark(remark, said) for remark in made.assessment.why],
            not_measured=[_remark(remark, said) for remark in made.assessment.not_measured],
            destruction=_destruction(made, said),
        )
    )


def _disk(made: Certificate, said: Words) -> Iterator[tuple[str, str]]:
    result = made.result
    yield "serial", result.serial
    maker = ", ".join(part for part in (result.manufacturer, result.model) if part)
    yield "maker", maker or said.unknown
    yield "firmware", result.firmware or said.unknown
    kind = said.kinds["disk" if result.rotational else "flash"]
    yield "kind", kind.format(transport=result.transport or said.unknown)
    yield "size", _gigabytes(result.size_bytes, said)
    yield "encrypted", said.answers["yes" if result.encrypted else "no"]
    yield "name", f"{made.name} ({made.item})"


def _gigabytes(size: int, said: Words) -> str:
    return f"{said.gigabytes.format(size=said.number(size / 1e9, 1))} ({_bytes(size, said)})"


def _bytes(size: int, said: Words) -> str:
    return said.bytes.format(size=said.number(size))


def _moment(when: float) -> str:
    """A point in time in Paris, to the second; the labels say where."""
    return f"{datetime.datetime.fromtimestamp(when, ZoneInfo(_ZONE)):%Y-%m-%d %H:%M:%S}"


def _run(made: Certificate, said: Words) -> Iterator[tuple[str, str]]:
    result = made.result
    yield "host", result.host
    yield "site", made.site
    yield "run", result.run
    yield "operator", made.operator
    times = [time for step in result.steps for time in (step.started, step.ended)]
    if result.verification:
        times += [result.verification.started, result.verification.ended]
    yield "started", _moment(min(times)) if times else said.unknown
    yield "ended", _moment(max(times)) if times else said.unknown
    yield "plan", made.plan
    yield "hash", erasure.digest(made)


def _step(step: Step, said: Words) -> dict[str, Any]:
    covered = [] if step.covered is None else [_bytes(step.covered, said)]
    return {
        "method": said.methods[step.method],
        "outcome": said.outcomes[step.outcome],
        "failed": step.outcome == "failed",
        "tool": f"{step.tool} {step.version}",
        "started": _moment(step.started),
        "ended": _moment(step.ended),
        "said": "; ".join([*covered, *([step.said] if step.said else [])]),
    }


def _verification(made: Certificate, said: Words) -> dict[str, Any]:
    read = made.result.verification
    if read is None:
        return {"readings": [], "read": "", "signatures": ""}
    return {
        "readings": [
            (said.rows["samples"], _counts(read.samples, said)),
            (said.rows["witnesses"], _counts(read.witnesses, said)),
        ],
        "read": _read(made, read, said),
        "signatures": said.signatures.format(found=", ".join(read.signatures) or said.none),
    }


def _counts(reading: Reading, said: Words) -> list[str]:
    found = (reading.count, reading.blank, reading.changed, reading.same, reading.unreadable)
    return [said.number(count) for count in found]


def _read(made: Certificate, read: Verification, said: Words) -> str:
    share = (read.samples.count + read.witnesses.count) * made.order.sample_bytes
    return said.read.format(
        bytes=f"{said.number(made.order.sample_bytes / 1024)}\N{NO-BREAK SPACE}KiB",
        share=said.number(100 * share / max(made.result.size_bytes, 1), 4),
        tool=f"{read.tool} {read.version}",
        started=_moment(read.started),
        ended=_moment(read.ended),
    )


def _remark(remark: Remark, said: Words) -> str:
    value = said.methods.get(remark.value, remark.value)
    if remark.code == "rest":
        value = said.number(float(value), 4)
    return said.remarks[remark.code].format(value=value)


def _destruction(made: Certificate, said: Words) -> str:
    told = made.destruction
    if told is None:
        return ""
    return said.destruction.format(
        technique=told.technique, by=told.by, witness=told.witness, at=_moment(told.at)
    )
