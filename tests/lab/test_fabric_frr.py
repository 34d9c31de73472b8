"""The idempotence guard: FRRouting itself shows every line that we render, and no other of ours.

Each golden configuration is given to the real daemons of the lab's image, read back, and must be
the same; a line that `show running-config` hides or writes otherwise would be a difference that no
push ever mends. The kernel's side is read by the image's own systemd-networkd.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from lab_switches import covering_switches, golden_switches
from routing_namespace import Namespace, Router

from chapelle.fabric.links import links
from chapelle.fabric.ownership import diff, merge, owned
from chapelle.fabric.platforms import FRR
from chapelle.fabric.render import ports, render
from chapelle.fabric.sections import parse
from chapelle.fabric.sections import text as sections_text
from chapelle.fabric.switch import Switch
from chapelle.lab import image
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab]

SWITCHES = golden_switches("frr")
# These have every line of every template; with a border leaf, every role is among them.
COVERING = {**covering_switches("frr"), "border-a1": SWITCHES["border-a1"]}


@pytest.fixture(scope="module")
def root() -> Path:
    """The root of the lab's image."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    kept = {key: os.environ[key] for key in ("CHAPELLE_CACHE",) if key in os.environ}
    return image.ensure(Settings.load(kept), print)


def router(root: Path, *switches: Switch) -> Router:
    names = dict.fromkeys(port.name for switch in switches for port in ports(switch))
    return Router(root, names)


def few_ports(name: str) -> Switch:
    """A golden switch with fewer ports: FRRouting takes long to take a configuration back."""
    switch = SWITCHES[name]
    changes = {"attachments": switch.attachments[:2], "unused": switch.unused[:2]}
    return msgspec.structs.replace(switch, **changes)


def plain(text: str) -> set[str]:
    """Its lines, without those that only close or separate."""
    return {line for line in text.splitlines() if line.strip(" !") and "exit" not in line}


@pytest.mark.parametrize("name", COVERING)
def test_what_is_rendered_is_what_is_shown(name: str, root: Path) -> None:
    text = render(SWITCHES[name])
    with router(root, SWITCHES[name]) as frr:
        candidate = merge("frr", frr.running(), text)
        judged = frr.check(candidate)
        assert (judged.returncode, judged.stderr) == (0, "")

        loaded = frr.reload(candidate)
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        running = frr.running()
        assert diff("frr", running, candidate) == ""
        assert plain(owned("frr", running)) == plain(text)  # letter by letter, indents too
        assert merge("frr", running, text) == merge("frr", merge("frr", running, text), text)
        assert "Lines To" not in frr.reload(merge("frr", running, text), "--test").stdout


def test_from_one_configuration_to_another_and_back(root: Path) -> None:
    """A tenant moves in and out again, and a switch is drained: nothing of it stays behind."""
    tenant = few_ports("leaf-a1-ta")
    empty = msgspec.structs.replace(tenant, attachments=(), handoffs=(), vlans=(), vrfs=())
    bridged = msgspec.structs.replace(tenant, handoffs=())
    drained = msgspec.structs.replace(tenant, drained=True)
    with router(root, tenant) as frr:
        first = frr.running()
        for switch in (empty, tenant, bridged, tenant, drained, tenant, empty):
            frr.reload(merge("frr", frr.running(), render(switch)))
            running = frr.running()
            assert diff("frr", running, merge("frr", running, render(switch))) == ""
        assert "neighbor" in owned("frr", running)
        frr.reload(first)
        assert diff("frr", first, frr.running()) == ""


def test_somebody_else_s_lines_stay(root: Path) -> None:
    switch = few_ports("leaf-a1-1a")
    theirs = (
        "ip prefix-list THEIRS seq 5 permit 192.0.2.0/24\n"
        "route-map THEIRS permit 10\n match ip address prefix-list THEIRS\nexit\n"
        "interface eth0\n description theirs\nexit\nip route 192.0.2.0/24 blackhole\n"
    )
    with router(root, switch) as frr:
        frr.reload(merge("frr", frr.running() + theirs, render(switch)))
        running = frr.running()
        for line in theirs.splitlines():
            assert line in running.splitlines()
        frr.reload(merge("frr", running, ""))
        assert diff("frr", merge("frr", frr.running(), ""), frr.running()) in {
            "",
            "+frr defaults traditional\n",  # which FRRouting does not let go
        }
        for line in theirs.splitlines():
            assert line in frr.running().splitlines()


