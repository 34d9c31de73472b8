"""dnsmasq as children that end with us: one for TFTP, and one for DHCP that is restarted.

At SIGHUP dnsmasq 2.90 reads its reservations again, and dies of it where they have tags and
somebody has a lease. In a restart, 50 ms, a question for an address is lost, and is asked again; a
file on its way by TFTP would be lost for good, so that is another process.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from chapelle import files, process
from chapelle.drivers.boot import configuration
from chapelle.drivers.boot.configuration import LOADERS, USER, Place
from chapelle.errors import ChapelleError, RefusedError
from chapelle.model.boot import BootWindow

KEEPER = Path(__file__).with_name("keeper.py")
PACKAGES = {"dnsmasq": "dnsmasq-base"}
CONFIGURATIONS = ("tftp.conf", "dhcp.conf")
START_SECONDS = 10.0
END_SECONDS = 10.0
# So many of its last words an error repeats.
LAST_WORDS = 5


class Dnsmasq:
    """One dnsmasq.

    Arguments:
        place: where it works.
        hear: told of each line that it says, in a thread of its own.
        lost: told when it has ended without being asked to, in that thread.
    """

    def __init__(
        self, place: Place, hear: Callable[[str], None], lost: Callable[[str], None]
    ) -> None:
        self._place = place
        self._hear = hear
        self._lost = lost
        self._said: list[str] = []
        self._read = threading.Semaphore(0)
        self._ended = threading.Event()
        self._closing = False
        self._keeper: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, answering nobody yet.

        Raises:
            RefusedError: a program is missing, or we are not root.
            ChapelleError: it does not start.
        """
        _require_means()
        self._prepare()
        self.write((), ())
        namespace = str(self._place.namespace or "")
        program = str(shutil.which("dnsmasq", path=_path()))
        command = [sys.executable, "-IS", str(KEEPER), str(self._place.run), namespace]
        command += [program, *(f"--conf-file={self._place.run / name}" for name in CONFIGURATIONS)]
        self._keeper = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=process.environment(),
            start_new_session=True,
        )
        threading.Thread(target=self._listen, name="dnsmasq", daemon=True).start()
        self._wait()

    def _prepare(self) -> None:
        """Make the directory that only dnsmasq, and root, may look into."""
        place = self._place
        shutil.rmtree(place.run, ignore_errors=True)
        place.run.mkdir(mode=0o700)
        place.tftp.mkdir(mode=0o700)
        texts = (configuration.tftp_file(place), configuration.dhcp_file(place))
        for name, text in zip(CONFIGURATIONS, texts, strict=True):
            files.write(place.run / name, text, durable=False)
        owner = _owner()
        for path in (place.run, place.tftp):
            os.chown(path, *owner)

    def write(
        self, windows: Sequence[tuple[BootWindow, str]], before: Sequence[BootWindow]
    ) -> None:
        """Write what it reads: the open windows with the URL of each; those `before` are gone."""
        place, owner = self._place, _owner()
        texts = {
            place.options: configuration.options_file(windows),
            place.hosts: configuration.hosts_file(window for window, _ in windows),
        }
        for window, _ in windows:
            self._lay_out(window, owner)
        for path, text in texts.items():
            files.write(path, text, durable=False)
            os.chown(path, *owner)
        there = {window.ip for window, _ in windows}
        for window in before:
            if window.ip not in there:
                shutil.rmtree(place.tftp / window.ip, ignore_errors=True)

    def _lay_out(self, window: BootWindow, owner: tuple[int, int]) -> None:
        """Give a host's address its directory of TFTP; it holds one file, which must be its own."""
        home = self._place.tftp / window.ip
        loader = LOADERS[window.firmware]
        if (home / loader.name).exists():
            return
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(mode=0o700)
        shutil.copyfile(loader, home / loader.name)
        for path in (home / loader.name, home):
            os.chown(path, *owner)

    def reload(self) -> None:
        """Start it again with what was written; returns when it has read that.

        Raises:
            ChapelleError: it has ended, or does not.
        """
        keeper = self._keeper
        if keeper is not None and keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                keeper.stdin.write("\n")
                keeper.stdin.flush()
        self._wait()

    def _wait(self) -> None:
        """Until it has read the file of options, which is the last that it reads."""
        if not self._read.acquire(timeout=START_SECONDS) or self._ended.is_set():
            raise ChapelleError(
                "dnsmasq does not start or does not read its files.",
                where=str(self._place.run),
                expected="DHCP and TFTP for the open boot windows",
                found=" / ".join(self._said[-LAST_WORDS:]) or "nothing said",
                remedy="does another DHCP server run on this machine? ss -lunp 'sport = 67'",
            )

    def _listen(self) -> None:
        stream = self._keeper.stderr if self._keeper else None
        mark = f"read {self._place.options}"
        for line in stream or ():
            text = line.strip()
            self._said = [*self._said[-LAST_WORDS:], text]
            if text.endswith(mark):
                self._read.release()
            self._hear(text)
        self._ended.set()
        self._read.release()
        if not self._closing:
            self._lost(" / ".join(self._said) or "it said nothing")

    def stop(self) -> None:
        """End it, with its directory."""
        self._closing = True
        keeper = self._keeper
        if keeper is None or keeper.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            keeper.stdin.close()
        try:
            keeper.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()  # the kernel ends dnsmasq with it
            keeper.wait()
        shutil.rmtree(self._place.run, ignore_errors=True)


def _path() -> str:
    """Where servers are: Debian does not have that in the path of users."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _owner() -> tuple[int, int]:
    entry = pwd.getpwnam(USER)
    return entry.pw_uid, entry.pw_gid


def _require_means() -> None:
    if os.geteuid() != 0:
        raise RefusedError(
            "The boot service needs root: it answers DHCP and TFTP.",
            expected="user id 0",
            found=f"user id {os.geteuid()}",
            remedy="run it with sudo",
        )
    missing = {n: package for n, package in PACKAGES.items() if not shutil.which(n, path=_path())}
    missing |= {str(path): "ipxe" for path in LOADERS.values() if not path.exists()}
    if missing:
        raise RefusedError(
            "Programs that the boot service needs are missing.",
            expected=", ".join(missing),
            found=f"nothing of {', '.join(sorted(set(missing.values())))}",
            remedy="run ./bootstrap once, or apt-get install "
            + " ".join(sorted(set(missing.values()))),
        )
