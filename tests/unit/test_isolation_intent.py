"""Three tenants are apart; each leak that is planted is found, named, and the only one."""

import time
from collections.abc import Callable

import isolation_sites
import msgspec
import pytest
from isolation_sites import Site

from chapelle.checks.tenancy.isolation import prove
from chapelle.model import records as r
from chapelle.model.isolation import Proof

type Plant = Callable[[Site], object]


def proof(site: Site) -> Proof:
    return prove(isolation_sites.datacentre(site))


def of(site: Site, name: str, **wanted: object) -> r.Record:
    found: r.Record = site.find(name, **wanted)
    return found


def tenant(site: Site, slug: str) -> int:
    number: int = site.find("tenants", slug=slug).id
    return number


def target(site: Site, name: str) -> int:
    number: int = site.find("route_targets", name=name).id
    return number


def wrong_import(site: Site) -> None:
    vrf = site.find("vrfs", name="ap-hp")
    wrong = target(site, "4200000000:50201")
    site.change("vrfs", vrf, import_targets=(*vrf.import_targets, wrong))


def wrong_export(site: Site) -> None:
    vrf = site.find("vrfs", name="ap-hp")
    wrong = target(site, "4200000000:50201")
    site.change("vrfs", vrf, export_targets=(*vrf.export_targets, wrong))


def vlan_imports_management(site: Site) -> None:
    l2vpn = site.find("l2vpns", slug="eau-de-paris-lan")
    wrong = target(site, "4200000000:10301")
    site.change("l2vpns", l2vpn, import_targets=(*l2vpn.import_targets, wrong))


def vlan_on_the_wrong_port(site: Site) -> None:
    group = site.port("edge-ap-hp-a1", "handoff")
    vlan = site.find("vlans", name="paris-habitat-lan")
    site.change("interfaces", group, tagged_vlans=(*group.tagged_vlans, vlan.id))


def city_vlan_on_a_tenants_port(site: Site) -> None:
    group = site.port("edge-ap-hp-a1", "handoff")
    vlan = site.find("vlans", vid=101)
    site.change("interfaces", group, tagged_vlans=(*group.tagged_vlans, vlan.id))


def cable_across(site: Site) -> None:
    site.cable(site.port("edge-ap-hp-a1", "et3"), site.port("edge-paris-habitat-a1", "et3"))


def cable_to_a_server(site: Site) -> None:
    site.cable(site.port("edge-ap-hp-a1", "et3"), site.port("compute-a1-01", "eno2"))


def cable_to_a_city_leaf(site: Site) -> None:
    site.cable(site.port("edge-ap-hp-a1", "et3"), site.port("leaf-a1-1a", "swp20"))


def cord_in_anothers_pdu(site: Site) -> None:
    pdu = site.find("devices", name="pdu-a1-r09-a")
    site.change("devices", pdu, tenant=tenant(site, "paris-habitat"))
    cord = site.port("edge-ap-hp-a1", "PSU1", "power_ports")
    outlet = site.port("pdu-a1-r09-a", "outlet-05", "power_outlets")
    site.cable(cord, outlet, ("power_ports", "power_outlets"))


def default_route(site: Site) -> None:
    vrf = site.find("vrfs", name="paris-habitat")
    site.add(
        "prefixes", r.Prefix, prefix="0.0.0.0/0", status="active", vrf=vrf.id,
        tenant=tenant(site, "ap-hp"), role=site.find("roles", slug="tenant-announced").id,
    )  # fmt: skip


def gateway_in_the_wrong_vrf(site: Site) -> None:
    prefix = site.find("prefixes", prefix="10.80.0.0/24")
    address = site.find("ip_addresses", address="10.80.0.1/24")
    wrong = site.find("vrfs", name="paris-habitat").id
    site.change("prefixes", prefix, vrf=wrong)
    site.change("ip_addresses", address, vrf=wrong, tenant=None)


def city_bmc_on_a_tenants_vlan(site: Site) -> None:
    port = site.port("oob-a1-3", "swp1")
    vlan = site.find("vlans", name="ap-hp-oob")
    site.change("interfaces", port, mode="access", untagged_vlan=vlan.id)


