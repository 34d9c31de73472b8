"""A problem of a design, and the error that carries all of them."""

from collections.abc import Sequence

from chapelle.strict.problems import Problem, ProblemsError

__all__ = ["DesignError", "Problem"]

_REMEDY = "correct the file, then run the command again; nothing was sent to NetBox"


class DesignError(ProblemsError):
    """The design is wrong (exit 2). `problems` are all that were found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("The design", problems, _REMEDY)
