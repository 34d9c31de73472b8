"""The root image that all nodes share: a Debian or Ubuntu like the machine's own, made once.

mmdebstrap makes it from the package archive that the machine itself uses, `golden/` is laid over
it and `golden.sh` finishes it: what a site's own installation image would hold, with nothing
enabled that a role has not asked for. The packages stay inside as a local archive, so that `apt`
works in a node that has no way out.

The image is a directory below the cache, named by the digest of its recipe. Nodes mount it
read-only beneath a layer of their own; nobody writes to it after it has its name.
"""

import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from chapelle.errors import ChapelleError, RefusedError
from chapelle.lab import files
from chapelle.settings import Settings

Say = Callable[[str], None]

GOLDEN = Path(__file__).parent / "golden"
FINISH = Path(__file__).parent / "golden.sh"

# The archive inside the image; `golden/etc/apt/sources.list.d/archive.sources` names it.
ARCHIVE = Path("srv/archive")

PACKAGES = (
    # the system itself; apt, because Ubuntu's mmdebstrap leaves it out
    "apt", "ca-certificates", "dbus", "iproute2", "iputils-ping", "netbase", "openssh-server",
    "procps", "python3", "python3-apt", "sudo", "systemd", "systemd-sysv", "tzdata",
    # what the roles look after
    "chrony", "lldpd", "locales", "nftables", "prometheus-node-exporter", "smartmontools",
    "unattended-upgrades",
    # what switches run, and what loads the modules of a kernel that has some
    "frr", "frr-pythontools", "kmod",
    # what a tenant's line is measured with
    "iperf3",
)  # fmt: skip

OPTIONS = (
    "--mode=root", "--variant=minbase", "--format=directory",
    "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
    # The packages are needed for the archive.
    "--skip=cleanup/apt",
)  # fmt: skip

# Origin in an archive's Release file, and the keyring that its distribution's packages install.
KEYRINGS = {
    "Debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "Ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}

# What of the machine's apt configuration decides whether its archive can be reached.
REACHING = re.compile(r"Acquire::(http|https|Check-|Force|Retries|Allow)", re.IGNORECASE)

NEEDED_BYTES = 2 << 30


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
    return System(codename=codename, architecture=_output("dpkg", "--print-architecture").strip())


def digest(system: System) -> str:
    """The name of the image: changes when anything that makes it changes."""
    state = hashlib.sha256(repr((system, PACKAGES, OPTIONS, ARCHIVE)).encode())
    for path in sorted([FINISH, *GOLDEN.rglob("*")]):
        if path.is_file():
            state.update(f"{path.relative_to(FINISH.parent)}\0".encode())
            state.update(path.read_bytes())
    return state.hexdigest()[:16]


def ensure(settings: Settings, say: Say) -> Path:
    """The root of the image, made first if there is none.

    Raises:
        RefusedError: there is not enough space.
        ChapelleError: it cannot be made; the message names the log.
    """
    system = this_system()
    home = settings.cache / "image" / digest(system)
    root = home / "root"
    if root.is_dir():
        return root
    home.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(home.parent / "lock", lambda: say("another process makes the root image")):
        if root.is_dir():
            return root
        files.require_space(home.parent, NEEDED_BYTES, "the lab's root image")
        building = home.parent / f".{home.name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o755)
        say(f"making the lab's root image ({system.codename}); this takes about a minute")
        try:
            _build(building, system, say)
            building.rename(home)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return root


def _build(building: Path, system: System, say: Say) -> None:
    root = building / "root"
    log = building.parent / "build.log"
    options = [line for line in _output("apt-config", "dump").splitlines() if REACHING.match(line)]
    with tempfile.TemporaryDirectory(dir=building) as scratch:
        reaching = Path(scratch) / "reaching.conf"
        reaching.write_text("".join(f"{line}\n" for line in options))
        command = [
            "mmdebstrap", *OPTIONS,
            f"--include={','.join(PACKAGES)}",
            f"--aptopt={reaching}",
            *_credential_hooks(),
            system.codename, str(root), "-",
        ]  # fmt: skip
        _run_mmdebstrap(command, "\n".join(archive_sources(system)), log, say)
    say("finishing the root image")
    make_archive(root / "var/cache/apt/archives", root / ARCHIVE)
    shutil.copytree(GOLDEN, root, dirs_exist_ok=True)
    shutil.copyfile(FINISH, root / "golden.sh")
    try:
        _logged(["chroot", str(root), "/bin/sh", "-eu", "/golden.sh"], log)
    finally:
        (root / "golden.sh").unlink()


def archive_sources(system: System) -> list[str]:
    """The machine's own sources of its distribution, one line each; other vendors' are left out.

    Raises:
        ChapelleError: apt knows none; its lists may never have been fetched.
    """
    fields = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    text = _output("apt-get", "indextargets", "--format", fields, "Created-By: Packages")
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


def _credential_hooks() -> list[str]:
    """Lend apt its credentials for the archive while it fetches; golden.sh removes them."""
    known = Path("/etc/apt/auth.conf.d")
    if not known.is_dir() or not any(known.iterdir()):
        return []
    return [f"--setup-hook=mkdir -p $1/etc/apt && cp -a {known} $1/etc/apt/"]


def _run_mmdebstrap(command: list[str], sources: str, log: Path, say: Say) -> None:
    steps = {
        "downloading": "downloading packages",
        "extracting": "extracting packages",
        "installing essential": "installing the essential packages",
        "installing remaining": "installing the other packages",
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": "/var/tmp"},  # noqa: S108
        )
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(sources)
        process.stdin.close()
        for line in process.stdout:
            out.write(line)
            for sign, text in steps.items():
                if line.startswith(f"I: {sign}"):
                    say(text)
        if process.wait() != 0:
            raise _failed("mmdebstrap", process.returncode, log)


def make_archive(packages: Path, archive: Path) -> None:
    """Make a flat package archive of the .deb files in a directory.

    Format: Debian wiki, "DebianRepository/Format".

    The nodes trust it because it is part of their own root.
    """
    archive.mkdir(parents=True)
    stanzas = []
    for deb in sorted(packages.glob("*.deb")):
        data = deb.read_bytes()
        # A colon in a version is %3a in a file's name, and apt would decode it once more.
        name = deb.name.replace("%", "_")
        shutil.move(deb, archive / name)
        control = _output("dpkg-deb", "--field", str(archive / name)).strip()
        stanzas.append(
            f"{control}\nFilename: ./{name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    text = "\n".join(stanzas).encode()
    (archive / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))


def _logged(command: list[str], log: Path) -> None:
    with log.open("a") as out:
        result = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
    if result.returncode != 0:
        raise _failed(command[-1], result.returncode, log)


def _failed(program: str, status: int, log: Path) -> ChapelleError:
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if re.match(r"(E|Err|error|fatal)\b", line)] or lines[-3:]
    return ChapelleError(
        "The lab's root image could not be made.",
        where=program,
        expected="exit status 0",
        found=f"exit status {status}: {' / '.join(errors[:3])}",
        remedy=f"read {log}; is the package archive reachable? try: apt-get update",
    )


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        found = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise RefusedError(
            f"{command[0]} does not work on this machine.",
            expected=f"{' '.join(command[:2])} to succeed",
            found=str(found),
            remedy="the lab needs Debian or Ubuntu; run ./bootstrap once",
        ) from error