def tenants_machine_on_management(site: Site) -> None:
    port = site.port("oob-a1-3", "swp14")
    vlan = site.find("vlans", name="management-a1")
    site.change("interfaces", port, untagged_vlan=vlan.id)


def anothers_rack(site: Site) -> None:
    device = site.find("devices", name="edge-ap-hp-a1")
    rack = site.find("racks", name="A1-R09")
    site.change("devices", device, rack=rack.id, position=30.0)


def reserved_units(site: Site) -> None:
    rack = site.find("racks", name="A1-R12")
    site.add(
        "rack_reservations", r.RackReservation, rack=rack.id, units=(10, 11), status="active",
        tenant=tenant(site, "paris-habitat"),
    )  # fmt: skip
    device = site.find("devices", name="edge-ap-hp-a1")
    site.change("devices", device, rack=rack.id, position=11.0)


def duplicate_vni(site: Site) -> None:
    site.change("l2vpns", site.find("l2vpns", slug="paris-habitat-lan"), identifier=20_000)


def duplicate_l3vni(site: Site) -> None:
    vrf = site.find("vrfs", name="paris-habitat")
    site.change("vrfs", vrf, custom_fields={"l3vni": 50_200})


def duplicate_vid(site: Site) -> None:
    site.change("vlans", site.find("vlans", name="paris-habitat-lan"), vid=1000)


def overlap(site: Site) -> None:
    site.add(
        "prefixes", r.Prefix, prefix="10.80.0.128/25", status="active",
        vrf=site.find("vrfs", name="ap-hp").id, tenant=tenant(site, "eau-de-paris"),
    )  # fmt: skip


def foreign_prefix(site: Site) -> None:
    site.add(
        "prefixes", r.Prefix, prefix="10.99.0.0/24", status="active",
        vrf=site.find("vrfs", name="ap-hp").id, tenant=tenant(site, "eau-de-paris"),
    )  # fmt: skip


def prefix_in_the_fabrics_table(site: Site) -> None:
    site.add(
        "prefixes", r.Prefix, prefix="10.99.0.0/24", status="active", vrf=None,
        tenant=tenant(site, "eau-de-paris"),
    )  # fmt: skip


def foreign_address(site: Site) -> None:
    port = site.port("edge-ap-hp-a1", "et1")
    site.add(
        "ip_addresses", r.IPAddress, address="10.81.0.9/24", status="active",
        vrf=site.find("vrfs", name="paris-habitat").id,
        assigned_object_type="dcim.interface", assigned_object_id=port.id,
    )  # fmt: skip


def foreign_l2vpn(site: Site) -> None:
    """The VLANs of two tenants change their L2VPNs."""
    end = site.find("l2vpn_terminations", l2vpn=site.find("l2vpns", slug="eau-de-paris-lan").id)
    vlan = site.add(
        "vlans", r.VLAN, vid=1500, name="ap-hp-new", status="active", tenant=tenant(site, "ap-hp")
    )
    site.add(
        "l2vpn_terminations", r.L2VPNTermination, l2vpn=end.l2vpn,
        assigned_object_type="ipam.vlan", assigned_object_id=vlan.id,
    )  # fmt: skip


def panels(site: Site) -> None:
    """Two patch panels of the operator's, and a trunk between them; xc1 of AP-HP on the first."""
    like = site.find("devices", name="compute-a1-01")
    rears = []
    for name in ("panel-1", "panel-2"):
        panel = site.add("devices", r.Device, **{
            **{f: getattr(like, f) for f in like.__struct_fields__ if f not in ("id", "serial")},
            "name": name, "primary_ip4": None, "oob_ip": None, "position": None,
            "role": site.add("device_roles", r.DeviceRole, name=name, slug=name).id,
        })  # fmt: skip
        rears.append(site.add("rear_ports", r.RearPort, device=panel.id, name="rear", positions=2))
        for position in (1, 2):
            mapping = r.PortMapping(position=1, rear_port=rears[-1].id, rear_port_position=position)
            site.add(
                "front_ports", r.FrontPort, device=panel.id, name=f"front{position}",
                rear_ports=(mapping,),
            )  # fmt: skip
    site.cable(*rears, ("rear_ports", "rear_ports"))
    site.cable(
        site.port("edge-ap-hp-a1", "xc1"), site.port("panel-1", "front1", "front_ports"),
        ("interfaces", "front_ports"),
    )  # fmt: skip


