"""Results and events as a run of aisle 2 makes them, for the tests of reports."""

from collections.abc import Iterator

import msgspec

from chapelle.model.outcome import (
    STEPS,
    Change,
    Difference,
    Event,
    HostResult,
    RunResult,
    StepResult,
)

START = 1_795_460_400.0  # 2026-11-23 19:00:00 UTC

ROLES = ["compute"] * 48 + ["storage"] * 16 + ["database"] * 8 + ["infra"] * 3
RACK_SIZES = (13, 13, 13, 13, 13, 10)


def hosts() -> dict[str, tuple[str, str, float]]:
    """The 75 servers of aisle 2: name to rack, role and position."""
    counted: dict[str, int] = {}
    names = []
    for role in ROLES:
        counted[role] = counted.get(role, 0) + 1
        names.append((f"{role}-a2-{counted[role]:02}", role))
    places = [
        (f"A2-R{number:02}", 1.0 + 2 * slot)
        for number, size in enumerate(RACK_SIZES, start=1)
        for slot in range(size)
    ]
    return {
        name: (rack, role, position)
        for (name, role), (rack, position) in zip(names, places, strict=True)
    }


def racks() -> dict[str, str]:
    """Name to rack, as displays want it."""
    return {name: rack for name, (rack, _, _) in hosts().items()}


CHRONY = Change(
    role="time",
    kind="file",
    item="/etc/chrony/chrony.conf",
    diff="--- before\n+++ after\n@@ -1 +1 @@\n-pool 2.debian.pool.ntp.org iburst\n"
    "+server 10.64.0.11 iburst\n",
)
CHANGES = (
    Change(role="base", kind="hostname", item="hostname", before="debian", after="compute"),
    Change(role="base", kind="package", item="unattended-upgrades", after="installed"),
    Change(role="access", kind="file", item="/etc/ssh/sshd_config.d/10-chapelle.conf"),
    CHRONY,
    Change(role="time", kind="unit", item="chrony.service", before="inactive", after="active"),
    Change(role="firewall", kind="file", item="/etc/nftables.conf"),
)
NO_BOND = "bonding: this kernel has none"


def steps(
    *,
    upto: str = STEPS[-1],
    outcome: str = "ok",
    message: str = "",
    changes: tuple[Change, ...] = (),
    differences: tuple[Difference, ...] = (),
) -> tuple[StepResult, ...]:
    """The steps of a host to the one called `upto`, which ends with `outcome`."""
    names = STEPS[: STEPS.index(upto) + 1]
    done = []
    for number, step in enumerate(names):
        last = step == upto
        normal = "changed" if changes and step == "configure" else "ok"
        done.append(
            StepResult(
                step=step,
                outcome=outcome if last and outcome != "ok" else normal,
                started=START + 10 * number,
                finished=None if last and outcome == "unknown" else START + 10 * number + 7.5,
                message=message if last else "",
                changes=changes if step == "configure" else (),
                differences=differences if step == "verify" else (),
                not_exercised=(NO_BOND,) if step == "verify" else (),
            )
        )
    return tuple(done)


def host(name: str, outcome: str = "unchanged", steps: tuple[StepResult, ...] = ()) -> HostResult:
    """One of the 75, or one beside them."""
    known = hosts()
    rack, role, position = known.get(name, ("A2-R01", "compute", 40.0))
    status = {"changed": "active", "unchanged": "active", "pending": "planned", "unknown": "staged"}
    return HostResult(
        host=name,
        device_id=1000 + (list(known).index(name) if name in known else len(known)),
        aisle="2",
        rack=rack,
        role=role,
        position=position,
        u_height=2.0 if role == "storage" else 1.0,
        outcome=outcome,
        status_before="planned" if outcome != "unchanged" else "active",
        status_after=status.get(outcome, "failed"),
        steps=steps,
    )


