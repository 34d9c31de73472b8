"""A plan: which hosts are worked on, in which order, to become what. Frozen, and named by its hash.

A plan can be read, kept in a file, approved, and applied later: `moved` says what has changed since
in NetBox or in the code, and a plan of which something has moved is not applied.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from chapelle.errors import InputError, RefusedError
from chapelle.model import records as r
from chapelle.model.datacentre import Datacentre
from chapelle.model.outcome import DEPLOY_STEPS, ROLLING_KINDS, STEPS_OF
from chapelle.model.status import DOWN, IN_SERVICE, PROVISIONABLE, REBUILDABLE, RETIRABLE
from chapelle.plan import policy as policies
from chapelle.plan import rolling, sealed
from chapelle.plan.apart import apart
from chapelle.plan.batches import Batch, Member, batches, domain_of
from chapelle.plan.deploy import order as orders
from chapelle.plan.deploy.order import Ground
from chapelle.plan.hostvars import Kernels, hostvars
from chapelle.plan.policy import Policy
from chapelle.plan.scope import Scope, from_text, select

FORMAT = 1

# Kinds of runs that begin at the BMC of every server.
BARE_KINDS = ("rebuild", "retire")
_STATUSES = {"rebuild": REBUILDABLE, "retire": RETIRABLE}


class PlanHost(msgspec.Struct, frozen=True, kw_only=True):
    """One host of a plan.

    `intent` maps the name of each thing that will be configured to the hash of its value (16 hex
    digits), so that a later reader can say which of them moved. `domain` is the failure domain that
    it stands in; `position` is in rack units.
    """

    name: str
    device_id: int
    aisle: str
    rack: str
    domain: str
    role: str
    status: str
    position: float | None
    u_height: float
    intent: dict[str, str]
    steps: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a run will do.

    The same NetBox content, the same commit and the same scope give the same plan and hash, so no
    time is part of it. `commit` is git's, with a hash of what is not committed behind a `+`.
    `diffs` are what a push would change on each switch, for whoever approves it. `policy` is what a
    run that takes servers out of service keeps to.
    """

    format: int
    kind: str
    target: str
    scope: str
    snapshot: str
    commit: str
    hosts: tuple[PlanHost, ...]
    batches: tuple[Batch, ...]
    diffs: dict[str, str] = {}
    policy: Policy | None = None

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the plan's canonical form, as 64 hex digits."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @cached_property
    def by_name(self) -> dict[str, PlanHost]:
        """The hosts by name."""
        return {host.name: host for host in self.hosts}

    @property
    def aisles(self) -> tuple[str, ...]:
        """The numbers of the aisles that the hosts stand in."""
        return tuple(sorted({host.aisle for host in self.hosts}, key=int))


def build(
    dc: Datacentre,
    scope: Scope,
    *,
    kind: str,
    target: str,
    commit: str,
    kernels: Kernels,
    policy: Policy | None = None,
    ground: Ground | None = None,
) -> Plan:
    """Plan a run of `kind` on the servers of `scope`.

    Arguments:
        dc: the datacentre.
        scope: which servers.
        kind: provision, drift, or one of ROLLING_KINDS and BARE_KINDS.
        target: lab or site.
        commit: what code will do it.
        kernels: what the hosts' kernels can do.
        policy: of a rolling run, how many servers may be out of service at one time.
        ground: what servers are made of that are begun at their BMC; None: none is.

    Raises:
        InputError: the scope means no server, NetBox does not say enough of one, or the policy says
            nothing of its role.
        RefusedError: of a role, as many servers are out of service already as may be; or the disk
            guard stops a server.
    """
    devices = select(dc, scope, statuses_of(kind)).devices
    hosts = tuple(
        _plan_host(
            dc,
            device,
            kind=kind,
            steps=_steps(kind, device, ground),
            kernels=kernels,
            ground=ground,
        )
        for device in devices
    )
    members = [
        Member(name=h.name, role=h.role, domain=domain_of(dc, dc.devices[h.device_id]))
        for h in hosts
    ]
    if policy:
        policy = policies.beside(policy, _out_of_service(dc), {member.role for member in members})
    made = rolling.batches(members, policy) if policy else batches(members)
    return Plan(
        format=FORMAT,
        kind=kind,
        target=target,
        scope=str(scope),
        snapshot=dc.snapshot.hash,
        commit=commit,
        hosts=hosts,
        batches=apart(dc, made),
        policy=policy,
    )