def cross_connect(site: Site) -> None:
    panels(site)
    site.cable(
        site.port("edge-eau-de-paris-a3", "xc1"), site.port("panel-2", "front1", "front_ports"),
        ("interfaces", "front_ports"),
    )  # fmt: skip


def anothers_panel(site: Site) -> None:
    panels(site)
    panel = site.find("devices", name="panel-1")
    site.change("devices", panel, tenant=tenant(site, "paris-habitat"))
    site.change("devices", panel, rack=site.find("racks", name="A1-R09").id)
    second = site.find("devices", name="panel-2")
    site.change("devices", second, rack=site.find("racks", name="A1-R09").id,
                tenant=tenant(site, "paris-habitat"))  # fmt: skip


def vrf_of_one_name(site: Site) -> None:
    owner = tenant(site, "eau-de-paris")
    new = site.add("route_targets", r.RouteTarget, name="4200000000:50300", tenant=owner)
    site.add(
        "vrfs", r.VRF, name="ap-hp", tenant=owner, import_targets=(new.id,),
        export_targets=(new.id,), custom_fields={"l3vni": 50_300},
    )  # fmt: skip


def nobodys_vlan(site: Site) -> None:
    """A VLAN without a tenant, on ports of two tenants."""
    vlan = site.find("vlans", name="ap-hp-dmz")
    site.change("vlans", vlan, tenant=None)
    prefix = site.find("prefixes", vlan=vlan.id)
    site.change("prefixes", prefix, tenant=None, vrf=None, vlan=None)
    site.change("l2vpns", site.find("l2vpns", slug="ap-hp-dmz"), tenant=None)
    group = site.port("edge-paris-habitat-a1", "handoff")
    site.change("interfaces", group, tagged_vlans=(*group.tagged_vlans, vlan.id))


A, P, E, CITY = "AP-HP", "Paris Habitat", "Eau de Paris", "Ville de Paris"
MANAGEMENT = "the management of machines"
BOTH, ONE_WAY = "{} and {} reach each other", "{} reaches {}"

