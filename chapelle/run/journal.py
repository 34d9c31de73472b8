"""The journal: what each run did to each host, on disk before and after it is done.

SQLite, with write-ahead log and `synchronous=FULL`: what was committed survives a kill and a power
cut. A step that was begun and has no end is UNKNOWN, whoever reads it. No secret is written here.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chapelle.errors import ChapelleError, InputError
from chapelle.model.outcome import (
    PUSH_STEPS,
    STEPS_OF,
    Event,
    HostResult,
    RunResult,
    StepResult,
    steps_for,
)
from chapelle.plan.plan import PlanHost

FORMAT = 1
UNKNOWN = "unknown"

# How many times a step is looked back at, to say what is usual.
_LATELY = 20

# Kinds of runs whose hosts are switches.
SWITCH_KINDS = ("push", "revert")

_SCHEMA = """
CREATE TABLE runs (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, owner TEXT NOT NULL,
  started REAL NOT NULL, finished REAL, snapshot TEXT NOT NULL, plan TEXT NOT NULL,
  commit_id TEXT NOT NULL, scope TEXT NOT NULL, dry_run INTEGER NOT NULL,
  exit_code INTEGER, stopped TEXT NOT NULL DEFAULT '',
  process TEXT NOT NULL
) STRICT;
CREATE TABLE hosts (
  run TEXT NOT NULL REFERENCES runs, host TEXT NOT NULL, device_id INTEGER NOT NULL,
  aisle TEXT NOT NULL, rack TEXT NOT NULL, role TEXT NOT NULL,
  position REAL, u_height REAL NOT NULL,
  status_before TEXT NOT NULL, status TEXT NOT NULL, facts TEXT,
  PRIMARY KEY (run, host)
) STRICT;
CREATE TABLE steps (
  id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs, host TEXT NOT NULL,
  step TEXT NOT NULL, started REAL NOT NULL, finished REAL, outcome TEXT, result TEXT
) STRICT;
CREATE INDEX steps_of_host ON steps (run, host, step);
CREATE TABLE events (
  id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs, time REAL NOT NULL,
  kind TEXT NOT NULL, batch INTEGER NOT NULL, message TEXT NOT NULL
) STRICT;
"""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run, without its hosts. `process` is its controller's (see `chapelle.process`)."""

    id: str
    kind: str
    target: str
    owner: str
    started: float
    snapshot: str
    plan: str
    commit_id: str
    scope: str
    dry_run: bool
    process: str
    finished: float | None = None
    exit_code: int | None = None
    stopped: str = ""


class Usual(NamedTuple):
    """How a step went lately: how many times, and how many seconds the longest of them took."""

    times: int
    longest: float


