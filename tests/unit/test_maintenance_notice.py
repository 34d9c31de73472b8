"""What tenants are told of a maintenance window: their own things, and nothing else."""

import datetime
import re
from functools import cache

import msgspec
import pytest
import reference

from chapelle.checks.resilience.loss import Plant
from chapelle.checks.resilience.names import find_all
from chapelle.checks.resilience.notices import notices
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.maintenance import Notice
from chapelle.model.resilience import Window
from chapelle.model.snapshot import Snapshot
from chapelle.report import notice as report
from chapelle.report.notice_words import LANGUAGES, words

PARIS = datetime.timezone(datetime.timedelta(hours=1))
_replace = msgspec.structs.replace

OWNERS = {
    "compute-a2-01": "ap-hp", "compute-a2-02": "paris-habitat", "storage-a2-01": "ap-hp",
    "pdu-a2-r07-a": "ap-hp", "leaf-a2-1a": "ville-de-paris",
}  # fmt: skip
RACKS = {"A2-R01": "paris-habitat", "A2-R07": "ap-hp", "A2-R08": "eau-de-paris"}


@cache
def plant() -> Plant:
    """The reference datacentre with servers and racks let to tenants, and serials to leak."""
    content = reference.content()
    ids = {tenant.slug: tenant.id for tenant in content.tenants}
    devices = tuple(
        _replace(
            d, tenant=ids[OWNERS[d.name]] if d.name in OWNERS else d.tenant, serial=f"SN{d.id}Z"
        )
        for d in content.devices
    )
    racks = tuple(
        _replace(k, tenant=ids.get(RACKS.get(k.name, ""), k.tenant)) for k in content.racks
    )
    of_rack = {rack.id: rack.tenant for rack in racks}
    feeds = tuple(_replace(f, tenant=of_rack.get(f.rack or 0)) for f in content.power_feeds)
    return Plant(
        Datacentre(Snapshot(_replace(content, devices=devices, racks=racks, power_feeds=feeds)))
    )


def window(names: str, *, state: str = "planned") -> Window:
    return Window(
        id="MW-2026-0007",
        elements=tuple(element.ref for element in find_all(plant(), names)),
        starts=datetime.datetime(2026, 12, 3, 8, tzinfo=PARIS),
        ends=datetime.datetime(2026, 12, 3, 12, 30, tzinfo=PARIS),
        owner="anna@controller",
        reason="the breaker of Paris Habitat and AP-HP, compute-a2-02",
        state=state,
    )


def of(names: str, **options: str) -> dict[str, Notice]:
    made = notices(plant(), window(names, **options), site=1, zone="Europe/Paris")
    return {notice.slug: notice for notice in made}


def shown(notice: Notice) -> str:
    return "".join(content for _, content in report.files(notice))


def test_every_tenant_that_is_touched_gets_one_and_no_other() -> None:
    assert set(of("panel-a2-a")) == {"ap-hp", "paris-habitat", "eau-de-paris", "ville-de-paris"}
    assert set(of("pdu-a2-r01-a")) == {"ap-hp", "paris-habitat", "ville-de-paris"}
    assert set(of("pdu-a2-r08-a")) == {"eau-de-paris", "ville-de-paris"}
    assert set(of("compute-a2-02")) == {"paris-habitat", "ville-de-paris"}
    assert set(of("pdu-a3-r20-a")) == {"ville-de-paris"}  # the PDU is the city's, the rack nobody's


def test_it_says_what_happens_to_each_own_device() -> None:
    told = of("panel-a2-a,leaf-a2-1a")["ap-hp"]
    found = [(device.name, device.effect, device.parts) for device in told.devices]
    assert found == [
        ("compute-a2-01", "cord", ("PSU1",)), ("compute-a2-01", "link", ("eno1",)),
        ("pdu-a2-r07-a", "dark", ("inlet",)),
        ("storage-a2-01", "cord", ("PSU1",)), ("storage-a2-01", "link", ("eno1",)),
    ]  # fmt: skip
    assert [(rack.name, rack.effect, rack.feeds) for rack in told.racks] == [
        ("A2-R07", "feeds", ("A2-R07-A",))
    ]
    assert of("leaf-a2-1a")["ap-hp"].devices[0].effect == "link"
    assert of("oob-a2-1")["ap-hp"].devices[0].effect == "management"
    assert of("compute-a2-01")["ap-hp"].devices[0].effect == "off"
    both = of("panel-a2-a,panel-a2-b")["ap-hp"]
    assert {d.effect for d in both.devices if "pdu" not in d.name} == {"lost"}
    assert both.racks[0].effect == "dark"
    assert of("A2-R07")["ap-hp"].racks[0].effect == "off"
    assert of("pdu-a2-r07-a")["ap-hp"].racks[0].effect == "pdu"


def test_a_device_in_a_rack_of_another_tenant_does_not_name_the_rack() -> None:
    (device,) = of("pdu-a2-r01-a")["ap-hp"].devices[:1]
    assert (device.name, device.rack) == ("compute-a2-01", "")
    assert "A2-R01" not in shown(of("pdu-a2-r01-a")["ap-hp"])


@pytest.mark.parametrize(
    "names",
    [
        "panel-a2-a", "ups-a", "leaf-a2-1a", "aisle-2", "A2-R01", "compute-a2-01,compute-a2-02",
        "pdu-a2-r01-a,A2-R08-B", "panel-a2-a,panel-a2-b", "spine-a2",
    ],
)  # fmt: skip
def test_nothing_of_another_tenant_is_in_it(names: str) -> None:
    dc = plant().dc
    for slug, notice in of(names).items():
        own = next(tenant for tenant in dc.content.tenants if tenant.slug == slug)
        text = shown(notice)
        # The site's own desk signs; it is that of a tenant, the city.
        for person in notice.sender:
            text = text.replace(person.name, "").replace(person.email, "")
        assert found_of_others(text, own) == []
        assert "SN" not in text
        assert "breaker" not in text  # the reason is not told, and neither is whose window it is
        assert "anna" not in text


