"""The handover file: what is in it, in both languages, and nothing of a neighbour on any page."""

import datetime
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import fabric_datacentre as fd
import msgspec
import pypdf
import pytest
import reference
import test_tenant_view
import three_tenants
from invoke import Collection, Program
from three_tenants import SLUGS
from weasyprint.urls import FatalURLFetchingError

from chapelle.checks.tenancy.view import view
from chapelle.errors import InputError, RefusedError
from chapelle.model.acceptance import (
    AREAS,
    FAILED,
    NOT_MEASURED,
    PASSED,
    Acceptance,
    Evidence,
)
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenant_view import TenantView
from chapelle.report import handover, handover_parts, handover_words
from chapelle.run.tenancy import evidence
from chapelle.settings import ROOT, Settings
from chapelle.tasks import tenancy_view

DAY = datetime.date(2026, 12, 1)
RULES = handover_words.rules(ROOT / "inventory" / "tenant-rules.yml")
LANGUAGES = handover_words.LANGUAGES
AT = datetime.datetime(2026, 11, 30, 23, 30, tzinfo=datetime.UTC).timestamp()
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def views() -> dict[str, TenantView]:
    dc = three_tenants.datacentre()
    return {slug: view(dc, slug) for slug in SLUGS}


def page(shown: TenantView, language: str = "fr") -> str:
    return handover.html(shown, language, RULES[language], DAY)


def text_of(html: str) -> str:
    """What the page says, without its style."""
    return re.sub(r"(?s)<style>.*?</style>", "", html)


def pages_of(pdf: bytes) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


@pytest.fixture(scope="module")
def pdfs(views: dict[str, TenantView]) -> dict[str, bytes]:
    """One for each tenant; a few seconds each."""
    languages = dict(zip(SLUGS, ("fr", "en", "fr"), strict=True))
    return {slug: handover.pdf(page(views[slug], languages[slug])) for slug in SLUGS}


@pytest.fixture(scope="module")
def printed(pdfs: dict[str, bytes]) -> dict[str, list[str]]:
    """What is on the pages of each."""
    return {slug: pages_of(pdf) for slug, pdf in pdfs.items()}


# -- what is in it --------------------------------------------------------------------------------


def test_it_says_what_was_handed_over(views: dict[str, TenantView]) -> None:
    french, english = (text_of(page(views["ap-hp"], language)) for language in LANGUAGES)
    assert "Dossier de remise" in french
    assert "Handover file" in english
    for told in (
        "CONV-2026-031",
        "1er décembre 2026",
        "31 mars 2031",
        "96,0\u00a0kW",
        "6 dans l\u2019allée 3",
        "A4-R12",
        "1\u202f000&nbsp;kg",
        "230\u00a0V, 32\u00a0A, monophasé",
        "5,6\u00a0kW (80\u00a0%)",
        "24 C13, 23 libres",
        "leaf-a3-tb swp2",
        "CONV-2026-031-A3-04",
        "10.80.16.1/22",
        "ap-hp-dossier-patient",
        "9\u202f000 octets",
        "1811, 1812, 1813, 1814",
        "leaf-a1-ta swp1, swp2; leaf-a1-tb swp1, swp2",
        "Éloïse d&#39;Aubigné-Lefèvre",
        "exploitation@paris.example",
        "panneau-opérateurs-a1 avant-1",
        views["ap-hp"].snapshot,
    ):
        assert told in french, told
    for told in ("1 December 2026", "96.0\u00a0kW", "1,000&nbsp;kg", "single-phase", "(80%)"):
        assert told in english, told


def test_it_says_how_bgp_is_to_be_set(views: dict[str, TenantView]) -> None:
    last = list(handover_parts.settings(views["paris-habitat"], handover_words.words("en")))[-1]
    assert last.title == "Session 8/8"
    assert dict(last.lines) == {
        "Port of the tenant": "edge-paris-habitat-a4 et2",
        "Address of the tenant": "10.79.8.15/31",
        "AS number of the tenant": "4210007722",
        "Port of the switch": "leaf-a4-tb swp3",
        "Address of the switch": "10.79.8.14/31",
        "AS number of the switch": "4200000408",
        "Timers": "keepalive 3\u00a0s, hold time 9\u00a0s",
        "BFD": "off",
        "MTU": "1,500 bytes of IP",
        "Prefixes accepted": "10.83.64.0/22, 10.83.72.0/24",
        "Prefixes at most": "40; one more ends the session",
    }