# What is planted: the rule that finds it, who reaches whom, and what is named as well.
PLANTS: dict[str, tuple[Plant, str, str, tuple[str, ...]]] = {
    "a wrong import target": (
        wrong_import, "foreign-target", ONE_WAY.format(A, P),
        ("edge-ap-hp-a1", "VRF ap-hp on leaf-a1-t", "VRF paris-habitat on leaf-a1-t",
         "edge-paris-habitat-a1", "take route target 4200000000:50201 out of what ap-hp imports"),
    ),
    "a wrong export target": (
        wrong_export, "foreign-target", ONE_WAY.format(P, A),
        ("take route target 4200000000:50201 out of what ap-hp exports",),
    ),
    "a VLAN that imports management": (
        vlan_imports_management, "foreign-target", ONE_WAY.format(E, MANAGEMENT),
        ("take route target 4200000000:10301 out of what eau-de-paris-lan imports",),
    ),
    "a VLAN on the wrong port": (
        vlan_on_the_wrong_port, "vlan-on-foreign-port", BOTH.format(A, P),
        ("edge-ap-hp-a1 et1 -> leaf-a1-ta swp1", "take VLAN 1010 off edge-ap-hp-a1 handoff"),
    ),
    "the city's VLAN on a tenant's port": (
        city_vlan_on_a_tenants_port, "vlan-on-foreign-port", BOTH.format(A, CITY), ("VLAN 101 ",),
    ),
    "a cable across": (
        cable_across, "foreign-cable", BOTH.format(A, P),
        ("edge-ap-hp-a1 et3", "take away the cable between edge-ap-hp-a1 et3 and "
         "edge-paris-habitat-a1 et3"),
    ),
    "a cable to a server": (
        cable_to_a_server, "foreign-cable", BOTH.format(A, CITY), ("compute-a1-01 eno2",),
    ),
    "a cable to a leaf of the city's": (
        cable_to_a_city_leaf, "foreign-cable", BOTH.format(A, CITY), ("leaf-a1-1a swp20",),
    ),
    "a cord in another's PDU": (
        cord_in_anothers_pdu, "foreign-cable", BOTH.format(A, P), ("outlet-05",),
    ),
    "a default route": (
        default_route, "default-route", BOTH.format(A, P), ("0.0.0.0/0", "VRF paris-habitat"),
    ),
    "a gateway in the wrong VRF": (
        gateway_in_the_wrong_vrf, "foreign-vlan-vrf", BOTH.format(A, P),
        ("ap-hp-lan", "VRF paris-habitat", "prefix 10.80.0.0/24"),
    ),
    "a city server's BMC on a tenant's VLAN": (
        city_bmc_on_a_tenants_vlan, "out-of-band", BOTH.format(A, MANAGEMENT),
        ("oob-a1-3 swp1 -> ", "ap-hp-oob", "take VLAN 1009 off oob-a1-3 swp1"),
    ),
    "a tenant's machine on management": (
        tenants_machine_on_management, "out-of-band", BOTH.format(A, MANAGEMENT),
        ("edge-ap-hp-a1 mgmt", "take VLAN 301 off oob-a1-3 swp14"),
    ),
    "a device in another's rack": (
        anothers_rack, "foreign-rack", "edge-ap-hp-a1 of AP-HP in A1-R09 of Paris Habitat", (),
    ),
    "a device in reserved units": (
        reserved_units, "foreign-units", "edge-ap-hp-a1 of AP-HP in U11 of A1-R12", (P,),
    ),
    "a VNI twice": (duplicate_vni, "shared-vni", BOTH.format(A, P), ("VNI 20000",)),
    "a VRF's VNI twice": (duplicate_l3vni, "shared-vni", BOTH.format(A, P), ("VNI 50200",)),
    "a VLAN number twice": (
        duplicate_vid, "shared-vid", "ap-hp-lan and paris-habitat-lan both have number 1000",
        ("leaf-a1-ta", "leaf-a1-tb"),
    ),
    "overlapping addresses": (
        overlap, "address-overlap", "10.80.0.128/25 of Eau de Paris lies in 10.80.0.0/24 of AP-HP",
        ("take prefix 10.80.0.128/25 out of VRF ap-hp",),
    ),
    "a prefix in another's VRF": (
        foreign_prefix, "foreign-prefix", BOTH.format(A, E), ("10.99.0.0/24",),
    ),
    "a tenant's prefix in no VRF": (
        prefix_in_the_fabrics_table, "foreign-prefix",
        BOTH.format(E, "the fabric's own table"), ("10.99.0.0/24",),
    ),
    "an address in another's VRF": (
        foreign_address, "foreign-address", BOTH.format(A, P), ("10.81.0.9/24",),
    ),
    "another's L2VPN": (
        foreign_l2vpn, "foreign-l2vpn", BOTH.format(A, E), ("eau-de-paris-lan", "ap-hp-new"),
    ),
    "a cross-connect to another": (
        cross_connect, "cross-connect", BOTH.format(A, E),
        ("edge-ap-hp-a1 xc1", "edge-eau-de-paris-a3 xc1"),
    ),
    "a cross-connect into another's panel": (
        anothers_panel, "cross-connect", BOTH.format(A, P), ("panel-1",),
    ),
    "two VRFs of one name": (vrf_of_one_name, "shared-vrf", BOTH.format(A, E), ()),
    "a VLAN of nobody's": (
        nobodys_vlan, "shared-object", BOTH.format(A, P), ("ap-hp-dmz", "edge-ap-hp-a1"),
    ),
}  # fmt: skip


def test_tenants_are_apart_as_they_are_onboarded() -> None:
    found = proof(isolation_sites.site())
    assert found.leaks == ()
    assert found.switches == 50
    assert {reach.party for reach in found.reaches} == {
        A, P, E, CITY, MANAGEMENT, "the fabric's own table",
    }  # fmt: skip
    assert all(reach.others == () for reach in found.reaches)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_leak_is_found_and_named_and_nothing_else(name: str) -> None:
    plant, rule, who, named = PLANTS[name]
    site = isolation_sites.site()
    plant(site)
    leaks = proof(site).leaks
    assert [(leak.rule, leak.severity) for leak in leaks] == [(rule, "error")], leaks
    (leak,) = leaks
    assert who in leak.found
    text = f"{leak.found} {leak.remedy} {' '.join(ref.name for ref in leak.objects)}"
    assert [words for words in named if words not in text] == []
    assert leak.objects
    assert leak.remedy


