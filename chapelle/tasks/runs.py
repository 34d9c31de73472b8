"""The tasks `runs.list` and `runs.show`."""

from contextlib import closing

from chapelle.report import runs, summary
from chapelle.run.filing import folder_of, journal_of
from chapelle.settings import Settings
from chapelle.tasks._command import command

_LATEST = 20


@command(name="list", help={"all": "all of them, and not the latest 20 only"})
def list_(_context: object, all: bool = False) -> None:  # noqa: A002
    """List the runs of this installation, the latest first."""
    with closing(journal_of(Settings.load())) as journal:
        records = journal.runs()[: None if all else _LATEST]
        runs.print_runs([journal.result(record.id) for record in records])


@command(help={"run": "the run's id, as runs.list prints it", "json": "print it as JSON"})
def show(_context: object, run: str, json: bool = False) -> None:
    """Show one run: each host, each step, what changed and what failed."""
    settings = Settings.load()
    with closing(journal_of(settings)) as journal:
        result = journal.result(run)
    if json:
        summary.print_json(result)
        return
    report = folder_of(settings, run).report
    runs.print_run(result, report=str(report) if report.exists() else "")
