"""A tenant comes, grows, and leaves: what the plan changes, and what it refuses to."""

import datetime
import ipaddress
from pathlib import Path
from typing import Any

import edits
import msgspec
import pytest
import reference
import tenants
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.checks import netbox as checks
from chapelle.checks.resilience.check import check as resilience
from chapelle.checks.resilience.loss import Plant
from chapelle.errors import InputError, RefusedError
from chapelle.fabric import intent, render
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.draft import apply
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import (
    HELD_UNTIL,
    QUARANTINE,
    REQUEST,
    Bgp,
    Contact,
    CrossConnect,
    Handoff,
    Network,
    Option,
    Request,
    Space,
    Tenant,
)
from chapelle.plan.scope import switches
from chapelle.plan.tenancy import plan as plans
from chapelle.plan.tenancy.offboard import offboard
from chapelle.plan.tenancy.onboard import onboard
from chapelle.plan.tenancy.plan import TenancyPlan

TODAY = tenants.TODAY
replace = msgspec.structs.replace


def small(**changes: Any) -> Request:
    """A request for two racks and one network."""
    fields: dict[str, Any] = {
        "reference": "T-1",
        "tenant": Tenant(name="Théâtre de l'Île", slug="theatre"),
        "space": Space(racks=2, kw_per_rack=3.0),
        "held_until": TODAY + datetime.timedelta(days=30),
        "networks": (Network(name="stage"),),
    }
    return Request(**fields | changes)


RACKS = ("A4-R07", "A4-R08")


def dc_of(content: Content) -> Datacentre:
    return Datacentre(Snapshot(content))


def planned(content: Content, request: Request, racks: tuple[str, ...] = RACKS) -> TenancyPlan:
    return onboard(dc_of(content), request, Option(racks=racks), TODAY)


def carried_out(content: Content, request: Request, racks: tuple[str, ...] = RACKS) -> Content:
    return apply(content, planned(content, request, racks).changes)


def of(content: Content, list_name: str, tenant: int) -> list[Any]:
    return [record for record in getattr(content, list_name) if record.tenant == tenant]


def tenant_id(content: Content, slug: str) -> int:
    found: int = edits.one(content, "tenants", lambda tenant: tenant.slug == slug).id
    return found


# -- what three tenants look like -----------------------------------------------------------------


def test_three_tenants_leave_no_finding_and_every_switch_renders() -> None:
    dc = tenants.datacentre()
    assert checks.check(dc) == []
    now = datetime.datetime.combine(TODAY, datetime.time(), datetime.UTC)
    assert resilience(Plant(dc), now).findings == ()
    for switch in switches(dc):
        render.render(intent.intent(dc, switch))


def test_a_rack_is_let_reserved_and_fed_for_its_tenant_alone() -> None:
    content = tenants.content()
    own = tenant_id(content, "ap-hp")
    racks = of(content, "racks", own)
    assert {rack.name for rack in racks} == set(tenants.RACKS["ap-hp"])
    assert {rack.status for rack in racks} == {"active"}
    rack = racks[0]
    assert rack.custom_fields == {
        "request": "APHP-2026-01",
        "contracted_watts": 4000,
        "let_until": "2033-06-30",
    }
    (reservation,) = [one for one in content.rack_reservations if one.rack == rack.id]
    assert reservation.units == tuple(range(1, 43))
    assert (reservation.tenant, reservation.status) == (own, "active")
    assert reservation.custom_fields[HELD_UNTIL] == "2027-06-30"
    assert {feed.tenant for feed in content.power_feeds if feed.rack == rack.id} == {own}
    pdus = [d for d in content.devices if d.rack == rack.id and (d.name or "").startswith("pdu")]
    assert {pdu.tenant for pdu in pdus} == {content.sites[0].tenant}


