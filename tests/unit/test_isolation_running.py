"""What switches run is read as it was rendered; what somebody else put there is found and named."""

from collections.abc import Callable
from functools import cache

import fabric_datacentre as f
import isolation_sites
import msgspec
import pytest

from chapelle.checks.tenancy.isolation import prove_running
from chapelle.checks.tenancy.isolation.intended import Seen, see, switches
from chapelle.checks.tenancy.isolation.running.read import read
from chapelle.drivers.switch.frr_kernel import kernel as kernel_of
from chapelle.fabric import intent, links, render
from chapelle.model.datacentre import Datacentre
from chapelle.model.finding import Finding
from chapelle.model.isolation import GLOBAL, Reading
from chapelle.model.switch import Bridged, Kernel, Route

A, P, FABRIC = "AP-HP", "Paris Habitat", "the fabric's own table"
BOTH, ONE_WAY = "{} and {} reach each other", "{} reaches {}"
LEAF = "leaf-a1-ta"

type Edit = Callable[[str], str]


@cache
def datacentre(platform: str) -> Datacentre:
    content = isolation_sites.content()
    return f.datacentre(content if platform == "frr" else f.on_platform(content, platform))


@cache
def texts(platform: str) -> dict[str, str]:
    found = {}
    dc = datacentre(platform)
    for device in switches(dc):
        intended = intent.intent(dc, device)
        files = links.text(intended) if platform == "frr" else ""
        found[intended.name] = files + render.render(intended)
    return found


@cache
def readings(platform: str) -> dict[str, Reading]:
    dc = datacentre(platform)
    return {name: read(dc, dc.device(name), text) for name, text in texts(platform).items()}


def leaks(platform: str, switch: str, edit: Edit, kernel: Kernel | None = None) -> list[Finding]:
    """What is found when one switch runs something else than was rendered."""
    dc, text = datacentre(platform), texts(platform)[switch]
    changed = edit(text)
    assert kernel or changed != text
    planted = read(dc, dc.device(switch), changed, kernel)
    return list(prove_running(dc, {**readings(platform), switch: planted}).leaks)


def after(line: str, *more: str) -> Edit:
    """More lines after the first line that is this one."""
    return lambda text: text.replace(f"\n{line}\n", "\n".join(("", line, *more, "")), 1)


def at_end(*lines: str) -> Edit:
    return lambda text: text + "".join(f"{line}\n" for line in lines)


def instead(old: str, new: str) -> Edit:
    return lambda text: text.replace(old, new)


def in_section(head: str, line: str, *more: str) -> Edit:
    """More lines after a line of the section with that first line."""

    def edit(text: str) -> str:
        before, header, rest = text.partition(f"\n{head}\n")
        assert header
        return (
            before
            + header
            + ("\n" + rest)
            .replace(f"\n{line}\n", "\n".join(("", line, *more, "")), 1)
            .removeprefix("\n")
        )

    return edit


# -- as it was rendered ---------------------------------------------------------------------------


@pytest.mark.parametrize("platform", ["frr", "arista_eos", "cisco_nxos"])
def test_what_is_rendered_is_read_as_it_was_intended(platform: str) -> None:
    dc = datacentre(platform)
    for device in switches(dc):
        seen = see(dc, device)
        assert isinstance(seen, Seen)
        wanted, found = seen.reading, readings(platform)[seen.reading.switch]
        assert {door for door in found.doors if door.table != GLOBAL} == set(wanted.doors)
        assert {lan for lan in found.lans if lan.vid != 1} == set(wanted.lans)
        told = {(t.name, t.vni, t.imports[:1], t.exports[:1]) for t in found.tables}
        asked = {(t.name, t.vni, t.imports[:1], t.exports[:1]) for t in wanted.tables}
        assert told - {(GLOBAL, None, (), ())} == asked
        assert [table.leaks for table in found.tables if table.leaks] == []


@pytest.mark.parametrize("platform", ["frr", "arista_eos", "cisco_nxos"])
def test_switches_that_run_what_is_intended_leak_nothing(platform: str) -> None:
    found = prove_running(datacentre(platform), readings(platform), {"leaf-x": "no answer"})
    assert found.leaks == ()
    assert found.switches == 50
    assert found.unread == {"leaf-x": "no answer"}
    assert any("ends there, by policy" in way.reason for way in found.paths if way.party == A)


# -- leaks by configuration -----------------------------------------------------------------------