def _out_of_service(dc: Datacentre) -> dict[str, list[str]]:
    """By role, the servers that NetBox says are down."""
    found: dict[str, list[str]] = {}
    for server in dc.servers:
        if server.status in DOWN:
            found.setdefault(dc.role_of(server), []).append(server.name or "")
    return found


def statuses_of(kind: str) -> frozenset[str]:
    """The statuses that a server may have when a run of that kind begins."""
    if kind in ROLLING_KINDS:
        return IN_SERVICE
    return _STATUSES.get(kind, PROVISIONABLE)


def _steps(kind: str, device: r.Device, ground: Ground | None) -> tuple[str, ...]:
    """What is done to a server: one of which nothing is there yet is begun at its BMC."""
    bare = kind == "provision" and device.status == "planned"
    if bare and ground is not None and device.name in ground.hosts:
        return (*DEPLOY_STEPS, *STEPS_OF[kind])
    return STEPS_OF[kind]


def _plan_host(
    dc: Datacentre,
    device: r.Device,
    *,
    kind: str,
    steps: tuple[str, ...],
    kernels: Kernels,
    ground: Ground | None,
    status: str | None = None,
) -> PlanHost:
    """A server of a plan; `status` is what it had when the plan was made, if that is past."""
    kernel = kernels.of(device)
    intent = {name: digest(value) for name, value in hostvars(dc, device, kernel).items()}
    if DEPLOY_STEPS[0] in steps and ground is not None:
        made = orders.order(
            dc, device, ground, kernel, mode=orders.mode_of(kind), status=status or device.status
        )
        said = orders.parts(made, orders.model_of(dc, device, ground.quirks), ground)
        intent |= {f"deploy {name}": digest(value) for name, value in said.items()}
    return place(dc, device, domain=str(domain_of(dc, device)), intent=intent, steps=steps)


def place(
    dc: Datacentre,
    device: r.Device,
    *,
    domain: str,
    intent: dict[str, str],
    steps: tuple[str, ...],
) -> PlanHost:
    """A device as a part of a plan.

    Raises:
        InputError: it stands in no aisle.
    """
    aisle = dc.aisle_number(device)
    if aisle is None:
        raise InputError(
            f"{device.name} stands in no aisle.",
            where=f"device {device.name} in NetBox",
            expected="a location that is an aisle (slug aisle-<number>) or lies in one",
            found=f"location {device.location}",
            remedy="set the device's location in NetBox",
        )
    rack = dc.racks.get(device.rack or 0)
    device_type = dc.device_types.get(device.device_type)
    return PlanHost(
        name=device.name or "",
        device_id=device.id,
        aisle=aisle,
        rack=rack.name if rack else "",
        domain=domain,
        role=dc.role_of(device),
        status=device.status,
        position=None if device.position is None else float(device.position),
        u_height=float(device_type.u_height) if device_type else 1.0,
        intent=intent,
        steps=steps,
    )


