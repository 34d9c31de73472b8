"""A run as it happens: a table that moves on a terminal, plain lines for logs, or JSON Lines.

Displays follow `model.outcome.Event` and nothing else. A display must never end a run: when its
stream is gone (a closed terminal, a pipe nobody reads), it falls silent.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TextIO

import msgspec
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chapelle.errors import InputError
from chapelle.model.outcome import STEPS, Event
from chapelle.report.progress import Progress, RackLine
from chapelle.report.text import (
    BAD_OUTCOMES,
    STYLES,
    clean,
    clock,
    console,
    duration,
    plural,
    rough,
    wrap,
)

MODES = ("live", "plain", "json")

# What the table needs besides its racks: title, counts, header, note, and a line left free.
_LINES_AROUND_RACKS = 6


class _Display(Protocol):
    def see(self, event: Event) -> None: ...


def choose_mode(*, json: bool = False, out: TextIO | None = None) -> str:
    """The mode that suits the stream (standard output if None): live only where a person looks."""
    if json:
        return "json"
    stream = out or sys.stdout
    return "live" if stream.isatty() and os.environ.get("TERM") != "dumb" else "plain"


@contextlib.contextmanager
def display(
    mode: str,
    hosts: Mapping[str, str],
    out: TextIO | None = None,
    *,
    steps: Sequence[str] = STEPS,
    expected_seconds: float | None = None,
) -> Iterator[Callable[[Event], None]]:
    """Show a run while the context lasts.

    Arguments:
        mode: one of MODES; see `choose_mode`. With `json`, events are all that is printed.
        hosts: name and rack of every host of the run, in the order in which racks are shown.
        out: where to, standard output if None.
        steps: the steps of this run; drift has no write-back.
        expected_seconds: how long such a run took before, for a first guess at its end.

    Yields:
        What to call with each event, from any thread.

    Raises:
        InputError: there is no such mode.
    """
    stream = out or sys.stdout
    lock = threading.Lock()
    lost = False
    with _open(mode, Progress(hosts, steps, expected_seconds), stream) as shown:

        def see(event: Event) -> None:
            nonlocal lost
            with lock:
                try:
                    if not lost:
                        shown.see(event)
                except (OSError, ValueError):  # ValueError: the stream was closed
                    lost = True

        yield see


@contextlib.contextmanager
def _open(mode: str, progress: Progress, out: TextIO) -> Iterator[_Display]:
    if mode == "json":
        yield _Json(out)
    elif mode == "plain":
        yield _Plain(progress, out)
    elif mode == "live":
        screen = console(out)
        shown = _Terminal(progress, screen)
        live = Live(
            shown,
            console=screen,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=out is sys.stdout,
            redirect_stderr=out is sys.stdout,
            vertical_overflow="crop",
        )
        with contextlib.suppress(OSError):
            live.start()
        try:
            yield shown
        finally:
            with contextlib.suppress(OSError, ValueError):
                live.stop()
    else:
        raise InputError("There is no such display.", expected=" or ".join(MODES), found=repr(mode))


class _Json:
    """One JSON object a line, the fields those of Event."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def see(self, event: Event) -> None:
        self._out.write(msgspec.json.encode(event).decode() + "\n")
        self._out.flush()


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes}:{rest:02}"


def _counts(progress: Progress) -> str:
    return ", ".join(f"{count} {progress.word(name)}" for name, count in progress.counts().items())


def _place(progress: Progress, host: str) -> str:
    """`web-01 (A2-R01)`, or the bare name of a host that the run does not know."""
    rack = progress.hosts.get(host)
    return f"{host} ({rack})" if rack else host


