"""Where runs are filed: the journal, a directory for each run, and what a run is called."""

import secrets
import time

from chapelle.drivers import process
from chapelle.plan.plan import Plan
from chapelle.run import prepare
from chapelle.run.folder import Folder
from chapelle.run.journal import Journal, RunRecord
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
        owner=prepare.owner(),
        started=time.time(),
        snapshot=made.snapshot,
        plan=made.hash,
        commit_id=made.commit,
        scope=made.scope,
        dry_run=dry_run,
        process=process.own(),
    )
