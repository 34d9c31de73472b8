"""Where the embedded NetBox keeps its things.

Everything lasting is below the state directory. Sockets are not: a Unix socket's path has 107 bytes
at most (unix(7)) and PostgreSQL's own user cannot reach below a home that is closed to it, so they
live in a short directory of the machine's runtime file system.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError
from chapelle.settings import Settings

Say = Callable[[str], None]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of one embedded NetBox. `home` is `netbox/` below the state directory."""

    home: Path
    cache: Path
    sockets: Path
    root: Path

    @classmethod
    def of(cls, settings: Settings) -> "Layout":
        """The layout for these settings; nothing is created."""
        name = f"chapelle-{settings.instance}"
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        if os.geteuid() == 0:
            sockets = Path("/run") / name
        elif runtime and len(runtime) < 60:
            sockets = Path(runtime) / name
        else:
            sockets = Path(tempfile.gettempdir()) / f"{name}-{os.geteuid()}"
        return cls(
            home=settings.state / "netbox",
            cache=settings.cache / "netbox",
            sockets=sockets,
            root=settings.root,
        )

    @property
    def lock(self) -> Path:
        """Held by whoever brings NetBox up, down or away; beside `home`, which may be removed."""
        return self.home.with_name("netbox.lock")

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "postgres" / "data"

    @property
    def postgres_socket(self) -> Path:
        """The directory of PostgreSQL's socket; what clients call the host."""
        return self.sockets / "postgres"

    @property
    def redis_socket(self) -> Path:
        """Redis's socket."""
        return self.sockets / "redis"

    @property
    def conf(self) -> Path:
        """What NetBox calls NETBOX_ROOT: configuration, media, scripts."""
        return self.home / "root"

    @property
    def tokens(self) -> Path:
        """The tokens by mode, as JSON."""
        return self.home / "tokens.json"

    @property
    def password(self) -> Path:
        """The password of the superuser `admin`."""
        return self.home / "admin-password"

    @property
    def address(self) -> Path:
        """JSON: the URL at which NetBox is served, or was last."""
        return self.home / "netbox.json"

    def log(self, name: str) -> Path:
        """The log of one service."""
        return self.home / "logs" / f"{name}.log"

    def record(self, name: str) -> Path:
        """What identifies the running process of one service."""
        return self.home / "run" / f"{name}.json"

    def make(self) -> None:
        """Create the directories, closed to others.

        Raises:
            ChapelleError: the directory for sockets belongs to somebody else.
        """
        for directory in (self.home, self.cache):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("run", "logs", "postgres", "redis", "root/conf"):
            (self.home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        # 0711: PostgreSQL's user passes through to its own directory, nobody lists this one.
        self.sockets.mkdir(mode=0o711, exist_ok=True)
        found = self.sockets.lstat()
        if found.st_uid != os.geteuid() or self.sockets.is_symlink():
            raise ChapelleError(
                "The directory for NetBox's sockets is not ours.",
                where=str(self.sockets),
                expected=f"a directory of user {os.geteuid()}",
                found=f"owner {found.st_uid}",
                remedy="remove it, or set XDG_RUNTIME_DIR to a directory of your own",
            )


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in the file; an empty one when there is no such file or it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
