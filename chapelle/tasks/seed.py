"""The task `netbox.seed`."""

from contextlib import nullcontext

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from chapelle.errors import ExitCode
from chapelle.netbox import seed as seeding
from chapelle.netbox.seed import KindResult, SeedResult
from chapelle.settings import Settings
from chapelle.tasks._command import command

_SHOWN = 5


@command(
    help={
        "dry-run": "only say what would be written; uses the token that cannot write",
        "adopt": "change objects that have a name of the design and not our tag, and tag them",
    }
)
def seed(_context: object, dry_run: bool = False, adopt: bool = False) -> ExitCode | None:
    """Bring NetBox to what inventory/design says. Deletes nothing; again, it writes nothing.

    What has a name of the design and not our tag is left alone, with all that belongs to it; where
    it differs from the design, that is said, and the exit code is 2.
    """
    settings = Settings.load()
    console = Console(highlight=False)
    with nullcontext() if dry_run else seeding.alone(settings, _say):
        if console.is_terminal:
            result = _with_bar(settings, console, dry_run=dry_run, adopt=adopt)
        else:
            progress = seeding.Lines(_say, least=_SHOWN + 1)
            result = seeding.seed(settings, dry_run=dry_run, adopt=adopt, progress=progress)
    print_result(result, console)
    return ExitCode.BAD_INPUT if result.conflicts else None


def _say(line: str) -> None:
    print(line, flush=True)


def _with_bar(settings: Settings, console: Console, *, dry_run: bool, adopt: bool) -> SeedResult:
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading the design", total=None)

        def progress(kind: str, done: int, total: int) -> None:
            bar.update(task, description=kind.replace("_", " "), completed=done, total=total)

        return seeding.seed(settings, dry_run=dry_run, adopt=adopt, progress=progress)


def print_result(result: SeedResult, console: Console) -> None:
    """Print what was done or would be done, kind by kind, and what was left alone."""
    verb = "would be " if result.dry_run else ""
    for kind in result.kinds:
        _print_kind(kind, verb, console)
    for conflict in result.conflicts:
        console.print(f"in the way: {conflict}", style="red", markup=False)
    console.print(
        f"{result.url}: {result.created} {verb}created, {result.updated} {verb}changed, "
        f"{result.unchanged} as they should be; {result.foreign} others left alone "
        f"({result.reads} reading and {result.writes} writing requests, {result.seconds:.1f} s)",
        markup=False,
        soft_wrap=True,
    )


def _print_kind(kind: KindResult, verb: str, console: Console) -> None:
    what = kind.kind.replace("_", " ")
    for names, done in ((kind.created, "created"), (kind.updated, "changed")):
        if names:
            text = f"{what}: {len(names)} {verb}{done}: {_some(names)}"
            console.print(text, markup=False, soft_wrap=True)
    if kind.stale:
        text = f"{what}: {len(kind.stale)} with our tag are not in the design: {_some(kind.stale)}"
        console.print(text, style="yellow", markup=False, soft_wrap=True)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
