"""What a switch shall do, by what NetBox says, and what is said when NetBox lacks it."""

from collections import Counter
from functools import cache
from typing import Any

import fabric_datacentre as fabric
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.errors import InputError
from chapelle.fabric import allocation
from chapelle.fabric.intent import intent
from chapelle.fabric.switch import Switch
from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.model.records import Content

replace = fabric.replace


@cache
def whole() -> Datacentre:
    return fabric.datacentre(fabric.tenants())


def switches(dc: Datacentre) -> dict[str, Switch]:
    return {
        name: intent(dc, device)
        for name, device in dc.devices_by_name.items()
        if dc.role_of(device) in SWITCH_ROLES
    }


@cache
def all_of_them() -> dict[str, Switch]:
    return switches(whole())


def of(name: str) -> Switch:
    return all_of_them()[name]


def refusal(content: Content, name: str) -> InputError:
    dc = fabric.datacentre(content)
    with pytest.raises(InputError) as caught:
        intent(dc, dc.device(name))
    assert caught.value.where
    assert caught.value.expected
    return caught.value


# -- what each role does --------------------------------------------------------------------------


def test_a_leaf_has_its_servers_their_vlans_and_the_vrf_of_these() -> None:
    leaf = of("leaf-a2-1a")
    assert leaf.router is not None
    assert (leaf.router.asn, leaf.router.loopback) == (4200000201, "10.67.0.21")
    assert leaf.router.router_mac == "02:01:0a:43:00:15"
    assert [(p.name, p.peer) for p in leaf.fabric] == [
        (f"swp{49 + n}", f"spine-a{1 + n}") for n in range(4)
    ]
    assert len(leaf.attachments) == 26
    assert [(v.vid, v.overlay and v.overlay.vni, v.vrf, v.gateways) for v in leaf.vlans] == [
        (102, 10102, "ville-de-paris", ("10.64.2.1/24",)),
        (202, 10202, None, ()),
    ]
    assert [(v.name, v.overlay.vni, v.overlay.rd) for v in leaf.vrfs] == [
        ("ville-de-paris", 50101, "10.67.0.21:50101")
    ]
    assert leaf.management == ("eth0",)
    used = {p for one in leaf.attachments for p in one.ports} | {p.name for p in leaf.fabric}
    assert set(leaf.unused) == {f"swp{n}" for n in range(1, 57)} - used


def test_a_server_s_port_carries_what_the_server_has_links_for() -> None:
    vids = {one.peer: one.vids for one in of("leaf-a2-1a").attachments}
    assert vids["compute-a2-01"] == (102, 202)
    assert vids["infra-a2-01"] == (102,)  # its bond could carry storage, but nothing there uses it


def test_both_leafs_of_a_pair_say_the_same_of_a_server() -> None:
    a, b = (
        {one.peer: one for one in of(name).attachments} for name in ("leaf-a2-1a", "leaf-a2-1b")
    )
    assert a == b
    assert {one.group for one in a.values()} == {f"bond{one.number}" for one in a.values()}


def test_the_spines_only_route() -> None:
    spine = of("spine-a2")
    assert spine.router is not None
    assert (spine.vlans, spine.vrfs, spine.attachments) == ((), (), ())
    assert len(spine.fabric) == 34
    assert len({port.peer_asn for port in spine.fabric}) == 34


def test_border_leafs_have_every_vrf_and_the_management_networks() -> None:
    border = of("border-a4")
    assert {vrf.name for vrf in border.vrfs} == {vrf.name for vrf in whole().content.vrfs}
    assert [vlan.vid for vlan in border.vlans] == [301, 302, 303, 304]
    assert {one.peer for one in border.attachments} == {
        f"oob-a{aisle}-{n}" for aisle in (1, 2, 3, 4) for n in (1, 2, 3)
    }
    assert border.attachments == of("border-a1").attachments


def test_out_of_band_switches_only_bridge() -> None:
    oob = of("oob-a1-1")
    assert (oob.router, oob.vrfs, oob.fabric) == (None, (), ())
    assert [(v.vid, v.overlay, v.gateways) for v in oob.vlans] == [(301, None, ())]
    by_port = {one.ports: one for one in oob.attachments}
    assert by_port["swp21",].peer == "leaf-a1-1a"
    assert by_port["swp21",].untagged == 301
    uplink = by_port["swp49", "swp50"]
    assert (uplink.group, uplink.peer, uplink.tagged) == ("uplink", "border-a1 border-a4", (301,))
    assert oob.management == ("mgmt",)


