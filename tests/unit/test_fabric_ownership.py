"""What is somebody else's stays, what is ours becomes what was intended, and no more is said."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.errors import ChapelleError, InputError
from chapelle.fabric.ownership import diff, merge, owned
from chapelle.fabric.platforms import PLATFORMS

WORD = st.text("abcdefghij", min_size=1, max_size=8)

# Headers of sections by platform: others' and ours; blocks have lines below them.
FOREIGN = {
    "frr": (
        ["hostname {}", "log file {}", "ip route 192.0.2.0/24 {}", "no ip {}", "agentx {}"],
        [
            "interface eth{n}",
            "router ospf vrf {}",
            "vrf mgmt",
            "route-map {} permit {n}",
            "line {}",
        ],
    ),
    "arista_eos": (
        ["hostname {}", "logging host {}", "ip route vrf MGMT {}", "ip name-server {}"],
        ["interface Management{n}", "router ospf {n}", "management api {}", "vrf instance MGMT"],
    ),
    "cisco_nxos": (
        ["hostname {}", "feature ssh-{}", "ip host {}", "logging server {}", "boot nxos {}"],
        ["interface mgmt{n}", "router ospf {}", "vrf context management", "line {}"],
    ),
}
OURS = {
    "frr": (
        [
            "evpn mh startup-delay {n}",
            "ip prefix-list CHAPELLE-FROM-{}-IPV4 seq {n} permit any",
            "ipv6 prefix-list CHAPELLE-TO-TENANTS-IPV6 seq {n} permit any",
        ],
        [
            "route-map CHAPELLE-FROM-{}-IPV6 permit {n}",
            "interface swp{n}",
            "vrf {}",
            "router bgp {n} vrf {}",
            "interface bond{n}",
            "bfd",
        ],
    ),
    "arista_eos": (
        ["ip routing vrf {}", "ip virtual-router mac-address 02:{n}"],
        [
            "ipv6 prefix-list CHAPELLE-FROM-{}-IPV6",
            "interface Ethernet{n}",
            "vlan 1{n}",
            "vrf instance {}",
            "router bgp {n}",
        ],
    ),
    "cisco_nxos": (
        [
            "feature bgp",
            "nv overlay evpn",
            "vlan 1,{n}",
            'ip extcommunity-list expanded CHAPELLE-ANY seq {n} permit ".*"',
        ],
        ["interface Ethernet1/{n}", "vlan 1{n}", "vrf context {}", "router bgp {n}", "evpn"],
    ),
}
CLOSING = {"frr": "exit", "arista_eos": "", "cisco_nxos": ""}


@st.composite
def sections(draw: Callable, slug: str, kinds: dict) -> dict[str, str]:
    """Sections by header, each as text."""
    separator = PLATFORMS[slug].separator
    key = "ours" if kinds is OURS else "theirs"
    single, blocks = kinds[slug]
    found = {}
    for pattern in draw(st.lists(st.sampled_from([*single, *blocks]), max_size=6)):
        header = pattern.format(draw(WORD), n=draw(st.integers(2, 99)))
        lines = [header]
        if pattern in blocks:
            for word in draw(st.lists(WORD, min_size=1, max_size=4, unique=True)):
                lines.append(f"   {key} {word}")
                if draw(st.booleans()):
                    lines += [f"      {key} {word}", "      !"]
            lines += [CLOSING[slug]] if CLOSING[slug] else []
            lines.append(separator)
        found[header] = "\n".join(lines) + "\n"
    return found


@st.composite
def devices(draw: Callable) -> tuple[str, str, str, list[str]]:
    """A platform, a running configuration, an intended one, and the foreign lines."""
    slug = draw(st.sampled_from(sorted(PLATFORMS)))
    foreign = draw(sections(slug, FOREIGN))
    running = draw(st.permutations([*foreign.values(), *draw(sections(slug, OURS)).values()]))
    intended = draw(sections(slug, OURS))
    lines = "".join(foreign.values()).splitlines()
    return slug, "".join(running), "".join(intended.values()), lines


@settings(max_examples=150, deadline=None)
@given(devices())
def test_every_foreign_line_stays_and_ours_are_those_intended(device: tuple) -> None:
    slug, running, intended, foreign = device
    merged = merge(slug, running, intended)
    kept = merged.splitlines()
    for line in foreign:
        if line not in ("", "!"):
            assert line in kept
    assert diff(slug, owned(slug, merged), intended) == ""
    order = [line for line in kept if line in foreign and line.strip() not in ("", "!", "exit")]
    before = [line for line in running.splitlines() if line in foreign]
    assert order == [line for line in before if line.strip() not in ("", "!", "exit")]


@settings(max_examples=150, deadline=None)
@given(devices())
def test_merging_again_changes_nothing(device: tuple) -> None:
    slug, running, intended, _ = device
    merged = merge(slug, running, intended)
    assert merge(slug, merged, intended) == merged
    assert diff(slug, merged, merge(slug, merged, intended)) == ""


@settings(max_examples=100, deadline=None)
@given(devices())
def test_what_is_equal_has_no_difference_and_one_way_is_the_other_reversed(device: tuple) -> None:
    slug, running, intended, _ = device
    candidate = merge(slug, running, intended)
    assert diff(slug, running, running) == ""
    forward = diff(slug, running, candidate).splitlines()
    back = diff(slug, candidate, running).splitlines()
    assert sorted(line[1:] for line in forward if line[0] == "+") == sorted(
        line[1:] for line in back if line[0] == "-"
    )
    assert bool(forward) == bool(back)


@settings(max_examples=100, deadline=None)
@given(devices())
def test_the_difference_applied_to_one_gives_the_other(device: tuple) -> None:
    """A line that comes is in the candidate, one that goes is in the running configuration."""
    slug, running, intended, _ = device
    candidate = merge(slug, running, intended)
    have, want = set(running.splitlines()), set(candidate.splitlines())
    for line in diff(slug, running, candidate).splitlines():
        assert line[1:] in (want if line[0] in "+ " else have)


RUNNING = """\
frr version 8.4.4
frr defaults traditional
hostname leaf
log syslog informational
!
vrf ap-hp
 vni 50102
