"""Tenants between kernels of their own: each reaches what is its own, and nobody reaches anybody.

The fabric of `tenant_site`, configured by a push from nothing; the tenants' edges do what a tenant
would. Then they do what a tenant must not: frames of another's VLAN, another's addresses, the
gateway's address, another's networks announced, too many of them. Last, one tenant's lines are
withdrawn, and its acceptance runs, while the others' traffic is measured.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator

import flows
import pytest
import tenant_site
from fabric_site import Site, outcomes
from flows import Talk
from test_data_plane import LIMITS, MANAGEMENT
from test_lab_switches import until

from chapelle import lab
from chapelle.fabric.allocation import GATEWAY_MAC
from chapelle.lab import faults, uml
from chapelle.lab.tenant import Handoff
from chapelle.model.acceptance import FAILED, LINES, LOSS, PASSED
from chapelle.plan import networkd
from chapelle.plan.hostvars import intended_links
from chapelle.run.tenancy.examine import Examination, Wish
from chapelle.run.tenancy.lines import tenant as tenant_of
from chapelle.run.tenancy.withdraw import Withdrawal, withdrawn
from chapelle.settings import Settings

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(uml.PROGRAM), reason=f"needs {uml.PACKAGE}"),
]

NAMES = tenant_site.NAMES
KINDS = dict.fromkeys(NAMES, "uml")
HOSPITALS, HOUSING, WATER = tenant_site.HOSPITALS, tenant_site.HOUSING, tenant_site.WATER
CITY, BORDER = tenant_site.CITY, tenant_site.BORDER
CITY_ADDRESS, CITY_GATEWAY, MANAGEMENT_GATEWAY = "10.64.2.11", "10.64.2.1", "10.66.1.1"
# Seconds without an answer that fifteen kernels on two processors make by themselves: they lose a
# packet now and then with nothing happening. Whoever is cut off for longer was touched.
UNTOUCHED = 3.0
# What ping says when nothing answers, or when there is no route; not that it could not try.
NO_WAY = ("100% packet loss", "No route to host", "Network is unreachable")
TENANTS = {"ap-hp": HOSPITALS, "paris-habitat": HOUSING, "eau-de-paris": (WATER,)}


@pytest.fixture(scope="module")
def site(new_lab: Callable[[], Settings]) -> Site:
    """Everything up and configured from nothing."""
    settings, dc = new_lab(), tenant_site.datacentre()
    lab.up(settings, dc, NAMES, kinds=KINDS)
    made = Site(settings, start=False, dc=dc, names=tenant_site.SWITCHES)
    sections = {name: gear.sections for name, gear in made.gears.items()}
    result = made.push(sections, limits=LIMITS)
    assert outcomes(result) == dict.fromkeys(tenant_site.SWITCHES, "applied"), result.stopped
    wanted = networkd.files(intended_links(dc, dc.device(CITY)))
    files = "".join(f"cat >{f['path']} <<'END'\n{f['content']}END\n" for f in wanted)
    faults.run(settings, CITY, f"{MANAGEMENT}{files}systemctl restart systemd-networkd")
    for one, other in (HOSPITALS, HOUSING):
        assert until(180, lambda a=one, b=other: reaches(made, a, address(made, b))), (one, other)
    assert until(60, lambda: reaches(made, WATER, gateways(made, WATER)[0]))
    assert until(60, lambda: reaches(made, CITY, CITY_GATEWAY))
    return made


def handoff(site: Site, edge: str) -> Handoff:
    known = lab.read(site.settings)
    assert known
    found = known.hosts[edge].node.handoff
    assert found
    return found


def address(site: Site, edge: str) -> str:
    """The edge's own address: in its first VLAN, or in the first network that it announces."""
    found = handoff(site, edge)
    return found.owned[0] if found.owned else found.vlans[0].addresses[0].partition("/")[0]


def gateways(site: Site, edge: str) -> list[str]:
    return [gateway for vlan in handoff(site, edge).vlans for gateway in vlan.gateways]


