"""Erasing disks that are files: which level is reached, and what the certificate says of it."""

import io
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pypdf
import pytest
from erasing import SIZE, FileDisk, erase
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.errors import ExitCode, InputError, RefusedError
from chapelle.model.erasure import (
    Assessment,
    Certificate,
    Destruction,
    Method,
    Order,
    Reading,
    Result,
)
from chapelle.plan import erasure
from chapelle.report import erasure as report
from chapelle.settings import ROOT

replace = msgspec.structs.replace

HOST, SERIAL, RUN = "storage-a1-03", "WD-7F2K19", "run-20261127-221632"


def small() -> Order:
    """An order for a disk of a few megabytes."""
    return replace(erasure.order(RUN, HOST, SERIAL, parts=50), sample_bytes=4096)


def certificate(result: Result, ordered: Order, **more: bool) -> Certificate:
    return erasure.certificate(
        ordered, result, site="Porte de la Chapelle", operator="a.martin", item=4711,
        name="disk-data-07", plan="9f" * 32, **more,
    )  # fmt: skip


def erased(path: Path, *offers: Method, **disk: object) -> tuple[Order, Result]:
    ordered = small()
    return ordered, erase(ordered, FileDisk(path / "disk", offers=offers, **disk))


def assess(path: Path, *offers: Method, **disk: object) -> Assessment:
    return erasure.assess(*erased(path, *offers, **disk))


def codes(found: Assessment) -> list[str]:
    return [remark.code for remark in found.why]


# -- the order -------------------------------------------------------------------------------------


def test_an_order_is_the_same_when_it_is_made_again_and_another_for_another_disk() -> None:
    assert erasure.order(RUN, HOST, SERIAL) == erasure.order(RUN, HOST, SERIAL)
    other = erasure.order(RUN, HOST, "another")
    assert not set(other.witnesses) & set(erasure.order(RUN, HOST, SERIAL).witnesses)


@pytest.mark.parametrize("size", [480 * 10**9, 12 * 10**12, 2 * 10**9])
def test_samples_and_witnesses_cover_the_disk_and_do_not_meet(size: int) -> None:
    ordered = erasure.order(RUN, HOST, SERIAL)
    assert len(ordered.samples) == 1002
    assert len(ordered.witnesses) == 1000
    places = sorted(
        erasure.offset(position, size, ordered.sample_bytes)
        for position in (*ordered.samples, *ordered.witnesses)
    )
    assert places[0] == 0
    assert size - ordered.sample_bytes - places[-1] < 4096
    assert all(b - a >= ordered.sample_bytes for a, b in pairwise(places))
    assert max(b - a for a, b in pairwise(places)) < 2 * size / 1000


def test_what_reaches_more_is_tried_first() -> None:
    levels = [erasure.METHODS[method][0] for method in small().methods]
    assert levels == sorted(levels, reverse=True)
    assert set(levels) == {"purge", "clear"}
    assert small().methods[-1] == "discard"


# -- the level that is reached ---------------------------------------------------------------------


@pytest.mark.parametrize("method", erasure.METHODS)
def test_a_method_that_works_reaches_its_level(tmp_path: Path, method: Method) -> None:
    found = assess(tmp_path, method)
    assert (found.level, found.method) == (erasure.METHODS[method][0], method)
    assert codes(found) == [f"reaches-{found.level}"]


@pytest.mark.parametrize("method", erasure.METHODS)
def test_a_disk_that_only_says_that_it_is_done_is_not_erased(
    tmp_path: Path, method: Method
) -> None:
    found = assess(tmp_path, method, works=())
    assert (found.level, found.method) == ("none", "")
    assert "same-witnesses" in codes(found)
    assert "same-samples" in codes(found)


