"""Fetches the root image and unpacks it as it comes; its digest is known when it has ended."""

import hashlib
import subprocess
from collections.abc import Callable

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
    digest = hashlib.sha256()
    done = shown = 0
    # tar reads what zstd writes; both end when their input does.
    with (
        subprocess.Popen(
            ["zstd", "--decompress", "--quiet", "--stdout"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as zstd,
        subprocess.Popen(
            ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*",
             "--directory", TARGET],
            stdin=zstd.stdout, stderr=subprocess.PIPE,
        ) as tar,
    ):  # fmt: skip
        assert zstd.stdin is not None  # noqa: S101
        assert zstd.stdout is not None  # noqa: S101
        zstd.stdout.close()
        broken = False
        for piece in link.stream(image.path, image.size):
            digest.update(piece)
            done += len(piece)
            if not broken:
                try:
                    zstd.stdin.write(piece)
                except BrokenPipeError:  # no image; the digest will say so
                    broken = True
            if (percent := 100 * done // image.size) > shown:
                shown = percent
                progress(percent)
        try:
            zstd.stdin.close()
        except BrokenPipeError:
            broken = True
        said = tar.communicate()[1].decode(errors="replace").strip()
    if digest.hexdigest() != image.sha256:
        raise Failed(
            "the root image is not the one ordered; nothing starts from these disks",
            expected=f"SHA-256 {image.sha256}",
            found=f"SHA-256 {digest.hexdigest()}",
        )
    if broken or zstd.returncode or tar.returncode:
        raise Failed(
            "the root image cannot be unpacked", found=said.splitlines()[-1] if said else ""
        )