def reaches(site: Site, edge: str, target: str, *, source: str | None = None) -> bool:
    """Whether a node's packets are answered; an edge sends from its own address."""
    own = source
    if own is None and edge.startswith("edge-"):
        own = address(site, edge)
    return flows.reaches(site.settings, edge, target, f"-I {own}" if own else "")


def leaf_of(site: Site, edge: str) -> str:
    return f"leaf-a{edge[-1]}-ta"


# -- who reaches whom -----------------------------------------------------------------------------


def test_a_push_from_nothing_is_unchanged_afterwards(site: Site) -> None:
    sections = {name: gear.sections for name, gear in site.gears.items()}
    result = site.push(sections, limits=LIMITS)
    assert outcomes(result) == dict.fromkeys(tenant_site.SWITCHES, "unchanged"), result.stopped


def test_tenants_reach_their_gateways_and_their_own_edges(site: Site) -> None:
    for edge in (*HOSPITALS, WATER):
        for gateway in gateways(site, edge):
            assert reaches(site, edge, gateway), (edge, gateway)
    for one, other in (HOSPITALS, HOSPITALS[::-1], HOUSING, HOUSING[::-1]):
        assert reaches(site, one, address(site, other)), (one, other)
    # A VLAN without gateway, from one aisle to the other.
    inner = [v.addresses[0].partition("/")[0] for v in handoff(site, HOSPITALS[1]).vlans][-1]
    own = [v.addresses[0].partition("/")[0] for v in handoff(site, HOSPITALS[0]).vlans][-1]
    assert reaches(site, HOSPITALS[0], inner, source=own)


def test_no_tenant_reaches_any_other_nor_the_city_nor_management(site: Site) -> None:
    """Both ways, from every edge to every address of the others."""
    strangers = [CITY_ADDRESS, CITY_GATEWAY, MANAGEMENT_GATEWAY, "10.64.0.11"]
    for slug, edges in TENANTS.items():
        for edge in edges:
            others = [e for other, es in TENANTS.items() if other != slug for e in es]
            targets = [address(site, e) for e in others]
            targets += [g for e in others for g in gateways(site, e)]
            for target in (*targets, *strangers):
                assert not reaches(site, edge, target), (edge, target)


def test_neither_the_city_nor_management_reaches_a_tenant(site: Site) -> None:
    for edge in tenant_site.EDGES:
        for target in (address(site, edge), *gateways(site, edge)):
            assert not reaches(site, CITY, target), target
            for vrf in ("management", "ville-de-paris"):
                said = faults.run(
                    site.settings, BORDER, f"ping -c2 -i0.2 -W1 -I {vrf} {target} 2>&1 || :"
                )
                assert any(no in said for no in NO_WAY), said


# -- what a tenant must not do --------------------------------------------------------------------

# Sends frames out of a port, and counts those of a mark that arrive at one. Arguments: send, port,
# VLAN (0: untagged), source and destination as MAC and IP; or listen, port, mark, seconds.
FRAMES = """
import fcntl, socket, struct, sys, time
def packet(source, target, mark):
    data = mark.encode()
    udp = struct.pack("!HHHH", 7000, 7001, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    total = (total >> 16) + (total & 0xFFFF)
    total = ~(total + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", total) + head[12:] + udp
def mac(text):
    return bytes.fromhex(text.replace(":", ""))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
if sys.argv[1] == "listen":
    port, mark, seconds = sys.argv[2], sys.argv[3].encode(), float(sys.argv[4])
    if port != "any":
        raw.bind((port, 0))
    raw.settimeout(0.5)
    end, seen = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            data, where = raw.recvfrom(2048)
        except OSError:
            continue
        seen += where[2] != socket.PACKET_OUTGOING and where[0] != "mgmt" and mark in data
    print(seen)
    sys.exit()
port, vlan, smac, dmac, source, target, mark = sys.argv[2:9]
raw.bind((port, 0))
tag = struct.pack("!HH", 0x8100, int(vlan)) if int(vlan) else b""
for _ in range(20):
    raw.send(mac(dmac) + mac(smac) + tag + b"\\x08\\x00" + packet(source, target, mark))
    time.sleep(0.1)
"""
BROADCAST = "ff:ff:ff:ff:ff:ff"


