"""Which code a run is made with: git's commit, and a hash of what is not committed."""

import hashlib
import subprocess
from pathlib import Path

from chapelle.errors import InputError


def commit(root: Path) -> str:
    """The commit of the clone at `root`; with uncommitted work, `+` and 12 digits of its hash.

    Raises:
        InputError: there is no git clone, or git cannot read it.
    """
    head = _git(root, "rev-parse", "HEAD").decode().strip()
    changes = _git(root, "diff", "HEAD", "--binary", "--no-ext-diff")
    unknown = _git(root, "ls-files", "--others", "--exclude-standard", "-z")
    if not changes and not unknown:
        return head
    digest = hashlib.sha256(changes)
    for name in filter(None, unknown.split(b"\0")):
        path = root / name.decode(errors="surrogateescape")
        digest.update(name + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return f"{head}+{digest.hexdigest()[:12]}"


def short(commit: str) -> str:
    """A commit for people to read; that there was uncommitted work is not cut off."""
    head, plus, changes = commit.partition("+")
    return head[:12] + plus + changes


def _git(root: Path, *arguments: str) -> bytes:
    # A clone that another user owns (a root shell, a mounted folder) is read all the same.
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode(errors="replace") if hasattr(error, "stderr") else str(error)
        raise InputError(
            "A run names the commit that it is made with, and there is none.",
            where=str(root),
            expected="a git clone with at least one commit",
            found=said.strip() or "git failed",
            remedy="clone the repository with git, and install git",
        ) from error
    return done.stdout
