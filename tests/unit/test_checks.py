"""The rules on the reference datacentre: silent as it is, and each one speaks of its own fault."""

from typing import Any

import msgspec
import pytest
import reference
from edits import Edit, added, device, edited, named, one, port
from fabric_datacentre import edge, tenant_vrf
from fabric_datacentre import handed_off as handed_over

from chapelle.checks.netbox import RULES, check
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import SEVERITIES
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot

SERVER = "compute-a2-01"
OTHER = "compute-a2-02"


def change(**changes: Any) -> Edit:
    return lambda content: edited(content, "devices", named(SERVER), **changes)


def duplicate_serial(content: Content) -> Content:
    serial = device(content, OTHER).serial
    return edited(content, "devices", named(SERVER), serial=f" {serial}")


def duplicate_disk_serial(content: Content) -> Content:
    disks = [item for item in content.inventory_items if item.device == 1]
    return edited(content, "inventory_items", lambda i: i.id == disks[0].id, serial=disks[1].serial)


def spoilt_disk(**changes: Any) -> Edit:
    def edit(content: Content) -> Content:
        disk = port(content, SERVER, "disk-os-2")
        return edited(content, "inventory_items", disk, **changes)

    return edit


def duplicate_mac(content: Content) -> Content:
    mac = one(content, "interfaces", port(content, OTHER, "eno1")).mac_address
    return edited(content, "interfaces", port(content, SERVER, "bmc"), mac_address=mac.upper())


def no_mac(content: Content) -> Content:
    return edited(content, "interfaces", port(content, SERVER, "eno2"), mac_address=None)


def duplicate_address(content: Content) -> Content:
    address = one(content, "ip_addresses", lambda a: a.address == "10.64.2.12/24")
    return edited(
        content,
        "ip_addresses",
        lambda a: a.dns_name.startswith("dns1"),
        address="10.64.2.12/32",
        vrf=address.vrf,
    )


def wrong_primary(content: Content) -> Content:
    other = device(content, OTHER).primary_ip4
    return edited(content, "devices", named(SERVER), primary_ip4=other)


def wrong_oob(content: Content) -> Content:
    return edited(content, "devices", named(SERVER), oob_ip=device(content, OTHER).oob_ip)


def outside_prefix(content: Content) -> Content:
    find = lambda a: a.address == "10.64.2.12/24"  # noqa: E731
    return edited(content, "ip_addresses", find, address="192.0.2.12/24")


def other_vrf(content: Content) -> Content:
    management = one(content, "vrfs", named("management")).id
    return edited(content, "ip_addresses", lambda a: a.address == "10.64.2.12/24", vrf=management)


def wrong_mask(content: Content) -> Content:
    find = lambda a: a.address == "10.64.2.12/24"  # noqa: E731
    return edited(content, "ip_addresses", find, address="10.64.2.12/23")


def wrong_vlan(content: Content) -> Content:
    vlan = one(content, "vlans", lambda v: v.vid == 103).id
    return edited(
        content,
        "interfaces",
        port(content, SERVER, "bond0"),
        untagged_vlan=vlan,
        tagged_vlans=(),
    )


def mode_without_vlan(content: Content) -> Content:
    return edited(content, "interfaces", port(content, SERVER, "eno1"), mode="access")


def uncabled(name: str) -> Edit:
    def edit(content: Content) -> Content:
        return edited(content, "interfaces", port(content, SERVER, name), cable=None)

    return edit


def one_switch_only(content: Content) -> Content:
    """Its second port goes to the same leaf as the first."""
    leaf = device(content, "leaf-a2-1a").id
    second = one(content, "interfaces", port(content, SERVER, "eno2"))
    cable = one(content, "cables", lambda c: c.id == second.cable)
    far = next(
        end.object_id
        for end in (*cable.a_terminations, *cable.b_terminations)
        if end.object_id != second.id
    )
    return edited(content, "interfaces", lambda i: i.id == far, device=leaf, name="swp48b")


def one_feed(content: Content) -> Content:
    return edited(content, "power_ports", port(content, SERVER, "PSU2"), cable=None)


def cable_of(content: Content, name: str) -> int:
    cable: int = one(content, "interfaces", port(content, SERVER, name)).cable
    return cable


def half_cable(content: Content) -> Content:
    number = cable_of(content, "eno1")
    return edited(content, "cables", lambda c: c.id == number, b_terminations=())


