"""The HTML report: complete, well-formed, safe, and readable for everybody."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import report_samples as samples

from chapelle.model.outcome import HOST_OUTCOMES, Change
from chapelle.report import html

VOID = {"meta", "link", "br"}
RESULTS = [samples.unchanged, samples.first_run, samples.troubled, samples.drifted]


class Page(HTMLParser):
    """Elements of a page, checked for being closed in order."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.elements = []
        self.words = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def page_of(result, **more):
    return Page(html.render(result, **more))


@pytest.mark.parametrize("make", RESULTS)
def test_page_is_well_formed_with_unique_ids_and_living_links(make):
    page = page_of(make(), netbox_url="http://127.0.0.1:8001")
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.all("a"):
        if attrs["href"].startswith("#"):
            assert attrs["href"][1:] in ids
    for _, attrs in page.elements:
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids


@pytest.mark.parametrize("make", RESULTS)
def test_page_needs_nothing_but_itself(make):
    source = html.render(make(), netbox_url="http://127.0.0.1:8001")
    page = Page(source)
    assert not {"script", "img", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    assert [attrs["href"] for attrs in page.all("link")] == ["data:,"]
    assert "@import" not in source
    assert set(re.findall(r"url\(([^)]*)\)", source)) <= {
        f"#pattern-{outcome}" for outcome in HOST_OUTCOMES
    }
    (policy,) = [a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none'")


def test_page_is_written_for_readers_of_every_kind():
    page = page_of(samples.troubled())
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all("scope" in attrs for attrs in page.all("th"))
    racks = [a for a in page.all("svg") if a.get("role") == "group"]
    assert all(attrs["aria-label"] for attrs in racks)
    assert len(page.all("title")) == 1 + len(racks) + 75


def test_header_says_what_when_who_and_that_it_is_the_lab():
    words = page_of(samples.first_run(), netbox_url="http://127.0.0.1:8001/").text
    for expected in (
        "20261123T190000-4f1c",
        "provision --aisle=2",
        "2026-11-23 20:00:00 Paris (19:00:00 UTC)",
        "operator@bastion",
        "bf2101a4c0de",
        "3c" * 32,
        "9f" * 32,
        "Lab: twins on one machine, not the servers.",
        "http://127.0.0.1:8001 ",
    ):
        assert expected in words


def test_target_site_is_not_called_a_lab():
    words = page_of(msgspec.structs.replace(samples.unchanged(), target="site")).text
    assert "the servers themselves" in words
    assert "twins" not in words


def test_failures_come_before_racks_with_message_and_command():
    words = page_of(samples.troubled()).text
    first = words.index("What failed")
    assert first < words.index("Racks") < words.index("Not exercised")
    for expected in (
        "compute-a2-02",
        "apt: dpkg was interrupted [red]run[/red]",
        "invoke provision --limit=compute-a2-05",
        "invoke provision --resume=20261123T190000-4f1c",
    ):
        assert expected in words[first : words.index("Racks")]


def test_elevations_show_every_server_by_outcome():
    result = samples.troubled()
    page = page_of(result)
    shown = Counter(a["class"] for a in page.all("a") if a.get("class") in HOST_OUTCOMES)
    assert shown == Counter(host.outcome for host in result.hosts)
    labels = [a["aria-label"] for a in page.all("a") if "aria-label" in a]
    assert (
        "compute-a2-05, A2-R01 U9, compute: unreachable in preflight: "
        "ssh: connect to host: No route to host" in labels
    )


def test_servers_stand_where_netbox_says():
    (aisle,) = html.elevations(samples.unchanged())
    assert [rack.name for rack in aisle.racks] == [f"A2-R0{n}" for n in range(1, 7)]
    slots = {slot.host.host: slot for rack in aisle.racks for slot in rack.slots}
    assert (slots["compute-a2-01"].top, slots["compute-a2-01"].height) == (41.0, 1.0)
    storage = slots["storage-a2-01"]
    assert storage.height == 2.0
    assert storage.top + storage.height + storage.host.position - 1 == 42


def test_a_server_without_position_is_named_below_its_rack():
    host = msgspec.structs.replace(samples.host("compute-a2-01"), position=None)
    page = page_of(samples.result((host,)))
    assert "No position in NetBox: compute-a2-01 (unchanged)" in page.text


def test_a_taller_rack_is_drawn_taller():
    host = msgspec.structs.replace(samples.host("compute-a2-01"), position=46.0, u_height=2.0)
    assert html.elevations(samples.result((host,)))[0].racks[0].units == 47


def test_drift_is_a_table_with_the_command():
    words = page_of(samples.drifted()).text
    assert "port 8080/tcp closed open to 0.0.0.0/0" in words
    assert "To mend it: invoke provision --limit=compute-a2-07,infra-a2-01" in words
    assert "2 ~ differing" in words


def test_an_equal_diff_of_many_hosts_is_in_the_page_once():
    source = html.render(samples.first_run())
    assert source.count("pool 2.debian.pool.ntp.org") == 1
    assert source.count('<a href="#diff-1">') == 75


def test_hostile_names_and_messages_stay_text():
    bad = '<script>alert("x")</script>\x1b[31m\x00'
    change = Change(role=bad, kind=bad, item=bad, before=bad, after=bad, diff=f"+{bad}\n")
    done = samples.steps(upto="configure", outcome="failed", message=bad, changes=(change,))
    host = msgspec.structs.replace(
        samples.host("compute-a2-01", "failed", done), host=bad, rack=bad, aisle=bad, role=bad
    )
    result = samples.result((host,), owner=bad, scope=bad, id=bad, stopped=f"{bad}\n{bad}")
    source = html.render(result, netbox_url="javascript:alert(1)")
    page = Page(source)
    assert page.all("script") == []
    assert "<script>" in page.text
    assert not set("\x1b\x00") & set(source)
    assert "javascript:" not in source


def test_empty_run_is_a_page_too():
    assert "not ended" in page_of(samples.result((), finished=None)).text


# -- contrast, as WCAG 2.2 (1.4.3 and 1.4.11) computes it -----------------------------------------


def palettes():
    css = (Path(html.__file__).parent / "templates" / "report.css").read_text()
    blocks = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    light, dark, printed = blocks
    return {"light": light, "dark": light | dark, "print": light | printed}


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_contrast(scheme):
    p = palettes()[scheme]
    pairs = [("text", "paper"), ("text", "panel"), ("soft", "paper"), ("soft", "panel")]
    pairs += [("link", "paper"), ("link", "panel")]
    for tone in (*HOST_OUTCOMES, "differs"):
        pairs += [(tone, f"{tone}-soft"), ("text", f"{tone}-soft"), ("on-band", tone)]
    pairs += [("unchanged", "panel"), ("failed", "panel"), ("differs", "paper")]
    poor = {pair: contrast(p[pair[0]], p[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}