def test_the_strongest_that_is_offered_is_taken(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite", "ata-sanitize-block", "discard")
    assert [step.method for step in result.steps] == ["luks-header", "ata-sanitize-block"]
    assert erasure.assess(ordered, result).level == "purge"


def test_the_level_is_that_of_what_worked_and_the_stronger_one_is_told(tmp_path: Path) -> None:
    offers: tuple[Method, ...] = ("ata-sanitize-block", "ata-security", "overwrite")
    found = assess(tmp_path, *offers, breaks=("ata-sanitize-block", "ata-security"))
    assert (found.level, found.method) == ("clear", "overwrite")
    assert [(r.code, r.value) for r in found.why] == [
        ("reaches-clear", ""),
        ("stronger-failed", "ata-sanitize-block"),
    ]


def test_a_disk_that_offers_nothing_is_not_erased_though_its_header_is_gone(
    tmp_path: Path,
) -> None:
    ordered, result = erased(tmp_path)
    assert [step.method for step in result.steps] == ["luks-header"]
    assert codes(erasure.assess(ordered, result)) == ["not-done"]


def test_places_that_cannot_be_read_are_not_erased(tmp_path: Path) -> None:
    found = assess(tmp_path, "ata-sanitize-block", bad=SIZE // 2)
    assert found.level == "none"
    assert codes(found) == ["unreadable-samples", "unreadable-witnesses"]


def spoilt(result: Result, code: str) -> Result:
    """The result of an overwriting, with one thing wrong."""
    read = result.verification
    assert read is not None
    samples = read.samples
    less = replace(read, samples=replace(samples, blank=samples.blank - 1))
    dirty = replace(read, witnesses=replace(read.witnesses, blank=49, changed=1))
    *before, last = result.steps
    return {
        "not-verified": replace(result, verification=None),
        "too-few-samples": replace(result, verification=less),
        "not-blank-witnesses": replace(result, verification=dirty),
        "signatures": replace(result, verification=replace(read, signatures=("ext4",))),
        "not-whole": replace(result, steps=(*before, replace(last, covered=SIZE - 512))),
        "hidden-area": replace(result, native_bytes=SIZE + 4096),
        "not-done": replace(result, steps=(*before, replace(last, outcome="failed"))),
    }[code]


@pytest.mark.parametrize(
    "code",
    [
        "not-verified", "too-few-samples", "not-blank-witnesses", "signatures", "not-whole",
        "hidden-area", "not-done",
    ],
)  # fmt: skip
def test_what_is_not_whole_or_not_verified_reaches_nothing(tmp_path: Path, code: str) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    assert erasure.assess(ordered, result).level == "clear"
    found = erasure.assess(ordered, spoilt(result, code))
    assert found.level == "none"
    assert codes(found) == [code]


def test_the_disk_s_own_command_reaches_a_hidden_area(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "ata-sanitize-block")
    assert erasure.assess(ordered, spoilt(result, "hidden-area")).level == "purge"


def test_a_method_that_was_not_ordered_counts_for_nothing(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    fewer = replace(ordered, methods=("ata-sanitize-block",))
    assert codes(erasure.assess(fewer, result)) == ["not-done"]


@pytest.mark.parametrize("field", ["run", "host", "serial"])
def test_a_result_of_something_else_is_refused(tmp_path: Path, field: str) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    with pytest.raises(InputError, match=f"another {field}"):
        erasure.assess(ordered, replace(result, **{field: "another"}))


_counts = st.builds(
    Reading,
    blank=st.integers(0, 60), changed=st.integers(0, 2), same=st.integers(0, 1),
    unreadable=st.integers(0, 1),
)  # fmt: skip


@given(samples=_counts, witnesses=_counts, crypto=st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_level_without_a_reading_that_agrees_everywhere(
    tmp_path_factory: pytest.TempPathFactory, samples: Reading, witnesses: Reading, crypto: bool
) -> None:
    ordered = small()
    method: Method = "nvme-sanitize-crypto" if crypto else "nvme-sanitize-block"
    step = {"method": method, "outcome": "done", "tool": "nvme", "version": "2",
            "started": 1.0, "ended": 2.0}  # fmt: skip
    read = {"samples": samples, "witnesses": witnesses, "signatures": [], "tool": "x",
            "version": "1", "started": 3.0, "ended": 4.0}  # fmt: skip
    plain = {"run": RUN, "host": HOST, "serial": SERIAL, "rotational": False, "size_bytes": SIZE,
             "encrypted": True, "offers": [method], "steps": [step],
             "verification": read}  # fmt: skip
    found = erasure.assess(ordered, msgspec.convert(msgspec.to_builtins(plain), Result))
    agrees = all(
        each.count >= wanted and not each.same and not each.unreadable
        and (crypto or not each.changed)
        for each, wanted in ((samples, 52), (witnesses, 50))
    )  # fmt: skip
    assert (found.level == "purge") == agrees


# -- what nobody has measured ----------------------------------------------------------------------


def unmeasured(found: Assessment) -> list[str]:
    return [remark.code for remark in found.not_measured]


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    found = erasure.assess(ordered, replace(result, native_bytes=None))
    assert unmeasured(found) == ["rest", "hidden-areas", "spare-areas", "escrow", "second-reader"]
    assert float(found.not_measured[0].value) == pytest.approx(100 * 102 * 4096 / SIZE, abs=1e-3)
    purged = erasure.assess(*erased(tmp_path, "ata-sanitize-block"), escrow_destroyed=True)
    assert unmeasured(purged) == ["rest", "second-reader"]
    kept = erasure.assess(*erased(tmp_path, "ata-sanitize-block"), escrow_destroyed=False)
    assert "escrow-there" in unmeasured(kept)


# -- the certificate -------------------------------------------------------------------------------


def test_a_certificate_is_read_back_and_a_changed_one_refused(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    made = certificate(result, ordered)
    file = tmp_path / "certificate.json"
    file.write_bytes(erasure.encode(made))
    assert erasure.read(file) == made
    assert json.loads(file.read_text())["certificate"]["assessment"]["level"] == "clear"
    file.write_text(file.read_text().replace('"clear"', '"purge"'))
    with pytest.raises(RefusedError, match="altered"):
        erasure.read(file)
    forged = replace(made, assessment=replace(made.assessment, level="purge"))
    file.write_bytes(erasure.encode(forged))
    with pytest.raises(RefusedError, match="level clear, which follows"):
        erasure.read(file)
    file.write_text("{}")
    with pytest.raises(InputError):
        erasure.read(file)


def test_destruction_is_what_a_person_says(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "ata-sanitize-block", works=())
    made = certificate(result, ordered)
    assert made.assessment.level == "none"
    told = Destruction(technique="shredding, 6 mm", by="B. Noël", witness="C. Roux", at=1.79e9)
    found = erasure.destroyed(made, told)
    assert found.assessment.level == "destroy"
    assert unmeasured(found.assessment) == ["destruction"]
    assert found.result == made.result
    page = report.html(found, "fr")
    assert "shredding, 6 mm, par B. Noël, devant C. Roux" in page


def text_of(page: str) -> str:
    return re.sub(r"(?s)<style>.*?</style>", "", page)


def test_both_languages_have_all_words() -> None:
    french, english = (report.words(language) for language in report.LANGUAGES)
    said = {"luks-header", *erasure.METHODS}
    for field in report.Words.__struct_fields__:
        here, there = getattr(french, field), getattr(english, field)
        if isinstance(here, dict):
            assert list(here) == list(there), field
    assert set(french.methods) == said
    source = Path(erasure.__file__).read_text()
    told = set(re.findall(r'code="([a-z-]+)"', source)) | {
        *(f"reaches-{level}" for level in ("clear", "purge")),
        *(f"{what}-{kind}" for what in ("too-few", "unreadable", "same", "not-blank")
          for kind in ("samples", "witnesses")),
        "escrow", "escrow-there",
    }  # fmt: skip
    assert set(french.remarks) == told


def test_the_page_says_what_was_reached_and_by_what(tmp_path: Path) -> None:
    offers: tuple[Method, ...] = ("ata-sanitize-block", "overwrite")
    ordered, result = erased(tmp_path, *offers, breaks=("ata-sanitize-block",))
    made = certificate(result, ordered)
    english, french = (text_of(report.html(made, language)) for language in ("en", "fr"))
    for page in (english, french):
        for told in (SERIAL, HOST, RUN, "CLEAR", "a.martin", "disk-data-07 (4711)", "EX-480",
                     "aborted command", erasure.digest(made)):  # fmt: skip
            assert told in page, told
    assert "ATA SANITIZE, BLOCK ERASE EXT" in english
    assert "stronger method, which did not come to its end" in english
    assert "Certificat d\u2019effacement" in french
    assert "NON EFFACÉ" not in french


def test_a_disk_that_is_not_erased_gets_no_certificate(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite", works=())
    page = text_of(report.html(certificate(result, ordered), "en"))
    assert "the disk is NOT erased" in page
    assert "Certificate of erasure" not in page
    assert "Witnesses that are still there: 50 / 50" in page


def test_a_page_shows_what_a_disk_says_as_text(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    page = report.html(certificate(replace(result, model="<b>\x1b[2J"), ordered), "fr")
    assert "<b>\x1b" not in page
    assert "&lt;b&gt;" in page


def test_the_files_are_json_and_pdf_and_the_same_when_made_again(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "ata-sanitize-block")
    made = certificate(result, ordered, escrow_destroyed=True)
    files = dict(report.files(made))
    assert list(files) == [
        f"erasure-{SERIAL}.json", f"erasure-{SERIAL}-fr.pdf", f"erasure-{SERIAL}-en.pdf",
    ]  # fmt: skip
    french = [page.extract_text() for page in pypdf.PdfReader(
        io.BytesIO(files[f"erasure-{SERIAL}-fr.pdf"])).pages]  # fmt: skip
    assert len(french) <= 2
    assert "PURGE" in french[0]
    assert SERIAL in french[-1]
    assert "Signature" in french[-1]
    assert (
        dict(report.files(made, ("en",)))[f"erasure-{SERIAL}-en.pdf"]
        == files[f"erasure-{SERIAL}-en.pdf"]
    )


# -- as it is typed -------------------------------------------------------------------------------


def invoke(task: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "invoke", f"storage.{task}", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_certificate_is_judged_again_by_a_command(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite")
    file = tmp_path / "certificate.json"
    file.write_bytes(erasure.encode(certificate(result, ordered)))
    done = invoke("certificate", f"--file={file}")
    assert done.returncode == ExitCode.OK, done.stderr
    assert "level: CLEAR" in done.stdout
    assert "zeros written to the whole disk: done" in done.stdout
    file.write_text(file.read_text().replace("a.martin", "b.martin"))
    assert invoke("certificate", f"--file={file}").returncode == ExitCode.REFUSED


def test_a_disk_that_is_not_erased_is_destroyed_by_a_person(tmp_path: Path) -> None:
    ordered, result = erased(tmp_path, "overwrite", works=())
    file = tmp_path / "certificate.json"
    file.write_bytes(erasure.encode(certificate(result, ordered)))
    assert invoke("certificate", f"--file={file}").returncode == ExitCode.FINDINGS
    done = invoke(
        "destroyed", f"--file={file}", "--technique=shredding, 6 mm", "--by=B. Noël",
        "--witness=C. Roux", f"--out={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == ExitCode.OK, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"erasure-{SERIAL}-en.pdf", f"erasure-{SERIAL}-fr.pdf", f"erasure-{SERIAL}.json",
    ]  # fmt: skip
    found = erasure.read(tmp_path / "out" / f"erasure-{SERIAL}.json")
    assert found.assessment.level == "destroy"
    assert found.result == result
    again = invoke("certificate", f"--file={tmp_path / 'out' / f'erasure-{SERIAL}.json'}")
    assert again.returncode == ExitCode.OK
    assert "shredding, 6 mm, by B. Noël, before C. Roux" in again.stdout
