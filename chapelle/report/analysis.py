"""What the result of a run comes to: counts, troubles, changes and differences. Pure functions."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from chapelle.model.outcome import (
    DEPLOY_STEPS,
    HOST_OUTCOMES,
    ROLLING_KINDS,
    Change,
    Difference,
    HostResult,
    RunResult,
    StepResult,
)
from chapelle.report.text import BAD_OUTCOMES, STYLES

# More hosts than these in one command are named by their rack or by the scope of the run.
_HOSTS_IN_COMMAND = 4

# Kinds of runs whose hosts are switches, and the task that takes a run up again.
SWITCH_KINDS = frozenset({"push", "revert"})
TASKS = {"push": "fabric.push", "revert": "fabric.push", "drift": "provision"}

# What becomes of a unit because a file that it reads changes.
_CONSEQUENCES = frozenset({"restarted", "reloaded"})


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts on which the same step ended badly in the same way."""

    hosts: tuple[str, ...]
    racks: tuple[str, ...]
    step: str
    outcome: str
    message: str
    remedy: str


class ChangeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What one role changed in the same way on a set of hosts: `items` by kind."""

    role: str
    hosts: tuple[str, ...]
    items: dict[str, tuple[str, ...]]


class DriftLine(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the model and one or more hosts. `area` may be a role's name."""

    hosts: tuple[str, ...]
    area: str
    item: str
    expected: str
    found: str


def counts(result: RunResult) -> dict[str, int]:
    """Hosts by outcome in the order of HOST_OUTCOMES; what no host has is left out."""
    found = Counter(host.outcome for host in result.hosts)
    return {name: found[name] for name in HOST_OUTCOMES if found[name]}


def word(result: RunResult, outcome: str) -> str:
    """What an outcome is called in this run: where nothing is changed, `changed` would be false."""
    if outcome == "changed" and result.kind == "drift":
        return "differing"
    if outcome == "changed" and result.dry_run:
        return "to be changed"
    return outcome


def styled_counts(result: RunResult) -> list[tuple[str, str]]:
    """`3 failed` and the like, each with the style of its outcome."""
    return [
        (f"{count} {word(result, name)}", STYLES[name]) for name, count in counts(result).items()
    ]


def noun(result: RunResult, count: int) -> str:
    """What the run's hosts are: `server` or `switches`, as the number asks for."""
    if result.kind in SWITCH_KINDS:
        return "switch" if count == 1 else "switches"
    return "server" if count == 1 else "servers"


def kind(result: RunResult) -> str:
    """What the run was, in words. A drift never changes anything, which need not be said."""
    if result.dry_run and result.kind != "drift":
        return f"{result.kind} (dry run)"
    return result.kind


def all_as_intended(result: RunResult) -> bool:
    """Whether the run was through with every host and none needed a change."""
    return bool(result.hosts) and set(counts(result)) == {"unchanged"} and not result.stopped


def tone(result: RunResult) -> str:
    """`good`, `warn` when differences were looked for and found, `bad` when something failed."""
    outcomes = set(counts(result))
    if result.stopped or outcomes - {"unchanged", "changed", "applied"}:
        return "bad"
    return "warn" if result.kind == "drift" and "changed" in outcomes else "good"


def trouble_step(host: HostResult) -> StepResult | None:
    """The step that ended badly, if one did."""
    return next((step for step in host.steps if step.outcome in BAD_OUTCOMES), None)


def message(host: HostResult) -> str:
    """Why the host did not end well, in words; empty when it did."""
    if host.outcome not in BAD_OUTCOMES:
        return ""
    step = trouble_step(host)
    if step is None or not (step.message or step.differences):
        return "no message was recorded"
    if step.message:
        return step.message
    return "; ".join(f"{d.item}: expected {d.expected}, found {d.found}" for d in step.differences)


def troubles(result: RunResult) -> list[Trouble]:
    """All failures, those with the same words together, in the order of the hosts."""
    groups: dict[tuple[str, str, str], list[HostResult]] = defaultdict(list)
    for host in result.hosts:
        if host.outcome in BAD_OUTCOMES:
            step = trouble_step(host)
            groups[host.outcome, step.step if step else "", message(host)].append(host)
    return [
        Trouble(
            hosts=tuple(host.host for host in hosts),
            racks=_in_order(host.rack for host in hosts),
            step=step,
            outcome=outcome,
            message=words,
            remedy=remedy(result, outcome, hosts),
        )
        for (outcome, step, words), hosts in groups.items()
    ]


def remedy(result: RunResult, outcome: str, hosts: Sequence[HostResult]) -> str:
    """The command for hosts that ended with `outcome`, once its cause is mended."""
    if result.kind == "revert" or (outcome == "unknown" and result.kind != "drift"):
        return resume(result)
    if any(step.step == DEPLOY_STEPS[0] for host in hosts for step in host.steps):
        return resume(result)  # a new run would take its disks for those of a host that was built
    if result.kind in ROLLING_KINDS and any(host.status_after == "failed" for host in hosts):
        return again("provision", result, hosts)  # which brings it back into service
    return again("fabric.push" if result.kind == "push" else result.kind, result, hosts)