def test_a_line_that_is_hidden_would_be_found(root: Path) -> None:
    """The guard itself: a default value, which FRRouting does not show, is a difference."""
    switch = few_ports("leaf-a1-ta")
    spoilt = render(switch).replace(" timers bgp 3 9\n", " timers bgp 60 180\n")
    with router(root, switch) as frr:
        candidate = merge("frr", frr.running(), spoilt)
        frr.reload(candidate)
        assert "timers bgp 60 180" in diff("frr", frr.running(), candidate)


def test_a_vlan_reaches_the_other_leaf_over_a_spine_and_avoids_one_that_is_drained(
    root: Path,
) -> None:
    names = {"leaf-a1-1a": "swp1", "leaf-a1-1b": "swp2"}
    spine = SWITCHES["spine-a1"]
    with (
        Router(root, ()) as above,
        Router(root, ()) as first,
        Router(root, ()) as second,
    ):
        for (name, port), leaf in zip(names.items(), (first, second), strict=True):
            above.cable(port, leaf, "swp49")
            router = SWITCHES[name].router
            assert router is not None
            leaf.vxlan(10101, router.loopback)
            leaf.reload(merge("frr", leaf.running(), render(SWITCHES[name])))
        above.reload(merge("frr", above.running(), render(spine)))

        # The other leaf is the next hop, not the spine that tells of it.
        first.wait("show bgp l2vpn evpn route type multicast", r"\*> +\[3\].*\n +10\.67\.0\.2 ")
        first.wait("show evpn vni 10101", r"10\.67\.0\.2 flood: HER")
        first.wait("show bfd peers brief", r"fe80::.* up ")
        first.wait("show ip route 10.67.0.2/32", r"via swp49|, swp49")

        drained = msgspec.structs.replace(spine, drained=True)
        above.reload(merge("frr", above.running(), render(drained)))
        first.wait("show bgp ipv4 unicast 10.67.0.2/32", "localpref 0,")


# -- a tenant that speaks BGP ---------------------------------------------------------------------

# What the tenant's own router announces: its network whole and in a part, a machine of it, somebody
# else's network, everything; and with what it would have them land in another tenant's VRF.
ANNOUNCED = ("10.96.0.0/20", "10.96.1.0/28", "10.96.1.1/32", "10.80.1.0/24", "0.0.0.0/0")
TENANT = """\
frr defaults traditional
router bgp 4210000000
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.79.0.2 remote-as {asn}
 neighbor 10.79.0.2 timers connect 2
 address-family ipv4 unicast
{networks}
  neighbor 10.79.0.2 route-map ELSEWHERE out
 exit-address-family
exit
route-map ELSEWHERE permit 10
 set extcommunity rt 4200000000:104
exit
"""


def without_vrf(switch: Switch) -> str:
    """The sessions and filters of a switch's hand-offs in the default table.

    Not every kernel has VRFs, and what FRRouting does with routes is the same in all tables.
    """
    found = []
    for section in parse(FRR, render(switch)):
        if section.header.startswith(("ip prefix-list", "route-map")):
            found.append(section)
        elif section.header.endswith(" vrf ap-hp"):
            end = next(i for i, line in enumerate(section.lines) if "l2vpn evpn" in line)
            header = section.header.removesuffix(" vrf ap-hp")
            found.append(msgspec.structs.replace(section, header=header, lines=section.lines[:end]))
    return "frr defaults traditional\n!\n" + sections_text(FRR, found)


def prefixes(router: Router, command: str) -> set[str]:
    """The prefixes of the routes that a command shows."""
    shown = json.loads(router.vtysh(f"{command} json"))
    return set(shown.get("routes", shown.get("advertisedRoutes", {})))


def established(switch: Router) -> int:
    """How often the session with the tenant has come up."""
    told = json.loads(switch.vtysh("show bgp neighbors 10.79.0.3 json"))
    return int(told["10.79.0.3"]["connectionsEstablished"])


