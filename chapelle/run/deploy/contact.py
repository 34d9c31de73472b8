"""A host that runs its own system: whether it lets us in, with the key that we signed."""

import subprocess

from chapelle.errors import ChapelleError
from chapelle.plan.deploy.order import MARKER
from chapelle.plan.inventory import Reach
from chapelle.run import reach
from chapelle.settings import Settings

_CONNECT_SECONDS = 15
_SECONDS = 120.0


class Contact:
    """Runs commands on one host, by SSH. No host key is taken on first use.

    Arguments:
        settings: this installation.
        host: its name, for messages.
        address: without prefix length.
    """

    def __init__(self, settings: Settings, host: str, address: str) -> None:
        self.host = host
        self._address = address
        self._reach: Reach = reach.reach(settings)

    def run(
        self, command: str, *, secret: str = "", seconds: float = _SECONDS
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of the shell as root.

        Arguments:
            command: which; it holds no secret, as processes can be seen.
            secret: what it reads from standard input.
            seconds: how long it may take.

        Raises:
            ChapelleError: it did not end in time.
        """
        config = ["-F", str(self._reach.ssh_config)] if self._reach.ssh_config else []
        words = [
            str(self._reach.ssh or "ssh"), *config, "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}",
            self._address, f"sudo -n sh -euc {_quoted(command)}",
        ]  # fmt: skip
        try:
            return subprocess.run(
                words, input=secret, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise ChapelleError(
                f"{self.host} does not end a command.",
                where=self.host,
                expected=f"an end within {seconds:.0f} s",
                found=command.split(maxsplit=1)[0],
            ) from error

    def installed_by(self) -> str | None:
        """The run that installed the system that answers; empty if it says none, None if no answer.

        Whoever answers has shown a host key that our authority signed.
        """
        try:
            done = self.run(f"cat {MARKER} 2>/dev/null || true", seconds=2 * _CONNECT_SECONDS)
        except ChapelleError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
