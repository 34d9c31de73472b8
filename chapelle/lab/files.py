"""Files and locks of the lab: replaced atomically, private by default, locked while in use."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chapelle.errors import RefusedError


def write(path: Path, data: str | bytes, mode: int = 0o600) -> None:
    """Replace a file atomically; it has its mode before it has its content."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data.encode() if isinstance(data, str) else data)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def directory(path: Path) -> Path:
    """Make a directory that only its owner may enter, with its parents."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock on a file; `waiting` is called once if another process has it.

    The kernel releases the lock when its owner ends, in whatever way.
    """
    directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def require_space(path: Path, needed: int, purpose: str) -> None:
    """Check that the file system of `path` has `needed` bytes free.

    Raises:
        RefusedError: it has not.
    """
    free = shutil.disk_usage(path).free
    if free < needed:
        raise RefusedError(
            f"There is not enough disk space for {purpose}.",
            where=str(path),
            expected=f"{needed / 1e9:.1f} GB free",
            found=f"{free / 1e9:.1f} GB free",
            remedy="free some space, or set CHAPELLE_STATE and CHAPELLE_CACHE to another disk",
        )