STATIC = " ip route 10.81.0.0/24 10.81.0.9 nexthop-vrf paris-habitat"
DEFAULT = " ip route 0.0.0.0/0 10.81.0.9 nexthop-vrf paris-habitat"
FAMILY = " address-family ipv4 unicast"
CONNECTED = "  redistribute connected route-map CHAPELLE-CONNECTED"
FILE = "file /etc/systemd/network/20-chapelle-{}"

# What somebody puts on leaf-a1-ta, the rule, who reaches whom, what is named.
FRR: dict[str, tuple[Edit, str, str, str]] = {
    "a static route with nexthop-vrf": (
        after("vrf ap-hp", STATIC), "route-leak", ONE_WAY.format(A, P), STATIC.strip(),
    ),
    "a default route with nexthop-vrf": (
        after("vrf ap-hp", DEFAULT), "default-route", ONE_WAY.format(A, P), DEFAULT.strip(),
    ),
    "a route of the global table": (
        at_end("ip route 10.80.0.0/24 10.80.0.9 nexthop-vrf ap-hp"), "route-leak",
        ONE_WAY.format(FABRIC, A), "10.80.0.0/24",
    ),
    "import vrf": (
        in_section("router bgp 4200000107 vrf ap-hp", CONNECTED, "  import vrf paris-habitat"),
        "route-leak", ONE_WAY.format(A, P), "import vrf paris-habitat",
    ),
    "redistribute table": (
        in_section("router bgp 4200000107 vrf ap-hp", CONNECTED, "  redistribute table 50201"),
        "route-leak", ONE_WAY.format(A, P), "redistribute table 50201",
    ),
    "ip import-table": (
        at_end("ip import-table 100"), "route-leak", ONE_WAY.format(FABRIC, "VRF table 100"),
        "ip import-table 100",
    ),
    "import vpn": (
        lambda text: in_section(
            "router bgp 4200000107 vrf paris-habitat", CONNECTED,
            "  rd vpn export 10.67.0.7:9", "  rt vpn export 65000:9", "  export vpn",
        )(in_section(
            "router bgp 4200000107 vrf ap-hp", CONNECTED, "  rt vpn import 65000:9", "  import vpn",
        )(text)),
        "foreign-target", ONE_WAY.format(A, P), "vpn 65000:9",
    ),
    "a wrong import target": (
        in_section(
            "router bgp 4200000107 vrf ap-hp", "  route-target import 4200000000:50200",
            "  route-target import 4200000000:50201",
        ),
        "foreign-target", ONE_WAY.format(A, P), "VRF ap-hp on leaf-a1-ta",
    ),
    "a wildcard import": (
        in_section(
            "router bgp 4200000107 vrf ap-hp", "  route-target import 4200000000:50200",
            "  route-target import *:50201",
        ),
        "foreign-target", ONE_WAY.format(A, P), "4200000000:50201",
    ),
    "a policy of a port": (
        at_end(
            "pbr-map ELSEWHERE seq 5", " match dst-ip 10.81.0.0/24", " set vrf paris-habitat",
            "interface vlan1000", " pbr-policy ELSEWHERE", "exit",
        ),
        "route-leak", ONE_WAY.format(A, P), "pbr-map ELSEWHERE",
    ),
    "a VLAN on the wrong port": (
        in_section(
            FILE.format("bond1.network"), " [BridgeVLAN] VLAN=1000", " [BridgeVLAN] VLAN=1010"
        ),
        "vlan-on-foreign-port", BOTH.format(A, P), "leaf-a1-ta swp1",
    ),
    "a VLAN that nobody knows": (
        in_section(
            FILE.format("bond1.network"), " [BridgeVLAN] VLAN=1000", " [BridgeVLAN] VLAN=666"
        ),
        "vlan-on-foreign-port", BOTH.format(A, "VLAN 666"), "take VLAN 666 off leaf-a1-ta swp1",
    ),
    "a gateway in the wrong VRF": (
        instead("VRF=ap-hp MACVLAN=gw1000", "VRF=paris-habitat MACVLAN=gw1000"),
        "foreign-vlan-vrf", BOTH.format(A, P), "VRF paris-habitat on leaf-a1-ta",
    ),
    "a gateway in no VRF": (
        instead("VRF=ap-hp MACVLAN=gw1000", "MACVLAN=gw1000"),
        "global-table", BOTH.format(A, FABRIC), "VLAN 1000",
    ),
    "a VLAN with the VNI of another": (
        instead("VNI=20000", "VNI=20010"), "shared-vni", BOTH.format(A, P), "VNI 20010",
    ),
    "a VRF that nobody knows, with a VNI of a tenant's": (
        at_end("vrf bogus", " vni 50200", "exit-vrf"),
        "shared-vni", BOTH.format(A, "VRF bogus"), "VNI 50200",
    ),
    "a neighbour that may announce anything": (
        in_section(
            "router bgp 4200000107 vrf ap-hp", CONNECTED, "  neighbor 10.80.0.9 activate"
        ),
        "foreign-announcement", "10.80.0.9 in VRF ap-hp on leaf-a1-ta may announce anything", A,
    ),
    "a neighbour that may announce another's": (
        lambda text: at_end(
            "ip prefix-list WRONG seq 5 permit 10.80.0.0/24 le 32",
            "ip prefix-list WRONG seq 10 permit 10.81.0.0/24",
            "route-map WRONG permit 10", " match ip address prefix-list WRONG", "exit",
        )(in_section(
            "router bgp 4200000107 vrf ap-hp", CONNECTED, "  neighbor 10.80.0.9 activate",
            "  neighbor 10.80.0.9 route-map WRONG in",
        )(text)),
        "foreign-announcement", "may announce 10.81.0.0/24, which is not AP-HP's", A,
    ),
}  # fmt: skip