def test_a_network_of_a_tenant_is_one_vlan_over_all_its_aisles() -> None:
    dc = tenants.datacentre()
    for name in ("leaf-a1-ta", "leaf-a1-tb", "leaf-a2-ta", "leaf-a2-tb"):
        switch = intent.intent(dc, dc.device(name))
        (group,) = [one for one in switch.attachments if one.peer.startswith("edge-ap-hp")]
        assert group.segment is not None
        assert len(group.ports) == 2
        names = {vlan.name: vlan for vlan in switch.vlans if vlan.vid in group.tagged}
        assert set(names) == {"ap-hp-hospitals", "ap-hp-imaging", "ap-hp-replication"}
        assert names["ap-hp-hospitals"].vrf == "ap-hp"
        assert len(names["ap-hp-hospitals"].gateways) == 1
        assert names["ap-hp-replication"].gateways == ()
    elsewhere = intent.intent(dc, dc.device("leaf-a4-ta"))
    assert elsewhere.attachments == ()


def test_a_tenant_that_routes_has_a_link_for_every_port_and_leaf() -> None:
    content = tenants.content()
    dc = dc_of(content)
    own = tenant_id(content, "paris-habitat")
    vrf = edits.one(content, "vrfs", edits.named("paris-habitat"))
    assert vrf.custom_fields["maximum_prefixes"] == 50
    edge = dc.device("edge-paris-habitat-a3")
    (asn,) = of(content, "asns", own)
    assert edge.custom_fields["bgp_asn"] == asn.asn == 4210000000
    assert not [port for port in dc.interfaces_by_device[edge.id] if port.type == "lag"]
    links = []
    for name, switch in (("et1", "leaf-a3-ta"), ("et2", "leaf-a3-tb")):
        port = next(p for p in dc.interfaces_by_device[edge.id] if p.name == name)
        peer = dc.peer_interface(port)
        assert peer
        assert dc.devices[peer.device].name == switch
        assert peer.vrf == vrf.id
        (near,) = dc.addresses_by_interface[peer.id]
        (far,) = dc.addresses_by_interface[port.id]
        assert near.vrf == far.vrf == vrf.id
        network = ipaddress.ip_interface(near.address).network
        assert network.prefixlen == 31
        assert [f"{host}/31" for host in network] == [near.address, far.address]
        links.append(network)
    assert links[0] != links[1]


def test_out_of_band_is_a_vlan_of_the_tenant_up_to_the_border() -> None:
    dc = tenants.datacentre()
    vlan = edits.one(dc.content, "vlans", edits.named("eau-de-paris-oob"))
    switch = intent.intent(dc, dc.device("oob-a2-1"))
    (port,) = [one for one in switch.attachments if one.peer == "edge-eau-de-paris-a2"]
    assert (port.untagged, port.tagged) == (vlan.vid, ())
    border = intent.intent(dc, dc.device("border-a1"))
    (uplink,) = [one for one in border.attachments if one.peer == "oob-a2-1"]
    assert vlan.vid in uplink.tagged
    assert next(v for v in border.vlans if v.vid == vlan.vid).vrf == "eau-de-paris"
    (prefix,) = dc.prefixes_by_vlan[vlan.id]
    address = dc.ip_addresses[dc.device("edge-eau-de-paris-a2").oob_ip or 0]
    assert address.address == f"{ipaddress.ip_network(prefix.prefix)[12]}/24"
    assert dc.interfaces[address.assigned_object_id or 0].name == "mgmt"


def test_every_object_names_its_request() -> None:
    content = tenants.content()
    own = tenant_id(content, "eau-de-paris")
    for name in ("racks", "rack_reservations", "devices", "vrfs", "route_targets", "vlans",
                 "prefixes", "l2vpns", "cables", "ip_addresses"):  # fmt: skip
        assert of(content, name, own), name
        for record in of(content, name, own):
            assert record.custom_fields[REQUEST] == "EAUDEPARIS-2026-01", record


# -- once more, and more --------------------------------------------------------------------------


