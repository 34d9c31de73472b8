"""Where runs are filed: the journal, a directory for each run, what it is called, and its lock."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from chapelle import process
from chapelle.errors import ChapelleError
from chapelle.model.snapshot import Snapshot
from chapelle.netbox import lock
from chapelle.netbox.lock import Lock
from chapelle.plan.plan import Plan
from chapelle.run.folder import Folder
from chapelle.run.journal import Journal, RunRecord
from chapelle.run.resume import Left
from chapelle.settings import Settings


def journal_of(settings: Settings) -> Journal:
    """The journal of this installation."""
    return Journal(settings.state / "journal.sqlite")


def folder_of(settings: Settings, run: str) -> Folder:
    """The directory of a run."""
    return Folder(settings.state / "runs", run)


def new_id() -> str:
    """A run's name: when it began (UTC), and four digits of chance."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"


def record(run: str, made: Plan, *, dry_run: bool = False) -> RunRecord:
    """What the journal notes of a run that begins now, by this process."""
    return RunRecord(
        id=run,
        kind=made.kind,
        target=made.target,
        owner=process.owner(),
        started=time.time(),
        snapshot=made.snapshot,
        plan=made.hash,
        commit_id=made.commit,
        scope=made.scope,
        dry_run=dry_run,
        process=process.own(),
    )


@contextmanager
def opened(
    journal: Journal, folder: Folder, made: Plan, snapshot: Snapshot, left: Left | None
) -> Iterator[None]:
    """Have a new run in the journal, and its plan on disk, before its lock is in NetBox.

    Whatever happens then, the run that the lock names can be looked at and gone on with. When it
    cannot begin, the journal says why. One that is gone on with is there already.
    """
    if left:
        yield
        return
    folder.fill(made, snapshot)
    journal.open_run(record(folder.run, made), made.hosts)
    folder.prune(journal.alike(made.kind))
    try:
        yield
    except ChapelleError as error:
        if journal.run(folder.run).finished is None:
            journal.close_run(folder.run, time.time(), int(error.exit_code), error.message)
        raise


def hold(
    settings: Settings, made: Plan, run: str, say: Callable[[str], None]
) -> AbstractContextManager[Lock]:
    """Hold the lock of the aisles of a plan's hosts for a run."""
    return lock.hold(
        settings,
        [f"aisle-{number}" for number in made.aisles],
        run=run,
        reason=f"{made.kind} {made.scope}",
        say=say,
    )
