"""The fabric's data plane between kernels of their own: who reaches whom, and what is lost when.

Two spines, two leaf pairs, a border leaf, and four servers on two leafs each, in two tenants. All
is configured as in production: the switches by a push from nothing, the servers' links by the files
that the role `network` writes. Losses are printed (`-s` shows them); what a test demands of them is
only that it ends, and in less time than anybody would call an outage.
"""

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import flows
import full_site
import pytest
from fabric_site import Site, outcomes, step
from flows import Heard, Talk
from test_lab_full_kernel import KINDS, LEFT, NAMES, RIGHT
from test_lab_switches import until

from chapelle import lab
from chapelle.lab import faults, uml
from chapelle.model import linkfile
from chapelle.plan import networkd
from chapelle.plan.hostvars import intended_links
from chapelle.run.fabric.order import Limits
from chapelle.settings import Settings

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(uml.PROGRAM), reason=f"needs {uml.PACKAGE}"),
]

# A kernel of its own takes its time when the machine has much else to do.
LIMITS = Limits(revert=600, management=600, settle=120.0, drain=2.0)
CITY, TENANT = full_site.CITY, full_site.TENANT
ADDRESS = {
    CITY[0]: "10.64.2.11",
    CITY[1]: "10.64.2.27",
    TENANT[0]: "10.64.3.11",
    TENANT[1]: "10.64.3.12",
}
STORAGE = "10.65.2.27"  # the tagged VLAN of CITY[1]

# The way to the operators is that of management; the default route is the one of the data ports.
MANAGEMENT = """
mkdir -p /etc/systemd/network/05-install.network.d
cat >/etc/systemd/network/05-install.network.d/management.conf <<'END'
[Route]
Destination=10.64.0.0/24
Gateway=10.66.2.1
END
sed -i /^Gateway=/d /etc/systemd/network/05-install.network
"""


@pytest.fixture(scope="module")
def site(new_lab: Callable[[], Settings]) -> Site:
    """Everything up and configured from nothing."""
    settings, dc = new_lab(), full_site.datacentre()
    lab.up(settings, dc, NAMES, kinds=KINDS)
    made = Site(settings, start=False, dc=dc, names=full_site.SWITCHES)
    result = made.push(sections_of(made), limits=LIMITS)
    assert outcomes(result) == dict.fromkeys(full_site.SWITCHES, "applied"), result.stopped
    for name in full_site.SERVERS:
        wanted = networkd.files(intended_links(dc, dc.device(name)))
        files = "".join(f"cat >{f['path']} <<'END'\n{f['content']}END\n" for f in wanted)
        faults.run(settings, name, f"{MANAGEMENT}{files}systemctl restart systemd-networkd")
    for one, other in ((CITY[0], CITY[1]), (TENANT[0], TENANT[1])):
        assert until(120, lambda a=one, b=other: reaches(made, a, ADDRESS[b])), (one, other)
    return made


def sections_of(site: Site) -> dict[str, str]:
    return {name: gear.sections for name, gear in site.gears.items()}


def talking(site: Site, what: str) -> AbstractContextManager[Heard]:
    one, other = CITY
    talk = Talk(settings=site.settings, one=one, other=other, address=ADDRESS[other])
    return talk.during(what)


def reaches(site: Site, name: str, address: str, options: str = "") -> bool:
    return flows.reaches(site.settings, name, address, options)


# -- who reaches whom -----------------------------------------------------------------------------


def test_a_push_from_nothing_is_unchanged_afterwards(site: Site) -> None:
    result = site.push(sections_of(site), limits=LIMITS)
    assert outcomes(result) == dict.fromkeys(full_site.SWITCHES, "unchanged"), result.stopped