@pytest.mark.parametrize("slug", tenants.SLUGS)
def test_a_request_that_was_carried_out_gives_an_empty_plan(slug: str) -> None:
    content = tenants.content()
    for racks in (tenants.RACKS[slug], ()):
        plan = planned(content, tenants.request(slug), racks)
        assert plan.empty
        assert plan.switches == plan.taken == plan.words == ()


def test_what_somebody_took_away_is_all_that_is_made_again() -> None:
    content = tenants.content()
    vlan = edits.one(content, "vlans", edits.named("ap-hp-imaging"))
    prefix = edits.one(content, "prefixes", lambda p: p.vlan == vlan.id)
    first = str(ipaddress.ip_network(prefix.prefix)[1])
    gone = edits.edited(content, "ip_addresses", lambda a: a.address.startswith(f"{first}/"))
    plan = planned(gone, tenants.request("ap-hp"), ())
    assert [change.list_name for change in plan.changes] == ["ip_addresses"]


def test_more_racks_and_networks_of_one_request_renumber_nothing() -> None:
    content = carried_out(tenants.content(), small())
    more = small(
        space=Space(racks=4, kw_per_rack=3.0),
        networks=(Network(name="archive"), Network(name="stage")),
        handoff=Handoff(ports=2),
    )
    plan = planned(content, more, ("A4-R09", "A1-R19"))
    grown = apply(content, plan.changes)
    assert plan.racks == ("A1-R19", "A4-R07", "A4-R08", "A4-R09")
    assert plan.aisles == ("1", "4")
    for name in ("vlans", "l2vpns", "vrfs", "prefixes", "route_targets", "asns"):
        before = {record.id: record for record in getattr(content, name)}
        after = {record.id: record for record in getattr(grown, name)}
        assert before.items() <= after.items(), name
    dc = dc_of(grown)
    assert checks.check(dc) == []
    for name in ("leaf-a1-ta", "leaf-a4-tb"):
        switch = intent.intent(dc, dc.device(name))
        (group,) = [one for one in switch.attachments if one.peer.startswith("edge-theatre")]
        assert len(group.ports) == 2
        assert len(group.tagged) == 2


def test_a_second_request_of_a_tenant_shares_its_vrf_and_reaches_all_its_aisles() -> None:
    content = carried_out(tenants.content(), small())
    second = small(reference="T-2", networks=(Network(name="museum"),))
    plan = planned(content, second, ("A1-R19", "A1-R20"))
    assert not [one for one in plan.taken if one.kind == "l3vnis"]
    assert {"leaf-a1-ta", "leaf-a4-ta"} <= set(plan.switches)
    dc = dc_of(apply(content, plan.changes))
    assert len([vrf for vrf in dc.content.vrfs if vrf.name == "theatre"]) == 1
    for name in ("leaf-a1-ta", "leaf-a4-ta"):
        switch = intent.intent(dc, dc.device(name))
        (group,) = [one for one in switch.attachments if one.peer.startswith("edge-theatre")]
        assert len(group.tagged) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"networks": (Network(name="stage", prefix_length=25),)}, "renumber network stage"),
        ({"networks": (Network(name="stage", prefix="172.20.0.0/24"),)}, "renumber network stage"),
        ({"handoff": Handoff(kind="bgp")}, "hand-off of a tenant cannot be changed"),
        ({"space": Space(racks=1, kw_per_rack=3.0)}, "not as many as the request asks for"),
    ],
)
def test_what_would_change_what_is_in_use_is_refused(changes: dict[str, Any], words: str) -> None:
    content = carried_out(tenants.content(), small())
    with pytest.raises((RefusedError, InputError), match=words):
        planned(content, small(**changes), ())


# -- never two tenants ----------------------------------------------------------------------------


def test_a_reference_of_another_tenant_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        planned(tenants.content(), small(reference="APHP-2026-01"))
    assert "Théâtre de l'Île (APHP-2026-01)" in str(caught.value)
    assert "AP-HP (APHP-2026-01)" in str(caught.value)


