"""Files and locks of the lab: as everywhere, but not waited for until they are on the disk.

A lab has several for each of hundreds of nodes, and is made anew when the machine has crashed.
"""

from pathlib import Path

from chapelle import files
from chapelle.files import directory, locked, require_space

__all__ = ["directory", "locked", "require_space", "write"]


def write(path: Path, data: str | bytes, mode: int = 0o600) -> None:
    """As `chapelle.files.write`.

    Raises:
        ChapelleError: the disk is full, or the directory is missing or not ours to write.
    """
    files.write(path, data, mode, durable=False)
