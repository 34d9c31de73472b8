"""Small things that all reports say in the same way: names, counts, times, tables, safe text."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

WIDTH = 80

# How an outcome looks on a terminal. The word itself is always printed: colour only helps.
STYLES = {
    "ok": "green",
    "unchanged": "green",
    "changed": "yellow",
    "applied": "yellow",
    "reverted": "bold red",
    "failed": "bold red",
    "unreachable": "bold magenta",
    "unknown": "bold cyan",
    "pending": "dim",
    "skipped": "dim",
}

BAD_OUTCOMES = ("failed", "unreachable", "unknown", "reverted")

# Control characters could move the reader's cursor or recolour the terminal, and the overrides of
# writing direction make text read as what it is not. Remote hosts choose the text of messages.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, *, multiline: bool = False) -> str:
    """`text` without what could act on a terminal; one line unless `multiline`."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    if not multiline:
        text = " ".join(text.split("\n"))
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 host`, `3 hosts`."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def duration(seconds: float) -> str:
    """A length of time for people: `0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def rough(seconds: float) -> str:
    """A length of time that is only guessed, and so rounded: `20 s`, `2 min`, `1 h 30 min`."""
    if seconds < 55:
        return f"{max(round(seconds / 10) * 10, 10)} s"
    minutes = max(round(seconds / 60), 1)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(time: float) -> str:
    """A point in time (seconds since the epoch) in Paris and in UTC, to the second."""
    there = _in_paris(time)
    if there.tzinfo is UTC:
        return f"{there:%Y-%m-%d %H:%M:%S} UTC"
    return f"{there:%Y-%m-%d %H:%M:%S} Paris ({there.astimezone(UTC):%H:%M:%S} UTC)"


def clock(time: float) -> str:
    """The time of day in Paris of a point in time (seconds since the epoch), as `moment` has it."""
    return f"{_in_paris(time):%H:%M:%S}"


def _in_paris(time: float) -> datetime:
    utc = datetime.fromtimestamp(time, UTC)
    try:
        return utc.astimezone(ZoneInfo("Europe/Paris"))
    except ZoneInfoNotFoundError:  # a machine without the time zone data still gets its report
        return utc


def host_names(names: Iterable[str], limit: int = 4) -> str:
    """Names with runs of numbers joined (`web-01..03, web-07`), and `limit` such parts at most."""
    parts: list[str] = []
    counts: list[int] = []
    for run in _runs(sorted(set(names), key=_natural)):
        parts.append(run[0] if len(run) == 1 else f"{run[0]}..{_split(run[-1])[1]}")
        counts.append(len(run))
    if len(parts) > limit:
        parts[limit:] = [f"and {sum(counts[limit:])} more"]
    return clean(", ".join(parts))


def _split(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)([0-9]*)", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")


def _natural(name: str) -> tuple[str, int, str]:
    stem, digits = _split(name)
    return stem, int(digits or 0), name


def _runs(names: Sequence[str]) -> list[list[str]]:
    runs = [[name] for name in names[:1]]
    for before, name in pairwise(names):
        (stem, digits), (last_stem, last) = _split(name), _split(before)
        follows = digits and last and int(digits) == int(last) + 1
        if stem == last_stem and follows and len(digits) == len(last):
            runs[-1].append(name)
        else:
            runs.append([name])
    return runs


def target_name(target: str) -> str:
    """A target so that nobody takes the lab for the servers."""
    return "lab (twins on one machine, not the servers)" if target == "lab" else target


def wrap(text: str, indent: str = "", width: int = WIDTH) -> list[str]:
    """`text` in lines of `width`, the lines after the first indented.

    Words longer than a line, such as paths and addresses, stay whole so that they can be copied.
    """
    return textwrap.wrap(
        clean(text),
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[str]:
    """Lines of a table with columns two spaces apart, the header first.

    Arguments:
        headers: the columns' names.
        rows: cells, as many in a row as there are headers.
        width: columns of text to stay within, cutting the widest cells; None: cut nothing.
    """
    cells = [[clean(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(headers))]
    if width is not None:
        _shrink(widths, width - 2 * (len(headers) - 1))
    return [
        "  ".join(_fit(cell, wide) for cell, wide in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _shrink(widths: list[int], room: int) -> None:
    while sum(widths) > room and max(widths) > 4:
        widths[widths.index(max(widths))] -= 1


def _fit(cell: str, width: int) -> str:
    if cell_len(cell) > width:
        cell = set_cell_size(cell, width - 1).rstrip() + "\N{HORIZONTAL ELLIPSIS}"
    return set_cell_size(cell, width)


def terminal_width(out: TextIO) -> int | None:
    """Columns of the terminal behind `out`; None for a file or a pipe, which have no width."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if out.isatty() else None


class _Console(Console):
    """A console that falls silent when nobody reads it any more; rich would end the program."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on, so that the program ends with its own exit code."""
        self.quiet = True
        if self.file is sys.stdout:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def console(out: TextIO) -> Console:
    """A rich console that prints what it is given and interprets none of it as markup.

    Characters that the stream's encoding lacks are replaced: a report must not end a run.
    """
    reconfigure = getattr(out, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return _Console(file=out, markup=False, highlight=False, emoji=False)


class Page:
    """Writes lines of text to a stream, coloured where the stream is a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = console(out)

    def line(self, text: str = "", style: str = "") -> None:
        """One line, as it is, however long."""
        self._console.print(Text(clean(text), style=style), soft_wrap=True)

    def paragraph(self, text: str, *, indent: str = "", style: str = "") -> None:
        """Text in lines of at most 80 columns, those after the first indented."""
        for line in wrap(text, indent):
            self.line(line, style)

    def title(self, text: str) -> None:
        """The heading of a section, an empty line before it."""
        self.line()
        self.line(text, "bold")

    def table(
        self, headers: Sequence[str], rows: Sequence[Sequence[str]], *, whole: bool = False
    ) -> None:
        """A table. On a terminal cells are cut to its width, unless `whole`; in a file never."""
        width = None if whole else terminal_width(self._out)
        header, *body = table(headers, rows, width)
        self.line(header, "bold")
        for line in body:
            self.line(line)

    def parts(self, parts: Iterable[tuple[str, str]]) -> None:
        """Several texts, each with its style, in one line with commas between."""
        shown = Text(", ").join(Text(clean(text), style=style) for text, style in parts)
        self._console.print(shown, soft_wrap=True)