def cable_to_nothing(content: Content) -> Content:
    number = cable_of(content, "eno1")
    nowhere = (r.Termination(object_type="dcim.interface", object_id=10**9),)
    return edited(content, "cables", lambda c: c.id == number, b_terminations=nowhere)


def overlap(content: Content) -> Content:
    return edited(content, "devices", named(SERVER), position=device(content, OTHER).position)


def vni_of_another(content: Content) -> Content:
    find = named("storage-a2")
    return edited(content, "l2vpns", find, identifier=50101)  # the VRF ville-de-paris's


def asn_of_another(content: Content) -> Content:
    asn = device(content, "leaf-a2-1b").custom_fields
    return edited(content, "devices", named("leaf-a2-1a"), custom_fields=asn)


def leaf_without_asn(content: Content) -> Content:
    return edited(content, "devices", named("leaf-a2-1a"), custom_fields={})


def spine_without_loopback(content: Content) -> Content:
    loopback = one(content, "interfaces", port(content, "spine-a2", "lo")).id
    return edited(content, "ip_addresses", lambda a: a.assigned_object_id == loopback, role=None)


def lone_leaf(content: Content) -> Content:
    return edited(content, "devices", named("leaf-a2-tb"), status="inventory")


def server_on_another_pair(content: Content) -> Content:
    """Its second port is cabled to a leaf of the next pair."""
    second = one(content, "interfaces", port(content, SERVER, "eno2"))
    cable = one(content, "cables", lambda c: c.id == second.cable)
    free = one(content, "interfaces", port(content, "leaf-a2-2b", "swp48"))
    ends = (r.Termination(object_type="dcim.interface", object_id=free.id),)
    old = one(content, "interfaces", lambda i: i.cable == cable.id and i.id != second.id)
    content = edited(content, "interfaces", lambda i: i.id == old.id, cable=None)
    content = edited(content, "interfaces", lambda i: i.id == free.id, cable=cable.id)
    side = "b_terminations" if old.cable_end == "B" else "a_terminations"
    return edited(content, "cables", lambda c: c.id == cable.id, **{side: ends})


def target_of_another_tenant(content: Content) -> Content:
    content = tenant_vrf(tenant_vrf(content, "ap-hp", 102), "eau-de-paris", 104)
    theirs = one(content, "vrfs", named("ap-hp"))
    ours = one(content, "vrfs", named("eau-de-paris"))
    both = (*ours.import_targets, *theirs.export_targets)
    return edited(content, "vrfs", named("eau-de-paris"), import_targets=both)


def vlan_without_l2vpn(content: Content) -> Content:
    l2vpn = one(content, "l2vpns", named("servers-a2")).id
    return edited(content, "l2vpn_terminations", lambda end: end.l2vpn == l2vpn)


def l2vpn_without_vni(content: Content) -> Content:
    return edited(content, "l2vpns", named("servers-a2"), identifier=None)


def handed_off(fault: str) -> Edit:
    """AP-HP routes at leaf-a1-ta, with one thing wrong."""

    def edit(content: Content) -> Content:
        content = tenant_vrf(tenant_vrf(content, "ap-hp", 102), "eau-de-paris", 104)
        asn = {"none": None, "ours": 4_200_000_201}.get(fault, 4_210_000_000)
        content = edge(content, "edge-ap-hp-a1", "ap-hp", asn)
        vrf = "eau-de-paris" if fault == "of another" else "ap-hp"
        peer = "10.79.0.3/31" if fault == "apart" else "10.79.0.1/31"
        content = handed_over(
            content, ("leaf-a1-ta", "swp5"), ("edge-ap-hp-a1", "et1"), vrf, ("10.79.0.0/31", peer)
        )
        if fault == "apart":
            prefix = msgspec.structs.replace(content.prefixes[-1], id=10**6, prefix="10.79.0.2/31")
            content = added(content, "prefixes", prefix)
        if fault == "no vrf":
            content = edited(content, "interfaces", port(content, "leaf-a1-ta", "swp5"), vrf=None)
        if fault == "another tenant's":
            content = edge(content, "edge-eau-a1", "eau-de-paris", asn)
            content = handed_over(
                content, ("leaf-a1-tb", "swp5"), ("edge-eau-a1", "et2"), "eau-de-paris",
                ("10.79.0.2/31", "10.79.0.3/31"),
            )  # fmt: skip
        return content

    return edit


def tenant_in_a_vlan_too(content: Content) -> Content:
    content = handed_off("nothing")(content)
    return edited(content, "interfaces", port(content, "leaf-a1-ta", "swp5"), untagged_vlan=1)


