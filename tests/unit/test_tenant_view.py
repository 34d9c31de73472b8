"""What a tenant may see: all that it needs, and nothing of a neighbour."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator

import fabric_datacentre as fd
import msgspec
import pytest
import reference
import tenants
import three_tenants
from three_tenants import SLUGS

from chapelle.checks.tenancy import strangers
from chapelle.checks.tenancy.own import Own
from chapelle.checks.tenancy.view import view
from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.records import Content
from chapelle.model.tenant_view import TenantView
from chapelle.report import tenant_export

replace = msgspec.structs.replace


def view_of(content: Content, slug: str) -> TenantView:
    return view(fd.datacentre(content), slug)


@pytest.fixture(scope="module")
def views() -> dict[str, TenantView]:
    dc = three_tenants.datacentre()
    return {slug: view(dc, slug) for slug in SLUGS}


def exported(shown: TenantView) -> str:
    return "\n".join(data.decode("utf-8-sig") for _, data in tenant_export.files(shown))


# -- what a tenant needs --------------------------------------------------------------------------


def test_racks_have_what_was_agreed(views: dict[str, TenantView]) -> None:
    racks = views["ap-hp"].racks
    assert [len(views[slug].racks) for slug in SLUGS] == [24, 12, 8]
    first = racks[0]
    assert (first.name, first.aisle, first.units, len(first.let)) == ("A1-R07", "1", 42, 42)
    assert (first.contracted_watts, first.request) == (4000, "CONV-2026-031")
    assert (str(first.held_until), str(first.let_until)) == ("2026-12-31", "2031-03-31")
    assert [(slot.name, slot.bottom) for slot in first.slots] == [
        ("imagerie-hôpital-de-la-pitié-salpêtrière-l'étage-100", 20.0),
        ("edge-ap-hp-a1", 42.0),
    ]


def test_a_side_carries_what_its_feed_may_at_the_power_factor(
    views: dict[str, TenantView],
) -> None:
    a, b = views["eau-de-paris"].feeds[:2]
    assert (a.name, a.panel, a.kind) == ("A1-R16-A", "panel-a1-a", "primary")
    assert (b.name, b.panel, b.kind) == ("A1-R16-B", "panel-a1-b", "redundant")
    assert (a.volts, a.amperes, a.max_utilization, a.phase) == (230, 32, 80, "single-phase")
    assert a.watts == int(230 * 32 * 0.8 * 0.95)
    assert a.pdus == ("pdu-a1-r16-a",)


def test_outlets_say_what_of_the_tenant_is_plugged_in(views: dict[str, TenantView]) -> None:
    used = [each for each in views["paris-habitat"].outlets if each.used]
    assert len(views["paris-habitat"].outlets) == 12 * 2 * 24
    assert {(o.device, o.port, o.pdu, *o.feeds) for o in used if o.rack == "A1-R13"} == {
        ("edge-paris-habitat-a1", "PSU1", "pdu-a1-r13-a", "A1-R13-A"),
        ("edge-paris-habitat-a1", "PSU2", "pdu-a1-r13-b", "A1-R13-B"),
    }


def test_ports_say_where_they_are_patched_to(views: dict[str, TenantView]) -> None:
    ports = {(p.device, p.name): p for p in views["ap-hp"].ports}
    et2 = ports["edge-ap-hp-a3", "et2"]
    assert (et2.use, et2.to_device, et2.to_port) == ("network", "leaf-a3-tb", "swp1")
    assert [(c.label, c.type) for c in et2.cables] == [("CONV-2026-031-A3-02", "mmf-om4")]
    crossed = ports["edge-ap-hp-a1", "xc1"]
    assert (crossed.use, crossed.first_device) == ("cross-connect", "panneau-opérateurs-a1")
    assert (crossed.first_port, crossed.to_device, crossed.cables[0].length) == (
        "avant-1", "", "12.5 m",
    )  # fmt: skip
    managed = ports["edge-ap-hp-a4", "mgmt"]
    assert (managed.use, managed.to_device) == ("out-of-band", "oob-a4-1")


def test_a_port_reaches_its_switch_through_a_panel() -> None:
    draft = three_tenants.Draft(three_tenants.content())
    edge = draft.find("devices", name="edge-eau-de-paris-a1")
    near = draft.find("interfaces", device=edge.id, name="et1")
    far = draft.find("interfaces", device=draft.find("devices", name="leaf-a1-ta").id, name="swp5")
    panel = draft.find("devices", name="panneau-opérateurs-a1").id
    rears = [draft.add("rear_ports", device=panel, name=f"rear-{n}") for n in (1, 2)]
    fronts = [
        draft.add(
            "front_ports", device=panel, name=f"front-{n}",
            rear_ports=(r.PortMapping(position=1, rear_port=rear, rear_port_position=1),),
        )
        for n, rear in enumerate(rears, start=1)
    ]  # fmt: skip
    draft.cable(("interfaces", near.id), ("front_ports", fronts[0]), label="patch")
    draft.cable(("interfaces", far.id), ("front_ports", fronts[1]), label="switch side")
    ends = [(r.Termination(object_type="dcim.rearport", object_id=rear),) for rear in rears]
    trunk = draft.add("cables", status="connected", label="trunk", a_terminations=ends[0],
                      b_terminations=ends[1])  # fmt: skip
    for rear in rears:
        draft.set("rear_ports", rear, cable=trunk)
    shown = view_of(draft.content(), "eau-de-paris")
    port = next(p for p in shown.ports if (p.device, p.name) == (edge.name, "et1"))
    assert (port.first_device, port.first_port) == ("panneau-opérateurs-a1", "front-1")
    assert (port.to_device, port.to_port) == ("leaf-a1-ta", "swp5")
    assert [cable.label for cable in port.cables] == ["patch"]  # the others are the operator's


def test_lacp_settings(views: dict[str, TenantView]) -> None:
    group = views["ap-hp"].groups[1]
    assert (group.device, group.name) == ("edge-ap-hp-a2", "handoff")
    assert group.members == ("et1", "et2", "et3", "et4")
    assert group.switches == ("leaf-a2-ta", "leaf-a2-tb")
    assert (group.mtu, group.mode, group.untagged) == (9000, "tagged", None)
    assert group.tagged == (1811, 1812, 1813, 1814)
    assert views["ap-hp"].bgp is None


def test_bgp_settings(views: dict[str, TenantView]) -> None:
    bgp = views["paris-habitat"].bgp
    assert bgp is not None
    assert bgp.asns == (4210007722,)
    assert bgp.allowed == ("10.83.64.0/22", "10.83.72.0/24")
    assert bgp.maximum_prefixes == 40
    assert len(bgp.sessions) == 8
    second = bgp.sessions[1]
    assert (second.address, second.switch_address) == ("10.79.8.3/31", "10.79.8.2/31")
    assert (second.asn, second.switch_asn) == (4210007722, 4200000108)
    assert views["paris-habitat"].groups == ()


def test_networks_have_their_gateways(views: dict[str, TenantView]) -> None:
    shown = [(n.use, n.vid, n.prefix, n.gateways) for n in views["eau-de-paris"].networks]
    assert shown == [
        ("network", 3631, "10.86.128.0/24", ("10.86.128.1/24",)),
        ("out-of-band", 3639, "10.86.159.0/24", ("10.86.159.1/24",)),
    ]


def test_contacts_of_both_sides(views: dict[str, TenantView]) -> None:
    shown = views["ap-hp"]
    assert [(p.role, p.name) for p in shown.contacts] == [
        ("operations", "AP-HP operations"),
        ("security", "AP-HP security"),
        ("signatory", "Éloïse d'Aubigné-Lefèvre"),
    ]
    assert [p.email for p in shown.operator_contacts] == ["exploitation@paris.example"]


def test_units_of_a_rack_are_all_that_is_let_of_it() -> None:
    content = reference.content()
    rack = fd.find(content, "racks", name="A2-R20")
    tenant = fd.find(content, "tenants", slug="eau-de-paris")
    held = r.RackReservation(id=1, rack=rack.id, units=(5, 6, 7), tenant=tenant.id, status="active")
    content = fd.added(content, "rack_reservations", held)
    assert [(r.name, r.let) for r in view_of(content, "eau-de-paris").racks] == [
        ("A2-R20", (5, 6, 7))
    ]
    assert view_of(content, "ap-hp").racks == ()
    stale = fd.edited(content, "rack_reservations", held, status="stale")
    assert view_of(stale, "eau-de-paris").racks == ()


# -- who is asked for -----------------------------------------------------------------------------


def test_an_unknown_tenant_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="no tenant 'aphp'") as failed:
        view_of(reference.content(), "aphp")
    assert "ap-hp" in str(failed.value)


def test_the_operator_rents_nothing() -> None:
    with pytest.raises(InputError, match="lets the space"):
        view_of(reference.content(), "ville-de-paris")


# -- nothing of a neighbour -----------------------------------------------------------------------


def of_others(content: Content, slug: str) -> Iterator[str]:
    """Whatever could name a neighbour, or equipment of the operator that is nobody's business."""
    own = fd.find(content, "tenants", slug=slug).id
    operator = fd.find(content, "tenants", slug="ville-de-paris").id
    others = {t.id for t in content.tenants} - {own, operator}
    for list_name in ("devices", "racks", "vlans", "vrfs", "prefixes", "ip_addresses", "l2vpns",
                      "route_targets", "power_feeds", "cables", "rack_reservations"):  # fmt: skip
        for record in getattr(content, list_name):
            if record.tenant in others:
                for name in ("name", "serial", "prefix", "address", "label", "rd", "identifier",
                             "vid", "description"):  # fmt: skip
                    yield str(getattr(record, name, "") or "")
                yield from map(str, getattr(record, "custom_fields", {}).values())
    yield from (str(asn.asn) for asn in content.asns if asn.tenant in others)
    yield from (a.address.partition("/")[0] for a in content.ip_addresses if a.tenant in others)
    for tenant in content.tenants:
        if tenant.id in others:
            yield from (tenant.name, tenant.slug)
    contacts = {a.contact for a in content.contact_assignments if a.object_id in others}
    for contact in content.contacts:
        if contact.id in contacts:
            yield from (contact.name, contact.email, contact.phone)
    roles = {role.id: role.slug for role in content.device_roles}
    for device in content.devices:
        if device.tenant == operator and roles[device.role] in ("compute", "storage", "spine"):
            yield device.name or ""
    management = {vrf.id for vrf in content.vrfs if vrf.name in ("management", "ville-de-paris")}
    yield from (p.prefix for p in content.prefixes if p.vrf in management)


