"""What is free in a pool: the lowest that nobody has, and nobody handed back lately."""

import datetime
import ipaddress

import edits
import pytest
import reference
import tenants
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.records import Content
from chapelle.model.snapshot import Snapshot
from chapelle.model.tenancy import POOLS, QUARANTINE
from chapelle.plan.tenancy.pools import Free

TODAY = tenants.TODAY


def with_site(content: Content, **fields: object) -> Content:
    """The content with other custom fields of the site."""
    site = content.sites[0]
    said = site.custom_fields | fields
    return edits.edited(content, "sites", lambda _: True, custom_fields=said)


def with_pools(content: Content, **pools: object) -> Content:
    return with_site(content, **{POOLS: content.sites[0].custom_fields[POOLS] | pools})


def free(content: Content, today: datetime.date = TODAY) -> Free:
    return Free(Datacentre(Snapshot(content)), content.sites[0], today)


def kept(kind: str, value: str, until: datetime.date) -> dict[str, str]:
    return {"kind": kind, "value": value, "until": until.isoformat(), "tenant": "ap-hp"}


def test_numbers_are_the_lowest_that_nobody_has() -> None:
    content = edits.added(
        reference.content(), "vlans", r.VLAN(id=9001, vid=1001, name="x", status="active")
    )
    pool = free(content)
    assert [pool.number("vids", "a") for _ in range(3)] == [1000, 1002, 1003]
    assert (pool.taken[0].kind, pool.taken[0].value, pool.taken[0].purpose) == ("vids", "1000", "a")


def test_a_vlan_and_a_vrf_never_get_one_vni() -> None:
    pool = free(with_pools(reference.content(), l2vnis=[20000, 20003], l3vnis=[20000, 20003]))
    assert [pool.number("l2vnis", "a"), pool.number("l3vnis", "b"), pool.number("l2vnis", "c")] == [
        20000,
        20001,
        20002,
    ]


def test_the_number_of_a_route_target_is_taken_though_nothing_uses_it_yet() -> None:
    target = r.RouteTarget(id=9001, name="4200000000:20000")
    pool = free(edits.added(reference.content(), "route_targets", target))
    assert pool.number("l2vnis", "a") == 20001


def test_an_as_number_of_a_device_is_taken() -> None:
    content = reference.content()
    content = edits.edited(
        content, "devices", edits.named("compute-a1-01"), custom_fields={"bgp_asn": 4210000000}
    )
    assert free(content).number("asns", "a") == 4210000001


def test_a_network_is_aligned_and_overlaps_nothing_in_any_vrf() -> None:
    content = reference.content()
    for number, (prefix, vrf) in enumerate((("10.80.0.0/25", 1), ("10.80.2.128/25", 2))):
        record = r.Prefix(id=9001 + number, prefix=prefix, status="active", vrf=vrf)
        content = edits.added(content, "prefixes", record)
    pool = free(content)
    assert pool.network("prefixes", 24, "a") == "10.80.1.0/24"
    assert pool.network("prefixes", 23, "b") == "10.80.4.0/23"
    assert pool.network("prefixes", 25, "c") == "10.80.0.128/25"


def test_a_container_takes_nothing_and_an_address_does() -> None:
    content = edits.added(
        reference.content(),
        "prefixes",
        r.Prefix(id=9001, prefix="10.80.0.0/12", status="container"),
    )
    content = edits.added(
        content, "ip_addresses", r.IPAddress(id=99001, address="10.80.0.9/24", status="active")
    )
    assert free(content).network("prefixes", 24, "a") == "10.80.1.0/24"


def test_quarantine_holds_up_to_and_on_its_last_day() -> None:
    held = [kept("vids", "1000", TODAY), kept("prefixes", "10.80.0.0/23", TODAY)]
    content = with_site(reference.content(), **{QUARANTINE: held})
    assert free(content).number("vids", "a") == 1001
    assert free(content).network("prefixes", 24, "a") == "10.80.2.0/24"
    tomorrow = TODAY + datetime.timedelta(days=1)
    assert free(content, tomorrow).number("vids", "a") == 1000
    assert free(content, tomorrow).network("prefixes", 24, "a") == "10.80.0.0/24"


def test_an_exhausted_pool_says_its_size_who_has_it_and_when_something_is_freed() -> None:
    content = with_pools(tenants.content(), vids=[1000, 1011])
    until = TODAY + datetime.timedelta(days=3)
    held = [kept("vids", str(number), until) for number in range(1008, 1012)]
    pool = free(with_site(content, **{QUARANTINE: held}))
    with pytest.raises(RefusedError) as caught:
        pool.number("vids", "one more")
    text = str(caught.value)
    assert "VLAN numbers (vids) is exhausted" in text
    assert "1000 to 1011, 12 numbers" in text
    assert "AP-HP: 4; " in text
    assert f"quarantine until {until} (ap-hp): 4" in text
    assert f"on {until + datetime.timedelta(days=1)} quarantine gives 4 back" in text


def test_an_exhausted_pool_of_networks_says_so() -> None:
    pool = free(with_pools(reference.content(), prefixes=["10.80.0.0/24"]))
    with pytest.raises(RefusedError, match=r"networks of tenants \(prefixes\) is exhausted"):
        pool.network("prefixes", 23, "a")
    pool.network("prefixes", 24, "a")
    with pytest.raises(RefusedError, match=r"this plan \(a\): 1"):
        pool.network("prefixes", 30, "b")


@pytest.mark.parametrize(
    ("field", "value"),
    [(POOLS, {"vids": "many"}), (QUARANTINE, [{"kind": "vids"}]),
     (QUARANTINE, [{"kind": "vids", "value": "x", "until": "2030-01-01", "tenant": "a"}])],
)  # fmt: skip
def test_a_field_that_cannot_be_read_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        free(with_site(reference.content(), **{field: value}))


@settings(max_examples=60, deadline=None)
@given(
    used=st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=30),
    lengths=st.lists(st.integers(24, 31), min_size=1, max_size=12),
)
def test_networks_never_collide_and_are_the_lowest(
    used: list[tuple[int, int]], lengths: list[int]
) -> None:
    """Against a plain search through every candidate."""
    content = with_pools(reference.content(), prefixes=["10.80.0.0/23"])
    taken = []
    for place, (host, length) in enumerate(used):
        network = ipaddress.ip_network(f"10.80.0.{host}/{length}", strict=False)
        taken.append(network)
        record = r.Prefix(id=90_000 + place, prefix=str(network), status="active")
        content = edits.added(content, "prefixes", record)
    pool = free(content)
    for length in lengths:
        candidates = ipaddress.ip_network("10.80.0.0/23").subnets(new_prefix=length)
        expected = next((c for c in candidates if not any(c.overlaps(t) for t in taken)), None)
        if expected is None:
            with pytest.raises(RefusedError):
                pool.network("prefixes", length, "x")
        else:
            assert pool.network("prefixes", length, "x") == str(expected)
            taken.append(expected)