def mac_of(site: Site, node: str, link: str) -> str:
    return faults.run(site.settings, node, f"cat /sys/class/net/{link}/address").strip()


def frames(site: Site, *nodes: str) -> None:
    for node in nodes:
        faults.run(site.settings, node, f"cat >/run/frames.py <<'END'\n{FRAMES}END\n")


def arrived(site: Site, sender: str, words: str, mark: str, *listeners: str) -> dict[str, int]:
    """How many of twenty frames that a node sends are seen by others, on any of their links."""
    frames(site, sender, *listeners)
    for node in listeners:
        command = f"setsid python3 /run/frames.py listen any {mark} 12 >/run/seen 2>&1 &"
        faults.run(site.settings, node, command)
    time.sleep(2)
    faults.run(site.settings, sender, f"python3 /run/frames.py send {words} {mark}")
    time.sleep(11)
    return {
        node: int(faults.run(site.settings, node, "cat /run/seen").split()[-1])
        for node in listeners
    }


def test_frames_arrive_where_they_may(site: Site) -> None:
    """What the tests below send does arrive when it is right: they prove something."""
    one, other = HOSPITALS
    vlan = handoff(site, one).vlans[0]
    own = mac_of(site, one, "handoff")
    words = f"et1 {vlan.vid} {own} {BROADCAST} {address(site, one)} {address(site, other)}"
    assert arrived(site, one, words, "right", other)[other] >= 15


def test_frames_of_another_s_vlan_and_untagged_ones_go_nowhere(site: Site) -> None:
    sender = HOSPITALS[1]
    own = mac_of(site, sender, "handoff")
    others = (WATER, *HOUSING, HOSPITALS[0])
    foreign = handoff(site, WATER).vlans[0]
    for port in ("et1", "et2"):
        for number, vid in enumerate((foreign.vid, 0, 301, 102)):
            words = f"{port} {vid} {own} {BROADCAST} {address(site, sender)} {address(site, WATER)}"
            seen = arrived(site, sender, words, f"stray-{port}-{number}", *others)
            assert set(seen.values()) == {0}, (port, vid, seen)


def test_spoofed_addresses_bring_nobody_into_another_s_network(site: Site) -> None:
    """Another tenant's source address: what is sent does not arrive there, and no answer comes."""
    sender = HOSPITALS[1]
    own = mac_of(site, sender, "handoff")
    vlan = handoff(site, sender).vlans[0]
    for number, (source, target) in enumerate((
        (address(site, WATER), address(site, HOUSING[0])),
        (address(site, HOUSING[0]), address(site, WATER)),
        (address(site, HOUSING[1]), address(site, HOUSING[0])),
        (CITY_ADDRESS, address(site, WATER)),
        (address(site, WATER), CITY_ADDRESS),
    )):  # fmt: skip
        words = f"et1 {vlan.vid} {own} {GATEWAY_MAC} {source} {target}"
        listeners = (WATER, *HOUSING, CITY)
        seen = arrived(site, sender, words, f"spoof-{number}", *listeners)
        assert set(seen.values()) == {0}, (source, target, seen)


@pytest.fixture
def thief(site: Site) -> Iterator[str]:
    """An edge that has its gateway's address, and tells everybody so."""
    edge = HOSPITALS[0]
    vlan = handoff(site, edge).vlans[0]
    link = f"handoff.{vlan.vid}"
    faults.run(site.settings, edge, f"ip addr add {vlan.gateways[0]}/32 dev {link}")
    script = (
        "import socket,struct,sys,time\n"
        "raw=socket.socket(socket.AF_PACKET,socket.SOCK_RAW)\nraw.bind((sys.argv[1],0))\n"
        "own=raw.getsockname()[4]; ip=socket.inet_aton(sys.argv[2])\n"
        "arp=struct.pack('!HHBBH',1,0x800,6,4,2)+own+ip+b'\\xff'*6+ip\n"
        "for _ in range(60):\n"
        "  raw.send(b'\\xff'*6+own+b'\\x08\\x06'+arp); time.sleep(0.5)\n"
    )
    faults.run(
        site.settings, edge,
        f"cat >/run/steal.py <<'END'\n{script}END\n"
        f"setsid python3 /run/steal.py {link} {vlan.gateways[0]} >/dev/null 2>&1 &\n"
        "echo $! >/run/steal.pid",
    )  # fmt: skip
    yield edge
    faults.run(site.settings, edge, "kill $(cat /run/steal.pid) || :")
    faults.run(site.settings, edge, f"ip addr del {vlan.gateways[0]}/32 dev {link}")