def test_a_tenant_leaf_has_the_vrfs_of_who_rents_in_its_aisle() -> None:
    assert [vrf.name for vrf in of("leaf-a1-tb").vrfs] == ["ap-hp"]
    assert of("leaf-a2-ta").vrfs == ()
    content = fabric.tenant_vrf(reference.content(), "eau-de-paris", 104)
    renting = fabric.edited(
        content,
        "racks",
        fabric.find(content, "racks", name="A2-R24"),
        tenant=fabric.find(content, "tenants", slug="eau-de-paris").id,
    )
    dc = fabric.datacentre(renting)
    assert [vrf.name for vrf in intent(dc, dc.device("leaf-a2-ta")).vrfs] == ["eau-de-paris"]
    assert [vrf.name for vrf in intent(dc, dc.device("leaf-a2-1a")).vrfs] == ["ville-de-paris"]


def test_a_tenant_s_machines_on_two_leafs_on_two_ports_and_on_one() -> None:
    both, single, double = of("leaf-a1-ta").attachments
    assert (both.group, both.vids, both.mtu) == ("bond1", (1000, 1001, 1002), 9000)
    assert both.segment is not None
    assert (single.group, single.untagged, single.tagged) == ("", 1000, (1001,))
    assert (double.group, double.ports, double.segment) == ("bond3", ("swp3", "swp4"), None)
    (vrf,) = of("leaf-a1-ta").vrfs
    assert vrf.overlay.import_targets == ("4200000000:102", "4200000000:2102")
    routed = {vlan.vid: vlan.gateways for vlan in of("leaf-a1-ta").vlans}
    assert routed == {
        1000: ("10.80.1.1/24",),
        1001: ("10.80.2.1/24", "2001:db8:80:2::1/64"),
        1002: (),
    }


def test_a_vrf_that_the_platform_has_itself_is_called_otherwise() -> None:
    content = fabric.on_platform(fabric.tenants(), "cisco_nxos")
    border = switches(fabric.datacentre(content))["border-a1"]
    assert "fabric-management" in {vrf.name for vrf in border.vrfs}
    assert {vlan.vrf for vlan in border.vlans} == {"fabric-management"}


def test_a_port_that_is_disabled_or_leads_to_something_in_stock_is_unused() -> None:
    content = reference.content()
    content = fabric.edited(
        content, "interfaces", fabric.port(content, "leaf-a1-1a", "swp1"), enabled=False
    )
    server = fabric.find(content, "devices", name="storage-a1-02")
    content = fabric.edited(content, "devices", server, status="inventory")
    content = fabric.edited(
        content, "interfaces", fabric.port(content, "spine-a4", "swp1"), enabled=False
    )
    dc = fabric.datacentre(content)
    leaf = intent(dc, dc.device("leaf-a1-1a"))
    assert {"swp1", "swp2", "swp52"} <= set(leaf.unused)


# -- numbers --------------------------------------------------------------------------------------


def test_no_number_is_used_twice() -> None:
    every = all_of_them()
    routers = [switch.router for switch in every.values() if switch.router]
    for field in ("loopback", "router_mac"):
        values = [getattr(router, field) for router in routers]
        assert len(set(values)) == len(values) == 38
    segments = Counter(
        (one.segment, one.peer)
        for switch in every.values()
        for one in switch.attachments
        if one.segment
    )
    assert set(segments.values()) == {2}  # on both switches of a pair
    assert len({segment for segment, _ in segments}) == len(segments)
    macs = {one.segment.system_mac for s in every.values() for one in s.attachments if one.segment}
    assert not macs & {router.router_mac for router in routers}
    assert allocation.GATEWAY_MAC not in macs
    rds = Counter(o.rd for s in every.values() for o in overlays(s))
    assert set(rds.values()) == {1}


def overlays(switch: Switch) -> list[Any]:
    return [vrf.overlay for vrf in switch.vrfs] + [v.overlay for v in switch.vlans if v.overlay]


def test_an_identifier_is_ten_octets_of_mac_and_number() -> None:
    made = allocation.identifier("02:02:0a:43:00:01", 37, 3)
    assert made.hex(":") == "03:02:02:0a:43:00:01:00:00:25"