def accepted(*evidence: Evidence, tenant: str = "ap-hp", target: str = "site") -> Acceptance:
    return Acceptance(
        tenant=tenant, name="x", run="20261130-143000-accept", owner="somebody", target=target,
        snapshot="0" * 64, commit="1" * 40, started=AT, finished=AT, evidence=evidence,
    )  # fmt: skip


TRIED = Evidence(
    area="lines", item="edge-ap-hp-a1", what="throughput", expected="noted", found="24.1 Gbit/s",
    how="iperf3", verdict="passed", when=AT,
)  # fmt: skip


def test_acceptance_is_shown_or_said_to_be_missing(views: dict[str, TenantView]) -> None:
    assert "Pas encore recetté" in page(views["ap-hp"])
    assert "Not accepted yet" in page(views["ap-hp"], "en")
    dc = three_tenants.datacentre()
    unknown = replace(
        TRIED, area="meters", what="voltage", verdict="not measured", found="no meter"
    )
    text = text_of(page(view(dc, "ap-hp", accepted(TRIED, unknown))))
    assert "Pas encore recetté" not in text
    assert "Recetté\u00a0: rien" in text
    assert "20261130-143000-accept" in text
    assert "jumeau" not in text
    assert "<td>Trafic</td><td>edge-ap-hp-a1: throughput</td><td>conforme</td>" in text
    assert '<td class="unmeasured">non mesuré</td><td>no meter</td>' in text
    assert "2026-12-01 00:30" in text  # in Paris
    failed = replace(TRIED, verdict="failed")
    text = text_of(page(view(dc, "ap-hp", accepted(TRIED, failed, target="lab")), "en"))
    assert "Not accepted: something failed." in text
    assert "lab&#39;s twin" in text or "lab's twin" in text


def test_the_acceptance_of_another_tenant_is_refused() -> None:
    dc = three_tenants.datacentre()
    with pytest.raises(RefusedError, match="another tenant"):
        view(dc, "ap-hp", accepted(tenant="eau-de-paris"))
    telling = replace(TRIED, found="no path to Eau de Paris")
    with pytest.raises(RefusedError, match="names a neighbour"):
        view(dc, "ap-hp", accepted(telling))


def test_both_languages_say_the_same_things() -> None:
    french, english = (
        msgspec.to_builtins(handover_words.words(language)) for language in LANGUAGES
    )
    for name, value in french.items():
        if isinstance(value, dict):
            assert list(value) == list(english[name]), name
    assert len(RULES["fr"]) == len(RULES["en"])
    assert set(french["areas"]) == set(AREAS)
    assert set(french["verdicts"]) == {PASSED, FAILED, NOT_MEASURED}


def test_french_is_set_as_the_french_set_it(views: dict[str, TenantView]) -> None:
    said = [*RULES["fr"], text_of(page(views["paris-habitat"]))]
    for text in said:
        assert not re.search(r"\w [;?!»%](\s|$)", text)
        assert not re.search(r"[A-Za-zé] :( |$)", text)


def test_names_are_text_and_nothing_else() -> None:
    content = three_tenants.content()
    nasty = "<img src=file:///etc/passwd onerror=x>{{ 7*7 }}{% raw %}&\u202e</main>"
    device = fd.find(content, "devices", name="captage-dhuis-100")
    content = fd.edited(content, "devices", device, name=nasty[:64])
    tenant = fd.find(content, "tenants", slug="eau-de-paris")
    content = fd.edited(content, "tenants", tenant, name=nasty)
    cable = fd.find(content, "cables", label="CONV-2026-052-A1-01")
    content = fd.edited(content, "cables", cable, label='"><script>', color='0;"onload="')
    html = page(test_tenant_view.view_of(content, "eau-de-paris"))
    assert "49" not in re.findall(r"&gt;(.*?)\{", html)
    assert "{{ 7*7 }}{% raw %}&amp;" in html
    assert "\u202e" not in html
    assert not re.search(r"<(img|script)|onload=\"", html)
    assert html.count("</main>") == 1
    assert re.findall(r'style="background: #([^"]*)"', html) == ["00bcd4"] * 7