# What a rack, a lease or a rule says may be said of two tenants.
AGREED = re.compile(r"\d{1,4}|20\d\d-\d\d-\d\d|None|")


def found_in(text: str, content: Content, slug: str) -> set[str]:
    words = {word for word in of_others(content, slug) if not AGREED.fullmatch(word)}
    vids = {str(vlan.vid) for vlan in content.vlans} - {
        str(v.vid) for v in content.vlans if v.tenant == fd.find(content, "tenants", slug=slug).id
    }
    words |= {vid for vid in vids if int(vid) > 1800}
    text = text.casefold()
    there = (word for word in words if word.casefold() in text)
    return {w for w in there if re.search(rf"(?<!\w){re.escape(w.casefold())}(?!\w)", text)}


@pytest.mark.parametrize("slug", SLUGS)
def test_nothing_of_a_neighbour_is_exported(slug: str, views: dict[str, TenantView]) -> None:
    content = three_tenants.content()
    words = set(of_others(content, slug))
    assert len(words) > 400
    assert {"3631", "captage-dhuis-100", "10.86.128.1", "A3-R17"} <= words or slug == "eau-de-paris"
    assert found_in(exported(views[slug]), content, slug) == set()


@pytest.mark.parametrize("slug", tenants.SLUGS)
def test_nothing_of_a_neighbour_is_exported_after_a_real_onboarding(slug: str) -> None:
    """What `tenant.onboard` plans for the requests of inventory/tenants, and the view of it."""
    shown = view(tenants.datacentre(), slug)
    asked = tenants.request(slug)
    assert [rack.name for rack in shown.racks] == sorted(tenants.RACKS[slug])
    assert shown.references == (asked.reference,)
    assert "out-of-band" in {network.use for network in shown.networks}
    assert bool(shown.groups) is (asked.handoff.kind == "lacp")
    assert bool(shown.bgp) is (asked.handoff.kind == "bgp")
    assert found_in(exported(shown), tenants.content(), slug) == set()


