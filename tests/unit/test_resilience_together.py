"""Nothing that a plan takes out together takes anything else with it, however odd the cabling."""

import itertools

import msgspec
import reference
from edits import Edit, device, edited, one, port
from hypothesis import given, settings
from hypothesis import strategies as st

from chapelle.checks.resilience import together
from chapelle.checks.resilience.loss import Plant
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.model.records import Content, Termination
from chapelle.model.snapshot import Snapshot
from chapelle.plan.apart import apart
from chapelle.plan.rollout import members, rollout

LEAFS = [f"leaf-a2-{pair}{side}" for pair in (1, 2, 3) for side in "ab"]
SERVERS = [f"compute-a2-{number:02d}" for number in (1, 9, 17, 25, 33, 41)]


def of(content: Content) -> Datacentre:
    return Datacentre(Snapshot(content))


def moved(content: Content, server: str, leaf: str, number: int) -> Content:
    """The second port of a server in a free port of another leaf."""
    near = one(content, "interfaces", port(content, server, "eno2"))
    far = one(content, "interfaces", port(content, leaf, f"swp{41 + number}"))
    ends = [Termination(object_type="dcim.interface", object_id=i.id) for i in (near, far)]
    interfaces = tuple(
        msgspec.structs.replace(i, cable=near.cable if i.id in (near.id, far.id) else None)
        if i.cable == near.cable or i.id == far.id
        else i
        for i in content.interfaces
    )
    content = msgspec.structs.replace(content, interfaces=interfaces)
    find = lambda c: c.id == near.cable  # noqa: E731
    return edited(content, "cables", find, a_terminations=(ends[0],), b_terminations=(ends[1],))


def on_one_side(content: Content, switch: str, side: str) -> Content:
    """Both cords of a switch on one side of the power: the second cord goes to another rack."""
    cord = one(content, "power_ports", port(content, switch, "PSU1" if side == "b" else "PSU2"))
    pdu = f"pdu-a2-r07-{side}"
    taken = {
        end.object_id for c in content.cables for end in (*c.a_terminations, *c.b_terminations)
        if end.object_type == "dcim.poweroutlet"
    }  # fmt: skip
    owner = device(content, pdu).id
    free = one(content, "power_outlets", lambda o: o.device == owner and o.id not in taken)
    end = (Termination(object_type="dcim.poweroutlet", object_id=free.id),)
    own = (Termination(object_type="dcim.powerport", object_id=cord.id),)
    find = lambda c: c.id == cord.cable  # noqa: E731
    return edited(content, "cables", find, a_terminations=own, b_terminations=end)


oddities = st.builds(
    lambda moves, sides: [
        *(lambda c, m=m, n=n: moved(c, m[0], m[1], n) for n, m in enumerate(moves)),
        *(lambda c, s=s: on_one_side(c, *s) for s in sides),
    ],
    st.lists(
        st.tuples(st.sampled_from(SERVERS), st.sampled_from(LEAFS)),
        max_size=5, unique_by=lambda move: move[0],
    ),
    st.lists(
        st.tuples(st.sampled_from(LEAFS), st.sampled_from("ab")),
        max_size=3, unique_by=lambda side: side[0],
    ),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(oddities, st.integers(2, 8))
def test_no_batch_of_a_push_takes_out_what_resilience_needs(odd: list[Edit], size: int) -> None:
    content = reference.content()
    for edit in odd:
        content = edit(content)
    dc = of(content)
    plant = Plant(dc)
    switches = [d for d in dc.content.devices if dc.role_of(d) in SWITCH_ROLES]
    batches = apart(dc, rollout(members(dc, switches), size))
    for batch in batches:
        assert together.harm(plant, [dc.device(name) for name in batch.hosts]) == []
    names = list(itertools.chain.from_iterable(batch.hosts for batch in batches))
    assert sorted(names) == sorted(switch.name or "" for switch in switches)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert [batch.canary for batch in batches] == [True, *[False] * (len(batches) - 1)]


def test_leafs_that_stand_in_for_each_other_in_a_chain_are_never_away_together() -> None:
    """Leaf 1a shares servers with 1b, 1b one with 2b: three groups by name, one fate."""
    dc = of(moved(reference.content(), "compute-a2-01", "leaf-a2-2b", 0))
    plant = Plant(dc)
    pair = [dc.device("leaf-a2-1a"), dc.device("leaf-a2-2b")]
    assert together.harm(plant, pair) == ["compute-a2-01"]
    assert together.apart(plant, pair) == [(pair[0],), (pair[1],)]


def test_both_leafs_of_a_pair_are_told_with_all_that_hangs_on_them() -> None:
    dc = reference.datacentre()
    lost = together.harm(Plant(dc), [dc.device("leaf-a2-1a"), dc.device("leaf-a2-1b")])
    assert len(lost) == 26
    assert "compute-a2-01" in lost


def test_what_a_single_loss_harms_is_not_the_fault_of_the_order() -> None:
    """A server on one leaf only is lost with it in any order of work."""
    content = edited(
        reference.content(), "interfaces", port(reference.content(), "compute-a2-01", "eno2"),
        enabled=False,
    )  # fmt: skip
    dc = of(content)
    devices = [dc.device("leaf-a2-1a"), dc.device("leaf-a2-2a")]
    assert together.harm(Plant(dc), devices) == []


def test_the_reference_datacentre_needs_no_more_batches_than_before() -> None:
    dc = reference.datacentre()
    switches = [d for d in dc.content.devices if dc.role_of(d) in SWITCH_ROLES]
    plain = rollout(members(dc, switches))
    assert apart(dc, plain) == plain