@pytest.mark.parametrize("rack", ["A1-R07", "A1-R01"])
def test_a_rack_of_somebody_else_is_refused(rack: str) -> None:
    with pytest.raises(RefusedError) as caught:
        planned(tenants.content(), small(), (rack, "A4-R07"))
    assert f"Rack {rack} is not Théâtre de l'Île's" in str(caught.value)
    assert ("AP-HP (APHP-2026-01)" if rack == "A1-R07" else "Ville de Paris") in str(caught.value)


def test_a_rack_with_somebodys_device_in_it_is_refused() -> None:
    content = reference.content()
    rack = edits.one(content, "racks", edits.named("A4-R07"))
    content = edits.edited(
        content, "devices", edits.named("compute-a4-01"), rack=rack.id, position=3.0
    )
    with pytest.raises(RefusedError, match="compute-a4-01 of Ville de Paris"):
        planned(content, small())


def test_a_rack_that_is_not_available_is_refused() -> None:
    content = edits.edited(reference.content(), "racks", edits.named("A4-R07"), status="reserved")
    with pytest.raises(RefusedError, match="Rack A4-R07 is not to let now"):
        planned(content, small())


@pytest.mark.parametrize(
    ("list_name", "fields", "words"),
    [
        ("vlans", {"vid": 3999, "name": "theatre-stage", "status": "active"}, "VLAN theatre-stage"),
        ("vrfs", {"name": "theatre"}, "VRF theatre"),
        ("l2vpns", {"name": "theatre-oob", "slug": "x", "type": "vxlan-evpn"}, "L2VPN theatre-oob"),
        ("devices", {"name": "edge-theatre-a4", "device_type": 1, "role": 1, "site": 1,
                     "status": "active"}, "Device edge-theatre-a4"),
    ],
)  # fmt: skip
def test_a_name_that_somebody_else_has_is_refused(
    list_name: str, fields: dict[str, Any], words: str
) -> None:
    content = tenants.content()
    other = tenant_id(content, "ap-hp")
    record = msgspec.convert(
        {"id": 99_001, "tenant": other, **fields}, type(getattr(content, list_name)[0])
    )
    with pytest.raises(RefusedError) as caught:
        planned(edits.added(content, list_name, record), small())
    assert f"{words} is not Théâtre de l'Île's" in str(caught.value)
    assert "it is of AP-HP" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "slug"), [("AP-HP", "aphp"), ("Assistance publique", "ap-hp"), ("X", "ville-de-paris")]
)
def test_a_tenant_is_who_netbox_knows_by_that_name(name: str, slug: str) -> None:
    with pytest.raises(RefusedError):
        planned(reference.content(), small(tenant=Tenant(name=name, slug=slug)))


def test_a_vrf_of_the_house_is_never_a_tenants() -> None:
    asked = small(tenant=Tenant(name="Management", slug="management"))
    with pytest.raises(RefusedError, match="it is of Ville de Paris"):
        planned(reference.content(), asked)


def test_an_as_number_of_somebody_else_is_refused() -> None:
    bgp = Handoff(kind="bgp", bgp=Bgp(asn=4210000000))
    with pytest.raises(RefusedError, match="it is that of Paris Habitat"):
        planned(tenants.content(), small(handoff=bgp))
    bgp = Handoff(kind="bgp", bgp=Bgp(asn=4200000000))
    with pytest.raises(RefusedError, match="it is that of spine-a"):
        planned(tenants.content(), small(handoff=bgp))


