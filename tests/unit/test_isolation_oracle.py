"""Anything changed at random in NetBox: the proof agrees with a dumb oracle on who reaches whom."""

from collections.abc import Callable
from functools import cache
from typing import Any

import isolation_sites
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation_oracle import World
from isolation_sites import Site
from test_isolation_intent import PLANTS

from chapelle.checks.tenancy.isolation import prove
from chapelle.checks.tenancy.isolation.leaks import RULES
from chapelle.model.records import Content

type Draw = Callable[[st.SearchStrategy[Any]], Any]

# Findings of these rules are no ways by which anything is reached.
STATED = {"foreign-rack", "foreign-units", "address-overlap", "shared-vid", "unproven"}


@cache
def plain() -> Content:
    return isolation_sites.small().content()


def agree(site: Site) -> None:
    dc = isolation_sites.datacentre(site)
    proof, world = prove(dc), World(dc)
    found = {(reach.party, other) for reach in proof.reaches for other in reach.others}
    assert found == world.pairs(through=False)
    assert bool(found) == bool(world.pairs(through=True))
    for one, other in found:
        told = (f"{one} reaches {other}", f"{one} and {other} reach", f"{other} and {one} reach")
        assert any(words in leak.found for leak in proof.leaks for words in told)
    assert found or {leak.rule for leak in proof.leaks} <= STATED
    for leak in proof.leaks:
        assert leak.rule in RULES
        assert leak.objects
        assert leak.remedy


def one_of(draw: Draw, site: Site, name: str, *also: None) -> Any:
    return draw(st.sampled_from([*also, *site.lists[name].values()]))


def number_of(draw: Draw, site: Site, name: str) -> int | None:
    record = one_of(draw, site, name, None)
    return record.id if record else None


def retarget(draw: Draw, site: Site) -> None:
    name = draw(st.sampled_from(("vrfs", "l2vpns")))
    field = draw(st.sampled_from(("import_targets", "export_targets")))
    record = one_of(draw, site, name)
    target = one_of(draw, site, "route_targets").id
    kept = getattr(record, field) if draw(st.booleans()) else ()
    site.change(name, record, **{field: tuple(dict.fromkeys((*kept, target)))})


def retag(draw: Draw, site: Site) -> None:
    port = one_of(draw, site, "interfaces")
    vlans = draw(st.lists(st.sampled_from(list(site.lists["vlans"])), max_size=3, unique=True))
    site.change(
        "interfaces", port, tagged_vlans=tuple(vlans), untagged_vlan=number_of(draw, site, "vlans")
    )


def recable(draw: Draw, site: Site) -> None:
    ends = [one_of(draw, site, "interfaces") for _ in range(2)]
    if ends[0].id != ends[1].id:
        site.cable(*ends)


def rerole(draw: Draw, site: Site) -> None:
    name = draw(st.sampled_from(("prefixes", "vlans")))
    site.change(name, one_of(draw, site, name), role=number_of(draw, site, "roles"))


def reown(draw: Draw, site: Site) -> None:
    name = draw(st.sampled_from(
        ("devices", "vlans", "vrfs", "prefixes", "l2vpns", "ip_addresses", "route_targets")
    ))  # fmt: skip
    site.change(name, one_of(draw, site, name), tenant=number_of(draw, site, "tenants"))


def renumber(draw: Draw, site: Site) -> None:
    l2vpn, vlan = one_of(draw, site, "l2vpns"), one_of(draw, site, "vlans")
    site.change("l2vpns", l2vpn, identifier=one_of(draw, site, "l2vpns").identifier)
    if draw(st.booleans()):
        site.change("vlans", vlan, vid=one_of(draw, site, "vlans").vid)


def reroute(draw: Draw, site: Site) -> None:
    name = draw(st.sampled_from(("prefixes", "ip_addresses")))
    record = one_of(draw, site, name)
    site.change(name, record, vrf=number_of(draw, site, "vrfs"))
    if name == "prefixes" and draw(st.booleans()):
        site.change(name, record, vlan=number_of(draw, site, "vlans"))


def reroute_port(draw: Draw, site: Site) -> None:
    site.change("interfaces", one_of(draw, site, "interfaces"), vrf=number_of(draw, site, "vrfs"))


def reterminate(draw: Draw, site: Site) -> None:
    end = one_of(draw, site, "l2vpn_terminations")
    vlan = one_of(draw, site, "vlans").id
    site.change("l2vpn_terminations", end, assigned_object_id=vlan)


def rename(draw: Draw, site: Site) -> None:
    site.change("vrfs", one_of(draw, site, "vrfs"), name=one_of(draw, site, "vrfs").name)


def switch_off(draw: Draw, site: Site) -> None:
    site.change("interfaces", one_of(draw, site, "interfaces"), enabled=False)


def rerole_device(draw: Draw, site: Site) -> None:
    role = one_of(draw, site, "device_roles").id
    site.change("devices", one_of(draw, site, "devices"), role=role)


CHANGES = (
    retarget, retag, recable, rerole, reown, renumber, reroute, reroute_port, reterminate, rename,
    switch_off, rerole_device,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_changed_the_oracle_agrees(data: st.DataObject) -> None:
    site = Site(plain())
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=5)):
        change(data.draw, site)
    agree(site)


def test_the_oracle_agrees_on_what_nobody_has_changed() -> None:
    agree(Site(plain()))


def test_the_oracle_agrees_on_routes_of_a_vrf_that_is_nobody_s() -> None:
    """Somebody imports what it exports, and it routes networks of yet another."""
    site = Site(plain())
    for vrf in list(site.lists["vrfs"].values()):
        if vrf.name == "management":
            site.change("vrfs", vrf, import_targets=(*vrf.import_targets, 1))
        if vrf.name == "ville-de-paris":
            site.change("vrfs", vrf, tenant=None)
    agree(site)


def test_the_oracle_agrees_on_all_that_is_planted() -> None:
    for plant, *_ in PLANTS.values():
        try:
            site = Site(plain())
            plant(site)
        except LookupError:  # it needs more than the small site has
            continue
        agree(site)
