"""Why the installer stops: it did not want to go on, or it could not."""


class Stop(Exception):  # noqa: N818 - its subclasses say whether it is an error
    """The installation ends here.

    Arguments:
        message: one line: what is wrong.
        expected: what should have been.
        found: what was.
    """

    outcome = "failed"

    def __init__(self, message: str, *, expected: str = "", found: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.found = found


class Refused(Stop):
    """Not the machine, or not the disks, that the order is for; nothing has been written."""

    outcome = "refused"


class Failed(Stop):
    """Something did not work; what was written is of no use, and nothing starts from it."""
