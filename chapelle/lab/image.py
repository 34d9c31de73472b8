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
import shutil
from pathlib import Path

from chapelle import archive
from chapelle.lab import files
from chapelle.settings import Settings

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

NEEDED_BYTES = 2 << 30

WHAT = "the lab's root image"


def digest(system: archive.System) -> str:
    """The name of the image: changes when anything that makes it changes."""
    state = hashlib.sha256(repr((system, PACKAGES, OPTIONS, ARCHIVE)).encode())
    for path in sorted([FINISH, *GOLDEN.rglob("*")]):
        if path.is_file():
            state.update(f"{path.relative_to(FINISH.parent)}\0".encode())
            state.update(path.read_bytes())
    return state.hexdigest()[:16]


def ensure(settings: Settings, say: archive.Say) -> Path:
    """The root of the image, made first if there is none.

    Raises:
        RefusedError: there is not enough space.
        ChapelleError: it cannot be made; the message names the log.
    """
    system = archive.this_system()
    home = settings.cache / "image" / digest(system)
    root = home / "root"
    if root.is_dir():
        return root
    home.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(home.parent / "lock", lambda: say("another process makes the root image")):
        if root.is_dir():
            return root
        files.require_space(home.parent, NEEDED_BYTES, WHAT)
        building = home.parent / f".{home.name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(mode=0o755)
        say(f"making {WHAT} ({system.codename}); this takes about a minute")
        try:
            _build(building, system, say)
            building.rename(home)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return root


def _build(building: Path, system: archive.System, say: archive.Say) -> None:
    root = building / "root"
    log = building.parent / "build.log"
    archive.mmdebstrap(
        [
            *OPTIONS,
            f"--include={','.join(PACKAGES)}",
            *archive.credential_hooks(),
            system.codename, str(root), "-",
        ],
        archive.sources(system), log, say, what=WHAT,
    )  # fmt: skip
    say("finishing the root image")
    make_archive(root / "var/cache/apt/archives", root / ARCHIVE)
    shutil.copytree(GOLDEN, root, dirs_exist_ok=True)
    shutil.copyfile(FINISH, root / "golden.sh")
    try:
        archive.logged(["chroot", str(root), "/bin/sh", "-eu", "/golden.sh"], log, what=WHAT)
    finally:
        (root / "golden.sh").unlink()


def make_archive(packages: Path, target: Path) -> None:
    """Make a flat package archive of the .deb files in a directory.

    Format: Debian wiki, "DebianRepository/Format".

    The nodes trust it because it is part of their own root.
    """
    target.mkdir(parents=True)
    stanzas = []
    for deb in sorted(packages.glob("*.deb")):
        data = deb.read_bytes()
        # A colon in a version is %3a in a file's name, and apt would decode it once more.
        name = deb.name.replace("%", "_")
        shutil.move(deb, target / name)
        control = archive.output("dpkg-deb", "--field", str(target / name)).strip()
        stanzas.append(
            f"{control}\nFilename: ./{name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    text = "\n".join(stanzas).encode()
    (target / "Packages.gz").write_bytes(gzip.compress(text, mtime=0))