def test_networks_that_a_tenant_brings_may_be_anybodys_but_not_from_our_pools() -> None:
    content = tenants.content()
    taken = edits.one(content, "prefixes", lambda p: p.description == "ap-hp-imaging").prefix
    with pytest.raises(RefusedError, match="is that of AP-HP"):
        planned(content, small(networks=(Network(name="stage", prefix=taken),)))
    own = small(networks=(Network(name="stage", prefix="10.64.1.0/24"),))
    made = carried_out(content, own)  # the city has that one in its own VRF
    assert checks.check(dc_of(made)) == []
    two = (Network(name="a", prefix="10.64.1.0/24"), Network(name="b", prefix="10.64.0.0/16"))
    with pytest.raises(RefusedError, match="Two networks of the tenant overlap"):
        planned(content, small(networks=two))


def test_a_reservation_that_holds_is_refused_and_one_that_lapsed_goes() -> None:
    content = tenants.content()
    rack = edits.one(content, "racks", edits.named("A4-R07"))

    def reserved(until: datetime.date) -> Content:
        record = r.RackReservation(
            id=99_001, rack=rack.id, units=(1, 2), tenant=tenant_id(content, "ap-hp"),
            status="active", custom_fields={HELD_UNTIL: until.isoformat()},
        )  # fmt: skip
        return edits.added(content, "rack_reservations", record)

    with pytest.raises(RefusedError, match=f"AP-HP, reserved until {TODAY}"):
        planned(reserved(TODAY), small())
    yesterday = TODAY - datetime.timedelta(days=1)
    plan = planned(reserved(yesterday), small())
    assert f"rack A4-R07: the reservation of AP-HP lapsed ({yesterday}) and goes" in plan.words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"held_until": TODAY - datetime.timedelta(days=1)}, "has lapsed"),
        ({"ends": TODAY - datetime.timedelta(days=1)}, "ended"),
    ],
)
def test_a_request_that_lapsed_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        planned(reference.content(), small(**changes))


# -- people, panels, units ------------------------------------------------------------------------


def test_a_contact_is_the_one_that_netbox_has_or_a_new_one() -> None:
    people = (
        Contact(name="AP-HP operations", role="operations", email="exploitation@aphp.example"),
        Contact(name="Ann O'Nym", role="signatory", email="ann@theatre.example"),
        Contact(name="Ann O'Nym", role="security", email="ann@theatre.example"),
    )
    asked = small(tenant=Tenant(name="Théâtre", slug="theatre", contacts=people))
    content = carried_out(reference.content(), asked)
    assert len(content.contacts) == len(reference.content().contacts) + 1
    own = tenant_id(content, "theatre")
    assert len([a for a in content.contact_assignments if a.object_id == own]) == 3
    # The other tenant's contact is not changed for this one; this one's own is.
    moved = tuple(replace(person, email="new@theatre.example") for person in people)
    again = small(tenant=Tenant(name="Théâtre", slug="theatre", contacts=moved))
    after = carried_out(content, again, ())
    assert edits.one(after, "contacts", edits.named("Ann O'Nym")).email == "new@theatre.example"
    emails = {c.email for c in after.contacts if c.name == "AP-HP operations"}
    assert emails == {"exploitation@aphp.example", "new@theatre.example"}


def with_panel(content: Content) -> Content:
    """The content with a patch panel of the house in aisle 4."""
    like = edits.device(content, "leaf-a4-ta")
    panel = replace(like, id=99_001, name="panel-a4", position=1.0, custom_fields={},
                    primary_ip4=None, role=edits.device(content, "pdu-a4-r06-a").role)  # fmt: skip
    content = edits.added(content, "devices", panel)
    for number in (1, 2):
        rear = r.RearPort(id=99_000 + number, device=panel.id, name=f"r{number}")
        mapping = r.PortMapping(position=1, rear_port=rear.id, rear_port_position=1)
        front = r.FrontPort(
            id=99_000 + number, device=panel.id, name=f"f{number}", rear_ports=(mapping,)
        )
        content = edits.added(content, "rear_ports", rear)
        content = edits.added(content, "front_ports", front)
    return content


