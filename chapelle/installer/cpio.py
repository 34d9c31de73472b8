"""Writes a cpio archive in the kernel's format, `newc`.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

_DIRECTORY, _FILE = 0o040755, 0o100644
_TRAILER = "TRAILER!!!"


def archive(files: Mapping[str, bytes]) -> bytes:
    """An archive of files with the directories that they lie in; all belong to root."""
    parents = {parent for name in files for parent in PurePosixPath(name).parents}
    entries = [(str(path), _DIRECTORY, b"") for path in parents if str(path) != "."]
    entries += [(name, _FILE, content) for name, content in files.items()]
    parts = [_entry(number, *entry) for number, entry in enumerate(sorted(entries), 1)]
    return b"".join(parts) + _entry(0, _TRAILER, 0, b"")


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    # inode, mode, uid, gid, links, mtime, size, device and special device (major, minor), length
    # of the name with its final zero, checksum (none)
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name.encode() + b"\0") + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
