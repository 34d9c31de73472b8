"""Limits of the machine's kernel that many nodes meet; raised only where they are too low.

All containers of one user share the inotify instances (user_namespaces(7)), and all network
namespaces share one table of neighbours.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from chapelle.errors import ChapelleError

# What one node needs, measured and then doubled, and what the machine itself may use besides.
PER_NODE = {
    "fs.inotify.max_user_instances": 24,
    "fs.inotify.max_user_watches": 160,
    "net.ipv4.neigh.default.gc_thresh1": 8,
    "net.ipv4.neigh.default.gc_thresh2": 16,
    "net.ipv4.neigh.default.gc_thresh3": 32,
    "kernel.pty.max": 4,
    "kernel.pid_max": 64,
}
SPARE = {
    "fs.inotify.max_user_instances": 128,
    "fs.inotify.max_user_watches": 8192,
    "net.ipv4.neigh.default.gc_thresh1": 0,
    "net.ipv4.neigh.default.gc_thresh2": 128,
    "net.ipv4.neigh.default.gc_thresh3": 512,
    "kernel.pty.max": 1024,
    "kernel.pid_max": 8192,
}

Raised = dict[str, tuple[int, int]]


def _path(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def raise_for(
    nodes: int, raised: Mapping[str, tuple[int, int]], say: Callable[[str], None]
) -> Raised:
    """Raise what is too low for so many nodes.

    Arguments:
        nodes: how many nodes the machine is to hold.
        raised: what was raised earlier, as this function gave it back.
        say: told of each change.

    Returns:
        The value before our first change, and the last that we set, of each limit that we changed.

    Raises:
        ChapelleError: a limit is too low and cannot be changed.
    """
    result = dict(raised)
    for name, each in PER_NODE.items():
        path = _path(name)
        if not path.exists():
            continue
        now, needed = int(path.read_text()), SPARE[name] + each * nodes
        if now >= needed:
            continue
        say(f"raising {name} from {now} to {needed}")
        try:
            path.write_text(str(needed))
        except OSError as error:
            raise ChapelleError(
                f"The machine's limit {name} is too low for {nodes} nodes.",
                where=str(path),
                expected=f"{needed} or more",
                found=f"{now}, and it cannot be set: {error.strerror}",
                remedy=f"sysctl -w {name}={needed} where that is allowed",
            ) from error
        result[name] = (result.get(name, (now, now))[0], needed)
    return result


def restore(raised: Mapping[str, tuple[int, int]], say: Callable[[str], None]) -> None:
    """Put back what we raised, unless somebody has set another value since."""
    for name, (before, ours) in raised.items():
        path = _path(name)
        if path.exists() and int(path.read_text()) == ours:
            say(f"setting {name} back to {before}")
            path.write_text(str(before))