def test_a_cross_connect_is_a_cable_to_a_free_port_of_a_panel() -> None:
    asked = small(cross_connects=(CrossConnect(aisle=4, panel="panel-a4", port="f1"),))
    content = carried_out(with_panel(reference.content()), asked)
    assert edits.one(content, "front_ports", edits.named("f1")).cable is not None
    assert planned(content, asked, ()).empty
    other = small(
        reference="T-9", tenant=Tenant(name="Other", slug="other"),
        cross_connects=asked.cross_connects,
    )  # fmt: skip
    with pytest.raises(RefusedError, match="port of a patch panel has a cable in it"):
        planned(content, other, ("A4-R09", "A4-R10"))
    lost = small(cross_connects=(CrossConnect(aisle=1, panel="panel-a4", port="f2"),))
    with pytest.raises(InputError, match="where the tenant has no rack"):
        planned(with_panel(reference.content()), lost)


def test_units_of_a_rack_are_reserved_and_that_of_the_edge() -> None:
    asked = small(space=Space(units=4, kw_per_rack=1.0))
    option = Option(racks=("A4-R07",), units=(10, 11, 12, 13))
    plan = onboard(dc_of(reference.content()), asked, option, TODAY)
    content = apply(reference.content(), plan.changes)
    (reservation,) = content.rack_reservations
    assert reservation.units == (10, 11, 12, 13, 42)
    assert edits.device(content, "edge-theatre-a4").position == 42.0
    assert planned(content, asked, ("A4-R07",)).empty
    with pytest.raises(InputError, match="not as many as the request asks for"):
        planned(reference.content(), asked, ("A4-R07",))


def test_a_name_of_any_characters_goes_through_every_step() -> None:
    name = "L'Hôpital «Œuvre» {{ 7*7 }} $(reboot) ; DROP TABLE--" + "x" * 40
    asked = small(tenant=Tenant(name=name, slug="a" * 50))
    content = carried_out(reference.content(), asked)
    dc = dc_of(content)
    assert checks.check(dc) == []
    vrf = next(vrf for vrf in content.vrfs if vrf.tenant == tenant_id(content, "a" * 50))
    assert vrf.name == "tenant-50200"
    text = render.render(intent.intent(dc, dc.device("leaf-a4-ta")))
    assert "reboot" not in text
    assert "49" not in {line.strip() for line in text.splitlines()}


# -- leaving --------------------------------------------------------------------------------------


def bare(content: Content) -> Any:
    """The content without what a leaving tenant leaves: its record, its people, quarantine."""
    plain = msgspec.to_builtins(content)
    for name in ("tenants", "contacts", "contact_assignments"):
        del plain[name]
    for record in [record for records in plain.values() for record in records]:
        if "custom_fields" in record:
            kept = record["custom_fields"].items()
            record["custom_fields"] = {k: v for k, v in kept if v is not None and k != QUARANTINE}
    return plain


def test_all_that_came_goes_but_the_tenant_and_the_quarantine() -> None:
    content = tenants.content()
    for slug in tenants.SLUGS:
        content = apply(content, offboard(dc_of(content), slug, TODAY).changes)
        assert checks.check(dc_of(content)) == []
        assert offboard(dc_of(content), slug, TODAY).empty
    assert bare(content) == bare(reference.content())
    assert {tenant.slug for tenant in content.tenants} >= set(tenants.SLUGS)
    kept = content.sites[0].custom_fields[QUARANTINE]
    assert {one["until"] for one in kept} == {"2027-04-04"}
    assert {one["kind"] for one in kept} == {
        "vids", "l2vnis", "l3vnis", "asns", "prefixes", "links"
    }  # fmt: skip


