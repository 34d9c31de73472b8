"""The words of the handover file, `templates/handover.<language>.yml`, and the rules of the house.

The rules are an operator's own: a file of the inventory, with a list in each language.
"""

import datetime
from pathlib import Path

import msgspec

from chapelle.errors import InputError
from chapelle.report.numerals import Numerals

_TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("fr", "en")

type Table = dict[str, str]


class Words(Numerals, frozen=True, kw_only=True):
    """All that the file says in one language; what is in braces is filled in.

    `space` stands before a colon; `first` is the first day of a month.
    """

    title: str
    subtitle: str
    confidential: str
    language: str
    space: str
    date: str
    first: str
    months: tuple[str, ...]
    page: str
    contents: str
    none: str
    free: str
    cover: Table
    racks_in: str
    sections: Table
    intro: Table
    columns: Table
    statuses: Table
    sides: Table
    phases: Table
    uses: Table
    kinds: Table
    roles: Table
    areas: Table
    verdicts: Table
    acceptance: Table
    settings: Table
    not_let: str
    descending: str
    elevation: str
    in_rack: str
    sign: Table

    def day(self, day: datetime.date | None) -> str:
        """A day in words; the empty string for none."""
        if day is None:
            return ""
        number = self.first if day.day == 1 else str(day.day)
        return self.date.format(day=number, month=self.months[day.month - 1], year=day.year)

    def kilowatts(self, watts: float | None) -> str:
        """Watts as kilowatts, with the unit on the same line; the empty string for none."""
        return "" if watts is None else f"{self.number(watts / 1000, 1)}\N{NO-BREAK SPACE}kW"


def languages(text: str) -> tuple[str, ...]:
    """The languages that somebody asks for: one of LANGUAGES, or `both`.

    Raises:
        InputError: it is another.
    """
    if text == "both":
        return LANGUAGES
    if text not in LANGUAGES:
        raise InputError(
            f"There is no language {text!r}.",
            where="--language",
            expected=", ".join((*LANGUAGES, "both")),
            found=repr(text),
        )
    return (text,)


def words(language: str) -> Words:
    """The words of a language, one of LANGUAGES."""
    return msgspec.yaml.decode((_TEMPLATES / f"handover.{language}.yml").read_bytes(), type=Words)


def rules(path: Path) -> dict[str, tuple[str, ...]]:
    """The rules of the house by language.

    Raises:
        InputError: the file cannot be read, or lacks a language.
    """
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=dict[str, tuple[str, ...]])
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(
            "The rules of the house cannot be read.",
            where=str(path),
            expected="a list of rules for each of " + ", ".join(LANGUAGES),
            found=str(error),
        ) from error
    missing = [language for language in LANGUAGES if not found.get(language)]
    if missing:
        raise InputError(
            "The rules of the house lack a language.",
            where=str(path),
            expected="a list of rules for each of " + ", ".join(LANGUAGES),
            found="none for " + ", ".join(missing),
        )
    return found
