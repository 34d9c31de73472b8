"""Rolling batches: what may be out of service at one time, whatever the hosts and the policy."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_datacentre import Builder, edited

from chapelle.errors import InputError, RefusedError
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import PATCH_STEPS
from chapelle.plan import plan as plans
from chapelle.plan import policy as policies
from chapelle.plan.batches import CANARY_ROLES, Domain, Member
from chapelle.plan.hostvars import WHOLE
from chapelle.plan.policy import Limits, Policy, Role
from chapelle.plan.rolling import batches, room
from chapelle.plan.scope import parse
from chapelle.settings import ROOT

LIMITS = Limits(drain=1, reboot=1)
OURS = policies.read(ROOT / "inventory" / "rolling.yml")

at_once = st.integers(1, 10)
made_policies = st.fixed_dictionaries(dict.fromkeys(CANARY_ROLES[:-1], at_once)).map(
    lambda counts: Policy(
        roles={
            **{role: Role(at_once=count) for role, count in counts.items()},
            "infra": Role(at_once=1, alone=True),
        },
        seconds=LIMITS,
    )
)
members = st.lists(
    st.builds(
        Member,
        name=st.integers(0, 200).map(lambda n: f"host-{n}"),
        role=st.sampled_from(CANARY_ROLES),
        domain=st.builds(
            Domain,
            rack=st.sampled_from(["A1-R01", "A1-R02", "A2-R10"]),
            leafs=st.sampled_from([("leaf-1a", "leaf-1b"), ("leaf-2a", "leaf-2b")]),
        ),
    ),
    unique_by=lambda m: m.name,
    max_size=60,
)
sizes = st.integers(1, 30)


@given(members, made_policies, sizes)
def test_every_host_is_in_exactly_one_batch(hosts: list[Member], policy: Policy, size: int) -> None:
    counted = Counter(name for batch in batches(hosts, policy, size) for name in batch.hosts)
    assert counted == Counter({host.name: 1 for host in hosts})


@given(members, made_policies, sizes)
def test_no_batch_takes_out_more_than_may_be(
    hosts: list[Member], policy: Policy, size: int
) -> None:
    known = {host.name: host for host in hosts}
    for batch in batches(hosts, policy, size):
        inside = [known[name] for name in batch.hosts]
        assert {str(member.domain) for member in inside} == {batch.domain}
        assert 1 <= len(inside) <= size
        for role, count in Counter(member.role for member in inside).items():
            assert count <= policy.roles[role].at_once
            assert not policy.roles[role].alone or len(inside) == 1


@given(members, made_policies, sizes)
def test_there_are_no_more_batches_than_needed(
    hosts: list[Member], policy: Policy, size: int
) -> None:
    made = batches(hosts, policy, size)
    assert [batch.canary for batch in made] == [number == 0 for number in range(len(made))]
    for domain in {str(host.domain) for host in hosts}:
        rest = [h for h in hosts if str(h.domain) == domain and h.name not in made[0].hosts]
        together = Counter(h.role for h in rest if not policy.roles[h.role].alone)
        least = [-(-count // policy.roles[role].at_once) for role, count in together.items()]
        least += [-(-together.total() // size)]
        alone = len(rest) - together.total()
        assert sum(b.domain == domain for b in made[1:]) == max(least) + alone


@given(members, made_policies, st.randoms())
def test_the_order_of_the_input_does_not_matter(hosts: list[Member], policy: Policy, rng) -> None:
    other = list(hosts)
    rng.shuffle(other)
    assert batches(hosts, policy) == batches(other, policy)


@given(members, made_policies, sizes, st.data())
def test_what_did_not_come_back_leaves_less_room(
    hosts: list[Member], policy: Policy, size: int, data: st.DataObject
) -> None:
    roles = {host.name: host.role for host in hosts}
    made = batches(hosts, policy, size)
    for number, batch in enumerate(made):
        earlier = [name for other in made[:number] for name in other.hosts]
        out = data.draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        fitting = room(batch.hosts, out, roles, policy)
        if not out:
            assert fitting == batch.hosts
        counted = Counter(roles[name] for name in (*out, *fitting))
        lonely = any(policy.roles[roles[name]].alone for name in (*out, *fitting))
        if fitting:
            assert all(counted[roles[n]] <= policy.roles[roles[n]].at_once for n in fitting)
            assert not lonely or not out


def test_a_server_that_did_not_come_back_stands_for_its_role() -> None:
    roles = {"db-1": "database", "db-2": "database", "c-1": "compute", "infra-1": "infra"}
    assert room(("db-2", "c-1"), ["db-1"], roles, OURS) == ("c-1",)
    assert room(("infra-1",), ["db-1"], roles, OURS) == ()
    assert room(("db-2", "c-1"), ["infra-1"], roles, OURS) == ()


# -- the policy's file ----------------------------------------------------------------------------


def test_ours_says_what_was_agreed() -> None:
    counts = {name: (role.at_once, role.alone) for name, role in OURS.roles.items()}
    assert counts == {
        "compute": (8, False),
        "storage": (2, False),
        "database": (1, False),
        "infra": (1, True),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "object"),
        ("roles: {compute: {at_once: 0}}\nseconds: {drain: 1, reboot: 1}", "$.roles[...].at_once"),
        ("roles: {compute: {at_once: 1}}\nseconds: {drain: 1}", "reboot"),
        ("roles: {compute: {at: 1}}\nseconds: {drain: 1, reboot: 1}", "`at`"),
        ("roles: [", "line"),
        ("roles: {i: {at_once: 2, alone: true}}\nseconds: {drain: 1, reboot: 1}", "roles.i: alone"),
    ],
)
def test_a_policy_that_says_nothing_clear_is_bad_input(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "rolling.yml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        policies.read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_no_policy_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        policies.read(tmp_path / "rolling.yml")


# -- the plan -------------------------------------------------------------------------------------


def _in_service() -> Datacentre:
    builder = Builder()
    servers = {f"compute-a1-{n:02}": ("compute", "active") for n in range(1, 11)}
    servers |= {f"database-a1-0{n}": ("database", "active") for n in (1, 2)}
    servers |= {"infra-a1-01": ("infra", "active"), "infra-a1-02": ("infra", "planned")}
    builder.rack(builder.aisle(1), "A1-R01", servers)
    return builder.datacentre()


def _plan(dc: Datacentre, scope: str = "1", policy: Policy = OURS) -> plans.Plan:
    return plans.build(
        dc, parse(aisle=scope), kind="patch", target="lab", commit="c", kernels=WHOLE, policy=policy
    )


def test_a_plan_has_the_servers_in_service_and_the_policy() -> None:
    made = _plan(_in_service())
    assert "infra-a1-02" not in made.by_name
    assert {host.steps for host in made.hosts} == {PATCH_STEPS}
    assert [len(batch.hosts) for batch in made.batches] == [1, 6, 5, 1]
    slower = Policy(roles={**OURS.roles, "compute": Role(at_once=1)}, seconds=OURS.seconds)
    assert _plan(_in_service(), policy=slower).hash != made.hash


def test_a_plan_read_from_its_file_is_the_same(tmp_path: Path) -> None:
    made = _plan(_in_service())
    path = tmp_path / "plan.json"
    path.write_bytes(plans.encode(made))
    assert plans.read(path) == made


def test_a_server_that_left_service_moves_the_plan() -> None:
    dc = _in_service()
    made = _plan(dc)
    offline = edited(dc, "devices", dc.device("database-a1-01").id, status="offline")
    lines = plans.moved(made, offline, target="lab", commit="c", kernels=WHOLE)
    assert lines == ["database-a1-01: status was active, now offline"]


def test_whoever_names_a_server_that_is_not_in_service_is_told_what_to_do() -> None:
    with pytest.raises(InputError) as caught:
        plans.build(
            _in_service(), parse(limit="infra-a1-02"), kind="reboot", target="lab", commit="c",
            kernels=WHOLE, policy=OURS,
        )  # fmt: skip
    assert "invoke provision --limit=infra-a1-02" in str(caught.value)


def test_a_role_of_which_nothing_is_said_is_bad_input() -> None:
    silent = Policy(roles={"compute": Role(at_once=1)}, seconds=LIMITS)
    with pytest.raises(InputError, match="role database"):
        _plan(_in_service(), policy=silent)


def test_servers_that_are_down_already_leave_less_room() -> None:
    down = {"compute": ["c-1", "c-2"], "database": []}
    left = policies.beside(OURS, down, {"compute", "database"})
    assert left.roles["compute"].at_once == OURS.roles["compute"].at_once - 2
    assert left.roles["database"] == OURS.roles["database"]


def test_with_a_database_down_no_other_is_taken_out_and_the_rest_may_be() -> None:
    down = {"database": ["database-a1-03"]}
    with pytest.raises(RefusedError, match="role database") as refused:
        policies.beside(OURS, down, {"compute", "database"})
    assert "database-a1-03" in str(refused.value)
    assert policies.beside(OURS, down, {"compute"}) == OURS


def test_a_plan_counts_what_netbox_says_is_down() -> None:
    dc = _in_service()
    dc = edited(dc, "devices", dc.device("infra-a1-02").id, status="failed")
    with pytest.raises(RefusedError, match="infra-a1-02"):
        _plan(dc)
    dc = edited(dc, "devices", dc.device("infra-a1-02").id, status="planned")
    dc = edited(dc, "devices", dc.device("compute-a1-10").id, status="offline")
    assert _plan(dc).policy == policies.beside(OURS, {"compute": ["compute-a1-10"]}, {"compute"})
