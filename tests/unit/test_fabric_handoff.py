"""Hand-offs to tenants that speak BGP: from NetBox to configurations, and what is judged."""

from collections.abc import Callable
from functools import cache
from typing import Any

import fabric_datacentre as fabric
import msgspec
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.checks.cabling import cabling
from chapelle.checks.fabric import Expected, Peer, after_change, as_intended
from chapelle.errors import InputError
from chapelle.fabric import links, ownership
from chapelle.fabric.intent import intent
from chapelle.fabric.platforms import PLATFORMS
from chapelle.fabric.render import render
from chapelle.fabric.switch import Handoff, Session, Switch
from chapelle.model.linkfile import PREFIX
from chapelle.model.records import Content
from chapelle.model.switch import BgpPeer, Facts, Identity, Neighbour
from chapelle.run.fabric import expect

replace = msgspec.structs.replace

LEAF, EDGE = ("leaf-a1-ta", "swp5"), ("edge-ap-hp-a1", "et1")


@cache
def tenants() -> Content:
    return fabric.tenants()


def switch(content: Content, name: str) -> Switch:
    dc = fabric.datacentre(content)
    return intent(dc, dc.device(name))


def handed_off(content: Content, name: str = "leaf-a1-ta") -> Handoff:
    (found,) = switch(content, name).handoffs
    return found


# -- what is meant --------------------------------------------------------------------------------


def test_a_port_in_a_vrf_is_handed_off_with_what_the_tenant_needs() -> None:
    assert handed_off(tenants()) == Handoff(
        number=5,
        name="swp5",
        vrf="ap-hp",
        peer="edge-ap-hp-a1",
        peer_port="et1",
        peer_asn=4_210_000_000,
        sessions=(
            Session(local="10.79.0.0/31", peer="10.79.0.1"),
            Session(local="2001:db8:79::/127", peer="2001:db8:79::1"),
        ),
        announced=("10.96.0.0/20", "10.96.16.0/29"),
        maximum_prefixes=8,
        mtu=9000,
    )
    other = handed_off(tenants(), "leaf-a1-tb")
    assert other.sessions == (Session(local="10.79.0.2/31", peer="10.79.0.3"),)
    assert "swp5" not in switch(tenants(), "leaf-a1-ta").unused


def test_how_many_prefixes_a_tenant_may_announce() -> None:
    vrf = fabric.find(tenants(), "vrfs", name="ap-hp")
    fields = {**vrf.custom_fields, "maximum_prefixes": 100}
    content = fabric.edited(tenants(), "vrfs", vrf, custom_fields=fields)
    assert handed_off(content).maximum_prefixes == 100
    none = fabric.changed(tenants(), "prefixes", lambda each: replace(each, status="deprecated"))
    assert (handed_off(none).announced, handed_off(none).maximum_prefixes) == ((), 4)


def test_what_another_vrf_may_announce_is_not_this_one_s() -> None:
    content = fabric.tenant_vrf(tenants(), "eau-de-paris", 104)
    prefix = fabric.find(content, "prefixes", prefix="10.96.0.0/20")
    other = fabric.find(content, "vrfs", name="eau-de-paris")
    content = fabric.edited(content, "prefixes", prefix, vrf=other.id)
    assert handed_off(content).announced == ("10.96.16.0/29",)


@pytest.mark.parametrize("name", ["leaf-a1-1a", "border-a1", "leaf-a2-ta"])
def test_any_leaf_hands_off_and_has_the_vrf_then(name: str) -> None:
    """Also where the tenant has no rack and no VLAN."""
    content = fabric.tenant_vrf(reference.content(), "eau-de-paris", 104)
    content = fabric.edge(content, "edge-eau-a1", "eau-de-paris", 4_210_000_001)
    free = switch(content, name).unused[0]
    content = fabric.handed_off(
        content, (name, free), ("edge-eau-a1", "et1"), "eau-de-paris",
        ("10.79.0.8/30", "10.79.0.10/30")
    )  # fmt: skip
    found = switch(content, name)
    (one,) = found.handoffs
    assert one.sessions == (Session(local="10.79.0.8/30", peer="10.79.0.10"),)
    assert "eau-de-paris" in {vrf.name for vrf in found.vrfs}