def digest(value: Any) -> str:
    """16 hex digits that stand for a value that JSON can hold."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:16]


# -- as a file ------------------------------------------------------------------------------------


def encode(plan: Plan) -> bytes:
    """The plan as the bytes of a file, for people to read too."""
    return sealed.encode(plan)


def read(path: Path) -> Plan:
    """Read a plan from its file.

    Raises:
        InputError: the file cannot be read, or is no plan of this format.
        RefusedError: the content is not what the plan's hash was made of.
    """
    return sealed.read(path, Plan, FORMAT, _not_a_plan, f"--out {path}")


def _not_a_plan(path: Path, found: str) -> InputError:
    return InputError(
        "This is not a plan.",
        where=str(path),
        expected=f"a file written by plan --out FILE or fabric.plan --out FILE (format {FORMAT})",
        found=found,
    )


# -- what has moved -------------------------------------------------------------------------------


def moved(
    plan: Plan,
    dc: Datacentre,
    *,
    target: str,
    commit: str,
    kernels: Kernels,
    only: Collection[str] | None = None,
    own_statuses: Mapping[str, Collection[str]] | None = None,
    ground: Ground | None = None,
) -> list[str]:
    """Everything that is no longer as it was when `plan` was made, one line each.

    Arguments:
        plan: the plan as it was made.
        dc: what NetBox says now.
        target: what is the target now.
        commit: what is the commit now.
        kernels: what the hosts' kernels can do.
        only: the hosts that matter, when some are done already; None is all of them.
        own_statuses: by host, statuses that a run of this plan has itself set.
        ground: what servers that are begun at their BMC are made of now.
    """
    lines = moved_ground(plan, target=target, commit=commit)
    wanted = plan.by_name.keys() if only is None else only
    for host in plan.hosts:
        if host.name in wanted:
            own = (own_statuses or {}).get(host.name, ())
            lines += _moved_host(host, dc, own, kind=plan.kind, kernels=kernels, ground=ground)
    if only is None:
        statuses = statuses_of(plan.kind)
        lines += new_devices(plan, lambda scope: select(dc, scope, statuses).devices)
    return lines


def moved_ground(plan: Plan, *, target: str, commit: str) -> list[str]:
    """What of target and code is no longer as it was, one line each."""
    lines = []
    if plan.target != target:
        lines.append(f"target: planned for {plan.target}, now {target}")
    if plan.commit != commit:
        lines.append(f"code: planned with commit {plan.commit}, now {commit}")
    return lines


def moved_device(
    host: PlanHost, dc: Datacentre, own_statuses: Collection[str]
) -> tuple[r.Device | None, list[str]]:
    """The device of a host, if it is still that one, and what of name and status has moved."""
    device = dc.devices.get(host.device_id)
    if device is None:
        return None, [f"{host.name}: gone from NetBox (device {host.device_id})"]
    if device.name != host.name:
        return None, [f"{host.name}: renamed to {device.name} (device {host.device_id})"]
    if device.status != host.status and device.status not in own_statuses:
        return device, [f"{host.name}: status was {host.status}, now {device.status}"]
    return device, []


def new_devices(plan: Plan, find: Callable[[Scope], Sequence[r.Device]]) -> list[str]:
    """What is in the plan's scope by now and was not when it was made, one line each.

    Arguments:
        plan: the plan as it was made.
        find: the devices of a scope; may raise InputError.
    """
    try:
        devices = find(from_text(plan.scope))
    except InputError as error:
        return [f"{plan.scope}: {error.message}"]
    known = {host.device_id for host in plan.hosts}
    return [f"{d.name}: new in {plan.scope}" for d in devices if d.id not in known]


def _moved_host(
    host: PlanHost,
    dc: Datacentre,
    own_statuses: Collection[str],
    *,
    kind: str,
    kernels: Kernels,
    ground: Ground | None,
) -> list[str]:
    device, lines = moved_device(host, dc, own_statuses)
    if device is None:
        return lines
    try:
        now = _plan_host(
            dc, device, kind=kind, steps=host.steps, kernels=kernels, ground=ground,
            status=host.status,
        )  # fmt: skip
    except (InputError, RefusedError) as error:
        return [*lines, f"{host.name}: {error.message}"]
    lines += [
        f"{host.name}: {what} was {getattr(host, what) or '(none)'}, "
        f"now {getattr(now, what) or '(none)'}"
        for what in ("aisle", "domain", "role")
        if getattr(host, what) != getattr(now, what)
    ]
    names = sorted(host.intent.keys() | now.intent.keys())
    changed = [name for name in names if host.intent.get(name) != now.intent.get(name)]
    if changed:
        lines.append(f"{host.name}: intent changed in {', '.join(changed)}")
    return lines
