"""How other programs are run: their words are kept, and secrets go in by standard input."""

import subprocess
from collections.abc import Sequence

from chapelle.installer.stop import Failed

# The last words of a program that failed, as many as a report shows.
_SHOWN = 1500


def run(*command: str, secret: str | bytes = b"", root: str = "") -> str:
    """Run a program, and return what it said.

    Arguments:
        command: the program and its arguments, which anybody may see.
        secret: what it reads from standard input.
        root: run it inside this root directory.

    Raises:
        Failed: it is missing or did not end well.
    """
    words: Sequence[str] = ["chroot", root, *command] if root else command
    data = secret.encode() if isinstance(secret, str) else secret
    try:
        result = subprocess.run(words, input=data, capture_output=True, check=False)
    except OSError as error:
        raise Failed(f"{command[0]} cannot be run", found=str(error)) from error
    if result.returncode != 0:
        said = (result.stderr or result.stdout).decode(errors="replace").strip()
        raise Failed(
            f"{command[0]} failed: {' '.join(command[1:])}",
            expected="exit status 0",
            found=f"exit status {result.returncode}: {' / '.join(said.splitlines())[-_SHOWN:]}",
        )
    return result.stdout.decode(errors="replace")


def succeeds(*command: str, secret: str | bytes = b"") -> bool:
    """Whether a program ends well."""
    data = secret.encode() if isinstance(secret, str) else secret
    return subprocess.run(command, input=data, capture_output=True, check=False).returncode == 0