@contextlib.contextmanager
def met(root: Path, leaf: str) -> Iterator[tuple[Router, Router]]:
    """A leaf with that configuration, and a tenant's router on its port swp5."""
    asn = re.search(r"router bgp (\d+)", leaf)
    assert asn
    networks = "\n".join(f"  network {network}" for network in ANNOUNCED)
    with Router(root, ()) as switch, Router(root, ()) as tenant:
        switch.cable("swp5", tenant, "et2")
        switch.ip("address", "add", "10.79.0.2/31", "dev", "swp5")
        switch.ip("address", "add", "10.67.0.8/32", "dev", "lo")
        switch.ip("address", "add", "10.80.7.1/24", "dev", "lo")
        tenant.ip("address", "add", "10.79.0.3/31", "dev", "et2")
        switch.reload(merge("frr", switch.running(), leaf))
        tenant.reload(tenant.running() + TENANT.format(asn=asn[1], networks=networks))
        switch.wait("show bgp ipv4 unicast", r"10\.96\.1\.0/28")
        tenant.wait("show bgp ipv4 unicast", r"10\.80\.7\.0/24")
        yield switch, tenant


def test_a_tenant_is_heard_for_what_it_has_and_hears_what_its_vrf_holds(root: Path) -> None:
    leaf = without_vrf(SWITCHES["leaf-a1-tb"])
    with met(root, leaf) as (switch, tenant):
        heard = prefixes(switch, "show bgp ipv4 unicast neighbors 10.79.0.3 routes")
        assert heard == {"10.96.0.0/20", "10.96.1.0/28"}
        told = prefixes(switch, "show bgp ipv4 unicast neighbors 10.79.0.3 advertised-routes")
        assert told - heard == {"10.79.0.2/31", "10.80.7.0/24"}, "no machine, no loopback"
        assert "RT:" not in switch.vtysh("show bgp ipv4 unicast 10.96.0.0/20")

        # A push that changes nothing leaves the session alone, one that changes the filter too.
        assert established(switch) == 1
        switch.reload(merge("frr", switch.running(), leaf))
        more = leaf.replace("permit 10.96.16.0/29", "permit 10.80.1.0/24 le 28")
        switch.reload(merge("frr", switch.running(), more))
        switch.wait("show bgp ipv4 unicast", r"10\.80\.1\.0/24")
        assert established(switch) == 1

        # More parts than it may have end the session, and it stays ended.
        where = ("configure terminal", "router bgp 4210000000", "address-family ipv4 unicast")
        parts = (f"network 10.96.2.{16 * number}/28" for number in range(10))
        tenant.run("vtysh", *(word for line in (*where, *parts) for word in ("-c", line)))
        switch.wait("show bgp summary", r"10\.79\.0\.3 .* Idle \(PfxCt\)")
        assert prefixes(switch, "show bgp ipv4 unicast neighbors 10.79.0.3 routes") == set()


def test_a_route_target_of_a_tenant_s_would_be_taken(root: Path) -> None:
    """The guard itself: without our line, the tenant's routes would keep it."""
    spoilt = without_vrf(SWITCHES["leaf-a1-tb"]).replace(" set extcommunity none\n", "")
    with met(root, spoilt) as (switch, _):
        assert "RT:4200000000:104" in switch.vtysh("show bgp ipv4 unicast 10.96.0.0/20")


# -- the kernel's side ----------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [False, True])
def test_networkd_knows_every_key(spoil: bool, root: Path) -> None:
    """It ignores what it does not know, with a line in its log that names the file."""
    content = {f["path"]: f["content"] for s in SWITCHES.values() for f in links(s)}
    folder = "/etc/systemd/network/"
    with Namespace(root, ()) as namespace:
        namespace.write_all(
            {
                path: text.replace("VNI=", "VN1=") if spoil else text
                for path, text in content.items()
                if path.startswith(folder)
            }
        )
        said = namespace.run("timeout", "2", "/lib/systemd/systemd-networkd")
        complaints = [line for line in said.stderr.splitlines() if folder in line]
        assert bool(complaints) == spoil, complaints
        assert "lo: Link UP" in said.stderr