def test_the_search_finds_a_leak_that_is_planted(views: dict[str, TenantView]) -> None:
    content = three_tenants.content()
    own, other = views["paris-habitat"], views["eau-de-paris"]
    for field in ("racks", "devices", "feeds", "ports", "networks", "contacts", "groups"):
        mixed = replace(own, **{field: (*getattr(own, field), getattr(other, field)[0])})
        assert found_in(exported(mixed), content, "paris-habitat"), field
        assert list(strangers.leaks(Own(fd.datacentre(content), own.slug), mixed)), field


PLANTED: dict[str, Callable[[Content], Content]] = {
    "a cable's label": lambda c: fd.edited(
        c, "cables", fd.find(c, "cables", label="CONV-2026-044-A2-01"), label="beside Eau de Paris"
    ),
    "a feed's name": lambda c: fd.edited(
        c, "power_feeds", fd.find(c, "power_feeds", name="A1-R13-A"), name="A1-R13 and A1-R16"
    ),
    "a port's label": lambda c: fd.edited(
        c, "interfaces", fd.port(c, "edge-paris-habitat-a1", "et1"), label="not captage-dhuis-100!"
    ),
    "a device's name": lambda c: fd.edited(
        c, "devices", fd.find(c, "devices", name="quittances-100"), name="relais 10.86.128.1"
    ),
    "a device's serial": lambda c: fd.edited(
        c,
        "devices",
        fd.find(c, "devices", name="quittances-100"),
        serial="was " + fd.find(c, "devices", name="captage-dhuis-100").serial.lower(),
    ),
    "a contact": lambda c: fd.edited(
        c,
        "contacts",
        fd.find(c, "contacts", name="Gaëtan L'Hénoret"),
        title="for Zoé Œuvrard",
    ),
}


