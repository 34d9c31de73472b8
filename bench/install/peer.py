"""The peer: Debian's installer, with one script in the place of its components.

Not every archive carries them. The script takes the same steps with the same programs: debootstrap,
apt, GRUB. What the components do besides, such as to load each other, to look for hardware and to
ask, is left out. So the peer takes less time than a whole preseed installation would.
"""

import io
import tarfile
from pathlib import Path

import installer_bench as rig
from components import Kernel
from installer_bench import HERE, HOST, MACS
from mirror import Mirror

from chapelle.drivers import image
from chapelle.drivers.image import root
from chapelle.lab import ca
from chapelle.settings import Settings

FOLDER = Path(__file__).parent

# As our own installer has it.
GRUB = 'GRUB_TIMEOUT=2\nGRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"\n'

# The stages of it, and what the mirror hears when each begins.
STAGES = {
    "components": "/stage/components",
    "partition": "/stage/partition",
    "base": "/stage/base",
    "kernel": "/stage/kernel",
    "packages": "/stage/packages",
    "boot-loader": "/stage/boot-loader",
    "finish": "/stage/finish",
    "restart": "/stage/restart",
}


def prepare(mirror: Mirror, job: image.Job, tools: bytes) -> None:
    """Let the mirror serve what tells the installer what to do."""
    wanted = job.recipe.root
    names = [*wanted.system, *wanted.disks, *wanted.roles]
    script = (FOLDER / "peer.sh").read_text()
    for mark, value in (
        ("@URL@", mirror.url),
        ("@RELEASE@", job.source.release),
        ("@PACKAGES@", " ".join(names)),
    ):
        script = script.replace(mark, value)
    mirror.files["/preseed.cfg"] = (
        (FOLDER / "preseed.cfg").read_text().format(url=mirror.url).encode()
    )
    mirror.files["/peer.sh"] = script.encode()
    mirror.files["/tools.tar"] = tools
    mirror.files["/sources.list"] = "".join(f"{line}\n" for line in mirror.lines).encode()
    mirror.files["/own.tar"] = _own(job.settings)


def start(machine: rig.Machine, kernel: Kernel, mirror: Mirror) -> None:
    """Switch the machine on, with the installer, which asks nobody."""
    machine.start(
        kernel,
        f"auto=true priority=critical url={mirror.url}/preseed.cfg "
        f"interface=auto BOOTIF=01-{MACS['eno1'].replace(':', '-')} "
        f"hostname={HOST} domain=chapelle.internal language=C country=FR locale=C keymap=us "
        "DEBIAN_FRONTEND=text console=ttyS0,115200 quiet no_timer_check",
    )


def _own(settings: Settings) -> bytes:
    """What makes the new system this host, as the order has it for our own installer."""
    signer = ca.HostSigner(ca.folder(settings))
    key = signer.new([HOST])
    ssh = root.OVERLAY / "etc/ssh/sshd_config.d/05-install.conf"
    network = (
        f"[Match]\nMACAddress={MACS['eno1']}\n[Network]\nAddress={rig.ADDRESS}\nGateway={HERE}\n"
    )
    contents = {
        "etc/ssh/ssh_host_ed25519_key": (key.private, 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (key.public, 0o644),
        "etc/ssh/ssh_host_ed25519_key-cert.pub": (key.certificate, 0o644),
        "etc/ssh/user_ca.pub": (signer.user_authority, 0o644),
        "etc/ssh/sshd_config.d/05-install.conf": (ssh.read_bytes(), 0o644),
        "etc/sudoers.d/deploy": ((root.OVERLAY / "etc/sudoers.d/deploy").read_bytes(), 0o440),
        "etc/systemd/network/10-eno1.network": (network.encode(), 0o644),
        "etc/hostname": (f"{HOST}\n".encode(), 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n127.0.1.1 {HOST}\n".encode(), 0o644),
        "etc/default/grub": (GRUB.encode(), 0o644),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