RACKS = sorted({d.rack for d in reference.content().devices if d.rack})
AISLES = sorted(reference.datacentre().aisles)


@settings(max_examples=20, deadline=None)
@given(aisles=st.sets(st.sampled_from(AISLES), max_size=3), racks=st.sets(st.sampled_from(RACKS)))
def test_what_is_added_never_renumbers_what_was_there(aisles: set[str], racks: set[int]) -> None:
    """Remove aisles and the servers of racks: what remains has the numbers that it has with them.

    One switch or server is another's neighbour, so it may vanish from there, but nothing changes.
    """
    later = fabric.tenants()
    dc = whole()
    gone = {
        name
        for name, device in dc.devices_by_name.items()
        if dc.aisle_number(device) in aisles or (dc.is_server(device) and device.rack in racks)
    }
    gone -= set(BORDERS)  # a group to both is another one with only one of them
    before = switches(fabric.datacentre(fabric.without(later, gone)))
    for name, early in before.items():
        late = of(name)
        assert early.router == late.router
        assert set(early.fabric) <= set(late.fabric)
        assert set(early.vlans) <= set(late.vlans)
        assert set(early.vrfs) <= set(late.vrfs)
        assert set(early.attachments) <= set(late.attachments)


BORDERS = ("border-a1", "border-a4")


def test_equal_content_in_another_order_is_equal_intent() -> None:
    content = fabric.tenants()
    lists = ("interfaces", "cables", "ip_addresses", "vlans", "vrfs", "prefixes", "devices")
    turned = replace(content, **{name: getattr(content, name)[::-1] for name in lists})
    assert switches(fabric.datacentre(turned)) == all_of_them()


# -- what NetBox lacks ----------------------------------------------------------------------------


def without_loopback(content: Content) -> Content:
    address = fabric.find(content, "ip_addresses", address="10.67.0.1/32")
    return fabric.edited(content, "ip_addresses", address, role=None)


def loopback_from_elsewhere(content: Content) -> Content:
    address = fabric.find(content, "ip_addresses", address="10.67.0.1/32")
    return fabric.edited(content, "ip_addresses", address, address="192.0.2.1/32")


def without_asn(content: Content) -> Content:
    device = fabric.find(content, "devices", name="leaf-a1-1a")
    return fabric.edited(content, "devices", device, custom_fields={})


def spine_without_asn(content: Content) -> Content:
    device = fabric.find(content, "devices", name="spine-a3")
    return fabric.edited(content, "devices", device, custom_fields={"bgp_asn": None})


def without_l2vpn(content: Content) -> Content:
    return replace(content, l2vpn_terminations=())


def two_l2vpns(content: Content) -> Content:
    return fabric.added(
        content,
        "l2vpn_terminations",
        replace(content.l2vpn_terminations[0], id=10**6, l2vpn=2),
    )


def without_identifier(content: Content) -> Content:
    l2vpn = fabric.find(content, "l2vpns", slug="servers-a1")
    return fabric.edited(content, "l2vpns", l2vpn, identifier=None)


def large_identifier(content: Content) -> Content:
    l2vpn = fabric.find(content, "l2vpns", slug="servers-a1")
    return fabric.edited(content, "l2vpns", l2vpn, identifier=70_000)


def without_targets(content: Content) -> Content:
    l2vpn = fabric.find(content, "l2vpns", slug="servers-a1")
    return fabric.edited(content, "l2vpns", l2vpn, import_targets=())


def without_l3vni(content: Content) -> Content:
    vrf = fabric.find(content, "vrfs", name="ville-de-paris")
    return fabric.edited(content, "vrfs", vrf, custom_fields={})


def long_vrf(content: Content) -> Content:
    vrf = fabric.find(content, "vrfs", name="ville-de-paris")
    return fabric.edited(content, "vrfs", vrf, name="la-ville-de-paris")


def gateway_in_the_global_table(content: Content) -> Content:
    prefix = fabric.find(content, "prefixes", prefix="10.64.1.0/24")
    address = fabric.find(content, "ip_addresses", address="10.64.1.1/24")
    content = fabric.edited(content, "prefixes", prefix, vrf=None)
    return fabric.edited(content, "ip_addresses", address, vrf=None)


def one_number_for_two_vlans(content: Content) -> Content:
    vlan = fabric.find(content, "vlans", vid=201)
    return fabric.edited(content, "vlans", vlan, vid=101)


