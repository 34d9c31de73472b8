"""Whatever servers a design asks for, the expansion is consistent."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_designs import HEIGHT, REFERENCE, small

from chapelle.netbox.design import DesignError, Problem
from chapelle.netbox.expand import Desired, expand
from chapelle.netbox.expand.desired import refs

servers_of_a_rack = st.dictionaries(st.sampled_from(sorted(HEIGHT)), st.integers(1, 3), min_size=1)
racks = st.dictionaries(st.integers(1, 6), servers_of_a_rack, min_size=1)


def units(desired: Desired) -> Counter[tuple[str, int]]:
    heights = {key[0]: item.fields["u_height"] for key, item in desired.of("device_types").items()}
    used: Counter[tuple[str, int]] = Counter()
    for item in desired.of("devices").values():
        if bottom := item.fields.get("position"):
            height = int(heights[item.fields["device_type"].key[0]])
            used.update(
                (item.fields["rack"].key[0], unit) for unit in range(bottom, bottom + height)
            )
    return used


@settings(max_examples=25, deadline=None)
@given(aisles=st.integers(1, 3), chosen=racks)
def test_every_server_once_every_unit_once_every_reference_resolved(
    aisles: int, chosen: dict[int, dict[str, int]]
) -> None:
    desired = expand(small(aisles, chosen))

    wanted = sum((Counter(servers) for servers in chosen.values()), Counter())
    servers = [key[0] for key in desired.of("devices") if key[0].split("-")[0] in HEIGHT]
    found = Counter((name.split("-")[0], name.split("-")[1]) for name in servers)
    assert found == {
        (role, f"a{aisle}"): count
        for role, count in wanted.items()
        for aisle in range(1, aisles + 1)
    }

    assert set(units(desired).values()) == {1}

    for item in desired:
        for value in item.fields.values():
            assert all(desired.has(ref) for ref in refs(value)), item

    ends = Counter(
        end
        for item in desired.of("cables").values()
        for end in [*item.fields["a_terminations"], *item.fields["b_terminations"]]
    )
    assert set(ends.values()) == {1}
    for name in servers:
        plugged = {end.key[1] for end in ends if end.key[0] == name}
        assert plugged == {"eno1", "eno2", "bmc", "PSU1", "PSU2"}

    for field in ("serial", "mac_address", "address"):
        values = [item.fields[field] for item in desired if field in item.fields]
        if field == "address":
            values = [
                (item.key, item.fields[field]) for item in desired.of("ip_addresses").values()
            ]
        assert len(set(values)) == len(values)


@settings(max_examples=10, deadline=None)
@given(
    text=st.text(max_size=20),
    place=st.sampled_from(["name", "platform", "tenant"]),
)
def test_any_text_in_a_pattern_or_reference_is_valid_or_a_mistake_with_a_place(
    text: str, place: str
) -> None:
    servers = msgspec.structs.replace(REFERENCE.servers, **{place: text})
    spoilt = msgspec.structs.replace(small(1, {1: {"compute": 2}}), servers=servers)
    problems: tuple[Problem, ...] = ()
    try:
        expand(spoilt)
    except DesignError as error:
        problems = error.problems
    assert all(problem.file.endswith(".yml") for problem in problems)
    assert all(problem.expected and problem.found for problem in problems)


def test_a_range_that_runs_backwards_is_a_mistake_with_a_place() -> None:
    site = REFERENCE.site
    site = msgspec.structs.replace(site, aisles=msgspec.structs.replace(site.aisles, numbers="4-1"))
    with pytest.raises(DesignError) as caught:
        expand(msgspec.structs.replace(REFERENCE, site=site))
    assert any(problem.path == "aisles.numbers" for problem in caught.value.problems)