def test_a_rack_is_drawn_as_it_stands() -> None:
    content = three_tenants.content()
    rack = fd.find(content, "racks", name="A1-R16")
    content = fd.edited(content, "racks", rack, desc_units=True)
    rear = fd.find(content, "devices", name="captage-dhuis-101")
    content = fd.edited(content, "devices", rear, rack=rack.id, position=21.0, face="rear")
    held = fd.find(content, "rack_reservations", rack=fd.find(content, "racks", name="A1-R17").id)
    content = fd.edited(content, "rack_reservations", held, units=(3, 4))
    content = fd.edited(content, "racks", fd.find(content, "racks", name="A1-R17"), tenant=None)
    turned, partly, plain = map(
        handover_parts.picture, test_tenant_view.view_of(content, "eau-de-paris").racks[:3]
    )
    assert [(box.name, box.top, box.height, box.side) for box in turned.boxes] == [
        ("captage-dhuis-100", 19.0, 2.0, "left"),
        ("captage-dhuis-101", 20.0, 2.0, "right"),
        ("edge-eau-de-paris-a1", 41.0, 1.0, "whole"),
    ]
    assert [number for number, _ in partly.not_let] == [1, 2, *range(5, 43)]
    assert partly.boxes == ()
    assert [(box.name, box.top) for box in plain.boxes] == [
        ("captage-dhuis-200", 21.0), ("edge-eau-de-paris-a2", 0.0),
    ]  # fmt: skip


def test_a_long_name_keeps_its_ends() -> None:
    shown = view(three_tenants.datacentre(), "ap-hp")
    long, short = handover_parts.picture(shown.racks[0]).boxes
    assert long.lines == ("imagerie-hôpital-de-la", "…lpêtrière-l'étage-100")
    assert short.lines == ("edge-ap-hp-a1",)


# -- nothing of a neighbour -----------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_no_page_names_a_neighbour(
    slug: str, views: dict[str, TenantView], printed: dict[str, list[str]]
) -> None:
    content = three_tenants.content()
    # A name that is broken over two lines is looked for as well.
    paper = "\n".join(printed[slug])
    whole = (paper, paper.replace("\n", ""), *(page(views[slug], each) for each in LANGUAGES))
    for text in whole:
        assert test_tenant_view.found_in(text_of(text), content, slug) == set()


def test_a_leak_would_be_found_on_paper(views: dict[str, TenantView]) -> None:
    own, other = views["eau-de-paris"], views["paris-habitat"]
    mixed = replace(own, racks=own.racks[:1], ports=other.ports[:1], feeds=(),
                                    outlets=(), devices=(), groups=())  # fmt: skip
    paper = "\n".join(pages_of(handover.pdf(page(mixed))))
    found = test_tenant_view.found_in(paper, three_tenants.content(), "eau-de-paris")
    assert {"edge-paris-habitat-a1", "CONV-2026-044-A1-01"} <= found


# -- paper ----------------------------------------------------------------------------------------


def test_every_page_says_whose_it_is(printed: dict[str, list[str]]) -> None:
    pages = printed["ap-hp"]
    assert 8 <= len(pages) <= 14
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} / {len(pages)}" in text
        assert "Confidentiel" in text
        assert "AP-HP" in text
        assert "CONV-2026-031" in text


def test_the_head_of_a_table_is_on_each_of_its_pages(pdfs: dict[str, bytes]) -> None:
    feeds = [
        text for text in pages_of(pdfs["ap-hp"]) if re.search(r"A\d-R\d\d-[AB]\b.*panel", text)
    ]
    assert len(feeds) > 1
    assert all("Calibre" in text for text in feeds)


def test_no_page_is_a_waste_of_paper(printed: dict[str, list[str]]) -> None:
    for slug, pages in printed.items():
        for text in pages:
            assert len(text.splitlines()) > 12, (slug, text)


def test_the_pdf_is_for_archives_and_screen_readers(pdfs: dict[str, bytes]) -> None:
    reader = pypdf.PdfReader(io.BytesIO(pdfs["paris-habitat"]))
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert reader.metadata is not None
    assert "Paris Habitat" in (reader.metadata.title or "")
    assert reader.metadata.creation_date is None
    assert reader.metadata.modification_date is None
    fonts = {font for page in reader.pages for font in page["/Resources"]["/Font"]}
    assert fonts


def test_the_same_view_gives_the_same_bytes(tmp_path: Path, views: dict[str, TenantView]) -> None:
    """In another process, which hashes and orders by other seeds."""
    whole = views["eau-de-paris"]
    shown = replace(whole, racks=whole.racks[:2], feeds=whole.feeds[:4],
                                    outlets=whole.outlets[:96], ports=whole.ports[:3])  # fmt: skip
    (tmp_path / "page.html").write_text(page(shown))
    program = (
        "import pathlib, sys; from chapelle.report import handover;"
        "sys.stdout.buffer.write(handover.pdf(pathlib.Path(sys.argv[1]).read_text()))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / "page.html"],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone}, cwd=ROOT,
            check=True, capture_output=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]  # fmt: skip
    assert made[0] == made[1]
    assert made[0].startswith(b"%PDF-")


