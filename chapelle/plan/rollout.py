"""In which order switches are changed, and which of them at the same time.

The canary is a leaf, since a leaf has a partner that carries its servers meanwhile. The other leafs
follow in batches with one of each pair at most, then the border leafs and the spines one at a time,
and at the very end the out-of-band switches, by which all the others are managed.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from chapelle.model import records as r
from chapelle.model.datacentre import SWITCH_ROLES, Datacentre
from chapelle.plan.batches import Batch, natural

# Switches of one batch: what a batch breaks is seen before more are touched.
MAX_BATCH = 8

# In order of turn. Those of the city come before those of the tenants that pay for theirs.
_LEAFS = ("leaf", "tenant-leaf")
_ORDER = (*_LEAFS, "border", "spine", "oob")
_ALONE = frozenset({"border", "spine"})


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One switch as the planner sees it.

    Arguments:
        name: its name.
        role: the slug of its role.
        group: the switches that must not all be away at one time have the same group.
        attached: how many servers hang on it.
        managed_by: the out-of-band switches that its management port is cabled to.
    """

    name: str
    role: str
    group: str
    attached: int = 0
    managed_by: tuple[str, ...] = ()


def members(dc: Datacentre, devices: Iterable[r.Device]) -> tuple[Member, ...]:
    """The planner's view of some switches of the datacentre."""
    return tuple(
        Member(
            name=device.name or "",
            role=dc.role_of(device),
            group=group_of(dc, device),
            attached=len(servers_on(dc, device)),
            managed_by=_managed_by(dc, device),
        )
        for device in devices
    )


def group_of(dc: Datacentre, device: r.Device) -> str:
    """The name of a switch's redundancy group.

    Leafs that share a server are one group. Leafs without any server are one group for each aisle
    and role: where the cables do not tell who replaces whom, one at a time is right. All border
    leafs are one group, so are all spines, and the out-of-band switches of an aisle.
    """
    role = dc.role_of(device)
    if role in _LEAFS and (pair := _partners(dc, device)):
        return "+".join(pair)
    if role in _ALONE:
        return f"all {role}s"
    return f"{role}s of aisle {dc.aisle_number(device) or '(none)'}"


def servers_on(dc: Datacentre, switch: r.Device) -> tuple[r.Device, ...]:
    """The servers that a data port of theirs ties to the switch, by name."""
    found: dict[int, r.Device] = {}
    for interface in dc.interfaces_by_device.get(switch.id, ()):
        peer = dc.peer_interface(interface)
        device = dc.devices.get(peer.device) if peer and not peer.mgmt_only else None
        if device and dc.is_server(device):
            found[device.id] = device
    return tuple(sorted(found.values(), key=lambda device: device.name or ""))


def _partners(dc: Datacentre, switch: r.Device) -> tuple[str, ...]:
    names = {name for server in servers_on(dc, switch) for name in dc.leaf_pair(server)}
    return tuple(sorted(names, key=natural))


def _managed_by(dc: Datacentre, device: r.Device) -> tuple[str, ...]:
    names = set()
    for interface in dc.interfaces_by_device.get(device.id, ()):
        peer = dc.peer_interface(interface) if interface.mgmt_only else None
        switch = dc.devices.get(peer.device) if peer else None
        if switch and switch.name and dc.role_of(switch) in SWITCH_ROLES:
            names.add(switch.name)
    return tuple(sorted(names))


def rollout(switches: Iterable[Member], max_size: int = MAX_BATCH) -> tuple[Batch, ...]:
    """Order the switches: one canary, then role by role, each batch with one of a group at most.

    Arguments:
        switches: switches with different names.
        max_size: most switches in one batch.
    """
    ordered = sorted(switches, key=lambda m: (_rank(m.role), natural(m.name)))
    if not ordered:
        return ()
    canary = min(ordered, key=lambda m: (_rank(m.role), m.attached, natural(m.name)))
    groups: list[tuple[Member, ...]] = [(canary,)]
    rest = [member for member in ordered if member is not canary]
    for role in dict.fromkeys(member.role for member in rest):
        same = [member for member in rest if member.role == role]
        groups += _batches(same, 1 if role in _ALONE else max_size)
    return tuple(
        Batch(
            number=number,
            domain=_domain(batch),
            hosts=tuple(member.name for member in batch),
            canary=number == 1,
        )
        for number, batch in enumerate(groups, start=1)
    )


def _rank(role: str) -> int:
    """A role that nobody has heard of comes after all that are known to have a partner."""
    return _ORDER.index(role) if role in _ORDER[:-1] else len(_ORDER) + (role == "oob")


def _batches(same: Sequence[Member], max_size: int) -> list[tuple[Member, ...]]:
    """Cut switches of one role into batches: the first of each group, then the second, and on."""
    by_group: dict[str, list[Member]] = defaultdict(list)
    for member in same:
        by_group[member.group].append(member)
    turns = itertools.zip_longest(*by_group.values())
    cut = []
    for turn in turns:
        present = [member for member in turn if member is not None]
        cut += [tuple(part) for part in itertools.batched(present, max_size)]
    return cut


def _domain(batch: Sequence[Member]) -> str:
    if len(batch) == 1:
        return f"{batch[0].role} {batch[0].name}"
    return f"{len(batch)} {batch[0].role} switches, one of each group"