def found_of_others(text: str, own: r.Tenant) -> list[str]:
    """Every word of the page that is a name of another tenant or of something that it has."""
    content = plant().dc.content
    names = {
        name
        for tenant in content.tenants
        if tenant.id != own.id
        for name in (tenant.name, tenant.slug)
    }
    mine = set()
    for records in (content.devices, content.racks, content.power_feeds):
        for record in records:
            if record.tenant is not None:
                (mine if record.tenant == own.id else names).add(record.name)
    names |= {c.email for c in content.contacts} - emails_of(own)
    words_of = set(re.findall(r"[\w.@-]+", text))
    return sorted(
        name for name in names - mine if name in words_of or (" " in name and name in text)
    )


def emails_of(tenant: r.Tenant) -> set[str]:
    content = plant().dc.content
    contacts = {contact.id: contact for contact in content.contacts}
    return {
        contacts[each.contact].email
        for each in content.contact_assignments
        if (each.object_type, each.object_id) == ("tenancy.tenant", tenant.id)
    }


def test_that_test_finds_what_leaks() -> None:
    tenants = {tenant.slug: tenant for tenant in plant().dc.content.tenants}
    leak = "compute-a2-02 of Paris Habitat, exploitation@aphp.example, A2-R08-A"
    assert found_of_others(leak, tenants["eau-de-paris"]) == [
        "Paris Habitat", "compute-a2-02", "exploitation@aphp.example",
    ]  # fmt: skip


def test_only_contacts_for_operations_are_named() -> None:
    told = of("panel-a2-a")["ap-hp"]
    assert [person.email for person in told.to] == ["exploitation@aphp.example"]
    assert [person.email for person in told.sender] == ["exploitation@paris.example"]
    assert "securite@" not in shown(told)


def test_both_languages_say_when_and_what() -> None:
    told = of("panel-a2-a")["ap-hp"]
    french, english = report.text(told, "fr"), report.text(told, "en")
    assert "jeudi 3 décembre 2026, de 08:00 à 12:30 (Paris, UTC+01:00)" in french
    assert "tableau électrique panel-a2-a" in french
    assert "Thursday 3 December 2026, from 08:00 to 12:30 (Paris, UTC+01:00)" in english
    assert "power panel panel-a2-a" in english
    assert "(PSU1). Run on one power supply." in english
    assert all(len(line) <= 80 for text in (french, english) for line in text.splitlines())
    assert not [line for line in french.splitlines() if line.startswith((";", ":"))]
    assert "Annulée" not in french
    assert "Annulée" in report.text(of("panel-a2-a", state="closed")["ap-hp"], "fr")


def test_times_are_told_with_their_days_and_offsets() -> None:
    told = of("panel-a2-a")["ap-hp"]
    night = _replace(
        told,
        starts=datetime.datetime(2026, 10, 24, 22, tzinfo=datetime.UTC),
        ends=datetime.datetime(2026, 10, 25, 4, tzinfo=datetime.UTC),
    )  # clocks are changed at 03:00
    assert report.times(night, words("en")) == (
        "Sunday 25 October 2026, from 00:00 to 05:00 (Paris, UTC+02:00, UTC+01:00)"
    )
    days = _replace(night, ends=datetime.datetime(2026, 10, 26, 4, tzinfo=datetime.UTC))
    assert report.times(days, words("fr")) == (
        "du dimanche 25 octobre 2026 00:00 au lundi 26 octobre 2026 05:00 "
        "(Paris, UTC+02:00, UTC+01:00)"
    )


def test_what_stops_is_said_first() -> None:
    quiet, stops = of("panel-a2-a")["ap-hp"], of("panel-a2-a,panel-a2-b")["ap-hp"]
    assert "You need do nothing" in report.text(quiet, "en")
    unknown = of("panel-a2-a")["eau-de-paris"]  # a rack, and nothing of theirs in NetBox
    assert "You need do nothing" not in report.text(unknown, "en")
    assert "plugged into both feeds keeps working" in report.text(unknown, "en")
    assert "plugged into both feeds" not in report.text(stops, "en")
    assert "Some of your equipment stops" in report.text(stops, "en")
    assert 'class="advice stops"' in report.html(stops, "fr")


def test_names_cannot_write_html() -> None:
    told = _replace(of("panel-a2-a")["ap-hp"], tenant="<script>alert(1)</script>\x1b[2J")
    page = report.html(told, "en")
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "default-src &#39;none&#39;" not in page
    assert "default-src 'none'" in page


def test_the_languages_have_words_for_the_same_things() -> None:
    french, english = (words(language) for language in LANGUAGES)
    for field in ("works", "effects", "short"):
        assert getattr(french, field).keys() == getattr(english, field).keys()
    assert (len(french.days), len(french.months)) == (len(english.days), len(english.months))
    kinds = {element.kind for element in plant().elements}
    assert kinds <= english.works.keys()


def test_the_files_are_named_after_window_tenant_and_language() -> None:
    assert [name for name, _ in report.files(of("panel-a2-a")["ap-hp"])] == [
        "MW-2026-0007-ap-hp-fr.txt", "MW-2026-0007-ap-hp-fr.html",
        "MW-2026-0007-ap-hp-en.txt", "MW-2026-0007-ap-hp-en.html",
    ]  # fmt: skip