def test_nothing_is_fetched_for_a_page(tmp_path: Path) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text('<svg xmlns="http://www.w3.org/2000/svg"><text y="9">secret</text></svg>')
    with pytest.raises(FatalURLFetchingError):
        handover.pdf(f"<p>page<img src='{secret.as_uri()}'></p>")


# -- the commands ---------------------------------------------------------------------------------


def run(*words: str) -> int:
    """A command as somebody types it; its exit code."""
    namespace = Collection(Collection.from_module(tenancy_view, name="tenant"))
    try:
        Program(namespace=namespace).run(["invoke", *words], exit=False)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.fixture
def snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAPELLE_STATE", str(tmp_path / "state"))
    file = tmp_path / "snapshot.json"
    file.write_bytes(Snapshot(three_tenants.content()).data)
    return str(file)


def test_handover_writes_a_page_and_a_pdf(
    snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "acceptance.json"
    meter = replace(TRIED, area="meters", item="A1-R16-A", what="reading of the meter")
    kept.write_bytes(msgspec.json.encode(accepted(meter, tenant="eau-de-paris")))
    out = tmp_path / "out"
    words = ("tenant.handover", "eau-de-paris", "--snapshot", snapshot, "--out", str(out))
    assert run(*words, "--on=2026-12-01", "--language=en", f"--acceptance={kept}") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "handover-eau-de-paris-en.html", "handover-eau-de-paris-en.pdf",
    ]  # fmt: skip
    assert str(out / "handover-eau-de-paris-en.pdf") in capsys.readouterr().out
    html = (out / "handover-eau-de-paris-en.html").read_text()
    assert "A1-R16-A: reading of the meter" in html
    assert "1 December 2026" in html
    assert (out / "handover-eau-de-paris-en.pdf").stat().st_mode & 0o077 == 0


def test_the_latest_acceptance_of_the_tenant_is_taken(snapshot: str, tmp_path: Path) -> None:
    settings = Settings.load({"CHAPELLE_STATE": str(tmp_path / "state")})
    for slug, number in (("ap-hp", 2), ("eau-de-paris", 1), ("eau-de-paris", 3)):
        made = replace(accepted(tenant=slug), run=f"2026113{number}-accept")
        evidence.keep(settings, made, Snapshot(three_tenants.content()))
    assert run("tenant.handover", "eau-de-paris", "--snapshot", snapshot, "--language=en") == 0
    html = (settings.state / "handover-eau-de-paris" / "handover-eau-de-paris-en.html").read_text()
    assert "20261133-accept" in html


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--language=de"], "There is no language 'de'"),
        (["--on=1.12.2026"], "This is no day"),
        (["--acceptance=/nowhere.json"], "The acceptance cannot be read"),
    ],
)
def test_wrong_arguments_are_errors(
    snapshot: str, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert run("tenant.handover", "ap-hp", "--snapshot", snapshot, *arguments) == 2
    assert told in capsys.readouterr().err


def test_export_prints_or_writes(
    snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tenant.export", "paris-habitat", "--snapshot", snapshot) == 0
    assert "12 racks" in capsys.readouterr().out
    assert run("tenant.export", "paris-habitat", "--snapshot", snapshot, "--json") == 0
    assert json.loads(capsys.readouterr().out)["slug"] == "paris-habitat"
    out = tmp_path / "out"
    assert run("tenant.export", "paris-habitat", "--snapshot", snapshot, "--out", str(out)) == 0
    assert (out / "paris-habitat-ports.csv").exists()
    assert run("tenant.export", "nobody", "--snapshot", snapshot) == 2


def test_a_tenant_without_racks_is_handed_nothing() -> None:
    shown = test_tenant_view.view_of(reference.content(), "ap-hp")
    with pytest.raises(InputError, match="no racks"):
        list(handover.files(shown, ("fr",), RULES, DAY))


def test_rules_need_both_languages(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("fr: [Une règle.]")
    with pytest.raises(InputError, match="lack a language"):
        handover_words.rules(tmp_path / "rules.yml")
    (tmp_path / "rules.yml").write_text("fr: Une règle.")
    with pytest.raises(InputError, match="cannot be read"):
        handover_words.rules(tmp_path / "rules.yml")