def result(
    results: tuple[HostResult, ...], *, kind: str = "provision", exit_code: int = 0, **more: object
) -> RunResult:
    """A run with these hosts."""
    fields = {
        "id": "20261123T190000-4f1c",
        "kind": kind,
        "target": "lab",
        "owner": "operator@bastion",
        "started": START,
        "finished": START + 168.0,
        "snapshot": "9f" * 32,
        "plan": "3c" * 32,
        "commit": "bf2101a4c0de",
        "scope": "--aisle=2",
        "dry_run": kind == "drift",
        "exit_code": exit_code,
    } | more
    return RunResult(hosts=results, **fields)  # type: ignore[arg-type]


def unchanged() -> RunResult:
    """75 servers and nothing to do."""
    return result(tuple(host(name, steps=steps()) for name in hosts()))


def first_run() -> RunResult:
    """75 servers, all configured for the first time; infra has one more file."""
    extra = (*CHANGES, Change(role="time", kind="file", item="/etc/chrony/conf.d/serve.conf"))
    return result(
        tuple(
            host(name, "changed", steps(changes=extra if role == "infra" else CHANGES))
            for name, (_, role, _) in hosts().items()
        )
    )


def troubled() -> RunResult:
    """A run in which everything happened that can, stopped by its failure budget."""
    broken = {
        "compute-a2-02": ("failed", "configure", "apt: dpkg was interrupted [red]run[/red]"),
        "compute-a2-03": ("failed", "configure", "No space left on device: /etc/chrony"),
        "compute-a2-04": ("failed", "configure", "No space left on device: /etc/chrony"),
        "compute-a2-05": ("unreachable", "preflight", "ssh: connect to host: No route to host"),
        "compute-a2-06": ("unknown", "configure", "the controller died during this step"),
    }
    results = []
    for name, (rack, _, _) in hosts().items():
        if name in broken:
            outcome, step, message = broken[name]
            done = steps(upto=step, outcome=outcome, message=message)
            results.append(host(name, outcome, done))
        elif rack > "A2-R03":
            results.append(host(name, "pending"))
        else:
            results.append(host(name, "changed", steps(changes=CHANGES)))
    stopped = "5 hosts failed, and the failure budget is 3"
    return result(tuple(results), exit_code=5, stopped=stopped)


SPOILED = (
    Difference(
        area="firewall",
        item="port 8080/tcp",
        expected="closed",
        found="open to 0.0.0.0/0",
    ),
)


def drifted() -> RunResult:
    """Two servers of 75 are not as NetBox says."""
    spoiled = {
        "compute-a2-07": steps(upto="verify", changes=(CHRONY,), differences=SPOILED),
        "infra-a2-01": steps(upto="verify", changes=CHANGES[4:5]),
    }
    results = [
        host(name, "changed" if name in spoiled else "unchanged", spoiled.get(name, steps()))
        for name in hosts()
    ]
    return result(
        tuple(msgspec.structs.replace(h, status_before="active") for h in results),
        kind="drift",
        exit_code=99,
    )


def events(pause: float = 10.0) -> Iterator[Event]:
    """A run of the aisle: a canary, then rack by rack; compute-a2-20 fails."""
    now = START
    places = racks()
    canary = next(iter(places))
    groups = [[canary]] + [
        [name for name, rack in places.items() if rack == wanted and name != canary]
        for wanted in sorted(set(places.values()))
    ]
    yield Event(time=now, kind="run-started", message="run 20261123T190000-4f1c")
    for number, names in enumerate(groups, start=1):
        yield Event(time=now, kind="batch-started", batch=number)
        failed = set()
        for step in STEPS:
            for name in names:
                if name not in failed:
                    yield Event(time=now, kind="step-started", host=name, step=step)
            now += pause
            for name in names:
                if name in failed:
                    continue
                bad = name == "compute-a2-20" and step == "configure"
                yield Event(
                    time=now,
                    kind="step-finished",
                    host=name,
                    step=step,
                    outcome="failed" if bad else "ok",
                    message="No space left on device" if bad else "",
                )
                if bad:
                    failed.add(name)
                    yield Event(time=now, kind="host-finished", host=name, outcome="failed")
        for name in names:
            if name not in failed:
                yield Event(time=now, kind="host-finished", host=name, outcome="changed")
        yield Event(time=now, kind="batch-finished", batch=number)
    yield Event(time=now, kind="run-finished")