def server_in_a_vrf(content: Content) -> Content:
    return edited(content, "interfaces", port(content, "leaf-a2-1a", "swp3"), vrf=1)


PLANTED: dict[str, tuple[str, Edit]] = {
    "duplicate name": ("duplicate-name", change(name=OTHER)),
    "duplicate serial": ("duplicate-serial", duplicate_serial),
    "duplicate disk serial": ("duplicate-serial", duplicate_disk_serial),
    "disk without a serial number": ("disk-serial", spoilt_disk(serial=" ")),
    "disk without a purpose": ("disk-purpose", spoilt_disk(custom_fields={})),
    "disk of no such purpose": (
        "disk-purpose",
        spoilt_disk(custom_fields={"disk_purpose": "scratch"}),
    ),
    "no name": ("illegal-hostname", change(name=None)),
    "underscore": ("illegal-hostname", change(name="compute_a2_01")),
    "capitals": ("illegal-hostname", change(name="Compute-a2-01")),
    "hyphen at the end": ("illegal-hostname", change(name="compute-")),
    "a name of 64 letters": ("illegal-hostname", change(name="a" * 64)),
    "a shell command": ("illegal-hostname", change(name="a; rm -rf /")),
    "a trailing newline": ("illegal-hostname", change(name="compute-a2-01\n")),
    "status": ("unknown-status", change(status="resting")),
    "role": ("unknown-role", change(role=10**9)),
    "no platform": ("unknown-platform", change(platform=None)),
    "a switch's platform": ("unknown-platform", change(platform=2)),
    "tenant that is gone": ("dangling-reference", change(tenant=10**9)),
    "tag that is gone": ("dangling-reference", change(tags=("chapelle", "gone"))),
    "cable to nothing": ("dangling-reference", cable_to_nothing),
    "no rack": ("no-rack", change(rack=None, position=None)),
    "no aisle": ("no-aisle", change(location=None)),
    "overlap": ("rack-overlap", overlap),
    "above the rack": ("beyond-rack", change(position=43.0)),
    "below the rack": ("beyond-rack", change(position=0.0)),
    "half a cable": ("open-cable", half_cable),
    "one data port": ("data-ports", uncabled("eno2")),
    "one switch": ("data-ports", one_switch_only),
    "no bmc cable": ("management-port", uncabled("bmc")),
    "one feed": ("power-feeds", one_feed),
    "duplicate address": ("duplicate-address", duplicate_address),
    "duplicate mac": ("duplicate-mac", duplicate_mac),
    "no mac": ("no-mac", no_mac),
    "no primary address": ("primary-address", change(primary_ip4=None)),
    "another's primary address": ("primary-address", wrong_primary),
    "another's bmc address": ("primary-address", wrong_oob),
    "outside any prefix": ("address-outside-prefix", outside_prefix),
    "prefix of another VRF": ("address-outside-prefix", other_vrf),
    "mask": ("address-mask", wrong_mask),
    "vlan": ("vlan-mismatch", wrong_vlan),
    "mode without vlan": ("vlan-mode", mode_without_vlan),
    "one vni twice": ("duplicate-vni", vni_of_another),
    "one as number twice": ("duplicate-asn", asn_of_another),
    "a leaf without as number": ("routing-identity", leaf_without_asn),
    "a spine without loopback": ("routing-identity", spine_without_loopback),
    "a leaf alone": ("lone-leaf", lone_leaf),
    "a target of another tenant": ("foreign-target", target_of_another_tenant),
    "a vlan without l2vpn": ("no-l2vpn", vlan_without_l2vpn),
    "an l2vpn without vni": ("no-l2vpn", l2vpn_without_vni),
    "a tenant in another's vrf": ("handoff-vrf", handed_off("of another")),
    "a tenant at a port without vrf": ("handoff-vrf", handed_off("no vrf")),
    "a server at a port in a vrf": ("handoff-astray", server_in_a_vrf),
    "a tenant's routed port in a vlan": ("handoff-astray", tenant_in_a_vlan_too),
    "a tenant in another network": ("handoff-address", handed_off("apart")),
    "a tenant without as number": ("handoff-asn", handed_off("none")),
    "a tenant with our as number": ("handoff-asn", handed_off("ours")),
}