def test_servers_reach_their_gateway_and_their_own_tenant_across_leafs(site: Site) -> None:
    for tenant, gateway in ((CITY, "10.64.2.1"), (TENANT, "10.64.3.1")):
        for one, other in (tenant, tenant[::-1]):
            assert reaches(site, one, gateway), one
            assert reaches(site, one, ADDRESS[other]), one
    assert reaches(site, CITY[0], STORAGE), "a VLAN without gateway"
    assert reaches(site, CITY[0], ADDRESS[CITY[1]], "-s 8900 -M do"), "jumbo frames"


def test_no_tenant_reaches_another(site: Site) -> None:
    for one in CITY:
        for other in TENANT:
            assert not reaches(site, one, ADDRESS[other])
            assert not reaches(site, other, ADDRESS[one])
    # From the other side's gateway and from the switches' own table there is no way either.
    assert not reaches(site, CITY[0], "10.64.3.1")
    assert not reaches(site, LEFT, ADDRESS[CITY[0]])


# -- what is lost ---------------------------------------------------------------------------------


def test_without_a_fault_hardly_anything_is_lost(site: Site) -> None:
    with talking(site, "nothing happens"):
        time.sleep(10)


@pytest.mark.parametrize(("port", "leaf"), [("eno1", LEFT), ("eno2", RIGHT)])
def test_a_server_s_link_is_cut_and_mended(site: Site, port: str, leaf: str) -> None:
    """Both ends lose their carrier, which cables between full kernels do not do by themselves."""
    with talking(site, f"a server's link to {leaf} cut"):
        faults.run(site.settings, CITY[0], f"ip link set {port} down")
        faults.run(site.settings, leaf, "ip link set swp6 down")
        time.sleep(8)
    with talking(site, f"a server's link to {leaf} mended"):
        faults.run(site.settings, leaf, "ip link set swp6 up")
        faults.run(site.settings, CITY[0], f"ip link set {port} up")
        time.sleep(20)


def test_an_uplink_that_carries_nothing_any_more_is_noticed(site: Site) -> None:
    """Neither end loses its carrier: BFD has to notice."""
    with talking(site, "a leaf's uplink silent"):
        faults.unplug(site.settings, LEFT, "swp49")
        time.sleep(8)
    with talking(site, "a leaf's uplink mended"):
        faults.plug(site.settings, LEFT, "swp49")
        time.sleep(20)


def test_a_change_of_links_costs_little(site: Site) -> None:
    more = linkfile.section(f"{linkfile.PREFIX}spare.netdev", "[NetDev]\nName=spare\nKind=bridge\n")
    with talking(site, "a push that changes a leaf's links"):
        result = site.push({LEFT: more + site.gears[LEFT].sections}, limits=LIMITS)
    assert outcomes(result) == {LEFT: "applied"}, result.stopped
    result = site.push({LEFT: site.gears[LEFT].sections}, limits=LIMITS)
    assert outcomes(result) == {LEFT: "applied"}, result.stopped


def test_a_push_that_breaks_management_reverts_itself(site: Site) -> None:
    """The switch takes the operators' own address for one of its own, and answers nobody."""
    bad = site.with_line(LEFT, "ip address 10.66.2.1/32")
    limits = Limits(revert=60, management=60, settle=30.0)
    with talking(site, "a push that breaks management, and its way back"):
        result = site.push({LEFT: bad}, limits=limits)
    assert outcomes(result) == {LEFT: "reverted"}
    assert "by itself" in step(result, LEFT, "revert")
    assert "10.66.2.1/32" not in site.vtysh(LEFT, "show running-config")


def test_a_leaf_is_killed_and_comes_back_as_it_was(site: Site) -> None:
    with talking(site, "a leaf killed"):
        faults.kill(site.settings, RIGHT)
        time.sleep(10)
    with talking(site, "a leaf that comes back"):
        lab.up(site.settings, site.dc, NAMES, kinds=KINDS)
        time.sleep(60)
    result = site.push({RIGHT: site.gears[RIGHT].sections}, limits=LIMITS)
    assert outcomes(result) == {RIGHT: "unchanged"}, "it starts with what was persisted"
    assert reaches(site, CITY[0], ADDRESS[CITY[1]])