class Journal:
    """The journal of one installation. Use it from one thread; several processes may have it open.

    Arguments:
        path: the SQLite file; made, with its directory, when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error
        self._prepare()

    def _prepare(self) -> None:
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={FORMAT}")
            elif version != FORMAT:
                raise ChapelleError(
                    "The journal was written by another version of chapelle.",
                    where=str(self.path),
                    expected=f"format {FORMAT}",
                    found=f"format {version}",
                    remedy="use that version, or move the file away and forget the runs in it",
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def _broken(self, error: OSError | sqlite3.Error) -> ChapelleError:
        return ChapelleError(
            "The journal cannot be written, and nothing is done that is not in it.",
            where=str(self.path),
            expected="a whole SQLite file, with space left on its disk",
            found=str(error),
            remedy="make space, or move a damaged file away; then resume the run",
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- writing ----------------------------------------------------------------------------------

    def open_run(self, record: RunRecord, hosts: Iterable[PlanHost]) -> None:
        """Write down that a run begins, and with which hosts."""
        fields = msgspec.structs.asdict(record)
        columns = ", ".join(fields)
        marks = ", ".join(f":{name}" for name in fields)
        with self._transaction():
            self._db.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", fields)  # noqa: S608
            self._db.executemany(
                "INSERT INTO hosts VALUES (:run, :name, :device_id, :aisle, :rack, :role,"
                " :position, :u_height, :status, :status, NULL)",
                [_host_fields(record.id, host) for host in hosts],
            )

    def take_over(self, run: str, process: str) -> None:
        """Write down that another process goes on with a run."""
        with self._transaction():
            self._db.execute(
                "UPDATE runs SET process=?, finished=NULL, exit_code=NULL, stopped='' WHERE id=?",
                (process, run),
            )

    def begin(self, run: str, hosts: Sequence[str], step: str, at: float) -> None:
        """Write down that a step begins; to be called before it does."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO steps (run, host, step, started) VALUES (?, ?, ?, ?)",
                [(run, host, step, at) for host in hosts],
            )

    def end(
        self, run: str, host: str, result: StepResult, facts: dict[str, Any] | None = None
    ) -> None:
        """Write down how a begun step ended, and what was read of the host if anything was."""
        with self._transaction():
            done = self._db.execute(
                "UPDATE steps SET finished=?, outcome=?, result=? WHERE id="
                "(SELECT max(id) FROM steps WHERE run=? AND host=? AND step=?) AND outcome IS NULL",
                (result.finished, result.outcome, _json(result), run, host, result.step),
            )
            if done.rowcount != 1:
                raise ChapelleError(
                    f"The journal has no step {result.step} of {host} that was begun.",
                    where=f"{self.path}, run {run}",
                )
            if facts is not None:
                self._db.execute(
                    "UPDATE hosts SET facts=? WHERE run=? AND host=?", (_json(facts), run, host)
                )

    def status(self, run: str, host: str, status: str) -> None:
        """Write down which status the host has in NetBox now."""
        with self._transaction():
            self._db.execute(
                "UPDATE hosts SET status=? WHERE run=? AND host=?", (status, run, host)
            )

    def event(self, run: str, event: Event) -> None:
        """Write down something that happened to the run as a whole."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO events (run, time, kind, batch, message) VALUES (?, ?, ?, ?, ?)",
                (run, event.time, event.kind, event.batch, event.message),
            )

    def close_run(self, run: str, at: float, exit_code: int, stopped: str) -> None:
        """Write down that the run ended, and why early if it did."""
        with self._transaction():
            self._db.execute(
                "UPDATE runs SET finished=?, exit_code=?, stopped=? WHERE id=?",
                (at, exit_code, stopped, run),
            )

    # -- reading ----------------------------------------------------------------------------------

    def runs(self) -> list[RunRecord]:
        """All runs, the latest first."""
        rows = self._db.execute("SELECT * FROM runs ORDER BY started DESC, id DESC")
        return [_record(row) for row in rows]

    def alike(self, kind: str) -> list[str]:
        """The ids of all runs of a kind, the latest first."""
        return [record.id for record in self.runs() if record.kind == kind]

    def took(self, *, kind: str, scope: str, target: str) -> float | None:
        """How many seconds the latest run like this took that went through at one go, if any did.

        A run that was resumed had nobody at work in between.
        """
        row = self._db.execute(
            "SELECT finished - started FROM runs WHERE kind=? AND scope=? AND target=?"
            " AND dry_run=0 AND exit_code IN (0, 99) AND 1="
            "(SELECT count(*) FROM events WHERE events.run=runs.id AND events.kind='run-started')"
            " ORDER BY started DESC LIMIT 1",
            (kind, scope, target),
        ).fetchone()
        return float(row[0]) if row else None

    def usual(self, steps: Sequence[str], hosts: Sequence[str], *, target: str) -> dict[str, Usual]:
        """How long steps took on hosts the last `_LATELY` times that they went through, by step."""
        found: dict[str, Usual] = {}
        for step in steps:
            row = self._db.execute(
                "SELECT count(*), max(seconds) FROM"
                " (SELECT steps.finished - steps.started AS seconds FROM steps"
                " JOIN runs ON runs.id=steps.run WHERE step=? AND target=?"
                " AND outcome IN ('ok', 'changed') AND host IN (SELECT value FROM json_each(?))"
                " ORDER BY steps.id DESC LIMIT ?)",
                (step, target, _json(list(hosts)), _LATELY),
            ).fetchone()
            if row[0]:
                found[step] = Usual(int(row[0]), float(row[1]))
        return found

    def run(self, run: str) -> RunRecord:
        """One run.

        Raises:
            InputError: the journal has no such run.
        """
        row = self._db.execute("SELECT * FROM runs WHERE id=?", (run,)).fetchone()
        if row is None:
            latest = [record.id for record in self.runs()[:3]]
            raise InputError(
                f"There is no run {run!r}.",
                where=str(self.path),
                expected=f"the name of a run, such as {', '.join(latest)}" if latest else "a run",
                found=repr(run),
                remedy="list them with: invoke runs.list",
            )
        return _record(row)

    def events(self, run: str) -> list[Event]:
        """What happened to the run as a whole, in order."""
        rows = self._db.execute("SELECT * FROM events WHERE run=? ORDER BY id", (run,))
        return [
            Event(time=r["time"], kind=r["kind"], batch=r["batch"], message=r["message"])
            for r in rows
        ]

    def facts(self, run: str, host: str) -> dict[str, Any]:
        """What the run read of a host; empty when it read nothing."""
        row = self._db.execute(
            "SELECT facts FROM hosts WHERE run=? AND host=?", (run, host)
        ).fetchone()
        return msgspec.json.decode(row["facts"], type=dict[str, Any]) if row and row[0] else {}

    def steps(self, run: str, host: str) -> dict[str, StepResult]:
        """The latest of each step of a host. One without an end has outcome `unknown`."""
        rows = self._db.execute(
            "SELECT * FROM steps WHERE run=? AND host=? ORDER BY id", (run, host)
        )
        return {row["step"]: _step(row) for row in rows}

    def result(self, run: str) -> RunResult:
        """The run as the journal knows it, whether it has ended or not.

        Raises:
            InputError: the journal has no such run.
        """
        record = self.run(run)
        wanted = steps_of(record.kind, dry_run=record.dry_run)
        rows = self._db.execute("SELECT * FROM hosts WHERE run=? ORDER BY host", (run,)).fetchall()
        return RunResult(
            id=record.id,
            kind=record.kind,
            target=record.target,
            owner=record.owner,
            started=record.started,
            finished=record.finished,
            snapshot=record.snapshot,
            plan=record.plan,
            commit=record.commit_id,
            scope=record.scope,
            dry_run=record.dry_run,
            exit_code=-1 if record.exit_code is None else record.exit_code,
            hosts=tuple(self._host(run, row, wanted) for row in rows),
            stopped=record.stopped,
        )

    def _host(self, run: str, row: sqlite3.Row, wanted: Sequence[str]) -> HostResult:
        steps = self.steps(run, row["host"])
        wanted = steps_for(wanted, steps)
        return HostResult(
            host=row["host"],
            device_id=row["device_id"],
            aisle=row["aisle"],
            rack=row["rack"],
            role=row["role"],
            position=row["position"],
            u_height=row["u_height"],
            outcome=outcome(steps, wanted),
            status_before=row["status_before"],
            status_after=row["status"],
            steps=tuple(steps[step] for step in wanted if step in steps),
        )


def steps_of(kind: str, *, dry_run: bool) -> tuple[str, ...]:
    """The steps that a run of that kind takes with a host, in order."""
    return tuple(step for step in STEPS_OF[kind] if not dry_run or step != "write-back")


def outcome(steps: dict[str, StepResult], wanted: Sequence[str]) -> str:
    """What became of a host or a switch, by its steps; `wanted` as `steps_of` gives it."""
    return switch_outcome(steps) if tuple(wanted) == PUSH_STEPS else host_outcome(steps, wanted)


def switch_outcome(steps: dict[str, StepResult]) -> str:
    """What became of a switch, by the step that was begun last.

    Returns:
        `unchanged`, `applied`, `reverted`, or `failed`, which means that nothing was touched;
        `unknown` when the switch may be in either configuration, `pending` before its turn.
    """
    taken = [step for name, step in steps.items() if name != "write-back"]
    if not taken:
        return "pending"
    last = max(taken, key=lambda step: (step.started, PUSH_STEPS.index(step.step)))
    touching = PUSH_STEPS.index(last.step) >= PUSH_STEPS.index("arm")
    ended = _ENDED.get((last.step, last.outcome))
    if ended or touching:
        return ended or UNKNOWN
    return "failed" if last.outcome in {"failed", "unreachable"} else "pending"


# What a switch is when this was its last step, and it ended so.
_ENDED = {
    ("diff", "ok"): "unchanged",
    ("diff", "skipped"): "unchanged",
    ("persist", "ok"): "applied",
    ("revert", "ok"): "reverted",
    ("take-back", "ok"): "reverted",
    ("take-back", "failed"): "applied",  # what was to be taken back is still there, and known to be
}


def host_outcome(steps: dict[str, StepResult], wanted: Sequence[str]) -> str:
    """The worst of a host's steps; `unknown` when some of its steps are done and others are not.

    Arguments:
        steps: the host's steps that were begun, by name.
        wanted: the steps that make it complete.
    """
    outcomes = {steps[step].outcome for step in wanted if step in steps}
    if outcomes <= {"skipped"}:
        return "pending"
    for bad in ("failed", "unreachable", UNKNOWN):
        if bad in outcomes:
            return bad
    if any(step not in steps for step in wanted):
        return UNKNOWN
    work = {steps[step].outcome for step in wanted if step != "write-back"}
    return "changed" if "changed" in work else "unchanged"


def _host_fields(run: str, host: PlanHost) -> dict[str, Any]:
    kept = ("name", "device_id", "aisle", "rack", "role", "position", "u_height", "status")
    return {"run": run} | {name: getattr(host, name) for name in kept}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _record(row: sqlite3.Row) -> RunRecord:
    return msgspec.convert(dict(row), RunRecord, strict=False)


def _step(row: sqlite3.Row) -> StepResult:
    if row["outcome"] is None:
        message = "begun, and nobody saw its end"
        return StepResult(
            step=row["step"], outcome=UNKNOWN, started=row["started"], message=message
        )
    return msgspec.json.decode(row["result"], type=StepResult)