exit-vrf
!
vrf mgmt
 ip route 0.0.0.0/0 192.0.2.1
exit-vrf
!
interface eth0
 description management
exit
!
interface swp1
 description one
exit
!
interface swp10
 shutdown
exit
!
router bgp 4200000101
 bgp router-id 10.67.0.1
 neighbor 192.0.2.9 remote-as 65000
 !
 address-family l2vpn evpn
  advertise-all-vni
  vni 10101
   rd 10.67.0.1:10101
  exit-vni
 exit-address-family
exit
!
router ospf
 ospf router-id 192.0.2.1
exit
!
end
"""
INTENDED = """\
frr defaults traditional
!
interface swp1
 description other
exit
!
interface swp2
 shutdown
exit
!
interface swp10
 shutdown
exit
!
router bgp 4200000101
 bgp router-id 10.67.0.1
 !
 address-family l2vpn evpn
  advertise-all-vni
  vni 10101
   rd 10.67.0.1:10101
   route-target import 1:1
  exit-vni
 exit-address-family
exit
!
bfd
 profile CHAPELLE
  detect-multiplier 4
 exit
 !
exit
!
"""


def test_a_candidate_is_in_the_order_of_the_device() -> None:
    headers = [
        line
        for line in merge("frr", RUNNING, INTENDED).splitlines()
        if line and line[0] not in "! " and not line.startswith("exit")
    ]
    assert headers == [
        "frr defaults traditional",
        "hostname leaf",
        "log syslog informational",
        "vrf mgmt",
        "interface eth0",
        "interface swp1",
        "interface swp2",
        "interface swp10",
        "router bgp 4200000101",
        "bfd",
        "router ospf",
    ]


def test_a_difference_shows_what_its_lines_belong_to() -> None:
    candidate = merge("frr", RUNNING, INTENDED)
    assert (
        diff("frr", RUNNING, candidate)
        == """\
-vrf ap-hp
- vni 50102
 interface swp1
- description one
+ description other
+interface swp2
+ shutdown
 router bgp 4200000101
- neighbor 192.0.2.9 remote-as 65000
  address-family l2vpn evpn
   vni 10101
+   route-target import 1:1
+bfd
+ profile CHAPELLE
+  detect-multiplier 4
"""
    )


def test_the_order_of_lines_makes_no_difference() -> None:
    turned = RUNNING.replace(
        " bgp router-id 10.67.0.1\n neighbor 192.0.2.9 remote-as 65000\n",
        " neighbor 192.0.2.9 remote-as 65000\n bgp router-id 10.67.0.1\n",
    )
    assert turned != RUNNING
    assert diff("frr", RUNNING, turned) == ""


def test_a_header_of_the_device_is_no_configuration() -> None:
    shown = "Building configuration...\n\nCurrent configuration:\n!\n" + RUNNING
    assert diff("frr", shown, RUNNING) == ""


@pytest.mark.parametrize(
    ("slug", "banner"),
    [
        ("arista_eos", "banner motd\nvlan 5\n!\nend\n   interface Ethernet1\nEOF\n"),
        ("cisco_nxos", "banner motd ^C\nvlan 5\n\nrouter bgp 1\n^C\n"),
        ("cisco_nxos", "banner motd #\nvlan 5\nend of it#\n"),
        ("cisco_nxos", "banner motd #all on one line#\n"),
    ],
)
def test_what_stands_in_a_banner_is_nobody_s_configuration(slug: str, banner: str) -> None:
    intended = "vlan 5\n   name five\n"
    merged = merge(slug, f"hostname x\n{banner}", intended)
    assert banner in merged
    assert owned(slug, merged).startswith("vlan 5\n   name five\n")
    assert merge(slug, merged, intended) == merged
    assert owned(slug, merge(slug, merged, "")) == ""


def test_a_section_that_is_not_ours_cannot_be_rendered() -> None:
    with pytest.raises(ChapelleError) as caught:
        merge("frr", RUNNING, "interface eth0\n shutdown\nexit\n")
    assert caught.value.found == "interface eth0"


@pytest.mark.parametrize("call", [lambda: merge("ios", "", ""), lambda: diff("ios", "", "")])
def test_an_unknown_platform_is_refused(call: Callable) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.found == "ios"
    assert "frr" in (caught.value.expected or "")
