"""Files with secrets: only their owner may read them, or they are not used."""

import os
import stat
from pathlib import Path

from chapelle.errors import InputError, RefusedError


def require_private(path: Path, what: str, remedy: str) -> None:
    """Make sure that nobody else may read a file.

    Arguments:
        path: the file.
        what: is in it, in words.
        remedy: what to do when others may have read it.

    Raises:
        RefusedError: others than its owner may read it, or its owner is not us.
        InputError: it is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            f"The {what} cannot be read.",
            where=str(path),
            expected="a file of ours, mode 0600",
            found=error.strerror or str(error),
            remedy="docs/bmc.md says what is in it",
        ) from error
    if status.st_mode & 0o077 or status.st_uid not in {0, os.geteuid()}:
        raise RefusedError(
            f"The {what} is not private.",
            where=str(path),
            expected=f"mode 0600, owner {os.geteuid()}",
            found=f"mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}",
            remedy=f"chmod 600 {path}; {remedy}",
        )