def test_a_stolen_gateway_address_hurts_nobody_else(site: Site, thief: str) -> None:
    """The thief's own network may suffer: what became of it is printed. The others' do not."""
    time.sleep(8)
    gateway = handoff(site, thief).vlans[0].gateways[0]
    other = HOSPITALS[1]
    answered = reaches(site, other, gateway)
    known = faults.run(site.settings, other, f"ip neigh show {gateway}").strip()
    print(
        f"a stolen gateway: {other} is {'' if answered else 'not '}answered by {gateway}; {known}"
    )
    second = handoff(site, other).vlans[1]
    assert reaches(site, other, second.gateways[0], source=second.addresses[0].partition("/")[0])
    assert reaches(site, WATER, gateways(site, WATER)[0])
    assert reaches(site, HOUSING[0], address(site, HOUSING[1]))
    assert not reaches(site, other, address(site, WATER))


def test_the_gateway_is_answered_again_when_the_thief_is_gone(site: Site) -> None:
    for edge in HOSPITALS:
        assert until(90, lambda e=edge: reaches(site, e, gateways(site, e)[0])), edge


def bgp(site: Site, edge: str, *lines: str) -> None:
    asn = handoff(site, edge).asn
    commands = "".join(f" -c '{line}'" for line in (
        "configure terminal", f"router bgp {asn}", "address-family ipv4 unicast", *lines
    ))  # fmt: skip
    faults.run(site.settings, edge, f"vtysh{commands}")


def learned(site: Site, leaf: str, vrf: str) -> set[str]:
    said = site.vtysh(leaf, f"show ip route vrf {vrf} json")
    return set(json.loads(said))


def test_a_tenant_announces_nothing_that_is_not_its_own(site: Site) -> None:
    edge, leaf = HOUSING[0], leaf_of(site, HOUSING[0])
    theirs = handoff(site, WATER).vlans[0].addresses[0]
    stolen = ("0.0.0.0/0", "10.64.0.0/16", f"{theirs.rpartition('.')[0]}.0/24", "10.80.0.0/12")
    bgp(site, edge, *(f"network {prefix}" for prefix in stolen))
    try:
        time.sleep(10)
        told = site.vtysh(leaf, "show bgp vrf paris-habitat ipv4 unicast json")
        taken = set(json.loads(told)["routes"])
        assert not taken & set(stolen), taken
        assert set(handoff(site, edge).announced) <= taken
        for other in tenant_site.LEAFS:
            assert not learned(site, other, "paris-habitat") & (set(stolen) - {"0.0.0.0/0"})
        assert reaches(site, WATER, gateways(site, WATER)[0])
        assert not reaches(site, edge, address(site, WATER))
    finally:
        bgp(site, edge, *(f"no network {prefix}" for prefix in stolen))