EOS: dict[str, tuple[Edit, str, str, str]] = {
    "a static route with egress-vrf": (
        at_end("ip route vrf ap-hp 10.81.0.0/24 egress-vrf paris-habitat 10.81.0.9"),
        "route-leak", ONE_WAY.format(A, P), "egress-vrf paris-habitat",
    ),
    "a default route with egress-vrf": (
        at_end("ip route vrf ap-hp 0.0.0.0/0 egress-vrf paris-habitat 10.81.0.9"),
        "default-route", ONE_WAY.format(A, P), "egress-vrf paris-habitat",
    ),
    "leaked routes": (
        at_end("router general", "   vrf ap-hp",
               "      leak routes source-vrf paris-habitat subscribe-policy ALL"),
        "route-leak", ONE_WAY.format(A, P), "leak routes source-vrf paris-habitat",
    ),
    "a wrong import target": (
        after("      route-target import evpn 4200000000:50200",
              "      route-target import evpn 4200000000:50201"),
        "foreign-target", ONE_WAY.format(A, P), "VRF ap-hp on leaf-a1-ta",
    ),
    "a VLAN on the wrong port": (
        in_section("interface Port-Channel1", "   switchport trunk allowed vlan 1000-1001",
                   "   switchport trunk allowed vlan add 1010"),
        "vlan-on-foreign-port", BOTH.format(A, P), "leaf-a1-ta Ethernet1",
    ),
    "a gateway in the wrong VRF": (
        in_section("interface Vlan1000", "   vrf ap-hp", "   vrf paris-habitat"),
        "foreign-vlan-vrf", BOTH.format(A, P), "VRF paris-habitat on leaf-a1-ta",
    ),
    "a VLAN with the VNI of another": (
        instead("vxlan vlan 1000 vni 20000", "vxlan vlan 1000 vni 20010"),
        "shared-vni", BOTH.format(A, P), "VNI 20010",
    ),
}  # fmt: skip