def resume(result: RunResult) -> str:
    """The command that takes the run up where it ended."""
    task = TASKS.get(result.kind, result.kind)
    return f"invoke {task} --resume={shlex.quote(result.id)}"


def again(task: str, result: RunResult, hosts: Sequence[HostResult]) -> str:
    """The command that runs `task` on these hosts, or on the smallest scope around many."""
    racks = _in_order(host.rack for host in hosts)
    if len(hosts) <= _HOSTS_IN_COMMAND:
        scope = "--limit=" + ",".join(host.host for host in hosts)
    elif len(racks) == 1 and racks[0]:
        scope = f"--rack={racks[0]}"
    else:
        return f"invoke {task} {result.scope}"
    return f"invoke {task} {shlex.quote(scope)}"


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def changes(host: HostResult) -> list[Change]:
    """Everything that the run changed on a host, or would have."""
    return [change for step in host.steps for change in step.changes]


def differences(host: HostResult) -> list[Difference]:
    """Everything in which a host is not what the model says."""
    return [difference for step in host.steps for difference in step.differences]


def change_groups(result: RunResult) -> list[ChangeGroup]:
    """What changed, by role and by the set of hosts that it changed on, most hosts first."""
    hosts_of: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for host in result.hosts:
        for change in dict.fromkeys((c.role, c.kind, _item(c)) for c in changes(host)):
            hosts_of[change].append(host.host)
    grouped: dict[tuple[str, tuple[str, ...]], dict[str, list[str]]] = {}
    for (role, kind, item), hosts in hosts_of.items():
        grouped.setdefault((role, tuple(hosts)), {}).setdefault(kind, []).append(item)
    groups = [
        ChangeGroup(role=role, hosts=hosts, items={k: tuple(v) for k, v in items.items()})
        for (role, hosts), items in grouped.items()
    ]
    return sorted(groups, key=lambda group: (-len(group.hosts), group.role))


def _item(change: Change) -> str:
    """What a change is called among others: of an upgrade, the versions matter."""
    if change.role == "patch":
        return f"{change.item} {change.before} -> {change.after}"
    return change.item


def not_exercised(result: RunResult) -> dict[str, int]:
    """What could not be put to the test, and on how many hosts."""
    found = Counter(
        text
        for host in result.hosts
        for text in {text for step in host.steps for text in step.not_exercised}
    )
    return dict(sorted(found.items()))


def transitions(result: RunResult) -> dict[tuple[str, str], int]:
    """NetBox statuses that the run moved: from, to, and the number of hosts."""
    return dict(
        Counter(
            (host.status_before, host.status_after)
            for host in result.hosts
            if host.status_before != host.status_after
        )
    )


# -- drift ----------------------------------------------------------------------------------------


def drift_lines(result: RunResult, *, grouped: bool = False) -> list[DriftLine]:
    """Every difference of every host; with `grouped`, the same one on several hosts is one line.

    What a role would change and what verification found are both differences. What both name is
    listed once.
    """
    lines: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for host in result.hosts:
        for key in dict.fromkeys(_host_lines(host)):
            lines[key if grouped else (*key, host.host)].append(host.host)
    return [
        DriftLine(hosts=tuple(hosts), area=key[0], item=key[1], expected=key[2], found=key[3])
        for key, hosts in lines.items()
    ]


def _host_lines(host: HostResult) -> list[tuple[str, str, str, str]]:
    found = changes(host)
    lines = [
        (c.role, f"{c.kind} {c.item}", *_expected_found(c))
        for c in found
        if not _is_consequence(c, found)
    ]
    named = {c.item for c in found}
    lines += [
        (d.area, d.item, d.expected, d.found) for d in differences(host) if d.item not in named
    ]
    return lines


def _is_consequence(change: Change, all_changes: Sequence[Change]) -> bool:
    """Whether the change is only what a role does after another: a restart is no difference."""
    if change.after not in _CONSEQUENCES:
        return False
    return any(c.role == change.role and c.after not in _CONSEQUENCES for c in all_changes)


def _expected_found(change: Change) -> tuple[str, str]:
    """What the role wants and what is there: the states, or else the first lines that differ."""
    if change.before != change.after or not change.diff:
        return change.after or "as the role has it", change.before or "not so"
    lines = change.diff.splitlines()
    return (
        _first_line(lines, "+") or "as the role has it",
        _first_line(lines, "-") or "no such line",
    )


def _first_line(diff: Sequence[str], sign: str) -> str:
    texts = [
        line[1:].strip()
        for line in diff
        if line.startswith(sign) and not line.startswith(sign * 3) and line[1:].strip()
    ]
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return texts[0] + more if texts else ""
