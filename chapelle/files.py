"""How files are written and locked: replaced at one stroke, private by default, on the disk.

A full disk is an error of ours, with what to do, wherever it happens.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from chapelle.errors import ChapelleError, RefusedError

MIB = 1 << 20

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write(path: Path, data: str | bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Replace a file at one stroke; it has its mode before it has its content.

    Arguments:
        path: the file, in a directory that is there.
        data: the whole content.
        mode: its permissions; by default only its owner may read it.
        durable: wait until the content is on the disk, so that the file is whole after a crash of
            the machine, too.

    Raises:
        ChapelleError: the disk is full, or the directory is missing or not ours to write.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    content = data.encode() if isinstance(data, str) else data
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(error, path) from error
        raise


def unwritable(error: OSError, path: Path) -> ChapelleError:
    """The error to raise when something at `path` cannot be written."""
    full = error.errno in _FULL
    return ChapelleError(
        "A file cannot be written.",
        where=str(path),
        expected="space left on its disk" if full else "a directory of ours that can be written to",
        found=error.strerror or str(error),
        remedy="free some space and run the same command again" if full else None,
    )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate a disk that is full or cannot be written to into one clear error.

    For what others write below `path`; `write` does it by itself.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {*_FULL, errno.EROFS}:
            raise
        raise unwritable(error, Path(error.filename or path)) from error


def require_space(path: Path, needed: int, purpose: str) -> None:
    """Make sure that the file system of `path` has `needed` bytes free.

    Raises:
        RefusedError: it has not.
    """
    free = shutil.disk_usage(path).free
    if free < needed:
        raise RefusedError(
            f"There is not enough disk space for {purpose}.",
            where=str(path),
            expected=f"{needed // MIB} MiB free",
            found=f"{free // MIB} MiB free",
            remedy="free some space, or set CHAPELLE_STATE and CHAPELLE_CACHE to another disk",
        )


def directory(path: Path) -> Path:
    """Make a directory that only its owner may enter, with its parents."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock on a file; `waiting` is called once if another process has it.

    The kernel releases the lock when its owner ends, in whatever way (flock(2)). The file stays:
    whoever removed it would let a second owner in, beside one that waits for the old file.
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