NXOS: dict[str, tuple[Edit, str, str, str]] = {
    "a static route into another VRF": (
        after("vrf context ap-hp", "  ip route 10.81.0.0/24 10.81.0.9 vrf paris-habitat"),
        "route-leak", ONE_WAY.format(A, P), "vrf paris-habitat",
    ),
    "a default route into another VRF": (
        after("vrf context ap-hp", "  ip route 0.0.0.0/0 10.81.0.9 vrf paris-habitat"),
        "default-route", ONE_WAY.format(A, P), "vrf paris-habitat",
    ),
    "import of the global table": (
        in_section("vrf context ap-hp", "  address-family ipv4 unicast",
                   "    import vrf default map ALL"),
        "route-leak", ONE_WAY.format(A, FABRIC), "import vrf default map ALL",
    ),
    "a wrong import target": (
        in_section("vrf context ap-hp", "    route-target import 4200000000:50200 evpn",
                   "    route-target import 4200000000:50201 evpn"),
        "foreign-target", ONE_WAY.format(A, P), "VRF ap-hp on leaf-a1-ta",
    ),
    "a VLAN on the wrong port": (
        in_section("interface port-channel1", "  switchport trunk allowed vlan 1000-1001",
                   "  switchport trunk allowed vlan add 1010"),
        "vlan-on-foreign-port", BOTH.format(A, P), "leaf-a1-ta Ethernet1/1",
    ),
    "a gateway in the wrong VRF": (
        in_section("interface Vlan1000", "  vrf member ap-hp", "  vrf member paris-habitat"),
        "foreign-vlan-vrf", BOTH.format(A, P), "VRF paris-habitat on leaf-a1-ta",
    ),
    "a policy of a port": (
        at_end(
            "route-map ELSEWHERE permit 10", "  set vrf paris-habitat",
            "interface Vlan1000", "  ip policy route-map ELSEWHERE",
        ),
        "route-leak", ONE_WAY.format(A, P), "route-map ELSEWHERE",
    ),
    "a VLAN with the VNI of another": (
        instead("vn-segment 20000", "vn-segment 20010"), "shared-vni", BOTH.format(A, P),
        "VNI 20010",
    ),
}  # fmt: skip

PLANTS = [
    pytest.param(platform, *plant, id=f"{platform}: {name}")
    for platform, plants in (("frr", FRR), ("arista_eos", EOS), ("cisco_nxos", NXOS))
    for name, plant in plants.items()
]


@pytest.mark.parametrize(("platform", "edit", "rule", "who", "named"), PLANTS)
def test_what_somebody_put_on_a_switch_is_found_and_named_and_nothing_else(
    platform: str, edit: Edit, rule: str, who: str, named: str
) -> None:
    found = leaks(platform, LEAF, edit)
    assert [leak.rule for leak in found] == [rule], found
    text = f"{found[0].found} {found[0].remedy}"
    assert who in text
    assert named in text
    assert LEAF in {ref.name for ref in found[0].objects} or LEAF in text


def test_a_wrong_import_is_found_when_only_its_switch_was_read() -> None:
    dc, edit = datacentre("frr"), FRR["a wrong import target"][0]
    planted = read(dc, dc.device(LEAF), edit(texts("frr")[LEAF]))
    (leak,) = prove_running(dc, {LEAF: planted}).leaks
    assert leak.rule == "foreign-target"


def test_a_trunk_that_names_no_vlans_carries_all() -> None:
    edit = instead("   switchport trunk allowed vlan 1000-1001\n", "")
    found = leaks("arista_eos", LEAF, edit)
    assert {leak.rule for leak in found} == {"vlan-on-foreign-port"}
    assert {leak.remedy for leak in found} == {
        f"take VLAN {vid} off leaf-a1-ta Ethernet1" for vid in (1, 1010, 1011)
    }


def test_a_port_that_netbox_has_no_cable_for_is_somebody_unknown() -> None:
    wanted = " [Match] Name=swp30\n [Network] Bridge=br0\n [BridgeVLAN] VLAN=1000\n!\n"
    head = FILE.format("swp30.network")

    def edit(text: str) -> str:
        return f"{head}\n{wanted}" + text.replace("interface swp30\n shutdown", "interface swp30")

    (leak,) = leaks("frr", LEAF, edit)
    assert leak.rule == "vlan-on-foreign-port"
    assert "AP-HP and whatever is plugged into leaf-a1-ta swp30 reach each other" in leak.found
    assert leaks("frr", LEAF, lambda text: f"{head}\n{wanted}{text}") == []  # shut down


# -- leaks by hand in the kernel ------------------------------------------------------------------