@pytest.mark.parametrize("where", PLANTED)
def test_a_name_that_tells_of_a_neighbour_is_refused(where: str) -> None:
    content = PLANTED[where](three_tenants.content())
    with pytest.raises(RefusedError, match="names a neighbour") as failed:
        view_of(content, "paris-habitat")
    assert "paris-habitat: " in (failed.value.where or "")
    view_of(content, "eau-de-paris")  # to whom it says nothing new


@pytest.mark.parametrize(
    ("own", "other"),
    [("serveur-01", "serveur-01"), ("serveur-01-bis", "serveur-01"), ("data server", "data"),
     ("10.86.128.10 relais", "x"), ("habitat", "x")],
)  # fmt: skip
def test_names_that_are_alike_tell_nothing(own: str, other: str) -> None:
    content = three_tenants.content()
    for old, new in (("quittances-100", own), ("captage-dhuis-100", other)):
        device = fd.find(content, "devices", name=old)
        content = fd.edited(content, "devices", device, name=new)
    neighbour = fd.find(content, "tenants", slug="eau-de-paris")
    content = fd.edited(content, "tenants", neighbour, name="Paris")
    assert own in exported(view_of(content, "paris-habitat"))


def test_a_neighbours_device_in_ones_own_rack_stays_unnamed() -> None:
    content = three_tenants.content()
    stray = fd.find(content, "devices", name="captage-dhuis-100")
    rack = fd.find(content, "racks", name="A1-R13")
    content = fd.edited(content, "devices", stray, rack=rack.id, position=10.0)
    shown = view_of(content, "paris-habitat")
    assert {slot.name for slot in shown.racks[0].slots} == {
        "quittances-100", "edge-paris-habitat-a1",
    }  # fmt: skip
    astray = view_of(content, "eau-de-paris")
    assert [(d.rack, d.unit) for d in astray.devices if d.name == "captage-dhuis-100"] == [
        ("", None)
    ]