def test_a_tenant_s_equipment_in_stock_or_with_a_disabled_port_is_not_spoken_to() -> None:
    device = fabric.find(tenants(), "devices", name="edge-ap-hp-a1")
    content = fabric.edited(tenants(), "devices", device, status="inventory")
    assert switch(content, "leaf-a1-ta").handoffs == ()
    off = fabric.edited(tenants(), "interfaces", fabric.port(tenants(), *EDGE), enabled=False)
    assert "swp5" in switch(off, "leaf-a1-ta").unused


@settings(max_examples=10, deadline=None)
@given(more=st.sets(st.integers(6, 40), min_size=1, max_size=4))
def test_another_tenant_s_hand_offs_change_nothing_of_the_first(more: set[int]) -> None:
    content = fabric.tenant_vrf(tenants(), "eau-de-paris", 104)
    for place, number in enumerate(sorted(more), start=1):
        name = f"edge-eau-a{place}"
        content = fabric.edge(content, name, "eau-de-paris", 4_210_000_001)
        content = fabric.handed_off(
            content, ("leaf-a1-ta", f"swp{number}"), (name, "et1"), "eau-de-paris",
            (f"10.79.1.{2 * number}/31", f"10.79.1.{2 * number + 1}/31"),
        )  # fmt: skip
    before, after = switch(tenants(), "leaf-a1-ta"), switch(content, "leaf-a1-ta")
    assert set(before.handoffs) <= set(after.handoffs)
    assert len(after.handoffs) == len(more) + 1
    assert before.attachments == after.attachments
    text = render(after)
    for line in render(before).splitlines():
        assert line in text.splitlines() or line == " shutdown"


# -- what NetBox lacks, or has wrong --------------------------------------------------------------


def near(**changes: Any) -> Callable[[Content], Content]:
    return lambda content: fabric.edited(
        content, "interfaces", fabric.port(content, *LEAF), **changes
    )


def device(**changes: Any) -> Callable[[Content], Content]:
    return lambda content: fabric.edited(
        content, "devices", fabric.find(content, "devices", name="edge-ap-hp-a1"), **changes
    )


def address(text: str, **changes: Any) -> Callable[[Content], Content]:
    return lambda content: fabric.edited(
        content, "ip_addresses", fabric.find(content, "ip_addresses", address=text), **changes
    )


def second_address(content: Content) -> Content:
    found = fabric.find(content, "ip_addresses", address="10.79.0.0/31")
    return fabric.added(
        content, "ip_addresses", replace(found, id=10**6, address="10.79.0.8/31"),
        replace(found, id=10**6 + 1, address="10.79.0.9/31",
                assigned_object_id=fabric.port(content, *EDGE).id),
    )  # fmt: skip


def another_s_vrf(content: Content) -> Content:
    content = fabric.tenant_vrf(content, "eau-de-paris", 104)
    return near(vrf=fabric.find(content, "vrfs", name="eau-de-paris").id)(content)


def management_port(content: Content) -> Content:
    return fabric.edited(content, "interfaces", fabric.port(content, *EDGE), mgmt_only=True)


def on_an_out_of_band_switch(content: Content) -> Content:
    wrong = fabric.find(content, "device_roles", slug="oob").id
    leaf = fabric.find(content, "devices", name="leaf-a1-ta")
    return fabric.edited(content, "devices", leaf, role=wrong)


def vlan_too(content: Content) -> Content:
    return near(untagged_vlan=fabric.find(content, "vlans", vid=1000).id)(content)