def test_the_objects_of_a_leak_are_its_whole_path() -> None:
    site = isolation_sites.site()
    vlan_on_the_wrong_port(site)
    (leak,) = proof(site).leaks
    assert [ref.endpoint for ref in leak.objects][:5] == [
        "dcim/devices", "dcim/interfaces", "dcim/cables", "dcim/interfaces", "ipam/vlans",
    ]  # fmt: skip
    assert [ref.name for ref in leak.objects if ref.endpoint == "dcim/devices"] == [
        "edge-ap-hp-a1", "leaf-a1-ta", "edge-paris-habitat-a1",
    ]  # fmt: skip


def test_what_is_shared_is_listed_with_its_reason() -> None:
    ways = proof(isolation_sites.site()).paths
    border = next(way for way in ways if way.party == A and "ends there, by policy" in way.reason)
    assert [ref.name for ref in border.objects] == ["border-a1", "border-a4"]
    assert border.other == CITY
    handoff = next(way for way in ways if way.party == P and "hand-off" in way.reason)
    assert [ref.name for ref in handoff.objects] == ["leaf-a1-ta swp2", "leaf-a1-tb swp2"]
    reaches = {reach.party: reach for reach in proof(isolation_sites.site()).reaches}
    assert reaches[P].devices == ("edge-paris-habitat-a1",)
    assert reaches[P].vrfs == ("paris-habitat",)
    assert len(reaches[A].switches) == 2 + 4 + 2


def test_a_vrf_that_leaks_is_not_said_to_end_at_the_border() -> None:
    site = isolation_sites.site()
    wrong_import(site)
    ways = proof(site).paths
    assert not any("by policy" in way.reason for way in ways if way.party in (A, P))
    assert any("by policy" in way.reason for way in ways if way.party == E)


def test_a_cross_connect_that_ends_nowhere_is_no_leak() -> None:
    site = isolation_sites.site()
    panels(site)
    found = proof(site)
    assert found.leaks == ()
    assert any("patch panel" in way.reason for way in found.paths if way.party == A)


def test_a_switch_that_nothing_can_be_said_of_is_a_finding() -> None:
    site = isolation_sites.site()
    loopback = site.port("leaf-a4-1a", "lo")
    address = site.find("ip_addresses", assigned_object_id=loopback.id, role="loopback")
    site.change("ip_addresses", address, role=None)
    (leak,) = proof(site).leaks
    assert leak.rule == "unproven"
    assert [ref.name for ref in leak.objects] == ["leaf-a4-1a", "leaf-a4-1b"]
    assert "device leaf-a4-1a in NetBox: A switch that routes has no loopback" in leak.found


def test_two_faults_are_two_findings() -> None:
    site = isolation_sites.site()
    wrong_import(site)
    cable_across(site)
    assert [leak.rule for leak in proof(site).leaks] == ["foreign-cable", "foreign-target"]


def test_a_datacentre_of_five_thousand_devices_takes_seconds() -> None:
    """The bound is generous: shared machines stall."""
    site = isolation_sites.site()
    like = site.find("devices", name="compute-a1-01")
    ports = [i for i in site.lists["interfaces"].values() if i.device == like.id]
    for number in range(4500):
        fields = {f: getattr(like, f) for f in like.__struct_fields__ if f != "id"}
        device = site.add("devices", r.Device, **{**fields, "name": f"more-{number}"})
        for port in ports:
            fields = {f: getattr(port, f) for f in port.__struct_fields__ if f != "id"}
            site.add("interfaces", r.Interface, **{**fields, "device": device.id, "cable": None})
    dc = isolation_sites.datacentre(site)
    begun = time.process_time()
    assert msgspec.structs.replace(prove(dc), paths=()).leaks == ()
    assert time.process_time() - begun < 15
