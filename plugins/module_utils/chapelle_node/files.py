"""Files, directories, links: compared, staged, validated, then replaced by atomic renames.

All files of all roles are staged and validated before the first is replaced, so an invalid file or
a full disk leaves the host as it was.
"""

import errno
import os
import stat
from collections.abc import Mapping
from typing import Any

from . import changes as c
from .system import NodeError, System

Desired = Mapping[str, Any]


class Plan:
    """What has to be done to the file system, in order, and how to describe it."""

    def __init__(self) -> None:
        self.directories: list[tuple[str, Desired]] = []
        self.files: list[tuple[str, Desired]] = []
        self.links: list[tuple[str, Desired]] = []
        self.removals: list[tuple[str, str]] = []
        self.changes: list[c.Change] = []

    @property
    def paths(self) -> set[str]:
        """Every path that changes."""
        return {change["item"] for change in self.changes}


def plan(system: System, roles: Mapping[str, Desired]) -> Plan:
    """Compare what the roles want with what is there; nothing is changed.

    Raises:
        NodeError: a directory stands where a file should be.
    """
    found = Plan()
    for role, state in roles.items():
        wanted = _wanted_paths(state)
        for entry in state.get("directories", ()):
            _plan_directory(system, found, role, entry, wanted)
        for entry in state.get("files", ()):
            _plan_file(system, found, role, entry)
        for entry in state.get("links", ()):
            _plan_link(system, found, role, entry)
        for path in state.get("absent", ()):
            if os.path.lexists(system.path(path)):
                _plan_removal(system, found, role, path)
    return found


def _wanted_paths(state: Desired) -> set[str]:
    return {entry["path"] for kind in ("files", "links") for entry in state.get(kind, ())}


def _plan_directory(
    system: System, found: Plan, role: str, entry: Desired, wanted: set[str]
) -> None:
    path = entry["path"]
    current = _attributes(system, path)
    after = _wanted_attributes(entry, "0755")
    if current is None or not stat.S_ISDIR(current.st_mode) or _shown(current) != after:
        before = _shown(current) if current else "absent"
        found.directories.append((role, entry))
        found.changes.append(c.change(role, "directory", path, before=before, after=after))
    if not entry.get("exclusive") or current is None:
        return
    kept = set(entry.get("kept", ()))
    for name in sorted(os.listdir(system.path(path))):
        item = os.path.join(path, name)
        if item not in wanted and name not in kept and not _is_packaged(system, item):
            _plan_removal(system, found, role, item)


def _is_packaged(system: System, path: str) -> bool:
    """Whether a Debian package brought the file (dpkg keeps a list of files a package)."""
    folder = system.path("/var/lib/dpkg/info")
    if not os.path.isdir(folder):
        return False
    needle = f"\n{path}\n".encode()
    for name in os.listdir(folder):
        if name.endswith(".list"):
            with open(os.path.join(folder, name), "rb") as file:
                if needle in b"\n" + file.read():
                    return True
    return False


def _plan_file(system: System, found: Plan, role: str, entry: Desired) -> None:
    path = entry["path"]
    current = _attributes(system, path)
    if current and stat.S_ISDIR(current.st_mode):
        raise NodeError(
            "A directory stands where a file should be.",
            phase="files",
            role=role,
            item=path,
            expected="a file, or nothing",
            found="a directory",
            remedy="look into it, and move it away",
        )
    regular = current is not None and stat.S_ISREG(current.st_mode)
    content = system.read(path) if regular else None
    after = _wanted_attributes(entry, "0644")
    before = _shown(current) if current else "absent"
    if content == entry["content"] and before == after:
        return
    if entry.get("sensitive"):
        diff = c.HIDDEN if content != entry["content"] else ""
    else:
        diff = c.text_diff(path, content or "", entry["content"])
    found.files.append((role, entry))
    found.changes.append(c.change(role, "file", path, before=before, after=after, diff=diff))


def _plan_link(system: System, found: Plan, role: str, entry: Desired) -> None:
    path, target = entry["path"], entry["target"]
    here = system.path(path)
    if os.path.islink(here):
        before = f"-> {os.readlink(here)}"
    else:
        before = "a file" if os.path.lexists(here) else "absent"
    if before == f"-> {target}":
        return
    found.links.append((role, entry))
    found.changes.append(c.change(role, "link", path, before=before, after=f"-> {target}"))


def _plan_removal(system: System, found: Plan, role: str, path: str) -> None:
    current = _attributes(system, path)
    if current and stat.S_ISDIR(current.st_mode):
        raise NodeError(
            "A directory stands where nothing should be; directories are never removed.",
            phase="files",
            role=role,
            item=path,
            expected="nothing, or a file",
            found="a directory",
            remedy="look into it, and remove it by hand",
        )
    before = _shown(current) if current else "present"
    found.removals.append((role, path))
    found.changes.append(c.change(role, "file", path, before=before, after="absent"))


