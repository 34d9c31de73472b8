"""The task `check`."""

from chapelle.tasks._command import command


@command()
def check(_context: object) -> None:
    """Judge what NetBox says."""
