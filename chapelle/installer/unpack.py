"""Fetches the root image and unpacks it as it comes; its digest is known when it has ended."""

import contextlib
import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from typing import IO, Self

from chapelle.installer.link import Link
from chapelle.installer.order import Image
from chapelle.installer.partition import TARGET
from chapelle.installer.stop import Failed

Progress = Callable[[int], None]


def unpack(link: Link, image: Image, progress: Progress) -> None:
    """Unpack the image into the new root.

    Nothing can start from it yet: the boot loader is written when the digest is known to be right.

    Arguments:
        link: to the boot service.
        image: which.
        progress: told the percentage, each time it has grown.

    Raises:
        Failed: the image cannot be had, or is not the one ordered.
    """
    with tempfile.TemporaryFile() as errors, _Unpacker(errors) as unpacker:
        found = _feed(link, image, unpacker, progress)
        good = unpacker.finish()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    if found != image.sha256:
        raise Failed(
            "the root image is not the one ordered; nothing starts from these disks",
            expected=f"SHA-256 {image.sha256}",
            found=f"SHA-256 {found}",
        )
    if not good:
        raise Failed("the root image cannot be unpacked", found=said[-1] if said else "")


def _feed(link: Link, image: Image, unpacker: "_Unpacker", progress: Progress) -> str:
    """Hand the image on as it comes; its digest."""
    digest = hashlib.sha256()
    done = shown = 0
    for piece in link.stream(image.path, image.size):
        digest.update(piece)
        unpacker.write(piece)
        done += len(piece)
        if (percent := 100 * done // image.size) > shown:
            shown = percent
            progress(percent)
    return digest.hexdigest()


class _Unpacker:
    """zstd and tar, one behind the other; both end with us.

    Arguments:
        errors: where their complaints go.
    """

    def __init__(self, errors: IO[bytes]) -> None:
        self._broken = False
        self._zstd = subprocess.Popen(
            ["zstd", "--decompress", "--quiet", "--stdout"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        self._tar = subprocess.Popen(
            ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*",
             "--directory", TARGET],
            stdin=self._zstd.stdout, stderr=errors,
        )  # fmt: skip
        assert self._zstd.stdout is not None  # noqa: S101
        self._zstd.stdout.close()  # tar has it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._zstd, self._tar):
            process.kill()
            process.wait()

    def write(self, piece: bytes) -> None:
        """Unpack some more; of what is no image nothing is, and its digest will tell."""
        assert self._zstd.stdin is not None  # noqa: S101
        if not self._broken:
            try:
                self._zstd.stdin.write(piece)
            except BrokenPipeError:
                self._broken = True

    def finish(self) -> bool:
        """Wait until all is unpacked; whether it was."""
        assert self._zstd.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._zstd.stdin.close()
        return not self._broken and self._zstd.wait() == 0 and self._tar.wait() == 0