def test_a_leaving_tenant_is_off_the_switches_before_its_racks_are_free() -> None:
    dc = tenants.datacentre()
    plan = offboard(dc, "ap-hp", TODAY)
    frozen = dc_of(apply(dc.content, plan.changes[: plan.freeze]))
    own = tenant_id(dc.content, "ap-hp")
    assert len(of(frozen.content, "racks", own)) == 24
    assert checks.check(frozen) == []
    for switch in switches(frozen):
        text = render.render(intent.intent(frozen, switch))
        assert "ap-hp" not in text
    for name in set(plan.switches):
        assert frozen.device(name)


def test_what_others_have_is_as_it_was_when_a_tenant_leaves() -> None:
    dc = tenants.datacentre()
    after = dc_of(apply(dc.content, offboard(dc, "eau-de-paris", TODAY).changes))
    for switch in switches(dc):
        before, now = (intent.intent(each, each.device(switch.name or "")) for each in (dc, after))
        mine = [one for one in before.attachments if "eau-de-paris" not in one.peer]
        kept = {(one.ports, one.group, one.segment) for one in now.attachments}
        assert {(one.ports, one.group, one.segment) for one in mine} == kept
        assert {vrf.name for vrf in before.vrfs} - {vrf.name for vrf in now.vrfs} <= {
            "eau-de-paris"
        }
    others = set(tenants.SLUGS) - {"eau-de-paris"}
    for slug in others:
        own = tenant_id(dc.content, slug)
        for name in ("racks", "vlans", "prefixes", "vrfs", "l2vpns", "devices", "cables"):
            assert of(dc.content, name, own) == of(after.content, name, own)


def test_numbers_of_a_tenant_that_left_are_not_handed_out_again_yet() -> None:
    dc = tenants.datacentre()
    gone = apply(dc.content, offboard(dc, "paris-habitat", TODAY).changes)
    asked, racks = tenants.request("paris-habitat"), tenants.RACKS["paris-habitat"]
    before = {(t.kind, t.value) for t in planned(tenants.content("ap-hp"), asked, racks).taken}
    again = {(t.kind, t.value) for t in planned(gone, asked, racks).taken}
    assert not before & again
    later = TODAY + datetime.timedelta(days=91)
    plan = onboard(dc_of(gone), asked, Option(racks=racks), later)
    assert {(t.kind, t.value) for t in plan.taken} == before


def test_equipment_in_the_racks_or_on_the_ports_is_named() -> None:
    content = tenants.content()
    own = tenant_id(content, "eau-de-paris")
    rack = edits.one(content, "racks", edits.named("A2-R19"))
    like = edits.device(content, "compute-a1-01")
    pump = replace(like, id=99_001, name="pump-1", tenant=own, rack=rack.id, position=5.0,
                   primary_ip4=None, oob_ip=None, serial="")  # fmt: skip
    stray = replace(pump, id=99_002, name="stray", tenant=tenant_id(content, "ap-hp"), position=8.0)
    for device in (pump, stray):
        content = edits.added(content, "devices", device)
    with pytest.raises(RefusedError) as caught:
        offboard(dc_of(content), "eau-de-paris", TODAY)
    assert "pump-1 of Eau de Paris in A2-R19 U5" in str(caught.value)
    assert "stray of AP-HP in A2-R19 U8" in str(caught.value)


def test_a_foreign_device_on_the_tenants_port_is_named() -> None:
    content = tenants.content()
    edge = edits.device(content, "edge-eau-de-paris-a2")
    spare = edits.one(content, "interfaces", lambda i: (i.device, i.name) == (edge.id, "xc1"))
    far = edits.one(content, "interfaces", edits.port(content, "edge-ap-hp-a2", "xc1"))
    ends = [(r.Termination(object_type="dcim.interface", object_id=i.id),) for i in (spare, far)]
    cable = r.Cable(id=99_001, status="connected", a_terminations=ends[0], b_terminations=ends[1])
    content = edits.added(content, "cables", cable)
    for port in (spare, far):
        content = edits.edited(content, "interfaces", lambda i, p=port: i.id == p.id, cable=99_001)
    with pytest.raises(RefusedError, match="edge-ap-hp-a2 of AP-HP on edge-eau-de-paris-a2 xc1"):
        offboard(dc_of(content), "eau-de-paris", TODAY)