def test_a_port_that_is_cabled_to_a_neighbour_shows_nothing_of_it() -> None:
    draft = three_tenants.Draft(three_tenants.content())
    ends = [
        draft.find("interfaces", device=draft.find("devices", name=name).id, name="xc2")
        for name in ("edge-paris-habitat-a1", "edge-eau-de-paris-a1")
    ]
    draft.cable(*(("interfaces", end.id) for end in ends), label="crossed")
    content = draft.content()
    assert "crossed" not in exported(view_of(content, "paris-habitat"))
    assert "crossed" not in exported(view_of(content, "eau-de-paris"))


def test_a_neighbours_vlan_on_ones_own_group_is_not_shown() -> None:
    content = three_tenants.content()
    group = fd.port(content, "edge-ap-hp-a1", "handoff")
    wrong = fd.find(content, "vlans", vid=3631)
    content = fd.edited(
        content, "interfaces", group, tagged_vlans=(*group.tagged_vlans, wrong.id)
    )  # fmt: skip
    assert view_of(content, "ap-hp").groups[0].tagged == (1811, 1812, 1813, 1814)


# -- files ----------------------------------------------------------------------------------------


def rows(shown: TenantView, name: str) -> list[dict[str, str]]:
    data = dict(tenant_export.files(shown))[f"{shown.slug}-{name}.csv"]
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_the_files_hold_what_the_view_holds(views: dict[str, TenantView]) -> None:
    shown = views["ap-hp"]
    whole = json.loads(dict(tenant_export.files(shown))["ap-hp.json"])
    assert [rack["name"] for rack in whole["racks"]] == [rack.name for rack in shown.racks]
    racks = rows(shown, "racks")
    assert (racks[0]["name"], racks[0]["let"], racks[0]["contracted_watts"]) == (
        "A1-R07", "1-42", "4000",
    )  # fmt: skip
    ports = {(row["device"], row["name"]): row for row in rows(shown, "ports")}
    assert ports["edge-ap-hp-a1", "xc1"]["cables"] == "XC AP-HP / opérateur smf-os2 12.5 m"
    assert len(rows(views["paris-habitat"], "bgp")) == 8
    facts = {row["what"]: row["value"] for row in rows(views["paris-habitat"], "tenant")}
    assert facts["allowed_prefixes"] == "10.83.64.0/22; 10.83.72.0/24"


def test_no_text_becomes_a_formula() -> None:
    content = three_tenants.content()
    device = fd.find(content, "devices", name="quittances-100")
    nasty = ('=HYPERLINK("http://x","y")', "+1+2", "-2+3", "@SUM(1)", "  =1", "\uff1d1", "\t=1")
    for name in nasty:
        shown = view_of(fd.edited(content, "devices", device, name=name), "paris-habitat")
        cells = [cell for row in rows(shown, "devices") for cell in row.values()]
        assert not [cell for cell in cells if cell.strip()[:1] in {*"=+-@", "\uff1d"}], name
    phones = [row["phone"] for row in rows(shown, "contacts")]
    assert "'+33 1 71 37 00 00" in phones


def test_the_same_content_gives_the_same_files() -> None:
    one, other = (dict(tenant_export.files(view_of(three_tenants.content(), "ap-hp")))
                  for _ in range(2))  # fmt: skip
    assert one == other


def test_the_summary_names_racks_and_ports(views: dict[str, TenantView]) -> None:
    text = "\n".join(tenant_export.lines(views["paris-habitat"]))
    assert "12 racks, 16 devices, 24 power feeds, 12 ports" in text
    assert re.search(r"^A1-R13 +1-42 +3000 W +CONV-2026-044 +2031-03-31$", text, re.MULTILINE)
    assert re.search(r"^edge-paris-habitat-a1 +et1 +leaf-a1-ta swp3 +CONV-2026-044-A1-01$", text,
                     re.MULTILINE)  # fmt: skip
