"""The papers of runs for tenants: a directory each, in which everything that a rerun needs stands.

| file | what it holds |
|---|---|
| `plan.json` | the plan, as it was confirmed |
| `state.json` | how far the run came |
| `freeze.jsonl`, `release.jsonl` | what was asked of NetBox, and what became of it |
| `certificate.json`, `certificate.txt` | of a tenant that left: what it gave back |

A run that is not at its end is gone on with, or undone, before another one of its tenant begins.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from chapelle import files, process
from chapelle.errors import ChapelleError, LockedError
from chapelle.plan.tenancy import plan as plans
from chapelle.plan.tenancy.plan import TenancyPlan
from chapelle.run.filing import new_id
from chapelle.settings import Settings

FREEZE, RELEASE = "freeze", "release"

type Stage = Literal["begun", "frozen", "following", "followed", "done", "undoing", "undone"]

# Stages at which nothing is left to be done.
ENDED: tuple[Stage, ...] = ("done", "undone")


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run came.

    Arguments:
        kind, tenant, reference: those of its plan.
        stage: `begun`: NetBox may hold a part; `frozen`: NetBox holds what the switches are to
            follow; `following`: they may have begun to; `followed`: they did; `undoing`: it is
            being taken back.
        owner: who gave the command.
        switches: whose configuration changes; none, where the switches are no part of it.
        pushes: the runs that pushed to them.
    """

    kind: str
    tenant: str
    reference: str
    stage: Stage
    owner: str
    switches: tuple[str, ...] = ()
    pushes: tuple[str, ...] = ()


class Papers:
    """The directory of one run."""

    def __init__(self, root: Path, run: str) -> None:
        self.run = run
        self.path = root / run

    @property
    def state(self) -> State:
        """How far it came.

        Raises:
            ChapelleError: nobody can read it.
        """
        path = self.path / "state.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError) as error:
            raise ChapelleError(
                "What a run wrote down of itself cannot be read.",
                where=str(path),
                found=str(error),
                remedy="see in NetBox what the tenant has; then move the directory away",
            ) from error

    @property
    def plan(self) -> TenancyPlan:
        """The plan that it carries out."""
        return plans.read(self.path / "plan.json")

    def journal(self, part: str) -> Path:
        """What was asked of NetBox in a part of the run."""
        return self.path / f"{part}.jsonl"

    def note(self, **changes: object) -> State:
        """Write down how far it came."""
        state = msgspec.structs.replace(self.state, **changes)
        self._write(state)
        return state

    def begin(self, plan: TenancyPlan, switches: Collection[str]) -> None:
        """Write down what is going to be done, before anything is."""
        files.directory(self.path)
        files.write(self.path / "plan.json", plans.encode(plan))
        self._write(
            State(
                kind=plan.kind,
                tenant=plan.tenant,
                reference=plan.reference,
                stage="begun",
                owner=process.owner(),
                switches=tuple(sorted(switches)),
            )
        )

    def _write(self, state: State) -> None:
        data = msgspec.json.format(msgspec.json.encode(state)) + b"\n"
        files.write(self.path / "state.json", data)


def root_of(settings: Settings) -> Path:
    """Where the runs for tenants are filed."""
    return settings.state / "tenancy"


def new(settings: Settings) -> Papers:
    """The papers of a run that begins."""
    return Papers(root_of(settings), new_id())


def of_tenant(settings: Settings, tenant: str) -> list[Papers]:
    """The runs for a tenant, the latest first; a directory without a state was never begun."""
    root = root_of(settings)
    found = [Papers(root, path.parent.name) for path in root.glob("*/state.json")]
    found.sort(key=lambda papers: papers.run, reverse=True)
    return [papers for papers in found if papers.state.tenant == tenant]


def unfinished(settings: Settings, tenant: str) -> Papers | None:
    """The run for a tenant that did not come to its end, if there is one."""
    return next(
        (papers for papers in of_tenant(settings, tenant) if papers.state.stage not in ENDED), None
    )


@contextmanager
def alone(settings: Settings, tenant: str) -> Iterator[None]:
    """Be the only run for a tenant on this machine.

    Raises:
        LockedError: another one is under way.
    """

    def taken() -> None:
        raise LockedError(
            f"Somebody is at work for {tenant} on this machine.",
            where=str(root_of(settings) / f"{tenant}.lock"),
            expected="no other tenant.onboard or tenant.offboard of this tenant",
            found="one that has not ended",
            remedy="wait until it has ended",
        )

    with files.locked(root_of(settings) / f"{tenant}.lock", taken):
        yield
