"""Tasks of maintenance: windows in which elements are out, planned, opened and closed in NetBox."""

from pathlib import Path
from typing import TYPE_CHECKING

from chapelle.errors import ExitCode
from chapelle.settings import Settings
from chapelle.tasks._command import command, confirm
from chapelle.tasks._terminal import Terminal
from chapelle.tasks.snapshot import print_json, print_lines

if TYPE_CHECKING:
    from chapelle.model.maintenance import Verdict
    from chapelle.model.resilience import Window


@command(
    help={
        "elements": "what is taken out, with commas between: names of sources, panels, feeds, "
        "devices, racks, bundles, slugs of aisles, or cable:ID",
        "starts": "when, such as 2026-12-03T08:00 (time of the site) or 2026-12-03T08:00+01:00",
        "ends": "until when, in the same way",
        "reason": "what is done",
        "owner": "whose window it is (default: you, on this machine)",
        "zone": "the time zone of --starts and --ends (default: the site's in NetBox, else "
        "Europe/Paris)",
        "dry-run": "plan nothing; say what the window would do",
        "json": "print the window and what it does as one JSON document",
    }
)
def plan(
    _context: object,
    *,
    elements: str,
    starts: str,
    ends: str,
    reason: str,
    owner: str | None = None,
    zone: str | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Plan a maintenance window, unless something would be lost or overloaded (exit code 3).

    What counts is all that is out at one time: these elements, other windows that are planned or
    open then, and what is failed or offline in NetBox now.
    """
    from chapelle.report import maintenance as report
    from chapelle.run import maintenance

    wish = maintenance.Wish(
        elements=elements, starts=starts, ends=ends, reason=reason, owner=owner, zone=zone
    )
    terminal = Terminal(json=json)
    try:
        verdict = maintenance.plan(Settings.load(), wish, terminal.say, dry_run=dry_run)
    except maintenance.HarmError as error:
        _print_harm(error.verdict, json=json)
        raise
    if json:
        print_json(report.verdict_document(verdict))
    else:
        print_lines([*report.window_lines(verdict.window), *report.verdict_lines(verdict)])


@command(help={"window": "a window's id (default: all)", "json": "print one JSON document"})
def check(_context: object, window: str | None = None, json: bool = False) -> ExitCode:
    """Judge windows again, with what is out now: exit code 99 on any conflict.

    Windows that lose something, alone or together; that are open past their end; that name what is
    no longer there.
    """
    from chapelle.report import content
    from chapelle.report import maintenance as report
    from chapelle.run import maintenance

    found = maintenance.check(Settings.load(), window, Terminal(json=json).say)
    if json:
        verdict = report.verdict_document(found.verdict) if found.verdict else None
        print_json({"verdict": verdict, "findings": found.findings})
    else:
        if found.verdict:
            lines = report.window_lines(found.verdict.window)
            print_lines([*lines, *report.verdict_lines(found.verdict), ""])
        print_lines(content.finding_lines(found.findings, found.netbox_url))
    harmless = found.verdict is None or found.verdict.harmless
    return ExitCode.OK if harmless and not found.findings else ExitCode.FINDINGS


@command(
    name="list",
    help={
        "all": "closed ones and those that are over, too",
        "json": "print one JSON document",
    },
)
def list_(_context: object, all: bool = False, json: bool = False) -> None:  # noqa: A002
    """List the maintenance windows in NetBox by their start."""
    from chapelle.report import maintenance as report
    from chapelle.run import maintenance

    windows, now = maintenance.listed(Settings.load(), every=all)
    if json:
        print_json([report.window_document(window, now) for window in windows])
    else:
        print_lines(report.list_lines(windows, now))


@command(
    name="open",
    help={
        "window": "the window's id",
        "yes": "do not ask",
        "early": "open it before its start, for this reason",
        "json": "print one JSON document",
    },
)
def open_(
    _context: object,
    window: str,
    yes: bool = False,
    early: str | None = None,
    json: bool = False,
) -> None:
    """Open a window: from now on its elements may be taken out, and runs keep out of its aisles.

    Judged again with what is out now. Refused outside its times (3), when something would be lost
    or overloaded (3), and while a run is at work in one of the aisles (4). Takes the aisles' locks
    until it is closed, at most until its end. When it was cut short, the same command finishes it.
    """
    from chapelle.run import maintenance

    def ask(asked: "Window", aisles: tuple[str, ...]) -> None:
        if yes:
            return
        names = ", ".join(ref.name for ref in asked.elements)
        terminal.say(f"{asked.id} takes out: {names}")
        terminal.say(f"no run will work in: {', '.join(aisles) or 'no aisle'}")
        confirm("Open it?")

    terminal = Terminal(json=json, yes=yes)
    try:
        opened, aisles = maintenance.open_(Settings.load(), window, ask, terminal.say, early=early)
    except maintenance.HarmError as error:
        _print_harm(error.verdict, json=json)
        raise
    _print_state(opened, aisles, "locked", json=json)


@command(help={"window": "the window's id", "json": "print one JSON document"})
def close(_context: object, window: str, json: bool = False) -> None:
    """Close a window: its elements work again, or it does not take place. Also past its end.

    Gives up the aisles' locks. When it was cut short, the same command finishes it.
    """
    from chapelle.run import maintenance

    closed, aisles = maintenance.close(Settings.load(), window, Terminal(json=json).say)
    _print_state(closed, aisles, "unlocked", json=json)


@command(
    help={
        "window": "the window's id",
        "out": "write four files for each tenant into this directory (default: print the texts)",
    }
)
def notice(_context: object, window: str, out: str | None = None) -> None:
    """What each tenant that a window touches should be told, in French and in English.

    A notice names the tenant's own devices, racks and feeds only, and not the reason.
    """
    from chapelle import files
    from chapelle.report import notice as report
    from chapelle.report.notice_words import LANGUAGES
    from chapelle.run import maintenance

    notices = maintenance.notices(Settings.load(), window, Terminal(json=False).say)
    if out is None:
        texts = [report.text(each, language) for each in notices for language in LANGUAGES]
        print_lines(f"{'=' * 80}\n\n{text}" for text in texts)
        return
    folder = Path(out).expanduser()
    files.directory(folder)
    for each in notices:
        for name, content in report.files(each):
            files.write(folder / name, content)
            print_lines([str(folder / name)])


def _print_harm(verdict: "Verdict", *, json: bool) -> None:
    from chapelle.report import maintenance as report

    if json:
        print_json(report.verdict_document(verdict))
    else:
        print_lines(report.verdict_lines(verdict))


def _print_state(window: "Window", aisles: tuple[str, ...], what: str, *, json: bool) -> None:
    from chapelle.report import maintenance as report

    if json:
        print_json({"window": window, what: aisles})
    else:
        print_lines([*report.window_lines(window), f"  {what + ':':<10}{', '.join(aisles) or '-'}"])