def test_networks_that_came_with_no_request_are_named() -> None:
    content = tenants.content()
    vlan = edits.one(content, "vlans", edits.named("eau-de-paris-oob"))
    content = edits.edited(content, "vlans", lambda v: v.id == vlan.id, custom_fields={})
    with pytest.raises(RefusedError, match="Not everything") as caught:
        offboard(dc_of(content), "eau-de-paris", TODAY)
    assert caught.value.found == f"VLAN {vlan.vid} eau-de-paris-oob"


def test_the_house_does_not_leave() -> None:
    with pytest.raises(RefusedError, match="runs the datacentre"):
        offboard(reference.datacentre(), "ville-de-paris", TODAY)
    with pytest.raises(InputError, match="no tenant nobody"):
        offboard(reference.datacentre(), "nobody", TODAY)


# -- as a file ------------------------------------------------------------------------------------


def test_a_plan_is_the_same_after_a_file_and_for_the_same_content(tmp_path: Path) -> None:
    plan = planned(tenants.content(), small())
    path = tmp_path / "plan.json"
    path.write_bytes(plans.encode(plan))
    assert plans.read(path) == plan
    assert plans.read(path).hash == planned(tenants.content(), small()).hash
    path.write_bytes(path.read_bytes().replace(b"A4-R07", b"A4-R17"))
    with pytest.raises(RefusedError, match="altered"):
        plans.read(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="not a plan for a tenant"):
        plans.read(path)


# -- whatever is asked for ------------------------------------------------------------------------

_FREE = tuple(f"A{aisle}-R{rack:02d}" for aisle in range(1, 5) for rack in range(7, 25))


@st.composite
def asked(draw: st.DrawFn) -> list[tuple[Request, tuple[str, ...]]]:
    """Up to four requests with racks that do not overlap."""
    racks = draw(st.permutations(_FREE))
    found = []
    for number in range(draw(st.integers(1, 4))):
        count = draw(st.integers(1, 4))
        kind = draw(st.sampled_from(["lacp", "bgp"]))
        lengths = draw(st.lists(st.integers(20, 28), max_size=3))
        request = Request(
            reference=f"T-{number}",
            tenant=Tenant(name=f"T {number}", slug=f"t{number}"),
            space=Space(racks=count, kw_per_rack=2.0),
            held_until=TODAY,
            networks=tuple(
                Network(name=f"n{i}", prefix_length=length) for i, length in enumerate(lengths)
            ),
            handoff=Handoff(kind=kind, ports=draw(st.integers(1, 2))),
            out_of_band=draw(st.integers(0, 1)),
        )
        found.append((request, tuple(racks[:count])))
        racks = racks[count:]
    return found


@settings(max_examples=15, deadline=None)
@given(asked())
def test_no_two_tenants_ever_share_anything(all_of: list[tuple[Request, tuple[str, ...]]]) -> None:
    content = reference.content()
    for request, racks in all_of:
        plan = planned(content, request, racks)
        after = apply(content, plan.changes)
        known = {tenant.id for tenant in content.tenants}
        for name in ("racks", "vlans", "vrfs", "prefixes", "l2vpns", "asns", "devices"):
            for tenant in known - {content.sites[0].tenant}:
                assert of(content, name, tenant) == of(after, name, tenant)
        content = after
        assert planned(content, request, racks).empty
    dc = dc_of(content)
    assert checks.check(dc) == []
    networks = [ipaddress.ip_network(p.prefix) for p in content.prefixes if p.tenant != 1]
    assert not any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[:i])
    for switch in switches(dc):
        render.render(intent.intent(dc, switch))
    for request, _ in all_of:
        content = apply(content, offboard(dc_of(content), request.tenant.slug, TODAY).changes)
    assert bare(content) == bare(reference.content())