KERNELS = {
    "a route": (
        Kernel(routes=(Route(table="ap-hp", into="paris-habitat", words="kernel route 10.81.0.0/24 "
                             "dev vlan1010"),)),
        "route-leak", ONE_WAY.format(A, P), "kernel route 10.81.0.0/24 dev vlan1010",
    ),
    "a default route": (
        Kernel(routes=(Route(table="ap-hp", into=GLOBAL, words="kernel route 0.0.0.0/0 dev x"),)),
        "default-route", ONE_WAY.format(A, FABRIC), "kernel route 0.0.0.0/0 dev x",
    ),
    "a VLAN on a port": (
        Kernel(bridged=(Bridged(port="bond1", vid=1010),), members={"bond1": ("swp1",)}),
        "vlan-on-foreign-port", BOTH.format(A, P), "leaf-a1-ta swp1",
    ),
    "a gateway": (
        Kernel(gateways=((1000, "paris-habitat"),)), "foreign-vlan-vrf", BOTH.format(A, P),
        "VRF paris-habitat",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_what_somebody_told_the_kernel_is_found(name: str) -> None:
    kernel, rule, who, named = KERNELS[name]
    (leak,) = leaks("frr", LEAF, lambda text: text, kernel)
    assert leak.rule == rule
    assert who in leak.found
    assert named in leak.found


def test_a_route_that_the_configuration_brings_is_told_once() -> None:
    kernel = Kernel(routes=(Route(table="ap-hp", into="paris-habitat", words="kernel route x"),))
    found = leaks("frr", LEAF, FRR["import vrf"][0], kernel)
    assert [leak.remedy.rpartition(": ")[2] for leak in found] == ["import vrf paris-habitat"]


def test_the_kernels_answers_are_read() -> None:
    """Shapes of iproute2 6.1, taken from a switch of the lab."""

    def link(name: str, kind: str = "", **fields: object) -> dict[str, object]:
        data = fields.pop("data", {})
        info = {"linkinfo": {"info_kind": kind, "info_data": data}} if kind else {}
        return {"ifname": name, "flags": ["UP"], **info, **fields}

    links_ = [
        link("lo"), link("swp1", master="bond1"), link("bond1", "bond", master="br0"),
        link("br0", "bridge"),
        link("vlan1000", "vlan", link="br0", master="ap-hp", data={"id": 1000}),
        link("gw1000", "macvlan", link="vlan1000", master="ap-hp"),
        link("ap-hp", "vrf", data={"table": 50200}), link("paris", "vrf", data={"table": 50201}),
        link("vlan1010", "vlan", link="br0", master="paris", data={"id": 1010}),
        link("vni20000", "vxlan", master="br0", data={"id": 20000}),
        link("swp49"), link("swp5.7", "vlan", link="swp5", data={"id": 7}),
    ]  # fmt: skip
    vlans = [
        {"ifname": "bond1", "vlans": [{"vlan": 1000}, {"vlan": 5, "flags": ["PVID"]}]},
        {"ifname": "vni20000", "vlans": [{"vlan": 1000, "flags": ["PVID", "Egress Untagged"]}]},
        {"ifname": "br0", "vlans": [{"vlan": 1000}]},
    ]
    routes = [
        {"dst": "default", "dev": "vlan1010", "table": "50200"},
        {"dst": "10.80.0.0/24", "dev": "vlan1000", "table": "50200"},
        {"type": "unreachable", "dst": "default", "table": "50200", "metric": 4278198272},
        {"type": "local", "dst": "10.80.0.1", "dev": "vlan1000", "table": "50200"},
        {"dst": "10.67.0.0/24", "dev": "swp49"},
        {"dst": "10.9.0.0/16", "nexthops": [{"dev": "swp49"}, {"dev": "vlan1000"}]},
    ]
    rules = [
        {"priority": 0, "src": "all", "table": "local"},
        {"priority": 1000, "src": "all", "table": "[l3mdev-table]", "l3mdev": None},
        {"priority": 50, "src": "10.80.0.0", "srclen": 24, "iif": "vlan1000", "table": "50201"},
        {"priority": 32766, "src": "all", "table": "main"},
    ]
    found = kernel_of(links_, vlans, routes, [], rules, [])
    assert found.routes == (
        Route(table="ap-hp", into="paris", words="kernel route 0.0.0.0/0 dev vlan1010"),
        Route(table="ap-hp", into="paris", words="kernel rule from 10.80.0.0 iif vlan1000 lookup "
              "50201"),
        Route(table="default", into="ap-hp", words="kernel route 10.9.0.0/16 dev vlan1000"),
    )  # fmt: skip
    assert found.members == {"bond1": ("swp1",)}
    assert found.bridges == {"br0"}
    assert found.vnis == {"vni20000": 20000}
    assert set(found.gateways) == {(1000, "ap-hp"), (1010, "paris")}
    assert Bridged(port="bond1", vid=5, untagged=True) in found.bridged
    assert msgspec.json.decode(msgspec.json.encode(found), type=Kernel) == found
    assert kernel_of([], [], [], [], [], []) == Kernel()