def cable_between_leafs(content: Content) -> Content:
    ends = [fabric.port(content, name, "swp48") for name in ("leaf-a1-1a", "leaf-a1-1b")]
    return fabric.cabled(content, *ends)


def port_without_number(content: Content) -> Content:
    return fabric.edited(
        content, "interfaces", fabric.port(content, "leaf-a1-1a", "swp48"), name="last"
    )


def ports_of_one_number(content: Content) -> Content:
    return fabric.edited(
        content, "interfaces", fabric.port(content, "leaf-a1-1a", "swp2"), name="swp0/1"
    )


def unknown_platform(content: Content) -> Content:
    device = fabric.find(content, "devices", name="leaf-a1-1a")
    return fabric.edited(content, "devices", device, platform=1)


def no_platform(content: Content) -> Content:
    device = fabric.find(content, "devices", name="leaf-a1-1a")
    return fabric.edited(content, "devices", device, platform=None)


LACKING = {
    without_loopback: "device leaf-a1-1a",
    loopback_from_elsewhere: "device leaf-a1-1a",
    without_asn: "device leaf-a1-1a",
    spine_without_asn: "device spine-a3",
    without_l2vpn: "VLAN 101 (servers-a1)",
    two_l2vpns: "VLAN 101 (servers-a1)",
    without_identifier: "L2VPN servers-a1",
    large_identifier: "L2VPN servers-a1",
    without_targets: "L2VPN servers-a1",
    without_l3vni: "VRF ville-de-paris",
    long_vrf: "VRF la-ville-de-paris",
    gateway_in_the_global_table: "VLAN 101 (servers-a1)",
    one_number_for_two_vlans: "device leaf-a1-1a",
    cable_between_leafs: "leaf-a1-1a swp48 - leaf-a1-1b swp48",
    port_without_number: "interface last",
    ports_of_one_number: "device leaf-a1-1a",
    unknown_platform: "device leaf-a1-1a",
    no_platform: "device leaf-a1-1a",
}


@pytest.mark.parametrize("edit", LACKING, ids=lambda edit: edit.__name__)
def test_what_is_missing_or_wrong_is_named(edit: Any) -> None:
    error = refusal(edit(reference.content()), "leaf-a1-1a")
    assert LACKING[edit] in (error.where or "")


@pytest.mark.parametrize("name", ["compute-a1-01", "pdu-a1-r01-a"])
def test_a_server_and_a_pdu_are_no_switches(name: str) -> None:
    assert "not a switch" in refusal(reference.content(), name).message


def test_a_device_of_an_unknown_role_is_refused() -> None:
    content = reference.content()
    device = fabric.find(content, "devices", name="leaf-a1-1a")
    assert "role" in (
        refusal(fabric.edited(content, "devices", device, role=10**6), "leaf-a1-1a").found or ""
    )


def test_the_partner_of_a_switch() -> None:
    dc = whole()

    def partners(name: str) -> list[str | None]:
        return [other.name for other in dc.partners(dc.device(name))]

    assert partners("leaf-a1-1a") == ["leaf-a1-1b"]
    assert partners("leaf-a3-tb") == ["leaf-a3-ta"]
    assert partners("border-a1") == ["border-a4"]
    assert partners("spine-a1") == partners("oob-a1-1") == partners("compute-a1-01") == []
    dc = fabric.datacentre(fabric.without(reference.content(), ["leaf-a1-1b"]))
    assert dc.partners(dc.device("leaf-a1-1a")) == ()


def test_an_l2vpn_of_another_type_carries_no_vlan() -> None:
    content = fabric.changed(reference.content(), "l2vpns", lambda each: replace(each, type="vpls"))
    assert "no L2VPN" in refusal(content, "leaf-a1-1a").message


def test_records_without_an_order_of_their_own_do_not_matter() -> None:
    target = r.RouteTarget(id=10**6, name="4200000000:1", tenant=None)
    content = fabric.added(reference.content(), "route_targets", target)
    vrf = fabric.find(content, "vrfs", name="ville-de-paris")
    content = fabric.edited(content, "vrfs", vrf, export_targets=(*vrf.export_targets, 10**6))
    dc = fabric.datacentre(content)
    (made,) = intent(dc, dc.device("leaf-a1-1a")).vrfs
    assert made.overlay.export_targets == ("4200000000:1", "4200000000:101")