def _attributes(system: System, path: str) -> os.stat_result | None:
    try:
        return os.lstat(system.path(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _shown(current: os.stat_result) -> str:
    if stat.S_ISLNK(current.st_mode):
        return "a link"
    owner, group = _name(current.st_uid, "owner"), _name(current.st_gid, "group")
    return f"{stat.S_IMODE(current.st_mode):04o} {owner}:{group}"


def _wanted_attributes(entry: Desired, mode: str) -> str:
    owner, group = (
        _name(int(name), kind) if name.isdecimal() else name
        for kind, name in ((kind, entry.get(kind, "root")) for kind in ("owner", "group"))
    )
    return f"{entry.get('mode', mode)} {owner}:{group}"


def _name(number: int, kind: str) -> str:
    if number == 0:
        return "root"
    import grp  # few hosts need these two
    import pwd

    try:
        return pwd.getpwuid(number).pw_name if kind == "owner" else grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _number(name: str, kind: str) -> int:
    if name == "root":
        return 0
    if name.isdecimal():
        return int(name)
    import grp
    import pwd

    return pwd.getpwnam(name).pw_uid if kind == "owner" else grp.getgrnam(name).gr_gid


class Stage:
    """New files beside the old ones, not yet in their place. Use as a context manager: whatever has
    not been put in place at its end is removed. `staged` says where the new file of a path is."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.staged: dict[str, str] = {}
        self._made: list[str] = []
        self._complete = False

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        for staged in self.staged.values():
            if os.path.lexists(staged):
                os.unlink(staged)
        if not self._complete:
            for folder in reversed(self._made):
                try:
                    os.rmdir(folder)
                except OSError:
                    continue  # somebody else has put something into it

    def add(self, planned: Plan) -> None:
        """Write all new content and make all directories.

        Raises:
            NodeError: no space left, a read-only file system, or an owner that does not exist.
        """
        for role, entry in planned.directories:
            with reported(role, entry["path"]):
                self._make_directory(entry["path"])
        for role, entry in planned.files:
            with reported(role, entry["path"]):
                self._write(entry)
        for role, entry in planned.links:
            with reported(role, entry["path"]):
                staged = self._name(entry["path"])
                os.symlink(entry["target"], staged)
                self.staged[entry["path"]] = staged

    def commit(self, planned: Plan) -> None:
        """Put everything in its place, one rename each, then remove what has to go.

        Raises:
            NodeError: the file system refuses; the item is named.
        """
        for role, entry in planned.directories:
            with reported(role, entry["path"]):
                self._set_attributes(self.system.path(entry["path"]), entry, "0755")
        for role, entry in [*planned.files, *planned.links]:
            with reported(role, entry["path"]):
                os.replace(self.staged.pop(entry["path"]), self.system.path(entry["path"]))
        for role, path in planned.removals:
            with reported(role, path):
                os.unlink(self.system.path(path))
        self._complete = True

    def _name(self, path: str) -> str:
        self._make_directory(os.path.dirname(path))
        here = self.system.path(path)
        staged = os.path.join(os.path.dirname(here), f".{os.path.basename(here)}.chapelle-new")
        if os.path.lexists(staged):  # left by a run that was killed
            os.unlink(staged)
        return staged

    def _make_directory(self, path: str) -> None:
        here = self.system.path(path)
        missing = []
        while not os.path.isdir(here):
            missing.append(here)
            here = os.path.dirname(here)
        for folder in reversed(missing):
            os.mkdir(folder, 0o755)
            self._made.append(folder)

    def _write(self, entry: Desired) -> None:
        staged = self._name(entry["path"])
        self.staged[entry["path"]] = staged
        write_new(staged, entry["content"])
        self._set_attributes(staged, entry, "0644")

    @staticmethod
    def _set_attributes(here: str, entry: Desired, mode: str) -> None:
        owner = _number(entry.get("owner", "root"), "owner")
        group = _number(entry.get("group", "root"), "group")
        os.chown(here, owner, group)
        os.chmod(here, int(entry.get("mode", mode), 8))


def write_new(path: str, content: str) -> None:
    """Write a file that must not exist yet, readable by its owner only."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class reported:
    """Turns what the operating system refuses into an error that names role and item."""

    def __init__(self, role: str, item: str) -> None:
        self.role = role
        self.item = item

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError):
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise NodeError(
                "No space is left on the host." if full else "A file could not be written.",
                phase="files",
                role=self.role,
                item=self.item,
                found=error.strerror or str(error),
                remedy="free space on the host, then run again" if full else "",
            ) from error
        if isinstance(error, KeyError):
            raise NodeError(
                "A file's owner or group does not exist.",
                phase="files",
                role=self.role,
                item=self.item,
                found=str(error),
            ) from error