def test_a_tenant_that_announces_too_much_loses_its_session_and_nobody_else_s(site: Site) -> None:
    edge, leaf = HOUSING[0], leaf_of(site, HOUSING[0])
    own = handoff(site, edge).announced[0].partition("/")[0].rpartition(".")[0]
    second = handoff(site, edge).announced[1].partition("/")[0].rpartition(".")[0]
    many = [f"{n}.{part * 4}/30" for n in (own, second) for part in range(8)]
    many += [f"{n}.{part * 16}/28" for n in (own, second) for part in range(16)]
    many += [f"{n}.{part * 32}/27" for n in (own, second) for part in range(8)]
    many += [f"{n}.{part * 64}/26" for n in (own, second) for part in range(4)]
    keep = set(handoff(site, edge).announced)
    asn = handoff(site, edge).asn
    text = f"router bgp {asn}\n address-family ipv4 unicast\n"
    body = "".join(f"  network {prefix}\n" for prefix in many if prefix not in keep)
    faults.run(site.settings, edge, f"cat >/run/many <<'END'\n{text}{body}END\nvtysh -f /run/many")
    with Talk(
        settings=site.settings, one=HOSPITALS[0], other=HOSPITALS[1],
        address=address(site, HOSPITALS[1]), source=address(site, HOSPITALS[0]),
    ).during("a tenant announces too much") as heard:  # fmt: skip
        peers = [session.address.partition("/")[0] for session in handoff(site, edge).sessions]
        said = site.vtysh(leaf, "show bgp vrf paris-habitat ipv4 unicast summary json")
        state = json.loads(said)["peers"][peers[0]]["state"]
        print(f"a tenant announces too much: the leaf's session with it is {state}")
    assert state != "Established"
    assert heard.gap < UNTOUCHED
    undo = "".join(f"  no network {prefix}\n" for prefix in many if prefix not in keep)
    faults.run(site.settings, edge, f"cat >/run/few <<'END'\n{text}{undo}END\nvtysh -f /run/few")
    for name in (leaf, leaf[:-1] + "b"):
        site.vtysh(name, "clear bgp vrf paris-habitat *")
    assert until(90, lambda: reaches(site, edge, address(site, HOUSING[1])))


def as_intended(site: Site, leaf: str) -> bool:
    """Whether a leaf runs all that it should, its links too."""
    look = site.looks({leaf: site.gears[leaf].sections})[leaf]
    print(f"{leaf}: {look.diff or 'no difference'}")
    return not look.diff


# -- while one tenant leaves ----------------------------------------------------------------------


def test_a_tenant_s_lines_are_withdrawn_and_the_others_are_not_touched(site: Site) -> None:
    """All lines of Paris Habitat in aisle 2 are shut on each leaf, and open again afterwards."""
    talks = [
        Talk(settings=site.settings, one=HOSPITALS[0], other=HOSPITALS[1],
             address=address(site, HOSPITALS[1]), source=address(site, HOSPITALS[0])),
    ]  # fmt: skip
    ports = ("swp3",)
    with talks[0].during("another tenant's lines withdrawn on both leafs") as heard:
        for leaf in tenant_site.PAIRS[1]:
            gear = site.gears[leaf]
            what = Withdrawal(target=gear.target, serial=gear.expected.serial, ports=ports,
                              name="chapelle-withdrawn")  # fmt: skip
            with withdrawn(what, site.connect):
                time.sleep(5)
                assert "shutdown" in site.vtysh(leaf, "show running-config").partition(
                    "interface swp3\n")[2].partition("exit")[0]  # fmt: skip
            assert not site.is_armed(leaf)
            assert as_intended(site, leaf)
    assert heard.gap < UNTOUCHED
    assert until(90, lambda: reaches(site, HOUSING[0], address(site, HOUSING[1])))


# -- acceptance -----------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["ap-hp", "paris-habitat", "eau-de-paris"])
def test_a_tenant_is_accepted_with_packets(site: Site, slug: str) -> None:
    """Each leaf of each of its pairs is lost in turn, while packets are sent from its own edges."""
    examination = Examination(
        site.settings, site.dc, tenant_of(site.dc, slug), Wish(tenant=slug),
        run=f"accept-{slug}", connect=site.connect, say=print,
    )  # fmt: skip
    examination.links()
    examination.measure()
    examination.losses()
    for each in examination.evidence:
        print(f"{each.verdict}: {each.area}: {each.item}: {each.what}: {each.found}")
    assert not [each for each in examination.evidence if each.verdict == FAILED]
    leafs = {line.switch for line in examination.lines}
    carried = [e for e in examination.evidence if e.area == LOSS and e.how.startswith("ping from")]
    assert {each.item for each in carried} == leafs
    assert all(each.verdict == PASSED for each in carried)
    measured = {e.what for e in examination.evidence if e.area == LINES and e.verdict == PASSED}
    assert measured == ({"latency", "throughput"} if len(TENANTS[slug]) > 1 else {"latency"})
    for leaf in leafs:
        assert not site.is_armed(leaf)
        assert as_intended(site, leaf)
