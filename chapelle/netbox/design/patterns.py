"""The three small notations of design files: number ranges, name ranges, and patterns.

| notation | example | means |
|---|---|---|
| numbers | `1-6`, `1,4`, `7` | whole numbers, ends included |
| names | `eno[1-2]`, `outlet-[01-24]` | one name a number, leading zeros kept |
| pattern | `A{aisle}-R{rack:02d}` | a Python format string over the names that the place offers |
"""

import re
import string

NUMBERS = r"^\d{1,6}(-\d{1,6})?(,\d{1,6}(-\d{1,6})?)*$"
_NAME_RANGE = re.compile(r"\[(\d+)-(\d+)\]")
_LARGEST = 10_000


class PatternError(ValueError):
    """A notation that cannot be read; the text says what was expected."""


def numbers(text: int | str) -> list[int]:
    """The numbers that `text` stands for, in its order.

    Raises:
        PatternError: it is no range, runs backwards, is huge, or names a number twice.
    """
    found: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part.strip())
        if match is None:
            raise PatternError(f"expected numbers such as 1-6 or 1,4, found {str(text)!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > _LARGEST:
            raise PatternError(f"expected a range from low to high, found {part.strip()!r}")
        found += range(first, last + 1)
    if len(set(found)) != len(found):
        raise PatternError(f"expected each number once, found {str(text)!r}")
    return found


def names(text: str) -> list[str]:
    """The names that `text` stands for: itself, or one for each number of its `[first-last]`.

    Raises:
        PatternError: the range runs backwards or is huge.
    """
    match = _NAME_RANGE.search(text)
    if match is None:
        return [text]
    first, last, width = int(match[1]), int(match[2]), len(match[1])
    if last < first or last - first > _LARGEST:
        raise PatternError(f"expected a range from low to high, found {match[0]!r}")
    head, tail = text[: match.start()], text[match.end() :]
    return [f"{head}{number:0{width}d}{tail}" for number in range(first, last + 1)]


def render(pattern: str, **values: int | str) -> str:
    """The pattern with its names filled in.

    Raises:
        PatternError: the pattern is malformed or uses a name that is not offered here.
    """
    offered = ", ".join(f"{{{name}}}" for name in values)
    try:
        used = {field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None}
        if used <= values.keys():
            return pattern.format(**values)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise PatternError(f"expected a pattern over {offered}, found {pattern!r}") from error
    strange = ", ".join(f"{{{name}}}" for name in sorted(used - values.keys()))
    raise PatternError(f"expected only {offered} in {pattern!r}, found {strange}")


def uses(pattern: str, name: str) -> bool:
    """Whether the pattern contains `{name}`."""
    return re.search(r"\{" + re.escape(name) + r"[:}]", pattern) is not None