WRONG: dict[str, tuple[Callable[[Content], Content], str]] = {
    "a server at the other end": (device(role=1), "leads to nothing that is handed a VRF"),
    "its management port": (management_port, "leads to nothing that is handed a VRF"),
    "an out-of-band switch": (on_an_out_of_band_switch, "leads to nothing that is handed a VRF"),
    "a vlan too": (vlan_too, "in VLANs too"),
    "a vrf of another tenant": (another_s_vrf, "not this tenant's"),
    "the management vrf": (near(vrf=2), "not this tenant's"),
    "a vrf that is gone": (near(vrf=10**6), "not this tenant's"),
    "equipment of nobody": (device(tenant=None), "not this tenant's"),
    "no as number": (device(custom_fields={}), "no AS number of its own"),
    "the switch's as number": (
        device(custom_fields={"bgp_asn": 4_200_000_107}),
        "no AS number of its own",
    ),
    "no address": (address("10.79.0.0/31", assigned_object_id=None), "an address of one network"),
    "no address of the tenant's": (
        address("10.79.0.1/31", assigned_object_id=None),
        "an address of one network",
    ),
    "an address of another vrf": (address("10.79.0.1/31", vrf=1), "an address of one network"),
    "another network": (address("10.79.0.1/31", address="10.79.0.5/31"), "of one network"),
    "a large network": (address("10.79.0.0/31", address="10.79.0.0/24"), "of one network"),
    "two addresses": (second_address, "an address of one network"),
    "one end of ipv6": (
        address("2001:db8:79::1/127", assigned_object_id=None),
        "an address of one network",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_missing_or_wrong_is_named(name: str) -> None:
    edit, message = WRONG[name]
    with pytest.raises(InputError, match=message) as caught:
        switch(edit(tenants()), "leaf-a1-ta")
    error = caught.value
    assert "edge-ap-hp-a1" in (error.where or "")
    assert error.expected
    assert error.found
    assert error.remedy


# -- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", PLATFORMS)
def test_nothing_of_a_hand_off_stays_when_it_is_gone(slug: str) -> None:
    with_it = switch(fabric.on_platform(tenants(), slug), "leaf-a1-ta")
    free = tuple(sorted((*with_it.unused, *(each.name for each in with_it.handoffs))))
    without = replace(with_it, handoffs=(), unused=free)
    running = ownership.merge(slug, "", render(with_it))
    for word in ("CHAPELLE-FROM-ap-hp-IPV4", "CHAPELLE-TO-TENANTS-IPV6", "10.79.0.1"):
        assert word in running
        assert word not in ownership.merge(slug, running, render(without))


@pytest.mark.parametrize("slug", PLATFORMS)
def test_a_tenant_of_another_vrf_is_in_no_filter(slug: str) -> None:
    content = fabric.tenant_vrf(tenants(), "eau-de-paris", 104)
    content = fabric.edge(content, "edge-eau-a1", "eau-de-paris", 4_210_000_001)
    content = fabric.handed_off(
        content, ("leaf-a1-ta", "swp6"), ("edge-eau-a1", "et1"), "eau-de-paris",
        ("10.79.0.8/31", "10.79.0.9/31"),
    )  # fmt: skip
    text = render(switch(fabric.on_platform(content, slug), "leaf-a1-ta"))
    lists = [line for line in text.splitlines() if "CHAPELLE-FROM-eau-de-paris-IPV4" in line]
    assert lists, text
    assert not [line for line in lists if "permit" in line]  # nothing that it may announce yet
    assert "route-map CHAPELLE-FROM-eau-de-paris-IPV4 deny 10" in text
    assert "CHAPELLE-FROM-eau-de-paris-IPV6" not in text


def test_a_vrf_that_the_platform_has_itself_is_called_otherwise_everywhere() -> None:
    vrf = fabric.find(tenants(), "vrfs", name="ap-hp")
    content = fabric.edited(tenants(), "vrfs", vrf, name="mgmt")
    leaf = switch(content, "leaf-a1-ta")
    (one,) = leaf.handoffs
    assert one.vrf == "fabric-mgmt"
    assert "CHAPELLE-FROM-fabric-mgmt-IPV4" in render(leaf)


def test_the_kernel_has_the_port_in_the_vrf_with_its_addresses_and_mtu() -> None:
    both, four = (
        {f["path"]: f["content"] for f in links.links(switch(tenants(), name))}[
            f"{PREFIX}swp5.network"
        ]
        for name in ("leaf-a1-ta", "leaf-a1-tb")
    )
    for line in (
        "VRF=ap-hp",
        "Address=10.79.0.0/31",
        "Address=2001:db8:79::/127",
        "MTUBytes=9000",
        "LinkLocalAddressing=ipv6",
    ):
        assert line in both.splitlines()
    for line in ("VRF=ap-hp", "Address=10.79.0.2/31", "MTUBytes=1500", "LinkLocalAddressing=no"):
        assert line in four.splitlines()
    assert "Bridge=" not in both + four


# -- out of band ----------------------------------------------------------------------------------


def out_of_band() -> Content:
    """AP-HP's equipment is managed by a VLAN of its own at an out-of-band switch."""
    content = tenants()
    vrf, tenant = (fabric.find(content, name, **{key: "ap-hp"}).id
                   for name, key in (("vrfs", "name"), ("tenants", "slug")))  # fmt: skip
    content = fabric.tenant_vlan(content, 1100, tenant, vrf, ["10.80.9.1/24"])
    vlan = fabric.find(content, "vlans", vid=1100).id
    free = switch(content, "oob-a1-1").unused[0]
    access = fabric.port(content, "oob-a1-1", free)
    content = fabric.edited(content, "interfaces", access, mode="access", untagged_vlan=vlan)
    uplink = fabric.port(content, "oob-a1-1", "uplink")
    content = fabric.edited(
        content, "interfaces", uplink, tagged_vlans=(*uplink.tagged_vlans, vlan)
    )
    near_end = fabric.port(content, "oob-a1-1", free)
    return fabric.cabled(content, near_end, fabric.port(content, "edge-ap-hp-a1", "mgmt"))


def test_a_tenant_s_vlan_out_of_band_ends_in_its_own_vrf_at_the_borders() -> None:
    content = out_of_band()
    oob = switch(content, "oob-a1-1")
    (port,) = [one for one in oob.attachments if one.peer == "edge-ap-hp-a1"]
    assert (port.untagged, port.tagged) == (1100, ()), "and not that of management"
    (uplink,) = [one for one in oob.attachments if one.group == "uplink"]
    assert (uplink.untagged, uplink.tagged) == (None, (301, 1100))
    for name in ("border-a1", "border-a4"):
        border = switch(content, name)
        carried = {one.peer: one.vids for one in border.attachments}
        assert carried.pop("oob-a1-1") == (301, 1100)
        assert not [peer for peer, vids in carried.items() if 1100 in vids]
        vlans = {vlan.vid: vlan for vlan in border.vlans}
        assert vlans[1100].vrf == "ap-hp"
        assert vlans[1100].gateways == ("10.80.9.1/24",)
        assert vlans[301].vrf == "management"
        one, other = vlans[1100].overlay, vlans[301].overlay
        assert one is not None
        assert other is not None
        assert one.vni == 11100
        assert one.vni != other.vni
        assert not set(one.import_targets) & set(other.export_targets)
        assert not set(other.import_targets) & set(one.export_targets)
        vrfs = {vrf.name: vrf.overlay for vrf in border.vrfs}
        assert not set(vrfs["ap-hp"].import_targets) & set(vrfs["management"].export_targets)
        assert not set(vrfs["management"].import_targets) & set(vrfs["ap-hp"].export_targets)
    for name in ("oob-a1-2", "oob-a2-1", "leaf-a1-1a"):
        assert 1100 not in {vlan.vid for vlan in switch(content, name).vlans}


# -- what LLDP says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "port", "rules"),
    [
        ("router-1.hospital.example", "ge-0/0/1", []),
        ("edge-ap-hp-a1", "et1", []),
        ("edge-ap-hp-a1", "et2", ["cable-wrong"]),
        ("compute-a1-01", "eno1", ["cable-wrong"]),
    ],
)
def test_a_tenant_s_router_calls_itself_as_it_likes_but_not_as_another(
    system: str, port: str, rules: list[str]
) -> None:
    heard = Neighbour(interface="swp5", system=system, port=port)
    seen = Facts(identity=Identity(serial="S1", hostname="leaf-a1-ta"), neighbours=(heard,))
    findings = cabling(fabric.datacentre(tenants()), {"leaf-a1-ta": seen})
    assert [finding.rule for finding in findings] == rules


# -- what is judged -------------------------------------------------------------------------------

TENANT = Peer(vrf="ap-hp", family="ipv4", peer="10.79.0.1")
TENANT_SIX = Peer(vrf="ap-hp", family="ipv6", peer="2001:db8:79::1")


@cache
def expected() -> Expected:
    dc = fabric.datacentre(tenants())
    leaf = dc.device("leaf-a1-ta")
    return expect.expected(dc, leaf, intent(dc, leaf))


def facts(established: bool, *peers: Peer) -> Facts:
    """A leaf that does all that it is meant to; the sessions with these tenants are up or not."""
    made = [(peer, True) for peer in expected().peers] + [(peer, established) for peer in peers]
    return Facts(
        identity=Identity(serial=expected().serial, hostname="leaf-a1-ta"),
        bgp=tuple(
            BgpPeer(vrf=peer.vrf, family=peer.family, peer=peer.peer, established=up)
            for peer, up in made
        ),
    )


def sessions(differences: list[Any]) -> set[str]:
    return {each.item for each in differences if each.area == "bgp"}


def test_both_sessions_are_expected_and_whose_they_are_and_their_port_is_enabled() -> None:
    assert expected().handoffs == {TENANT: "edge-ap-hp-a1", TENANT_SIX: "edge-ap-hp-a1"}
    assert TENANT not in expected().peers
    assert expected().ports["swp5"] is True
    dc = fabric.datacentre(tenants())
    leaf = dc.device("leaf-a1-ta")
    assert expect.expected(dc, leaf, intent(dc, leaf), vnis=False).handoffs == {}


def test_a_push_need_not_bring_a_tenant_s_session_up() -> None:
    for after in (facts(False, TENANT, TENANT_SIX), facts(True)):
        assert sessions(after_change(expected(), facts(True), after)) == set()
        assert sessions(after_change(expected(), facts(False, TENANT), after)) == set()


def test_a_push_may_not_lose_a_tenant_s_session_that_was_up() -> None:
    before = facts(True, TENANT, TENANT_SIX)
    for after in (facts(False, TENANT, TENANT_SIX), facts(True)):
        lost = sessions(after_change(expected(), before, after))
        assert lost == {str(TENANT), str(TENANT_SIX)}


def test_a_push_that_takes_a_tenant_away_loses_nothing() -> None:
    gone = replace(expected(), handoffs={})
    assert sessions(after_change(gone, facts(True, TENANT), facts(True))) == set()


def test_a_change_can_be_taken_back_although_the_tenant_is_gone_by_now() -> None:
    was = expect.as_before("S1", facts(True, TENANT))
    assert set(was.peers) == set(expected().peers)
    assert sessions(after_change(was, facts(True), facts(True))) == set()
    assert sessions(after_change(was, facts(True, TENANT), facts(False, TENANT))) == {str(TENANT)}


def test_a_session_that_is_down_is_a_finding_once_the_tenant_is_in_service() -> None:
    names = {neighbour.system for neighbour in expected().cables.values()}
    down = facts(False, TENANT, TENANT_SIX)
    planned = expect.awaiting(expected(), names)
    assert sessions(as_intended(planned, down)) == set()
    active = expect.awaiting(expected(), names | {"edge-ap-hp-a1"})
    assert sessions(as_intended(active, down)) == {str(TENANT), str(TENANT_SIX)}
    assert sessions(as_intended(active, facts(True, TENANT, TENANT_SIX))) == set()
