"""The order of switches: every one once, no two that replace each other, the path's own last."""

from collections import Counter
from itertools import combinations

import reference
from hypothesis import given
from hypothesis import strategies as st

from chapelle.model.datacentre import SWITCH_ROLES
from chapelle.plan.rollout import Member, group_of, members, rollout

ROLES = [*SWITCH_ROLES, "unheard-of"]
switches = st.lists(
    st.builds(
        Member,
        name=st.integers(0, 90).map(lambda n: f"switch-{n}"),
        role=st.sampled_from(ROLES),
        group=st.sampled_from(["one", "two", "three"]),
        attached=st.integers(0, 3),
        managed_by=st.sampled_from([(), ("switch-1",), ("switch-2",)]),
    ),
    unique_by=lambda m: m.name,
    max_size=40,
)


@given(switches, st.integers(1, 9))
def test_every_switch_is_in_exactly_one_batch(given_: list[Member], size: int) -> None:
    made = rollout(given_, size)
    counted = Counter(name for batch in made for name in batch.hosts)
    assert counted == Counter({member.name: 1 for member in given_})
    assert [batch.number for batch in made] == list(range(1, len(made) + 1))
    assert all(1 <= len(batch.hosts) <= size for batch in made)


@given(switches, st.integers(1, 9))
def test_no_batch_holds_two_of_one_group(given_: list[Member], size: int) -> None:
    known = {member.name: member for member in given_}
    for batch in rollout(given_, size):
        for one, other in combinations(batch.hosts, 2):
            assert known[one].role == known[other].role
            assert known[one].group != known[other].group


@given(switches)
def test_spines_and_borders_are_alone(given_: list[Member]) -> None:
    roles = {member.name: member.role for member in given_}
    for batch in rollout(given_):
        if {roles[name] for name in batch.hosts} & {"spine", "border"}:
            assert len(batch.hosts) == 1


@given(switches)
def test_the_canary_is_alone_and_the_most_expendable(given_: list[Member]) -> None:
    made = rollout(given_)
    assert [batch.canary for batch in made] == [number == 0 for number in range(len(made))]
    if made:
        first = next(member for member in given_ if member.name == made[0].hosts[0])
        leafs = [member for member in given_ if member.role == "leaf"]
        assert len(made[0].hosts) == 1
        assert not leafs or (first.role, first.attached) == (
            "leaf",
            min(member.attached for member in leafs),
        )


@given(switches)
def test_what_others_are_managed_by_comes_last_and_never_with_them(given_: list[Member]) -> None:
    known = {member.name: member for member in given_}
    turn = {name: batch.number for batch in rollout(given_) for name in batch.hosts}
    for member in given_:
        for path in member.managed_by:
            if path in known and known[path].role == "oob" and member.role != "oob":
                assert turn[path] > turn[member.name]


@given(switches.flatmap(lambda m: st.tuples(st.just(m), st.permutations(m))))
def test_the_order_of_the_input_does_not_matter(pair: tuple[list[Member], list[Member]]) -> None:
    assert rollout(pair[0]) == rollout(pair[1])


def test_the_reference_datacentre_is_never_cut_off() -> None:
    dc = reference.datacentre()
    devices = [d for d in dc.content.devices if dc.role_of(d) in SWITCH_ROLES]
    made = rollout(members(dc, devices))
    assert sum(len(batch.hosts) for batch in made) == len(devices) == 50
    assert made[0].hosts == ("leaf-a1-3a",), "ten servers hang on it, thirteen on others"
    roles = [{dc.role_of(dc.device(name)) for name in batch.hosts} for batch in made]
    assert all(len(each) == 1 for each in roles)
    order = list(dict.fromkeys(role for each in roles for role in each))
    assert order == ["leaf", "tenant-leaf", "border", "spine", "oob"]
    for batch in made:
        names = set(batch.hosts)
        assert not {"border-a1", "border-a4"} <= names
        for name in names:
            pair = {name[:-1] + "a", name[:-1] + "b"}
            assert not (name.startswith("leaf") and pair <= names)


def test_groups_are_told_by_the_cables() -> None:
    dc = reference.datacentre()
    assert group_of(dc, dc.device("leaf-a2-1b")) == "leaf-a2-1a+leaf-a2-1b"
    assert group_of(dc, dc.device("leaf-a2-ta")) == "tenant-leafs of aisle 2"
    assert group_of(dc, dc.device("spine-a2")) == "all spines"
    assert group_of(dc, dc.device("oob-a3-2")) == "oobs of aisle 3"