class _Plain:
    """Lines that stay: `TIME WORD ...`, the word one of run, batch, host, failed, stopped, note.

    `failed` lines carry the outcome (failed, unreachable, unknown) after the step. Messages that
    need more lines continue in lines that begin with spaces.
    """

    def __init__(self, progress: Progress, out: TextIO) -> None:
        self._progress = progress
        self._out = out
        reconfigure = getattr(out, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")

    def see(self, event: Event) -> None:
        self._progress.see(event)
        text = self._text(event)
        if text:
            lines = wrap(f"{clock(event.time)} {text}", " " * 9)
            self._out.write("\n".join(lines) + "\n")
            self._out.flush()

    def _text(self, event: Event) -> str:
        progress = self._progress
        place = _place(progress, event.host)
        message = f": {event.message}" if event.message else ""
        text = ""
        match event.kind:
            case "run-started":
                racks = plural(len(progress.racks), "rack")
                text = f"run started, {plural(len(progress.hosts), 'host')} in {racks}{message}"
            case "batch-started":
                text = f"batch {event.batch} started{message}"
            case "batch-finished":
                left = progress.remaining(event.time)
                guess = f"; about {rough(left)} left" if left else ""
                text = f"batch {event.batch} finished: {_counts(progress)}{guess}"
            case "step-finished" if event.outcome in BAD_OUTCOMES:
                text = f"failed {place} {event.step} {event.outcome}{message}"
            case "host-finished":
                text = f"host {place} {progress.word(event.outcome)}"
            case "run-stopped":
                text = f"stopped{message}"
            case "run-finished":
                took = duration(event.time - (progress.started or event.time))
                text = f"run finished after {took}: {_counts(progress)}"
            case "note":
                text = f"note{message}"
        return text


class _Terminal:
    """The moving table, with failures and notes printed above it as they come."""

    def __init__(self, progress: Progress, screen: Console) -> None:
        self._progress = progress
        self._screen = screen
        self._lock = threading.Lock()

    def see(self, event: Event) -> None:
        with self._lock:
            self._progress.see(event)
        place = _place(self._progress, event.host)
        if event.kind == "step-finished" and event.outcome in BAD_OUTCOMES:
            self._above(
                f"{event.outcome:<11} {place} {event.step}: {event.message}", STYLES[event.outcome]
            )
        elif event.kind == "run-stopped":
            self._above(f"stopped: {event.message}", "bold red")

    def _above(self, text: str, style: str) -> None:
        self._screen.print(Text(clean(text), style=style))

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the state of this moment; the refreshing thread of rich calls this."""
        now = time.time()
        with self._lock:
            racks = fit(self._progress.racks, options.size.height - _LINES_AROUND_RACKS)
            yield Group(
                self._headline(now),
                self._outcomes(),
                _rack_table(racks, self._progress.steps),
                Text(clean(self._progress.note), style="dim", no_wrap=True, overflow="ellipsis"),
            )

    def _headline(self, now: float) -> Text:
        progress = self._progress
        parts = [f"{progress.finished} of {plural(len(progress.hosts), 'host')}"]
        if progress.batch:
            parts.insert(0, f"batch {progress.batch}")
        if progress.started is not None:
            parts.append(f"{_elapsed(now - progress.started)} elapsed")
        left = progress.remaining(now)
        parts.append(f"about {rough(left)} left" if left else "")
        line = "   ".join(part for part in parts if part)
        return Text(line, style="bold", no_wrap=True, overflow="ellipsis")

    def _outcomes(self) -> Text:
        counts = self._progress.counts()
        shown = [
            Text(f"{count} {self._progress.word(name)}", style=STYLES[name])
            for name, count in counts.items()
        ]
        return Text("   ", no_wrap=True, overflow="ellipsis").join(shown)


def fit(racks: Mapping[str, RackLine], lines: int) -> list[RackLine]:
    """The racks in at most `lines` lines (two at least).

    Where there are too many, racks in which all is over, and those whose turn is to come, become
    one line each; the racks in which something happens stay on their own as far as they fit.
    """
    lines = max(lines, 2)
    if len(racks) <= lines:
        return list(racks.values())
    working = [rack for rack in racks.values() if rack.state == "working"]
    others = [rack for rack in racks.values() if rack.state != "working"]
    finished = _together([r for r in others if r.state == "finished"], "done")
    waiting = _together([r for r in others if r.state == "waiting"], "waiting")
    room = lines - len(finished) - len(waiting)
    if len(working) > room:
        working[max(room - 1, 0) :] = _together(working[max(room - 1, 0) :], "more")
    return ([*finished, *working, *waiting])[:lines]


def _together(racks: list[RackLine], word: str) -> list[RackLine]:
    if not racks:
        return []
    total = RackLine(name=f"{plural(len(racks), 'rack')} {word}")
    for rack in racks:
        total.add(rack)
    return [total]


def _rack_table(racks: list[RackLine], steps: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rack", min_width=10, no_wrap=True, overflow="ellipsis")
    table.add_column("hosts", justify="right", no_wrap=True)
    for step in steps:
        table.add_column(step, justify="right", min_width=10, no_wrap=True)
    table.add_column("failed", justify="right", no_wrap=True)
    for rack in racks:
        failed = sum(rack.outcomes[name] for name in BAD_OUTCOMES)
        table.add_row(
            Text(clean(rack.name)),
            f"{rack.finished}/{rack.hosts}",
            *(_step_cell(rack, step) for step in steps),
            Text(str(failed), style="bold red") if failed else Text("-", style="dim"),
        )
    return table


def _step_cell(rack: RackLine, step: str) -> Text:
    """How many hosts have the step behind them, and with a plus how many are at it."""
    done, running = rack.done[step], rack.running[step]
    if running:
        return Text(f"{done} +{running}" if done else f"+{running}", style="cyan")
    if done:
        return Text(str(done), style="green" if done == rack.hosts else "")
    return Text("-", style="dim")
