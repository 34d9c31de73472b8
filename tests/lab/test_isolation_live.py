"""Switches of the lab are read over SSH: what is put there by hand is found, the silent named."""

from collections.abc import Iterator

import pytest
from fabric_site import SWITCHES, A, B, datacentre

from chapelle import lab
from chapelle.errors import ExitCode
from chapelle.lab import faults
from chapelle.plan import scope
from chapelle.run.tenancy import isolation
from chapelle.run.tenancy.isolation import Proven
from chapelle.settings import Settings

pytestmark = [pytest.mark.lab]

ROUTE = "ip route 10.66.2.0/24 192.0.2.9 nexthop-vrf management"
BY_HAND = f"vtysh -c 'configure terminal' -c 'vrf ville-de-paris' -c '{{}}{ROUTE}'"


@pytest.fixture(scope="module")
def site(new_lab) -> Iterator[Settings]:
    settings = new_lab()
    lab.up(settings, datacentre(), list(SWITCHES))
    return settings


def live(site: Settings) -> Proven:
    limit = scope.parse(limit=",".join(SWITCHES))
    return isolation.live(site, datacentre(), limit, print, forks=4)


def test_a_route_into_another_vrf_is_found_while_it_is_there(site: Settings) -> None:
    before = live(site)
    assert before.exit_code == ExitCode.OK, before.leaks
    assert before.proofs[1].switches == 3
    assert before.not_exercised == {isolation.NO_LINKS: SWITCHES}

    faults.run(site, A, BY_HAND.format(""))
    between = live(site)
    assert between.exit_code == ExitCode.FINDINGS
    (leak,) = between.leaks
    assert leak.rule == "route-leak"
    assert "Ville de Paris reaches the management of machines" in leak.found
    assert leak.remedy == f"take this out of VRF ville-de-paris on {A}: {ROUTE}"

    faults.run(site, A, BY_HAND.format("no "))
    assert live(site).exit_code == ExitCode.OK


def test_a_switch_that_does_not_answer_is_named(site: Settings) -> None:
    faults.run(site, B, "systemctl stop ssh.socket ssh.service")
    found = live(site)
    assert found.exit_code == ExitCode.HOSTS_FAILED
    assert list(found.proofs[1].unread) == [B]
    assert found.proofs[1].switches == 2