# The device that a fault concerns where it is not SERVER; None where it is no device's.
CONCERNED: dict[str, str | None] = {
    "duplicate disk serial": None,  # whose objects are the two disks
    "one vni twice": None,
    "one as number twice": "leaf-a2-1a",
    "a leaf without as number": "leaf-a2-1a",
    "a spine without loopback": "spine-a2",
    "a leaf alone": "leaf-a2-ta",
    "a target of another tenant": None,
    "a vlan without l2vpn": "leaf-a2-2b",
    "an l2vpn without vni": "leaf-a2-2b",
    "a tenant in another's vrf": "leaf-a1-ta",
    "a tenant at a port without vrf": "leaf-a1-ta",
    "a server at a port in a vrf": "leaf-a2-1a",
    "a tenant's routed port in a vlan": "leaf-a1-ta",
    "a tenant in another network": "leaf-a1-ta",
    "a tenant without as number": "leaf-a1-ta",
    "a tenant with our as number": "leaf-a1-ta",
}


# Faults of the other server's address.
ON_THE_OTHER = ("duplicate address", "outside any prefix", "prefix of another VRF", "mask")


def test_the_reference_datacentre_has_no_finding() -> None:
    assert check(reference.datacentre()) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_where_it_is(name: str) -> None:
    rule, edit = PLANTED[name]
    content = edit(reference.content())
    findings = check(Datacentre(Snapshot(content)))
    found = [finding for finding in findings if finding.rule == rule]
    assert len(found) == 1, findings
    assert found[0].severity == RULES[rule][0]
    assert found[0].objects
    assert found[0].expected
    assert found[0].found
    assert found[0].remedy
    concerned = {ref.id for ref in found[0].objects if ref.endpoint == "dcim/devices"}
    faulty = CONCERNED.get(name, OTHER if name in ON_THE_OTHER else SERVER)
    if faulty:
        assert device(reference.content(), faulty).id in concerned


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for rule, _ in PLANTED.values()} == set(RULES)


def test_every_rule_has_a_known_severity() -> None:
    assert {severity for severity, _ in RULES.values()} <= set(SEVERITIES)


def test_a_tenant_that_routes_is_no_fault_and_two_with_one_as_number_are() -> None:
    good = check(Datacentre(Snapshot(handed_off("nothing")(reference.content()))))
    assert good == []
    found = check(Datacentre(Snapshot(handed_off("another tenant's")(reference.content()))))
    assert [finding.rule for finding in found] == ["handoff-asn"] * 2
    assert {finding.objects[0].name for finding in found} == {"edge-ap-hp-a1", "edge-eau-a1"}


def test_a_server_on_two_pairs_is_a_fault_of_every_leaf_that_it_reaches() -> None:
    content = server_on_another_pair(reference.content())
    findings = check(Datacentre(Snapshot(content)))
    lone = {f.objects[0].name: f.found for f in findings if f.rule == "lone-leaf"}
    reached = set(lone)
    assert "leaf-a2-2b" in reached
    assert any("leaf-a2-2b" in found for found in lone.values())


def test_devices_in_stock_need_no_place() -> None:
    content = added(
        reference.content(),
        "devices",
        r.Device(id=10**6, name=None, device_type=1, role=1, site=1, status="inventory"),
    )
    assert check(Datacentre(Snapshot(content))) == []


def test_an_address_shared_on_purpose_is_no_finding() -> None:
    content = reference.content()
    first = content.ip_addresses[0]
    shared = msgspec.structs.replace(first, id=10**6, role="vrrp")
    assert check(Datacentre(Snapshot(added(content, "ip_addresses", shared)))) == []


def test_half_depth_devices_may_share_a_unit_back_to_back() -> None:
    content = reference.content()
    mine, other = device(content, SERVER), device(content, OTHER)
    thin = msgspec.structs.replace(
        one(content, "device_types", lambda t: t.id == mine.device_type), is_full_depth=False
    )
    content = edited(content, "device_types", lambda t: t.id == thin.id, is_full_depth=False)
    content = edited(content, "devices", named(SERVER), position=other.position, face="rear")
    content = edited(content, "devices", named(OTHER), face="front")
    assert check(Datacentre(Snapshot(content))) == []


def test_an_empty_netbox_has_no_finding() -> None:
    assert check(Datacentre(Snapshot(Content()))) == []


def test_findings_name_the_device_that_a_run_must_leave_out() -> None:
    for name in ("half a cable", "duplicate address", "duplicate mac", "vlan", "mask"):
        rule, edit = PLANTED[name]
        findings = check(Datacentre(Snapshot(edit(reference.content()))))
        (found,) = [finding for finding in findings if finding.rule == rule]
        assert "dcim/devices" in {ref.endpoint for ref in found.objects}, name
