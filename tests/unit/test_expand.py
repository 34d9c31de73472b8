"""The expansion: the reference datacentre by its numbers, and every contradiction found."""

import shutil
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import pytest

from chapelle.netbox import design
from chapelle.netbox.design import Design, DesignError, Problem
from chapelle.netbox.expand import Desired, Ref, expand
from chapelle.netbox.expand.checks import draws
from chapelle.netbox.expand.desired import refs
from chapelle.settings import ROOT

REFERENCE = design.folder(ROOT)
ROLES = ("compute", "storage", "database", "infra")


@pytest.fixture(scope="module")
def desired() -> Desired:
    return expand(design.load(REFERENCE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(REFERENCE, tmp_path / "design")
    return tmp_path / "design"


def spoil(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def problems(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(DesignError) as caught:
        expand(design.load(folder))
    return caught.value.problems


def devices(desired: Desired, *roles: str) -> dict[str, dict]:
    wanted = {Ref("device_roles", (role,)) for role in roles}
    found = desired.of("devices").values()
    return {item.key[0]: item.fields for item in found if item.fields["role"] in wanted}


# -- the reference datacentre, by its table of numbers ----------------------------------------


def test_aisles_and_racks(desired: Desired) -> None:
    assert [key[0] for key in desired.of("locations")] == [f"aisle-{n}" for n in (1, 2, 3, 4)]
    racks = desired.of("racks")
    assert len(racks) == 96
    city, let = racks["A2-R06",].fields, racks["A2-R07",].fields
    assert (city["tenant"], city["u_height"]) == (Ref("tenants", ("ville-de-paris",)), 42)
    assert (let.get("tenant"), let["role"]) == (None, Ref("rack_roles", ("to-let",)))


def test_servers_by_role_and_rack(desired: Desired) -> None:
    servers = devices(desired, *ROLES)
    assert len(servers) == 300
    assert Counter(name.split("-")[0] for name in servers if "-a2-" in name) == {
        "compute": 48,
        "storage": 16,
        "database": 8,
        "infra": 3,
    }
    assert {"compute-a2-48", "storage-a2-16", "database-a2-08", "infra-a2-03"} < servers.keys()
    by_rack = Counter(fields["rack"].key[0] for fields in servers.values())
    assert [by_rack[f"A3-R0{n}"] for n in range(1, 7)] == [13, 13, 13, 13, 13, 10]
    assert {fields["status"] for fields in servers.values()} == {"planned"}
    assert {fields["platform"] for fields in servers.values()} == {Ref("platforms", ("debian-12",))}


def test_no_role_depends_on_one_rack_or_one_leaf_pair(desired: Desired) -> None:
    racks: dict[str, set[str]] = defaultdict(set)
    for name, fields in devices(desired, *ROLES).items():
        if "-a2-" in name:
            racks[name.split("-")[0]].add(fields["rack"].key[0])
    for role, names in racks.items():
        pairs = {(int(name[-2:]) - 1) // 2 for name in names}
        assert len(pairs) == 3, role


def test_disks_and_their_sum(desired: Desired) -> None:
    disks = desired.of("inventory_items")
    by_device = Counter(key[0] for key in disks)
    assert by_device["compute-a1-01"] == 2
    assert by_device["storage-a4-16"] == 14
    data = [i.fields["custom_fields"] for i in disks.values() if "data" in i.key[1]]
    assert {disk["disk_purpose"] for disk in data} == {"data"}
    raw = sum(disk["disk_size_gb"] for disk in data) / 1e6
    assert round(raw, 1) == 9.2
    assert round(raw * 0.85 / 3, 1) == 2.6


def test_switches(desired: Desired) -> None:
    aisle = {name for name in devices(desired, "leaf", "tenant-leaf", "oob") if "-a2-" in name}
    assert aisle == {
        *(f"leaf-a2-{pair}{side}" for pair in "123t" for side in "ab"),
        *(f"oob-a2-{n}" for n in (1, 2, 3)),
    }
    assert set(devices(desired, "spine")) == {f"spine-a{n}" for n in (1, 2, 3, 4)}
    assert set(devices(desired, "border")) == {"border-a1", "border-a4"}


def test_as_numbers(desired: Desired) -> None:
    asn = {n: f["custom_fields"]["bgp_asn"] for n, f in devices(desired, "spine").items()}
    assert set(asn.values()) == {4200000000}
    own = devices(desired, "leaf", "tenant-leaf", "border").values()
    numbers = [fields["custom_fields"]["bgp_asn"] for fields in own]
    assert len(set(numbers)) == len(numbers) == 34
    assert all(4200000000 < number <= 4294967294 for number in numbers)  # RFC 6996
    assert {str(number) for number in [*numbers, 4200000000]} == {k[0] for k in desired.of("asns")}


def _ends(desired: Desired) -> dict[tuple[str, str], tuple[str, str]]:
    found = {}
    for item in desired.of("cables").values():
        (a,), (b,) = item.fields["a_terminations"], item.fields["b_terminations"]
        found[a.key] = b.key
        found[b.key] = a.key
    return found


def test_a_server_s_cables(desired: Desired) -> None:
    ends = _ends(desired)
    for name, fields in devices(desired, *ROLES).items():
        aisle, rack = fields["rack"].key[0][1], int(fields["rack"].key[0][-2:])
        pair = (rack + 1) // 2
        assert ends[name, "eno1"][0] == f"leaf-a{aisle}-{pair}a"
        assert ends[name, "eno2"][0] == f"leaf-a{aisle}-{pair}b"
        assert ends[name, "eno1"][1] == ends[name, "eno2"][1]
        assert ends[name, "bmc"][0] == f"oob-a{aisle}-{pair}"
        assert ends[name, "PSU1"][0] == f"pdu-a{aisle}-r{rack:02d}-a"
        assert ends[name, "PSU2"][0] == f"pdu-a{aisle}-r{rack:02d}-b"


def test_the_fabric_is_a_full_mesh(desired: Desired) -> None:
    ends = _ends(desired)
    seen = {(own[0], other[0]) for own, other in ends.items()}
    for spine in devices(desired, "spine"):
        for other in devices(desired, "leaf", "tenant-leaf", "border"):
            assert (other, spine) in seen
    assert len(ends) == 2 * len(desired.of("cables"))  # no port twice


def test_the_two_leafs_of_a_pair_stand_in_different_racks(desired: Desired) -> None:
    racks = {n: f["rack"] for n, f in devices(desired, "leaf", "tenant-leaf").items()}
    for name, rack in racks.items():
        if name.endswith("a"):
            assert racks[name[:-1] + "b"] != rack


def test_power_reaches_every_rack_from_both_panels(desired: Desired) -> None:
    feeds = desired.of("power_feeds")
    assert len(feeds) == 192
    feed = feeds["panel-a2-a", "A2-R01-A"].fields
    assert [feed[name] for name in ("voltage", "amperage", "max_utilization", "phase")] == [
        230,
        32,
        80,
        "single-phase",
    ]
    ends = _ends(desired)
    for panel, name in feeds:
        side = name[-1].lower()
        pdu = f"pdu-a{name[1]}-r{name[4:6]}-{side}"
        assert ends[panel, name] == (pdu, "inlet")
    ups = {
        key[0]: i.fields["custom_fields"]["ups"] for key, i in desired.of("power_panels").items()
    }
    assert ups["panel-a2-a"] != ups["panel-a2-b"]


def test_one_feed_carries_a_whole_rack(desired: Desired) -> None:
    limit = 230 * 32 * 0.8
    loads = {rack[0]: draws(desired, Ref("racks", rack)) for rack in desired.of("racks")}
    # 3 storage of 480 W, 1 database of 420 W, 1 infra of 260 W, 8 compute of 320 W, a leaf of
    # 250 W and an out-of-band switch of 60 W.
    expected = 3 * 480 + 420 + 260 + 8 * 320 + 250 + 60
    assert loads["A2-R01"] == {"pdu-a2-r01-a": expected, "pdu-a2-r01-b": expected}
    # The fullest: R05 has a tenant leaf as well.
    assert loads["A2-R05"] == {"pdu-a2-r05-a": 5240, "pdu-a2-r05-b": 5240}
    assert max(watts for load in loads.values() for watts in load.values()) <= limit
    assert loads["A2-R07"] == {}


def test_addresses(desired: Desired) -> None:
    addresses = desired.of("ip_addresses")
    first = addresses["ville-de-paris", "10.64.2.11"].fields
    assert first["address"] == "10.64.2.11/24"
    assert first["dns_name"] == "compute-a2-01.chapelle.internal"
    assert first["assigned_object_id"] == Ref("interfaces", ("compute-a2-01", "bond0"))
    services = {
        i.fields.get("dns_name"): key[1] for key, i in addresses.items() if key[1][:8] == "10.64.0."
    }
    assert services["time2.chapelle.internal"] == "10.64.0.12"
    assert services["dns1.chapelle.internal"] == "10.64.0.21"
    storage = addresses["ville-de-paris", "10.65.2.11"].fields["assigned_object_id"]
    assert storage.key == ("compute-a2-01", "bond0.202")
    assert ("infra-a2-01", "bond0.202") not in desired.of("interfaces")
    update = desired.of("device_addresses")["compute-a2-01",].fields
    assert update == {
        "primary_ip4": Ref("ip_addresses", ("ville-de-paris", "10.64.2.11")),
        "oob_ip": Ref("ip_addresses", ("management", "10.66.2.11")),
    }
    loopbacks = [i for key, i in addresses.items() if key[1].startswith("10.67.0.")]
    assert len(loopbacks) == 38
    assert {item.fields["address"].split("/")[1] for item in loopbacks} == {"32"}


def test_a_server_s_interfaces(desired: Desired) -> None:
    interfaces = desired.of("interfaces")
    bond = interfaces["database-a2-03", "bond0"].fields
    assert (bond["type"], bond["mtu"], bond["mode"]) == ("lag", 9000, "tagged")
    assert bond["untagged_vlan"] == Ref("vlans", ("city-servers", "102"))
    assert bond["tagged_vlans"] == [Ref("vlans", ("city-storage", "202"))]
    port = interfaces["database-a2-03", "eno2"].fields
    assert (port["type"], port["lag"].key[1]) == ("25gbase-x-sfp28", "bond0")
    assert interfaces["database-a2-03", "bmc"].fields["mgmt_only"] is True
    assert interfaces["database-a2-03", "bond0.202"].fields["parent"].key[1] == "bond0"


def test_macs_and_serials_are_local_unique_and_the_same_each_time(desired: Desired) -> None:
    macs = [
        i.fields["mac_address"]
        for i in desired.of("interfaces").values()
        if "mac_address" in i.fields
    ]
    assert len(set(macs)) == len(macs) == 300 * 3 + 50
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in macs)  # local, not multicast
    again = expand(design.load(REFERENCE))
    assert msgspec.json.encode(list(again)) == msgspec.json.encode(list(desired))


def test_tenants_have_vrf_targets_contacts_and_pools(desired: Desired) -> None:
    for name in ("ville-de-paris", "management"):
        vrf = desired.of("vrfs")[name,].fields
        assert vrf["tenant"] == Ref("tenants", ("ville-de-paris",))
        assert vrf["import_targets"] == vrf["export_targets"] != []
    for slug in ("ville-de-paris", "ap-hp", "paris-habitat", "eau-de-paris"):
        roles = {key[2] for key in desired.of("contact_assignments") if key[0] == slug}
        assert roles == {"operations", "security"}
    targets = [tuple(i.fields["import_targets"]) for i in desired.of("vrfs").values()]
    assert len(set(targets)) == len(targets)  # management imports no routes of the servers
    (site,) = desired.of("sites").values()
    assert site.fields["custom_fields"]["tenant_pools"]["prefixes"] == ["10.80.0.0/12"]


def test_a_vlan_of_servers_has_an_l2vpn_and_a_vrf_a_vni(desired: Desired) -> None:
    l2vpns = desired.of("l2vpns")
    assert len(l2vpns) == len(desired.of("l2vpn_terminations")) == 12
    servers = l2vpns["servers-a2",].fields
    assert (servers["identifier"], servers["type"]) == (10102, "vxlan-evpn")
    assert servers["import_targets"] == servers["export_targets"]
    assert servers["import_targets"] == [Ref("route_targets", ("4200000000:10102",))]
    end = desired.of("l2vpn_terminations")["servers-a2", "102", "servers-a2"].fields
    assert end["assigned_object_id"] == Ref("vlans", ("city-servers", "102"))
    vnis = {key[0]: i.fields["custom_fields"]["l3vni"] for key, i in desired.of("vrfs").items()}
    assert vnis["management"] == 50100
    used = [*vnis.values(), *(item.fields["identifier"] for item in l2vpns.values())]
    assert len(set(used)) == len(used) == 14


def test_an_out_of_band_switch_has_one_group_to_the_border_leafs(desired: Desired) -> None:
    interfaces = desired.of("interfaces")
    group = interfaces["oob-a2-3", "uplink"].fields
    assert (group["type"], group["tagged_vlans"]) == ("lag", [Ref("vlans", ("management", "302"))])
    ports = [key[1] for key, i in interfaces.items() if i.fields.get("lag") == Ref(
        "interfaces", ("oob-a2-3", "uplink"))]  # fmt: skip
    assert ports == ["swp49", "swp50"]
    ends = _ends(desired)
    assert {ends["oob-a2-3", port][0] for port in ports} == {"border-a1", "border-a4"}
    assert len({ends["oob-a2-3", port][1] for port in ports}) == 1  # one port number on both


def test_what_runs_and_operators_write_is_only_set_at_first(desired: Desired) -> None:
    assert {"status", "serial"} <= desired.of("devices")["compute-a2-01",].initial
    disk = desired.of("inventory_items")["compute-a2-01", "disk-os-1"]
    assert disk.initial == {"serial", "custom_fields.disk_purpose"}
    written = {name for item in desired for name in item.fields.get("custom_fields", {})}
    assert written == {
        "bgp_asn", "disk_purpose", "disk_size_gb", "dns_domain", "l3vni", "ups", "capacity_kva",
        "power_sources", "resilience_waivers", "tenant_pools",
    }  # fmt: skip


def test_all_references_lead_somewhere(desired: Desired) -> None:
    for item in desired:
        for value in item.fields.values():
            assert all(desired.has(ref) for ref in refs(value)), item


# -- contradictions -----------------------------------------------------------


def test_two_servers_in_one_unit(folder: Path) -> None:
    spoil(folder, "network.yml", "rack: 1, unit: 42", "rack: 1, unit: 5")
    found = problems(folder)
    assert any(
        p.path == "switches[0]" and p.expected == "unit 5 of rack A2-R01 to be free for leaf-a2-1a"
        for p in found
    )


def test_an_overfull_rack(folder: Path) -> None:
    spoil(folder, "racks.yml", "u_height: 42", "u_height: 12")
    assert any("units 1 to 12 of rack A1-R01" in problem.expected for problem in problems(folder))


def test_a_reference_to_nothing(folder: Path) -> None:
    spoil(folder, "racks.yml", "role: city\n", "role: village\n")
    (problem,) = {p.found for p in problems(folder)}
    assert problem == "'village'"


def test_a_duplicate_serial_number(folder: Path) -> None:
    spoil(folder, "servers.yml", "serials: {}", "serials: {compute-a1-01: X1, compute-a3-07: X1}")
    (problem,) = problems(folder)
    assert problem.where == "servers.yml: serials.compute-a3-07"
    assert problem.found == "X1 of compute-a3-07 and of compute-a1-01"


def test_a_serial_number_of_nobody(folder: Path) -> None:
    spoil(folder, "servers.yml", "serials: {}", "serials: {compute-a9-01: X1}")
    (problem,) = problems(folder)
    assert problem.where == "servers.yml: serials.compute-a9-01"


def test_a_given_serial_number_is_kept_to(folder: Path) -> None:
    spoil(folder, "servers.yml", "serials: {}", "serials: {compute-a1-01: X1}")
    item = expand(design.load(folder)).of("devices")["compute-a1-01",]
    assert item.fields["serial"] == "X1"
    assert "serial" not in item.initial


def test_names_that_come_twice(folder: Path) -> None:
    spoil(folder, "servers.yml", "{role}-a{aisle}-{number:02d}", "{role}-{number:02d}")
    assert any("'compute-01' comes from" in problem.found for problem in problems(folder))


def test_overlapping_prefixes(folder: Path) -> None:
    spoil(folder, "addressing.yml", '"10.65.{aisle}.0/24"', '"10.64.{aisle}.128/25"')
    found = problems(folder)
    assert any("do not overlap" in problem.expected for problem in found)


def test_a_duplicate_vlan_number(folder: Path) -> None:
    spoil(folder, "addressing.yml", 'vid: "2{aisle:02d}"', 'vid: "1{aisle:02d}"')
    spoil(folder, "addressing.yml", "vids: 201-299", "vids: 100-299")
    assert any(problem.expected == "every vid once" for problem in problems(folder))


def test_a_vni_that_comes_twice(folder: Path) -> None:
    spoil(folder, "addressing.yml", "l3vni: 50101", "l3vni: 10101")
    found = [problem.found for problem in problems(folder) if problem.expected == "every VNI once"]
    assert found == ["10101 of ville-de-paris and of servers-a1"]


def test_a_vni_that_is_no_number_or_too_large(folder: Path) -> None:
    spoil(folder, "addressing.yml", 'vni: "101{aisle:02d}"', 'vni: "66{aisle:03d}"')
    assert any(p.expected == "a VNI from 1 to 65535" for p in problems(folder))


def test_an_uplink_over_a_port_that_the_switch_does_not_have(folder: Path) -> None:
    spoil(folder, "network.yml", "ports: [49, 50]", "ports: [49, 99]")
    assert any(p.path == "uplinks[0].ports" and p.found == "'swp99'" for p in problems(folder))


def test_a_vlan_number_outside_its_group(folder: Path) -> None:
    spoil(folder, "addressing.yml", 'vid: "2{aisle:02d}"', 'vid: "4{aisle:02d}"')
    expected = {problem.expected for problem in problems(folder)}
    assert "a VLAN number of group city-storage" in expected


def test_an_address_outside_its_prefix(folder: Path) -> None:
    spoil(folder, "addressing.yml", '"10.64.{aisle}.0/24"', '"10.64.{aisle}.0/26"')
    found = problems(folder)
    assert any("inside 10.64.1.0/26" in p.expected and "outside" in p.found for p in found)


def test_two_cables_in_one_port(folder: Path) -> None:
    spoil(folder, "network.yml", "port: 21}", "port: 1}")
    assert any(p.expected == "one cable in oob-a1-1 swp1" for p in problems(folder))


def test_a_port_that_the_switch_does_not_have(folder: Path) -> None:
    spoil(folder, "network.yml", "port: 21}", "port: 99}")
    assert any(p.found == "'oob-a1-1 swp99'" for p in problems(folder))


def test_a_rack_that_one_feed_cannot_carry(folder: Path) -> None:
    spoil(folder, "power.yml", "amperage: 32", "amperage: 16")
    expected = {problem.expected for problem in problems(folder)}
    assert "at most 2944 W on one feed of rack A1-R01" in expected


def test_sums_that_do_not_add_up(folder: Path) -> None:
    spoil(folder, "servers.yml", "{storage: 1, database: 1", "{storage: 2, database: 1")
    found = {(p.path, p.expected, p.found) for p in problems(folder)}
    assert (
        "sizing.servers_per_aisle",
        "16 storage servers in aisle 1",
        "17 storage servers in aisle 1",
    ) in found
    assert ("sizing.raw_data_tb", "9216 TB on data disks", "9792 TB on data disks") in found


def test_a_misspelt_pattern(folder: Path) -> None:
    spoil(folder, "power.yml", "pdu-a{aisle}-r{rack:02d}-{side}", "pdu-a{isle}-r{rack:02d}-{side}")
    found = {(problem.path, problem.found) for problem in problems(folder)}
    assert ("pdus.name", "{isle}") in found


def test_expanding_does_not_need_the_sizing(folder: Path) -> None:
    loaded = design.load(folder)
    site = msgspec.structs.replace(loaded.site, sizing=None)
    parts = {name: getattr(loaded, name) for name in design.FILES} | {"site": site}
    assert len(expand(Design(**parts))) == len(expand(loaded))
