"""A problem of a file, and the error that carries all of them."""

from collections.abc import Sequence

import msgspec

from chapelle.errors import InputError

_SHOWN = 25


class Problem(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong: the file, the path in it, what was expected and what was found."""

    file: str
    path: str
    expected: str
    found: str
    line: int | None = None

    @property
    def where(self) -> str:
        """File, path and line, as `racks.yml: racks[0].u_height (line 12)`."""
        place = f"{self.file}: {self.path}" if self.path else self.file
        by_line = self.line is not None and not self.path.startswith("line ")
        return f"{place} (line {self.line})" if by_line else place


class ProblemsError(InputError):
    """What people wrote is wrong (exit 2). `problems` are all that were found.

    Arguments:
        what: what they wrote, such as "The design".
        problems: at least one.
        remedy: what to do.
    """

    def __init__(self, what: str, problems: Sequence[Problem], remedy: str) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(
                f"{what} has a mistake.",
                where=only.where,
                expected=only.expected,
                found=only.found,
                remedy=remedy,
            )
            return
        lines = [
            f"  {p.where}\n      expected {p.expected}\n      found    {p.found}"
            for p in self.problems[:_SHOWN]
        ]
        if len(self.problems) > _SHOWN:
            lines.append(f"  and {len(self.problems) - _SHOWN} more")
        listed = "\n".join(lines)
        super().__init__(f"{what} has {len(self.problems)} mistakes:\n{listed}", remedy=remedy)
