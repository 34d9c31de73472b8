"""Batches: every host once, one failure domain each, the canary first."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from plan_datacentre import two_aisles

from chapelle.plan.batches import CANARY_ROLES, Domain, Member, batches, domain_of, natural

domains = st.builds(
    Domain,
    rack=st.sampled_from(["A1-R01", "A1-R02", "A2-R10"]),
    leafs=st.sampled_from([("leaf-1a", "leaf-1b"), ("leaf-2a", "leaf-2b"), ()]),
    feeds=st.sampled_from([("A", "B"), ("A",)]),
)
members = st.lists(
    st.builds(
        Member,
        name=st.integers(0, 200).map(lambda n: f"host-{n}"),
        role=st.sampled_from([*CANARY_ROLES, "unheard-of"]),
        domain=domains,
    ),
    unique_by=lambda m: m.name,
    max_size=60,
)


@given(members, st.integers(1, 30))
def test_every_host_is_in_exactly_one_batch(hosts: list[Member], size: int) -> None:
    counted = Counter(name for batch in batches(hosts, size) for name in batch.hosts)
    assert counted == Counter({host.name: 1 for host in hosts})


@given(members, st.integers(1, 30))
def test_a_batch_never_mixes_domains_and_never_exceeds_the_size(
    hosts: list[Member], size: int
) -> None:
    domain = {host.name: host.domain for host in hosts}
    for batch in batches(hosts, size):
        assert {str(domain[name]) for name in batch.hosts} == {batch.domain}
        assert 1 <= len(batch.hosts) <= size


@given(members, st.integers(1, 30))
def test_the_canary_is_first_alone_and_the_least_needed(hosts: list[Member], size: int) -> None:
    made = batches(hosts, size)
    assert [batch.canary for batch in made] == [number == 0 for number in range(len(made))]
    assert [batch.number for batch in made] == list(range(1, len(made) + 1))
    if made:
        roles = {host.name: host.role for host in hosts}
        assert len(made[0].hosts) == 1
        order = [*CANARY_ROLES, "unheard-of"]
        assert roles[made[0].hosts[0]] == min(roles.values(), key=order.index)


@given(members.flatmap(lambda m: st.tuples(st.just(m), st.permutations(m))))
def test_the_order_of_the_input_does_not_matter(pair: tuple[list[Member], list[Member]]) -> None:
    assert batches(pair[0]) == batches(pair[1])


@given(members, st.integers(1, 30))
def test_a_large_domain_is_cut_evenly(hosts: list[Member], size: int) -> None:
    sizes: dict[str, list[int]] = {}
    for batch in batches(hosts, size)[1:]:
        sizes.setdefault(batch.domain, []).append(len(batch.hosts))
    assert all(max(found) - min(found) <= 1 for found in sizes.values())


def test_a_domain_is_the_rack_its_leafs_and_its_feeds() -> None:
    dc = two_aisles()
    assert domain_of(dc, dc.device("compute-a1-02")) == Domain(
        rack="A1-R02", leafs=("leaf-A1-R02a", "leaf-A1-R02b"), feeds=("A1-R02-a", "A1-R02-b")
    )


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["a-10", "a-9", "a-1b", "a"]
    assert sorted(names, key=natural) == ["a", "a-1b", "a-9", "a-10"]
