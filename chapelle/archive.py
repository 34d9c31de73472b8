"""The package archive that this machine itself uses: what root images are made from.

A site's machines fetch packages through its own mirrors, proxies and credentials. What reaches
this machine's archive is lent to mmdebstrap while it fetches, and stays out of what it makes.
"""

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError, RefusedError

# Origin in an archive's Release file, and the keyring that its distribution's packages install.
KEYRINGS = {
    "Debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "Ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}

# What of the machine's apt configuration decides whether its archive can be reached.
REACHING = re.compile(r"Acquire::(http|https|Check-|Force|Retries|Allow)", re.IGNORECASE)


# What mmdebstrap says when it begins a step, and what we say then.
STEPS = {
    "downloading": "downloading packages",
    "extracting": "extracting packages",
    "installing essential": "installing the essential packages",
    "installing remaining": "installing the other packages",
}

Say = Callable[[str], None]


class System(msgspec.Struct, frozen=True, kw_only=True):
    """The machine's distribution: codename such as `bookworm`, and Debian's architecture name."""

    codename: str
    architecture: str


def this_system() -> System:
    """The system that this machine runs.

    Raises:
        ChapelleError: /etc/os-release names no release, or dpkg is missing.
    """
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if not codename:
        raise ChapelleError(
            "The machine's release has no code name.",
            where="/etc/os-release",
            expected="VERSION_CODENAME, as Debian and Ubuntu have it",
            found="nothing",
        )
    return System(codename=codename, architecture=output("dpkg", "--print-architecture").strip())


def sources(system: System) -> list[str]:
    """The machine's own sources of its distribution, one line each; other vendors' are left out.

    Raises:
        ChapelleError: apt knows none; its lists may never have been fetched.
    """
    fields = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    text = output("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    components: dict[tuple[str, str, str], list[str]] = {}
    for line in text.splitlines():
        origin, codename, uri, suite, component = line.split("|")
        ours = codename.partition("-")[0] == system.codename
        if origin in KEYRINGS and ours and not suite.endswith(("-backports", "-proposed")):
            known = components.setdefault((origin, uri, suite), [])
            if component not in known:
                known.append(component)
    if not components:
        raise ChapelleError(
            "apt knows no archive from which a root image could be made.",
            where="/etc/apt/sources.list and /etc/apt/sources.list.d",
            expected=f"an archive of {' or '.join(KEYRINGS)} {system.codename}",
            found="none whose lists have been fetched",
            remedy="apt-get update",
        )
    return [
        f"deb [signed-by={KEYRINGS[origin]}] {uri} {suite} {' '.join(names)}"
        for (origin, uri, suite), names in components.items()
    ]


def credential_hooks() -> list[str]:
    """Lend apt its credentials while it fetches; who makes an image removes them from it."""
    known = Path("/etc/apt/auth.conf.d")
    if not known.is_dir() or not any(known.iterdir()):
        return []
    return [f"--setup-hook=mkdir -p $1/etc/apt && cp -a {known} $1/etc/apt/"]


def mmdebstrap(
    arguments: Sequence[str],
    lines: Sequence[str],
    log: Path,
    say: Say,
    *,
    what: str,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Run mmdebstrap, with what the machine itself needs to reach its archive.

    Arguments:
        arguments: its own.
        lines: the sources, as in apt's sources.list.
        log: the file that its words go to.
        say: told what it is about.
        what: what is being made.
        environ: variables beside the machine's own.

    Raises:
        ChapelleError: it failed.
    """
    with tempfile.TemporaryDirectory() as scratch, log.open("w") as out:
        reaching = Path(scratch) / "reaching.conf"
        options = output("apt-config", "dump").splitlines()
        reaching.write_text("".join(f"{line}\n" for line in options if REACHING.match(line)))
        process = subprocess.Popen(
            ["mmdebstrap", f"--aptopt={reaching}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": "/var/tmp", **(environ or {})},  # noqa: S108
        )
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write("\n".join(lines))
        process.stdin.close()
        for line in process.stdout:
            out.write(line)
            for sign, text in STEPS.items():
                if line.startswith(f"I: {sign}"):
                    say(text)
        if process.wait() == 0:
            return
    raise _failed("mmdebstrap", process.returncode, log, what)


def logged(
    command: Sequence[str], log: Path, *, what: str, environ: Mapping[str, str] | None = None
) -> None:
    """Run one step of making something; its words are added to the log.

    Raises:
        ChapelleError: it failed.
    """
    with log.open("a") as out:
        result = subprocess.run(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environ or {})},
        )
    if result.returncode != 0:
        raise _failed(command[-1], result.returncode, log, what)


def _failed(program: str, status: int, log: Path, what: str) -> ChapelleError:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if re.match(r"(E|Err|error|fatal)\b", line)] or lines[-3:]
    return ChapelleError(
        f"{what[0].upper()}{what[1:]} could not be made.",
        where=program,
        expected="exit status 0",
        found=f"exit status {status}: {' / '.join(errors[:3])}",
        remedy=f"read {log}; is the package archive reachable? try: apt-get update",
    )


def output(*command: str) -> str:
    """What a program of this machine says.

    Raises:
        RefusedError: it is missing or fails.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        found = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise RefusedError(
            f"{command[0]} does not work on this machine.",
            expected=f"{' '.join(command[:2])} to succeed",
            found=str(found),
            remedy="this needs Debian or Ubuntu; run ./bootstrap once",
        ) from error
