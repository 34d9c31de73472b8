"""Progress where there is no bar: a line for every kind that takes a while."""

from collections.abc import Callable


class Lines:
    """A Progress that tells what is begun; how much of that is done, only a bar can show.

    Arguments:
        say: told one line at a time.
        least: kinds of which there are fewer objects are not mentioned.
    """

    def __init__(self, say: Callable[[str], None], least: int) -> None:
        self._say = say
        self._least = least
        self._kind = ""

    def __call__(self, kind: str, _done: int, total: int) -> None:
        """As Progress: a kind's name, how many of its objects are done, and how many there are."""
        if kind != self._kind and total >= self._least:
            self._kind = kind
            self._say(f"{kind.replace('_', ' ')}: {total}")
