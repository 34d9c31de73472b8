"""In which order a rolling run takes servers out of service, and how many at a time.

As with any run, a canary comes first, and each batch lies inside one failure domain. Besides, a
batch holds of no role more servers than may be out of service at one time, and a server that the
others need has a batch to itself. Batches follow one another, so what holds for each batch holds
for the run, as long as every server comes back; `room` is for when one does not.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from chapelle.plan.batches import MAX_BATCH, Batch, Domain, Member, expendable, natural
from chapelle.plan.policy import Policy, role_of


def batches(
    members: Iterable[Member], policy: Policy, max_size: int = MAX_BATCH
) -> tuple[Batch, ...]:
    """Order the hosts: one canary, then domain by domain in order of rack.

    In a domain, those that the others need come last.

    Arguments:
        members: hosts with different names.
        policy: how many of each role at one time.
        max_size: most hosts in one batch.

    Raises:
        InputError: the policy says nothing of a host's role.
    """
    ordered = sorted(members, key=lambda m: (natural(m.domain.rack), m.domain, natural(m.name)))
    if not ordered:
        return ()
    for member in ordered:
        role_of(policy, member.role)
    canary = min(ordered, key=expendable)
    groups: list[tuple[Domain, Sequence[Member], bool]] = [(canary.domain, [canary], True)]
    for domain in dict.fromkeys(m.domain for m in ordered):
        inside = [m for m in ordered if m.domain == domain and m is not canary]
        alone = [m for m in inside if policy.roles[m.role].alone]
        together = [m for m in inside if m not in alone]
        groups += [(domain, part, False) for part in _parts(together, policy, max_size)]
        groups += [(domain, [each], False) for each in alone]
    return tuple(
        Batch(
            number=number,
            domain=str(domain),
            hosts=tuple(m.name for m in sorted(part, key=lambda m: natural(m.name))),
            canary=is_canary,
        )
        for number, (domain, part, is_canary) in enumerate(groups, start=1)
    )


def _parts(members: Sequence[Member], policy: Policy, max_size: int) -> list[list[Member]]:
    """Deal hosts out to as few parts as may be, role by role, so that each has its share of all."""
    dealt = sorted(members, key=lambda m: m.role)  # a stable sort: by name within a role
    counts = Counter(member.role for member in dealt)
    needed = [-(-count // policy.roles[role].at_once) for role, count in counts.items()]
    number = max([-(-len(dealt) // max_size), *needed])
    return [dealt[start::number] for start in range(number)]


def room(
    waiting: Sequence[str], out: Collection[str], roles: Mapping[str, str], policy: Policy
) -> tuple[str, ...]:
    """Those of the waiting hosts that may be taken out of service beside others that are already.

    Arguments:
        waiting: hosts of one batch.
        out: hosts of the run that are out of service.
        roles: the role of each of them.
        policy: how many of each role at one time.
    """
    if any(policy.roles[roles[name]].alone for name in out):
        return ()
    taken = Counter(roles[name] for name in out)
    found = []
    for name in waiting:
        role = policy.roles[roles[name]]
        if role.alone and out:
            continue
        if taken[roles[name]] < role.at_once:
            taken[roles[name]] += 1
            found.append(name)
    return tuple(found)
